//! Rules as demand takes them: literals over slots and constants, none of which can fail.
//!
//! Where nothing can fail nothing is undetermined, so that what demand finds is all that may be. Rules with other conditions are
//! evaluated in bulk, and their relations are read here like those that are given.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    check::rules::{Names, PredicateId, Slot, Term},
    datalog::{AskKind, Body, CompiledRule, DatalogEngine},
    expr::{Check, Operand},
    facts::Store,
    schema::{Type, Types},
    syntax::rules::Fold,
};

use super::{
    merged::{Member, Merged, merged},
    prefix::{self, Part, split},
    unfold::unfolded,
};

/// A rule, or the rows that are given of a relation that has rules.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::datalog) struct Clause {
    pub(in crate::datalog) args: Vec<Term>,
    pub(in crate::datalog) literals: Vec<Literal>,
    pub(in crate::datalog) n_slots: usize,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::datalog) enum Literal {
    /// Rows of a relation that demand evaluates.
    Call(PredicateId, Vec<Term>),
    /// Rows that are there.
    Rows(PredicateId, Vec<Term>),
    /// No row of a relation that demand evaluates.
    NoCall(PredicateId, Vec<Term>),
    /// No row that is there.
    NoRows(PredicateId, Vec<Term>),
    /// Whether an entity is another or below it, or is not.
    In(bool, Term, Term),
    Test(Check<Term>),
    /// A variable, and what the answers of a clause of its own come to for values of some variables.
    Fold(Slot, Fold, PredicateId, Vec<Term>),
    Is(Slot, Types),
    Let(Slot, Term),
}

/// The relations that demand evaluates, and the rules that decide which it can, with their clauses.
#[derive(Debug, Clone, Default)]
pub(super) struct Shapes {
    pub(super) clauses: BTreeMap<PredicateId, Vec<Clause>>,
    /// Those that read what proofs name, where others answer faster.
    proving: BTreeMap<PredicateId, Vec<Clause>>,
    /// Those that are merged with others, each as it is read from all of them.
    merged: BTreeMap<PredicateId, Clause>,
    /// What stands for all of them.
    members: BTreeMap<PredicateId, Vec<Member>>,
    /// Those whose rules read prefixes, by what stays from call to call.
    splits: BTreeMap<(PredicateId, Pattern), PredicateId>,
    /// What these are parts of: relations that are read in the place of another.
    parts: BTreeMap<PredicateId, Part>,
    components: BTreeMap<PredicateId, usize>,
    n_strata: usize,
    arities: Vec<usize>,
}

impl Literal {
    pub(super) fn terms(&self) -> Vec<Term> {
        match self {
            Self::Call(_, args) | Self::Rows(_, args) | Self::NoCall(_, args) | Self::NoRows(_, args) => args.clone(),
            Self::In(_, left, right) => vec![*left, *right],
            Self::Test(check) => check.operands(),
            Self::Fold(slot, _, _, key) => key.iter().copied().chain([Term::Slot(*slot)]).collect(),
            Self::Is(slot, _) => vec![Term::Slot(*slot)],
            Self::Let(slot, term) => vec![Term::Slot(*slot), *term],
        }
    }

