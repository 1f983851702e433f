//! Rules at work: what follows from the facts, and what rules decide.
//!
//! ```text
//!   checked rules ─▶ bodies of asks ─▶ plans (an order, and an index for each ask) ─▶ solve: what is certain
//!                                                                                  └▶ doubt: what may be
//! ```
//!
//! Two models are kept. What is *certain* follows from rows that are there and guards that are true. What *may be* also follows
//! where a guard has no value. A row between the two is undetermined: it grants nothing, and where a decision rests on its
//! absence the decision is a denial. Both are least fixpoints, stratum by stratum, so that neither depends on the order of the
//! text.

mod bulk;
mod counted;
mod demand;
mod derive;
mod doubt;
mod fold;
mod goal;
mod instance;
mod maintain;
mod missing;
mod plan;
mod solve;
mod suppose;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    base::{Pool, Span, Value, Values, View, limits},
    check::rules::{
        CheckedRules, Column, Goal, GoalKind, Guard, KnownType, Names, PredicateId, PredicateKind, Rule, Slot, Term,
    },
    diag::{Code, Finding, Findings},
    expr::{self, Expr},
    facts::{RowId, Store},
    schema::{Type, Types},
    syntax::rules::{Choice, Fold},
};

pub use counted::Counted;
pub use demand::{Demand, PlannedDemand, PlannedProcedure, PlannedRule, QueryPlan, Session};
pub use derive::{Bound, Bounds, DeriveError, Strata, Work, derive, derive_ahead, give, insert};
pub use goal::{Answer, Answers};
pub use instance::{Condition, Instance};
pub use maintain::{Change, Changes, MaintainError, Maintained, RowList};
pub use missing::{Blocked, Missing, Offer, Wanted};
pub use solve::{Solver, Stop};
pub use suppose::suppose;

/// How many rows a relation is taken to have that gets them while it serves.
const LIVE_ROWS: RowId = 1_000_000;

/// Rules, compiled.
#[derive(Debug, Default)]
pub struct DatalogEngine {
    /// The rules, by their places.
    pub rules: Vec<CompiledRule>,
    strata: Vec<Vec<usize>>,
    request_strata: Vec<Vec<usize>>,
    /// The relations whose rows depend on the request.
    of_requests: Vec<PredicateId>,
    permits: Vec<usize>,
    forbids: Vec<usize>,
    /// The types whose known entities rules ask for.
    pub known: Vec<KnownType>,
    /// The relations whose given rows may change while this serves, each with what follows from it.
    pub changing: BTreeMap<PredicateId, BTreeSet<PredicateId>>,
    /// The relations that may come to be undetermined when they change.
    unsure: BTreeSet<PredicateId>,
    /// What is known of each relation.
    relations: Vec<RelationInfo>,
    names: BTreeMap<String, PredicateId>,
}

/// What evaluation needs to know of a relation.
#[derive(Debug, Clone)]
struct RelationInfo {
    name: Arc<str>,
    arity: usize,
    is_per_request: bool,
    /// How many columns are the key, and which value of several counts.
    choice: Option<(usize, Choice)>,
    /// The columns that rules look rows up by.
    indexes: Vec<Box<[usize]>>,
    /// What it takes, if files or the API give its rows.
    giving: Option<Giving>,
    /// How many columns are the key, if there is one value for each.
    n_keys: Option<usize>,
    /// Whether its author wants it derived ahead.
    is_materialized: bool,
    /// Whether an expression in a rule that is evaluated ahead reads it.
    is_read_ahead: bool,
}

/// What a relation takes whose rows files or the API give.
#[derive(Debug, Clone)]
struct Giving {
    /// The types of its columns.
    types: Vec<Types>,
}

/// A rule, compiled.
#[derive(Debug)]
pub struct CompiledRule {
    /// Its place among the rules.
    at: usize,
    /// Its identity.
    pub id: Arc<str>,
    /// Where it stands.
    pub span: Span,
    /// What is said about it.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// The relation that it derives.
    pub head: PredicateId,
    args: Vec<Term>,
    /// The types of the columns whose values may be of others, where nothing says which types they are of.
    fits: Vec<(usize, Types)>,
    body: Body,
    /// An order for each recursive ask, that one first and over new rows alone; before them the order over all rows.
    plans: Vec<Plan>,
    /// The indexes that are made when they are needed, which they seldom are.
    late: Vec<(PredicateId, Box<[usize]>)>,
    /// The names of its variables; those that begin with `_` were made up.
    pub variables: Vec<String>,
    /// What its variables may be: an ask sees to it where something else could be bound to one.
    types: Vec<Types>,
    /// Where each condition of the body stands.
    pub goals: Vec<Span>,
    /// Which rule, in words: the beginning of every cause.
    name: String,
}

