//! From clauses to procedures: what recursion does to the columns of a key, and what follows for each rule.
//!
//! | rule | condition | becomes |
//! |---|---|---|
//! | exit | no recursive literal | answers, over what is demanded |
//! | tail | the open columns pass unchanged and are used nowhere else | an edge from demand to demand |
//! | forward | the given columns pass unchanged; those that demand varies are used nowhere else | a step from answer to answer |
//!
//! With all columns given every rule with one recursive literal is a tail rule, so that it does not matter at which end authors
//! write their recursion. Relations that derive one another are put as one, of which the same is true. Where a rule is nothing of this,
//! the procedure is tabled.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::Values,
    check::rules::{PredicateId, Slot, Term},
    facts::Store,
};

use super::{
    code::{Bind, Closure, Code, Group, Operand, Procedure, Step, Trial, are_distinct, of_row},
    lookup::{Lookup, Wanted},
    plan::Planned,
    reach::Edge,
    scratch::Scratch,
    shape::{Clause, DEPTH_MAX, Literal, Pattern, Shapes, slot_of},
    trial::{TRIAL_PASSED, TRIAL_STEPS_MAX},
};

/// Steps that a question may take at the least before it is asked in another way.
const BUDGET_MIN: u64 = 1_000;
/// What a call of a table is taken to cost, and to give for each column that is open, while it cannot be tried.
pub(super) const TABLE: Trial = Trial { work: 60.0, n_worst: 0, once: 0.0, n_answers: 4.0 };

pub(super) struct Compiler<'c, S, V> {
    pub(super) shapes: &'c Shapes,
    pub(super) store: &'c S,
    pub(super) values: &'c V,
    pub(super) built: Built,
    /// What finds the rows that are wanted, in the store.
    pub(super) lookups: Vec<Lookup>,
    pub(super) mode: Mode,
    depth: usize,
    /// The components whose tables are being compiled, the innermost last.
    tabling: Vec<usize>,
    /// Tables that are not tried yet, because others of their component are not compiled.
    untried: Vec<usize>,
    /// Whether one of them cannot be compiled.
    broken: bool,
    /// What closures along edges take at most.
    pub(super) reached: BTreeMap<Vec<Edge>, f64>,
    pub(super) scratch: Scratch,
}

/// What has been compiled; places in it stay what they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Built {
    pub(super) procedures: Vec<Procedure>,
    pub(super) closures: Vec<Closure>,
    known: BTreeMap<(PredicateId, Pattern, Mode), Option<usize>>,
    /// How rows are to be found, by place.
    pub(super) wanted: Vec<Wanted>,
    pub(super) on_columns: BTreeMap<Wanted, usize>,
}

impl Built {
    /// The steps that a question may take before it is asked in another way: some more than trials took at worst.
    fn budget(&self, procedure: usize) -> u64 {
        let worst = self.procedures.get(procedure).map_or(0, |procedure| procedure.trial.n_worst);
        (4 * worst).clamp(BUDGET_MIN, TRIAL_STEPS_MAX)
    }

    /// How a relation whose columns of a pattern are given is asked about; none if nobody has prepared that, or it cannot be.
    pub(super) fn way(&self, id: PredicateId, pattern: Pattern, mode: Mode) -> Option<Way> {
        let procedure = self.known(id, pattern, mode).flatten()?;
        let rare = self.known(id, pattern, Mode::AnswerRare).flatten().filter(|_| mode == Mode::Answer);
        Some(Way { procedure, rare, budget: rare.map_or(u64::MAX, |_| self.budget(procedure)) })
    }

    /// The procedures for questions that take longer than trials did.
    pub(super) fn rare(&self) -> BTreeSet<usize> {
        let rare = self.known.iter().filter(|((_, _, mode), _)| *mode == Mode::AnswerRare);
        rare.filter_map(|(_, at)| *at).collect()
    }

    /// The procedure for a relation whose columns of a pattern are given, or that there is none; nothing if nobody has asked.
    #[expect(clippy::option_option, reason = "not asked, asked and impossible, possible")]
    pub(super) fn known(&self, id: PredicateId, pattern: Pattern, mode: Mode) -> Option<Option<usize>> {
        self.known.get(&(id, pattern, mode)).copied()
    }
}

/// How a question is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) procedure: usize,
    /// What is asked instead where the first takes more steps than its budget.
    pub(super) rare: Option<usize>,
    pub(super) budget: u64,
}

