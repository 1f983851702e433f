//! Builds an explanation: reasons to instances, instances to facts, and facts to what they follow from.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{EntityRef, OwnedValue, Pool, Scratch, Sources, Span, Stats, Value, Values as _, limits},
    check::rules::{CheckedRules, Names, PredicateId},
    datalog::{self, CompiledRule, Condition, Solver, Stop, Wanted},
    decide::{Bound, Reason, Request, RequestWorld, Terms, Why, bind},
    expr::{Evaluator, Failure, Want},
    facts::{RowId, Store as _, Tick},
    policy::{Part, Policy, Text},
};

use super::{
    Clause, Counted, ExplainOptions, Explanation, Failed, Instance, Minimal, Outcome, Place, Proof, RuleRef,
    ledger::{Ledger, renumber},
    minimal::Chosen,
    missing::Try,
    recorder::{Read, Recorder},
};

/// Adds to an explanation all that there is beside the decision.
pub(super) fn explain(
    terms: Terms<'_>,
    (pool, sources): (&Arc<Pool>, &Sources),
    (request, options): (&Request, ExplainOptions),
    mut explanation: Explanation,
) -> Explanation {
    let Ok(mut bound) = bind(terms, request) else { return explanation };
    bound.keep_rows();
    let (reasons, steps) = terms.reasons_of(&mut bound);
    let mut builder = Builder::new(terms, (pool, sources), &mut bound, steps);
    builder.is_incomplete = reasons.is_incomplete;
    explanation.ignored = reasons.ignored;
    explanation.n_rows_touched = reasons.n_touched;
    explanation.unknown = builder.unknown();
    let is_proven = matches!(explanation.decision.why, Why::AllowedBy(_) | Why::ForbiddenBy(_));
    let is_minimal = options.is_minimal && is_proven;
    let smallest = if is_minimal { builder.smallest_reason(&reasons.determining) } else { None };
    let all = || reasons.determining.iter().map(|reason| builder.reason(*reason)).collect();
    explanation.determining = smallest.unwrap_or_else(all);
    let failed = reasons.failed.into_iter();
    let failed = failed.map(|(reason, message)| {
        let instance = if is_minimal { builder.named(reason) } else { builder.reason(reason) };
        Failed { instance, message }
    });
    explanation.failed = failed.collect();
    let failed: Vec<_> = explanation.failed.iter().map(|of| of.instance.rule.id.clone()).collect();
    match explanation.decision.why {
        Why::NotPermitted => {
            (explanation.candidates, explanation.candidates_beyond) =
                builder.candidates((request, options, false), &failed);
        }
        Why::AllowedBy(_) if is_minimal => explanation.forbids_beyond = builder.n_forbids(&failed),
        Why::AllowedBy(_) => (explanation.forbids, explanation.forbids_beyond) = builder.forbids(&failed),
        Why::ForbiddenBy(_) if options.n_missing.is_some() => {
            let permits = reasons.forbidden.iter().map(|reason| RuleRef::of(*reason, sources));
            explanation.forbidden = permits.collect();
            if explanation.forbidden.is_empty() {
                (explanation.candidates, explanation.candidates_beyond) =
                    builder.candidates((request, options, true), &failed);
            }
        }
        Why::ForbiddenBy(_) | Why::Error(_) => {}
    }
    builder.settle();
    explanation.is_incomplete = builder.is_incomplete || builder.world.is_cut();
    explanation.stats.explanation = builder.stats(reasons.n_touched);
    let is_smallest = is_minimal.then(|| builder.is_smallest());
    let places = builder.ledger.finish(&mut explanation.facts);
    explanation.minimal = is_smallest.map(|is_proven| Minimal::of(&explanation.facts, is_proven));
    explanation.renumber(&places);
    explanation
}

