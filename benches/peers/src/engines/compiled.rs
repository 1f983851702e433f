//! Ascent: rules that rustc compiles.

use ascent::ascent;

use crate::data::Tables;

use super::Clock;

ascent! {
    struct Tc;
    relation edge(u32, u32);
    relation path(u32, u32);
    path(x, y) <-- edge(x, y);
    path(x, z) <-- path(x, y), edge(y, z);
}

ascent! {
    struct Tcr;
    relation edge(u32, u32);
    relation path(u32, u32);
    path(x, y) <-- edge(x, y);
    path(x, z) <-- edge(x, y), path(y, z);
}

ascent! {
    struct Sg;
    relation below(u32, u32);
    relation sg(u32, u32);
    sg(x, y) <-- below(x, p), below(y, p), if x != y;
    sg(x, y) <-- sg(a, b), below(x, a), below(y, b);
}

ascent! {
    struct Andersen;
    relation address_of(u32, u32);
    relation assign(u32, u32);
    relation load(u32, u32);
    relation store(u32, u32);
    relation pt(u32, u32);
    pt(y, x) <-- address_of(y, x);
    pt(y, x) <-- assign(y, z), pt(z, x);
    pt(y, w) <-- load(y, x), pt(x, z), pt(z, w);
    pt(z, w) <-- store(y, x), pt(y, z), pt(x, w);
}

ascent! {
    struct Cspa;
    relation assign(u32, u32);
    relation dereference(u32, u32);
    relation vf(u32, u32);
    relation ma(u32, u32);
    relation va(u32, u32);
    vf(y, x) <-- assign(y, x);
    vf(x, x) <-- assign(x, _);
    vf(x, x) <-- assign(_, x);
    ma(x, x) <-- assign(_, x);
    ma(x, x) <-- assign(x, _);
    vf(x, y) <-- assign(x, z), ma(z, y);
    vf(x, y) <-- vf(x, z), vf(z, y);
    ma(x, w) <-- dereference(y, x), va(y, z), dereference(z, w);
    va(x, y) <-- vf(z, x), vf(z, y);
    va(x, y) <-- vf(z, x), ma(z, w), vf(w, y);
}

ascent! {
    struct Tri;
    relation edge(u32, u32);
    relation tri(u32, u32, u32);
    tri(x, y, z) <-- edge(x, y), edge(y, z), edge(x, z);
}

ascent! {
    struct Agg;
    relation member(u32, u32, u32);
    relation grp(u32);
    relation cnt(u32, usize);
    relation mx(u32, u32);
    grp(g) <-- member(_, g, _);
    cnt(g, n) <-- grp(g), agg n = ascent::aggregators::count() in member(_, g, _);
    mx(g, m) <-- grp(g), agg m = ascent::aggregators::max(l) in member(_, g, l);
}

ascent! {
    struct Neg;
    relation edge(u32, u32);
    relation blocked(u32);
    relation all(u32, u32);
    relation ok(u32, u32);
    relation lost(u32, u32);
    all(x, y) <-- edge(x, y);
    all(x, z) <-- all(x, y), edge(y, z);
    ok(x, y) <-- edge(x, y), !blocked(x), !blocked(y);
    ok(x, z) <-- ok(x, y), edge(y, z), !blocked(z);
    lost(x, y) <-- all(x, y), !ok(x, y);
}

ascent! {
    struct Authz;
    relation member(u32, u32);
    relation subgroup(u32, u32);
    relation below(u32, u32);
    relation doc(u32);
    relation grant_group(u32, u32, u32);
    relation grant_user(u32, u32, u32);
    relation role_includes(u32, u32);
    relation deny(u32, u32);
    relation blocked(u32);
    relation in_group(u32, u32);
    relation has_role(u32, u32, u32);
    relation denied(u32, u32);
    relation may(u32, u32);
    in_group(u, g) <-- member(u, g);
    in_group(u, p) <-- in_group(u, g), subgroup(g, p);
    has_role(u, r, x) <-- grant_user(x, r, u);
    has_role(u, r, x) <-- grant_group(x, r, g), in_group(u, g);
    has_role(u, s, x) <-- has_role(u, r, x), role_includes(r, s);
    has_role(u, r, c) <-- has_role(u, r, x), below(c, x);
    denied(u, x) <-- deny(u, x);
    denied(u, c) <-- denied(u, x), below(c, x);
    may(u, d) <-- has_role(u, 0, d), doc(d), !denied(u, d), !blocked(u);
}

fn one(given: &Tables, name: &str) -> Vec<(u32,)> {
    given.rows(name).map(|[a]| (a,)).collect()
}

fn two(given: &Tables, name: &str) -> Vec<(u32, u32)> {
    given.rows(name).map(|[a, b]| (a, b)).collect()
}

fn three(given: &Tables, name: &str) -> Vec<(u32, u32, u32)> {
    given.rows(name).map(|[a, b, c]| (a, b, c)).collect()
}

/// What the outputs come to, if the program is one of these.
pub fn run(program: &str, given: &Tables, clock: &mut Clock) -> Option<u64> {
    macro_rules! go {
        ($program:ident { $($relation:ident: $read:ident),* } $($output:ident),*) => {{
            let mut program = $program::default();
            $(program.$relation = $read(given, stringify!($relation));)*
            clock.loaded();
            program.run();
            0 $(+ program.$output.len() as u64)*
        }};
    }
    Some(match program {
        "tc" => go!(Tc { edge: two } path),
        "tcr" => go!(Tcr { edge: two } path),
        "sg" => go!(Sg { below: two } sg),
        "andersen" => go!(Andersen { address_of: two, assign: two, load: two, store: two } pt),
        "cspa" => go!(Cspa { assign: two, dereference: two } vf, ma, va),
        "tri" => go!(Tri { edge: two } tri),
        "neg" => go!(Neg { edge: two, blocked: one } lost),
        "authz" => go!(Authz {
            member: two, subgroup: two, below: two, doc: one, grant_group: three, grant_user: three, role_includes: two,
            deny: two, blocked: one
        } may),
        "agg" => {
            let mut program = Agg { member: three(given, "member"), ..Agg::default() };
            clock.loaded();
            program.run();
            let counts = program.cnt.iter().map(|row| row.1 as u64).sum::<u64>();
            counts + program.mx.iter().map(|row| u64::from(row.1)).sum::<u64>()
        }
        _ => return None,
    })
}
