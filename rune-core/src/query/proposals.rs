//! The entities for which some permit may hold, found from what permits ask instead of by trying all.
//!
//! A rule that decides is asked for its open column; a policy that asks for a derived attribute of the open part, or of the other
//! part for the open one, holds of none but those that have it. Where one permit says nothing of this kind, all are candidates.

use crate::{
    base::{Symbol, Value, Values},
    check::rules::PredicateId,
    decide::{Bound, RequestWorld, Terms},
    expr::Form,
    facts::{Store as _, Tick},
    policy::{Effect, Policy, kind_of},
    syntax::ast::Var,
};

/// Entities, each once.
#[derive(Debug, Default)]
pub(super) struct Proposed {
    /// Those of which a permit holds for sure.
    sure: Vec<Value>,
    /// Others of which one may hold.
    possible: Vec<Value>,
}

impl Proposed {
    /// Each with whether a permit holds of it for sure.
    pub(super) fn into_pairs(self) -> impl Iterator<Item = (Value, bool)> {
        self.sure
            .into_iter()
            .map(|entity| (entity, true))
            .chain(self.possible.into_iter().map(|entity| (entity, false)))
    }

    /// Leaves each in one place, once.
    fn settle(&mut self) {
        let Self { sure, possible } = self;
        for entities in [&mut *sure, possible] {
            entities.sort_unstable();
            entities.dedup();
        }
        possible.retain(|entity| sure.binary_search(entity).is_err());
    }
}

/// The entities that permits propose for the open part of a request; none if one of them says nothing.
pub(super) fn proposed(terms: Terms<'_>, bound: &mut Bound<'_>, open: Var, kinds: &[Symbol]) -> Option<Proposed> {
    let (values, world, parts) = bound.parts();
    let mut search = Search { terms, world, values, parts, open, kinds, found: Proposed::default() };
    let mut n_asked = 0;
    for rule in terms.rules.permits() {
        let of = [Var::Principal, Var::Action, Var::Resource].map(|part| search.part(part));
        let (store, found) = ((terms.facts, search.values), &mut search.found.sure);
        if world.session.permitted(terms.rules, rule, of, store, found)? {
            let known = &terms.facts.known(terms.values).by_type;
            found.extend(kinds.iter().filter_map(|kind| known.get(kind)).flatten());
            n_asked += 1;
        }
        n_asked += 1;
    }
    let [_, action, _, _] = parts;
    for policy in terms.policies.iter().filter(|of| of.effect == Effect::Permit && of.may_take(action)) {
        search.policy(policy)?;
        n_asked += 2;
    }
    // What one rule permits it permits once.
    if 1 < n_asked {
        search.found.settle();
    }
    Some(search.found)
}

/// Whom rules forbid something.
pub(super) enum Forbidden {
    /// These, in the order of their values.
    These(Vec<Value>),
    Everybody,
}

/// Those for which rules forbid the request; none if they are not found in so many steps, or if policies forbid as well.
pub(super) fn forbidden(terms: Terms<'_>, bound: &mut Bound<'_>, open: Var, steps_max: u64) -> Option<Forbidden> {
    if terms.policies.has_forbids() {
        return None;
    }
    let (values, world, parts) = bound.parts();
    let search = Search { terms, world, values, parts, open, kinds: &[], found: Proposed::default() };
    world.session.allow(steps_max);
    let mut found = Vec::new();
    for rule in terms.rules.forbids() {
        let of = [Var::Principal, Var::Action, Var::Resource].map(|part| search.part(part));
        if world.session.permitted(terms.rules, rule, of, (terms.facts, search.values), &mut found)? {
            return Some(Forbidden::Everybody);
        }
    }
    found.sort_unstable();
    Some(Forbidden::These(found))
}

struct Search<'s, 'w, V> {
    terms: Terms<'s>,
    world: &'s RequestWorld<'w>,
    values: &'s V,
    parts: [Value; 4],
    open: Var,
    /// The types that the open part may have.
    kinds: &'s [Symbol],
    found: Proposed,
}

impl<V: Values> Search<'_, '_, V> {
    /// The value of a part of the request, unless it is the open one.
    fn part(&self, part: Var) -> Option<Value> {
        let [principal, action, resource, _] = self.parts;
        match part {
            _ if part == self.open => None,
            Var::Principal => Some(principal),
            Var::Action => Some(action),
            Var::Resource => Some(resource),
            Var::Context => None,
        }
    }

    fn policy(&mut self, policy: &Policy) -> Option<()> {
        if let Some(entity) = policy.names(self.open) {
            self.found.possible.push(entity);
            return Some(());
        }
        let asked = policy.asked_of_parts().into_iter();
        let found = asked.filter(|(owner, _, element)| self.is_about_open(*owner, *element)).find_map(
            |(owner, name, element)| {
                let kinds = match self.part(owner) {
                    Some(owner) => vec![kind_of(self.values, owner)?],
                    None => self.kinds.to_vec(),
                };
                kinds.into_iter().map(|kind| self.rows(kind, name, [Some(owner), element])).collect::<Option<Vec<_>>>()
            },
        );
        self.found.possible.extend(found?.into_iter().flatten());
        Some(())
    }

    /// What the open part may be if an attribute of an entity of this type is to have an element, or to be true.
    fn rows(&self, kind: Symbol, name: Symbol, of: [Option<Var>; 2]) -> Option<Vec<Value>> {
        let derived = self.terms.facts.relations.attribute(kind, name)?;
        let id = PredicateId(derived.relation);
        let columns: Vec<Var> = of.into_iter().flatten().collect();
        let form = if columns.len() == 1 { Form::Flag } else { Form::Set };
        if derived.form != form || !self.world.is_demanded(id) {
            return None;
        }
        let key: Vec<Option<Value>> = columns.iter().map(|part| self.part(*part)).collect();
        let open = columns.iter().position(|part| *part == self.open)?;
        let rows = self.world.demanded(self.values, id, &key, Tick::END).ok()?;
        Some(rows.into_iter().filter_map(|(_, row)| row.get(open).copied()).collect())
    }

    fn is_about_open(&self, owner: Var, element: Option<Var>) -> bool {
        let closed = |part| part != self.open && part != Var::Context;
        match element {
            None => owner == self.open,
            Some(element) => owner == self.open && closed(element) || element == self.open && closed(owner),
        }
    }
}
