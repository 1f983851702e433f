//! What is asked.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{
    base::{EntityRef, Value, Values, value::quote},
    schema::conform::parse_entity,
    syntax::{Key, Node, Shape, json},
};

/// The action of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActionRef {
    /// With its type.
    Entity(EntityRef),
    /// By its id alone: of the type that the actions of the program have.
    Named(String),
}

impl fmt::Display for ActionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entity(entity) => entity.fmt(f),
            Self::Named(name) => write!(f, "Action::{}", quote(name)),
        }
    }
}

/// A text that does not name an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRefError(String);

impl fmt::Display for EntityRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` does not name an entity, which is written `User::\"ada\"`", self.0)
    }
}

impl std::error::Error for EntityRefError {}

impl FromStr for EntityRef {
    type Err = EntityRefError;

    /// Reads `User::"ada"`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_entity(text) {
            Some((kind, id)) => Ok(Self { kind, id }),
            None => Err(EntityRefError(text.to_owned())),
        }
    }
}

/// A request: may this principal do this action to this resource, under these circumstances?
///
/// ```
/// use rune_core::{EntityRef, Request};
///
/// let request = Request::new(
///     EntityRef::new("User", "ada"),
///     EntityRef::new("Action", "read"),
///     EntityRef::new("Document", "plan"),
/// )
/// .with_context_json(r#"{ "hour": 9 }"#)?;
/// # Ok::<(), rune_core::JsonError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub(crate) principal: EntityRef,
    pub(super) action: ActionRef,
    pub(crate) resource: EntityRef,
    pub(super) context: Node,
    pub(super) principal_attributes: Option<Node>,
    pub(super) resource_attributes: Option<Node>,
}

impl Request {
    /// A request without circumstances.
    #[must_use]
    pub fn new(principal: EntityRef, action: EntityRef, resource: EntityRef) -> Self {
        Self::of(principal, ActionRef::Entity(action), resource)
    }

    /// A request for the action of this name: of the type that all actions of the schema have, else of type `Action`.
    #[must_use]
    pub fn by_action_name(principal: EntityRef, action: impl Into<String>, resource: EntityRef) -> Self {
        Self::of(principal, ActionRef::Named(action.into()), resource)
    }

    fn of(principal: EntityRef, action: ActionRef, resource: EntityRef) -> Self {
        let context = Node { span: 0..0, shape: Shape::Table(Vec::new()) };
        Self { principal, action, resource, context, principal_attributes: None, resource_attributes: None }
    }

    /// The same request for another action.
    pub(crate) fn for_action(self, action: EntityRef) -> Self {
        Self { action: ActionRef::Entity(action), ..self }
    }

    /// The action as a value.
    pub(crate) fn action_value(&self, values: &mut impl Values, action_type: &str) -> Value {
        match &self.action {
            ActionRef::Entity(action) => values.entity(&action.kind, &action.id),
            ActionRef::Named(name) => values.entity(action_type, name),
        }
    }

    /// With this context, a table.
    #[must_use]
    pub fn with_context(mut self, context: Node) -> Self {
        self.context = context;
        self
    }

    /// With the context that a JSON object is.
    ///
    /// # Errors
    ///
    /// If the text is not JSON.
    pub fn with_context_json(self, text: &str) -> Result<Self, json::JsonError> {
        Ok(self.with_context(json::parse(text)?))
    }

    /// With one more member of the context, in place of one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Node>) -> Self {
        let member = (Key { span: 0..0, name: name.to_owned() }, value.into());
        match &mut self.context.shape {
            Shape::Table(members) => {
                members.retain(|(key, _)| key.name != name);
                members.push(member);
            }
            other => *other = Shape::Table(vec![member]),
        }
        self
    }

    /// With attributes of the principal that the request supplies. A schema says which it may (`@request`).
    #[must_use]
    pub fn with_principal_attributes(mut self, attributes: Node) -> Self {
        self.principal_attributes = Some(attributes);
        self
    }

    /// With attributes of the resource that the request supplies. A schema says which it may (`@request`).
    #[must_use]
    pub fn with_resource_attributes(mut self, attributes: Node) -> Self {
        self.resource_attributes = Some(attributes);
        self
    }
}

macro_rules! node_from {
    ($($from:ty => $to:expr;)+) => {
        $(impl From<$from> for Node {
            fn from(value: $from) -> Self {
                let shape: fn($from) -> Shape = $to;
                Self { span: 0..0, shape: shape(value) }
            }
        })+
    };
}

node_from! {
    bool => Shape::Bool;
    i64 => Shape::Long;
    i32 => |number| Shape::Long(number.into());
    &str => |text| Shape::Text(text.to_owned());
    String => Shape::Text;
}

/// A list.
impl<T: Into<Node>> From<Vec<T>> for Node {
    fn from(elements: Vec<T>) -> Self {
        Self { span: 0..0, shape: Shape::List(elements.into_iter().map(Into::into).collect()) }
    }
}

/// A list.
impl<T: Into<Node>, const N: usize> From<[T; N]> for Node {
    fn from(elements: [T; N]) -> Self {
        Vec::from(elements).into()
    }
}

/// A table of members by name; of two with one name the later counts.
impl<K: Into<String>, V: Into<Node>> FromIterator<(K, V)> for Node {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let members = members.into_iter().map(|(name, value)| (name.into(), value.into()));
        let members: BTreeMap<String, Self> = members.collect();
        let member = |(name, value)| (Key { span: 0..0, name }, value);
        Self { span: 0..0, shape: Shape::Table(members.into_iter().map(member).collect()) }
    }
}

/// Reads JSON.
impl FromStr for Node {
    type Err = json::JsonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        json::parse(text)
    }
}

impl From<EntityRef> for Node {
    fn from(EntityRef { kind, id }: EntityRef) -> Self {
        let member = |name: &str, node: Self| (Key { span: 0..0, name: name.to_owned() }, node);
        let inner = Shape::Table(vec![member("type", kind.into()), member("id", id.into())]);
        let inner = Self { span: 0..0, shape: inner };
        Self { span: 0..0, shape: Shape::Table(vec![member("__entity", inner)]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_has_becomes_what_json_says_of_it() {
        let request = || {
            let [who, what] = ["User", "Document"].map(|kind| EntityRef::new(kind, "a"));
            Request::new(who, EntityRef::new("Action", "read"), what)
        };
        let check = |node: Node, json: &str| {
            let (built, parsed) = (request().with("x", node), request().with("x", json.parse::<Node>().unwrap()));
            // Texts have places, and values have none.
            let shape = |request: &Request| without_places(request.context.clone());
            assert_eq!(shape(&built), shape(&parsed), "{json}");
        };
        check(true.into(), "true");
        check(9.into(), "9");
        check(9_i64.into(), "9");
        check("a".into(), "\"a\"");
        check(vec!["a", "b"].into(), r#"["a", "b"]"#);
        check([vec![1], Vec::new()].into(), "[[1], []]");
        check(Node::from_iter([("b", 1), ("a", 2), ("b", 3)]), r#"{ "a": 2, "b": 3 }"#);
        check(vec![EntityRef::new("User", "a")].into(), r#"[{ "__entity": { "type": "User", "id": "a" } }]"#);
    }

    fn without_places(mut node: Node) -> Node {
        node.span = 0..0;
        match &mut node.shape {
            Shape::List(nodes) => *nodes = nodes.drain(..).map(without_places).collect(),
            Shape::Table(members) => {
                let member = |(key, node): (Key, Node)| (Key { span: 0..0, ..key }, without_places(node));
                *members = members.drain(..).map(member).collect();
            }
            _ => {}
        }
        node
    }
}
