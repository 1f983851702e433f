//! What a request with one side open is allowed for.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    base::{Datum, EntityRef, Scratch, Symbol, Value, Values, limits},
    decide::{Bound, Decided, Request, Terms, Why, bind},
    schema::{ActionType, Schema, is_action_type},
    syntax::{Node, ast::Var, json::JsonError},
};

use super::{
    Asked, Entities, EntityName, QueryError, Stats, names,
    proposals::{self, Forbidden},
};

/// Which side of a request is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Principals,
    Actions,
    Resources,
}

/// A request with one side open: who may, what may one do, to what?
///
/// ```
/// use rune_core::{EntityRef, List};
///
/// // The documents that Ada may read.
/// let list = List::resources(EntityRef::new("User", "ada"), EntityRef::new("Action", "read")).of_type("Document");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    open: Open,
    request: Request,
    kind: Option<String>,
    after: Option<EntityRef>,
}

/// What a request with one side open is allowed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// The entities, by type and id.
    pub entities: Entities,
    /// How many known entities could be at the open side. One that nothing names is none of them, though a request for it may be
    /// allowed.
    pub candidates: usize,
    /// How many of those were considered: all, unless the steps ran out before.
    pub considered: usize,
    /// How many of those could not be decided about: the request does not fit the schema for them or errs.
    pub undecided: usize,
    /// Why the first of them could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the steps ran out before all had been looked at.
    #[serde(rename = "incomplete")]
    pub is_incomplete: bool,
    /// If they did: the last entity that had been. A list of what comes after it goes on ([`List::after`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<EntityRef>,
    /// What it took.
    pub stats: Stats,
}

impl List {
    /// Who may do this to that?
    #[must_use]
    pub fn principals(action: EntityRef, resource: EntityRef) -> Self {
        Self::of(Open::Principals, Request::new(EntityRef::new("", ""), action, resource))
    }

    /// What may somebody do to something?
    #[must_use]
    pub fn actions(principal: EntityRef, resource: EntityRef) -> Self {
        Self::of(Open::Actions, Request::new(principal, EntityRef::new("", ""), resource))
    }

    /// To what may somebody do this?
    #[must_use]
    pub fn resources(principal: EntityRef, action: EntityRef) -> Self {
        Self::of(Open::Resources, Request::new(principal, action, EntityRef::new("", "")))
    }

    fn of(open: Open, request: Request) -> Self {
        Self { open, request, kind: None, after: None }
    }

    /// Only entities of this type.
    #[must_use]
    pub fn of_type(self, kind: impl Into<String>) -> Self {
        Self { kind: Some(kind.into()), ..self }
    }

    /// Only entities that come after this one, by type and id: the next page of a list. Pages are of one list if they are of one
    /// version and revision: ask one `Snapshot` for all.
    #[must_use]
    pub fn after(self, entity: EntityRef) -> Self {
        Self { after: Some(entity), ..self }
    }

    /// With this context, a table.
    #[must_use]
    pub fn with_context(self, context: Node) -> Self {
        Self { request: self.request.with_context(context), ..self }
    }

    /// With the context that a JSON object is.
    ///
    /// # Errors
    ///
    /// If the text is not JSON.
    pub fn with_context_json(self, text: &str) -> Result<Self, JsonError> {
        Ok(Self { request: self.request.with_context_json(text)?, ..self })
    }

    /// Whether an entity comes after what was listed before.
    fn has(&self, entity: &EntityRef) -> bool {
        self.after.as_ref().is_none_or(|after| after < entity)
    }

    fn request(&self, entity: EntityRef) -> Request {
        self.about(self.request.clone(), entity)
    }

    /// A request of this list, with this entity at the open side.
    fn about(&self, mut request: Request, entity: EntityRef) -> Request {
        match self.open {
            Open::Principals => request.principal = entity,
            Open::Actions => return request.for_action(entity),
            Open::Resources => request.resource = entity,
        }
        request
    }
}

/// Entities by type and id, and of each whether it is on the list for sure.
struct Candidates<'p> {
    entities: Entities,
    are_sure: Vec<bool>,
    together: Option<Together<'p>>,
}

/// One request for all candidates, if it is the same for all: what is found out for one needs not be found out for the next.
struct Together<'p> {
    bound: Bound<'p>,
    open: Var,
    entities: Vec<Value>,
}