/// Adds to an explanation what determines the decision and what failed, by name and place.
pub(super) fn outline(
    terms: Terms<'_>,
    sources: &Sources,
    request: &Request,
    mut explanation: Explanation,
) -> Explanation {
    let reasons = terms.reasons(request);
    let named = |reason: Reason<'_>| Instance {
        rule: RuleRef::of(reason, sources),
        bindings: BTreeMap::new(),
        clauses: Vec::new(),
    };
    explanation.determining = reasons.determining.into_iter().map(named).collect();
    let failed = reasons.failed.into_iter();
    explanation.failed = failed.map(|(reason, message)| Failed { instance: named(reason), message }).collect();
    explanation.ignored = reasons.ignored;
    explanation.is_incomplete = reasons.is_incomplete;
    explanation.n_rows_touched = reasons.n_touched;
    explanation
}

impl RuleRef {
    pub(super) fn of(reason: Reason<'_>, sources: &Sources) -> Self {
        Self {
            id: reason.id().clone(),
            effect: Some(reason.effect()),
            place: Place::of(reason.span(), sources),
            annotations: reason.annotations().clone(),
        }
    }
}

impl Place {
    fn of(span: Span, sources: &Sources) -> Self {
        let path = sources.file(span.file).map_or_else(|| "".into(), |file| file.path.clone());
        let at = sources.place(span);
        Self { path, line: at.line, column: at.column }
    }
}

pub(super) fn prove<'p>(
    (terms, relations): (Terms<'p>, &CheckedRules),
    (pool, sources): (&Arc<Pool>, &Sources),
    bound: &mut Bound<'p>,
    (rule, options, attempt): (&'p CompiledRule, ExplainOptions, Try<'_>),
) -> Proof {
    let mut builder = Builder::new(terms, (pool, sources), bound, limits::EXPLANATION_STEPS_MAX);
    builder.relations = Some(relations);
    let row = vec![None; rule.n_args()];
    let found = builder.find_instance(rule, &row, Tick::END);
    let is_minimal = options.is_minimal && found.as_ref().is_some_and(|found| found.failing.is_none());
    let smallest = if is_minimal { builder.smallest_instance(rule) } else { None };
    let found = smallest.or(found);
    let mut proof = Proof {
        holds: found.as_ref().is_some_and(|found| found.failing.is_none()),
        columns: Vec::new(),
        bindings: BTreeMap::new(),
        clauses: Vec::new(),
        facts: Vec::new(),
        is_incomplete: false,
        minimal: None,
        why_not: None,
        stats: Stats::default(),
    };
    if let Some(found) = found {
        let Instance { bindings, clauses, .. } = builder.instance(rule, &found, Tick::END, 0);
        (proof.bindings, proof.clauses) = (bindings, clauses);
    }
    if !proof.holds && options.n_missing.is_some() {
        let wanted = [Wanted::Row(rule, row)];
        proof.why_not = Some(builder.within(&wanted, options.n_missing, attempt));
    }
    builder.settle();
    proof.is_incomplete = builder.is_incomplete || builder.world.is_cut();
    proof.stats = builder.stats(0);
    let is_smallest = is_minimal.then(|| builder.is_smallest());
    let places = builder.ledger.finish(&mut proof.facts);
    proof.minimal = is_smallest.map(|is_proven| Minimal::of(&proof.facts, is_proven));
    renumber(&mut proof.clauses, &places);
    proof.why_not.iter_mut().for_each(|of| of.renumber(&places));
    proof
}