    /// Whether it can be put once these have values.
    fn is_ready(&self, bound: &BTreeSet<Slot>) -> bool {
        let is_known = |term: &Term| slot_of(*term).is_none_or(|slot| bound.contains(&slot));
        match self {
            Self::Call(..) | Self::Rows(..) => true,
            Self::In(true, low, high) => is_known(low) || is_known(high),
            Self::Let(_, term) => is_known(term),
            Self::Fold(_, _, _, key) => key.iter().all(is_known),
            _ => self.terms().iter().all(is_known),
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.terms().into_iter().filter_map(slot_of)
    }
}

pub(in crate::datalog) fn slot_of(term: Term) -> Option<Slot> {
    match term {
        Term::Slot(slot) => Some(slot),
        Term::Constant(_) | Term::Any => None,
    }
}

impl Shapes {
    /// The shapes of rules for these relations, over rows that are given and those that others have.
    pub(super) fn of(engine: &DatalogEngine, store: &impl Store, taken: &BTreeSet<PredicateId>) -> Self {
        let mut clauses: BTreeMap<PredicateId, Vec<Clause>> = BTreeMap::new();
        let mut proving = BTreeMap::new();
        let mut inner = Inner { first: engine.relations.len() + engine.rules.len(), ..Inner::default() };
        for id in taken {
            let of_rules: Vec<Clause> =
                engine.rules_for(*id).filter_map(|rule| rule.clause(taken, &mut inner)).collect();
            let has_given = store.relation(*id).is_some_and(|relation| !relation.places.is_empty());
            let given = has_given.then(|| given(*id, engine.arity(*id)));
            let authored: Vec<Clause> = of_rules.into_iter().chain(given).collect();
            let linear = linear(*id, authored.clone());
            if !linear.iter().all(|clause| authored.contains(clause)) {
                proving.insert(*id, authored);
            }
            clauses.insert(*id, linear);
        }
        let stale = engine.stale(taken);
        for rule in engine.permits().chain(engine.forbids()) {
            if rule.is_plain(store)
                && !rule.body.reads_any(&stale)
                && !rule.body.reads_any(&engine.unsure)
                && let Some(clause) = rule.clause(taken, &mut inner)
            {
                clauses.insert(engine.question(rule), vec![clause]);
            }
        }
        let strata = engine.strata.iter().enumerate();
        let rules = strata.flat_map(|(at, stratum)| stratum.iter().map(move |rule| (*rule, at)));
        let components = rules.filter_map(|(rule, at)| Some((engine.rules.get(rule)?.head, at))).collect();
        let of_relations = engine.relations.iter().map(|info| info.arity);
        let of_questions = engine.rules.iter().map(|_| SUBJECT);
        let of_inner = inner.clauses.iter().map(|clause| clause.args.len());
        let arities = of_relations.chain(of_questions).chain(of_inner).collect();
        let inner_clauses = inner.clauses.into_iter().enumerate();
        clauses.extend(inner_clauses.map(|(at, clause)| (PredicateId(inner.first + at), vec![clause])));
        let n_strata = engine.strata.len();
        let mut shapes = Self { clauses, proving, components, n_strata, arities, ..Self::default() };
        let unfolded = unfolded(&shapes.clauses, |a, b| shapes.component(a) == shapes.component(b));
        for (id, clauses) in unfolded {
            if let Some(before) = shapes.clauses.insert(id, clauses) {
                shapes.proving.entry(id).or_insert(before);
            }
        }
        shapes.merge();
        shapes.split(engine.relations.len());
        shapes
    }

    /// Splits relations for calls from one to the next of which some columns stay the same.
    fn split(&mut self, n_relations: usize) {
        let is_alone = |id: &PredicateId, clauses: &[Clause]| {
            let component = self.component(*id);
            let mut calls = clauses.iter().flat_map(|clause| &clause.literals);
            !calls.any(|of| matches!(of, Literal::Call(to, _) if to != id && self.component(*to) == component))
        };
        let is_taken = |id: &PredicateId, clauses: &[Clause]| {
            id.0 < n_relations && self.arity(*id) <= prefix::COLUMNS_MAX && is_alone(id, clauses)
        };
        let taken = self.clauses.iter().filter(|(id, clauses)| is_taken(id, clauses));
        let taken: Vec<(PredicateId, Vec<Clause>)> = taken.map(|(id, clauses)| (*id, clauses.clone())).collect();
        for (id, clauses) in taken {
            let arity = self.arity(id);
            for bits in 1..(1 << arity) - 1 {
                let (this, first) = (PredicateId(self.arities.len()), PredicateId(self.arities.len() + 1));
                let Some(split) = split((id, &clauses), Pattern(bits), this, first) else { continue };
                self.add(split.clauses);
                self.parts.insert(this, Part::Split(id, Pattern(bits)));
                self.splits.insert((id, Pattern(bits)), this);
                for (key, clauses) in split.prefixes {
                    let prefix = self.add(clauses);
                    self.parts.insert(prefix, Part::Prefix(id, key));
                }
            }
        }
    }

