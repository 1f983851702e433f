//! What people are told first: what is served, and what to type.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rune_core::{
    EntityRef, Program,
    base::{Symbol, Value, Values as _, View},
    schema::{ActionType, is_action_type},
};
use serde_json::{Value as Json, json};

use crate::{counts::Counts, shell::quoted};

/// What a server says that listens at an address.
pub(super) fn hello(dir: &str, address: SocketAddr, program: Option<&Program>) -> String {
    let url = format!("http://{}", reached_at(address));
    let served = match program {
        Some(program) => format!("serving {dir}: {}", Counts::of(program)),
        None => format!("serving nothing yet: requests get 503 until {dir} is in order"),
    };
    let body = quoted(&program.map_or_else(nothing_known, first_request).to_string());
    let ask = format!("curl -s {url}/access/v1/evaluation -H 'Content-Type: application/json' -d {body}");
    format!("{served}\nto ask:     {ask}\nto look:    curl -s {url}/api/v1/status\nto stop:    Ctrl-C")
}

/// An address that this machine can send to.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let loopback = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(if address.ip().is_unspecified() { loopback } else { address.ip() }, address.port())
}

fn nothing_known() -> Json {
    request(&EntityRef::new("User", "ada"), "read", &EntityRef::new("Document", "plan"))
}

fn request(subject: &EntityRef, action: &str, resource: &EntityRef) -> Json {
    json!({ "subject": subject, "action": { "name": action }, "resource": resource })
}

/// A request with names that the program knows, whatever it decides of it: short ones, which are read easily.
fn first_request(program: &Program) -> Json {
    let values = &**program.facts().values();
    let mut known = Vec::new();
    let mut add = |entity: Value| {
        if let View::Entity(kind, id) = values.view(entity) {
            known.push((kind, EntityRef::new(values.name(kind), values.name(id))));
        }
    };
    program.facts().facts().each_known(values, &mut |_, entity, _| add(entity));
    known.retain(|(_, entity)| !is_action_type(&entity.kind));
    known.sort_by(|(_, a), (_, b)| (a.id.len(), a).cmp(&(b.id.len(), b)));
    let of = |kinds: &[Symbol]| {
        let found = known.iter().find(|(kind, _)| kinds.contains(kind)).map(|(_, entity)| entity.clone());
        found.or_else(|| Some(EntityRef::new(values.name(*kinds.first()?), "1")))
    };
    let name = |action: Value| match values.view(action) {
        View::Entity(kind, id) if values.name(kind) == program.action_type() => Some(values.name(id).to_owned()),
        _ => None,
    };
    if let Some(schema) = program.schema() {
        let ask = |(action, takes): (Value, &ActionType)| {
            Some(request(&of(&takes.principals)?, &name(action)?, &of(&takes.resources)?))
        };
        let asked = schema.actions().filter_map(|action| Some((name(action.0)?, ask(action)?)));
        let first = asked.min_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        return first.map_or_else(nothing_known, |(_, request)| request);
    }
    let mut actions = Vec::new();
    values.each_entity(&mut |_, entity| actions.extend(name(entity)));
    actions.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let action = actions.first().map_or("read", String::as_str);
    match (known.first(), known.last()) {
        (Some((_, subject)), Some((_, resource))) => request(subject, action, resource),
        _ => request(&EntityRef::new("User", "ada"), action, &EntityRef::new("Document", "plan")),
    }
}

#[cfg(test)]
mod tests {
    use rune_core::{Options, Sources};

    use super::*;

    /// The line to ask with.
    fn check(path: &str, text: &str, expected: &str) {
        let program = Program::build(Sources::single(path, text), Options::default());
        let program = program.unwrap_or_else(|error| panic!("{error}"));
        let told = hello("policies", SocketAddr::from(([0, 0, 0, 0], 7400)), Some(&program));
        let line = told.lines().find_map(|line| line.strip_prefix("to ask:     ")).unwrap();
        let curl = "curl -s http://127.0.0.1:7400/access/v1/evaluation -H 'Content-Type: application/json' -d ";
        assert_eq!(line, format!("{curl}{expected}"));
    }

    #[test]
    fn a_first_request_has_names_that_are_known() {
        let schema = "version = \"rune/1.0\"\n[schema]\nentity User;\nentity File;\n\
            action view appliesTo { principal: User, resource: File };\n[entities]\nUser.\"o'neil\" = {}\n";
        let body = r#"'{"subject":{"type":"User","id":"o'\''neil"},"action":{"name":"view"},"resource":{"type":"File","id":"1"}}'"#;
        check("a.rune", schema, body);
        let cedar = "permit (principal == User::\"bob\", action == Action::\"fly\", resource);";
        let body = r#"'{"subject":{"type":"User","id":"ada"},"action":{"name":"fly"},"resource":{"type":"Document","id":"plan"}}'"#;
        check("a.cedar", cedar, body);
    }

    #[test]
    fn what_has_no_version_yet_says_so() {
        let told = hello("policies", SocketAddr::from(([127, 0, 0, 1], 1)), None);
        assert!(told.starts_with("serving nothing yet: requests get 503 until policies is in order\n"), "{told}");
    }
}
