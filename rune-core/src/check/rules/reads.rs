//! What conditions read of what rules derive: rows of relations, derived attributes within expressions, who is in what.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckedRules, Goal, GoalKind, Guard, Names, PredicateId};

/// How a relation is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reading {
    /// Row by row.
    Positive,
    /// All of it.
    Complete,
}

/// The relations that are attributes, by name.
pub(super) struct Attributes(BTreeMap<String, PredicateId>);

impl Attributes {
    pub(super) fn of(checked: &CheckedRules) -> Self {
        let all = checked.attributes.iter().map(|of| of.predicate);
        let named = all.filter_map(|id| Some((checked.predicate(id)?.name.clone(), id)));
        Self(named.collect())
    }

    /// The attributes that an expression reads, whatever entity has them.
    pub(super) fn read_by(&self, guard: &Guard) -> Vec<PredicateId> {
        guard.expr.mentions().attributes.into_iter().filter_map(|name| self.0.get(name)).copied().collect()
    }
}

impl Goal {
    /// Visits each relation that the condition reads, and how; for `in`, that of parents, and for attributes and tags in expressions
    /// [`Names::STORED`].
    pub(super) fn each_read(&self, attributes: &Attributes, visit: &mut dyn FnMut(PredicateId, Reading)) {
        self.reads_as(Reading::Positive, attributes, visit);
    }

    /// Visits each relation that an expression of the condition reads.
    // Recurses once per aggregate within another, whose nesting was limited.
    pub(super) fn each_read_within(&self, attributes: &Attributes, visit: &mut dyn FnMut(PredicateId)) {
        match &self.kind {
            GoalKind::Atom(..) | GoalKind::In(..) => {}
            GoalKind::Guard(guard) | GoalKind::Bind(_, guard) => {
                attributes.read_by(guard).into_iter().for_each(visit);
            }
            GoalKind::Not(goal) => goal.each_read_within(attributes, visit),
            GoalKind::Aggregate(aggregate) => {
                aggregate.body.iter().for_each(|goal| goal.each_read_within(attributes, visit));
            }
        }
    }

    // Recurses once per aggregate within another, whose nesting was limited.
    fn reads_as(&self, reading: Reading, attributes: &Attributes, visit: &mut dyn FnMut(PredicateId, Reading)) {
        match &self.kind {
            GoalKind::Atom(id, _) => visit(*id, reading),
            GoalKind::In(..) => visit(Names::PARENT, reading),
            GoalKind::Guard(guard) | GoalKind::Bind(_, guard) => {
                attributes.read_by(guard).into_iter().for_each(|id| visit(id, Reading::Complete));
                let mentions = guard.expr.mentions();
                if mentions.hierarchy {
                    visit(Names::PARENT, Reading::Complete);
                }
                if mentions.stored {
                    visit(Names::STORED, Reading::Complete);
                }
            }
            GoalKind::Not(goal) => goal.reads_as(Reading::Complete, attributes, visit),
            GoalKind::Aggregate(aggregate) => {
                aggregate.body.iter().for_each(|goal| goal.reads_as(Reading::Complete, attributes, visit));
            }
        }
    }

    /// Whether the condition names a part of the request.
    pub(super) fn mentions_request(&self) -> bool {
        match &self.kind {
            GoalKind::Atom(..) | GoalKind::In(..) => false,
            GoalKind::Guard(guard) | GoalKind::Bind(_, guard) => guard.expr.mentions().request,
            GoalKind::Not(goal) => goal.mentions_request(),
            GoalKind::Aggregate(aggregate) => aggregate.body.iter().any(Self::mentions_request),
        }
    }
}

/// The rules that read each relation, in whichever way.
pub(super) struct Readers(BTreeMap<PredicateId, Vec<usize>>);

impl Readers {
    pub(super) fn of(checked: &CheckedRules) -> Self {
        let attributes = Attributes::of(checked);
        let mut readers: BTreeMap<PredicateId, Vec<usize>> = BTreeMap::new();
        for (at, rule) in checked.rules.iter().enumerate() {
            let mut read = BTreeSet::new();
            for goal in &rule.body {
                goal.each_read(&attributes, &mut |id, _| {
                    read.insert(id);
                });
            }
            for id in read {
                readers.entry(id).or_default().push(at);
            }
        }
        Self(readers)
    }

    /// The rules that read a relation, by their places.
    pub(super) fn of_relation(&self, id: PredicateId) -> &[usize] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }
}
