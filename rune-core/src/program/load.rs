//! Rows to facts: what is given is put in place, and what follows is derived.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{Pool, Span, Symbol, Value, Values, View, limits, value::each_entity},
    check::{
        CheckedEntity,
        rules::{CheckedRules, Fact, FactList, Goal, Names, PredicateId, PredicateKind},
    },
    datalog::{self, Bound, Bounds, DatalogEngine, Demand, give},
    diag::{Code, Finding, Findings},
    facts::{Facts, Hierarchy, HierarchyFault, Relations},
};

/// What is given: entities and rows, of the files or of a test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) entities: &'a [CheckedEntity],
    /// Lists of rows, read one after the other.
    pub(super) rows: &'a [&'a FactList],
}

impl<'a> Given<'a> {
    fn facts(self) -> impl Iterator<Item = Fact<'a>> {
        self.rows.iter().flat_map(|rows| rows.iter())
    }

    /// The facts with what is given in place, and nothing derived yet.
    pub(super) fn load(
        self,
        rules: &CheckedRules,
        bounds: Bounds,
        place: Span,
        values: &mut Pool,
        findings: &mut Findings,
    ) -> Option<Facts> {
        let hierarchy = match Hierarchy::of(values, self.entities).and_then(|hierarchy| {
            self.check_parents(values)?;
            Ok(hierarchy)
        }) {
            Ok(hierarchy) => hierarchy,
            Err(fault) => {
                findings.push(hierarchy_finding(&fault, self, place, values));
                return None;
            }
        };
        let relations = Relations::new(rules, |name| values.symbol(name));
        let mut facts = Facts::new(self.entities, hierarchy, relations);
        facts.relations.has_parent_rows |= self.parents().next().is_some();
        if let Err(span) = self.give_all(&mut facts, bounds.rows_max) {
            let message = format!("there are more than {} rows", bounds.rows_max);
            findings.push(Finding::new(Code::TooManyRows, span, message).help("keep fewer of them in one ruleset"));
            return None;
        }
        self.load_entities(rules, &mut facts, values);
        Some(facts)
    }

    /// The parents that are given as rows.
    fn parents(self) -> impl Iterator<Item = Fact<'a>> {
        self.rows.iter().flat_map(|rows| rows.of(|id| id == Names::PARENT))
    }

    /// Puts the rows in place. An error is where the first one stands that is too many.
    fn give_all(self, facts: &mut Facts, rows_max: u64) -> Result<(), Span> {
        let mut n_rows: u64 = 0;
        for run in self.rows.iter().flat_map(|rows| rows.runs()) {
            if run.predicate != Names::PARENT
                && n_rows + run.n_rows() as u64 <= rows_max
                && let Some(relation) = facts.relations.get_mut(run.predicate)
                && 0 < relation.rows.arity()
            {
                n_rows += u64::from(relation.give_all(&run.cells, run.n_rows(), |at| run.span(at)));
                continue;
            }
            for fact in run.facts() {
                n_rows += give(facts, fact.predicate, fact.row, fact.span);
                if rows_max < n_rows {
                    return Err(fact.span);
                }
            }
        }
        Ok(())
    }

    /// Whether parents given as rows make a cycle with those of the entities.
    fn check_parents(self, values: &mut Pool) -> Result<(), HierarchyFault> {
        let mut parents: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
        for fact in self.parents() {
            if let [child, parent] = fact.row {
                parents.entry(*child).or_default().push(*parent);
            }
        }
        if parents.is_empty() {
            return Ok(());
        }
        for entity in self.entities {
            parents.entry(entity.uid).or_default().extend(&entity.parents);
        }
        let nothing = values.record(Vec::new());
        let bare = |(uid, parents)| CheckedEntity { uid, attributes: nothing, tags: nothing, parents, span: None };
        let entities: Vec<CheckedEntity> = parents.into_iter().map(bare).collect();
        Hierarchy::of(values, &entities).map(drop)
    }

    /// Entities as rows: those that are known of a type, stored attributes, parents, and who is below whom.
    fn load_entities(self, rules: &CheckedRules, facts: &mut Facts, values: &Pool) {
        let mut known: BTreeMap<Symbol, PredicateId> = BTreeMap::new();
        let mut stored: BTreeMap<Symbol, Vec<(Symbol, PredicateId)>> = BTreeMap::new();
        for (at, predicate) in rules.predicates.iter().enumerate() {
            match predicate.kind {
                PredicateKind::Known(kind) => drop(known.insert(kind, PredicateId(at))),
                PredicateKind::Stored(kind, name) => stored.entry(kind).or_default().push((name, PredicateId(at))),
                _ => {}
            }
        }
        let add_known = |facts: &mut Facts, value: Value, span: Span| {
            each_entity(values, value, &mut |kind, entity| {
                if let Some(id) = known.get(&kind) {
                    give(facts, *id, &[entity], span);
                }
            });
        };
        // Where an entity is stored says more of it than where it is named.
        for entity in self.entities {
            add_known(facts, entity.uid, entity.span.unwrap_or(Span::NOWHERE));
        }
        for fact in self.facts().filter(|_| !known.is_empty()) {
            fact.row.iter().for_each(|value| add_known(facts, *value, fact.span));
        }
        for entity in self.entities {
            let View::Entity(kind, _) = values.view(entity.uid) else { continue };
            let span = entity.span.unwrap_or(Span::NOWHERE);
            entity.parents.iter().for_each(|parent| add_known(facts, *parent, span));
            add_known(facts, entity.attributes, span);
            add_known(facts, entity.tags, span);
            if let View::Record(members) = values.view(entity.attributes) {
                for (name, value) in members {
                    let of_kind = stored.get(&kind).into_iter().flatten();
                    for (_, id) in of_kind.filter(|(wanted, _)| wanted == name) {
                        give(facts, *id, &[entity.uid, *value], span);
                    }
                }
            }
        }
        // With a parent row comes all that follows for `in`.
        let is_read = reads_hierarchy(rules) || facts.relations.has_parent_rows;
        facts.relations.keeps_parents = is_read;
        for entity in self.entities.iter().filter(|_| is_read) {
            for parent in &entity.parents {
                give(facts, Names::PARENT, &[entity.uid, *parent], entity.span.unwrap_or(Span::NOWHERE));
            }
        }
    }
}