/// What procedures are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// To answer.
    Answer,
    /// To answer where that takes long, as few questions do: what most of them find fastest may be what these go astray in, so that
    /// recursion is shunned that may go far.
    AnswerRare,
    /// To answer with every row that the answer rests on: all are tabled.
    Prove,
}

/// What a rule is under a pattern.
enum Kind {
    Exit,
    Tail(Vec<Term>),
    Forward(Vec<Term>),
    /// It derives what it reads.
    Trivial,
}

impl<'c, S: Store, V: Values> Compiler<'c, S, V> {
    pub(super) fn new(
        shapes: &'c Shapes,
        (store, values): (&'c S, &'c V),
        (built, lookups): (Built, Vec<Lookup>),
        mode: Mode,
    ) -> Self {
        let (tabling, untried) = (Vec::new(), Vec::new());
        Self {
            shapes,
            store,
            values,
            built,
            lookups,
            mode,
            depth: 0,
            tabling,
            untried,
            broken: false,
            reached: BTreeMap::new(),
            scratch: Scratch::default(),
        }
    }

    /// The procedure for a relation whose columns of a pattern are given; none if there is no way to evaluate it so.
    // Recurses once per stratum and table, as often as procedures may be within one another.
    pub(super) fn procedure(&mut self, id: PredicateId, pattern: Pattern) -> Option<usize> {
        if let Some(known) = self.built.known.get(&(id, pattern, self.mode)) {
            return *known;
        }
        if DEPTH_MAX <= self.depth {
            return None;
        }
        let shapes = self.shapes;
        let clauses = shapes.clauses(id, self.is_proof())?;
        self.depth += 1;
        let kinds = clauses.iter().map(|clause| Some((clause, kind_of(clause, id, pattern, shapes)?)));
        let kinds = kinds.collect::<Option<Vec<_>>>();
        let kinds = kinds.filter(|kinds| !self.is_proof() && !mixes(kinds, pattern));
        let closed = kinds.and_then(|kinds| self.closed(id, pattern, &kinds));
        let at = closed.or_else(|| self.merged(id, pattern));
        // What stands for several is of use as a closure alone.
        let is_of_several = shapes.members(id).is_some();
        let at = if is_of_several { at } else { at.or_else(|| self.tabled(id, pattern)) };
        self.depth -= 1;
        self.built.known.insert((id, pattern, self.mode), at);
        at
    }

    fn is_proof(&self) -> bool {
        self.mode == Mode::Prove
    }

    /// The relation for calls of which these columns stay the same, if it is split so.
    pub(super) fn split_on(&self, id: PredicateId, stays: Pattern) -> Option<PredicateId> {
        self.shapes.split_on(id, stays).filter(|_| !self.is_proof())
    }

    fn add(&mut self, procedure: Procedure) -> usize {
        self.built.procedures.push(procedure);
        self.built.procedures.len() - 1
    }

    fn empty(&self, id: PredicateId, pattern: Pattern) -> Procedure {
        let arity = self.arity(id);
        let n_given = (0..arity).filter(|at| pattern.has(*at)).count();
        let clauses = self.shapes.clauses(id, self.is_proof()).unwrap_or_default().iter();
        Procedure {
            predicate: id,
            pattern,
            groups: Vec::new(),
            exits: Vec::new(),
            forwards: Vec::new(),
            is_tabled: false,
            n_given,
            n_open: arity - n_given,
            n_registers: clauses.map(|clause| clause.n_slots).max().unwrap_or_default(),
            trial: Trial::default(),
        }
    }

    fn closed(&mut self, id: PredicateId, pattern: Pattern, kinds: &[(&Clause, Kind)]) -> Option<usize> {
        let tabling = std::mem::take(&mut self.tabling);
        let procedure = self.compile(id, pattern, kinds);
        self.tabling = tabling;
        let at = self.add(procedure?);
        self.try_out(at);
        Some(at)
    }

    /// A relation that others derive and that derives them, as one of all of them; none if trials of that took long.
    fn merged(&mut self, id: PredicateId, pattern: Pattern) -> Option<usize> {
        let clause = self.shapes.merged(id).filter(|_| !self.is_proof())?;
        let at = self.closed(id, pattern, &[(clause, Kind::Exit)])?;
        self.built.procedures.get(at).filter(|of| of.trial.work < 0.5 * TRIAL_PASSED).map(|_| at)
    }

