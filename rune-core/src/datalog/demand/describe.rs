//! Procedures for people: what is asked in which order, and what trials found that to take.

use std::fmt;

use serde::Serialize;

use crate::{base::Values, check::rules::PredicateId, datalog::DatalogEngine, syntax::rules::Fold};

use super::{
    Demand, Procedures,
    code::{Bind, Code, Operand, Procedure, Step},
    compile::Built,
    lookup::Wanted,
    prefix::Part,
    shape::Shapes,
};

/// How questions about derived relations are answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueryPlan {
    /// The relations that are derived ahead of all questions, by name.
    pub ahead: Vec<String>,
    /// The procedures for what decisions ask, each after those that it calls.
    pub procedures: Vec<PlannedProcedure>,
}

/// A procedure: the answers to questions of one form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedProcedure {
    /// The question: `may(k0, ?)` has its first column given.
    pub question: String,
    /// Whether answers are tabled, and rules that read them wait for more.
    #[serde(rename = "tabled")]
    pub is_tabled: bool,
    /// Whether it is for questions that take longer than trials did.
    #[serde(rename = "rare")]
    pub is_rare: bool,
    /// The steps that a trial took: halfway between the mean and the most. None of a procedure that could not be tried.
    pub steps: f64,
    /// The answers that a trial had, on average.
    pub answers: f64,
    /// What recursion demands of columns that it changes: how one value leads to the next.
    pub demands: Vec<PlannedDemand>,
    /// The rules, the cheapest first.
    pub rules: Vec<PlannedRule>,
    /// The rules that lead from answer to answer.
    pub forwards: Vec<PlannedRule>,
}

/// Columns of the key that recursion changes together, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedDemand {
    /// The columns, as they stand in the question.
    pub columns: Vec<String>,
    /// From what is demanded to what that demands.
    pub rules: Vec<PlannedRule>,
}

/// A rule in the order in which it is evaluated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedRule {
    /// What it is estimated to cost: a row counts one, a probe four.
    pub cost: f64,
    /// Its conditions.
    pub steps: Vec<String>,
}

impl Demand {
    /// How questions are answered.
    #[must_use]
    pub fn plan(&self, engine: &DatalogEngine, values: &impl Values) -> QueryPlan {
        let heads = engine.rules.iter().map(|rule| rule.head);
        let mut ahead: Vec<String> = heads
            .filter(|id| !self.relations().contains(id) && !engine.is_question_of_requests(*id))
            .map(|id| engine.name(id).to_string())
            .collect();
        ahead.sort();
        ahead.dedup();
        let Procedures { ready: built, shapes, .. } = &*self.procedures;
        let show = Show { engine, values, built, shapes };
        let rare = built.rare();
        let procedures = built.procedures.iter().enumerate();
        let procedures = procedures.map(|(at, of)| show.procedure(of, rare.contains(&at)));
        QueryPlan { ahead, procedures: procedures.collect() }
    }
}

struct Show<'s, V> {
    engine: &'s DatalogEngine,
    values: &'s V,
    built: &'s Built,
    shapes: &'s Shapes,
}