pub(super) struct Builder<'x, 'p> {
    pub(super) terms: Terms<'p>,
    pub(super) pool: &'x Arc<Pool>,
    pub(super) sources: &'x Sources,
    pub(super) values: &'x mut Scratch<'p>,
    pub(super) world: Recorder<'x, RequestWorld<'p>>,
    pub(super) parts: [Value; 4],
    pub(super) steps: u64,
    /// Rows that were looked at.
    pub(super) n_touched: u64,
    pub(super) ledger: Ledger,
    /// The relations that a query is about: those of the rules and its own.
    relations: Option<&'x CheckedRules>,
    /// The rows of `parent` by child, once they were asked for.
    pub(super) parents: Option<BTreeMap<Value, Vec<(Value, RowId)>>>,
    /// Whether rules are tried for what does not hold.
    pub(super) tries_rules: bool,
    /// How many more rules may be tried for what does not hold.
    attempts_left: usize,
    /// The rows whose rules are being tried, each for the sake of the one before.
    sought: Vec<(PredicateId, Vec<Option<Value>>)>,
    /// How many more bytes of values may be shown.
    pub(super) bytes_left: usize,
    pub(super) is_incomplete: bool,
    /// The smallest proof, if that is what is shown.
    pub(super) chosen: Option<Chosen<'p>>,
    /// Whether something kept a smaller proof from being found.
    pub(super) is_cut: bool,
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
            n_touched: 0,
            ledger: Ledger::default(),
            relations: None,
            parents: None,
            tries_rules: true,
            attempts_left: limits::ATTEMPTS_MAX,
            sought: Vec::new(),
            bytes_left: limits::EXPLANATION_BYTES_MAX,
            is_incomplete: false,
            chosen: None,
            is_cut: false,
        }
    }

    /// The principal and the resource, if nothing but the request names them.
    fn unknown(&self) -> Vec<EntityRef> {
        let [principal, _, resource, _] = self.parts;
        let entities = [principal, resource].into_iter().filter(|entity| entity.is_local());
        let mut unknown: Vec<_> = entities.filter_map(|entity| EntityRef::of(self.values, entity)).collect();
        unknown.dedup();
        unknown
    }

    /// What was taken so far; of the rows that were looked at before, there were so many.
    fn stats(&self, n_touched: u64) -> Stats {
        let n_asked = self.world.world.session.n_taken();
        let steps = limits::EXPLANATION_STEPS_MAX.saturating_sub(self.steps) + n_asked;
        Stats::new(steps, n_touched + self.n_touched + n_asked)
    }

    pub(super) fn reason(&mut self, reason: Reason<'p>) -> Instance {
        match reason {
            Reason::Policy(policy) => self.policy(policy),
            Reason::Rule(rule) => self.deciding_rule(rule),
        }
    }

    /// A value to be shown; `"…"` once values of so many bytes are.
    pub(super) fn own(&mut self, value: Value) -> OwnedValue {
        match OwnedValue::within(self.values, value, &mut self.bytes_left) {
            Some(value) => value,
            None => {
                self.is_incomplete = true;
                OwnedValue::Text("…".to_owned())
            }
        }
    }

    /// A text to be shown; `…` once there is no room for it.
    fn text(&mut self, text: &str) -> String {
        match self.bytes_left.checked_sub(text.len()) {
            Some(left) => {
                self.bytes_left = left;
                text.to_owned()
            }
            None => {
                self.is_incomplete = true;
                "…".to_owned()
            }
        }
    }

    pub(super) fn place(&self, span: Span) -> Place {
        Place::of(span, self.sources)
    }

    /// A policy with all its clauses.
    fn policy(&mut self, policy: &'p Policy) -> Instance {
        let rule = RuleRef::of(Reason::Policy(policy), self.sources);
        let mut is_reached = true;
        let mut clauses = Vec::new();
        for (part, (text, span)) in policy.parts().into_iter().zip(policy.texts(self.values)) {
            let is_asked = is_reached || !matches!(part, Part::Condition(..));
            let clause = self.part(policy, part, (&text, span), is_asked);
            is_reached &= clause.outcome == Outcome::True;
            clauses.push(clause);
        }
        Instance { rule, bindings: BTreeMap::new(), clauses }
    }

    /// A part of a policy, with its operands if it has some.
    // Recurses once per level of the expression, whose height is limited.
    fn part(&mut self, policy: &'p Policy, part: Part, (text, span): (&Text, Span), is_asked: bool) -> Clause {
        let mut clause = Clause {
            text: self.text(&text.text),
            place: self.place(span),
            outcome: Outcome::Unreached,
            value: None,
            facts: Vec::new(),
            counted: None,
            asked: Vec::new(),
            attempts: Vec::new(),
            operands: Vec::new(),
        };
        if !is_asked {
            return clause;
        }
        self.world.take();
        let mut evaluator = Evaluator::new(&mut *self.values, &self.world, self.parts, self.steps);
        let answer = policy.test(part, &mut evaluator);
        self.steps = evaluator.steps_left();
        let reads = self.world.take();
        clause.outcome = self.outcome(answer);
        clause.facts = self.cite(&reads);
        match policy.operands(part) {
            Some((is_all, operands)) if operands.len() == text.operands.len() => {
                let mut is_asked = true;
                for (part, text) in operands.into_iter().zip(&text.operands) {
                    let operand = self.part(policy, part, (text, span), is_asked);
                    is_asked &= operand.outcome == if is_all { Outcome::True } else { Outcome::False };
                    clause.operands.push(operand);
                }
            }
            _ => self.want(policy, part, &mut clause),
        }
        clause
    }

    /// Adds the rows for want of which a part is what it is, and if it is false, the rules that could have derived them.
    fn want(&mut self, policy: &'p Policy, part: Part, clause: &mut Clause) {
        let is_denied = matches!(part, Part::Condition(_, true));
        if clause.outcome != Outcome::False && !(is_denied && clause.outcome == Outcome::True) {
            return;
        }
        let mut evaluator = Evaluator::new(&mut *self.values, &self.world, self.parts, self.steps);
        let wants = policy.wants(part, &mut evaluator, limits::ASKED_MAX + 1);
        self.steps = evaluator.steps_left();
        self.world.take();
        self.is_incomplete |= limits::ASKED_MAX < wants.len();
        for want in wants.into_iter().take(limits::ASKED_MAX) {
            let (id, row) = match want {
                Want::Row(relation, row) => (PredicateId(relation), row),
                Want::Below(low, high) => (Names::IN, vec![low, high]),
                Want::NoRow(..) | Want::NotBelow(..) => continue,
            };
            let row: Vec<_> = row.into_iter().map(Some).collect();
            clause.asked.push(self.pattern(id, &row, &[]));
            if clause.outcome == Outcome::False {
                clause.attempts.extend(self.attempts(id, &row, 1));
            }
        }
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
    fn deciding_rule(&mut self, rule: &'p CompiledRule) -> Instance {
        let [principal, action, resource, _] = self.parts;
        let row = [principal, action, resource].map(Some);
        let found = self.find_instance(rule, &row, Tick::END);
        let reason = RuleRef::of(Reason::Rule(rule), self.sources);
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
        (self.steps, self.n_touched) = (solver.steps_left(), self.n_touched + solver.n_touched());
        self.is_incomplete |= found.is_err();
        found.ok().flatten()
    }

    pub(super) fn condition(
        &mut self,
        rule: &'p CompiledRule,
        at: usize,
        found: &datalog::Instance,
        before: Tick,
    ) -> Result<(Condition, Vec<Read>), Stop> {
        self.world.take();
        let mut solver = Solver::new(&mut *self.values, &self.world, self.parts, self.steps);
        let condition = solver.condition(rule, at, found, before);
        (self.steps, self.n_touched) = (solver.steps_left(), self.n_touched + solver.n_touched());
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
        let bindings: Vec<(String, Value)> = bindings.map(|(name, value)| (name.clone(), *value)).collect();
        let bindings = bindings.into_iter().map(|(name, value)| (name, self.own(value))).collect();
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
                (self.text(text.unwrap_or_default()), *span)
            }
            None => (rule.type_filter(at, self.values), rule.span),
        };
        self.is_incomplete |= condition.is_cut;
        let rows = self.rows_of(&condition).into_iter();
        let mut facts: Vec<usize> = rows.filter_map(|(id, row)| self.cite_row(id, row)).collect();
        for fact in self.cite(&reads) {
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
        let mut clause = Clause {
            text,
            place: self.place(span),
            outcome: self.outcome(condition.holds),
            value: condition.value.map(|value| self.own(value)),
            facts,
            counted: condition.counted.map(|counted| self.counted(counted)),
            asked: Vec::new(),
            attempts: Vec::new(),
            operands: Vec::new(),
        };
        let holds = clause.outcome == Outcome::True;
        if let (Some((id, row)), []) = (condition.asked, clause.facts.as_slice()) {
            let open_places = rule.open_places(at, condition.is_of_other_types, self.values);
            let is_of_nothing = clause.counted.is_some();
            if holds && (is_of_nothing || rule.denies(at)) || clause.outcome == Outcome::False {
                clause.asked.push(self.pattern(id, &row, &open_places));
            }
            if clause.outcome == Outcome::False {
                clause.facts.extend(self.instead(id, &row));
            }
            if !holds {
                clause.attempts = self.attempts(id, &row, height + 1);
            }
        }
        Ok(clause)
    }

    fn counted(&mut self, of: datalog::Counted) -> Counted {
        let datalog::Counted { columns, tuples, n_tuples } = of;
        let own = |row: Vec<Value>| row.into_iter().map(|value| self.own(value)).collect();
        let mut tuples: Vec<Vec<OwnedValue>> = tuples.into_iter().map(own).collect();
        tuples.sort();
        Counted { columns, beyond: n_tuples - tuples.len(), tuples }
    }

    /// The value that a key has instead of the one that is asked for.
    fn instead(&mut self, id: PredicateId, row: &[Option<Value>]) -> Option<usize> {
        let n_keys = self.terms.rules.n_keys(id)?;
        let key: Vec<Value> = row.iter().take(n_keys).copied().collect::<Option<_>>()?;
        if self.world.world.is_demanded(id) {
            let of_row = row.iter().enumerate().map(|(at, value)| value.filter(|_| at < n_keys));
            let found = self.world.world.demanded(self.values, id, &of_row.collect::<Vec<_>>(), Tick::END).ok()?;
            return self.cite_row(id, found.first()?.0);
        }
        let rows = &self.world.world.relation(id)?.rows;
        self.steps = self.steps.checked_sub(u64::from(rows.len()))?;
        let at = (0..rows.len()).find(|at| rows.row(*at).starts_with(&key))?;
        self.cite_row(id, at)
    }

    /// A row that is asked for, as rules write it, with what stands for values that are open.
    fn pattern(&self, id: PredicateId, row: &[Option<Value>], open_places: &[String]) -> String {
        let open = |at: usize| open_places.get(at).cloned().unwrap_or_else(|| "_".to_owned());
        let cell = |(at, value): (usize, &Option<Value>)| {
            value.map_or_else(|| open(at), |value| self.values.show_briefly(value))
        };
        let shown: Vec<String> = row.iter().enumerate().map(cell).collect();
        match (id, shown.as_slice()) {
            (Names::IN, [low, high]) => format!("{low} in {high}"),
            _ => format!("{}({})", self.name(id), shown.join(", ")),
        }
    }

    pub(super) fn name(&self, id: PredicateId) -> Arc<str> {
        let of_query = self.relations.and_then(|relations| relations.predicate(id));
        of_query.map_or_else(|| self.terms.rules.name(id), |of| of.name.as_str().into())
    }

    /// The rules that could derive a row that is not there, as far as they come. For its own sake it is not sought once more.
    fn attempts(&mut self, id: PredicateId, row: &[Option<Value>], height: usize) -> Vec<Instance> {
        let rules: Vec<&'p CompiledRule> = self.terms.rules.rules_for(id).filter(|_| self.tries_rules).collect();
        if limits::ATTEMPTS_HEIGHT_MAX < height {
            self.is_incomplete |= !rules.is_empty();
            return Vec::new();
        }
        if self.sought.iter().any(|(of, sought)| *of == id && sought == row) {
            return Vec::new();
        }
        self.sought.push((id, row.to_vec()));
        let mut attempts = Vec::new();
        for rule in rules {
            let Some(n_left) = self.attempts_left.checked_sub(1) else {
                self.is_incomplete = true;
                break;
            };
            self.attempts_left = n_left;
            if let Some(found) = self.find_instance(rule, row, Tick::END).filter(|found| found.failing.is_some()) {
                attempts.push(self.instance(rule, &found, Tick::END, height));
            }
        }
        self.sought.pop();
        attempts
    }
}
