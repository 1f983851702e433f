//! Smallest proofs, and the same by brute force: of every set of given facts, the smallest from which a row follows, and of every
//! set of derived facts, the smallest that leads there.
//!
//! `RUNE_WORLDS` says how many worlds there are, `RUNE_SEED` which seed is the first; `RUNE_SEED` alone replays that one.

#![expect(clippy::disallowed_methods, reason = "tests read the environment")]

use std::collections::BTreeSet;

use rune_core::{
    Engine, EntityRef, ExplainOptions, Options, Program, Proof, Request, Sources,
    explain::{Because, Fact},
};

/// About a second of an optimized build.
const WORLDS: u64 = 400;
const CONSTANTS: [&str; 4] = ["a", "b", "c", "d"];

type Row = (&'static str, &'static str, &'static str);

/// Rows of two relations and a few rules; heads and bodies are pairs of a relation and of two variables.
#[derive(Debug)]
struct World {
    given: Vec<Row>,
    rules: Vec<(Atom, Vec<Atom>)>,
}

type Atom = (&'static str, char, char);
/// The values of variables.
type Env = Vec<(char, &'static str)>;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a small number") % sides
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

fn world(seed: u64) -> World {
    let mut dice = Dice(seed);
    let mut given: Vec<Row> =
        (0..3 + dice.roll(5)).map(|_| (dice.one(&["e", "f"]), dice.one(&CONSTANTS), dice.one(&CONSTANTS))).collect();
    given.sort_unstable();
    given.dedup();
    let mut rules = vec![(("p", 'X', 'Y'), vec![("e", 'X', 'Y')]), (("q", 'X', 'Y'), vec![("f", 'X', 'Y')])];
    for _ in 0..2 + dice.roll(3) {
        let head = dice.one(&["p", "q"]);
        let relations = ["e", "f", "p", "q"];
        let body = match dice.roll(4) {
            0 => vec![(dice.one(&relations), 'Y', 'X')],
            1 => vec![(dice.one(&relations), 'X', 'Y'), (dice.one(&relations), 'Y', '_')],
            2 => vec![(dice.one(&relations), 'X', 'Z'), (dice.one(&relations), 'Z', 'Y')],
            _ => vec![
                (dice.one(&relations), 'X', 'Y'),
                (dice.one(&relations), 'X', 'Z'),
                (dice.one(&relations), 'Z', 'Z'),
            ],
        };
        rules.push(((head, 'X', 'Y'), body));
    }
    World { given, rules }
}

impl World {
    fn text(&self) -> String {
        let mut lines = vec![
            "version = \"rune/1.0\"\n[rules]\nrelation e(String, String).\nrelation f(String, String).".to_owned(),
        ];
        lines.extend(self.given.iter().map(|(name, x, y)| format!("{name}({x}, {y}).")));
        let atom = |(name, x, y): &Atom| format!("{name}({x}, {y})");
        for (head, body) in &self.rules {
            lines.push(format!("{} :- {}.", atom(head), body.iter().map(atom).collect::<Vec<_>>().join(", ")));
        }
        lines.join("\n")
    }

    /// All that follows in one step.
    fn step(&self, rows: &BTreeSet<Row>) -> BTreeSet<Row> {
        let mut found = BTreeSet::new();
        for (head, body) in &self.rules {
            self.join(body, rows, &mut Vec::new(), &mut |env| {
                let of = |name: char| env.iter().find(|(known, _)| *known == name).expect("a bound variable").1;
                found.insert((head.0, of(head.1), of(head.2)));
            });
        }
        found
    }

    fn join(
        &self,
        body: &[Atom],
        rows: &BTreeSet<Row>,
        env: &mut Env,
        found: &mut dyn FnMut(&Env),
    ) {
        let Some(((name, x, y), rest)) = body.split_first() else { return found(env) };
        for row in rows.iter().filter(|row| row.0 == *name) {
            let n = env.len();
            let agrees = [(*x, row.1), (*y, row.2)].into_iter().all(|(variable, value)| {
                match env.iter().find(|(known, _)| *known == variable && variable != '_') {
                    Some((_, known)) => *known == value,
                    None => {
                        env.push((variable, value));
                        true
                    }
                }
            });
            if agrees {
                self.join(rest, rows, env, found);
            }
            env.truncate(n);
        }
    }

    fn closure(&self, of: &BTreeSet<Row>) -> BTreeSet<Row> {
        let mut rows = of.clone();
        loop {
            let more = self.step(&rows);
            if more.is_subset(&rows) {
                return rows;
            }
            rows.extend(more);
        }
    }

    /// The fewest given facts from which a row follows, and the fewest derived ones on the way.
    fn by_force(&self, goal: Row) -> (usize, usize) {
        let sets = |all: &[Row]| -> Vec<BTreeSet<Row>> {
            let mut sets: Vec<BTreeSet<Row>> = (0..1_u32 << all.len())
                .map(|bits| all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, row)| *row).collect())
                .collect();
            sets.sort_by_key(BTreeSet::len);
            sets
        };
        let enough: Vec<BTreeSet<Row>> =
            sets(&self.given).into_iter().filter(|set| self.closure(set).contains(&goal)).collect();
        let n_given = enough[0].len();
        let n_derived = enough.iter().take_while(|set| set.len() == n_given).map(|set| {
            let derived: Vec<Row> = self.closure(set).difference(set).copied().collect();
            assert!(derived.len() <= 20, "too many to try");
            let leads_there = |way: &&BTreeSet<Row>| way.contains(&goal) && self.follows(set, way);
            sets(&derived).iter().find(leads_there).expect("all of them").len()
        });
        (n_given, n_derived.min().expect("one"))
    }

    /// Whether all of some rows follow from others and from one another.
    fn follows(&self, from: &BTreeSet<Row>, way: &BTreeSet<Row>) -> bool {
        let mut rows = from.clone();
        loop {
            let more: BTreeSet<Row> = self.step(&rows).intersection(way).copied().collect();
            if more.is_subset(&rows) {
                return way.is_subset(&rows);
            }
            rows.extend(more);
        }
    }
}

fn engine(text: &str) -> Engine {
    let program = Program::build(Sources::single("a.rune", text), Options::default());
    Engine::new(program.unwrap_or_else(|error| panic!("{error}\n{text}")))
}

fn smallest(engine: &Engine, query: &str) -> Proof {
    let proof = engine.prove_with(query, None, ExplainOptions::default().minimal());
    proof.unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn is_derived(fact: &Fact) -> bool {
    matches!(fact.because, Because::Rule(_) | Because::Parents { .. })
}

#[test]
fn no_proof_of_random_rules_is_smaller() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, n_asked) = (number("RUNE_SEED"), number("RUNE_WORLDS"));
    let n_worlds = n_asked.unwrap_or(if first.is_some() { 1 } else { WORLDS });
    let first = first.unwrap_or(0);
    let (mut n_proofs, mut n_smaller, mut n_skipped) = (0, 0, 0);
    for seed in first..first + n_worlds {
        let world = world(seed);
        let all = world.closure(&world.given.iter().copied().collect());
        if 17 < all.len() - world.given.len() {
            n_skipped += 1;
            continue;
        }
        let engine = engine(&world.text());
        for row in all.iter().filter(|row| ["p", "q"].contains(&row.0)) {
            let query = format!("{}(\"{}\", \"{}\")", row.0, row.1, row.2);
            let proof = smallest(&engine, &query);
            let minimal = proof.minimal.expect("a proof");
            let told = format!("seed {seed}: {query}\n{}\n{proof}", world.text());
            assert!(proof.holds && !proof.is_incomplete && minimal.is_proven, "{told}");
            assert_eq!((minimal.given, minimal.derived), world.by_force(*row), "{told}");
            assert_eq!(proof.facts.iter().filter(|fact| is_derived(fact)).count(), minimal.derived, "{told}");
            for (at, fact) in proof.facts.iter().enumerate() {
                assert!(fact.because.facts().iter().all(|of| *of < at), "{told}");
            }
            n_proofs += 1;
            let first = engine.prove(&query, None).expect("a proof");
            n_smaller += usize::from(proof.facts.len() < first.facts.len());
        }
    }
    println!(
        "{n_proofs} smallest proofs, {n_smaller} of them smaller than the first; {n_skipped} worlds are too large"
    );
    if first == 0 && WORLDS <= n_worlds {
        assert!(800 < n_proofs && 40 < n_smaller && 2 * n_skipped < n_worlds, "{n_proofs}, {n_smaller}, {n_skipped}");
    }
}