impl<V: Values> Show<'_, V> {
    fn procedure(&self, of: &Procedure, is_rare: bool) -> PlannedProcedure {
        let keys: Vec<String> = (0..of.n_given).map(|at| format!("k{at}")).collect();
        let rules = |codes: &[Code]| codes.iter().map(|code| self.rule(code)).collect::<Vec<_>>();
        let demand = |group: &super::code::Group| PlannedDemand {
            columns: group.columns.iter().filter_map(|at| keys.get(*at).cloned()).collect(),
            rules: self.built.closures.get(group.closure).map(|closure| rules(&closure.edges)).unwrap_or_default(),
        };
        PlannedProcedure {
            question: self.question(of, &keys, &vec!["?".to_owned(); of.n_open]),
            is_tabled: of.is_tabled,
            is_rare,
            steps: of.trial.work.round(),
            answers: tenths(of.trial.n_answers),
            demands: of.groups.iter().map(demand).collect(),
            rules: rules(&of.exits),
            forwards: rules(&of.forwards),
        }
    }

    fn question(&self, of: &Procedure, given: &[String], open: &[String]) -> String {
        let (mut given, mut open) = (given.iter(), open.iter());
        let column = |at| if of.pattern.has(at) { given.next() } else { open.next() };
        let columns: Vec<String> =
            (0..of.n_given + of.n_open).map(column).map(|of| of.cloned().unwrap_or_default()).collect();
        format!("{}({})", self.name(of.predicate), columns.join(", "))
    }

    /// The name of a relation, or of all those that one stands for.
    fn name(&self, id: PredicateId) -> String {
        match self.shapes.part(id) {
            Some(Part::Split(of, _)) => return self.engine.name_of_question(of),
            Some(Part::Prefix(of, _)) => return format!("prefix of {}", self.engine.name_of_question(of)),
            None => {}
        }
        let Some(members) = self.shapes.members(id) else { return self.engine.name_of_question(id) };
        let names: Vec<String> = members.iter().map(|member| self.engine.name(member.id).to_string()).collect();
        names.join("|")
    }

    fn rule(&self, code: &Code) -> PlannedRule {
        let begins = |name: &str, binds: &[Bind]| {
            let bound = binds.iter().enumerate().filter(|(_, bind)| **bind != Bind::Skip);
            bound.map(|(at, bind)| format!("{name}{at} is {}", self.bind(*bind))).collect::<Vec<_>>()
        };
        let mut steps: Vec<String> = begins("k", &code.of_key);
        steps.extend(begins("t", &code.of_tuple));
        steps.extend(code.steps.iter().map(|step| self.step(step)));
        if !code.result.is_empty() {
            steps.push(format!("gives {}", self.operands(&code.result).join(", ")));
        }
        PlannedRule { cost: tenths(code.cost), steps }
    }

    fn step(&self, step: &Step) -> String {
        match step {
            Step::Rows { lookup, key, binds, .. } => format!("each {}", self.rows(*lookup, key, binds)),
            Step::HasRows { lookup, key, wanted, .. } => {
                format!("{} {}", if *wanted { "some" } else { "no" }, self.rows(*lookup, key, &[]))
            }
            Step::Demand { group, binds } => format!("each {} of demand {group}", self.binds(binds).join(", ")),
            Step::Demanded { group, key } => format!("{} among demand {group}", self.operands(key).join(", ")),
            Step::Call { procedure, key, binds } => format!("each {}", self.call(*procedure, key, binds)),
            Step::Seeded { procedure, key, place, group, binds } => {
                let mut key = self.operands(key);
                if let Some(seed) = key.get_mut(*place) {
                    *seed = format!("any of demand {group}");
                }
                let Some(of) = self.built.procedures.get(*procedure) else { return String::new() };
                let word = if of.n_open == 0 { "some" } else { "each" };
                format!("{word} {}", self.question(of, &key, &self.binds(binds)))
            }
            Step::Read { procedure, key, binds } => format!("each, so far, {}", self.call(*procedure, key, binds)),
            Step::Holds { procedure, key, wanted } => {
                format!("{} {}", if *wanted { "some" } else { "no" }, self.call(*procedure, key, &[]))
            }
            Step::Among { procedure, key, open, wanted } => {
                let among = if *wanted { "among" } else { "not among" };
                let open = self.operands(open).join(", ");
                format!("{open} {among} {}", self.call(*procedure, key, &[]))
            }
            Step::Fold { procedure, key, fold, bind } => {
                let fold = match fold {
                    Fold::Min => "the smallest",
                    Fold::Max => "the largest",
                    _ => "the number",
                };
                format!("{} is {fold} of {}", self.bind(*bind), self.call(*procedure, key, &[]))
            }
            Step::Test(check) => {
                let operands: Vec<String> = check.operands().into_iter().map(|of| self.operand(of)).collect();
                format!("test of {}", operands.join(", "))
            }
            Step::Is { of, types } => format!("{} is {}", self.operand(*of), types.show(self.values)),
            Step::Let { bind, value } => format!("{} = {}", self.bind(*bind), self.operand(*value)),
            Step::Beside { lookup, of, bind, .. } => {
                let is_up = self.built.wanted.get(*lookup).is_some_and(|of| *of.columns == [0]);
                let side = if is_up { "above" } else { "below" };
                format!("{0} itself and each {1} {side} {0}", self.operand(*of), self.bind(*bind))
            }
            Step::Below { low, high, wanted, .. } => {
                let is_in = if *wanted { "in" } else { "not in" };
                format!("{} {is_in} {}", self.operand(*low), self.operand(*high))
            }
        }
    }

    fn rows(&self, lookup: usize, key: &[Operand], binds: &[Bind]) -> String {
        let Some(Wanted { id, columns, .. }) = self.built.wanted.get(lookup) else { return "rows".to_owned() };
        let mut key = self.operands(key).into_iter();
        // Of many columns the rows are whole, those of the key among what is bound.
        let is_whole = binds.len() == self.engine.arity(*id);
        let mut open = binds.iter();
        let column = |at| {
            let given = columns.contains(&at).then(|| key.next()).flatten();
            let bound = if is_whole || given.is_none() { open.next() } else { None };
            given.or_else(|| bound.map(|bind| self.bind(*bind))).unwrap_or_else(|| "_".to_owned())
        };
        let columns: Vec<String> = (0..self.engine.arity(*id)).map(column).collect();
        format!("{}({})", self.engine.name(*id), columns.join(", "))
    }

    fn call(&self, procedure: usize, key: &[Operand], binds: &[Bind]) -> String {
        let Some(of) = self.built.procedures.get(procedure) else { return String::new() };
        let open = if binds.is_empty() { vec!["_".to_owned(); of.n_open] } else { self.binds(binds) };
        self.question(of, &self.operands(key), &open)
    }

    fn operands(&self, all: &[Operand]) -> Vec<String> {
        all.iter().map(|of| self.operand(*of)).collect()
    }

    fn operand(&self, of: Operand) -> String {
        match of {
            Operand::Register(at) => format!("v{at}"),
            Operand::Constant(value) => self.values.show_briefly(value),
        }
    }

    fn binds(&self, all: &[Bind]) -> Vec<String> {
        all.iter().map(|of| self.bind(*of)).collect()
    }

    fn bind(&self, of: Bind) -> String {
        match of {
            Bind::Skip => "_".to_owned(),
            Bind::Set(at) => format!("v{at}"),
            Bind::Same(of) => format!("={}", self.operand(of)),
        }
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

impl PlannedProcedure {
    /// Whether it goes the same way as another.
    fn is_like(&self, other: &Self) -> bool {
        fn steps(of: &PlannedProcedure) -> impl Iterator<Item = &Vec<String>> {
            let demands = of.demands.iter().flat_map(|demand| &demand.rules);
            demands.chain(&of.rules).chain(&of.forwards).map(|rule| &rule.steps)
        }
        self.question == other.question && steps(self).eq(steps(other))
    }
}

/// As a text for people: each procedure with its rules below it. What takes long is told of where it goes another way.
impl fmt::Display for QueryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.ahead.is_empty() {
            writeln!(f, "derived ahead: {}", self.ahead.join(", "))?;
        }
        let usual = |of: &PlannedProcedure| self.procedures.iter().any(|other| !other.is_rare && other.is_like(of));
        for procedure in self.procedures.iter().filter(|of| !of.is_rare || !usual(of)) {
            let PlannedProcedure { question, steps, answers, .. } = procedure;
            let table = if procedure.is_tabled { ", tabled" } else { "" };
            let rare = if procedure.is_rare { ", for what takes long" } else { "" };
            writeln!(f, "{question}: {steps:.0} steps, {answers:.1} answers{table}{rare}")?;
            for (at, demand) in procedure.demands.iter().enumerate() {
                writeln!(f, "  demand {at}: {}", demand.columns.join(", "))?;
                lines(f, "    then", &demand.rules)?;
            }
            lines(f, "  rule", &procedure.rules)?;
            lines(f, "  forward", &procedure.forwards)?;
        }
        Ok(())
    }
}

fn lines(f: &mut fmt::Formatter<'_>, what: &str, rules: &[PlannedRule]) -> fmt::Result {
    rules.iter().try_for_each(|rule| writeln!(f, "{what} ({:.0}): {}", rule.cost, rule.steps.join("; ")))
}
