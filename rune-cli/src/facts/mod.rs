//! `rune facts`: live facts on trial, in memory: what is live, what batches do to it, and what is answered then.

mod batches;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::Result;
use rune_core::{
    Engine, ExplainOptions, Lineup, Options, Program, QueryError, Request,
    base::{Value, Values as _, View as Datum},
    check::rules::{Predicate, PredicateKind},
    explain::ByFile,
    facts::FactView,
};
use serde_json::{Value as Json, json};

use crate::{Outcome, check::number, eval, output::Output, query, relations, report, request, shown::Shown};

use batches::{Applied, Fate};

/// Rules below rules that `--why` shows.
const DEPTH: usize = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
    /// Apply the batches of a file, in their order, each whole or not at all; `-` is standard input.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    apply: Vec<PathBuf>,
    /// Then print the rows that satisfy conditions; with a request, that is decided before the batches and after them, too.
    #[arg(long, value_name = "CONDITIONS")]
    query: Option<String>,
    #[command(flatten)]
    request: request::Optional,
    /// Say why: what the last decision rests on, and why the query has a row or none.
    #[arg(long)]
    why: bool,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let request = arguments.request.request()?;
    anyhow::ensure!(
        !arguments.why || arguments.query.is_some() || request.is_some(),
        "`--why` is about a request or a query: give one"
    );
    let files = batches::read(&arguments.apply)?;
    let Some(program) = report::program(&arguments.dir, Options::default(), output)? else {
        return Ok(Outcome::Unusable);
    };
    let engine = Engine::new(program);
    let before = request.as_ref().map(|request| decision(&engine, request, false));
    let applied = batches::apply(&engine, &files);
    for of in &applied {
        of.complain(output);
    }
    let after = request.as_ref().map(|request| decision(&engine, request, arguments.why));
    let rows = arguments.query.as_ref().map(|query| rows(&engine, query, request.as_ref(), arguments.why));
    let rows = match rows.transpose() {
        Ok(rows) => rows,
        Err(error) => return query::unanswered(error, output),
    };
    let told = Told { applied: &applied, before, after, rows };
    output.result(&told.text(&engine), || told.json(&engine));
    let is_refused = |of: &Applied| matches!(of.fate, Fate::Refused { .. });
    Ok(if applied.iter().any(is_refused) { Outcome::No } else { Outcome::Yes })
}

/// An answer: for people, and for machines.
type Answer = (String, Json);

/// All that there is to say at the end.
struct Told<'t> {
    applied: &'t [Applied],
    before: Option<Answer>,
    after: Option<Answer>,
    rows: Option<Answer>,
}

impl Told<'_> {
    fn text(&self, engine: &Engine) -> String {
        let mut parts: Vec<String> = self.applied.iter().filter_map(Applied::text).collect();
        if let (Some((before, _)), Some((after, _))) = (&self.before, &self.after) {
            if !self.applied.is_empty() {
                parts.push(format!("before: {before}"));
            }
            parts.push(if self.applied.is_empty() { after.clone() } else { format!("after: {after}") });
        }
        parts.extend(self.rows.iter().map(|(rows, _)| rows.clone()));
        if self.after.is_none() && self.rows.is_none() {
            parts.push(live(&engine.lineup()).0);
        }
        parts.join("\n")
    }

    fn json(&self, engine: &Engine) -> Json {
        let (_, mut json) = live(&engine.lineup());
        let token = engine.facts().token();
        let members = [
            ("batches", Some(self.applied.iter().map(Applied::json).collect())),
            ("revision", Some(json!(token.revision().get()))),
            ("token", Some(json!(token.to_string()))),
            ("before", self.before.as_ref().map(|(_, json)| json.clone())),
            ("after", self.after.as_ref().map(|(_, json)| json.clone())),
            ("answer", self.rows.as_ref().map(|(_, json)| json.clone())),
        ];
        if let Json::Object(all) = &mut json {
            all.extend(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        json
    }
}

fn decision(engine: &Engine, request: &Request, is_why: bool) -> Answer {
    if is_why {
        let explanation = engine.explain(request);
        return (explanation.tree(DEPTH).trim_end().to_owned(), json!(explanation));
    }
    let outline = engine.snapshot().outline(request);
    (eval::text(&outline, &ByFile), eval::json(&outline))
}

fn rows(engine: &Engine, query: &str, request: Option<&Request>, is_why: bool) -> Result<Answer, QueryError> {
    if is_why {
        let proof = engine.prove_with(query, request, ExplainOptions::default())?;
        return Ok((proof.tree(DEPTH).trim_end().to_owned(), json!(proof)));
    }
    let rows = engine.query(query, request)?;
    let open = query::open(&rows).map(|open| format!("\n{open}")).unwrap_or_default();
    Ok((query::text(&rows, Shown::default()) + &open, query::json(&rows, Shown::default())))
}

/// What is live and how much of it there is, and how much is not.
fn live(lineup: &Arc<Lineup>) -> Answer {
    let snapshot = lineup.snapshot();
    let (program, view) = (lineup.stable(), snapshot.view().facts());
    let is_live = |of: &Predicate| of.kind == PredicateKind::Live;
    let (live, others): (Vec<_>, Vec<_>) =
        relations::all(program, view, is_live).into_iter().partition(|of| relations::kind(of) == "live");
    let (types, n_other_types) = types(program, view);
    let n_given = others.iter().filter(|of| relations::kind(of) == "given").count();
    let n_derived = others.len() - n_given;
    let mut lines: Vec<String> = live.iter().map(relations::text).collect();
    lines.extend(types.iter().map(|(name, n)| format!("entity {name}  live, {}", entities(*n))));
    if lines.is_empty() {
        lines.push("no relation and no entity type is `@live`".to_owned());
    }
    let (given, derived) = (number(n_given, "relation"), number(n_derived, "relation"));
    lines.push(format!("not live: {given} from files, {derived} by rules, {}", number(n_other_types, "entity type")));
    let types = types.iter().map(|(name, n)| json!({ "type": name, "count": n }));
    let json = json!({
        "relations": live.iter().map(relations::json).collect::<Json>(),
        "entity_types": types.collect::<Json>(),
        "not_live": { "given": n_given, "derived": n_derived, "entity_types": n_other_types },
    });
    (lines.join("\n"), json)
}

/// The types that are live, each with how many entities there are, and how many others there are.
fn types(program: &Program, view: &FactView) -> (Vec<(String, usize)>, usize) {
    let Some(schema) = program.schema() else { return (Vec::new(), 0) };
    let kind_of = |row: &[Value]| match row.first().map(|entity| view.values().view(*entity)) {
        Some(Datum::Entity(kind, _)) => Some(kind),
        _ => None,
    };
    let mut counts = BTreeMap::new();
    for kind in view.facts().live_entities().filter_map(kind_of) {
        *counts.entry(kind).or_insert(0) += 1;
    }
    let (live, others): (Vec<_>, Vec<_>) = schema.entity_types().partition(|(_, of)| of.is_live);
    let named = |(kind, _)| (view.values().name(kind).to_owned(), counts.get(&kind).copied().unwrap_or_default());
    let mut live: Vec<_> = live.into_iter().map(named).collect();
    live.sort();
    (live, others.len())
}

fn entities(n: usize) -> String {
    if n == 1 { "1 entity".to_owned() } else { format!("{n} entities") }
}
