//! A request in terms of a schema and of facts: checked against the one, in the values of the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{
        EntityRef, Scratch, Symbol, Threads, Value, Values, View, limits,
        value::{each_entity, member},
    },
    check::rules::{Names, PredicateId},
    datalog::{self, Bounds, DatalogEngine, DeriveError, Session, Stop, Strata, Work},
    expr::{Derived, Failure, Member, World},
    facts::{Facts, Relation, RowId, Store, Tick, ancestors_by, elements_from, rows_from},
    schema::{
        ActionType, Schema,
        conform::{self, Reader, SuppliedAttributes, Undeclared},
        is_action_type,
    },
    syntax::{Node, Shape, ast::Var},
};

use super::{Terms, request::Request};

/// A request that a program can decide.
pub(crate) struct Bound<'p> {
    values: Scratch<'p>,
    world: RequestWorld<'p>,
    parts: [Value; 4],
    /// The relations that are derived anew, because they follow from an entity which only the request names.
    pub(crate) anew: BTreeSet<PredicateId>,
    /// Attributes that the request supplied and that its schema does not let it: `principal.role`.
    pub(crate) ignored: Vec<String>,
}

impl<'p> Bound<'p> {
    /// Values, world, and principal, action, resource and context, for an evaluator.
    pub(crate) fn parts(&mut self) -> (&mut Scratch<'p>, &RequestWorld<'p>, [Value; 4]) {
        (&mut self.values, &self.world, self.parts)
    }

    /// Puts another entity in place of the principal or the resource: one that the facts know and that the schema lets be there, as it
    /// does the one before. Then all else is as it was.
    pub(crate) fn put(&mut self, part: Var, entity: Value) {
        let [principal, _, resource, _] = &mut self.parts;
        match part {
            Var::Principal => *principal = entity,
            Var::Resource => *resource = entity,
            Var::Action | Var::Context => {}
        }
    }

    /// Whether nothing that was bound depends on who the principal and the resource are, as long as they are known.
    pub(crate) fn is_for_any(&self, rules: &DatalogEngine) -> bool {
        self.anew.is_empty()
            && self.world.relations.is_empty()
            && self.world.supplied.is_empty()
            && rules.known.is_empty()
            && rules.request_relations().next().is_none()
    }

    /// The values that the request brought along.
    pub(crate) fn into_values(self) -> Scratch<'p> {
        self.values
    }

    /// No request: what asks for one has nothing to ask.
    pub(crate) fn without_request(terms: Terms<'p>) -> Self {
        let world = RequestWorld::new(terms);
        let (values, parts) = (Scratch::new(terms.values), [Value::UNKNOWN; 4]);
        Self { values, world, parts, anew: BTreeSet::new(), ignored: Vec::new() }
    }

    /// Values, world and parts, to change the world.
    pub(crate) fn with_world<R>(
        &mut self,
        change: impl FnOnce(&mut RequestWorld<'p>, &Scratch<'p>, [Value; 4]) -> R,
    ) -> R {
        change(&mut self.world, &self.values, self.parts)
    }

    /// Keeps what answers rest on from now on, so that it can be explained.
    pub(crate) fn keep_rows(&mut self) {
        self.world.session.keep_rows();
    }

    /// Derives what rules say of this request.
    pub(crate) fn derive(&mut self, rules: &DatalogEngine, steps_max: u64) -> Result<Work, DeriveError> {
        let is_derived = rules.concerns_requests() && !self.world.relations.is_empty();
        if !is_derived && self.anew.is_empty() {
            return Ok(Work { steps_left: steps_max, n_touched: 0, n_rows: 0 });
        }
        rules.prepare(&mut self.world);
        let bounds = Bounds { steps_max, rows_max: limits::REQUEST_ROWS_MAX, threads: Threads::ONE };
        let strata = Strata::OfRequest { request: self.parts, anew: &self.anew };
        // Expressions ask what demand answers, at the cost of the same steps.
        self.world.session.allow(steps_max);
        let work = datalog::derive(rules, &mut self.world, &mut self.values, strata, bounds)?;
        let n_asked = self.world.session.n_taken();
        let steps_left = work.steps_left.saturating_sub(n_asked);
        Ok(Work { steps_left, n_touched: work.n_touched + n_asked, ..work })
    }
}

