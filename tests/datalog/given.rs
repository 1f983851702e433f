//! What a world gives its twin, and what the twin says to a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use rune_core::{
    OwnedValue, Program, Span,
    base::{Scratch, Value, Values},
    diag::Findings,
    syntax::{
        ast::{Expr, ExprKind},
        cedar::Piece,
        rules::{Clause, ClauseKind, TypeName, parse, parse_expression},
    },
};

use super::{
    Answer, Kind,
    expressions::Lack,
    plain::{self, Declared, Rule},
    twin::{Env, Model, Row, Twin},
    worlds::{Ask, World},
};

/// Who is below whom.
const BELOW: &str = "below(X, Y) :- parent(X, Y). below(X, Z) :- parent(X, Y), below(Y, Z).";

/// A world, read.
pub struct Text {
    pub declared: Declared,
    facts: Vec<Clause>,
    pub rules: Vec<Rule>,
    /// The rules and policies that decide: whether each permits, its id, and the condition of a policy.
    pub deciding: Vec<(bool, String, Option<Expr>)>,
}

fn piece(text: &str) -> Piece {
    Piece { file: Span::NOWHERE.file, start: 0, text: text.to_owned() }
}

fn clauses(text: &str) -> Vec<Clause> {
    let mut findings = Findings::default();
    let clauses = parse(&piece(text), &mut findings);
    assert!(!findings.has_error(), "the engine reads the same text");
    clauses
}

pub fn expression(text: &str) -> Expr {
    parse_expression(&piece(text), &mut Findings::default())
        .unwrap_or_else(|| panic!("the engine reads the same text: {text}"))
}

impl Text {
    pub fn of(world: &World) -> Self {
        let mut declared = Declared::new();
        let (mut facts, mut others) = (Vec::new(), Vec::new());
        for clause in clauses(&world.clauses.join("\n")) {
            match &clause.kind {
                ClauseKind::Declaration(of) => {
                    let is_attribute = clause.annotations.iter().any(|of| of.name.text == "attribute");
                    declared.insert(of.name.text.clone(), (of.clone(), is_attribute));
                }
                ClauseKind::Rule(rule) if rule.body.is_empty() => facts.push(clause),
                ClauseKind::Rule(_) => others.push(clause),
            }
        }
        let policy = |of: &super::worlds::Policy| (of.permits, of.id.clone(), Some(expression(&of.condition)));
        let rules = others.iter().filter_map(plain::decision).map(|(permits, id)| (permits, id.to_owned(), None));
        let deciding = world.policies.iter().map(policy).chain(rules).collect();
        let rules = others
            .iter()
            .chain(&clauses(BELOW))
            .filter_map(|clause| plain::rule(clause, &declared, world.has_schema))
            .collect();
        Self { declared, facts, rules, deciding }
    }

    /// The relations that rules derive.
    pub fn derived(&self) -> BTreeSet<&str> {
        let heads = self.rules.iter().map(|rule| rule.head.as_str());
        heads.filter(|head| *head != "below" && !head.starts_with("decision ")).collect()
    }

    /// Whether a condition names an attribute that rules derive.
    fn reads_rules(&self, expr: &Expr) -> bool {
        let is_derived = |name: &String| self.declared.get(name).is_some_and(|(_, is_attribute)| *is_attribute);
        let mut reads = match &expr.kind {
            ExprKind::Attribute(_, name) => is_derived(name),
            ExprKind::Has(_, path) => path.iter().any(is_derived),
            _ => false,
        };
        expr.for_each_part(&mut |part| reads |= self.reads_rules(part));
        reads
    }
}

impl<'t> Twin<'t> {
    /// What the files give.
    pub fn of(world: &World, text: &'t Text, program: &'t Program) -> Self {
        let mut twin = Self {
            values: Scratch::new(program.facts().values()),
            declared: &text.declared,
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
            supplied: BTreeMap::new(),
            is_policy: false,
            request: [Value::UNKNOWN; 4],
            given: Model::new(),
            model: Rc::default(),
        };
        text.facts.iter().for_each(|fact| twin.add_fact(fact));
        for of in &world.entities {
            let entity = twin.values.entity(of.kind, &of.id);
            twin.know(entity);
            for (name, datum) in &of.attributes {
                let value = twin.constant(&datum.to_string());
                twin.know(value);
                twin.attributes.insert((entity, (*name).to_owned()), value);
                twin.add(&format!("{}.{name}", of.kind), vec![entity, value]);
            }
            for (name, datum) in &of.tags {
                let value = twin.constant(&datum.to_string());
                twin.tags.insert((entity, (*name).to_owned()), value);
            }
            for (kind, id) in &of.parents {
                let parent = twin.values.entity(kind, id);
                twin.know(parent);
                twin.add("parent", vec![entity, parent]);
            }
        }
        twin
    }

