//! Builds an explanation: reasons to instances, instances to facts, and facts to what they follow from.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{EntityRef, OwnedValue, Pool, Scratch, Sources, Span, Symbol, Value, Values, View, limits},
    check::rules::{CheckedRules, Names, PredicateId},
    datalog::{self, CompiledRule, Condition, Solver, Stop},
    decide::{Bound, Reason, Request, RequestWorld, Terms, Why, bind},
    expr::{Evaluator, Failure, Member, World as _},
    facts::{RowId, Store as _, Tick},
    policy::Policy,
};

use super::{
    Atom, Because, Clause, Explanation, Fact, Failed, Instance, Outcome, Place, Proof, RuleRef,
    ledger::{Key, Ledger, renumber},
    recorder::{Read, Recorder},
};

/// Adds to an explanation all that there is beside the decision.
pub(super) fn explain(
    terms: Terms<'_>,
    (pool, sources): (&Arc<Pool>, &Sources),
    request: &Request,
    mut explanation: Explanation,
) -> Explanation {
    let is_open = explanation.decision.why == Why::NotPermitted;
    let Ok(mut bound) = bind(terms, request) else { return explanation };
    let (reasons, steps) = terms.reasons_of(&mut bound);
    let mut builder = Builder::new(terms, (pool, sources), &mut bound, steps);
    builder.is_incomplete = reasons.is_incomplete;
    explanation.ignored = reasons.ignored;
    explanation.n_rows_touched = reasons.n_touched;
    explanation.unknown = builder.unknown();
    explanation.determining = reasons.determining.into_iter().map(|reason| builder.reason(reason)).collect();
    let failed = reasons.failed.into_iter();
    explanation.failed = failed.map(|(reason, message)| Failed { instance: builder.reason(reason), message }).collect();
    if is_open {
        let failed: Vec<_> = explanation.failed.iter().map(|of| of.instance.rule.id.clone()).collect();
        (explanation.candidates, explanation.candidates_beyond) = builder.candidates(request, &failed);
    }
    builder.settle();
    explanation.is_incomplete = builder.is_incomplete;
    let places = builder.ledger.finish(&mut explanation.facts);
    explanation.renumber(&places);
    explanation
}

pub(super) fn prove<'p>(
    (terms, relations): (Terms<'p>, &CheckedRules),
    (pool, sources): (&Arc<Pool>, &Sources),
    bound: &mut Bound<'p>,
    rule: &'p CompiledRule,
) -> Proof {
    let mut builder = Builder::new(terms, (pool, sources), bound, limits::EXPLANATION_STEPS_MAX);
    builder.relations = Some(relations);
    let row = vec![None; rule.n_args()];
    let found = builder.find_instance(rule, &row, Tick::END);
    let mut proof = Proof {
        holds: found.as_ref().is_some_and(|found| found.failing.is_none()),
        bindings: BTreeMap::new(),
        clauses: Vec::new(),
        facts: Vec::new(),
        is_incomplete: false,
    };
    if let Some(found) = found {
        let Instance { bindings, clauses, .. } = builder.instance(rule, &found, Tick::END, 0);
        (proof.bindings, proof.clauses) = (bindings, clauses);
    }
    builder.settle();
    proof.is_incomplete = builder.is_incomplete;
    let places = builder.ledger.finish(&mut proof.facts);
    renumber(&mut proof.clauses, &places);
    proof
}

pub(super) struct Builder<'x, 'p> {
    pub(super) terms: Terms<'p>,
    pub(super) pool: &'x Arc<Pool>,
    sources: &'x Sources,
    pub(super) values: &'x mut Scratch<'p>,
    pub(super) world: Recorder<'x, RequestWorld<'p>>,
    pub(super) parts: [Value; 4],
    pub(super) steps: u64,
    ledger: Ledger,
    /// The relations that a query is about: those of the rules and its own.
    relations: Option<&'x CheckedRules>,
    /// The rows of `parent` by child, once they were asked for.
    parents: Option<BTreeMap<Value, Vec<(Value, RowId)>>>,
    pub(super) is_incomplete: bool,
}

impl<'x, 'p> Builder<'x, 'p> {
    fn new(
        terms: Terms<'p>,
        (pool, sources): (&'x Arc<Pool>, &'x Sources),
        bound: &'x mut Bound<'p>,
        steps: u64,
    ) -> Self {
        let (values, world, parts) = bound.parts();
        let world = Recorder::new(world);
        Self {
            terms,
            pool,
            sources,
            values,
            world,
            parts,
            steps,
            ledger: Ledger::default(),
            relations: None,
            parents: None,
            is_incomplete: false,
        }
    }

