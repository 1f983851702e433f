//! Maintenance against derivation: after each of many changes, what is kept is what follows.
//!
//! ```text
//!              ┌─▶ maintained: what changed alone ─▶ rows ─┐
//!   given rows ┤                                           ├─▶ equal, or a panic with the seed
//!              └─▶ derived anew, all of them      ─▶ rows ─┘
//! ```
//!
//! `RUNE_STEPS` says how many changes there are, `RUNE_SEED` which seed is the first; `RUNE_SEED` alone replays that one.

#![expect(clippy::disallowed_methods, reason = "tests read the environment")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod seeds;
mod random_rules;

use std::collections::{BTreeMap, BTreeSet};

use rune_core::{
    Options, Program, Sources, Span, Threads,
    base::{Scratch, Value, Values as _},
    check::rules::{Names, PredicateId},
    datalog::{Bounds, Changes, DatalogEngine, MaintainError, Maintained, derive_ahead, give},
    facts::{Facts, Relation},
};

use random_rules::{NAMES, Random, rules};

/// About five seconds of an optimized build.
const STEPS: u64 = 20_000;
/// Changes of one set of rules.
const STEPS_PER_WORLD: u64 = 20;

const BOUNDS: Bounds = Bounds { steps_max: 10_000_000, rows_max: 1_000_000, threads: Threads::ONE };

/// Relations that rows are given of.
const GIVEN: [&str; 9] = ["e0", "e1", "e2", "level", "p0", "p1", "p2", "p3", "p4"];

type Rows = BTreeSet<Vec<Value>>;

/// Rules with the rows that are given at a time.
struct World<'p> {
    engine: &'p DatalogEngine,
    facts: &'p Facts,
    given: BTreeMap<PredicateId, Rows>,
}

impl<'p> World<'p> {
    fn of(program: &'p Program, names: &[&str]) -> Self {
        let (engine, facts) = (program.rules(), program.facts().facts());
        let id = |name: &&str| engine.relation(name);
        let relations = names.iter().filter_map(id).chain([Names::PARENT]);
        let rows = |id: PredicateId| {
            let relation = facts.relations.get(id).expect("it is there");
            relation.rows.rows().take(relation.places.len() as usize).map(<[Value]>::to_vec).collect()
        };
        Self { engine, facts, given: relations.map(|id| (id, rows(id))).collect() }
    }

    /// The rows that are given, and all that follows.
    fn derived(&self, values: &mut Scratch) -> Facts {
        let mut facts = self.facts.given_alone(|id| self.engine.arity(id));
        let arity = |id| self.engine.arity(id);
        for id in self.given.keys().chain([&Names::IN]) {
            *facts.relations.get_mut(*id).expect("it is there") = Relation::new(arity(*id));
        }
        self.engine.prepare(&mut facts);
        facts.relations.has_parent_rows = true;
        for (id, rows) in &self.given {
            for row in rows {
                give(&mut facts, *id, row, Span::NOWHERE);
            }
        }
        derive_ahead(self.engine, &mut facts, values, true, BOUNDS).expect("within bounds");
        facts
    }

    fn heads(&self) -> BTreeSet<PredicateId> {
        self.engine.rules.iter().map(|rule| rule.head).collect()
    }

    fn maintained(&self, values: &mut Scratch, bounds: Bounds) -> Result<Maintained, MaintainError> {
        Maintained::of((self.engine, &self.derived(values)), values, (&self.heads(), &BTreeSet::new()), bounds)
    }

    /// Changes rows that are given, and notes what really changes.
    fn toggle(&mut self, id: PredicateId, row: Vec<Value>, changes: &mut Changes) {
        let rows = self.given.get_mut(&id).expect("it is given");
        if rows.remove(&row) {
            changes.delete(id, &row);
        } else {
            changes.insert(id, &row);
            rows.insert(row);
        }
    }

