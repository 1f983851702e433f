//! A request in the terms of a program: checked against its schema, in its values.

use crate::{
    base::{Scratch, Symbol, Value, Values, View, value::member},
    expr::World,
    facts::FactView,
    program::Program,
    schema::{
        ActionType, Schema,
        conform::{self, Reader, SuppliedAttributes, Undeclared},
        is_action_type,
    },
    syntax::{Node, Shape},
};

use super::request::{EntityRef, Request};

/// A request that a program can decide.
pub(super) struct Bound<'p> {
    values: Scratch<'p>,
    world: RequestWorld<'p>,
    parts: [Value; 4],
    /// Attributes that the request supplied and that its schema does not let it: `principal.role`.
    pub(super) ignored: Vec<String>,
}

impl<'p> Bound<'p> {
    /// Values, world, and principal, action, resource and context, for an evaluator.
    pub(super) fn parts(&mut self) -> (&mut Scratch<'p>, &RequestWorld<'p>, [Value; 4]) {
        (&mut self.values, &self.world, self.parts)
    }
}

/// The facts, and over them the attributes that the request supplies for its principal and its resource.
#[derive(Debug)]
pub(super) struct RequestWorld<'p> {
    facts: &'p FactView,
    supplied: Vec<(Value, Value)>,
}

impl World for RequestWorld<'_> {
    fn attributes(&self, entity: Value) -> Option<Value> {
        let supplied = self.supplied.iter().find(|(of, _)| *of == entity).map(|(_, record)| *record);
        supplied.or_else(|| self.facts.attributes(entity))
    }

    fn tags(&self, entity: Value) -> Option<Value> {
        self.facts.tags(entity)
    }

    fn is_in(&self, entity: Value, ancestor: Value) -> bool {
        self.facts.is_in(entity, ancestor)
    }
}

/// Hands the bound request to `act`, or says what is wrong with it.
pub(super) fn with<R>(program: &Program, request: &Request, act: impl FnOnce(Result<Bound<'_>, String>) -> R) -> R {
    act(bind(program, request))
}

fn bind<'p>(program: &'p Program, request: &Request) -> Result<Bound<'p>, String> {
    let facts = program.facts();
    let mut values = Scratch::new(facts.values());
    let mut entity = |of: &EntityRef| values.entity(&of.kind, &of.id);
    let (principal, action, resource) =
        (entity(&request.principal), entity(&request.action), entity(&request.resource));
    let reader = Reader { schema: program.schema(), undeclared: Undeclared::Drop };
    let Shape::Table(_) = &request.context.shape else { return Err("the context is not an object".to_owned()) };
    let context = match program.schema() {
        Some(schema) => {
            let action = check(schema, &values, request, [principal, action, resource])?;
            reader.record(&mut values, &request.context, &action.context)
        }
        None => reader.value(&mut values, &request.context, None),
    };
    let context = context.map_err(|misfit| format!("context: {}", misfit.describe()))?;
    if !matches!(values.view(context), View::Record(_)) {
        return Err("the context is not an object".to_owned());
    }
    let mut world = RequestWorld { facts, supplied: Vec::new() };
    let mut ignored = Vec::new();
    let given =
        [("principal", principal, &request.principal_attributes), ("resource", resource, &request.resource_attributes)];
    for (part, entity, attributes) in given {
        let Some(attributes) = attributes else { continue };
        supply(reader, &mut values, &mut world, (part, entity), attributes, &mut ignored)?;
    }
    Ok(Bound { values, world, parts: [principal, action, resource, context], ignored })
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
    let SuppliedAttributes { taken, ignored: left } =
        supplied.map_err(|misfit| format!("{part}: {}", misfit.describe()))?;
    ignored.extend(left.iter().map(|name| format!("{part}.{name}")));
    if taken.is_empty() {
        return Ok(());
    }
    let stored: Vec<(Symbol, Value)> = match world.attributes(entity).map(|record| values.view(record)) {
        Some(View::Record(members)) => {
            members.iter().filter(|(name, _)| member(&taken, *name).is_none()).copied().collect()
        }
        _ => Vec::new(),
    };
    let merged = values.record(stored.into_iter().chain(taken).collect());
    world.supplied.retain(|(of, _)| *of != entity);
    world.supplied.push((entity, merged));
    Ok(())
}