    /// The principal and the resource, if nothing but the request names them.
    fn unknown(&self) -> Vec<EntityRef> {
        let [principal, _, resource, _] = self.parts;
        let entities = [principal, resource].into_iter().filter(|entity| entity.is_local());
        let mut unknown: Vec<_> = entities
            .filter_map(|entity| match self.values.view(entity) {
                View::Entity(kind, id) => Some(EntityRef::new(self.values.name(kind), self.values.name(id))),
                _ => None,
            })
            .collect();
        unknown.dedup();
        unknown
    }

    fn reason(&mut self, reason: Reason<'p>) -> Instance {
        match reason {
            Reason::Policy(policy) => self.policy(policy),
            Reason::Rule(rule) => self.deciding_rule(rule),
        }
    }

    pub(super) fn rule_ref(&self, reason: Reason<'p>) -> RuleRef {
        RuleRef {
            id: reason.id().clone(),
            effect: Some(reason.effect()),
            place: self.place(reason.span()),
            annotations: reason.annotations().clone(),
        }
    }

    pub(super) fn place(&self, span: Span) -> Place {
        let path = self.sources.file(span.file).map_or_else(|| "".into(), |file| file.path.clone());
        let at = self.sources.place(span);
        Place { path, line: at.line, column: at.column }
    }

    /// A policy with all its clauses, up to the first that does not hold.
    pub(super) fn policy(&mut self, policy: &'p Policy) -> Instance {
        let mut answers = Vec::new();
        let world = &self.world;
        world.take();
        let mut evaluator = Evaluator::new(&mut *self.values, world, self.parts, self.steps);
        policy.each_clause(&mut evaluator, &mut |answer| answers.push((answer, world.take())));
        self.steps = evaluator.steps_left();
        let rule = self.rule_ref(Reason::Policy(policy));
        let texts = policy.clauses_filled(self.values);
        let mut clauses = Vec::new();
        for ((text, span), (answer, reads)) in texts.into_iter().zip(answers) {
            let outcome = match answer {
                Some(answer) => self.outcome(answer),
                None => Outcome::Unreached,
            };
            let mut clause = Clause {
                text,
                place: self.place(span),
                outcome,
                value: None,
                facts: self.cite(&reads),
                asked: Vec::new(),
                attempts: Vec::new(),
            };
            if clause.outcome == Outcome::False {
                for (id, row) in reads.into_iter().filter_map(no_row) {
                    let row: Vec<_> = row.into_iter().map(Some).collect();
                    clause.asked.push(self.pattern(id, &row, &[]));
                    clause.attempts.extend(self.attempts(id, &row, 1));
                }
            }
            clauses.push(clause);
        }
        Instance { rule, bindings: BTreeMap::new(), clauses }
    }

    fn outcome(&mut self, answer: Result<bool, Failure>) -> Outcome {
        match answer {
            Ok(true) => Outcome::True,
            Ok(false) => Outcome::False,
            Err(failure) => {
                self.is_incomplete |= failure == Failure::TooManySteps;
                Outcome::Error { message: failure.describe(self.values) }
            }
        }
    }

    /// A rule that decides, for this request.
    pub(super) fn deciding_rule(&mut self, rule: &'p CompiledRule) -> Instance {
        let [principal, action, resource, _] = self.parts;
        let row = [principal, action, resource].map(Some);
        let found = self.find_instance(rule, &row, Tick::END);
        let reason = self.rule_ref(Reason::Rule(rule));
        match found {
            Some(found) => Instance { rule: reason, ..self.instance(rule, &found, Tick::END, 0) },
            None => Instance { rule: reason, bindings: BTreeMap::new(), clauses: Vec::new() },
        }
    }

    /// The instance of a rule that derives a row, or the one that comes nearest to it.
    pub(super) fn find_instance(
        &mut self,
        rule: &'p CompiledRule,
        row: &[Option<Value>],
        before: Tick,
    ) -> Option<datalog::Instance> {
        let mut solver = Solver::new(&mut *self.values, &self.world, self.parts, self.steps);
        let found = solver.instance(rule, row, before);
        self.steps = solver.steps_left();
        self.is_incomplete |= found.is_err();
        found.ok().flatten()
    }

