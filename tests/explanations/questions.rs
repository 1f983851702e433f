//! Questions by themselves: queries have the rows that the twin has, their proofs hold where there are rows, and lists are those
//! whom decisions allow one by one.

use std::collections::BTreeSet;

use rune_core::{Engine, EntityRef, List, OwnedValue, Request, query::QueryError};

use super::Tally;
use crate::datalog::{given::Text, twin::Twin};

type Rows = BTreeSet<Vec<OwnedValue>>;

/// What is wrong with the answers to queries of every relation, and of every two that meet.
pub fn fault(twin: &Twin<'_>, text: &Text, engine: &Engine, request: &Request, tally: &mut Tally) -> Option<String> {
    let mut known: Vec<(&str, Rows, bool)> = Vec::new();
    for name in text.derived() {
        let Some(relation) = twin.model.get(name) else { continue };
        let owned = |row: &Vec<_>| row.iter().map(|value| twin.owned(*value)).collect();
        let certain = relation.iter().filter(|(_, is_certain)| **is_certain).map(|(row, _)| owned(row));
        let is_open = relation.values().any(|is_certain| !is_certain);
        known.push((name, certain.collect(), is_open));
    }
    for (name, rows, is_open) in &known {
        let Some(n) = rows.first().map(Vec::len) else { continue };
        let query = format!("{name}({})", columns(0, n));
        if let Some(fault) = asked(engine, request, &query, rows, *is_open, tally) {
            return Some(fault);
        }
    }
    for (first, second) in known.iter().zip(known.iter().skip(1)) {
        let (Some(n), Some(m)) = (first.1.first().map(Vec::len), second.1.first().map(Vec::len)) else { continue };
        if n == 0 || m == 0 {
            continue;
        }
        // The last column of one is the first of the other.
        let pairs = first.1.iter().flat_map(|a| second.1.iter().map(move |b| (a, b)));
        let joined = pairs.filter(|(a, b)| a.last() == b.first());
        let joined: Rows = joined.map(|(a, b)| a.iter().chain(&b[1..]).cloned().collect()).collect();
        let query = format!("{}({}), {}({})", first.0, columns(0, n), second.0, columns(n - 1, m));
        if let Some(fault) = asked(engine, request, &query, &joined, first.2 || second.2, tally) {
            return Some(fault);
        }
    }
    None
}

fn columns(first: usize, n: usize) -> String {
    (first..first + n).map(|at| format!("V{at}")).collect::<Vec<_>>().join(", ")
}

fn asked(
    engine: &Engine,
    request: &Request,
    query: &str,
    expected: &Rows,
    may_be_open: bool,
    tally: &mut Tally,
) -> Option<String> {
    let found = match engine.query(query, Some(request)) {
        Ok(found) => found,
        // Columns that have no type in common meet in nothing.
        Err(QueryError::Refused(report)) if report.to_string().contains("type-conflict") => {
            return (!expected.is_empty()).then(|| format!("{query} is refused: {report}"));
        }
        Err(error) => return Some(format!("{query}: {error}")),
    };
    tally.queries += 1;
    tally.rows += found.rows.len();
    let rows: Rows = found.rows.iter().cloned().collect();
    if rows != *expected || found.rows.len() != rows.len() {
        return Some(format!("{query} has {:?}\nand not {expected:?}", found.rows));
    }
    if found.undetermined.is_some() && !may_be_open {
        return Some(format!("{query} may have more: {:?}", found.undetermined));
    }
    match engine.prove(query, Some(request)) {
        Ok(proof) if proof.holds != expected.is_empty() => None,
        Ok(proof) => Some(format!("{query} is proven to be {}: {proof}", proof.holds)),
        Err(error) => Some(format!("{query}: {error}")),
    }
}

/// What is wrong with the list of the documents that somebody may read.
pub fn listed(engine: &Engine, user: &str, n: i64, tally: &mut Tally) -> Option<String> {
    let (principal, action) = (EntityRef::new("User", user), EntityRef::new("Action", "read"));
    let context = format!("{{\"n\": {n}}}");
    let list = List::resources(principal.clone(), action.clone()).of_type("Doc");
    let listed = match engine.list(&list.with_context_json(&context).expect("a context")) {
        Ok(listed) => listed,
        Err(error) => return Some(error.to_string()),
    };
    let known = match engine.query("Doc(D)", None) {
        Ok(known) => known,
        Err(error) => return Some(format!("Doc(D): {error}")),
    };
    let mut expected = Vec::new();
    for row in &known.rows {
        let [OwnedValue::Entity(doc)] = row.as_slice() else { return Some(format!("a document is {row:?}")) };
        let request = Request::new(principal.clone(), action.clone(), doc.clone());
        if engine.decide(&request.with_context_json(&context).expect("a context")).is_allowed() {
            expected.push(doc.clone());
        }
    }
    tally.listed += expected.len();
    // The pages of one each are the list.
    let of = |after: &EntityRef| {
        let list = List::resources(principal.clone(), action.clone()).of_type("Doc").after(after.clone());
        engine.list(&list.with_context_json(&context).expect("a context"))
    };
    for (at, after) in expected.iter().enumerate() {
        let n_after = known.rows.iter().filter(|row| row[0] > OwnedValue::Entity(after.clone())).count();
        match of(after) {
            Ok(page) if page.entities == expected[at + 1..] && page.candidates == n_after => {}
            page => return Some(format!("after {after} come {page:?}\nof {expected:?}")),
        }
    }
    let is_whole = !listed.is_incomplete && listed.candidates == known.rows.len();
    (listed.entities != expected || !is_whole)
        .then(|| format!("{listed:?}\nand not {expected:?} of {}", known.rows.len()))
}
