//! Demand against bulk evaluation: every question about every relation of random rules has the rows that are derived.
//!
//! `RUNE_WORLDS` says how many sets of rules there are, `RUNE_SEED` which seed is the first; `RUNE_SEED` alone replays that one.

#![expect(clippy::disallowed_methods, reason = "tests read the environment")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

use std::{collections::BTreeSet, fmt::Write as _};

use rune_core::{
    Options, Program, Sources,
    base::{Scratch, Value, Values as _},
    datalog::Session,
    facts::Tick,
};

/// About five seconds of an optimized build.
const WORLDS: u64 = 2_000;
/// Users, and the ids of the base relations' rows.
const NAMES: usize = 6;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A relation and how many columns it has.
type Named = (String, usize);

/// Base relations `e0…` and derived ones `p0…`, each over those before it and itself.
fn rules(random: &mut Random) -> String {
    let mut text = String::from("version = \"rune/1.0\"\n[entities]\n");
    for n in 0..NAMES {
        let above: Vec<String> =
            (n + 1..NAMES).filter(|_| random.chance(25)).map(|of| format!("'User::\"u{of}\"'")).collect();
        writeln!(text, "User.u{n} = {{ in = [{}] }}", above.join(", ")).expect("text");
    }
    text.push_str("[rules]\nrelation level(User, Long).\n");
    for _ in 0..NAMES {
        writeln!(text, "level(\"u{}\", {}).", random.below(NAMES), random.below(4)).expect("text");
    }
    let mut relations: Vec<(String, usize)> = Vec::new();
    for n in 0..3 {
        let arity = 1 + random.below(3);
        let columns = vec!["User"; arity].join(", ");
        writeln!(text, "relation e{n}({columns}).").expect("text");
        for _ in 0..2 + random.below(14) {
            let row: Vec<String> = (0..arity).map(|_| format!("\"u{}\"", random.below(NAMES))).collect();
            writeln!(text, "e{n}({}).", row.join(", ")).expect("text");
        }
        relations.push((format!("e{n}"), arity));
    }
    let derived: Vec<(String, usize)> =
        (0..1 + random.below(5)).map(|n| (format!("p{n}"), 1 + random.below(3))).collect();
    for (n, (_, arity)) in derived.iter().enumerate() {
        let arity = *arity;
        writeln!(text, "relation p{n}({}).", vec!["User"; arity].join(", ")).expect("text");
        if random.chance(30) {
            let row: Vec<String> = (0..arity).map(|_| format!("\"u{}\"", random.below(NAMES))).collect();
            writeln!(text, "p{n}({}).", row.join(", ")).expect("text");
        }
        for _ in 0..1 + random.below(3) {
            rule(random, &mut text, (&format!("p{n}"), arity), (&relations, &derived));
        }
        relations.push((format!("p{n}"), arity));
    }
    text
}

