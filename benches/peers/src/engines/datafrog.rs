//! Datafrog: plans by hand over sorted rows. What a join needs in another order is kept in that order, as its users do. It has no
//! aggregates.

use datafrog::{Iteration, Relation, RelationLeaper as _};

use crate::data::Tables;

use super::Clock;

type Pairs = Relation<(u32, u32)>;

fn pairs(given: &Tables, name: &str) -> Vec<(u32, u32)> {
    given.rows(name).map(|[a, b]| (a, b)).collect()
}

fn reversed(rows: &[(u32, u32)]) -> Pairs {
    rows.iter().map(|&(a, b)| (b, a)).collect()
}

/// What the outputs come to, if the program is one of these.
pub fn run(program: &str, given: &Tables, clock: &mut Clock) -> Option<u64> {
    Some(match program {
        "tc" => tc(given, clock),
        "tcr" => tcr(given, clock),
        "sg" => sg(given, clock),
        "andersen" => andersen(given, clock),
        "cspa" => cspa(given, clock),
        "tri" => triangles(given, clock),
        "neg" => neg(given, clock),
        "authz" => authz(given, clock),
        _ => return None,
    } as u64)
}

/// The closure of what is given by its ends, joined from the old to the new: rows are (end, start).
fn closure(first: Pairs, edge: &Pairs) -> Pairs {
    let mut iteration = Iteration::new();
    let path = iteration.variable::<(u32, u32)>("path, reversed");
    path.insert(first);
    while iteration.changed() {
        path.from_join(&path, edge, |_y, &x, &z| (z, x));
    }
    path.complete()
}

/// The rows whose keys are not among these. `Relation::from_antijoin` of version 2.0 takes the rows of a relation to be old, and
/// gives none.
fn without<K: Copy + Ord + 'static, V: Copy + Ord + 'static>(
    rows: Relation<(K, V)>,
    keys: &Relation<K>,
) -> Relation<(K, V)> {
    let mut iteration = Iteration::new();
    let all = iteration.variable::<(K, V)>("all");
    let left = iteration.variable::<(K, V)>("left");
    all.insert(rows);
    while iteration.changed() {
        left.from_antijoin(&all, keys, |key, value| (*key, *value));
    }
    left.complete()
}

fn tc(given: &Tables, clock: &mut Clock) -> usize {
    let edge = pairs(given, "edge");
    clock.loaded();
    closure(reversed(&edge), &edge.into()).len()
}

fn tcr(given: &Tables, clock: &mut Clock) -> usize {
    let edge = pairs(given, "edge");
    clock.loaded();
    // path(x, z) :- edge(x, y), path(y, z): rows are (start, end), joined by the start.
    closure(edge.iter().copied().collect(), &reversed(&edge)).len()
}

fn sg(given: &Tables, clock: &mut Clock) -> usize {
    let below = pairs(given, "below");
    clock.loaded();
    let children = reversed(&below);
    let mut siblings = Vec::new();
    for of_one in children.elements.chunk_by(|a, b| a.0 == b.0) {
        let each = of_one.iter().flat_map(|a| of_one.iter().map(|b| (a.1, b.1)));
        siblings.extend(each.filter(|(a, b)| a != b));
    }
    let mut iteration = Iteration::new();
    let sg = iteration.variable::<(u32, u32)>("sg");
    let half = iteration.variable::<(u32, u32)>("b, x");
    sg.extend(siblings);
    while iteration.changed() {
        half.from_join(&sg, &children, |_a, &b, &x| (b, x));
        sg.from_join(&half, &children, |_b, &x, &y| (x, y));
    }
    sg.complete().len()
}

fn andersen(given: &Tables, clock: &mut Clock) -> usize {
    let [address_of, assign, load, store] = ["address_of", "assign", "load", "store"].map(|name| pairs(given, name));
    clock.loaded();
    let (by_assigned, by_loaded) = (reversed(&assign), reversed(&load));
    let store: Pairs = store.into();
    let mut iteration = Iteration::new();
    let pt = iteration.variable::<(u32, u32)>("pt");
    let loads = iteration.variable::<(u32, u32)>("z, y");
    let stores = iteration.variable::<(u32, u32)>("x, z");
    pt.extend(address_of);
    while iteration.changed() {
        pt.from_join(&pt, &by_assigned, |_z, &x, &y| (y, x));
        loads.from_join(&pt, &by_loaded, |_x, &z, &y| (z, y));
        pt.from_join(&loads, &pt, |_z, &y, &w| (y, w));
        stores.from_join(&pt, &store, |_y, &z, &x| (x, z));
        pt.from_join(&stores, &pt, |_x, &z, &w| (z, w));
    }
    pt.complete().len()
}

