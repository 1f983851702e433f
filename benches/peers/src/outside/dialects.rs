//! The rules of a benchmark, read from its ruleset and written in other dialects.
//!
//! This reads what the rulesets of this package use, and no more: one rule a line; atoms, `not`, `!=`, variables, numbers and `_`.

use std::{collections::BTreeMap, fs, path::Path};

/// A variable, a number or `_`, as RUNE writes it.
pub type Term = String;

#[derive(Clone)]
pub struct Atom {
    pub name: String,
    pub terms: Vec<Term>,
}

pub enum Literal {
    Atom(Atom),
    Not(Atom),
    Differ(Term, Term),
}

pub struct Rule {
    pub head: Atom,
    pub body: Vec<Literal>,
}

/// How a dialect writes terms and conditions.
pub struct Dialect {
    pub variable: fn(&str) -> String,
    pub not: &'static str,
    pub differ: &'static str,
}

pub struct Rules {
    pub program: String,
    pub rules: Vec<Rule>,
    pub n_columns: BTreeMap<String, usize>,
    pub given: Vec<String>,
    pub derived: Vec<String>,
}

impl Rules {
    /// The rules of a ruleset in a folder.
    pub fn read(program: &str, dir: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(dir.join(name)).expect("the folder has a ruleset");
        let (given, rules) = (read("given.rune"), read("rules.rune"));
        let mut n_columns = BTreeMap::new();
        let mut declared = |text: &str| {
            let lines = text.lines().filter_map(|line| line.split_once("relation "));
            let atoms: Vec<_> = lines.map(|(_, relation)| atom(relation)).collect();
            n_columns.extend(atoms.iter().map(|atom| (atom.name.clone(), atom.terms.len())));
            atoms.into_iter().map(|atom| atom.name).collect()
        };
        let (given, derived) = (declared(&given), declared(&rules));
        // Aggregates are written by hand in each dialect.
        let lines = rules.lines().filter(|_| program != "agg").filter_map(|line| line.split_once(" :- "));
        let rules = lines.map(|(head, body)| Rule { head: atom(head), body: literals(body) }).collect();
        Self { program: program.to_owned(), rules, n_columns, given, derived }
    }

    /// All rules, each ended by `end`.
    pub fn write(&self, dialect: &Dialect, end: &str) -> String {
        let rule = |rule: &Rule| {
            let body: Vec<_> = rule.body.iter().map(|literal| dialect.literal(literal)).collect();
            format!("{} :- {}{end}\n", dialect.atom(&rule.head), body.join(", "))
        };
        self.rules.iter().map(rule).collect()
    }
}

impl Dialect {
    fn term(&self, term: &str) -> String {
        if term.starts_with(|first: char| first.is_ascii_uppercase()) { (self.variable)(term) } else { term.to_owned() }
    }

    fn atom(&self, atom: &Atom) -> String {
        let terms: Vec<_> = atom.terms.iter().map(|term| self.term(term)).collect();
        format!("{}({})", atom.name, terms.join(","))
    }

    fn literal(&self, literal: &Literal) -> String {
        match literal {
            Literal::Atom(atom) => self.atom(atom),
            Literal::Not(atom) => format!("{}{}", self.not, self.atom(atom)),
            Literal::Differ(a, b) => format!("{} {} {}", self.term(a), self.differ, self.term(b)),
        }
    }
}

fn atom(text: &str) -> Atom {
    let (name, rest) = text.split_once('(').expect("an atom");
    let terms = rest.split(')').next().unwrap_or_default();
    Atom { name: name.trim().to_owned(), terms: terms.split(',').map(|term| term.trim().to_owned()).collect() }
}

fn literals(body: &str) -> Vec<Literal> {
    let mut depth = 0;
    let is_between = |character: char| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    };
    let parts: Vec<_> = body.trim().trim_end_matches('.').split(is_between).map(str::trim).collect();
    let literal = |text: &str| match (text.strip_prefix("not "), text.split_once(" != ")) {
        (Some(negated), _) => Literal::Not(atom(negated)),
        (_, Some((a, b))) => Literal::Differ(a.to_owned(), b.to_owned()),
        _ => Literal::Atom(atom(text)),
    };
    parts.into_iter().map(literal).collect()
}