    /// Adds what a request brings along.
    pub fn asked(&mut self, ask: &Ask, has_schema: bool) {
        let (user, doc) = (self.values.entity("User", &ask.user), self.values.entity("Doc", &ask.doc));
        let (action, n, name) =
            (self.values.entity("Action", "read"), self.values.long(ask.n), self.values.symbol("n"));
        self.request = [user, action, doc, self.values.record(vec![(name, n)])];
        self.given.insert("request".to_owned(), [(vec![user, action, doc], true)].into());
        // Whomever a request names is known to it.
        [user, action, doc].into_iter().for_each(|named| self.know(named));
        for (name, datum) in ask.supplied.iter().filter(|(name, _)| !has_schema || *name == "quota") {
            let value = self.constant(&datum.to_string());
            self.supplied.insert((user, (*name).to_owned()), value);
        }
    }

    /// Adds the rows that a test gives.
    pub fn tested(&mut self, facts: &[String]) {
        clauses(&facts.join("\n")).iter().for_each(|fact| self.add_fact(fact));
    }

    fn add_fact(&mut self, fact: &Clause) {
        let ClauseKind::Rule(rule) = &fact.kind else { return };
        let row: Row = rule.head.args.iter().map(|arg| self.value(arg, &Env::new()).expect("a constant")).collect();
        row.iter().for_each(|value| self.know(*value));
        self.add(&rule.head.name.text, row);
    }

    fn add(&mut self, name: &str, row: Row) {
        self.given.entry(name.to_owned()).or_default().insert(row, true);
    }

    pub fn constant(&mut self, text: &str) -> Value {
        self.value(&expression(text), &Env::new()).expect("a constant")
    }

    /// A value as it is outside.
    pub fn owned(&self, value: Value) -> OwnedValue {
        OwnedValue::of(&self.values, value)
    }

    /// Whether the condition of a policy is true.
    pub fn policy_condition(&mut self, condition: &Expr) -> Result<bool, Lack> {
        self.is_policy = true;
        let holds = self.condition(condition, &Env::new());
        self.is_policy = false;
        holds
    }

    /// An entity that is named is known.
    pub fn know(&mut self, value: Value) {
        let shown = self.values.show(value);
        if let Some((kind, _)) = shown.split_once("::") {
            self.add(kind, vec![value]);
        }
    }

    /// A row in which what does not fit its column is unknown, and whether all of it fits.
    pub fn fitted(&self, mut row: Row, fits: &[Vec<TypeName>]) -> (Row, bool) {
        let mut all = true;
        for (cell, types) in row.iter_mut().zip(fits).filter(|(cell, _)| **cell != Value::UNKNOWN) {
            if !types.iter().any(|of| self.is_of(*cell, of)) {
                (*cell, all) = (Value::UNKNOWN, false);
            }
        }
        (row, all)
    }

    /// Forbid wins, and so does a forbid that is undetermined; then a permit.
    pub fn answer(&mut self, text: &Text) -> Answer {
        self.is_policy = true;
        let mut answer = Answer::default();
        let (mut permits, mut forbids, mut is_blocked) = (Vec::new(), Vec::new(), false);
        for (is_permit, id, condition) in &text.deciding {
            let holds = match condition {
                Some(condition) => self.condition(condition, &Env::new()),
                None => self.holds(&format!("decision {id}"), &[]),
            };
            match holds {
                Ok(true) => if *is_permit { &mut permits } else { &mut forbids }.push(id.clone()),
                Ok(false) => {}
                Err(lack) => {
                    let reads_rules = condition.as_ref().is_none_or(|condition| text.reads_rules(condition));
                    is_blocked |= !is_permit && (lack == Lack::Undetermined || reads_rules);
                    answer.failed.insert(id.clone());
                }
            }
        }
        self.is_policy = false;
        answer.kind = match (forbids.is_empty(), permits.is_empty()) {
            (false, _) => Kind::Forbidden,
            (true, _) if is_blocked => Kind::Error,
            (true, false) => Kind::Allowed,
            (true, true) => Kind::NotPermitted,
        };
        answer.determining = if forbids.is_empty() { permits } else { forbids }.into_iter().collect();
        answer
    }
}
