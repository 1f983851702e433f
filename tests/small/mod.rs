//! Small worlds: facts of two relations, a few rules, and all that follows, found by a plain fixpoint.

use std::collections::BTreeSet;

use rune_core::{Engine, Options, Program, Sources};

pub const CONSTANTS: [&str; 4] = ["a", "b", "c", "d"];

pub type Row = (&'static str, &'static str, &'static str);

/// Rows of two relations and a few rules; heads and bodies are pairs of a relation and of two variables.
#[derive(Debug)]
pub struct World {
    pub given: Vec<Row>,
    /// The rows of a relation that rules deny, of one column.
    pub denied: Vec<&'static str>,
    pub rules: Vec<Rule>,
}

/// A rule, and the variable that it denies `n` of.
#[derive(Debug, Clone)]
pub struct Rule {
    head: Atom,
    body: Vec<Atom>,
    denies: Option<char>,
}

pub type Atom = (&'static str, char, char);
/// The values of variables.
type Env = Vec<(char, &'static str)>;

pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a small number") % sides
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// With `is_closed`, each variable of a body stands in the head.
pub fn world(seed: u64, is_closed: bool) -> World {
    let mut dice = Dice(seed);
    let mut given: Vec<Row> =
        (0..3 + dice.roll(5)).map(|_| (dice.one(&["e", "f"]), dice.one(&CONSTANTS), dice.one(&CONSTANTS))).collect();
    given.sort_unstable();
    given.dedup();
    let rule = |head, body, denies| Rule { head: (head, 'X', 'Y'), body, denies };
    let mut rules = vec![rule("p", vec![("e", 'X', 'Y')], None), rule("q", vec![("f", 'X', 'Y')], None)];
    for _ in 0..2 + dice.roll(3) {
        let head = dice.one(&["p", "q"]);
        let relations = ["e", "f", "p", "q"];
        let body = match if is_closed { 4 + dice.roll(3) } else { dice.roll(4) } {
            4 => vec![(dice.one(&relations), 'X', 'Y'), (dice.one(&relations), 'Y', 'X')],
            5 => vec![(dice.one(&relations), 'X', 'X'), (dice.one(&relations), 'Y', 'Y')],
            6 => vec![(dice.one(&relations), 'Y', 'X')],
            0 => vec![(dice.one(&relations), 'Y', 'X')],
            1 => vec![(dice.one(&relations), 'X', 'Y'), (dice.one(&relations), 'Y', '_')],
            2 => vec![(dice.one(&relations), 'X', 'Z'), (dice.one(&relations), 'Z', 'Y')],
            _ => vec![
                (dice.one(&relations), 'X', 'Y'),
                (dice.one(&relations), 'X', 'Z'),
                (dice.one(&relations), 'Z', 'Z'),
            ],
        };
        let denies = if dice.roll(4) == 0 { Some(dice.one(&['X', 'Y'])) } else { None };
        rules.push(rule(head, body, denies));
    }
    let denied = CONSTANTS.into_iter().filter(|_| dice.roll(4) == 0).collect();
    World { given, denied, rules }
}

impl World {
    pub fn text(&self) -> String {
        let mut lines = vec![
            "version = \"rune/1.0\"\n[rules]\nrelation e(String, String).\nrelation f(String, String).\nrelation n(String).".to_owned(),
        ];
        lines.extend(self.given.iter().map(|(name, x, y)| format!("{name}({x}, {y}).")));
        let atom = |(name, x, y): &Atom| format!("{name}({x}, {y})");
        lines.extend(self.denied.iter().map(|x| format!("n({x}).")));
        for Rule { head, body, denies } in &self.rules {
            let denies = denies.map(|variable| format!("not n({variable})"));
            let body: Vec<String> = body.iter().map(atom).chain(denies).collect();
            lines.push(format!("{} :- {}.", atom(head), body.join(", ")));
        }
        lines.join("\n")
    }

    /// All that follows in one step.
    pub fn step(&self, rows: &BTreeSet<Row>) -> BTreeSet<Row> {
        let mut found = BTreeSet::new();
        for Rule { head, body, denies } in &self.rules {
            self.join(body, rows, &mut Vec::new(), &mut |env| {
                let of = |name: char| env.iter().find(|(known, _)| *known == name).expect("a bound variable").1;
                if denies.is_none_or(|name| !self.denied.contains(&of(name))) {
                    found.insert((head.0, of(head.1), of(head.2)));
                }
            });
        }
        found
    }

    fn join(&self, body: &[Atom], rows: &BTreeSet<Row>, env: &mut Env, found: &mut dyn FnMut(&Env)) {
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

    pub fn closure(&self, of: &BTreeSet<Row>) -> BTreeSet<Row> {
        let mut rows = of.clone();
        loop {
            let more = self.step(&rows);
            if more.is_subset(&rows) {
                return rows;
            }
            rows.extend(more);
        }
    }
}

pub fn engine(text: &str) -> Engine {
    let program = Program::build(Sources::single("a.rune", text), Options::default());
    Engine::new(program.unwrap_or_else(|error| panic!("{error}\n{text}")))
}