/// The asks of a body; their order says nothing.
#[derive(Debug)]
struct Body {
    asks: Vec<Ask>,
}

/// A condition, with the variables that must be bound before it can be asked.
#[derive(Debug)]
struct Ask {
    kind: AskKind,
    needs: Vec<Slot>,
}

#[derive(Debug)]
enum AskKind {
    Atom(PredicateId, Box<[Term]>),
    /// Whether the second is for sure no set.
    In(Term, Term, bool),
    Guard(Expr),
    Bind(Slot, Expr),
    /// The variable is of these types: a filter on what an atom or `in` binds.
    Is(Slot, Types),
    Not(Box<Ask>),
    Aggregate {
        result: Slot,
        fold: Fold,
        tuple: Vec<Slot>,
        body: Body,
        plan: Plan,
    },
}

/// An order of asks.
#[derive(Debug, Clone, Default)]
struct Plan {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    ask: usize,
    /// For an atom, the columns whose values are known when it is asked.
    columns: Box<[usize]>,
    /// Whether only new rows count.
    is_delta: bool,
}

impl DatalogEngine {
    /// Compiles checked rules for facts like those of `store`. What cannot be compiled is a finding.
    pub fn compile(
        checked: &CheckedRules,
        place: &impl Fn(Span) -> String,
        store: &impl Store,
        values: &mut Pool,
        findings: &mut Findings,
    ) -> Self {
        let relations = checked.predicates.iter().enumerate().map(|(at, predicate)| RelationInfo {
            name: predicate.name.as_str().into(),
            arity: predicate.columns.len(),
            is_per_request: predicate.is_per_request,
            choice: predicate.key.and_then(|key| Some((key.n_columns, key.choice?))),
            indexes: if predicate.is_attribute && 1 < predicate.columns.len() {
                vec![Box::from([0])]
            } else {
                Vec::new()
            },
            giving: (matches!(predicate.kind, PredicateKind::Base | PredicateKind::Live)
                && predicate.template.is_none())
            .then(|| Giving { types: predicate.columns.iter().map(|column| column.types.clone()).collect() }),
            n_keys: match predicate.kind {
                PredicateKind::Stored(..) => Some(1),
                _ => predicate.key.map(|key| key.n_columns),
            },
            is_materialized: predicate.is_materialized,
            is_read_ahead: checked.read_ahead.contains(&PredicateId(at)),
        });
        let mut engine = Self { relations: relations.collect(), ..Self::default() };
        let relations = engine.relations.iter().enumerate().filter(|(_, info)| info.is_per_request);
        engine.of_requests = relations.map(|(at, _)| PredicateId(at)).collect();
        engine.strata.clone_from(&checked.strata);
        engine.request_strata.clone_from(&checked.request_strata);
        engine.known.clone_from(&checked.known);
        engine.changing.clone_from(&checked.changing);
        let names = checked.predicates.iter().enumerate().map(|(at, of)| (of.name.clone(), PredicateId(at)));
        engine.names = names.collect();
        // What rules derive may be as large as all that is given.
        let n_given = (0..checked.predicates.len()).map(|at| n_rows(store, PredicateId(at))).max().unwrap_or_default();
        let derived: BTreeSet<PredicateId> = checked.rules.iter().map(|rule| rule.head).collect();
        // So may what comes while this serves be, and more.
        let live = |id| if checked.changing.contains_key(&id) { LIVE_ROWS } else { 0 };
        let size = |id| live(id).max(if derived.contains(&id) { n_given } else { n_rows(store, id) });
        for rule in &checked.rules {
            let mut parts = Compiler { checked, rule, size: &size, values, findings };
            let fits = parts.fits();
            let Some(body) = parts.body(&rule.body, true) else { continue };
            let compiled = CompiledRule {
                at: engine.rules.len(),
                id: rule.id.clone(),
                span: rule.span,
                annotations: rule.annotations.clone(),
                head: rule.head,
                args: rule.args.clone(),
                fits,
                body,
                plans: Vec::new(),
                late: Vec::new(),
                variables: rule.variables.iter().map(|variable| variable.name.clone()).collect(),
                types: rule.variables.iter().map(|variable| variable.types.clone()).collect(),
                goals: rule.body.iter().map(|goal| goal.span).collect(),
                name: format!("the rule {} ({})", rule.id, place(rule.span)),
            };
            engine.add(compiled);
        }
        engine.plan(&size, |_| true);
        Self { unsure: engine.unsure(), ..engine }
    }

