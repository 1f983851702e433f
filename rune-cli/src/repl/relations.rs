//! The relations that queries can be about, with their columns.

use rune_core::{
    Lineup,
    check::rules::{Predicate, PredicateId, PredicateKind},
    syntax::rules::Choice,
};
use serde_json::{Value as Json, json};

use crate::check::number;

/// A relation that is declared, or that rules derive.
struct Listed<'l> {
    predicate: &'l Predicate,
    /// Each column: its name if it has one, and its types.
    columns: Vec<(Option<&'l str>, String)>,
    /// None if they depend on the request.
    n_rows: Option<usize>,
    is_live: bool,
}

/// For people, and for machines. Which are live, the folder says: on trial they have rows that files give.
pub(super) fn list(lineup: &Lineup, folder: &Lineup) -> (String, Json) {
    let program = lineup.stable();
    let facts = program.facts();
    let predicates = program.relations().predicates.iter().enumerate();
    let of_folder = folder.stable().relations().predicates.iter();
    let live: Vec<&str> = of_folder.filter(|of| of.kind == PredicateKind::Live).map(|of| of.name.as_str()).collect();
    let own = predicates.filter(|(_, predicate)| predicate.is_own());
    let listed = own.map(|(at, predicate)| {
        let column = |column: &'_ rune_core::check::rules::Column| column.types.show(&**facts.values());
        let columns = predicate.columns.iter().map(|of| (of.name.as_deref(), column(of))).collect();
        let n_rows = facts.facts().relations.get(PredicateId(at)).map_or(0, |relation| relation.rows.rows().count());
        let n_rows = (!predicate.is_per_request).then_some(n_rows);
        Listed { predicate, columns, n_rows, is_live: live.contains(&predicate.name.as_str()) }
    });
    let mut listed: Vec<_> = listed.collect();
    listed.sort_by(|a, b| a.predicate.name.cmp(&b.predicate.name));
    let lines: Vec<_> = listed.iter().map(text).collect();
    let text = if lines.is_empty() { "no relations".to_owned() } else { lines.join("\n") };
    (text, json!({ "relations": listed.iter().map(json).collect::<Json>() }))
}

/// As it would be declared, and what is in it.
fn text(listed: &Listed<'_>) -> String {
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

fn kind(listed: &Listed<'_>) -> &'static str {
    match listed.predicate.kind {
        _ if listed.is_live => "live",
        PredicateKind::Derived => "derived",
        PredicateKind::Live => "live",
        _ => "given",
    }
}

fn json(listed: &Listed<'_>) -> Json {
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