    /// Some rows more, and some less.
    fn change(&mut self, random: &mut Random, names: &[Value], values: &mut Scratch) -> Changes {
        let ids: Vec<PredicateId> = self.given.keys().copied().collect();
        let mut changes = Changes::default();
        let mut touched = BTreeSet::new();
        let n = if random.chance(10) { 12 } else { 1 + random.below(3) };
        for _ in 0..n {
            let id = ids[random.below(ids.len())];
            let rows = &self.given[&id];
            let row: Vec<Value> = if random.chance(50) && !rows.is_empty() {
                rows.iter().nth(random.below(rows.len())).expect("it is there").clone()
            } else if id == Names::PARENT {
                // Nobody is above himself.
                let low = random.below(NAMES);
                vec![names[low], names[low + 1 + random.below(NAMES - low)]]
            } else if Some(id) == self.engine.relation("level") {
                vec![names[random.below(NAMES)], values.long(i64::try_from(random.below(4)).expect("small"))]
            } else {
                (0..self.engine.arity(id)).map(|_| names[random.below(NAMES)]).collect()
            };
            let may = id == Names::PARENT || self.engine.name(id).starts_with(['e', 'l']) || random.chance(30);
            if may && touched.insert((id, row.clone())) {
                self.toggle(id, row, &mut changes);
            }
        }
        changes
    }