fn ask(engine: &Engine) -> String {
    let [user, read, plan] =
        [("User", "ada"), ("Action", "read"), ("Document", "plan")].map(|(kind, id)| EntityRef::new(kind, id));
    engine.explain_with(&Request::new(user, read, plan), ExplainOptions::default().minimal()).to_string()
}

#[test]
fn of_several_permits_the_one_with_the_smallest_proof_is_shown() {
    let text = r#"version = "rune/1.0"
[data]
viewer = [["ada", "plan"]]
editor = [["ada", "plan"]]
trusted = ["ada"]
[entities]
User.ada = { in = ['Group::"a"', 'Group::"b"'] }
Group.a = { in = ['Group::"c"'] }
Group.c = { in = ['Group::"top"'] }
Group.b = { in = ['Group::"top"'] }
Document.plan = { owner = 'User::"ada"' }
[rules]
relation viewer(User, Document).
relation editor(User, Document).
relation trusted(User).
@attribute relation can_read(User, Document).
can_read(U, D) :- viewer(U, D), trusted(U).
can_read(U, D) :- editor(U, D).
@id("high") permit(U, _, D) :- editor(U, D), U in Group::"top".
[policies]
@id("readers")
permit (principal, action, resource) when { principal.can_read.contains(resource) };
"#;
    let expected = r#"allow
├─ permit readers (a.rune:21:1)
│  └─ ✓ principal.can_read.contains(resource)
│     └─ can_read(User::"ada", Document::"plan"), by a.rune:rule1 (a.rune:18:1)
│        └─ ✓ editor(U, D)
│           └─ editor(User::"ada", Document::"plan") (a.rune:4:11)
├─ also permit high (a.rune:19:1)
└─ note: 1 given fact, 1 derived: no proof is smaller
"#;
    let engine = engine(text);
    assert_eq!(ask(&engine), expected);
    // The shorter way up.
    let proof = smallest(&engine, "User::\"ada\" in Group::\"top\"");
    let minimal = proof.minimal.expect("a proof");
    assert_eq!((minimal.given, minimal.derived, minimal.is_proven), (2, 1, true), "{proof}");
}