    /// Adds a relation that only others here read.
    fn add(&mut self, clauses: Vec<Clause>) -> PredicateId {
        let id = PredicateId(self.arities.len());
        self.arities.push(clauses.first().map_or(0, |clause| clause.args.len()));
        self.components.insert(id, self.n_strata + id.0);
        self.clauses.insert(id, clauses);
        id
    }

    /// The same relation for calls from one to the next of which these columns stay the same.
    pub(super) fn split_on(&self, id: PredicateId, stays: Pattern) -> Option<PredicateId> {
        self.splits.get(&(id, stays)).copied()
    }

    /// What a relation is a part of, if it is read in the place of another.
    pub(super) fn part(&self, id: PredicateId) -> Option<Part> {
        self.parts.get(&id).copied()
    }

    /// Puts one relation in the place of those that derive one another, for whoever asks for one of them.
    fn merge(&mut self) {
        let mut components: BTreeMap<usize, BTreeMap<PredicateId, &[Clause]>> = BTreeMap::new();
        for (id, clauses) in &self.clauses {
            if let Some(component) = self.component(*id) {
                components.entry(component).or_default().insert(*id, clauses);
            }
        }
        let mut all = Vec::new();
        for of in components.values() {
            let id = PredicateId(self.arities.len() + all.len());
            all.extend(merged(of, id).map(|merged| (id, merged)));
        }
        for (id, Merged { members, clauses, width }) in all {
            self.merged.extend(members.iter().map(|member| (member.id, member.clause(id, width))));
            self.members.insert(id, members);
            self.add(clauses);
        }
    }

    /// A relation that is merged with others, as it is read from all of them.
    pub(super) fn merged(&self, id: PredicateId) -> Option<&Clause> {
        self.merged.get(&id)
    }

    /// The relations that one stands for, if it does.
    pub(super) fn members(&self, id: PredicateId) -> Option<&[Member]> {
        self.members.get(&id).map(Vec::as_slice)
    }

    /// The rules of a relation: to answer questions by, or also to prove what they answer.
    pub(super) fn clauses(&self, id: PredicateId, is_proof: bool) -> Option<&[Clause]> {
        let proving = self.proving.get(&id).filter(|_| is_proof);
        proving.or_else(|| self.clauses.get(&id)).map(Vec::as_slice)
    }

    /// The stratum of a relation: those of one derive one another.
    pub(super) fn component(&self, id: PredicateId) -> Option<usize> {
        self.components.get(&id).copied()
    }

    pub(super) fn arity(&self, id: PredicateId) -> usize {
        self.arities.get(id.0).copied().unwrap_or_default()
    }
}

/// Procedures within one another: compiling and running them recurses.
pub(super) const DEPTH_MAX: usize = 200;
/// Columns of the relations that demand takes: a pattern has a bit for each.
pub(super) const WIDTH_MAX: usize = 16;

/// How many columns a decision has: principal, action and resource.
const SUBJECT: usize = 3;

impl DatalogEngine {
    /// The relations that can be evaluated by demand: their rules cannot fail, and no rule that is evaluated in bulk reads them.
    pub(in crate::datalog) fn demandable(&self, store: &impl Store) -> BTreeSet<PredicateId> {
        let heads = self.strata.iter().flatten().filter_map(|at| self.rules.get(*at)).map(|rule| rule.head);
        let high = self.too_high();
        // What reads what is undetermined may be so, too, once it is derived.
        let is_doubtful = |id: &PredicateId| store.relation(*id).is_some_and(|relation| !relation.doubts.is_empty());
        let doubtful = self.readers_of((0..self.relations.len()).map(PredicateId).filter(is_doubtful).collect());
        let is_taken =
            |id: &PredicateId| self.is_plain(*id, store) && ![&high, &doubtful].iter().any(|of| of.contains(id));
        let mut taken: BTreeSet<PredicateId> = heads.filter(is_taken).collect();
        loop {
            let stale = self.stale(&taken);
            let is_bulk = |rule: &&CompiledRule| {
                !taken.contains(&rule.head) && ![Names::PERMIT, Names::FORBID].contains(&rule.head)
            };
            let mut read = BTreeSet::new();
            for rule in self.rules.iter().filter(is_bulk) {
                rule.body.each_read(&mut |id| {
                    read.insert(id);
                });
            }
            let is_kept =
                |id: &PredicateId| !read.contains(id) && self.rules_for(*id).all(|rule| !rule.body.reads_any(&stale));
            let n_before = taken.len();
            taken = taken.iter().filter(|id| is_kept(id)).copied().collect();
            if taken.len() == n_before {
                return taken;
            }
        }
    }