    fn tabled(&mut self, id: PredicateId, pattern: Pattern) -> Option<usize> {
        let shapes = self.shapes;
        let component = shapes.component(id).unwrap_or(usize::MAX - id.0);
        let at = self.add(Procedure { is_tabled: true, trial: TABLE, ..self.empty(id, pattern) });
        // Those that it reads may read it.
        self.built.known.insert((id, pattern, self.mode), Some(at));
        self.untried.push(at);
        self.tabling.push(component);
        let (given, open) = pattern.split(&(0..self.arity(id)).collect::<Vec<_>>());
        let mut exits = Vec::new();
        let clauses = shapes.clauses(id, self.is_proof()).unwrap_or_default();
        for clause in clauses {
            let mut entry = Entry::default();
            for column in &given {
                entry.key(clause.args.get(*column).copied());
            }
            let literals: Vec<Planned> = clause.literals.iter().cloned().map(Planned::Literal).collect();
            let result: Vec<Term> = open.iter().filter_map(|at| clause.args.get(*at).copied()).collect();
            exits.extend(self.plan(entry, &literals, &result));
        }
        exits.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        let is_whole = exits.len() == clauses.len();
        if let Some(procedure) = self.built.procedures.get_mut(at) {
            procedure.exits = exits;
        }
        self.tabling.pop();
        self.settle(component, is_whole).then_some(at)
    }

    /// Tries out the tables of a component once all of them are compiled. If one cannot be, none is of use.
    fn settle(&mut self, component: usize, is_whole: bool) -> bool {
        let shapes = self.shapes;
        self.broken |= !is_whole;
        if self.tabling.contains(&component) {
            return is_whole;
        }
        let is_broken = std::mem::take(&mut self.broken);
        let is_of_it = |at: &usize| {
            self.built.procedures.get(*at).and_then(|of| shapes.component(of.predicate)) == Some(component)
        };
        let (tables, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.untried).into_iter().partition(is_of_it);
        self.untried = others;
        for at in tables {
            if is_broken && let Some(of) = self.built.procedures.get(at) {
                self.built.known.insert((of.predicate, of.pattern, self.mode), None);
            } else {
                self.try_out(at);
            }
        }
        !is_broken
    }

    /// Whether the rule that is being planned is of the same table as a relation.
    pub(super) fn is_mate(&self, id: PredicateId) -> bool {
        self.tabling.last().is_some_and(|component| self.shapes.component(id) == Some(*component))
    }

    fn compile(&mut self, id: PredicateId, pattern: Pattern, kinds: &[(&Clause, Kind)]) -> Option<Procedure> {
        let groups = groups(kinds, pattern);
        let dynamic: BTreeSet<usize> = groups.iter().flatten().copied().collect();
        let given: Vec<usize> = (0..self.arity(id)).filter(|at| pattern.has(*at)).collect();
        let mut procedure = self.empty(id, pattern);
        procedure.n_registers = kinds.iter().map(|(clause, _)| clause.n_slots).max().unwrap_or_default();
        let mut edges: Vec<Vec<Code>> = vec![Vec::new(); groups.len()];
        for (clause, kind) in kinds {
            let mut entry = Entry::default();
            for column in &given {
                let term = clause.args.get(*column).copied().filter(|_| !dynamic.contains(column));
                entry.key(term);
            }
            let (_, open) = pattern.split(&clause.args);
            match kind {
                Kind::Trivial => {}
                Kind::Exit => {
                    let demands = groups.iter().enumerate().map(|(group, columns)| {
                        Planned::Demand(group, columns.iter().filter_map(|at| clause.args.get(*at).copied()).collect())
                    });
                    let literals: Vec<_> =
                        clause.literals.iter().cloned().map(Planned::Literal).chain(demands).collect();
                    procedure.exits.push(self.plan(entry, &literals, &open)?);
                }
                Kind::Tail(recursive) => {
                    let is_changed = |at: &usize| clause.args.get(*at) != recursive.get(*at);
                    let at = groups.iter().position(|columns| columns.iter().any(is_changed))?;
                    let columns = groups.get(at)?;
                    for column in columns {
                        entry.tuple(clause.args.get(*column).copied());
                    }
                    let result: Vec<Term> =
                        columns.iter().filter_map(|column| recursive.get(*column).copied()).collect();
                    let edge = self.plan(entry, &others(clause, id), &result)?;
                    edges.get_mut(at)?.push(edge.normal());
                }
                Kind::Forward(recursive) => {
                    for term in pattern.split(recursive).1 {
                        entry.tuple(Some(term));
                    }
                    procedure.forwards.push(self.plan(entry, &others(clause, id), &open)?);
                }
            }
        }
        for (columns, edges) in groups.iter().zip(edges) {
            let place = |column: &usize| given.iter().position(|of| of == column).unwrap_or_default();
            let closure = self.closure(edges, columns.len());
            procedure.groups.push(Group { columns: columns.iter().map(place).collect(), closure });
        }
        // The cheapest first: a question that is answered with yes ends there.
        procedure.exits.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        Some(procedure)
    }

