//! Rules as maintenance takes them: conditions over tables, none of which can fail, and the strata that they make.
//!
//! A relation that has rules and may be given rows besides is two tables: what is given, and what is there. `in` is a relation like
//! any other here, with two rules over `parent`; that everything is in itself is a case of its own of each rule that asks.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::Span,
    check::rules::{Names, PredicateId, Slot, Term},
    datalog::{
        DatalogEngine,
        demand::shape::{self, Inner, given, linear, slot_of},
    },
    expr::Check,
    facts::Store,
    schema::Types,
    syntax::rules::Fold,
};

/// Questions of `in` in one rule: each doubles its cases.
const QUESTIONS_MAX: usize = 4;

/// A rule, or one case of it.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    /// Which rule, in words.
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) head: usize,
    pub(super) args: Vec<Term>,
    pub(super) literals: Vec<Literal>,
    pub(super) n_slots: usize,
}

/// A condition.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    /// Rows of a table.
    Rows(usize, Vec<Term>),
    /// No row of a table.
    No(usize, Vec<Term>),
    Test(Check<Term>),
    Is(Slot, Types),
    /// Two are one; either may have its value from the other.
    Same(Term, Term),
    /// A variable is the value of an aggregate.
    Fold(Slot, usize),
}

/// An aggregate: for each key, what is made of the tuples of all cases.
#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub(super) fold: Fold,
    pub(super) key: Vec<Slot>,
    pub(super) tuple: Vec<Term>,
    pub(super) cases: Vec<Vec<Literal>>,
    pub(super) n_slots: usize,
}

/// A table: rows that are given, or rows that are there of a relation that has rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Given(PredicateId),
    Derived(PredicateId),
}

/// Everything that is maintained, and from what.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) tables: Vec<(Part, usize)>,
    /// The names of their relations.
    pub(super) names: Vec<String>,
    pub(super) clauses: Vec<Clause>,
    pub(super) aggregates: Vec<Aggregate>,
    /// Tables with rules, those that derive one another together, those that others read first.
    pub(super) strata: Vec<Vec<usize>>,
    known: BTreeMap<Part, usize>,
}

impl Literal {
    /// Whether it may hold of other values when rows have changed.
    pub(super) fn can_change(&self) -> bool {
        matches!(self, Self::Rows(..) | Self::No(..) | Self::Fold(..))
    }

    pub(super) fn terms(&self, aggregates: &[Aggregate]) -> Vec<Term> {
        match self {
            Self::Rows(_, args) | Self::No(_, args) => args.clone(),
            Self::Test(check) => check.operands(),
            Self::Is(slot, _) => vec![Term::Slot(*slot)],
            Self::Same(a, b) => vec![*a, *b],
            Self::Fold(result, of) => {
                let key = aggregates.get(*of).map(|of| of.key.as_slice()).unwrap_or_default();
                key.iter().chain([result]).copied().map(Term::Slot).collect()
            }
        }
    }

    pub(super) fn slots(&self, aggregates: &[Aggregate]) -> impl Iterator<Item = Slot> + use<> {
        self.terms(aggregates).into_iter().filter_map(slot_of)
    }
}

impl Rules {
    /// The rules of those of `wanted` that can be maintained, and of all that they read; without those that are left out.
    pub(super) fn of(
        (engine, store): (&DatalogEngine, &impl Store),
        wanted: &BTreeSet<PredicateId>,
        left_out: &BTreeSet<PredicateId>,
    ) -> Self {
        let mut left_out = left_out.clone();
        loop {
            let taken = maintainable(engine, store, wanted, &left_out);
            let rules = Self::take(engine, &taken);
            match rules.and_then(Self::stratified) {
                Ok(mut rules) => {
                    let name = |(part, _): &(Part, usize)| match part {
                        Part::Given(id) | Part::Derived(id) => engine.name(*id).to_string(),
                    };
                    rules.names = rules.tables.iter().map(name).collect();
                    return rules;
                }
                Err(id) => drop(left_out.insert(id)),
            }
        }
    }

    pub(super) fn table(&self, part: Part) -> Option<usize> {
        self.known.get(&part).copied()
    }

    fn table_of(&mut self, part: Part, arity: usize) -> usize {
        let next = self.tables.len();
        let at = *self.known.entry(part).or_insert(next);
        if at == next {
            self.tables.push((part, arity));
        }
        at
    }

