//! What calls of a procedure take and give, on keys of values as they stand in its columns.

use crate::{
    base::{Value, Values},
    facts::Store,
};

use super::{
    code::Trial,
    compile::{Compiler, Mode, TABLE},
    prefix::Part,
    run::Run,
};

/// Keys on which a procedure is tried.
pub(super) const TRIALS: usize = 24;
/// Steps that a trial may take, and what one that takes more counts as.
pub(super) const TRIAL_STEPS_MAX: u64 = 8_000;
pub(super) const TRIAL_PASSED: f64 = 200_000.0;
/// Trials that may take more: what does so more often is dear, however dear it is.
const PASSED_MAX: u32 = 3;
/// Calls of which some columns stay the same, after the first of them.
const REPEATS: usize = 3;

/// What calls took and gave.
#[derive(Default)]
struct Tally {
    works: Vec<f64>,
    n_worst: u64,
    n_calls: u32,
    n_passed: u32,
    n_answers: usize,
}

impl Tally {
    /// Halfway between the mean and the most.
    fn work(&self) -> f64 {
        let mean = self.works.iter().sum::<f64>() / number(self.works.len().max(1));
        f64::midpoint(mean, self.works.iter().copied().fold(0.0, f64::max))
    }
}

impl<S: Store, V: Values> Compiler<'_, S, V> {
    /// Finds what calls of a procedure take and give.
    pub(super) fn try_out(&mut self, at: usize) {
        let Some(procedure) = self.built.procedures.get(at) else { return };
        let (id, pattern) = (procedure.predicate, procedure.pattern);
        let columns = self.columns(id, pattern);
        let pick =
            |(at, values): (usize, &Vec<Value>), n: usize| values.get((n * 7 + at * 13) % values.len().max(1)).copied();
        let key = |n: usize| -> Option<Vec<Value>> {
            let of_this = columns.get(n % columns.len().max(1));
            of_this.into_iter().flatten().enumerate().map(|column| pick(column, n)).collect()
        };
        let given = || (0..self.arity(id)).filter(|at| pattern.has(*at));
        let stays: Option<Vec<bool>> = match self.shapes.part(id) {
            Some(Part::Split(_, stays)) => Some(given().map(|at| stays.has(at)).collect()),
            Some(Part::Prefix(..)) | None => None,
        };
        let (mut each, mut firsts) = (Tally::default(), Tally::default());
        let n_groups = if stays.is_some() { TRIALS / (REPEATS + 1) } else { TRIALS };
        for n in 0..n_groups {
            if PASSED_MAX <= each.n_passed + firsts.n_passed {
                break;
            }
            let Some(first) = key(n) else { continue };
            self.scratch.reset();
            let Some(stays) = &stays else {
                self.call(at, &first, &mut each);
                continue;
            };
            let mut is_answered = self.call(at, &first, &mut firsts);
            for other in (1..=REPEATS).filter_map(|repeat| key(n + repeat * n_groups)) {
                if is_answered {
                    let part =
                        |((stays, first), other): ((&bool, &Value), &Value)| if *stays { *first } else { *other };
                    let key: Vec<Value> = stays.iter().zip(&first).zip(&other).map(part).collect();
                    is_answered = self.call(at, &key, &mut each);
                }
            }
        }
        // Of what no row has a value nothing is found out.
        if each.works.is_empty() && firsts.works.is_empty() {
            return self.learn(at, TABLE);
        }
        let shunned = if self.mode == Mode::AnswerRare { self.farthest(at) } else { 0.0 };
        let n_answers = number(each.n_answers + firsts.n_answers) / f64::from((each.n_calls + firsts.n_calls).max(1));
        let work = if each.works.is_empty() { firsts.work() } else { each.work() };
        let trial = Trial {
            work: work + shunned,
            n_worst: each.n_worst.max(firsts.n_worst),
            once: (firsts.work() - work).max(0.0),
            n_answers,
        };
        self.learn(at, trial);
    }

    /// Makes a call, and says whether it was answered.
    fn call(&mut self, at: usize, key: &[Value], tally: &mut Tally) -> bool {
        let code = (&self.built, self.lookups.as_slice());
        let mut run = Run::new(code, self.values, &mut self.scratch, TRIAL_STEPS_MAX, &[]);
        let answered = run.answers(at, key);
        let n_steps = TRIAL_STEPS_MAX - run.steps_left();
        tally.n_worst = tally.n_worst.max(n_steps);
        tally.n_calls += 1;
        match answered {
            Ok(set) => {
                tally.n_answers += self.scratch.set(set).len();
                tally.works.push(f64::from(u32::try_from(n_steps).unwrap_or(u32::MAX)));
            }
            Err(_) => {
                tally.works.push(TRIAL_PASSED);
                tally.n_passed += 1;
            }
        }
        answered.is_ok()
    }
}

fn number(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