fn cspa(given: &Tables, clock: &mut Clock) -> usize {
    let [assign, dereference] = ["assign", "dereference"].map(|name| pairs(given, name));
    clock.loaded();
    let by_source = reversed(&assign);
    let dereference: Pairs = dereference.into();
    let itself: Pairs = assign.iter().flat_map(|(y, x)| [(*x, *x), (*y, *y)]).collect();
    let mut iteration = Iteration::new();
    let variable = |iteration: &mut Iteration, name| iteration.variable::<(u32, u32)>(name);
    let [vf, vf_reversed, ma, va, half_ma, half_va] =
        ["vf", "vf, reversed", "ma", "va", "z, x", "w, x"].map(|name| variable(&mut iteration, name));
    vf.extend(assign);
    vf.insert(itself.clone());
    ma.insert(itself);
    while iteration.changed() {
        vf_reversed.from_map(&vf, |&(x, z)| (z, x));
        vf.from_join(&ma, &by_source, |_z, &y, &x| (x, y));
        vf.from_join(&vf_reversed, &vf, |_z, &x, &y| (x, y));
        half_ma.from_join(&va, &dereference, |_y, &z, &x| (z, x));
        ma.from_join(&half_ma, &dereference, |_z, &x, &w| (x, w));
        va.from_join(&vf, &vf, |_z, &x, &y| (x, y));
        half_va.from_join(&vf, &ma, |_z, &x, &w| (w, x));
        va.from_join(&half_va, &vf, |_w, &x, &y| (x, y));
    }
    vf.complete().len() + ma.complete().len() + va.complete().len()
}

fn triangles(given: &Tables, clock: &mut Clock) -> usize {
    let edge = pairs(given, "edge");
    clock.loaded();
    let mut iteration = Iteration::new();
    let first = iteration.variable::<(u32, u32)>("x, y");
    let triangles = iteration.variable::<(u32, u32, u32)>("x, y, z");
    let edge: Pairs = edge.into();
    first.insert(edge.clone());
    while iteration.changed() {
        let leapers = (edge.extend_with(|&(_, y)| y), edge.extend_with(|&(x, _)| x));
        triangles.from_leapjoin(&first, leapers, |&(x, y), &z| (x, y, z));
    }
    triangles.complete().len()
}

fn neg(given: &Tables, clock: &mut Clock) -> usize {
    let edge = pairs(given, "edge");
    let blocked: Vec<u32> = given.rows("blocked").map(|[a]| a).collect();
    clock.loaded();
    let blocked: rustc_hash::FxHashSet<u32> = blocked.into_iter().collect();
    let all = closure(reversed(&edge), &edge.iter().copied().collect());
    let is_open = |node: &u32| !blocked.contains(node);
    let first = edge.iter().filter(|(x, y)| is_open(x) && is_open(y)).map(|&(x, y)| (y, x)).collect();
    let to_open: Pairs = edge.iter().filter(|(_, y)| is_open(y)).copied().collect();
    let ok = closure(first, &to_open);
    let all: Relation<((u32, u32), ())> = all.iter().map(|row| (*row, ())).collect();
    without(all, &ok).len()
}

fn authz(given: &Tables, clock: &mut Clock) -> usize {
    let [member, subgroup, below, role_includes, deny] =
        ["member", "subgroup", "below", "role_includes", "deny"].map(|name| pairs(given, name));
    let [doc, blocked] = ["doc", "blocked"].map(|name| given.rows(name).map(|[a]| a).collect::<Vec<u32>>());
    let [by_group, by_user] = ["grant_group", "grant_user"].map(|name| given.rows(name).collect::<Vec<[u32; 3]>>());
    clock.loaded();
    let children = reversed(&below);
    // (group, user)
    let in_group = closure(reversed(&member), &subgroup.into());
    let by_group: Relation<(u32, (u32, u32))> = by_group.into_iter().map(|[x, r, g]| (g, (x, r))).collect();
    let granted: Relation<(u32, (u32, u32))> = Relation::from_join(&by_group, &in_group, |_g, &(x, r), &u| (x, (r, u)));
    let role_includes: Pairs = role_includes.into();
    let mut iteration = Iteration::new();
    // By object and by role: each join needs its own order.
    let by_object = iteration.variable::<(u32, (u32, u32))>("x, (r, u)");
    let by_role = iteration.variable::<(u32, (u32, u32))>("r, (x, u)");
    by_object.insert(granted);
    by_object.extend(by_user.into_iter().map(|[x, r, u]| (x, (r, u))));
    while iteration.changed() {
        by_role.from_map(&by_object, |&(x, (r, u))| (r, (x, u)));
        by_object.from_join(&by_role, &role_includes, |_r, &(x, u), &s| (x, (s, u)));
        by_object.from_join(&by_object, &children, |_x, &(r, u), &c| (c, (r, u)));
    }
    // (object, user)
    let denied = closure(reversed(&deny), &children);
    let doc: Relation<(u32, ())> = doc.into_iter().map(|d| (d, ())).collect();
    let views: Pairs = by_object.complete().iter().filter(|(_, (r, _))| *r == 0).map(|&(x, (_, u))| (x, u)).collect();
    let views: Relation<((u32, u32), ())> = Relation::from_join(&views, &doc, |&d, &u, ()| ((d, u), ()));
    let views = without(views, &denied).iter().map(|&((d, u), ())| (u, d)).collect();
    without(views, &blocked.into()).len()
}
