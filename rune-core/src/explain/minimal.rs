//! A smallest proof: of all that there are, one that rests on the fewest given facts, and of those one that derives the fewest.
//!
//! ```text
//!   a decision or a query ─▶ instances of rules ─▶ rows, entities below others ─▶ instances … ─▶ an AND-OR graph ─▶ one proof
//! ```
//!
//! A choice is which instance of which rule derives a row, which row it is that an atom with `_` asks for, and by way of whom an
//! entity is below another. What an expression or an aggregate rests on is no choice: all that it was found to read. A fact that
//! is given is its own proof.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    base::{Value, limits},
    check::rules::{Names, PredicateId},
    datalog::{self, CompiledRule, Condition, Solver, Stop},
    decide::Reason,
    facts::{RowId, Store as _, Tick},
};

use super::{
    Because, Fact, Instance, RuleRef,
    builder::Builder,
    ledger::Key,
    recorder::Read,
    smallest::{self, Node, Size},
};

/// How small a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Minimal {
    /// Whether no proof is smaller; if not, the limits were reached before all had been looked at.
    #[serde(rename = "proven")]
    pub is_proven: bool,
    /// How many facts it rests on that follow from nothing: files give them, or the schema, or the request.
    pub given: usize,
    /// How many facts it derives from those.
    pub derived: usize,
}

impl Minimal {
    /// That of a proof with these facts.
    pub(super) fn of(facts: &[Fact], is_proven: bool) -> Self {
        let is_derived =
            |fact: &&Fact| matches!(fact.because, Because::Rule(_) | Because::Parents { .. } | Because::Unshown);
        let derived = facts.iter().filter(is_derived).count();
        Self { is_proven, given: facts.len() - derived, derived }
    }
}

/// What a proof is made of, as far as there was a choice.
#[derive(Debug, Default)]
pub(super) struct Chosen<'p> {
    facts: BTreeMap<Key, (Tick, Choice<'p>)>,
    /// The rows that atoms with `_` ask for.
    rows: BTreeMap<(PredicateId, Vec<Option<Value>>), RowId>,
    is_proven: bool,
}

#[derive(Debug)]
enum Choice<'p> {
    Rule(&'p CompiledRule, datalog::Instance),
    Way(Vec<Key>),
}

/// What a node of the graph stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// All of it.
    Whole,
    Fact(Key),
    /// Any row with these values.
    Any(PredicateId, Vec<Option<Value>>),
    /// The way from one entity up to another, or the rest of one.
    Up(Value, Value),
}

/// How what a node stands for comes about.
#[derive(Debug, Clone)]
enum How<'p> {
    /// By itself.
    Given,
    /// By the reason with this number, and by this instance if it is a rule.
    Reason(usize, Option<datalog::Instance>),
    Rule(&'p CompiledRule, datalog::Instance),
    Row(RowId),
    Way,
    Parent(Key),
}

type Options<'p> = Vec<(How<'p>, Vec<What>)>;

#[derive(Debug, Default)]
struct Graph<'p> {
    nodes: Vec<Node>,
    whats: Vec<What>,
    hows: Vec<Vec<How<'p>>>,
    places: BTreeMap<What, usize>,
    n_options: usize,
    is_cut: bool,
}

impl<'p> Graph<'p> {
    fn place(&mut self, what: What) -> usize {
        let next = self.nodes.len();
        let place = *self.places.entry(what.clone()).or_insert(next);
        if place == next {
            self.nodes.push(Node::default());
            self.whats.push(what);
            self.hows.push(Vec::new());
        }
        place
    }

    fn set(&mut self, at: usize, options: Options<'p>) {
        let is_given = matches!(options.as_slice(), [(How::Given, _)]);
        let size = match self.whats.get(at) {
            Some(What::Fact(_)) if is_given => Size::GIVEN,
            Some(What::Fact(_)) => Size::DERIVED,
            _ => Size::NOTHING,
        };
        self.n_options += options.len();
        let (hows, takes): (Vec<_>, Vec<_>) = options.into_iter().unzip();
        let takes = takes.into_iter().map(|of: Vec<What>| {
            let mut of: Vec<usize> = of.into_iter().map(|what| self.place(what)).collect();
            of.sort_unstable();
            of.dedup();
            of
        });
        let options = takes.collect();
        if let (Some(node), Some(place)) = (self.nodes.get_mut(at), self.hows.get_mut(at)) {
            (*node, *place) = (Node { size, options }, hows);
        }
    }