/// What finding the parents of one live entity takes, beside visiting a node.
const STEPS_PER_ENTITY: u64 = 4;

/// The facts, and over them what one request brings along: attributes of its principal and its resource, entities that it alone
/// names, and the rows of relations that depend on it.
#[derive(Debug)]
pub(crate) struct RequestWorld<'p> {
    facts: &'p Facts,
    supplied: Vec<(Value, Vec<(Symbol, Value)>)>,
    relations: BTreeMap<PredicateId, Relation>,
    /// What is asked about relations that are evaluated by demand.
    pub(crate) session: Session<'p>,
}

impl<'p> RequestWorld<'p> {
    fn new(Terms { facts, rules, demand, .. }: Terms<'p>) -> Self {
        // Rows that files give are there for every request, before anything is derived.
        let given = |id| (id, facts.relation(id).cloned().unwrap_or_else(|| Relation::new(rules.arity(id))));
        let relations = rules.request_relations().map(given).collect();
        let session = Session::new(demand, limits::EXPLANATION_STEPS_MAX);
        Self { facts, supplied: Vec::new(), relations, session }
    }

    /// The values that the request supplies.
    pub(crate) fn supplied(&self) -> Vec<Value> {
        self.supplied.iter().flat_map(|(_, members)| members.iter().map(|(_, value)| *value)).collect()
    }

    /// Lays a relation over the facts.
    pub(crate) fn add(&mut self, id: PredicateId, relation: Relation) {
        self.relations.insert(id, relation);
    }

    /// Makes the entities that the request names known, and says which relations must be derived anew for those that were not.
    fn welcome(&mut self, rules: &DatalogEngine, values: &Scratch<'_>, named: &[Value]) -> BTreeSet<PredicateId> {
        let mut anew = BTreeSet::new();
        for of in &rules.known {
            let known = self.facts.relation(of.predicate);
            let mut guests = Vec::new();
            for value in named {
                each_entity(values, *value, &mut |kind, entity| {
                    let is_known = || known.is_some_and(|known| known.rows.find(&[entity]).is_some());
                    if kind == of.kind && !is_known() {
                        guests.push(entity);
                    }
                });
            }
            if guests.is_empty() {
                continue;
            }
            let is_bulk = |id: &&PredicateId| !self.session.answers_for(**id);
            anew.extend(of.followers.iter().filter(is_bulk));
            self.session.welcome(guests.iter().map(|guest| (of.predicate, *guest)));
            let mut known = known.cloned().unwrap_or_else(|| Relation::new(1));
            for guest in guests {
                known.rows.insert(&[guest]);
            }
            self.relations.insert(of.predicate, known);
        }
        for id in &anew {
            let given = self.facts.relations.given(*id).cloned();
            self.relations.insert(*id, given.unwrap_or_else(|| Relation::new(rules.arity(*id))));
        }
        anew
    }
}

impl RequestWorld<'_> {
    /// An entity and all that it is below, up to the one that is sought.
    fn walk_up(&self, values: &impl Values, entity: Value, sought: Option<Value>) -> Result<Vec<Value>, Failure> {
        let n_max = self.session.n_left() / STEPS_PER_ENTITY;
        let above = self.facts.walk_up(values, entity, sought, n_max).ok_or(Failure::TooManySteps)?;
        self.session.take(above.len() as u64 * STEPS_PER_ENTITY).map_err(too_many_steps)?;
        Ok(above)
    }
}