    /// The closure that goes along these edges.
    fn closure(&mut self, edges: Vec<Code>, width: usize) -> usize {
        let is_shared = edges.iter().all(|edge| edge.of_key.iter().all(|of| *of == Bind::Skip));
        // Where the key does not matter, neither does how many columns it has.
        let forget = |edge| if is_shared { Code { of_key: Box::default(), ..edge } } else { edge };
        let closure = Closure { edges: edges.into_iter().map(forget).collect(), width, is_shared };
        let known = self.built.closures.iter().position(|of| *of == closure);
        known.unwrap_or_else(|| {
            self.built.closures.push(closure);
            self.built.closures.len() - 1
        })
    }

    /// The place of what finds the rows of a relation by these columns.
    pub(super) fn lookup(&mut self, id: PredicateId, columns: &[usize]) -> usize {
        let is_whole = self.is_whole(id);
        let wanted = Wanted { id, columns: columns.into(), is_whole };
        if let Some(known) = self.built.on_columns.get(&wanted) {
            return *known;
        }
        self.lookups.push(Lookup::of(&wanted, self.store, self.arity(id)));
        let at = self.built.wanted.len();
        self.built.wanted.push(wanted.clone());
        self.built.on_columns.insert(wanted, at);
        at
    }

    /// Whether rows of a relation are to come whole.
    pub(super) fn is_whole(&self, id: PredicateId) -> bool {
        self.store.relation(id).is_some_and(|relation| relation.rows.is_shared())
    }

    pub(super) fn arity(&self, id: PredicateId) -> usize {
        self.shapes.arity(id)
    }

    pub(super) fn learn(&mut self, at: usize, trial: Trial) {
        if let Some(procedure) = self.built.procedures.get_mut(at) {
            procedure.trial = trial;
        }
    }
}

/// What a rule begins with.
#[derive(Debug, Default)]
pub(super) struct Entry {
    of_key: Vec<Bind>,
    of_tuple: Vec<Bind>,
    pub(super) bound: BTreeSet<Slot>,
    /// Those among them that are the same in all of a call.
    pub(super) fixed: BTreeSet<Slot>,
}

impl Entry {
    /// The rule that goes on from here.
    pub(super) fn into_code(self, steps: Vec<Step>, result: Box<[Operand]>, cost: f64) -> Code {
        let Self { of_key, of_tuple, .. } = self;
        let (is_distinct, of_row) = (are_distinct(&steps, &result), of_row(&steps, &result));
        let (of_key, of_tuple, steps) = (of_key.into(), of_tuple.into(), steps.into());
        Code { of_key, of_tuple, steps, result, cost, is_distinct, of_row }
    }

    fn key(&mut self, term: Option<Term>) {
        let bind = term.map_or(Bind::Skip, |term| bind(term, &mut self.bound));
        self.fixed.extend(term.and_then(slot_of));
        self.of_key.push(bind);
    }

    fn tuple(&mut self, term: Option<Term>) {
        let bind = term.map_or(Bind::Skip, |term| bind(term, &mut self.bound));
        self.of_tuple.push(bind);
    }
}

/// What is done with a value for a term, which is known from then on.
pub(super) fn bind(term: Term, bound: &mut BTreeSet<Slot>) -> Bind {
    match term {
        Term::Any => Bind::Skip,
        Term::Constant(value) => Bind::Same(Operand::Constant(value)),
        Term::Slot(slot) if bound.insert(slot) => Bind::Set(slot.0),
        Term::Slot(slot) => Bind::Same(Operand::Register(slot.0)),
    }
}

/// Whether a rule that goes from answer to answer reads what demand varies, so that it would go wrong from some of it.
fn mixes(kinds: &[(&Clause, Kind)], pattern: Pattern) -> bool {
    let dynamic: BTreeSet<usize> = groups(kinds, pattern).into_iter().flatten().collect();
    kinds.iter().any(|(clause, kind)| matches!(kind, Kind::Forward(_)) && minds_any_of(clause, &dynamic))
}