    /// What the smallest proof chooses, and which reason it is of.
    fn choose(self, steps: &mut u64) -> Option<(usize, Option<datalog::Instance>, Chosen<'p>)> {
        let found = smallest::smallest(&self.nodes, steps)?;
        let mut chosen = Chosen { is_proven: found.is_proven && !self.is_cut, ..Chosen::default() };
        let option = |at: usize| found.choice.get(at).copied().flatten();
        let takes = |at: usize| {
            let takes = self.nodes.get(at).zip(option(at)).and_then(|(node, option)| node.options.get(option));
            takes.map(Vec::as_slice).unwrap_or_default()
        };
        let how = |at: usize| self.hows.get(at)?.get(option(at)?);
        let mut heights: BTreeMap<usize, u32> = BTreeMap::new();
        let mut pending = vec![0];
        while let Some(at) = pending.last().copied() {
            let open: Vec<usize> = takes(at).iter().copied().filter(|of| !heights.contains_key(of)).collect();
            if !open.is_empty() {
                pending.extend(open);
                continue;
            }
            pending.pop();
            let height = takes(at).iter().filter_map(|of| heights.get(of)).max().map_or(0, |height| height + 1);
            heights.insert(at, height);
            match (self.whats.get(at), how(at)) {
                (Some(What::Fact(key)), Some(How::Rule(rule, found))) => {
                    chosen.facts.insert(*key, (Tick(height), Choice::Rule(rule, found.clone())));
                }
                (Some(What::Fact(key)), Some(How::Way)) => {
                    let mut way = Vec::new();
                    let mut next = takes(at).first().copied();
                    while let Some(at) = next {
                        way.extend(how(at).and_then(|how| if let How::Parent(key) = how { Some(*key) } else { None }));
                        let is_rest = |of: &&usize| matches!(self.whats.get(**of), Some(What::Up(..)));
                        next = takes(at).iter().find(is_rest).copied();
                    }
                    chosen.facts.insert(*key, (Tick(height), Choice::Way(way)));
                }
                (Some(What::Any(id, key)), Some(How::Row(row))) => {
                    chosen.rows.insert((*id, key.clone()), *row);
                }
                _ => {}
            }
        }
        match how(0) {
            Some(How::Reason(at, instance)) => Some((*at, instance.clone(), chosen)),
            _ => None,
        }
    }
}