impl World for RequestWorld<'_> {
    fn attribute(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        // Of two parts of the request that are one entity, the later one's word counts.
        let supplied = || self.supplied.iter().rev().filter(|(of, _)| *of == entity);
        match supplied().find_map(|(_, members)| member(members, name)) {
            Some(value) => Member::Is(value),
            None => match self.facts.stored(values, entity, name) {
                // What a request says of an entity makes it known.
                Member::NoEntity if supplied().next().is_some() => Member::Missing,
                stored => stored,
            },
        }
    }

    fn stored(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        self.facts.stored(values, entity, name)
    }

    fn tag(&self, values: &impl Values, entity: Value, name: Symbol) -> Member {
        match self.facts.tag(values, entity, name) {
            Member::NoEntity if self.supplied.iter().any(|(of, _)| *of == entity) => Member::Missing,
            stored => stored,
        }
    }

    fn is_in(&self, values: &impl Values, entity: Value, ancestor: Value) -> Result<bool, Failure> {
        match self.relations.get(&Names::IN) {
            Some(relation) if entity != ancestor => relation.holds(&[entity, ancestor]),
            None if entity != ancestor && self.facts.is_walked() => {
                Ok(self.walk_up(values, entity, Some(ancestor))?.last() == Some(&ancestor))
            }
            _ => self.facts.is_in(values, entity, ancestor),
        }
    }

    fn ancestors(&self, values: &impl Values, entity: Value) -> (Vec<Value>, Option<Failure>) {
        match self.relations.get(&Names::IN) {
            Some(relation) => ancestors_by(relation, entity),
            None if self.facts.is_walked() => match self.walk_up(values, entity, None) {
                Ok(above) => (above, None),
                Err(failure) => (vec![entity], Some(failure)),
            },
            None => self.facts.ancestors(values, entity),
        }
    }

    fn derived(&self, kind: Symbol, name: Symbol) -> Option<&Derived> {
        self.facts.derived(kind, name)
    }

    fn holds(&self, values: &impl Values, derived: &Derived, row: &[Value]) -> Result<bool, Failure> {
        let id = PredicateId(derived.relation);
        if self.session.answers_for(id) {
            return self.session.has(self.facts, values, id, row).map_err(too_many_steps);
        }
        self.relation(id).map_or(Ok(false), |relation| relation.holds(row))
    }

    fn elements(&self, values: &impl Values, derived: &Derived, entity: Value) -> Vec<Value> {
        if self.session.answers_for(PredicateId(derived.relation)) {
            return match self.rows_of(values, derived, entity) {
                Ok(rows) => rows.into_iter().flatten().collect(),
                // What cannot be found within the steps may be anything.
                Err(_) => vec![Value::UNKNOWN],
            };
        }
        self.relation(PredicateId(derived.relation)).map(|of| elements_from(of, entity)).unwrap_or_default()
    }

    fn rows_of(&self, values: &impl Values, derived: &Derived, entity: Value) -> Result<Vec<Vec<Value>>, Failure> {
        let id = PredicateId(derived.relation);
        if self.session.answers_for(id) {
            let arity = self.session.arity(id);
            let key: Vec<Option<Value>> = (0..arity).map(|at| Some(entity).filter(|_| at == 0)).collect();
            let mut rows = self.demanded(values, id, &key, Tick::END)?;
            for (_, row) in &mut rows {
                row.remove(0);
            }
            return Ok(rows.into_iter().map(|(_, row)| row).collect());
        }
        match self.relation(id) {
            Some(relation) => rows_from(relation, entity),
            None => Ok(Vec::new()),
        }
    }
}

impl Store for RequestWorld<'_> {
    fn relation(&self, id: PredicateId) -> Option<&Relation> {
        self.relations.get(&id).or_else(|| self.facts.relation(id))
    }

    fn relation_mut(&mut self, id: PredicateId) -> Option<&mut Relation> {
        self.relations.get_mut(&id)
    }

    fn is_demanded(&self, id: PredicateId) -> bool {
        self.session.answers_for(id)
    }

    fn demanded(
        &self,
        values: &impl Values,
        id: PredicateId,
        key: &[Option<Value>],
        before: Tick,
    ) -> Result<Vec<(RowId, Vec<Value>)>, Failure> {
        self.session.rows(self.facts, values, id, key, before).map_err(too_many_steps)
    }

    fn row_at(&self, id: PredicateId, at: RowId) -> Option<(Vec<Value>, Tick)> {
        if self.session.answers_for(id) {
            return self.session.row_at(self.facts, id, at);
        }
        self.relation(id)?.row_at(at)
    }

    fn place_of_row(&self, id: PredicateId, row: &[Value]) -> Option<RowId> {
        if self.session.answers_for(id) {
            return self.session.place_of(self.facts, id, row);
        }
        self.relation(id)?.rows.find(row)
    }
}

