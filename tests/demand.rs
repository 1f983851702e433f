//! Demand against bulk evaluation: every question about every relation of random rules has the rows that are derived.
//!
//! `RUNE_WORLDS` says how many sets of rules there are, `RUNE_SEED` which seed is the first; `RUNE_SEED` alone replays that one.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod seeds;
mod random_rules;

use std::{collections::BTreeSet, fmt::Write as _};

use rune_core::{
    Batch, Engine, EntityRef, Node, Options, Program, Request, Sources,
    base::{Scratch, Value, Values as _},
    datalog::Session,
    facts::Tick,
};

use random_rules::{NAMES, Random, rules};

/// About five seconds of an optimized build.
const WORLDS: u64 = 2_000;
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    relations: usize,
    derived: usize,
    keys: usize,
    rows: usize,
}

fn build(text: &str, derive_all: bool) -> Option<Program> {
    let options = Options { derive_all, ..Options::default() };
    Program::build(Sources::single("a.rune", text), options).ok()
}

fn compare(text: &str, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let (Some(all), Some(asked)) = (build(text, true), build(text, false)) else {
        tally.refused += 1;
        return Ok(());
    };
    let engine = asked.rules();
    tally.derived += engine.rules.iter().map(|rule| rule.head).collect::<BTreeSet<_>>().len();
    let mut values = Scratch::new(asked.facts().values());
    let names: Vec<Value> = (0..=NAMES).map(|n| values.entity("User", &format!("u{n}"))).collect();
    // Rows as text, because each program has values of its own.
    let show = |row: &[Value], values: &Scratch| row.iter().map(|of| values.show_briefly(*of)).collect::<Vec<_>>();
    let shown: Vec<String> = names.iter().map(|name| values.show_briefly(*name)).collect();
    let of_all = Scratch::new(all.facts().values());
    let (facts, terms) = (asked.facts().facts(), asked.terms());
    let mut sessions = [0, 1, 2].map(|_| Session::new(terms.demand, 10_000_000));
    sessions[1].keep_rows();
    sessions[2].expect_long_questions();
    for id in terms.demand.relations() {
        tally.relations += 1;
        let arity = engine.arity(*id);
        let bulk = &all.facts().facts().relations.get(*id).expect("it is there").rows;
        let bulk: Vec<Vec<String>> = bulk.rows().map(|row| show(row, &of_all)).collect();
        for bits in 0..1u32 << arity {
            for _ in 0..3 {
                let picks: Vec<usize> = (0..arity).map(|_| random.below(names.len())).collect();
                let given = |at: usize| bits >> at & 1 == 1;
                let key: Vec<Option<Value>> = (0..arity).map(|at| given(at).then(|| names[picks[at]])).collect();
                let is_it = |row: &&Vec<String>| (0..arity).all(|at| !given(at) || row[at] == shown[picks[at]]);
                let expected: BTreeSet<&Vec<String>> = bulk.iter().filter(is_it).collect();
                for session in &mut sessions {
                    let rows = session.rows(facts, &values, *id, &key, Tick::END);
                    let rows = rows.map_err(|stop| format!("{}: {stop:?}", engine.name(*id)))?;
                    let n = rows.len();
                    let found: BTreeSet<Vec<String>> = rows.iter().map(|(_, row)| show(row, &values)).collect();
                    if found.iter().collect::<BTreeSet<_>>() != expected || found.len() != n {
                        let key: Vec<_> = key.iter().map(|of| of.map(|of| values.show_briefly(of))).collect();
                        let name = engine.name(*id);
                        return Err(format!("{name} of {key:?} has {found:?}\nand not {expected:?}"));
                    }
                    tally.keys += 1;
                    tally.rows += n;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_asked_for_is_what_is_derived() {
    let seeds = seeds::of(WORLDS);
    let mut tally = Tally::default();
    for seed in seeds.clone() {
        let mut random = Random(seed);
        let text = rules(&mut random, false);
        if let Err(difference) = compare(&text, &mut random, &mut tally) {
            panic!("seed {seed} (replay it with RUNE_SEED={seed}): {difference}\nof {text}");
        }
    }
    println!("demand: {tally:?}");
    if WORLDS <= seeds.end - seeds.start {
        for (what, n, n_min) in [("relations", tally.relations, tally.derived * 9 / 10), ("rows", tally.rows, 50_000)] {
            assert!(n_min <= n, "fewer than {n_min} {what}: {tally:?}");
        }
    }
}

/// A rule that holds of one value goes on for that value, though another rule changes the column that it stands in.
#[test]
fn what_a_column_has_to_be_is_a_condition_though_demand_varies_it() {
    let text = "version = \"rune/1.0\"\n[rules]\nrelation s(User, User).\nrelation f(User, User).\nrelation e(User, User).\n\
         s(\"u2\", \"u4\"). f(\"u1\", \"u2\"). e(\"u3\", \"u4\").\np(X, Y) :- s(X, Y).\np(X, Y) :- f(X, Z), p(Z, Y).\n\
         p(User::\"u0\", Y) :- e(Y, Z), p(User::\"u0\", Z).\n";
    for seed in 0..20 {
        compare(text, &mut Random(seed), &mut Tally::default()).unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// Objects in a tree, users in groups in groups, grants and denials, as a seed has them; with `root`, some users are denied the
/// root of the tree, so that all is denied them.
fn shared(root: bool) -> String {
    const OBJECTS: usize = 3_000;
    const USERS: usize = 400;
    const GROUPS: usize = 60;
    let mut random = Random(7);
    let mut text = String::from("version = \"rune/1.0\"\n[rules]\n");
    text.push_str("relation member(User, Group).\nrelation sub(Group, Group).\nrelation under(Object, Object).\n");
    text.push_str("relation grant(Object, Group).\nrelation own(Object, User).\nrelation deny(User, Object).\n");
    for n in 1..OBJECTS {
        writeln!(text, "under(\"o{n}\", \"o{}\").", random.below(n.div_ceil(8))).expect("text");
    }
    for n in 1..GROUPS {
        writeln!(text, "sub(\"g{n}\", \"g{}\").", random.below(n)).expect("text");
    }
    for n in 0..USERS {
        for _ in 0..2 {
            writeln!(text, "member(\"u{n}\", \"g{}\").", random.below(GROUPS)).expect("text");
        }
        writeln!(text, "own(\"o{}\", \"u{n}\").", random.below(OBJECTS)).expect("text");
        let leaf = OBJECTS - 1 - random.below(OBJECTS / 3);
        let denied = if root && n % 100 == 50 { 0 } else { leaf };
        writeln!(text, "deny(\"u{n}\", \"o{denied}\").").expect("text");
    }
    for _ in 0..OBJECTS / 10 {
        writeln!(text, "grant(\"o{}\", \"g{}\").", random.below(OBJECTS), random.below(GROUPS)).expect("text");
    }
    text.push_str(
        "in_group(U, G) :- member(U, G).\nin_group(U, P) :- in_group(U, G), sub(G, P).\n\
         can(U, X) :- own(X, U).\ncan(U, X) :- grant(X, G), in_group(U, G).\ncan(U, C) :- can(U, X), under(C, X).\n\
         denied(U, X) :- deny(U, X).\ndenied(U, C) :- denied(U, X), under(C, X).\n\
         @id(\"may\") permit(U, Action::\"read\", X) :- can(U, X), not denied(U, X).\n",
    );
    text
}

/// The steps of decisions: half of them take no more than the first, none more than the second. Both are what they were when this
/// was written, and a third more.
#[test]
fn what_is_far_above_takes_few_steps_and_so_does_what_is_denied_at_the_root() {
    for (root, half_max, all_max) in [(false, 40, 100), (true, 40, 100)] {
        let program = build(&shared(root), false).expect("a program");
        let all = build(&shared(root), true).expect("a program");
        let mut steps = Vec::new();
        let mut n_allowed = 0;
        for user in 0..400 {
            for object in [user * 7 % 3_000, user * 13 % 3_000, 1_500 - user, 2_999 - user] {
                let entity = |kind: &str, id: String| rune_core::EntityRef::new(kind, id);
                let (who, what) = (entity("User", format!("u{user}")), entity("Object", format!("o{object}")));
                let request = rune_core::Request::new(who, entity("Action", "read".to_owned()), what);
                let decided = program.terms().decide_within(&request, 1_000_000);
                assert_eq!(decided.why, all.terms().decide(&request), "u{user} o{object}");
                n_allowed += usize::from(decided.why.is_allowed());
                steps.push(decided.n_steps);
            }
        }
        assert_eq!(program.terms().demand.n_later(), 0);
        steps.sort_unstable();
        let (half, most) = (steps[steps.len() / 2], steps[steps.len() - 1]);
        println!("root {root}: {n_allowed} allowed, {half} steps and at most {most}");
        assert!(30 < n_allowed && half <= half_max && most <= all_max, "{n_allowed} {half} {most}");
    }
}

/// Where no object has more than three right below it, and one stands right below nine, what is below one may still be all there is,
/// and what is above one is little. Whose denials most questions are about says nothing of that: they are of leaves, but for one user.
#[test]
fn a_question_that_takes_long_goes_where_closures_are_small_and_not_where_groups_are() {
    const OBJECTS: usize = 1 << 14;
    let mut text = String::from(
        "version = \"rune/1.0\"\n[rules]\nrelation under(Object, Object).\nrelation own(Object, User).\n\
         relation deny(User, Object).\n",
    );
    for n in 1..OBJECTS {
        writeln!(text, "under(\"o{n}\", \"o{}\").", (n - 1) / 2).expect("text");
    }
    for n in 1..9 {
        writeln!(text, "under(\"o{}\", \"o{}\").", OBJECTS - 1, OBJECTS / 2 - 50 * n).expect("text");
    }
    for n in 0..400 {
        let denied = if n == 50 { 0 } else { OBJECTS - 1 - n };
        writeln!(text, "own(\"o{}\", \"u{n}\").\ndeny(\"u{n}\", \"o{denied}\").", OBJECTS - 2 - n).expect("text");
    }
    text.push_str(
        "denied(U, X) :- deny(U, X).\ndenied(U, C) :- denied(U, X), under(C, X).\n\
         @id(\"may\") permit(U, Action::\"read\", X) :- own(X, U), not denied(U, X).\n",
    );
    let program = build(&text, false).expect("a program");
    let decided = (0..400).map(|n| {
        let entity = |kind: &str, id: String| rune_core::EntityRef::new(kind, id);
        let (who, what) = (entity("User", format!("u{n}")), entity("Object", format!("o{}", OBJECTS - 2 - n)));
        program
            .terms()
            .decide_within(&rune_core::Request::new(who, entity("Action", "read".to_owned()), what), 1_000_000)
    });
    let decided: Vec<_> = decided.collect();
    assert_eq!(decided.iter().filter(|of| of.why.is_allowed()).count(), 399);
    let most = decided.iter().map(|of| of.n_steps).max();
    assert!(most <= Some(1_100), "{most:?} steps");
}

/// A rule that goes on along a closure takes the steps of one that goes along its edges, whichever way the closure is written.
#[test]
fn a_closure_within_a_closure_takes_the_steps_of_one() {
    let along_edges = "can(U, C) :- can(U, X), under(C, X).\n";
    let text = shared(true);
    let steps = |text: &str| {
        let program = build(text, false).expect("a program");
        let of = |n: usize| {
            let entity = |kind: &str, id: String| rune_core::EntityRef::new(kind, id);
            let (who, what) =
                (entity("User", format!("u{}", n % 400)), entity("Object", format!("o{}", n * 7 % 3_000)));
            let request = rune_core::Request::new(who, entity("Action", "read".to_owned()), what);
            program.terms().decide_within(&request, 1_000_000)
        };
        (0..800).map(of).map(|decided| (decided.why.is_allowed(), decided.n_steps)).collect::<Vec<_>>()
    };
    let expected = steps(&text);
    for closure in [
        "above(C, X) :- above(C, Y), above(Y, X).",
        "above(C, X) :- under(C, Y), above(Y, X).",
        "above(C, X) :- above(C, Y), under(Y, X).",
        "above(C, X) :- under(C, Y), above(Y, X).\nabove(C, C) :- under(C, _).",
    ] {
        let along_paths = format!("above(C, X) :- under(C, X).\n{closure}\ncan(U, C) :- can(U, X), above(C, X).\n");
        assert!(text.contains(along_edges));
        assert_eq!(steps(&text.replace(along_edges, &along_paths)), expected, "{closure}");
    }
}

/// Groups have those in them who may see what stands for the group, and show what they have: relations that derive one another are
/// gone along like one. The steps are what they were when this was written, and a third more; tabled, they were 32 and 1,456.
#[test]
fn relations_that_derive_one_another_are_gone_along_as_one() {
    let text = shared(true);
    let (members, groups) = ("in_group(U, G) :- member(U, G).\n", "relation opens(Object, Group).\n");
    let mut opens = String::from(groups);
    for n in 0..60 {
        writeln!(opens, "opens(\"o{}\", \"g{}\").", 2_999 - n * 17, n * 7 % 60).expect("text");
    }
    let text = text.replace(members, &format!("{opens}{members}in_group(U, G) :- opens(X, G), can(U, X).\n"));
    let (program, all) = (build(&text, false).expect("a program"), build(&text, true).expect("a program"));
    let (mut steps, mut n_allowed) = (Vec::new(), 0);
    for n in 0..1_200 {
        let entity = |kind: &str, id: String| rune_core::EntityRef::new(kind, id);
        let (who, what) = (entity("User", format!("u{}", n % 400)), entity("Object", format!("o{}", n * 7 % 3_000)));
        let request = rune_core::Request::new(who, entity("Action", "read".to_owned()), what);
        let decided = program.terms().decide_within(&request, 1_000_000);
        assert_eq!(decided.why, all.terms().decide(&request), "{n}");
        n_allowed += usize::from(decided.why.is_allowed());
        steps.push(decided.n_steps);
    }
    steps.sort_unstable();
    let (half, most) = (steps[steps.len() / 2], steps[steps.len() - 1]);
    println!("{n_allowed} allowed, {half} steps and at most {most}");
    assert!(30 < n_allowed && half <= 45 && most <= 900, "{n_allowed} {half} {most}");
}

/// Roles with statements about groups of actions on a tree of objects; some are denied what is near the root.
fn statements() -> String {
    const OBJECTS: usize = 3_000;
    let mut random = Random(3);
    let mut text =
        String::from("version = \"rune/1.0\"\n[rules]\nrelation acts(User, Role).\nrelation covers(Set, Action).\n");
    text.push_str(
        "relation under(Object, Object).\nrelation allow(Role, Set, Object).\nrelation deny(Role, Set, Object).\n",
    );
    for n in 1..OBJECTS {
        writeln!(text, "under(\"o{n}\", \"o{}\").", random.below(n.div_ceil(8))).expect("text");
    }
    for n in 0..200 {
        for _ in 0..6 {
            writeln!(text, "acts(\"u{n}\", \"r{}\").", random.below(300)).expect("text");
        }
    }
    for n in 0..20 {
        for _ in 0..3 {
            writeln!(text, "covers(\"s{}\", \"a{n}\").", random.below(12)).expect("text");
        }
    }
    for _ in 0..2_000 {
        let (role, set, object) = (random.below(300), random.below(12), 30 + random.below(OBJECTS - 30));
        writeln!(text, "allow(\"r{role}\", \"s{set}\", \"o{object}\").").expect("text");
    }
    for _ in 0..150 {
        let (role, set, object) = (random.below(300), random.below(12), random.below(10));
        writeln!(text, "deny(\"r{role}\", \"s{set}\", \"o{object}\").").expect("text");
    }
    text.push_str(
        "allowed(U, A, X) :- acts(U, R), allow(R, S, X), covers(S, A).\nallowed(U, A, C) :- under(C, X), allowed(U, A, X).\n\
         denied(U, A, X) :- acts(U, R), deny(R, S, X), covers(S, A).\ndenied(U, A, C) :- under(C, X), denied(U, A, X).\n\
         @id(\"may\") permit(U, A, X) :- allowed(U, A, X), not denied(U, A, X).\n",
    );
    text
}

/// What is denied a user is looked up for the first object of a list, and then compared with what is above each. The steps are what
/// they were when this was written, and a third more: with the join for each object lists of objects took 47,388.
#[test]
fn what_stays_the_same_for_all_of_a_list_is_found_out_once() {
    let entity = |kind: &str, id: String| rune_core::EntityRef::new(kind, id);
    let [program, all] = [false, true].map(|all| rune_core::Engine::new(build(&statements(), all).expect("a program")));
    let (mut steps, mut n_listed) = ([0, 0], 0);
    for n in 0..100 {
        let (user, action) = (entity("User", format!("u{}", n * 2)), entity("Action", format!("a{}", n % 20)));
        let objects = rune_core::List::resources(user, action.clone()).of_type("Object");
        let users = rune_core::List::principals(action, entity("Object", format!("o{}", n * 29))).of_type("User");
        for (steps, list) in steps.iter_mut().zip([objects, users]) {
            let (listed, expected) = (program.list(&list).expect("a list"), all.list(&list).expect("a list"));
            assert_eq!(listed.entities, expected.entities, "{list:?}");
            *steps += listed.stats.steps + listed.stats.rows_touched;
            n_listed += listed.entities.len();
        }
    }
    println!("{n_listed} listed, {steps:?} steps");
    assert!(1_000 < n_listed && steps[0] <= 34_000 && steps[1] <= 5_700, "{n_listed} {steps:?}");
}

/// Who may edit may view, and who owns may edit, each down one tree: what is above an object is gone through once for all three.
#[test]
fn what_is_closed_already_is_not_closed_again() {
    const DEPTH: usize = 300;
    let mut text = String::from("version = \"rune/1.0\"\n[rules]\nrelation under(Object, Object).\n");
    text.push_str("relation owner(Object, User).\nrelation editor(Object, User).\nrelation viewer(Object, User).\n");
    for n in 1..DEPTH {
        writeln!(text, "under(\"o{n}\", \"o{}\").", n - 1).expect("text");
    }
    for (role, n) in [("owner", 0), ("editor", 1), ("viewer", 2)] {
        writeln!(text, "{role}(\"o{n}\", \"u{n}\").").expect("text");
    }
    for [to, from] in [["owns", "owner(X, U)"], ["edits", "editor(X, U)"], ["views", "viewer(X, U)"]] {
        writeln!(text, "{to}(U, X) :- {from}.\n{to}(U, C) :- under(C, X), {to}(U, X).").expect("text");
    }
    text.push_str("edits(U, X) :- owns(U, X).\nviews(U, X) :- edits(U, X).\n");
    text.push_str("@id(\"may\") permit(U, Action::\"read\", X) :- views(U, X).\n");
    let program = build(&text, false).expect("a program");
    for (user, is_allowed) in [(0, true), (1, true), (2, true), (3, false)] {
        let entity = |kind: &str, id: String| rune_core::EntityRef::new(kind, id);
        let (who, what) = (entity("User", format!("u{user}")), entity("Object", format!("o{}", DEPTH - 1)));
        let request = rune_core::Request::new(who, entity("Action", "read".to_owned()), what);
        let decided = program.terms().decide_within(&request, 1_000_000);
        assert_eq!(decided.why.is_allowed(), is_allowed, "u{user}");
        // Two for each object on the way, and a few for each of the rules.
        assert!(decided.n_steps <= 2 * DEPTH as u64 + 40, "u{user}: {} steps", decided.n_steps);
    }
}

/// Rules that decide and that demand leaves to others ask it all the same: everything that they ask is prepared.
#[test]
fn no_decision_compiles_what_it_asks() {
    let rules = "@id(\"late\") permit(U, Action::\"read\", X) :- can(U, X), context.hour >= 8.\n\
         @id(\"few\") permit(U, Action::\"read\", X) :- own(X, U), N = count { Y : can(U, Y) }, N < 9.\n\
         @id(\"some\") permit(U, Action::\"read\", X) :- sub(G, _), in_group(U, G), context.hour < 4, not denied(U, X).\n\
         @id(\"not\") forbid(U, Action::\"read\", X) :- denied(U, X), context.hour != 12.\n\
         seen(U, X) :- can(U, X), User(U), context.hour > 20.\n\
         @id(\"seen\") permit(U, Action::\"read\", X) :- seen(U, X).\n";
    let text = format!("{}{rules}", shared(true));
    let (program, all) = (build(&text, false).expect("a program"), build(&text, true).expect("a program"));
    let mut kinds = BTreeSet::new();
    for n in 0..200 {
        let entity = |kind: &str, id: String| rune_core::EntityRef::new(kind, id);
        let (who, what) = (entity("User", format!("u{}", n * 2)), entity("Object", format!("o{}", n * 11)));
        let request = rune_core::Request::new(who, entity("Action", "read".to_owned()), what);
        for request in [request.clone(), request.clone().with("hour", 3), request.clone().with("hour", 12)] {
            let why = program.terms().decide(&request);
            kinds.insert(why.kind());
            assert_eq!(why, all.terms().decide(&request));
        }
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    assert_eq!(program.terms().demand.n_later(), 0);
}

#[test]
fn questions_that_take_longer_than_was_planned_for_are_planned_again() {
    let text = "[rules]\n@live relation above(Document, Document).\n@live relation deny(User, Document).\n\
        below(D, E) :- above(D, E).\nbelow(D, F) :- below(D, E), above(E, F).\n\
        no(U, D) :- deny(U, D).\nno(U, D) :- below(D, E), deny(U, E).\n\
        @id(\"read\") permit(U, Action::\"read\", D) :- D is Document, U is User, not no(U, D).\n";
    let document = |n: u32| Node::from(EntityRef::new("Document", n.to_string()));
    let deny = |user: u32, n: u32| [EntityRef::new("User", user.to_string()).into(), document(n)];
    let tree =
        (1..4_000).fold(Batch::default(), |batch, n| batch.insert("above", [document(n), document((n - 1) / 3)]));
    let program = build(&format!("version = \"rune/1.0\"\n{text}"), false).expect("it is right");
    let engine = Engine::new(program);
    let some = (0..500).fold(tree, |batch, n| batch.insert("deny", deny(n, 3_000 + n)));
    engine.facts().apply(&some).expect("it fits");
    // Nobody was denied the root when questions were planned.
    engine.facts().apply(&Batch::default().insert("deny", deny(7, 0))).expect("it fits");
    let may = |user: u32, n: u32| {
        let [user, read] =
            [("User", user.to_string()), ("Action", "read".to_owned())].map(|(a, b)| EntityRef::new(a, b));
        engine.decide(&Request::new(user, read, EntityRef::new("Document", n.to_string()))).is_allowed()
    };
    let ask = || (0..1_100).map(|n| may(7, 2_000 + n)).filter(|is_allowed| *is_allowed).count();
    assert_eq!(ask(), 0);
    let n_long = engine.facts().n_long_questions();
    assert!(1_000 < n_long, "{n_long} questions took long");
    engine.facts().apply(&Batch::default().insert("deny", deny(8, 5))).expect("it fits");
    assert_eq!(engine.facts().n_long_questions(), 0);
    assert_eq!((ask(), may(9, 2_000)), (0, true));
    // What takes long in this plan too is not planned again as soon.
    let n_long = engine.facts().n_long_questions();
    engine.facts().apply(&Batch::default().insert("deny", deny(8, 6))).expect("it fits");
    assert_eq!(engine.facts().n_long_questions(), n_long);
    assert!(1_000 < n_long, "{n_long} questions took long");
}