    /// The clauses of these relations; an error names one that is none of those after all.
    fn take(engine: &DatalogEngine, taken: &BTreeSet<PredicateId>) -> Result<Self, PredicateId> {
        let mut rules = Self::default();
        for id in taken {
            if *id == Names::IN {
                rules.take_hierarchy(taken.contains(&Names::PARENT));
                continue;
            }
            let arity = engine.arity(*id);
            let head = rules.table_of(Part::Derived(*id), arity);
            let mut inner = Inner { first: 0, clauses: Vec::new(), takes_sums: true };
            let mut of_rules = Vec::new();
            for rule in engine.rules_for(*id) {
                of_rules.push((rule.clause(taken, &mut inner).ok_or(*id)?, (rule.name.clone(), rule.span)));
            }
            let place = of_rules.first().map_or_else(|| (String::new(), Span::NOWHERE), |(_, place)| place.clone());
            of_rules.push((given(*id, arity), place.clone()));
            // A closure over itself becomes one over its other rules, each of which stands where it did.
            let clauses: Vec<shape::Clause> = of_rules.iter().map(|(clause, _)| clause.clone()).collect();
            for clause in linear(*id, clauses) {
                let of_rule = of_rules.iter().find(|(of, _)| of.args == clause.args && of.n_slots == clause.n_slots);
                let (name, span) = of_rule.map_or_else(|| place.clone(), |(_, place)| place.clone());
                for literals in rules.cases(&clause.literals, (&inner.clauses, engine)).ok_or(*id)? {
                    let (args, n_slots) = (clause.args.clone(), clause.n_slots);
                    rules.clauses.push(Clause { name: name.clone(), span, head, args, literals, n_slots });
                }
            }
        }
        Ok(rules)
    }

    /// `in(X, Y) :- parent(X, Y). in(X, Z) :- in(X, Y), parent(Y, Z).`
    fn take_hierarchy(&mut self, is_derived: bool) {
        let part = if is_derived { Part::Derived } else { Part::Given };
        let [parent, head] = [part(Names::PARENT), Part::Derived(Names::IN)].map(|part| self.table_of(part, 2));
        let [x, y, z] = [0, 1, 2].map(|slot| Term::Slot(Slot(slot)));
        let clause = |args: [Term; 2], literals: Vec<Literal>| {
            let name = "who is in what".to_owned();
            Clause { name, span: Span::NOWHERE, head, args: args.to_vec(), literals, n_slots: 3 }
        };
        self.clauses.push(clause([x, y], vec![Literal::Rows(parent, vec![x, y])]));
        let steps = vec![Literal::Rows(head, vec![x, y]), Literal::Rows(parent, vec![y, z])];
        self.clauses.push(clause([x, z], steps));
    }

    /// The conditions of a clause, once for each way in which somebody may be in something: by being it, or by being below it.
    // Recurses once per aggregate within another, whose nesting was limited.
    fn cases(
        &mut self,
        literals: &[shape::Literal],
        (inner, engine): (&[shape::Clause], &DatalogEngine),
    ) -> Option<Vec<Vec<Literal>>> {
        let mut cases = vec![Vec::new()];
        let arity = |id: PredicateId| engine.arity(id);
        for literal in literals {
            let both = match literal {
                shape::Literal::Call(id, args) => {
                    [Some(Literal::Rows(self.table_of(Part::Derived(*id), arity(*id)), args.clone())), None]
                }
                shape::Literal::Rows(id, args) => {
                    [Some(Literal::Rows(self.table_of(Part::Given(*id), arity(*id)), args.clone())), None]
                }
                shape::Literal::NoCall(id, args) => {
                    [Some(Literal::No(self.table_of(Part::Derived(*id), arity(*id)), args.clone())), None]
                }
                shape::Literal::NoRows(id, args) => {
                    [Some(Literal::No(self.table_of(Part::Given(*id), arity(*id)), args.clone())), None]
                }
                shape::Literal::In(wanted, low, high) => {
                    let below = self.table_of(Part::Derived(Names::IN), 2);
                    if *wanted {
                        let below = Literal::Rows(below, vec![*low, *high]);
                        [Some(Literal::Same(*low, *high)), Some(below)]
                    } else {
                        let differ = Check::Not(Box::new(Check::Equal(*low, *high)));
                        for case in &mut cases {
                            case.push(Literal::Test(differ.clone()));
                        }
                        [Some(Literal::No(below, vec![*low, *high])), None]
                    }
                }
                shape::Literal::Test(check) => [Some(Literal::Test(check.clone())), None],
                shape::Literal::Is(slot, types) => [Some(Literal::Is(*slot, types.clone())), None],
                shape::Literal::Let(slot, term) => [Some(Literal::Same(Term::Slot(*slot), *term)), None],
                shape::Literal::Fold(result, fold, of, key) => {
                    let clause = inner.get(of.0)?;
                    let of_inner = self.cases(&clause.literals, (inner, engine))?;
                    self.aggregates.push(Aggregate {
                        fold: *fold,
                        key: key.iter().copied().filter_map(slot_of).collect(),
                        tuple: clause.args.get(key.len()..)?.to_vec(),
                        cases: of_inner,
                        n_slots: clause.n_slots,
                    });
                    [Some(Literal::Fold(*result, self.aggregates.len() - 1)), None]
                }
            };
            let with = |case: &Vec<Literal>, literal: &Literal| {
                case.iter().chain([literal]).cloned().collect::<Vec<Literal>>()
            };
            let each = |literal: &Literal| cases.iter().map(|case| with(case, literal)).collect::<Vec<_>>();
            cases = both.iter().flatten().flat_map(each).collect();
            if 1 << QUESTIONS_MAX < cases.len() {
                return None;
            }
        }
        Some(cases)
    }