fn too_many_steps(_: Stop) -> Failure {
    Failure::TooManySteps
}

/// Binds a request to the terms that it is decided by, or says what is wrong with it.
pub(crate) fn bind<'p>(terms: Terms<'p>, request: &Request) -> Result<Bound<'p>, String> {
    let Terms { schema, action_type, rules, .. } = terms;
    let given = [Some(&request.context), request.principal_attributes.as_ref(), request.resource_attributes.as_ref()];
    if !given.into_iter().flatten().all(|node| node.is_within(limits::NESTING_MAX)) {
        return Err(format!("the request is nested more than {} deep", limits::NESTING_MAX));
    }
    let mut values = Scratch::new(terms.values);
    let mut entity = |of: &EntityRef| values.entity(&of.kind, &of.id);
    let (principal, resource) = (entity(&request.principal), entity(&request.resource));
    let action = request.action_value(&mut values, action_type);
    let reader = Reader { schema, undeclared: Undeclared::Drop };
    let Shape::Table(context) = &request.context.shape else { return Err("the context is not an object".to_owned()) };
    let context_type = match schema {
        Some(schema) => Some(&check(schema, &values, request, [principal, action, resource])?.context),
        None => None,
    };
    let context = reader.record(&mut values, &request.context.span, context, context_type);
    let context = context.map_err(|misfit| format!("context: {}", misfit.describe()))?;
    let mut world = RequestWorld::new(terms);
    let mut ignored = Vec::new();
    let given =
        [("principal", principal, &request.principal_attributes), ("resource", resource, &request.resource_attributes)];
    for (part, entity, attributes) in given {
        let Some(attributes) = attributes else { continue };
        supply(reader, &mut values, &mut world, (part, entity), attributes, &mut ignored)?;
    }
    let parts = [principal, action, resource, context];
    let supplied = world.supplied();
    // Where no rule asks who is known, nobody needs to be.
    let named: Vec<Value> =
        if rules.known.is_empty() { Vec::new() } else { parts.into_iter().chain(supplied).collect() };
    let anew = world.welcome(rules, &values, &named);
    Ok(Bound { values, world, parts, anew, ignored })
}

/// The action of the request, if the schema provides for it with this principal and this resource.
fn check<'s>(
    schema: &'s Schema,
    values: &Scratch<'_>,
    request: &Request,
    [principal, action, resource]: [Value; 3],
) -> Result<&'s ActionType, String> {
    let Some(action_type) = schema.action(action) else {
        return Err(format!("the schema has no action {}", request.action));
    };
    let given = [
        ("principal", principal, &request.principal, &action_type.principals),
        ("resource", resource, &request.resource, &action_type.resources),
    ];
    for (part, entity, of, allowed) in given {
        let View::Entity(kind, id) = values.view(entity) else { continue };
        let Some(entity_type) = schema.entity_type(kind) else {
            // Some schemas take an action as the resource; then the action must be one.
            if is_action_type(&of.kind) && schema.action(entity).is_some() && allowed.contains(&kind) {
                continue;
            }
            return Err(format!("the schema has no entity type {}", of.kind));
        };
        if !allowed.contains(&kind) {
            return Err(format!("{} does not take a {part} of type {}", request.action, of.kind));
        }
        if entity_type.choices.as_ref().is_some_and(|choices| !choices.contains(&id)) {
            return Err(format!("the schema does not have {of}"));
        }
    }
    Ok(action_type)
}

/// Lays the attributes that a request supplies for an entity over those that are stored.
fn supply(
    reader: Reader<'_>,
    values: &mut Scratch<'_>,
    world: &mut RequestWorld<'_>,
    (part, entity): (&str, Value),
    attributes: &Node,
    ignored: &mut Vec<String>,
) -> Result<(), String> {
    let supplied = conform::supplied(reader, values, attributes, entity);
    let SuppliedAttributes { mut taken, ignored: left } =
        supplied.map_err(|misfit| format!("{part}: {}", misfit.describe()))?;
    ignored.extend(left.iter().map(|name| format!("{part}.{name}")));
    if !taken.is_empty() {
        taken.sort_unstable_by_key(|(name, _)| *name);
        world.supplied.push((entity, taken));
    }
    Ok(())
}
