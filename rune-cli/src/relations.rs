//! The relations that queries can be about, with their columns.

use rune_core::{
    Program,
    check::rules::{Column, Predicate, PredicateId, PredicateKind},
    facts::FactView,
    syntax::rules::Choice,
};
use serde_json::{Value as Json, json};

use crate::check::number;

/// A relation that is declared, or that rules derive.
pub(crate) struct Listed<'l> {
    predicate: &'l Predicate,
    /// Each column: its name if it has one, and its types.
    columns: Vec<(Option<&'l str>, String)>,
    /// None if they depend on the request.
    n_rows: Option<usize>,
    is_live: bool,
}

/// Those of a program by name, with the rows that these facts have. Which are live is asked: on trial they have rows that files give.
pub(crate) fn all<'l>(program: &'l Program, facts: &FactView, is_live: impl Fn(&Predicate) -> bool) -> Vec<Listed<'l>> {
    let predicates = program.relations().predicates.iter().enumerate();
    let own = predicates.filter(|(_, predicate)| predicate.is_own());
    let listed = own.map(|(at, predicate)| {
        let column = |column: &'l Column| (column.name.as_deref(), column.types.show(&**program.facts().values()));
        let n_rows = facts.facts().relations.get(PredicateId(at)).map_or(0, |relation| relation.rows.rows().count());
        let n_rows = (!predicate.is_per_request).then_some(n_rows);
        let columns = predicate.columns.iter().map(column).collect();
        Listed { predicate, columns, n_rows, is_live: is_live(predicate) }
    });
    let mut listed: Vec<_> = listed.collect();
    listed.sort_by(|a, b| a.predicate.name.cmp(&b.predicate.name));
    listed
}

/// As it would be declared, and what is in it.
pub(crate) fn text(listed: &Listed<'_>) -> String {
    let Listed { predicate, columns, n_rows, .. } = listed;
    let n_keys = predicate.key.map(|key| key.n_columns);
    let choice = match predicate.key.and_then(|key| key.choice) {
        None => "",
        Some(Choice::Min) => "min ",
        Some(Choice::Max) => "max ",
    };
    let mut declaration = format!("{}(", predicate.name);
    for (at, (name, types)) in columns.iter().enumerate() {
        let is_value = n_keys.is_some_and(|n| n <= at);
        declaration.push_str(match at {
            0 if is_value => "-> ",
            0 => "",
            _ if n_keys == Some(at) => " -> ",
            _ => ", ",
        });
        if let Some(name) = name {
            declaration.push_str(name);
            declaration.push_str(": ");
        }
        declaration.push_str(if is_value { choice } else { "" });
        declaration.push_str(types);
    }
    let rows = n_rows.map_or("depends on the request".to_owned(), |n| number(n, "row"));
    format!("{declaration})  {}, {rows}", kind(listed))
}

/// Where its rows come from.
pub(crate) fn kind(listed: &Listed<'_>) -> &'static str {
    match listed.predicate.kind {
        _ if listed.is_live => "live",
        PredicateKind::Derived => "derived",
        PredicateKind::Live => "live",
        _ => "given",
    }
}

/// For machines.
pub(crate) fn json(listed: &Listed<'_>) -> Json {
    let Listed { predicate, columns, n_rows, .. } = listed;
    let columns: Json = columns.iter().map(|(name, types)| json!({ "name": name, "types": types })).collect();
    json!({
        "relation": predicate.name,
        "columns": columns,
        "keys": predicate.key.map(|key| key.n_columns),
        "kind": kind(listed),
        "count": n_rows,
    })
}