    /// Which tables a literal reads, and whether it must be complete for that.
    fn reads(&self, literal: &Literal, is_complete: bool, visit: &mut dyn FnMut(usize, bool)) {
        match literal {
            Literal::Rows(of, _) => visit(*of, is_complete),
            Literal::No(of, _) => visit(*of, true),
            Literal::Fold(_, of) => {
                let cases = self.aggregates.get(*of).map(|of| of.cases.as_slice()).unwrap_or_default();
                cases.iter().flatten().for_each(|literal| self.reads(literal, true, visit));
            }
            Literal::Test(_) | Literal::Is(..) | Literal::Same(..) => {}
        }
    }

    /// The same with its strata; an error names a relation that would have to be complete before it is.
    fn stratified(mut self) -> Result<Self, PredicateId> {
        let n = self.tables.len();
        let mut reads: Vec<BTreeMap<usize, bool>> = vec![BTreeMap::new(); n];
        for clause in &self.clauses {
            let Some(of_head) = reads.get_mut(clause.head) else { continue };
            for literal in &clause.literals {
                self.reads(literal, false, &mut |of, is_complete| *of_head.entry(of).or_default() |= is_complete);
            }
        }
        let mut reached: Vec<BTreeSet<usize>> = Vec::with_capacity(n);
        for from in 0..n {
            let (mut seen, mut pending) = (BTreeSet::new(), vec![from]);
            while let Some(at) = pending.pop() {
                let next = reads.get(at).into_iter().flat_map(BTreeMap::keys).copied();
                pending.extend(next.filter(|of| seen.insert(*of)));
            }
            reached.push(seen);
        }
        let is_below = |to: usize, from: usize| reached.get(from).is_some_and(|seen| seen.contains(&to));
        let mut heads: Vec<usize> = self.clauses.iter().map(|clause| clause.head).collect();
        // Who reads more comes later; who derive one another read the same, and follow each other.
        let first_of = |head: usize| reached.get(head).into_iter().flatten().copied().find(|of| is_below(head, *of));
        heads
            .sort_by_key(|head| (reached.get(*head).map_or(0, BTreeSet::len), first_of(*head).unwrap_or(*head), *head));
        heads.dedup();
        for head in heads {
            let together =
                self.strata.last_mut().filter(|last| last.iter().all(|of| is_below(head, *of) && is_below(*of, head)));
            let of_head = reads.get(head).into_iter().flatten();
            if of_head.filter(|(_, is_complete)| **is_complete).any(|(of, _)| is_below(head, *of))
                && let Some((Part::Derived(id) | Part::Given(id), _)) = self.tables.get(head)
            {
                return Err(*id);
            }
            match together {
                Some(together) => together.push(head),
                None => self.strata.push(vec![head]),
            }
        }
        Ok(self)
    }
}

/// The relations that can be maintained, of those wanted and all that they read.
fn maintainable(
    engine: &DatalogEngine,
    store: &impl Store,
    wanted: &BTreeSet<PredicateId>,
    left_out: &BTreeSet<PredicateId>,
) -> BTreeSet<PredicateId> {
    let has_rules = |id: PredicateId| engine.rules_for(id).next().is_some();
    let reads = |id: PredicateId| {
        let mut read = BTreeSet::new();
        for rule in engine.rules_for(id) {
            rule.body.each_read(&mut |of| {
                read.insert(of);
            });
        }
        if id == Names::IN {
            read.insert(Names::PARENT);
        }
        read
    };
    let is_derived = |id: PredicateId| id == Names::IN || has_rules(id);
    let mut all: BTreeSet<PredicateId> = BTreeSet::new();
    let mut pending: Vec<PredicateId> = wanted.iter().copied().collect();
    while let Some(id) = pending.pop() {
        if is_derived(id) && all.insert(id) {
            pending.extend(reads(id));
        }
    }
    let is_possible = |id: &PredicateId| {
        let info = engine.relations.get(id.0);
        !left_out.contains(id)
            && ![Names::PERMIT, Names::FORBID].contains(id)
            && info.is_some_and(|info| info.choice.is_none() && !info.is_per_request)
            && store.relation(*id).is_none_or(|relation| relation.doubts.is_empty())
            && engine.rules_for(*id).all(|rule| rule.is_maintained(store))
    };
    all.retain(is_possible);
    loop {
        let is_kept = |id: &PredicateId| {
            reads(*id).iter().all(|of| all.contains(of) || !(is_derived(*of) || engine.is_question_of_requests(*of)))
        };
        let kept: BTreeSet<PredicateId> = all.iter().filter(|id| is_kept(id)).copied().collect();
        if kept.len() == all.len() {
            return kept;
        }
        all = kept;
    }
}
