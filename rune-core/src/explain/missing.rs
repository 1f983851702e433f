//! The facts that would have been needed: small sets, with each of which what does not hold would.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    base::{Pool, Scratch, Threads, Values as _, limits},
    check::rules::Names,
    datalog::{self, Blocked, Bounds, Missing, Solver, Wanted},
    decide::{Reason, Request, Terms, Why},
    expr::Evaluator,
    facts::Store as _,
};

use super::{Atom, builder::Builder, ledger::Key};

/// What would have something hold that does not: facts to be given, and some to be gone.
///
/// A variable of a rule has the values that its conditions, other facts and the question give it: a fact about what nothing
/// names is not looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WhyNot {
    /// So many facts at most were looked for together.
    pub within: usize,
    /// Sets of facts that files or the API could give; with any of these it holds. The small ones first, none with a fact that it
    /// would hold without.
    pub sets: Vec<Vec<Atom>>,
    /// Facts that are there and that a condition denies, with those that would be needed besides.
    pub blocked: Vec<InTheWay>,
    /// Whether these are all.
    pub search: Searched,
}

/// Facts that are in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InTheWay {
    /// The facts in the way, by their places in the list of facts, which says why each is there.
    pub blockers: Vec<usize>,
    /// Facts that would have to be given besides.
    pub missing: Vec<Atom>,
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Searched {
    /// All was looked at.
    Complete,
    /// As many were found as are shown.
    Enough,
    /// A limit was reached before.
    Cut,
}

/// What came of trying a set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    /// With them it holds.
    Holds,
    /// It does not.
    Fails,
    /// There were no steps left for it.
    GivenUp,
}