    fn condition(
        &mut self,
        rule: &'p CompiledRule,
        at: usize,
        found: &datalog::Instance,
        before: Tick,
    ) -> Result<(Condition, Vec<Read>), Stop> {
        self.world.take();
        let mut solver = Solver::new(&mut *self.values, &self.world, self.parts, self.steps);
        let condition = solver.condition(rule, at, found, before);
        self.steps = solver.steps_left();
        Ok((condition?, self.world.take()))
    }

    /// An instance of a rule with its clauses as they are written; those that types alone make are told if they fail.
    pub(super) fn instance(
        &mut self,
        rule: &'p CompiledRule,
        found: &datalog::Instance,
        before: Tick,
        height: usize,
    ) -> Instance {
        let mut shown: Vec<usize> = found.done.iter().copied().filter(|at| *at < rule.goals.len()).collect();
        shown.sort_unstable();
        shown.extend(found.failing);
        let mut clauses = Vec::new();
        for at in shown {
            match self.clause(rule, at, found, before, height) {
                Ok(clause) => clauses.push(clause),
                Err(_) => self.is_incomplete = true,
            }
        }
        let bindings = rule
            .variables
            .iter()
            .zip(&found.slots)
            .filter(|(name, value)| !name.starts_with('_') && **value != Value::UNKNOWN);
        let bindings = bindings.map(|(name, value)| (name.clone(), OwnedValue::of(self.values, *value))).collect();
        let place = self.place(rule.span);
        let rule = RuleRef { id: rule.id.clone(), effect: None, place, annotations: rule.annotations.clone() };
        Instance { rule, bindings, clauses }
    }

    fn clause(
        &mut self,
        rule: &'p CompiledRule,
        at: usize,
        found: &datalog::Instance,
        before: Tick,
        height: usize,
    ) -> Result<Clause, Stop> {
        let (condition, reads) = self.condition(rule, at, found, before)?;
        let (text, span) = match rule.goals.get(at) {
            Some(span) => {
                let text = self.sources.file(span.file).and_then(|file| file.text().get(span.range()));
                (text.unwrap_or_default().to_owned(), *span)
            }
            None => (rule.type_filter(at, self.values), rule.span),
        };
        let facts = match condition.rows {
            Some(rows) => rows.into_iter().map(|(id, row)| self.cite_row(id, row)).collect(),
            None => self.cite(&reads),
        };
        let mut clause = Clause {
            text,
            place: self.place(span),
            outcome: self.outcome(condition.holds),
            value: condition.value.map(|value| OwnedValue::of(self.values, value)),
            facts,
            asked: Vec::new(),
            attempts: Vec::new(),
        };
        let holds = clause.outcome == Outcome::True;
        if let (false, Some((id, row)), []) = (holds, condition.asked, clause.facts.as_slice()) {
            if clause.outcome == Outcome::False {
                clause.asked.push(self.pattern(id, &row, &rule.repeated(at)));
                clause.facts.extend(self.instead(id, &row));
            }
            clause.attempts = self.attempts(id, &row, height + 1);
        }
        Ok(clause)
    }

    /// The value that a key has instead of the one that is asked for.
    fn instead(&mut self, id: PredicateId, row: &[Option<Value>]) -> Option<usize> {
        let n_keys = self.terms.rules.n_keys(id)?;
        let key: Vec<Value> = row.iter().take(n_keys).copied().collect::<Option<_>>()?;
        let rows = &self.world.relation(id)?.rows;
        let at = (0..rows.len()).find(|at| rows.row(*at).starts_with(&key))?;
        self.steps = self.steps.saturating_sub(u64::from(at));
        Some(self.cite_row(id, at))
    }

    /// A row that is asked for, as rules write it; what must be the same in several columns goes by its name.
    fn pattern(&self, id: PredicateId, row: &[Option<Value>], names: &[Option<&str>]) -> String {
        let open = |at: usize| names.get(at).copied().flatten().unwrap_or("_").to_owned();
        let cell = |(at, value): (usize, &Option<Value>)| {
            value.map_or_else(|| open(at), |value| self.values.show_briefly(value))
        };
        let shown: Vec<String> = row.iter().enumerate().map(cell).collect();
        match (id, shown.as_slice()) {
            (Names::IN, [low, high]) => format!("{low} in {high}"),
            _ => format!("{}({})", self.name(id), shown.join(", ")),
        }
    }