#[test]
fn what_takes_too_many_steps_is_a_proof_that_is_not_said_to_be_the_smallest() {
    // Which of many sets cover all: the textbook's hard problem.
    let mut dice = Dice(7);
    let member: Vec<String> =
        (0..60).flat_map(|x| (0..4).map(move |_| x)).map(|x| format!("member(x{x}, s{}).", dice.roll(40))).collect();
    let sets: Vec<String> = (0..40).map(|s| format!("set(s{s}).")).collect();
    let needs: Vec<String> = (0..60).map(|x| format!("covered(\"x{x}\")")).collect();
    let text = format!(
        "version = \"rune/1.0\"\n[rules]\nrelation member(String, String).\nrelation set(String).\n{}\n{}\n\
         covered(X) :- member(X, S), set(S).\nall() :- {}.\n",
        member.join("\n"),
        sets.join("\n"),
        needs.join(", ")
    );
    let proof = smallest(&engine(&text), "all()");
    let minimal = proof.minimal.expect("a proof");
    assert!(proof.holds && !proof.is_incomplete && !minimal.is_proven, "{minimal:?}");
    assert_eq!(minimal.derived, 61);
    assert!((60..100).contains(&minimal.given), "{minimal:?}");
    assert!(proof.to_string().ends_with("the smallest proof that was found, and a smaller one is not ruled out\n"));
}
