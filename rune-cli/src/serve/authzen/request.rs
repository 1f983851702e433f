//! A request as AuthZEN writes it, to one of ours.

use rune_core::{
    EntityRef, Request,
    syntax::{Key, Node, Shape},
};

use crate::serve::http::Fault;

/// What each part must name.
const ENTITY: [&str; 2] = ["type", "id"];
const ACTION: [&str; 1] = ["name"];

/// One question, as far as it is given; of a batch, the defaults are one as well.
///
/// It holds references: a request is made, and takes memory, when it is about to be decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evaluation<'b> {
    subject: Option<Part<'b>>,
    action: Option<Part<'b>>,
    resource: Option<Part<'b>>,
    context: Option<&'b Node>,
}

impl<'b> Evaluation<'b> {
    /// What stands in `object`, and by itself.
    pub(super) fn of(object: &'b Node, what: &str) -> Result<Self, Fault> {
        expect_object(object, what)?;
        let part = |name, required| Some(Part { name, required, given: given(object, name)?, default: None });
        Ok(Self {
            subject: part("subject", &ENTITY),
            action: part("action", &ACTION),
            resource: part("resource", &ENTITY),
            context: given(object, "context"),
        })
    }

    /// What is not given is as in `defaults`.
    pub(super) fn over(self, defaults: &Self) -> Self {
        let part = |own: Option<Part<'b>>, default: Option<Part<'b>>| match own {
            Some(own) => Some(own.over(default)),
            None => default,
        };
        Self {
            subject: part(self.subject, defaults.subject),
            action: part(self.action, defaults.action),
            resource: part(self.resource, defaults.resource),
            context: self.context.or(defaults.context),
        }
    }

    /// Whether all that is given is of the type that it must have; something may be missing.
    pub(super) fn check_types(&self) -> Result<(), Fault> {
        for part in [self.subject, self.action, self.resource].into_iter().flatten() {
            part.check_types()?;
        }
        self.context.map_or(Ok(()), |context| expect_object(context, "`context`"))
    }

    /// How much there is to read: the bytes of names and strings, and one for every other value.
    pub(super) fn size(&self) -> usize {
        let parts = [self.subject, self.action, self.resource].into_iter().flatten();
        let nodes = parts.flat_map(|part| [Some(part.given), part.default]).chain([self.context]);
        nodes.flatten().map(size).sum()
    }

    /// The request that this is.
    pub(super) fn request(&self) -> Result<Request, Fault> {
        let (principal, principal_attributes) = required(self.subject, "subject")?.entity()?;
        let (resource, resource_attributes) = required(self.resource, "resource")?.entity()?;
        let action = required(self.action, "action")?;
        expect_object(action.given, "`action`")?;
        let name = action.string("name")?;
        let mut context = match self.context {
            Some(context) => object(context, "`context`")?,
            None => Node { span: 0..0, shape: Shape::Table(Vec::new()) },
        };
        if let Some(properties) = action.properties()? {
            if context.member("action").is_some() {
                return Err(Fault::bad_request("`context.action` and `action.properties` are both given"));
            }
            if let Shape::Table(members) = &mut context.shape {
                members.push((Key { span: 0..0, name: "action".to_owned() }, properties));
            }
        }
        let mut request = Request::by_action_name(principal, name, resource).with_context(context);
        if let Some(attributes) = principal_attributes {
            request = request.with_principal_attributes(attributes);
        }
        if let Some(attributes) = resource_attributes {
            request = request.with_resource_attributes(attributes);
        }
        Ok(request)
    }
}

/// A subject, an action or a resource.
#[derive(Debug, Clone, Copy)]
struct Part<'b> {
    name: &'static str,
    required: &'static [&'static str],
    given: &'b Node,
    /// Says what `given` leaves out of what is required, and nothing else.
    default: Option<&'b Node>,
}

impl Part<'_> {
    fn over(self, default: Option<Self>) -> Self {
        let is_whole = self.required.iter().all(|name| given(self.given, name).is_some());
        let default = default.filter(|_| !is_whole).map(|default| default.given);
        Self { default, ..self }
    }

    fn check_types(&self) -> Result<(), Fault> {
        expect_object(self.given, &format!("`{}`", self.name))?;
        for name in self.required {
            if given(self.given, name).is_some() {
                self.string(name)?;
            }
        }
        match given(self.given, "properties") {
            Some(properties) => expect_object(properties, &format!("`{}.properties`", self.name)),
            None => Ok(()),
        }
    }

    /// A subject or resource: its type and id, and the properties that came with it.
    fn entity(&self) -> Result<(EntityRef, Option<Node>), Fault> {
        expect_object(self.given, &format!("`{}`", self.name))?;
        Ok((EntityRef::new(self.string("type")?, self.string("id")?), self.properties()?))
    }

    fn string(&self, name: &str) -> Result<String, Fault> {
        let default = || self.default.and_then(|default| given(default, name));
        let member = given(self.given, name).or_else(default).or_else(|| self.given.member(name));
        let member = member.ok_or_else(|| Fault::bad_request(format!("`{}.{name}` is missing", self.name)))?;
        match member.as_text() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Fault::bad_request(format!("`{}.{name}` must be a string, not {}", self.name, member.kind()))),
        }
    }

    fn properties(&self) -> Result<Option<Node>, Fault> {
        let what = || format!("`{}.properties`", self.name);
        given(self.given, "properties").map(|properties| object(properties, &what())).transpose()
    }
}

/// A member that is there and not null: null says that there is no value.
pub(super) fn given<'b>(node: &'b Node, name: &str) -> Option<&'b Node> {
    node.member(name).filter(|member| member.shape != Shape::Null)
}

pub(super) fn expect_object(node: &Node, what: &str) -> Result<(), Fault> {
    match node.shape {
        Shape::Table(_) => Ok(()),
        _ => Err(Fault::bad_request(format!("{what} must be an object, not {}", node.kind()))),
    }
}

fn required<'b>(part: Option<Part<'b>>, name: &str) -> Result<Part<'b>, Fault> {
    part.ok_or_else(|| Fault::bad_request(format!("`{name}` is missing")))
}

/// An object without the members that are null.
fn object(node: &Node, what: &str) -> Result<Node, Fault> {
    expect_object(node, what)?;
    Ok(without_nulls(node.clone()))
}

// This and the next recurse once per level; the body's nesting was limited when it was parsed.
fn without_nulls(node: Node) -> Node {
    let Shape::Table(members) = node.shape else { return node };
    let members = members.into_iter().filter(|(_, member)| member.shape != Shape::Null);
    let members = members.map(|(key, member)| (key, without_nulls(member))).collect();
    Node { span: node.span, shape: Shape::Table(members) }
}

fn size(node: &Node) -> usize {
    match &node.shape {
        Shape::Null | Shape::Bool(_) | Shape::Long(_) => 1,
        Shape::Float(text) | Shape::Datetime(text) | Shape::Text(text) => 1 + text.len(),
        Shape::List(nodes) => 1 + nodes.iter().map(size).sum::<usize>(),
        Shape::Table(members) => 1 + members.iter().map(|(key, member)| key.name.len() + size(member)).sum::<usize>(),
    }
}