/// Whether a rule that reads its relation once says anything of one of these columns, besides handing it on.
fn minds_any_of(clause: &Clause, columns: &BTreeSet<usize>) -> bool {
    let of_body = clause.literals.iter().flat_map(Literal::slots);
    let slots: Vec<Slot> = clause.args.iter().copied().filter_map(slot_of).chain(of_body).collect();
    // Once in the head, once where the relation is read.
    let is_idle = |slot: Slot| slots.iter().filter(|of| **of == slot).count() == 2;
    !columns.iter().all(|at| clause.args.get(*at).copied().and_then(slot_of).is_some_and(is_idle))
}

fn others_of(clause: &Clause, id: PredicateId) -> impl Iterator<Item = &Literal> {
    clause.literals.iter().filter(move |literal| !matches!(literal, Literal::Call(of, _) if *of == id))
}

fn others(clause: &Clause, id: PredicateId) -> Vec<Planned> {
    others_of(clause, id).cloned().map(Planned::Literal).collect()
}

/// What a rule is under a pattern; none if it is of no such form.
fn kind_of(clause: &Clause, id: PredicateId, pattern: Pattern, shapes: &Shapes) -> Option<Kind> {
    let component = shapes.component(id);
    let mut recursive = clause.literals.iter().filter_map(|literal| match literal {
        Literal::Call(of, args) if shapes.component(*of) == component => Some((*of, args)),
        _ => None,
    });
    let Some((of, args)) = recursive.next() else { return Some(Kind::Exit) };
    if of != id || recursive.next().is_some() {
        return None;
    }
    let used: BTreeSet<Slot> = others_of(clause, id).flat_map(Literal::slots).collect();
    let is_unchanged = |at: usize| clause.args.get(at) == args.get(at) && args.get(at) != Some(&Term::Any);
    let n_uses = |slot: Slot| {
        let of = |terms: &[Term]| terms.iter().filter(|term| **term == Term::Slot(slot)).count();
        of(&clause.args) + of(args)
    };
    let passes = |at: usize| {
        let slot = args.get(at).copied().and_then(slot_of);
        is_unchanged(at) && slot.is_some_and(|slot| !used.contains(&slot) && n_uses(slot) == 2)
    };
    let (mut is_tail, mut is_forward) = (true, true);
    for at in 0..clause.args.len() {
        if pattern.has(at) {
            is_forward &= is_unchanged(at);
            // What is demanded is demanded of values.
            is_tail &= args.get(at) != Some(&Term::Any);
        } else {
            is_tail &= passes(at);
        }
    }
    match (is_tail, is_forward) {
        (true, true) => Some(Kind::Trivial),
        (true, false) => Some(Kind::Tail(args.clone())),
        (false, true) => Some(Kind::Forward(args.clone())),
        (false, false) => None,
    }
}

/// The columns that tail rules change, those together that change together or meet in a condition.
fn groups(kinds: &[(&Clause, Kind)], pattern: Pattern) -> Vec<Vec<usize>> {
    let tails = || {
        kinds.iter().filter_map(|(clause, kind)| match kind {
            Kind::Tail(args) => Some((*clause, args)),
            _ => None,
        })
    };
    let is_changed = |clause: &Clause, args: &[Term], at: usize| pattern.has(at) && clause.args.get(at) != args.get(at);
    let n_columns = kinds.first().map_or(0, |(clause, _)| clause.args.len());
    let is_dynamic = |at: &usize| tails().any(|(clause, args)| is_changed(clause, args, *at));
    let mut groups: Vec<BTreeSet<usize>> = (0..n_columns).filter(is_dynamic).map(|at| BTreeSet::from([at])).collect();
    for (clause, args) in tails() {
        let mut used: BTreeSet<Slot> = clause
            .literals
            .iter()
            .filter(|literal| literal.terms() != *args || !matches!(literal, Literal::Call(..)))
            .flat_map(Literal::slots)
            .collect();
        let changed: Vec<usize> = (0..n_columns).filter(|at| is_changed(clause, args, *at)).collect();
        used.extend(changed.iter().filter_map(|at| args.get(*at).copied().and_then(slot_of)));
        used.extend(changed.iter().filter_map(|at| clause.args.get(*at).copied().and_then(slot_of)));
        // What a column has to be is a condition, too.
        let meets = |at: &usize| {
            let slot = clause.args.get(*at).copied().and_then(slot_of);
            changed.contains(at) || slot.is_none_or(|slot| used.contains(&slot))
        };
        let (together, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.iter().any(meets));
        groups = apart;
        if !together.is_empty() {
            groups.push(together.into_iter().flatten().collect());
        }
    }
    groups.into_iter().map(|group| group.into_iter().collect()).collect()
}
