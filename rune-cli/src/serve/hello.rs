//! What people are told first: what is served, and what to type.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rune_core::{
    EntityRef, Program,
    base::{Symbol, Value, Values as _, View},
    schema::{ActionType, is_action_type},
};
use serde_json::{Value as Json, json};

use crate::shell::quoted;

/// What a server says that listens at an address.
pub(super) fn hello(dir: &str, address: SocketAddr, program: Option<&Program>) -> String {
    let url = format!("http://{}", reached_at(address));
    let served = match program {
        Some(program) => format!("serving {dir}: {program}"),
        None => format!("serving nothing yet: requests get 503 until {dir} is in order"),
    };
    let body = quoted(&program.map_or_else(nothing_known, first_request).to_string());
    // A bracket around an address is more than itself to some shells.
    let (evaluation, status) =
        (quoted(&format!("{url}/access/v1/evaluation")), quoted(&format!("{url}/api/v1/status")));
    let ask = format!("curl -s {evaluation} -H 'Content-Type: application/json' -d {body}");
    format!("{served}\nto ask:     {ask}\nto look:    curl -s {status}\nto stop:    Ctrl-C")
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
    // Of each type by name, the id of the entity that is told.
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    program.facts().facts().each_known(values, &mut |kind, entity, _| {
        if let View::Entity(_, id) = values.view(entity)
            && !is_action_type(values.name(kind))
        {
            let (id, told) = (values.name(id), known.entry(values.name(kind)).or_insert(values.name(id)));
            *told = shorter(told, id);
        }
    });
    let of = |kinds: &[Symbol]| {
        let mut kinds = kinds.iter().map(|kind| values.name(*kind));
        let first = kinds.clone().next()?;
        Some(kinds.find_map(|kind| Some(EntityRef::new(kind, *known.get(kind)?))).unwrap_or(EntityRef::new(first, "1")))
    };
    let name = |action: Value| match values.view(action) {
        View::Entity(kind, id) if values.name(kind) == program.action_type() => Some(values.name(id)),
        _ => None,
    };
    if let Some(schema) = program.schema() {
        let ask = |(action, takes): (Value, &ActionType)| {
            let name = name(action)?;
            Some((name, request(&of(&takes.principals)?, name, &of(&takes.resources)?)))
        };
        let asked = schema.actions().filter_map(ask);
        let first = asked.reduce(|a, b| if shorter(a.0, b.0) == a.0 { a } else { b });
        return first.map_or_else(nothing_known, |(_, request)| request);
    }
    let mut actions = Vec::new();
    values.each_entity(&mut |_, entity| actions.extend(name(entity)));
    let action = actions.into_iter().reduce(shorter).unwrap_or("read");
    let entity = |(kind, id): (&&str, &&str)| EntityRef::new(*kind, *id);
    match (known.iter().next_back().map(entity), known.iter().next().map(entity)) {
        (Some(subject), Some(resource)) => request(&subject, action, &resource),
        _ => request(&EntityRef::new("User", "ada"), action, &EntityRef::new("Document", "plan")),
    }
}

fn shorter<'n>(a: &'n str, b: &'n str) -> &'n str {
    if (a.len(), a) <= (b.len(), b) { a } else { b }
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
    fn an_address_in_brackets_is_quoted() {
        let told = hello("policies", SocketAddr::from((Ipv6Addr::LOCALHOST, 7400)), None);
        assert!(told.contains("curl -s 'http://[::1]:7400/access/v1/evaluation' -H"), "{told}");
        assert!(told.contains("curl -s 'http://[::1]:7400/api/v1/status'\n"), "{told}");
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