/// Whether a rule or a test asks for parents, or who is in what.
fn reads_hierarchy(rules: &CheckedRules) -> bool {
    let questions = rules.tests.iter().filter_map(|test| test.query.as_ref());
    rules.rules.iter().chain(questions).any(|rule| rule.body.iter().any(Goal::reads_hierarchy))
}

/// Derives what follows from loaded facts ahead of all questions; with `all`, nothing is left to demand. What takes too much is a
/// finding.
pub(super) fn derive(
    engine: &DatalogEngine,
    facts: &mut Facts,
    (all, bounds): (bool, Bounds),
    values: &mut Pool,
    findings: &mut Findings,
) -> Option<Demand> {
    engine.prepare(facts);
    engine.keep_given(facts);
    let rows_max = bounds.rows_max.saturating_sub(facts.relations.n_rows());
    let bounds = Bounds { rows_max, ..bounds };
    match datalog::derive_ahead(engine, facts, values, all, bounds) {
        Ok((_, demand)) => Some(demand),
        Err(error) => {
            let code = match error.bound {
                Bound::Rows(_) => Code::TooManyRows,
                Bound::Steps(_) | Bound::Rounds(_) => Code::TooManySteps,
            };
            let finding = Finding::new(code, error.span, error.to_string());
            findings.push(finding.help("does it count up, or pair everything with everything?"));
            None
        }
    }
}

fn hierarchy_finding(fault: &HierarchyFault, given: Given<'_>, place: Span, values: &Pool) -> Finding {
    let span = |uid| {
        let of_entity = given.entities.iter().find(|entity| entity.uid == uid).and_then(|entity| entity.span);
        let is_it = |fact: &Fact<'_>| fact.row.first() == Some(&uid);
        of_entity.or_else(|| given.parents().find(is_it).map(|fact| fact.span)).unwrap_or(place)
    };
    match fault {
        HierarchyFault::Cycle(members) => {
            let first = members.first().copied();
            let chain: Vec<_> = members.iter().chain(first.as_ref()).map(|member| values.show(*member)).collect();
            let message = format!("an entity is in itself: {}", chain.join(" in "));
            Finding::new(Code::EntityCycle, first.map_or(place, span), message)
        }
        HierarchyFault::TooLarge(entity) => {
            let message = format!("the entities have more than {} ancestors in all", limits::ANCESTORS_MAX);
            let finding = Finding::new(Code::HierarchyTooLarge, span(*entity), message);
            finding.help("make the hierarchy flatter: each entity is stored with all that it is below")
        }
    }
}

/// The entity types that entities and their parents have.
pub(super) fn types_in_use(entities: &[CheckedEntity], values: &Pool) -> BTreeSet<String> {
    let all = entities.iter().flat_map(|entity| std::iter::once(&entity.uid).chain(&entity.parents));
    let kind = |value: &Value| match values.view(*value) {
        View::Entity(kind, _) => Some(values.name(kind).to_owned()),
        _ => None,
    };
    all.filter_map(kind).collect()
}