    /// The relations above more others than procedures may be within one another.
    fn too_high(&self) -> BTreeSet<PredicateId> {
        let mut heights: BTreeMap<PredicateId, usize> = BTreeMap::new();
        for stratum in &self.strata {
            let rules: Vec<&CompiledRule> = stratum.iter().filter_map(|at| self.rules.get(*at)).collect();
            let heads: BTreeSet<PredicateId> = rules.iter().map(|rule| rule.head).collect();
            let mut below = 0;
            for rule in &rules {
                rule.body.each_read(&mut |id| below = below.max(heights.get(&id).copied().unwrap_or_default()));
            }
            // Tables of one stratum may be within each other, one for each pattern; what an aggregate folds is a level of its own, and
            // so is a prefix.
            let is_recursive = rules.iter().any(|rule| rule.body.reads_any(&heads));
            let n_patterns = |id: &PredicateId| 1usize << self.arity(*id).min(WIDTH_MAX);
            let own = if is_recursive { heads.iter().map(n_patterns).sum::<usize>().max(3) } else { 3 };
            heights.extend(heads.into_iter().map(|id| (id, below.saturating_add(own))));
        }
        heights.into_iter().filter(|(_, height)| DEPTH_MAX <= *height).map(|(id, _)| id).collect()
    }

    fn is_plain(&self, id: PredicateId, store: &impl Store) -> bool {
        let is_lasting = self.relations.get(id.0).is_some_and(|info| {
            info.arity <= WIDTH_MAX
                && info.choice.is_none()
                && !info.is_per_request
                && !info.is_materialized
                && !info.is_read_ahead
        });
        is_lasting
            && !self.unsure.contains(&id)
            && ![Names::PERMIT, Names::FORBID, Names::PARENT, Names::IN].contains(&id)
            && self.rules_for(id).all(|rule| rule.is_plain(store))
    }

    /// The relations that may come to be undetermined when what changes does: those with rules that can fail, and those that read them.
    pub(in crate::datalog) fn unsure(&self) -> BTreeSet<PredicateId> {
        let can_fail = |rule: &CompiledRule| {
            !rule.fits.is_empty() || rule.clause(&BTreeSet::new(), &mut Inner::default()).is_none()
        };
        let follows: BTreeSet<PredicateId> = self.changing.values().flatten().copied().collect();
        let is_unsure = |rule: &&CompiledRule| follows.contains(&rule.head) && can_fail(rule);
        let unsure = self.rules.iter().filter(is_unsure).map(|rule| rule.head).collect();
        self.readers_of(unsure)
    }

    /// These relations, and those that rules derive from them, directly or not.
    fn readers_of(&self, mut these: BTreeSet<PredicateId>) -> BTreeSet<PredicateId> {
        loop {
            let n_before = these.len();
            let readers = self.rules.iter().filter(|rule| rule.body.reads_any(&these)).map(|rule| rule.head);
            let readers: Vec<PredicateId> = readers.collect();
            these.extend(readers);
            if these.len() == n_before {
                return these;
            }
        }
    }

    /// The relations that a request may derive anew in bulk: what is kept of their rows may not be all.
    fn stale(&self, taken: &BTreeSet<PredicateId>) -> BTreeSet<PredicateId> {
        let of_guests = self.known.iter().flat_map(|of| of.followers.iter().copied()).filter(|id| !taken.contains(id));
        of_guests.chain(self.request_relations()).collect()
    }