/// Candidates after which what was found out is let go of, as it grows with them.
const TOGETHER_MAX: usize = 64;

/// Steps in which those who are forbidden are looked for: at least, and for each candidate that is to be decided about otherwise.
const FORBIDDEN_STEPS_MIN: u64 = 10_000;
const FORBIDDEN_STEPS: u64 = 16;

impl Asked<'_> {
    /// The known entities for which a request with one side open is allowed. Actions are those of the schema, or without one
    /// those that anything names.
    ///
    /// # Errors
    ///
    /// [`QueryError::Request`] if the schema does not provide for such a request: an unknown name is no empty list.
    pub fn list(&self, list: &List) -> Result<Listed, QueryError> {
        self.check_list(list).map_err(QueryError::Request)?;
        let mut listed = Listed {
            entities: Entities::default(),
            candidates: 0,
            considered: 0,
            undecided: 0,
            error: None,
            is_incomplete: false,
            next: None,
            stats: Stats::default(),
        };
        let candidates = match self.proposed(list, &mut listed) {
            Some(proposed) => proposed,
            None => {
                let mut entities: Vec<EntityRef> = self.candidates(list).into_iter().collect();
                entities
                    .retain(|entity| list.kind.as_ref().is_none_or(|kind| *kind == entity.kind) && list.has(entity));
                listed.candidates = entities.len();
                let names = entities.iter().map(|EntityRef { kind, id }| EntityName { kind, id });
                Candidates { are_sure: vec![false; entities.len()], entities: names.collect(), together: None }
            }
        };
        self.decide_each(list, candidates, &mut listed);
        Ok(listed)
    }

    /// Puts those candidates on a list for which the request is allowed.
    fn decide_each(&self, list: &List, candidates: Candidates<'_>, listed: &mut Listed) {
        let Candidates { entities, are_sure, mut together } = candidates;
        let n_left_out = listed.candidates.saturating_sub(entities.len());
        let mut left = limits::LIST_STEPS_MAX;
        if !are_sure.contains(&false) {
            (listed.considered, listed.entities) = (entities.len() + n_left_out, entities);
            return;
        }
        let mut request = list.request(EntityRef::new("", ""));
        for (at, (name, is_sure)) in entities.iter().zip(are_sure).enumerate() {
            listed.considered += 1;
            if is_sure {
                listed.entities.push(name);
                continue;
            }
            let steps_max = left.min(limits::DECISION_STEPS_MAX);
            let work = match together.as_mut().and_then(|together| self.decide_together(list, together, at, steps_max))
            {
                Some(work) => work,
                None => {
                    request = list.about(request, name.to_entity());
                    self.terms.decide_within(&request, steps_max)
                }
            };
            listed.stats.rows_touched += work.n_touched;
            left = left.saturating_sub(work.n_steps);
            if left == 0 {
                // One that was not decided about for want of the list's steps is the first of the next page.
                let is_decided = steps_max == limits::DECISION_STEPS_MAX || !matches!(work.why, Why::Error(_));
                let end = if is_decided { Some(at) } else { at.checked_sub(1) };
                listed.next = end.and_then(|at| entities.get(at)).map(EntityName::to_entity);
                listed.is_incomplete = true;
                if !is_decided {
                    listed.considered -= 1;
                    break;
                }
            }
            match work.why {
                Why::AllowedBy(_) => listed.entities.push(name),
                Why::ForbiddenBy(_) | Why::NotPermitted => {}
                Why::Error(error) => {
                    listed.undecided += 1;
                    listed.error.get_or_insert(error);
                }
            }
            if listed.is_incomplete {
                break;
            }
        }
        // Those that no permit proposes need not be decided about.
        listed.considered += if listed.is_incomplete { 0 } else { n_left_out };
        listed.stats.steps = limits::LIST_STEPS_MAX - left;
    }

    /// Decides about one of the candidates for whom one request does.
    fn decide_together<'s>(
        &'s self,
        list: &List,
        together: &mut Together<'s>,
        at: usize,
        steps_max: u64,
    ) -> Option<Decided> {
        let entity = *together.entities.get(at)?;
        if at % TOGETHER_MAX == TOGETHER_MAX - 1 {
            together.bound = bind(self.terms, &list.request(EntityRef::of(self.terms.values, entity)?)).ok()?;
        }
        together.bound.put(together.open, entity);
        Some(self.terms.decide_bound(&mut together.bound, steps_max))
    }

    /// The known entities for which a permit may hold, each with whether the request is allowed for it for sure; none if they
    /// cannot be found but by trying all. Notes how many could be at the open side.
    fn proposed(&self, list: &List, listed: &mut Listed) -> Option<Candidates<'_>> {
        let open = match list.open {
            Open::Principals => Var::Principal,
            Open::Resources => Var::Resource,
            Open::Actions => return None,
        };
        let known = self.terms.facts.known(self.terms.values);
        let mut values = Scratch::new(self.terms.values);
        let wanted = list.kind.as_deref().map(|kind| values.symbol(kind));
        let types = self.types(list, &mut values);
        let is_wanted = |kind: &Symbol| {
            types.as_ref().is_none_or(|types| types.contains(kind)) && wanted.is_none_or(|wanted| wanted == *kind)
        };
        // What a type lists is known, whether anything names it or not.
        let lists_some = |kind: &Symbol| {
            let of = self.terms.schema.and_then(|schema| schema.entity_type(*kind));
            of.is_some_and(|of| of.choices.is_some())
        };
        let kinds: Vec<Symbol> = known.by_type.keys().copied().filter(is_wanted).collect();
        if kinds.iter().chain(types.iter().flatten()).any(lists_some) {
            return None;
        }
        let of_kind = |kind: &Symbol| known.by_type.get(kind).map(Vec::as_slice).unwrap_or_default();
        let forbids = self.terms.rules.forbids().next().is_some() || self.terms.policies.has_forbids();
        let mut bound = self.bound(list, forbids, kinds.iter().map(|kind| of_kind(kind).first().copied()))?;
        let proposed = proposals::proposed(self.terms, &mut bound, open, &kinds)?;
        listed.stats.rows_touched += bound.parts().1.session.n_taken();
        let mut found: Vec<(Value, bool)> = proposed.into_pairs().collect();
        found.retain(|(entity, _)| known.has(*entity));
        let is_settled = !forbids || self.leave_out_forbidden(&mut bound, open, &mut found, listed);
        let mut named = names::in_order(self.terms.values, &kinds, &found);
        if let Some(after) = &list.after {
            named.retain(|named| names::comes_after(named.name, after));
        }
        let all = kinds.iter().flat_map(of_kind);
        listed.candidates = match &list.after {
            None => all.count(),
            Some(after) => all.filter(|entity| names::is_after(self.terms.values, **entity, after)).count(),
        };
        let are_sure = named.iter().map(|named| named.is_sure && is_settled).collect();
        let mut entities = Entities::with_capacity(named.len(), named.iter().map(|named| named.name.id.len()).sum());
        for named in &named {
            entities.push(named.name);
        }
        let together = bound.is_for_any(self.terms.rules).then(|| {
            let entities = named.iter().map(|named| named.entity).collect();
            Together { bound, open, entities }
        });
        Some(Candidates { entities, are_sure, together })
    }

    /// Leaves out those of whom it is sure that a permit holds and that a forbid does. Says whether all of those are: then nothing
    /// forbids the request for the others among them.
    fn leave_out_forbidden(
        &self,
        bound: &mut Bound<'_>,
        open: Var,
        found: &mut Vec<(Value, bool)>,
        listed: &mut Listed,
    ) -> bool {
        let n_sure = found.iter().filter(|(_, is_sure)| *is_sure).count();
        if n_sure == 0 {
            return false;
        }
        let steps_max = FORBIDDEN_STEPS_MIN + FORBIDDEN_STEPS * n_sure as u64;
        let forbidden = proposals::forbidden(self.terms, bound, open, steps_max);
        listed.stats.rows_touched += bound.parts().1.session.n_taken();
        match forbidden {
            None => return false,
            Some(Forbidden::Everybody) => found.clear(),
            Some(Forbidden::These(forbidden)) => {
                found.retain(|(entity, is_sure)| !is_sure || forbidden.binary_search(entity).is_err());
            }
        }
        true
    }

    /// The request for one entity of a list, if it can be decided for one of each type: what is wrong with it for one is wrong for
    /// all.
    fn bound(&self, list: &List, forbids: bool, samples: impl Iterator<Item = Option<Value>>) -> Option<Bound<'_>> {
        let Terms { values, rules, .. } = self.terms;
        // Nothing is wrong with a request that can be bound, where nothing is derived for it and nothing can be undetermined.
        let is_decided = forbids || rules.request_relations().next().is_some();
        let mut first = None;
        for sample in samples.flatten() {
            let request = list.request(EntityRef::of(values, sample)?);
            if is_decided && matches!(self.terms.decide(&request), Why::Error(_)) {
                return None;
            }
            let bound = bind(self.terms, &request).ok()?;
            first.get_or_insert(bound);
        }
        first
    }

    /// The types that a schema lets be at the open side.
    fn types(&self, list: &List, values: &mut Scratch<'_>) -> Option<Vec<Symbol>> {
        let action = list.request.action_value(values, self.terms.action_type);
        self.terms.schema.map(|schema| match (schema.action(action), list.open) {
            (Some(of), Open::Principals) => of.principals.clone(),
            (Some(of), _) => of.resources.clone(),
            (None, _) => Vec::new(),
        })
    }

    /// Whether the schema knows the action and the types, if there is a schema.
    fn check_list(&self, list: &List) -> Result<(), String> {
        let Some(schema) = self.terms.schema else { return Ok(()) };
        let mut values = Scratch::new(self.terms.values);
        let List { open, request, kind, .. } = list;
        let sides = [(Open::Principals, &request.principal), (Open::Resources, &request.resource)];
        let given = sides.into_iter().filter(|(side, _)| side != open).map(|(_, entity)| entity.kind.as_str());
        let of_open = kind.as_deref().filter(|_| *open != Open::Actions);
        for kind in given.chain(of_open) {
            let symbol = values.symbol(kind);
            if schema.entity_type(symbol).is_none() && !is_action_type(kind) {
                return Err(format!("the schema has no entity type {kind}"));
            }
        }
        let action = request.action_value(&mut values, self.terms.action_type);
        if *open != Open::Actions && schema.action(action).is_none() {
            return Err(format!("the schema has no action {}", values.show_briefly(action)));
        }
        Ok(())
    }

    /// The entities that may be at the open side, by type and id.
    fn candidates(&self, list: &List) -> BTreeSet<EntityRef> {
        let mut values = Scratch::new(self.terms.values);
        let mut found: BTreeSet<Value> = BTreeSet::new();
        let schema = self.terms.schema;
        if list.open == Open::Actions {
            match schema {
                Some(schema) => {
                    let Request { principal, resource, .. } = &list.request;
                    let (principal, resource) = (values.symbol(&principal.kind), values.symbol(&resource.kind));
                    let takes =
                        |of: &ActionType| of.principals.contains(&principal) && of.resources.contains(&resource);
                    found.extend(schema.actions().filter(|(_, of)| takes(of)).map(|(action, _)| action));
                }
                None => {
                    self.terms.values.each_entity(&mut |kind, entity| {
                        if is_action_type(values.name(kind)) {
                            found.insert(entity);
                        }
                    });
                    // Live facts may name what the program did before.
                    let known = self.terms.facts.known(self.terms.values).by_type.iter();
                    let actions = known.filter(|(kind, _)| is_action_type(values.name(**kind)));
                    found.extend(actions.flat_map(|(_, entities)| entities.iter().copied()));
                }
            }
        } else {
            let types = self.types(list, &mut values);
            let known = self.terms.facts.known(self.terms.values).by_type.iter();
            let taken = known.filter(|(kind, _)| types.as_ref().is_none_or(|types| types.contains(kind)));
            found.extend(taken.flat_map(|(_, entities)| entities.iter().copied()));
            // What a type lists is known, whether anything names it or not.
            for (kind, of) in schema.into_iter().flat_map(Schema::entity_types) {
                for id in of.choices.iter().flatten().filter(|_| types.iter().flatten().any(|of| *of == kind)) {
                    found.insert(values.intern(Datum::Entity(kind, *id)));
                }
            }
        }
        found.into_iter().filter_map(|entity| EntityRef::of(&values, entity)).collect()
    }
}