    fn name(&self, id: PredicateId) -> Arc<str> {
        let of_query = self.relations.and_then(|relations| relations.predicate(id));
        of_query.map_or_else(|| self.terms.rules.name(id), |of| of.name.as_str().into())
    }

    /// The rules that could derive a row that is not there, as far as they come.
    fn attempts(&mut self, id: PredicateId, row: &[Option<Value>], height: usize) -> Vec<Instance> {
        if limits::ATTEMPTS_HEIGHT_MAX < height {
            return Vec::new();
        }
        let rules: Vec<&'p CompiledRule> = self.terms.rules.rules_for(id).collect();
        let mut attempts = Vec::new();
        for rule in rules {
            if let Some(found) = self.find_instance(rule, row, Tick::END).filter(|found| found.failing.is_some()) {
                attempts.push(self.instance(rule, &found, Tick::END, height));
            }
        }
        attempts
    }

    fn cite(&mut self, reads: &[Read]) -> Vec<usize> {
        let mut cited = Vec::new();
        for read in reads {
            cited.push(match read {
                Read::Row(id, row) => {
                    let Some(at) = self.world.relation(*id).and_then(|relation| relation.rows.find(row)) else {
                        continue;
                    };
                    self.cite_row(*id, at)
                }
                Read::Below(low, high) => self.ledger.cite(Key::Below(*low, *high)),
                Read::Attribute(entity, name, value) => self.ledger.cite(Key::Attribute(*entity, *name, *value)),
                Read::Tag(entity, name, value) => self.ledger.cite(Key::Tag(*entity, *name, *value)),
                Read::NoRow(..) => continue,
            });
        }
        cited
    }

    fn cite_row(&mut self, id: PredicateId, at: RowId) -> usize {
        let row = self.world.relation(id).map(|relation| relation.rows.row(at));
        let key = match row {
            Some([low, high]) if id == Names::IN => Key::Below(*low, *high),
            _ => Key::Row(id, at),
        };
        self.ledger.cite(key)
    }

    /// Explains every fact that was cited, and those that they follow from, until none is left.
    fn settle(&mut self) {
        while let Some(key) = self.ledger.next() {
            let (order, mut fact) = self.fact(key, self.ledger.len() < limits::EXPLAINED_FACTS_MAX);
            fact.atom.row.iter_mut().for_each(shorten);
            self.is_incomplete |= fact.because == Because::Unshown;
            self.ledger.add(order, fact);
        }
    }

    fn fact(&mut self, key: Key, is_within: bool) -> ((Tick, u8), Fact) {
        match key {
            Key::Row(id, at) => self.row(id, at, is_within),
            Key::Parent(child, parent) => {
                let because = self.given(self.terms.facts.place_of(child));
                ((Tick::GIVEN, 0), Fact { atom: self.atom("parent", &[child, parent]), because })
            }
            Key::Below(low, high) => self.below(low, high, is_within),
            Key::Attribute(entity, name, value) => {
                let is_stored = self.world.world.stored(self.values, entity, name) == Member::Is(value);
                let because = if is_stored { self.given(self.terms.facts.place_of(entity)) } else { Because::Request };
                let relation = format!("{}.{}", self.kind(entity), self.values.name(name));
                ((Tick::GIVEN, 0), Fact { atom: self.atom(&relation, &[entity, value]), because })
            }
            Key::Tag(entity, name, value) => {
                let because = self.given(self.terms.facts.place_of(entity));
                let atom = self.atom("getTag", &[entity, name.value(), value]);
                ((Tick::GIVEN, 0), Fact { atom, because })
            }
        }
    }

    fn kind(&self, entity: Value) -> &str {
        let name = |kind: Symbol| self.values.name(kind);
        match self.values.view(entity) {
            View::Entity(kind, _) => name(kind),
            _ => "",
        }
    }

    fn atom(&self, relation: &str, row: &[Value]) -> Atom {
        let row = row.iter().map(|value| OwnedValue::of(self.values, *value)).collect();
        Atom { relation: relation.into(), row }
    }

    fn given(&self, span: Option<Span>) -> Because {
        match span {
            Some(Span::NOWHERE) => Because::Schema,
            Some(span) => Because::Given(self.place(span)),
            None => Because::Request,
        }
    }