    /// Whether what a relation has depends on a request: then it is no relation, or derived for each.
    pub(in crate::datalog) fn is_question_of_requests(&self, id: PredicateId) -> bool {
        [Names::PERMIT, Names::FORBID].contains(&id) || self.request_relations().any(|of| of == id)
    }

    /// The name of a relation, or of what stands for a rule that decides.
    pub(super) fn name_of_question(&self, id: PredicateId) -> String {
        match id.0.checked_sub(self.relations.len()).and_then(|at| self.rules.get(at)) {
            Some(rule) => format!("{} {}", self.name(rule.head), rule.id),
            None if self.relations.len() <= id.0 => "aggregate".to_owned(),
            None => self.name(id).to_string(),
        }
    }

    /// What stands for a rule that decides where a relation does.
    pub(super) fn question(&self, rule: &CompiledRule) -> PredicateId {
        PredicateId(self.relations.len() + rule.at)
    }
}

/// Clauses of which `p(X, Z) :- p(X, Y), p(Y, Z)` is made `p(X, Z) :- q(X, Y), p(Y, Z)` for each other clause with the body `q`:
/// the closure is the same, and demand goes along it (Troy, Yu and Zhang, "Linearization of nonlinear recursive rules", 1989).
pub(in crate::datalog) fn linear(id: PredicateId, clauses: Vec<Clause>) -> Vec<Clause> {
    let reads_itself =
        |clause: &Clause| clause.literals.iter().any(|of| matches!(of, Literal::Call(to, _) if *to == id));
    let (recursive, exits): (Vec<Clause>, Vec<Clause>) = clauses.into_iter().partition(reads_itself);
    let [clause] = recursive.as_slice() else { return recursive.into_iter().chain(exits).collect() };
    match clause.as_transitive(id) {
        Some(columns) => exits.iter().map(|exit| exit.then_itself(id, columns)).chain(exits.iter().cloned()).collect(),
        None => recursive.into_iter().chain(exits).collect(),
    }
}

impl Clause {
    /// Whether each condition can be put once others are answered, and the head is known then.
    fn is_safe(&self, given: &[Term]) -> bool {
        let mut bound: BTreeSet<Slot> = given.iter().copied().filter_map(slot_of).collect();
        let mut left: Vec<&Literal> = self.literals.iter().collect();
        loop {
            let (ready, waiting): (Vec<_>, Vec<_>) = left.into_iter().partition(|literal| literal.is_ready(&bound));
            bound.extend(ready.iter().flat_map(|literal| literal.slots()));
            left = waiting;
            if ready.is_empty() {
                break;
            }
        }
        left.is_empty() && self.args.iter().copied().filter_map(slot_of).all(|slot| bound.contains(&slot))
    }

    /// The columns of X and of Z, of a rule `p(…, X, …, Z, …) :- p(…, X, …, Y, …), p(…, Y, …, Z, …)`.
    fn as_transitive(&self, id: PredicateId) -> Option<[usize; 2]> {
        match self.literals.as_slice() {
            [Literal::Call(of_first, first), Literal::Call(of_second, second)]
                if [*of_first, *of_second] == [id, id] =>
            {
                self.chain(first, second).or_else(|| self.chain(second, first))
            }
            _ => None,
        }
    }

    fn chain(&self, first: &[Term], second: &[Term]) -> Option<[usize; 2]> {
        let (mut sources, mut targets, mut slots) = (Vec::new(), Vec::new(), BTreeSet::new());
        for ((at, of_head), (of_first, of_second)) in self.args.iter().enumerate().zip(first.iter().zip(second)) {
            match (of_head == of_first, of_head == of_second) {
                (true, true) => {}
                (true, false) => sources.push((at, of_second)),
                (false, true) => targets.push((at, of_first)),
                (false, false) => return None,
            }
            slots.insert(slot_of(*of_head)?);
        }
        let ([(source, begins)], [(target, ends)]) = (sources.as_slice(), targets.as_slice()) else { return None };
        // Each variable says nothing else.
        let is_chain = begins == ends && slot_of(**ends).is_some_and(|slot| slots.insert(slot));
        (is_chain && slots.len() == self.args.len() + 1).then_some([*source, *target])
    }