    /// Follows a change, and compares.
    fn step(
        &self,
        maintained: &mut Maintained,
        changes: &Changes,
        values: &mut Scratch,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let ids: Vec<PredicateId> = maintained.relations().collect();
        let kept = |maintained: &Maintained, id| maintained.rows(id).map(<[Value]>::to_vec).collect::<Vec<_>>();
        let before: Vec<Rows> = ids.iter().map(|id| kept(maintained, *id).into_iter().collect()).collect();
        let told = maintained.apply(changes, values, BOUNDS).map_err(|error| error.to_string())?;
        let derived = self.derived(values);
        for (id, mut rows) in ids.iter().zip(before) {
            let name = self.engine.name(*id);
            let expected = &derived.relations.get(*id).expect("it is there").rows;
            let expected: Rows = expected.rows().map(<[Value]>::to_vec).collect();
            let show = |rows: &Rows| {
                let show = |row: &Vec<Value>| row.iter().map(|of| values.show_briefly(*of)).collect::<Vec<_>>();
                rows.iter().map(show).collect::<Vec<_>>()
            };
            let after = kept(maintained, *id);
            let n = after.len();
            let after: Rows = after.into_iter().collect();
            if after != expected || after.len() != n {
                return Err(format!("{name} has {:?}\nand not {:?}", show(&after), show(&expected)));
            }
            if let Some(change) = told.of(*id) {
                let is_net = change.deleted.iter().all(|row| rows.remove(row))
                    && change.inserted.iter().all(|row| rows.insert(row.to_vec()));
                tally.n_changed += change.deleted.len() + change.inserted.len();
                if !is_net {
                    return Err(format!("{name} is told {change:?}"));
                }
            }
            if rows != after {
                return Err(format!("{name} is told other changes than it had"));
            }
            tally.n_rows += n;
        }
        match maintained.unsound(values) {
            Some((of, row)) => Err(format!("{of}: {row:?} has no proof")),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    n_refused: usize,
    n_worlds: usize,
    n_relations: usize,
    n_maintained: usize,
    n_steps: u64,
    n_rows: usize,
    n_changed: usize,
}

fn compare(text: &str, random: &mut Random, n_steps: u64, tally: &mut Tally) -> Result<(), String> {
    let options = Options { derive_all: true, ..Options::default() };
    let Ok(program) = Program::build(Sources::single("a.rune", text), options) else {
        tally.n_refused += 1;
        return Ok(());
    };
    let mut world = World::of(&program, &GIVEN);
    let mut values = Scratch::new(program.facts().values());
    let names: Vec<Value> = (0..=NAMES).map(|n| values.entity("User", &format!("u{n}"))).collect();
    let mut maintained = world.maintained(&mut values, BOUNDS).map_err(|error| error.to_string())?;
    if random.chance(50) {
        maintained.be_patient();
    }
    let heads = world.heads();
    tally.n_worlds += 1;
    tally.n_relations += heads.len();
    tally.n_maintained += maintained.relations().filter(|id| heads.contains(id)).count();
    world.step(&mut maintained, &Changes::default(), &mut values, tally)?;
    for step in 0..n_steps {
        let changes = world.change(random, &names, &mut values);
        let done = world.step(&mut maintained, &changes, &mut values, tally);
        done.map_err(|difference| format!("step {step}: {difference}"))?;
        tally.n_steps += 1;
    }
    Ok(())
}

/// A text without some of its rules.
fn without_some(text: &str, random: &mut Random) -> String {
    let kept = |line: &&str| !(line.contains(":-") && random.chance(30));
    text.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

/// Rows change under some rules, and then under others; says whether both sets of rules are accepted.
fn change_rules(text: &str, random: &mut Random, tally: &mut Tally) -> Result<bool, String> {
    let options = Options { derive_all: true, ..Options::default() };
    let texts = [without_some(text, random), without_some(text, random)];
    let [one, other] = texts.each_ref().map(|text| Sources::single("a.rune", text));
    let Ok(one) = Program::build(one, options) else { return Ok(false) };
    let Ok(other) = one.build_next(other, options) else { return Ok(false) };
    let mut values = Scratch::new(other.facts().values());
    let names: Vec<Value> = (0..=NAMES).map(|n| values.entity("User", &format!("u{n}"))).collect();
    let mut world = World::of(&one, &GIVEN);
    let mut maintained = world.maintained(&mut values, BOUNDS).map_err(|error| error.to_string())?;
    let mut next = World::of(&other, &GIVEN);
    for _ in 0..3 {
        let changes = world.change(random, &names, &mut values);
        world.step(&mut maintained, &changes, &mut values, tally)?;
    }
    for (id, rows) in &mut next.given {
        let known = world.engine.relation(&next.engine.name(*id)).unwrap_or(*id);
        rows.clone_from(&world.given[&known]);
    }
    let rows = |maintained: &Maintained, id: PredicateId| maintained.rows(id).map(<[Value]>::to_vec).collect::<Rows>();
    let before: BTreeMap<_, Rows> =
        maintained.relations().map(|id| (world.engine.name(id), rows(&maintained, id))).collect();
    // Rows come and go with the rules.
    let changes = if random.chance(50) { next.change(random, &names, &mut values) } else { Changes::default() };
    let store = next.derived(&mut values);
    let (mut maintained, told) = maintained
        .under((next.engine, &store), &mut values, (&next.heads(), &BTreeSet::new()), &changes, BOUNDS)
        .map_err(|error| error.to_string())?;
    for id in maintained.relations().collect::<Vec<_>>() {
        let name = next.engine.name(id);
        let mut known = before.get(&name).cloned().unwrap_or_default();
        if let Some(change) = told.of(id) {
            let is_net = change.deleted.iter().all(|row| known.remove(row))
                && change.inserted.iter().all(|row| known.insert(row.to_vec()));
            assert!(is_net, "{name} is told {change:?}");
        }
        if known != rows(&maintained, id) {
            return Err(format!("{name} is told other changes than it had, under\n{}\nand\n{}", texts[0], texts[1]));
        }
    }
    next.step(&mut maintained, &Changes::default(), &mut values, tally)
        .map_err(|difference| format!("{difference}\nunder\n{}\nand\n{}", texts[0], texts[1]))?;
    for _ in 0..3 {
        let changes = next.change(random, &names, &mut values);
        next.step(&mut maintained, &changes, &mut values, tally)?;
    }
    Ok(true)
}

#[test]
fn what_follows_by_other_rules_is_kept_too() {
    let (mut n, mut tally) = (0, Tally::default());
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let text = rules(&mut random, true);
        match change_rules(&text, &mut random, &mut tally) {
            Ok(is_done) => n += usize::from(is_done),
            Err(difference) => panic!("seed {seed}: {difference}"),
        }
    }
    println!("other rules: {n}");
    assert!(1_000 < n, "only {n} sets of rules");
}

/// Rules with their base relations, of users in two columns each.
fn check_rules(text: &str, seed: u64) {
    let text = format!("version = \"rune/1.0\"\n[rules]\n{text}");
    let (mut random, mut tally) = (Random(seed), Tally::default());
    if let Err(difference) = compare(&text, &mut random, 60, &mut tally) {
        panic!("seed {seed}: {difference}\nof {text}");
    }
    assert!(tally.n_refused == 0 && tally.n_relations == tally.n_maintained, "{tally:?} of {text}");
}

const E: &str = "relation e0(User, User).\nrelation e1(User, User).\nrelation e2(User).\n";

#[test]
fn closures_of_all_forms_are_kept() {
    for seed in 0..20 {
        check_rules(&format!("{E}p0(X, Y) :- e0(X, Y).\np0(X, Z) :- p0(X, Y), p0(Y, Z)."), seed);
        check_rules(&format!("{E}p0(X, Y) :- e0(X, Y).\np0(X, Z) :- p0(X, Y), e0(Y, Z)."), seed);
        check_rules(&format!("{E}p0(X, Y) :- e0(X, Y).\np0(X, Z) :- p0(X, Y), p0(Y, Z), not e1(X, Z)."), seed);
        let mutual = "p0(X, Y) :- e0(X, Y).\np0(X, Z) :- p1(X, Y), e0(Y, Z).\np1(X, Z) :- p0(X, Y), e1(Y, Z).";
        check_rules(&format!("{E}{mutual}"), seed);
        check_rules(&format!("{E}p0(X, X) :- e2(X).\np0(X, W) :- e0(X, Y), p0(Y, Z), e1(Z, W)."), seed);
    }
}

#[test]
fn who_is_in_what_is_kept_where_rules_say_it() {
    for seed in 0..20 {
        let rules = "parent(X, Y) :- e0(X, Y), e2(X).\np0(X, Y) :- e1(X, Y), X in Y.\np1(X) :- e1(X, Y), not X in Y.";
        let acyclic = "relation f(User, User).\nf(\"u0\", \"u1\").\nparent(X, Y) :- f(X, Y), e2(X).\n\
            p0(X, Y) :- e1(X, Z), Z in Y, e0(Y, X).\np1(X) :- e1(X, Y), not X in Y.\n\
            p2(X, N) :- e2(X), N = count { Y : e2(Y), Y in X }.";
        check_rules(&format!("{E}{rules}"), seed);
        check_rules(&format!("{E}{acyclic}"), seed);
    }
}

#[test]
fn a_change_that_takes_too_much_leaves_nothing_to_be_read() {
    let text = format!("version = \"rune/1.0\"\n[rules]\n{E}p0(X, Y) :- e0(X, Y).\np0(X, Z) :- p0(X, Y), e0(Y, Z).");
    let program = Program::build(Sources::single("a.rune", &text), Options::default()).expect("a program");
    let world = World::of(&program, &["e0"]);
    let mut values = Scratch::new(program.facts().values());
    let mut maintained = world.maintained(&mut values, BOUNDS).expect("within bounds");
    let mut changes = Changes::default();
    for n in 0..30 {
        let pair = [n, n + 1].map(|n| values.entity("User", &format!("u{n}")));
        changes.insert(world.engine.relation("e0").expect("it is there"), &pair);
    }
    let steps = maintained.apply(&changes, &mut values, Bounds { steps_max: 100, ..BOUNDS });
    assert!(matches!(steps, Err(MaintainError::Bound(_))), "{steps:?}");
    assert_eq!(maintained.apply(&changes, &mut values, BOUNDS), Err(MaintainError::Broken));
    let mut maintained = world.maintained(&mut values, BOUNDS).expect("within bounds");
    let rows = maintained.apply(&changes, &mut values, Bounds { rows_max: 464, ..BOUNDS });
    assert!(matches!(rows, Err(MaintainError::Bound(_))), "{rows:?}");
    let mut maintained = world.maintained(&mut values, BOUNDS).expect("within bounds");
    let told = maintained.apply(&changes, &mut values, Bounds { rows_max: 465, ..BOUNDS }).expect("within bounds");
    assert_eq!(told.of(world.engine.relation("p0").expect("it is there")).map(|of| of.inserted.len()), Some(465));
}

#[test]
fn what_is_kept_is_what_follows() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (seed, n_asked) = (number("RUNE_SEED"), number("RUNE_STEPS"));
    let n_steps = n_asked.unwrap_or(if seed.is_some() { STEPS_PER_WORLD } else { STEPS });
    let first = seed.unwrap_or(0);
    let mut tally = Tally::default();
    for seed in first..first + n_steps.div_ceil(STEPS_PER_WORLD) {
        let mut random = Random(seed);
        let text = rules(&mut random, true);
        if let Err(difference) = compare(&text, &mut random, STEPS_PER_WORLD, &mut tally) {
            panic!("seed {seed} (replay it with RUNE_SEED={seed}): {difference}\nof {text}");
        }
    }
    println!("maintain: {tally:?}");
    if STEPS <= n_steps {
        assert!(tally.n_relations * 9 / 10 <= tally.n_maintained, "{tally:?}");
        assert!(tally.n_steps < 3 * tally.n_changed as u64, "{tally:?}");
    }
}