    /// A row of a relation: it is given, or some instance of a rule derives it from older ones.
    fn row(&mut self, id: PredicateId, at: RowId, is_within: bool) -> ((Tick, u8), Fact) {
        let Some(relation) = self.world.world.relation(id) else {
            let atom = self.atom(&self.name(id), &[]);
            return ((Tick::GIVEN, 0), Fact { atom, because: Because::Unshown });
        };
        let (row, tick) = (relation.rows.row(at).to_vec(), relation.births.of(at));
        let atom = self.atom(&self.name(id), &row);
        if tick == Tick::GIVEN {
            let because = self.given(relation.places.of(at));
            return ((tick, 0), Fact { atom, because });
        }
        let row: Vec<Option<Value>> = row.into_iter().map(Some).collect();
        let rules: Vec<&'p CompiledRule> = self.terms.rules.rules_for(id).filter(|_| is_within).collect();
        for rule in rules {
            let found = self.find_instance(rule, &row, tick).filter(|found| found.failing.is_none());
            if let Some(found) = found {
                let because = Because::Rule(self.instance(rule, &found, tick, 0));
                return ((tick, 1), Fact { atom, because });
            }
        }
        ((tick, 1), Fact { atom, because: Because::Unshown })
    }

    /// An entity below another, by the shortest way.
    fn below(&mut self, low: Value, high: Value, is_within: bool) -> ((Tick, u8), Fact) {
        let atom = self.atom("in", &[low, high]);
        let relation = self.world.world.relation(Names::IN);
        let found = relation.and_then(|relation| Some(relation.births.of(relation.rows.find(&[low, high])?)));
        let tick = found.unwrap_or(Tick::GIVEN);
        let way = if is_within { self.way(low, high, tick) } else { None };
        let because = match way {
            Some(keys) => Because::Parents { facts: keys.into_iter().map(|key| self.ledger.cite(key)).collect() },
            None => Because::Unshown,
        };
        ((tick, 2), Fact { atom, because })
    }

    /// The shortest way up from one entity to another, by parents that are no younger than `tick`.
    fn way(&mut self, low: Value, high: Value, tick: Tick) -> Option<Vec<Key>> {
        let mut from: BTreeMap<Value, (Value, Key)> = BTreeMap::new();
        let mut pending = std::collections::VecDeque::from([low]);
        while let Some(at) = pending.pop_front() {
            for (parent, key) in self.parents_of(at, tick) {
                self.steps = self.steps.checked_sub(1)?;
                if parent != low && !from.contains_key(&parent) {
                    from.insert(parent, (at, key));
                    pending.push_back(parent);
                }
            }
            if from.contains_key(&high) {
                break;
            }
        }
        let mut way = Vec::new();
        let mut at = high;
        while at != low {
            let (child, key) = *from.get(&at)?;
            way.push(key);
            at = child;
        }
        way.reverse();
        Some(way)
    }

    fn parents_of(&mut self, child: Value, tick: Tick) -> Vec<(Value, Key)> {
        let relation = self.world.world.relation(Names::PARENT).filter(|relation| !relation.rows.is_empty());
        let Some(relation) = relation else {
            let stored = self.terms.facts.stored_parents(self.values, child);
            return stored.iter().map(|parent| (*parent, Key::Parent(child, *parent))).collect();
        };
        let all = self.parents.get_or_insert_with(|| {
            let mut all: BTreeMap<Value, Vec<(Value, RowId)>> = BTreeMap::new();
            for at in 0..relation.rows.len() {
                if let [child, parent] = relation.rows.row(at) {
                    all.entry(*child).or_default().push((*parent, at));
                }
            }
            all
        });
        let n = relation.births.n_before(tick.next(), relation.rows.len());
        let of_child = all.get(&child).into_iter().flatten().filter(|(_, at)| *at < n);
        of_child.map(|(parent, at)| (*parent, Key::Row(Names::PARENT, *at))).collect()
    }
}

fn no_row(read: Read) -> Option<(PredicateId, Vec<Value>)> {
    match read {
        Read::NoRow(id, row) => Some((id, row)),
        _ => None,
    }
}

/// Cuts what is too long to be shown.
fn shorten(value: &mut OwnedValue) {
    if let OwnedValue::Text(text) = value
        && let Some((end, _)) = text.char_indices().nth(limits::SHOWN_CHARS_MAX)
    {
        text.truncate(end);
        text.push('…');
    }
}
