//! Whether what does not hold does not: each clause comes to what it is said to come to.

use rune_core::explain::{Clause, Explanation, Fact, Instance, Outcome};

use super::{
    checker::Checker,
    written::{Written, came_to, clause, env},
};
use crate::datalog::plain::Kind;

/// The clause that comes to something else, if there is one, of those of what has no value, of the candidates, and of
/// the forbids that do not hold.
pub fn fault(checker: &mut Checker<'_, '_>, of: &Explanation) -> Option<String> {
    let failed = of.failed.iter().map(|failed| &failed.instance);
    let mut all = failed.chain(of.candidates.iter().map(|candidate| &candidate.instance)).chain(&of.forbids);
    all.find_map(|instance| {
        let is_whole = instance.clauses.iter().all(|clause| clause.outcome == Outcome::True);
        let fault =
            if is_whole { Some("all of it holds".to_owned()) } else { of_instance(checker, instance, &of.facts) };
        fault.map(|fault| format!("{}: {fault}", instance.rule.id))
    })
}

// Recurses once per attempt within another, whose number is limited.
fn of_instance(checker: &mut Checker<'_, '_>, instance: &Instance, facts: &[Fact]) -> Option<String> {
    let rules = checker.rules;
    let wrong = match rules.get(&*instance.rule.id) {
        Some(written) => of_rule(checker, instance, written, facts),
        None => instance.clauses.iter().find(|clause| !is_so(checker, clause)).map(|clause| clause.text.clone()),
    };
    let mut attempts = instance.clauses.iter().flat_map(|clause| &clause.attempts);
    wrong.or_else(|| attempts.find_map(|attempt| of_instance(checker, attempt, facts)))
}

/// Whether a clause of a policy, and each of its operands, comes to what it is said to come to.
fn is_so(checker: &mut Checker<'_, '_>, of: &Clause) -> bool {
    if !of.operands.iter().all(|operand| is_so(checker, operand)) {
        return false;
    }
    let found = checker.twin.policy_condition(&clause(&of.text));
    match &of.outcome {
        Outcome::True => found == Ok(true),
        Outcome::False => found == Ok(false),
        Outcome::Error { .. } => found.is_err(),
        Outcome::Unreached => true,
    }
}

fn of_rule(
    checker: &mut Checker<'_, '_>,
    instance: &Instance,
    written: &Written<'_>,
    facts: &[Fact],
) -> Option<String> {
    let mut env = env(&mut checker.twin, instance);
    for of in &written.goals {
        let goal = of.goal;
        let clause = instance.clauses.iter().find(|clause| clause.place == of.place && clause.text == of.text);
        let is_so = match (&goal.kind, clause.map(|clause| &clause.outcome)) {
            // An argument that is a constant is no clause of its own.
            (Kind::Bind(name, expr), None | Some(Outcome::True)) if name.starts_with('#') => {
                env.extend(checker.twin.value(expr, &env).map(|value| (name.clone(), value)));
                true
            }
            (Kind::Bind(name, _), Some(Outcome::False)) if name.starts_with('#') => true,
            (_, Some(Outcome::True)) => checker.holds(of, instance, &mut env, facts),
            (_, Some(Outcome::False)) => came_to(&mut checker.twin, of, &env) != Ok(true),
            (_, Some(Outcome::Error { .. })) => came_to(&mut checker.twin, of, &env).is_err(),
            (_, Some(Outcome::Unreached)) => false,
            (_, None) => true,
        };
        if let (false, Some(clause)) = (is_so, clause) {
            return Some(format!("{} ({:?})", clause.text, clause.outcome));
        }
    }
    None
}
