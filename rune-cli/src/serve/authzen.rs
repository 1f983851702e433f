//! OpenID AuthZEN, Authorization API 1.0: requests to ours, decisions to theirs.
//!
//! ```text
//!   subject, resource   { type, id, properties? }   type::"id", attributes that the request supplies
//!   action              { name, properties? }       Action::"name", context.action
//!   context             { … }                       context
//! ```
//!
//! What the specification does not name is ignored; what it names and is of another JSON type is a bad request.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue},
    response::Response,
};
use rune_core::{
    Decision, EntityRef, Request, Why,
    syntax::{Key, Node, Shape},
};
use serde_json::{Value as Json, json};

use super::http::{App, Fault, JsonBody, answer};

/// `POST /access/v1/evaluation`.
pub(super) async fn evaluation(State(served): State<App>, JsonBody(body): JsonBody) -> Result<Response, Fault> {
    let engine = served.engine().ok_or_else(Fault::not_ready)?;
    let decision = engine.decide(&request(&body)?);
    let mut response = answer(&decision_json(&decision));
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("rune-generation"), decision.generation.get().into());
    if let Ok(version) = HeaderValue::from_str(&decision.version.to_string()) {
        headers.insert(HeaderName::from_static("rune-version"), version);
    }
    Ok(response)
}

/// Nothing but the decision, unless it could not be made: then the answer is a denial, and says so.
fn decision_json(decision: &Decision) -> Json {
    match &decision.why {
        Why::Error(message) => {
            json!({ "decision": false, "context": { "error": { "status": 400, "message": message } } })
        }
        _ => json!({ "decision": decision.is_allowed() }),
    }
}

fn request(body: &Node) -> Result<Request, Fault> {
    expect_object(body, "the body")?;
    let (principal, principal_attributes) = entity(body, "subject")?;
    let (resource, resource_attributes) = entity(body, "resource")?;
    let action = required(body, "action")?;
    expect_object(action, "`action`")?;
    let name = string(action, "action", "name")?;
    let mut context = optional_object(body, "context", "`context`")?.unwrap_or_else(|| object(Vec::new()));
    if let Some(properties) = optional_object(action, "properties", "`action.properties`")? {
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

/// A subject or resource: its type and id, and the properties that came with it.
fn entity(body: &Node, part: &str) -> Result<(EntityRef, Option<Node>), Fault> {
    let node = required(body, part)?;
    expect_object(node, &format!("`{part}`"))?;
    let entity = EntityRef::new(string(node, part, "type")?, string(node, part, "id")?);
    Ok((entity, optional_object(node, "properties", &format!("`{part}.properties`"))?))
}

fn required<'n>(body: &'n Node, name: &str) -> Result<&'n Node, Fault> {
    body.member(name).ok_or_else(|| Fault::bad_request(format!("`{name}` is missing")))
}

fn string(node: &Node, part: &str, name: &str) -> Result<String, Fault> {
    let member = node.member(name).ok_or_else(|| Fault::bad_request(format!("`{part}.{name}` is missing")))?;
    match member.as_text() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Fault::bad_request(format!("`{part}.{name}` must be a string, not {}", member.kind()))),
    }
}

fn expect_object(node: &Node, what: &str) -> Result<(), Fault> {
    match node.shape {
        Shape::Table(_) => Ok(()),
        _ => Err(Fault::bad_request(format!("{what} must be an object, not {}", node.kind()))),
    }
}

/// A member that may be missing or null, without the members that are null: null says that there is no value.
fn optional_object(node: &Node, name: &str, what: &str) -> Result<Option<Node>, Fault> {
    match node.member(name) {
        None | Some(Node { shape: Shape::Null, .. }) => Ok(None),
        Some(member) => {
            expect_object(member, what)?;
            Ok(Some(without_nulls(member.clone())))
        }
    }
}

// Recurses once per level; the body's nesting was limited when it was parsed.
fn without_nulls(node: Node) -> Node {
    let Shape::Table(members) = node.shape else { return node };
    let members = members.into_iter().filter(|(_, member)| member.shape != Shape::Null);
    let members = members.map(|(key, member)| (key, without_nulls(member))).collect();
    Node { span: node.span, shape: Shape::Table(members) }
}

fn object(members: Vec<(Key, Node)>) -> Node {
    Node { span: 0..0, shape: Shape::Table(members) }
}
