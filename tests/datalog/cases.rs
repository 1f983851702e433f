//! What the twin says to a request, as tests of the language: of the decision, and of the rows of relations.

use std::collections::BTreeSet;

use rune_core::{
    Program,
    base::{Value, Values, View},
    syntax::rules::{Declaration, TypeName},
};

use super::{
    Answer, Kind,
    given::Text,
    relation,
    twin::{Row, Twin, rows},
    worlds::{Ask, literal},
};

pub struct Case {
    /// Its section, without the header.
    pub text: String,
    pub is_query: bool,
    /// Whether the answer is that there is none.
    pub is_open: bool,
}

impl Case {
    /// A case of the decision, and of each relation whose rows depend on the request or on those that the case gives.
    pub fn of(twin: &mut Twin<'_>, text: &Text, program: &Program, ask: &Ask) -> Vec<Self> {
        let Answer { kind, determining, failed } = twin.answer(text);
        let expect = match kind {
            Kind::Allowed => "allow",
            Kind::Forbidden | Kind::NotPermitted => "deny",
            Kind::Error => "error",
        };
        let (determining, failed) = (Vec::from_iter(determining), Vec::from_iter(failed));
        let parts = format!(
            "principal = '{}', action = 'Action::\"read\"', resource = '{}', context = {{ n = {} }}",
            literal("User", &ask.user),
            literal("Doc", &ask.doc),
            ask.n
        );
        let decision = format!(
            "facts = '{}'\nrequest = {{ {parts} }}\nexpect = \"{expect}\"\nbecause = {determining:?}\n\
             errors = {failed:?}\nwith = \"data\"\n",
            ask.facts.join(" ")
        );
        let mut cases = vec![Self { text: decision.clone(), is_query: false, is_open: false }];
        for name in text.derived() {
            let Some((declaration, _)) = text.declared.get(name) else { continue };
            if !ask.facts.is_empty() || relation(program, name).is_none() {
                let (query, is_open) = query(twin, declaration, cases.len() + ask.facts.len());
                cases.push(Self { text: format!("{decision}{query}"), is_query: true, is_open });
            }
        }
        cases
    }
}

/// A query of a relation with the rows that it has, and whether there may be more: of all columns, of the others for the
/// user who asks, or of all but the last.
fn query(twin: &Twin<'_>, declaration: &Declaration, n: usize) -> (String, bool) {
    let (name, columns) = (&declaration.name.text, &declaration.columns);
    let is_user = plain_type(declaration, 0) == Some("User");
    let free = match n % 3 {
        0 if is_user && 1 < columns.len() => 1..columns.len(),
        1 if 1 < columns.len() => 0..columns.len() - 1,
        _ => 0..columns.len(),
    };
    let mut key = vec![Value::UNKNOWN; columns.len()];
    key[..free.start].fill(twin.request[0]);
    let found = rows(&twin.model, name, &key);
    let rest = |is_wanted: bool| {
        let wanted = found.iter().filter(move |(_, is_certain)| *is_certain == is_wanted);
        wanted.map(|(row, _)| row[free.clone()].to_vec()).collect::<BTreeSet<Row>>()
    };
    let (certain, open) = (rest(true), rest(false));
    let cell = |(at, value): (usize, &Value)| match twin.values.view(*value) {
        View::Entity(_, id) if plain_type(declaration, at + free.start).is_some() => {
            format!("{:?}", twin.values.name(id))
        }
        View::Entity(..) => format!("'{}'", twin.values.show(*value)),
        _ => twin.values.show(*value),
    };
    let row = |row: &Row| format!("[{}]", row.iter().enumerate().map(cell).collect::<Vec<_>>().join(", "));
    let rows: Vec<String> = certain.iter().map(row).collect();
    let args = (0..columns.len()).map(|at| match at {
        at if at < free.start => "principal".to_owned(),
        at if at < free.end => format!("X{at}"),
        _ => "_".to_owned(),
    });
    let args = args.collect::<Vec<_>>().join(", ");
    (format!("query = '{name}({args})'\nrows = [{}]\n", rows.join(", ")), !open.is_subset(&certain))
}

/// The type of a column that has one type.
fn plain_type(declaration: &Declaration, at: usize) -> Option<&str> {
    match declaration.columns[at].types.as_slice() {
        [TypeName::Named(name)] => Some(&name.text),
        _ => None,
    }
}