    /// The rule that goes on with its own relation where an exit has come.
    pub(super) fn then_itself(&self, id: PredicateId, [source, target]: [usize; 2]) -> Self {
        let end = Term::Slot(Slot(self.n_slots));
        let put = |column: usize, term: Term, args: &[Term]| {
            args.iter().enumerate().map(|(at, arg)| if at == column { term } else { *arg }).collect::<Vec<_>>()
        };
        let args = put(target, end, &self.args);
        let mid = self.args.get(target).copied().unwrap_or(end);
        let rest = Literal::Call(id, put(source, mid, &args));
        let literals = self.literals.iter().cloned().chain([rest]).collect();
        Self { args, literals, n_slots: self.n_slots + 1 }
    }
}

/// Clauses of aggregates, each in the place of a relation.
#[derive(Debug, Default)]
pub(in crate::datalog) struct Inner {
    pub(in crate::datalog) first: usize,
    pub(in crate::datalog) clauses: Vec<Clause>,
    /// Whether sums are taken, which can fail: then whoever takes them has to see to it.
    pub(in crate::datalog) takes_sums: bool,
}

impl Inner {
    fn add(&mut self, clause: Clause) -> PredicateId {
        self.clauses.push(clause);
        PredicateId(self.first + self.clauses.len() - 1)
    }
}

/// The rows of a relation that are given beside what its rules derive.
pub(in crate::datalog) fn given(id: PredicateId, arity: usize) -> Clause {
    let args: Vec<Term> = (0..arity).map(|at| Term::Slot(Slot(at))).collect();
    Clause { args: args.clone(), literals: vec![Literal::Rows(id, args)], n_slots: arity }
}

impl CompiledRule {
    /// Whether no condition of the rule can fail, and none reads what is undetermined.
    fn is_plain(&self, store: &impl Store) -> bool {
        self.fits.is_empty()
            && !self.body.reads_doubts(store)
            && self.clause(&BTreeSet::new(), &mut Inner::default()).is_some()
    }

    /// Whether no condition of the rule can fail but that a sum may be too large, and none reads what is undetermined.
    pub(in crate::datalog) fn is_maintained(&self, store: &impl Store) -> bool {
        let mut inner = Inner { takes_sums: true, ..Inner::default() };
        self.fits.is_empty() && !self.body.reads_doubts(store) && self.clause(&BTreeSet::new(), &mut inner).is_some()
    }

    pub(in crate::datalog) fn clause(&self, taken: &BTreeSet<PredicateId>, inner: &mut Inner) -> Option<Clause> {
        let literals = self.literals(&self.body, taken, inner)?;
        let clause = Clause { args: self.args.clone(), literals, n_slots: self.variables.len() };
        let given = [Names::PERMIT, Names::FORBID].contains(&self.head).then(|| clause.args.clone());
        clause.is_safe(&given.unwrap_or_default()).then_some(clause)
    }

