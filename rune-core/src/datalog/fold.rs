//! Aggregates: what is made of the distinct tuples that satisfy a body.

use crate::{
    base::{Value, Values, View, limits, value::is_within_height},
    check::rules::{Slot, Term},
    expr::{Failure, eval::kind},
    facts::{Store, Table},
    syntax::rules::{Choice, Fold},
};

use super::{
    Body, Plan,
    solve::{Flow, Solver, Stop},
};

impl<V: Values, S: Store> Solver<'_, V, S> {
    /// The value of an aggregate; none if there is nothing of which it would be the smallest or largest.
    pub(super) fn aggregate(
        &mut self,
        fold: Fold,
        tuple: &[Slot],
        body: &Body,
        plan: &Plan,
    ) -> std::ops::ControlFlow<super::Stop, Result<Option<Value>, Failure>> {
        use std::ops::ControlFlow;
        let erred_before = self.erred.take();
        let (coverage, furthest) = (self.coverage.take(), self.furthest.take());
        let mut tuples = Table::new(tuple.len());
        let mut row = Vec::with_capacity(tuple.len());
        let flow = self.solve(body, plan, &mut |solver| {
            row.clear();
            row.extend(tuple.iter().map(|slot| solver.term(Term::Slot(*slot))));
            tuples.insert(&row);
            Flow::Continue(())
        });
        let mut undetermined = None;
        let flow = match flow {
            ControlFlow::Continue(()) if self.erred.is_some() || body.reads_doubts(self.store) => {
                self.doubts(body, plan, None, &mut |solver, cause| {
                    let row: Vec<Value> = tuple.iter().map(|slot| solver.term(Term::Slot(*slot))).collect();
                    if cause.is_none() || tuples.find(&row).is_some() {
                        return Flow::Continue(());
                    }
                    undetermined = cause;
                    Flow::Break(Stop::Enough)
                })
            }
            flow => flow,
        };
        self.erred = erred_before;
        (self.coverage, self.furthest) = (coverage, furthest);
        if let ControlFlow::Break(stop @ Stop::TooManySteps) = flow {
            return ControlFlow::Break(stop);
        }
        if let Some(cause) = undetermined {
            return ControlFlow::Continue(Err(Failure::Undetermined(cause)));
        }
        let mut firsts: Vec<Value> = tuples.rows().filter_map(|row| row.first().copied()).collect();
        ControlFlow::Continue(folded(self.values, fold, &mut firsts))
    }
}

/// The value of an aggregate of tuples with these first values.
pub(super) fn folded(values: &mut impl Values, fold: Fold, firsts: &mut [Value]) -> Result<Option<Value>, Failure> {
    // What fails first must not depend on the order of the text.
    if fold != Fold::Count {
        firsts.sort_unstable();
    }
    match fold {
        Fold::Count => Ok(Some(values.long(i64::try_from(firsts.len()).unwrap_or(i64::MAX)))),
        Fold::Collect => {
            let set = values.set(firsts.to_vec());
            let is_high = !is_within_height(values, set, limits::NESTING_MAX);
            if is_high { Err(Failure::TooHigh) } else { Ok(Some(set)) }
        }
        Fold::Sum => {
            // Wide enough for as many as there may be: only the whole can overflow, whatever the order of the tuples.
            let mut sum = 0_i128;
            for value in firsts {
                match values.view(*value) {
                    View::Long(number) => sum += i128::from(number),
                    other => return Err(Failure::Type { expected: "an integer", found: kind(other) }),
                }
            }
            let sum = i64::try_from(sum).map_err(|_| Failure::Overflow("the sum"))?;
            Ok(Some(values.long(sum)))
        }
        Fold::Min => chosen(values, Choice::Min, firsts.iter().copied()),
        Fold::Max => chosen(values, Choice::Max, firsts.iter().copied()),
    }
}

/// The smallest or largest of some values; none of none.
pub(super) fn chosen(
    values: &impl Values,
    choice: Choice,
    of: impl Iterator<Item = Value>,
) -> Result<Option<Value>, Failure> {
    let mut best: Option<(i64, Value)> = None;
    let mut of_kind = None;
    for value in of {
        let view = values.view(value);
        let (View::Long(number) | View::Datetime(number) | View::Duration(number)) = view else {
            return Err(Failure::Type { expected: "an integer or a time", found: kind(view) });
        };
        if *of_kind.get_or_insert(kind(view)) != kind(view) {
            return Err(Failure::Type { expected: "values of one type", found: kind(view) });
        }
        let is_better = best.is_none_or(|(known, _)| match choice {
            Choice::Min => number < known,
            Choice::Max => known < number,
        });
        if is_better {
            best = Some((number, value));
        }
    }
    Ok(best.map(|(_, value)| value))
}