/// Tries whether something holds with rows besides those that are given, within so many steps.
pub(crate) type Try<'t> = &'t dyn Fn(&Scratch<'_>, &[Missing], &mut u64) -> Tried;

/// How much is looked for.
#[derive(Debug, Clone, Copy)]
struct Scope {
    n_facts: usize,
    n_sets: usize,
    n_tried: usize,
    with_blockers: bool,
}

impl Scope {
    /// What an explanation always looks for, or what it is asked for.
    fn of(n_missing: Option<usize>) -> Self {
        match n_missing {
            None => Self {
                n_facts: limits::MISSING_FACTS_MAX,
                n_sets: 1,
                n_tried: limits::SUPPOSED_SETS_MAX,
                with_blockers: false,
            },
            Some(n_facts) => Self {
                n_facts,
                n_sets: limits::MISSING_SETS_MAX,
                n_tried: limits::SUPPOSED_SETS_ASKED_MAX,
                with_blockers: true,
            },
        }
    }
}

/// What was found.
#[derive(Debug)]
struct Hunt {
    sets: Vec<Vec<Missing>>,
    blocked: Vec<(Vec<Missing>, Vec<Missing>)>,
    tried: Vec<Vec<Missing>>,
    search: Searched,
}

impl<'p> Builder<'_, 'p> {
    /// The facts with which a permit would hold, and the request be allowed.
    pub(super) fn why_not(
        &mut self,
        reason: Reason<'p>,
        (request, is_forbidden): (&Request, bool),
        n_missing: Option<usize>,
    ) -> WhyNot {
        let (terms, pool) = (self.terms, self.pool);
        let ways = match reason {
            Reason::Policy(policy) => {
                let mut evaluator = Evaluator::new(&mut *self.values, self.world.world, self.parts, self.steps);
                let ways = policy.ways(&mut evaluator);
                self.steps = evaluator.steps_left();
                ways
            }
            Reason::Rule(_) => Vec::new(),
        };
        let [principal, action, resource, _] = self.parts;
        let wanted: Vec<Wanted<'_>> = match reason {
            Reason::Policy(_) => ways.iter().map(|way| Wanted::All(way)).collect(),
            Reason::Rule(rule) => vec![Wanted::Row(rule, [principal, action, resource].map(Some).to_vec())],
        };
        self.within(&wanted, n_missing, &|values, rows, steps| {
            try_with((terms, pool), (request, reason, is_forbidden), values, rows, steps)
        })
    }

    /// The facts with which some of this would be true.
    pub(super) fn within(&mut self, wanted: &[Wanted<'_>], n_missing: Option<usize>, attempt: Try<'_>) -> WhyNot {
        let scope = Scope::of(n_missing);
        let nothing = Hunt { sets: Vec::new(), blocked: Vec::new(), tried: Vec::new(), search: Searched::Cut };
        let hunt = if limits::SUPPOSED_VALUES_MAX < self.values.n_values() {
            nothing
        } else {
            self.hunt(wanted, scope, attempt)
        };
        self.is_incomplete |= n_missing.is_none() && hunt.search == Searched::Cut;
        let sets = hunt.sets.iter().map(|rows| self.atoms(rows)).collect();
        let in_the_way = |(blockers, missing): &(Vec<Missing>, Vec<Missing>)| InTheWay {
            blockers: blockers.iter().filter_map(|row| self.cite_blocker(row)).collect(),
            missing: self.atoms(missing),
        };
        let blocked = hunt.blocked.iter().map(in_the_way).collect();
        WhyNot { within: scope.n_facts, sets, blocked, search: hunt.search }
    }

    fn hunt(&mut self, wanted: &[Wanted<'_>], scope: Scope, attempt: Try<'_>) -> Hunt {
        // What is looked for and what is tried is paid for by the explanation.
        let (mut steps, search_steps) = (self.steps, limits::MISSING_STEPS_MAX.min(self.steps));
        let mut left = search_steps;
        let mut hunt = Hunt { sets: Vec::new(), blocked: Vec::new(), tried: Vec::new(), search: Searched::Complete };
        let blocked: &[Blocked] = if scope.with_blockers { &[Blocked::No, Blocked::Yes] } else { &[Blocked::No] };
        for of in blocked {
            for (n, wanted) in (1..=scope.n_facts).flat_map(|n| wanted.iter().map(move |wanted| (n, wanted))) {
                if hunt.is_enough(*of, scope) || hunt.search == Searched::Cut {
                    break;
                }
                let terms = self.terms;
                let mut solver = Solver::new(&mut *self.values, self.world.world, self.parts, left);
                let searched = solver.missing(terms.rules, terms.schema, (wanted, *of), n, &mut |values, offer| {
                    match of {
                        Blocked::No => hunt.take(offer.missing, scope, &mut |rows| attempt(values, rows, &mut steps)),
                        Blocked::Yes => hunt.note(offer.blockers, offer.missing),
                    }
                    hunt.is_enough(*of, scope) || hunt.search == Searched::Cut
                });
                left = solver.steps_left();
                // What was not found within the limits may be there all the same.
                if searched.is_err() {
                    hunt.search = Searched::Cut;
                }
            }
        }
        if hunt.search == Searched::Complete && blocked.iter().any(|of| hunt.is_enough(*of, scope)) {
            hunt.search = Searched::Enough;
        }
        self.steps = steps.saturating_sub(search_steps - left);
        hunt
    }

    fn atoms(&mut self, rows: &[Missing]) -> Vec<Atom> {
        let atom = |(id, row): &Missing| {
            let relation = if *id == Names::PARENT { "parent".into() } else { self.terms.rules.name(*id) };
            Atom { relation, row: row.iter().map(|value| self.own(*value)).collect() }
        };
        rows.iter().map(atom).collect()
    }

    fn cite_blocker(&mut self, (id, row): &Missing) -> Option<usize> {
        match (*id, row.as_slice()) {
            (Names::IN, [low, high]) => self.note(Key::Below(*low, *high)),
            _ => {
                let at = self.world.world.place_of_row(*id, row)?;
                self.cite_row(*id, at)
            }
        }
    }
}

impl Hunt {
    fn is_enough(&self, of: Blocked, scope: Scope) -> bool {
        scope.n_sets <= if of == Blocked::No { self.sets.len() } else { self.blocked.len() }
    }

    /// Keeps a set with which it holds, without what it would hold without.
    fn take(&mut self, rows: &[Missing], scope: Scope, attempt: &mut dyn FnMut(&[Missing]) -> Tried) {
        let mut set = rows.to_vec();
        set.sort();
        if self.tried.contains(&set) || self.has_less(&set) {
            return;
        }
        if scope.n_tried <= self.tried.len() {
            self.search = Searched::Cut;
            return;
        }
        self.tried.push(set);
        match attempt(rows) {
            Tried::Holds => {}
            Tried::Fails => return,
            Tried::GivenUp => {
                self.search = Searched::Cut;
                return;
            }
        }
        // What was found in one way may hold more than it takes.
        let mut rows = rows.to_vec();
        for at in (0..rows.len()).rev() {
            let mut fewer = rows.clone();
            fewer.remove(at);
            if attempt(&fewer) == Tried::Holds {
                rows = fewer;
            }
        }
        if !self.has_less(&rows) {
            self.sets.push(rows);
        }
    }

    /// Keeps what is in the way, unless less would do.
    fn note(&mut self, blockers: &[Missing], missing: &[Missing]) {
        let is_part = |of: &[Missing], all: &[Missing]| of.iter().all(|row| all.contains(row));
        let is_known = self.blocked.iter().any(|(less, with)| is_part(less, blockers) && is_part(with, missing));
        if !is_known && !self.has_less(missing) {
            self.blocked.push((blockers.to_vec(), missing.to_vec()));
        }
    }

    /// Whether a part of these rows is known to do.
    fn has_less(&self, rows: &[Missing]) -> bool {
        self.sets.iter().any(|set| set.iter().all(|row| rows.contains(row)))
    }
}

/// Whether a request would be allowed by a permit if these rows were given; of one that is forbidden as it is, permitted.
fn try_with(
    (terms, pool): (Terms<'_>, &Arc<Pool>),
    (request, reason, is_forbidden): (&Request, Reason<'_>, bool),
    values: &Scratch<'_>,
    rows: &[Missing],
    steps: &mut u64,
) -> Tried {
    let mut pool = Pool::over(pool.clone());
    let bounds = Bounds { steps_max: *steps, rows_max: limits::ROWS_MAX, threads: Threads::ONE };
    let all = terms.demand.is_empty();
    let Ok((facts, demand, work)) = datalog::suppose(terms.rules, terms.facts, &mut pool, (values, rows), all, bounds)
    else {
        *steps = 0;
        return Tried::GivenUp;
    };
    let steps_max = limits::DECISION_STEPS_MAX.min(work.steps_left);
    let terms = Terms { facts: &facts, demand: &demand, values: &pool, ..terms };
    let decided = terms.decide_within(request, steps_max);
    *steps = work.steps_left - decided.n_steps.min(work.steps_left);
    // By this permit: that another allows says nothing of it.
    let is_it = |of: &Reason<'_>| of.id() == reason.id();
    let is_by_it = match &decided.why {
        Why::AllowedBy(id) => id == reason.id() || terms.reasons(request).determining.iter().any(is_it),
        Why::ForbiddenBy(_) => is_forbidden && terms.reasons(request).forbidden.iter().any(is_it),
        _ => false,
    };
    if is_by_it { Tried::Holds } else { Tried::Fails }
}