    // Recurses once per aggregate within another, whose nesting was limited.
    fn literals(&self, body: &Body, taken: &BTreeSet<PredicateId>, inner: &mut Inner) -> Option<Vec<Literal>> {
        let mut literals = Vec::new();
        for ask in &body.asks {
            literals.push(match &ask.kind {
                AskKind::Atom(id, args) if taken.contains(id) => Literal::Call(*id, args.to_vec()),
                AskKind::Atom(id, args) => Literal::Rows(*id, args.to_vec()),
                AskKind::Not(inner) => match &inner.kind {
                    AskKind::Atom(id, args) if taken.contains(id) => Literal::NoCall(*id, args.to_vec()),
                    AskKind::Atom(id, args) => Literal::NoRows(*id, args.to_vec()),
                    AskKind::In(left, right, is_entity) => self.hierarchy(false, [*left, *right], *is_entity)?,
                    _ => return None,
                },
                AskKind::In(left, right, is_entity) => self.hierarchy(true, [*left, *right], *is_entity)?,
                AskKind::Guard(expr) => {
                    let check = expr.as_check()?;
                    let is_long = |of: &Operand| self.is_long(*of);
                    if !check.ordered().iter().all(is_long) {
                        return None;
                    }
                    Literal::Test(check.map(&mut term))
                }
                AskKind::Is(slot, types) => Literal::Is(*slot, types.clone()),
                AskKind::Bind(slot, expr) => Literal::Let(*slot, term(expr.as_operand()?)),
                AskKind::Aggregate { result, fold, tuple, body, .. } => {
                    let folds_longs = || tuple.first().is_some_and(|slot| self.is_long(Operand::Local(slot.0)));
                    match fold {
                        Fold::Count => {}
                        Fold::Min | Fold::Max if folds_longs() => {}
                        Fold::Sum if inner.takes_sums && folds_longs() => {}
                        // Sums overflow, and sets are values of their own.
                        _ => return None,
                    }
                    let literals = self.literals(body, taken, inner)?;
                    let key: Vec<Term> = ask.needs.iter().copied().map(Term::Slot).collect();
                    let args: Vec<Term> = key.iter().copied().chain(tuple.iter().copied().map(Term::Slot)).collect();
                    let clause = Clause { args, literals, n_slots: self.variables.len() };
                    if WIDTH_MAX < clause.args.len() || !clause.is_safe(&key) {
                        return None;
                    }
                    Literal::Fold(*result, *fold, inner.add(clause), key)
                }
            });
        }
        Some(literals)
    }
}

impl CompiledRule {
    /// Who is in what, where both are entities for sure.
    fn hierarchy(&self, wanted: bool, [low, high]: [Term; 2], is_entity: bool) -> Option<Literal> {
        let are_entities = |slot: Slot| self.types.get(slot.0).is_some_and(Types::are_entities);
        // A value on the left is an entity, or the rule would have been refused; one on the right may be a set.
        let low_is_one = slot_of(low).is_none_or(are_entities);
        let high_is_one = slot_of(high).map_or(is_entity, are_entities);
        // Everything is in something: in itself.
        let is_about_any = [low, high].contains(&Term::Any);
        let literal = match (is_about_any, wanted) {
            (false, _) => Literal::In(wanted, low, high),
            (true, true) => Literal::Test(Check::All(Vec::new())),
            (true, false) => Literal::Test(Check::Any(Vec::new())),
        };
        (low_is_one && high_is_one).then_some(literal)
    }

    fn is_long(&self, of: Operand) -> bool {
        match of {
            Operand::Constant(value) => value.is_small_integer(),
            Operand::Local(slot) => self.types.get(slot).and_then(Types::single) == Some(&Type::Long),
        }
    }
}

fn term(operand: Operand) -> Term {
    match operand {
        Operand::Constant(value) => Term::Constant(value),
        Operand::Local(slot) => Term::Slot(Slot(slot)),
    }
}

/// Which columns of a relation are given: a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pattern(pub(super) u32);

impl Pattern {
    pub(super) fn of(columns: impl IntoIterator<Item = usize>) -> Self {
        Self(columns.into_iter().fold(0, |bits, at| bits | 1 << at))
    }

    pub(super) fn has(self, column: usize) -> bool {
        self.0 >> column & 1 == 1
    }

    /// Whether all of so many columns are given.
    pub(super) fn is_all(self, arity: usize) -> bool {
        self == Self::of(0..arity)
    }

    /// What stands in the given columns, and in the others.
    pub(super) fn split<T: Copy>(self, row: &[T]) -> (Vec<T>, Vec<T>) {
        let (given, open): (Vec<_>, Vec<_>) = row.iter().copied().enumerate().partition(|(at, _)| self.has(*at));
        (given.into_iter().map(|(_, of)| of).collect(), open.into_iter().map(|(_, of)| of).collect())
    }
}