fn rule(random: &mut Random, text: &mut String, (name, arity): (&str, usize), (below, derived): (&[Named], &[Named])) {
    let mut bound: Vec<String> = Vec::new();
    let term = |random: &mut Random, bound: &mut Vec<String>, is_new_allowed: bool| match random.below(10) {
        0 => format!("User::\"u{}\"", random.below(NAMES)),
        1 if is_new_allowed => "_".to_owned(),
        2..=5 if !bound.is_empty() || !is_new_allowed => bound[random.below(bound.len())].clone(),
        _ if is_new_allowed => {
            bound.push(format!("V{}", bound.len()));
            bound[bound.len() - 1].clone()
        }
        _ => bound[random.below(bound.len())].clone(),
    };
    let mut body: Vec<String> = Vec::new();
    let n_literals = 1 + random.below(3);
    let recursive = random.chance(55).then(|| random.below(n_literals));
    for at in 0..n_literals {
        let (of, n) = match recursive {
            Some(recursive) if recursive == at => (name, arity),
            // Relations that derive one another, and more than one recursive condition.
            Some(_) if random.chance(20) => {
                let (of, n) = &derived[random.below(derived.len())];
                (of.as_str(), *n)
            }
            _ => {
                let (of, n) = &below[random.below(below.len())];
                (of.as_str(), *n)
            }
        };
        let args: Vec<String> = (0..n).map(|_| term(random, &mut bound, true)).collect();
        body.push(format!("{of}({})", args.join(", ")));
    }
    if bound.is_empty() {
        let (of, n) = &below[0];
        bound.push("V0".to_owned());
        body.push(format!("{of}({})", vec!["V0"; *n].join(", ")));
    }
    if random.chance(25) {
        let (of, n) = &below[random.below(below.len())];
        let args: Vec<String> = (0..*n).map(|_| term(random, &mut bound, false)).collect();
        body.push(format!("not {of}({})", args.join(", ")));
    }
    about_places(random, &mut body, &mut bound);
    let mut folded = None;
    if random.chance(20) {
        let (of, n) = &below[random.below(below.len())];
        let mut args: Vec<String> = (0..*n).map(|_| term(random, &mut bound.clone(), false)).collect();
        args[0] = "F0".to_owned();
        let longs = random.chance(30).then(|| format!("F1 : level({}, F1)", bound[random.below(bound.len())]));
        let fold = longs.unwrap_or_else(|| format!("F0 : {of}({})", args.join(", ")));
        let is_about_longs = fold.starts_with("F1");
        let name = if is_about_longs { ["min", "max", "count"][random.below(3)] } else { "count" };
        let test = ["N0 > 0", "N0 < 2", "N0 == 1", "N0 != 2"][random.below(4)];
        body.push(format!("N0 = {name} {{ {fold} }}, {test}"));
        folded = Some(());
    }
    if random.chance(20) && folded.is_none() {
        let (left, right) = (bound[random.below(bound.len())].clone(), term(random, &mut bound, false));
        body.push(format!("{left} {} {right}", if random.chance(70) { "!=" } else { "==" }));
    }
    let head: Vec<String> = (0..arity).map(|_| term(random, &mut bound, false)).collect();
    let mut written = format!("{name}({}) :- {}.", head.join(", "), body.join(", "));
    // A variable that stands in one place only is a slip, and refused.
    for variable in bound {
        if written.matches(&variable).count() == 1 {
            written = written.replace(&variable, "_");
        }
    }
    writeln!(text, "{written}").expect("text");
}

/// Who is in what, and integers that are compared.
fn about_places(random: &mut Random, body: &mut Vec<String>, bound: &mut Vec<String>) {
    if random.chance(25) {
        let low = bound[random.below(bound.len())].clone();
        let high = match random.below(3) {
            0 => "_".to_owned(),
            1 => bound[random.below(bound.len())].clone(),
            _ => {
                bound.push(format!("V{}", bound.len()));
                bound[bound.len() - 1].clone()
            }
        };
        let (low, high) = if random.chance(50) && high != "_" { (low, high) } else { (high, low) };
        body.push(format!("{low} in {high}"));
    }
    if random.chance(15) {
        let (low, high) = (bound[random.below(bound.len())].clone(), bound[random.below(bound.len())].clone());
        body.push(format!("not ({low} in {high})"));
    }
    if random.chance(20) {
        let of = bound[random.below(bound.len())].clone();
        let tests = ["1 < L0", "L0 >= 2", "L0 == 1 || L0 > 2", "!(L0 < 2)", "L0 != 3 && L0 <= 2"];
        body.push(format!("level({of}, L0), {}", tests[random.below(tests.len())]));
    }
}

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
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, n_asked) = (number("RUNE_SEED"), number("RUNE_WORLDS"));
    let n_worlds = n_asked.unwrap_or(if first.is_some() { 1 } else { WORLDS });
    let first = first.unwrap_or(0);
    let mut tally = Tally::default();
    for seed in first..first + n_worlds {
        let mut random = Random(seed);
        let text = rules(&mut random);
        if let Err(difference) = compare(&text, &mut random, &mut tally) {
            panic!("seed {seed} (replay it with RUNE_SEED={seed}): {difference}\nof {text}");
        }
    }
    println!("demand: {tally:?}");
    if WORLDS <= n_worlds {
        for (what, n, n_min) in [("relations", tally.relations, tally.derived * 9 / 10), ("rows", tally.rows, 50_000)] {
            assert!(n_min <= n, "fewer than {n_min} {what}: {tally:?}");
        }
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