impl<'p> Builder<'_, 'p> {
    /// The reason that has the smallest proof, with its clauses; and the others by their names. None if none was found within the
    /// limits.
    pub(super) fn smallest_reason(&mut self, reasons: &[Reason<'p>]) -> Option<Vec<Instance>> {
        self.tries_rules = false;
        let options = self.within_limits(|builder| {
            let mut options = Options::new();
            for (at, reason) in reasons.iter().enumerate() {
                match reason {
                    Reason::Rule(rule) => {
                        let [principal, action, resource, _] = builder.parts;
                        for found in builder.instances(rule, &[principal, action, resource].map(Some))? {
                            let takes = builder.takes(rule, &found)?;
                            options.push((How::Reason(at, Some(found)), takes));
                        }
                    }
                    Reason::Policy(_) => {
                        let takes = builder.read_by(*reason).into_iter().map(What::Fact).collect();
                        options.push((How::Reason(at, None), takes));
                    }
                }
            }
            Ok(options)
        });
        let chosen = self.choose(options);
        let Some((at, instance)) = chosen else {
            self.tries_rules = true;
            return None;
        };
        let reason = *reasons.get(at)?;
        let shown = match (reason, instance) {
            (Reason::Rule(rule), Some(found)) => {
                Instance { rule: self.named(reason).rule, ..self.instance(rule, &found, Tick::END, 0) }
            }
            _ => self.reason(reason),
        };
        let others = reasons.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| self.named(*other));
        Some(std::iter::once(shown).chain(others).collect())
    }

    /// The instance of a rule, of all rows that it derives, that has the smallest proof. None if none was found within the limits.
    pub(super) fn smallest_instance(&mut self, rule: &'p CompiledRule) -> Option<datalog::Instance> {
        let options = self.within_limits(|builder| {
            let all = builder.instances(rule, &vec![None; rule.n_args()])?;
            let option = |found: datalog::Instance| {
                let takes = builder.takes(rule, &found)?;
                Ok((How::Reason(0, Some(found)), takes))
            };
            all.into_iter().map(option).collect()
        });
        self.choose(options)?.1
    }

    /// Looks for the smallest of the proofs that begin like this, and has it from now on.
    fn choose(&mut self, options: (Result<Options<'p>, Stop>, u64)) -> Option<(usize, Option<datalog::Instance>)> {
        let (Ok(options), mut steps) = options else { return None };
        let graph = std::mem::take(&mut self.is_cut);
        let graph = self.graph(Graph { is_cut: graph, ..Graph::default() }, options, &mut steps);
        let before = steps;
        let chosen = graph.choose(&mut steps);
        self.steps = self.steps.saturating_sub(before - steps);
        let (at, instance, chosen) = chosen?;
        self.chosen = Some(chosen);
        Some((at, instance))
    }

    /// Does something within the steps that a search for the smallest proof has, and says how many are left of these.
    fn within_limits<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> (R, u64) {
        let (all, steps) = (self.steps, limits::MINIMAL_STEPS_MAX.min(self.steps));
        self.steps = steps;
        let result = work(self);
        let left = self.steps;
        self.steps = all - (steps - left);
        (result, left)
    }

    /// The graph of all proofs, as far as the limits reach: in the order of their heights, so that low ones are there.
    fn graph(&mut self, mut graph: Graph<'p>, options: Options<'p>, steps: &mut u64) -> Graph<'p> {
        let whole = graph.place(What::Whole);
        graph.set(whole, options);
        let (all, mut next) = (self.steps, whole + 1);
        // What is found must also be searched.
        self.steps = *steps / 2;
        while let Some(what) = graph.whats.get(next).cloned() {
            let is_full = limits::MINIMAL_OPTIONS_MAX <= graph.n_options;
            match if is_full { Err(Stop::Enough) } else { self.options(&what) } {
                Ok(options) => graph.set(next, options),
                Err(_) => {
                    graph.is_cut = true;
                    break;
                }
            }
            next += 1;
        }
        graph.is_cut |= std::mem::take(&mut self.is_cut);
        let n_taken = *steps / 2 - self.steps;
        *steps -= n_taken;
        self.steps = all.saturating_sub(n_taken);
        graph
    }

    fn options(&mut self, what: &What) -> Result<Options<'p>, Stop> {
        self.steps = self.steps.checked_sub(1).ok_or(Stop::TooManySteps)?;
        match what {
            What::Whole => Ok(Options::new()),
            What::Fact(Key::Row(id, at)) => self.options_of_row(*id, *at),
            What::Fact(Key::Below(low, high)) => Ok(vec![(How::Way, vec![What::Up(*low, *high)])]),
            What::Fact(Key::Parent(..) | Key::Attribute(..) | Key::Tag(..)) => Ok(vec![(How::Given, Vec::new())]),
            What::Any(id, key) => {
                let mut solver = Solver::new(&mut *self.values, &self.world, self.parts, self.steps);
                let rows = solver.rows_with(*id, key);
                self.steps = solver.steps_left();
                let rows = rows?.into_iter().map(|at| (How::Row(at), vec![What::Fact(self.key_of(*id, at))]));
                Ok(rows.collect())
            }
            What::Up(low, high) => {
                let parents = self.parents_of(*low, Tick::END);
                self.steps = self.steps.checked_sub(parents.len() as u64).ok_or(Stop::TooManySteps)?;
                let up = |(parent, key): (Value, Key)| {
                    let rest = (parent != *high).then_some(What::Up(parent, *high));
                    (How::Parent(key), std::iter::once(What::Fact(key)).chain(rest).collect())
                };
                Ok(parents.into_iter().map(up).collect())
            }
        }
    }

    fn options_of_row(&mut self, id: PredicateId, at: RowId) -> Result<Options<'p>, Stop> {
        let Some((row, tick)) = self.world.world.row_at(id, at) else { return Ok(Options::new()) };
        if tick == Tick::GIVEN {
            return Ok(vec![(How::Given, Vec::new())]);
        }
        let row: Vec<Option<Value>> = row.into_iter().map(Some).collect();
        let mut options = Options::new();
        let rules: Vec<&'p CompiledRule> = self.terms.rules.rules_for(id).collect();
        for rule in rules {
            for found in self.instances(rule, &row)? {
                let takes = self.takes(rule, &found)?;
                options.push((How::Rule(rule, found), takes));
            }
        }
        Ok(options)
    }

    fn instances(&mut self, rule: &'p CompiledRule, row: &[Option<Value>]) -> Result<Vec<datalog::Instance>, Stop> {
        let mut solver = Solver::new(&mut *self.values, &self.world, self.parts, self.steps);
        let found = solver.instances(rule, row, limits::MINIMAL_OPTIONS_MAX);
        (self.steps, self.n_touched) = (solver.steps_left(), self.n_touched + solver.n_touched());
        let (found, is_cut) = found?;
        self.is_cut |= is_cut;
        Ok(found)
    }

    /// What an instance of a rule rests on.
    fn takes(&mut self, rule: &'p CompiledRule, found: &datalog::Instance) -> Result<Vec<What>, Stop> {
        let mut takes = Vec::new();
        for at in 0..rule.goals.len() {
            let (condition, reads) = self.condition(rule, at, found, Tick::END)?;
            // What is not known to rest on no more may rest on less in another proof.
            self.is_cut |= condition.is_cut || self.world.is_cut();
            match pattern(&condition) {
                Some((id, key)) => takes.push(What::Any(*id, key.clone())),
                None => {
                    let keys = condition.rows.iter().map(|(id, row)| self.key_of(*id, *row));
                    takes.extend(keys.map(What::Fact));
                }
            }
            takes.extend(self.keys_of(&reads).into_iter().map(What::Fact));
        }
        Ok(takes)
    }

    /// What a policy was found to read.
    fn read_by(&mut self, reason: Reason<'p>) -> Vec<Key> {
        let ledger = std::mem::take(&mut self.ledger);
        let (bytes_left, is_incomplete) = (self.bytes_left, self.is_incomplete);
        let _: Instance = self.reason(reason);
        (self.bytes_left, self.is_incomplete) = (bytes_left, is_incomplete);
        std::mem::replace(&mut self.ledger, ledger).into_keys()
    }

    /// A policy or a rule by its name.
    pub(super) fn named(&self, reason: Reason<'_>) -> Instance {
        Instance { rule: RuleRef::of(reason, self.sources), bindings: BTreeMap::new(), clauses: Vec::new() }
    }

    /// The rows that a condition rests on, those of the proof that was chosen.
    pub(super) fn rows_of(&self, condition: &Condition) -> Vec<(PredicateId, RowId)> {
        let chosen = self.chosen.as_ref().zip(pattern(condition));
        let row = chosen.and_then(|(chosen, (id, key))| Some((*id, *chosen.rows.get(&(*id, key.clone()))?)));
        row.map_or_else(|| condition.rows.clone(), |row| vec![row])
    }

    /// A fact of the proof that was chosen, and its place among the others.
    pub(super) fn chosen_fact(&mut self, key: Key) -> Option<((Tick, u8), Fact)> {
        let (tick, choice) = self.chosen.as_mut()?.facts.remove(&key)?;
        let atom = match key {
            Key::Below(low, high) => self.atom("in", &[low, high]),
            Key::Row(id, at) => {
                let (row, _) = self.world.world.row_at(id, at)?;
                self.atom(&self.name(id), &row)
            }
            Key::Parent(..) | Key::Attribute(..) | Key::Tag(..) => return None,
        };
        let because = match choice {
            Choice::Rule(rule, found) => Because::Rule(self.instance(rule, &found, Tick::END, 0)),
            Choice::Way(way) => Because::Parents { facts: way.into_iter().filter_map(|key| self.note(key)).collect() },
        };
        Some(((tick, 0), Fact { atom, because }))
    }

    /// Whether no proof is smaller than the one that was chosen.
    pub(super) fn is_smallest(&self) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| chosen.is_proven)
    }

    fn keys_of(&self, reads: &[Read]) -> Vec<Key> {
        reads.iter().filter_map(|read| self.key_of_read(read)).collect()
    }
}

/// What an atom with `_` asks for, if a condition is one.
fn pattern(condition: &Condition) -> Option<&(PredicateId, Vec<Option<Value>>)> {
    let asked = condition.asked.as_ref().filter(|_| !condition.rows.is_empty());
    asked.filter(|(id, key)| *id != Names::IN && key.contains(&None))
}