    fn add(&mut self, rule: CompiledRule) {
        match rule.head {
            Names::PERMIT => self.permits.push(self.rules.len()),
            Names::FORBID => self.forbids.push(self.rules.len()),
            _ => {}
        }
        self.rules.push(rule);
    }

    /// Plans what is derived for each request anew, now that all else is there.
    pub fn plan_for_requests(&mut self, store: &impl Store) {
        let relations = self.relations.clone();
        let is_per_request = |rule: &CompiledRule| {
            [Names::PERMIT, Names::FORBID].contains(&rule.head)
                || relations.get(rule.head.0).is_some_and(|info| info.is_per_request)
        };
        let changing = self.changing.clone();
        let size = |id: PredicateId| n_rows(store, id).max(if changing.contains_key(&id) { LIVE_ROWS } else { 0 });
        self.plan(&size, is_per_request);
    }

    /// Makes the plans of rules.
    fn plan(&mut self, size: &impl Fn(PredicateId) -> RowId, is_wanted: impl Fn(&CompiledRule) -> bool) {
        let mut heads_of: BTreeMap<usize, Vec<PredicateId>> = BTreeMap::new();
        for stratum in self.strata.iter().chain(&self.request_strata) {
            let heads: Vec<PredicateId> =
                stratum.iter().filter_map(|at| self.rules.get(*at)).map(|rule| rule.head).collect();
            heads_of.extend(stratum.iter().map(|at| (*at, heads.clone())));
        }
        let mut rules = std::mem::take(&mut self.rules);
        for (at, rule) in rules.iter_mut().enumerate().filter(|(_, rule)| is_wanted(rule)) {
            let heads = heads_of.get(&at).map_or(&[][..], Vec::as_slice);
            rule.plan(heads, size);
            rule.late = rule.late_indexes(heads);
            self.note_indexes(rule);
        }
        self.rules = rules;
    }

    /// Makes the indexes that the rules need.
    pub fn prepare(&self, store: &mut impl Store) {
        for (at, info) in self.relations.iter().enumerate() {
            for columns in &info.indexes {
                derive::index(store, PredicateId(at), columns);
            }
        }
    }

    fn giving(&self, id: PredicateId) -> Option<&Giving> {
        self.relations.get(id.0)?.giving.as_ref()
    }

    /// How many columns of a relation are its key, if there is one value for each.
    #[must_use]
    pub fn n_keys(&self, id: PredicateId) -> Option<usize> {
        self.relations.get(id.0)?.n_keys
    }

    /// The name of a relation.
    #[must_use]
    pub fn name(&self, id: PredicateId) -> Arc<str> {
        self.relations.get(id.0).map_or_else(|| "".into(), |info| info.name.clone())
    }

    /// The rules that derive a relation.
    pub fn rules_for(&self, head: PredicateId) -> impl Iterator<Item = &CompiledRule> {
        self.rules.iter().filter(move |rule| rule.head == head)
    }

    /// How many columns a relation has.
    #[must_use]
    pub fn arity(&self, id: PredicateId) -> usize {
        self.relations.get(id.0).map_or(0, |info| info.arity)
    }

    /// Whether what a rule derives depends on the request.
    #[must_use]
    pub fn is_per_request(&self, rule: &CompiledRule) -> bool {
        [Names::PERMIT, Names::FORBID].contains(&rule.head)
            || self.relations.get(rule.head.0).is_some_and(|info| info.is_per_request)
    }

    /// The relation of this name.
    #[must_use]
    pub fn relation(&self, name: &str) -> Option<PredicateId> {
        self.names.get(name).copied()
    }

    fn note_indexes(&mut self, rule: &CompiledRule) {
        let mut needed = Vec::new();
        for plan in &rule.plans {
            plan.indexes(&rule.body, &mut needed);
        }
        needed.retain(|index| !rule.late.contains(index));
        for (id, columns) in needed {
            if let Some(info) = self.relations.get_mut(id.0)
                && !info.indexes.contains(&columns)
                && columns.len() < info.arity
            {
                info.indexes.push(columns);
            }
        }
    }

    /// Whether there is any rule that decides, or that depends on the request.
    #[must_use]
    pub fn concerns_requests(&self) -> bool {
        !(self.request_strata.is_empty() && self.permits.is_empty() && self.forbids.is_empty())
    }

    /// The rules that forbid.
    pub fn forbids(&self) -> impl Iterator<Item = &CompiledRule> {
        self.forbids.iter().filter_map(|at| self.rules.get(*at))
    }

    /// The rules that permit.
    pub fn permits(&self) -> impl Iterator<Item = &CompiledRule> {
        self.permits.iter().filter_map(|at| self.rules.get(*at))
    }

    /// The relations whose rows depend on the request.
    pub fn request_relations(&self) -> impl Iterator<Item = PredicateId> {
        self.of_requests.iter().copied()
    }
}

struct Compiler<'a> {
    checked: &'a CheckedRules,
    rule: &'a Rule,
    /// How many rows a relation may have.
    size: &'a dyn Fn(PredicateId) -> RowId,
    values: &'a mut Pool,
    findings: &'a mut Findings,
}

impl Compiler<'_> {
    /// Compiles a body. Every goal is tried, so that each has its finding.
    fn body(&mut self, goals: &[Goal], is_outermost: bool) -> Option<Body> {
        let asks: Vec<_> = goals.iter().map(|goal| self.ask(goal)).collect();
        let mut asks = asks.into_iter().collect::<Option<Vec<_>>>()?;
        self.add_filters(goals, is_outermost, &mut asks);
        Some(Body { asks })
    }

    /// A variable may be of fewer types than the column or hierarchy that gives it values.
    fn add_filters(&self, goals: &[Goal], is_outermost: bool, asks: &mut Vec<Ask>) {
        let mut wide: Vec<Slot> = Vec::new();
        let mut note = |slot: Slot, given: &Types| {
            let types = self.rule.variables.get(slot.0).map(|variable| &variable.types);
            if types.is_some_and(|types| !given.is_within(types)) && !wide.contains(&slot) {
                wide.push(slot);
            }
        };
        for goal in goals {
            match &goal.kind {
                GoalKind::Atom(id, args) => {
                    let columns = self.checked.predicate(*id).map(|of| of.columns.as_slice()).unwrap_or_default();
                    for (column, arg) in columns.iter().zip(args) {
                        if let Term::Slot(slot) = arg {
                            note(*slot, &column.types);
                        }
                    }
                }
                GoalKind::In(left, right) => {
                    for side in [left, right] {
                        if let Term::Slot(slot) = side {
                            note(*slot, &Types::Any);
                        }
                    }
                }
                _ => {}
            }
        }
        // What a request gives is of any type.
        if is_outermost && [Names::PERMIT, Names::FORBID].contains(&self.rule.head) {
            for arg in &self.rule.args {
                if let Term::Slot(slot) = arg {
                    note(*slot, &Types::Any);
                }
            }
        }
        for slot in wide {
            let Some(variable) = self.rule.variables.get(slot.0) else { continue };
            let kind = AskKind::Is(slot, variable.types.clone());
            asks.push(Ask { kind, needs: vec![slot] });
        }
    }

    /// The columns of the head whose values may be of other types than they take.
    fn fits(&self) -> Vec<(usize, Types)> {
        if [Names::PERMIT, Names::FORBID].contains(&self.rule.head) {
            return Vec::new();
        }
        let columns = self.checked.predicate(self.rule.head).map(|of| of.columns.as_slice()).unwrap_or_default();
        let may_misfit = |(column, arg): (&Column, &Term)| match arg {
            Term::Slot(slot) => {
                let variable = self.rule.variables.get(slot.0);
                variable.is_some_and(|variable| !variable.types.is_within(&column.types))
            }
            Term::Constant(_) | Term::Any => false,
        };
        let open = columns.iter().zip(&self.rule.args).enumerate().filter(|(_, of)| may_misfit(*of));
        open.map(|(at, (column, _))| (at, column.types.clone())).collect()
    }

    // Recurses once per aggregate within another, whose nesting was limited.
    fn ask(&mut self, goal: &Goal) -> Option<Ask> {
        let slots = |guard: &Guard| guard.slots.iter().map(|(_, slot)| *slot).collect::<Vec<_>>();
        let (kind, needs) = match &goal.kind {
            GoalKind::Atom(id, args) => (AskKind::Atom(*id, args.as_slice().into()), Vec::new()),
            GoalKind::In(left, right) => {
                // What may be a set waits for what gives it its value.
                let is_entity = self.is_entity(*right);
                let waits = slots_of(*right).filter(|_| !is_entity).collect();
                (AskKind::In(*left, *right, is_entity), waits)
            }
            GoalKind::Guard(guard) => match guard.type_test() {
                Some((slot, kind)) => {
                    let kind = self.values.symbol(kind);
                    (AskKind::Is(slot, Types::one(Type::Entity(kind))), vec![slot])
                }
                None => (AskKind::Guard(self.expr(guard, goal.span)?), slots(guard)),
            },
            GoalKind::Bind(slot, guard) => (AskKind::Bind(*slot, self.expr(guard, goal.span)?), slots(guard)),
            GoalKind::Not(inner) => {
                let mut needs = Vec::new();
                inner.each_slot(&mut |slot| needs.push(slot));
                (AskKind::Not(Box::new(self.ask(inner)?)), needs)
            }
            GoalKind::Aggregate(aggregate) => {
                let body = self.body(&aggregate.body, false)?;
                let plan = plan::order(&body, &aggregate.outer, None, self.size);
                let (result, fold, tuple) = (aggregate.result, aggregate.fold, aggregate.tuple.clone());
                (AskKind::Aggregate { result, fold, tuple, body, plan }, aggregate.outer.clone())
            }
        };
        Some(Ask { kind, needs })
    }

    /// Whether a term is an entity for sure.
    fn is_entity(&self, term: Term) -> bool {
        match term {
            Term::Slot(slot) => !self.rule.may_be_set(slot),
            Term::Constant(value) => matches!(self.values.view(value), View::Entity(..)),
            Term::Any => true,
        }
    }

    fn expr(&mut self, guard: &Guard, span: Span) -> Option<Expr> {
        let slots: Vec<_> =
            guard.slots.iter().map(|(name, slot)| (name.clone(), u32::try_from(slot.0).unwrap_or(u32::MAX))).collect();
        match expr::compile_guard(&guard.expr, &slots, self.values) {
            Ok(expr) => Some(expr),
            Err(expr::TooHigh) => {
                let message = format!("this expression is more than {} levels high", limits::EXPRESSION_HEIGHT_MAX);
                self.findings.push(Finding::new(Code::ExpressionTooHigh, span, message).help("split the rule"));
                None
            }
        }
    }
}

fn slots_of(term: Term) -> impl Iterator<Item = Slot> {
    match term {
        Term::Slot(slot) => Some(slot),
        Term::Constant(_) | Term::Any => None,
    }
    .into_iter()
}

/// A conjunction of conditions to be answered with the rows of its variables: a query.
#[derive(Debug)]
pub struct Query {
    rule: CompiledRule,
}

impl Query {
    /// Compiles a query that was checked as a rule.
    pub fn compile(
        checked: &CheckedRules,
        rule: &Rule,
        store: &impl Store,
        values: &mut Pool,
        findings: &mut Findings,
    ) -> Option<Self> {
        let size = |id: PredicateId| n_rows(store, id);
        let body = Compiler { checked, rule, size: &size, values, findings }.body(&rule.body, true)?;
        let plans = vec![plan::order(&body, &[], None, &size)];
        let rule = CompiledRule {
            at: 0,
            id: rule.id.clone(),
            span: rule.span,
            annotations: rule.annotations.clone(),
            head: rule.head,
            args: rule.args.clone(),
            fits: Vec::new(),
            body,
            plans,
            late: Vec::new(),
            variables: rule.variables.iter().map(|variable| variable.name.clone()).collect(),
            types: Vec::new(),
            goals: rule.body.iter().map(|goal| goal.span).collect(),
            name: "the query".to_owned(),
        };
        Some(Self { rule })
    }

    /// The rule that the query is.
    #[must_use]
    pub fn rule(&self) -> &CompiledRule {
        &self.rule
    }

    /// The ways that the query looks rows up: relations with columns.
    #[must_use]
    pub fn indexes(&self) -> Vec<(PredicateId, Box<[usize]>)> {
        let mut needed = Vec::new();
        for plan in &self.rule.plans {
            plan.indexes(&self.rule.body, &mut needed);
        }
        needed
    }
}

fn n_rows(store: &impl Store, id: PredicateId) -> RowId {
    store.relation(id).map_or(0, |relation| relation.rows.len())
}

/// A value or the sign that there is none yet.
fn is_known(value: Value) -> bool {
    value != Value::UNKNOWN
}
