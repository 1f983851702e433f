//! `rune list`: who may, what may one do, and to what.

use std::path::PathBuf;

use anyhow::Result;
use rune_core::{Engine, EntityRef, List, Listed, Options};
use serde_json::{Value as Json, json};

use crate::{
    Outcome,
    check::number,
    output::Output,
    report, request,
    shown::{Meter, Shown},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to list.
    #[command(subcommand)]
    side: Side,
}

#[derive(Debug, clap::Subcommand)]
enum Side {
    /// Those who may do something to something.
    Principals {
        #[command(flatten)]
        common: Common,
        /// To do what: `Action::"read"`.
        #[arg(long)]
        action: EntityRef,
        /// To what: `Document::"plan"`.
        #[arg(long)]
        resource: EntityRef,
    },
    /// What somebody may do to something.
    Actions {
        #[command(flatten)]
        common: Common,
        /// Who asks: `User::"ada"`.
        #[arg(long)]
        principal: EntityRef,
        /// To what: `Document::"plan"`.
        #[arg(long)]
        resource: EntityRef,
    },
    /// That to which somebody may do something.
    Resources {
        #[command(flatten)]
        common: Common,
        /// Who asks: `User::"ada"`.
        #[arg(long)]
        principal: EntityRef,
        /// To do what: `Action::"read"`.
        #[arg(long)]
        action: EntityRef,
    },
}

#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// The folder of policies.
    dir: PathBuf,
    /// Only entities of this type.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only entities that come after this one, by type and id: the next page after one that `--limit` cut.
    #[arg(long, value_name = "ENTITY")]
    after: Option<EntityRef>,
    /// The circumstances, a JSON object: `{ "hour": 9 }`.
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let (common, of, list) = match &arguments.side {
        Side::Principals { common, action, resource } => {
            (common, Candidates::Entities, List::principals(action.clone(), resource.clone()))
        }
        Side::Actions { common, principal, resource } => {
            (common, Candidates::Actions, List::actions(principal.clone(), resource.clone()))
        }
        Side::Resources { common, principal, action } => {
            (common, Candidates::Entities, List::resources(principal.clone(), action.clone()))
        }
    };
    let list = match &common.kind {
        Some(kind) => list.of_type(kind),
        None => list,
    };
    let list = match &common.after {
        Some(entity) => list.after(entity.clone()),
        None => list,
    };
    let list = match request::context(common.context.as_deref())? {
        Some(context) => list.with_context(context),
        None => list,
    };
    let Some(program) = report::program(&common.dir, Options::default(), output)? else { return Ok(Outcome::Unusable) };
    let (engine, meter) = (Engine::new(program), Meter::start(common.shown.stats, output));
    let listed = engine.list(&list)?;
    meter.tell(&[("list", listed.stats)]);
    let version = engine.lineup().stable().version();
    output.result(&text(&listed, common.shown), || {
        let mut json = json(&listed, common.shown);
        if let Json::Object(members) = &mut json {
            members.insert("version".to_owned(), json!(version.to_string()));
        }
        json
    });
    output.note(&note(of, &listed));
    if let Some(entity) = next(&listed, common.shown) {
        output.note(&format!("note: the next page: --after '{entity}'"));
    }
    for message in open(&listed) {
        output.warn(&message);
    }
    // A list that is not whole is no answer, though it says what it found.
    let is_whole = !listed.is_incomplete && listed.undecided == 0;
    Ok(match (is_whole, listed.entities.is_empty()) {
        (false, _) => Outcome::Unusable,
        (true, true) => Outcome::No,
        (true, false) => Outcome::Yes,
    })
}

/// What a list is of: what could be on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidates {
    Entities,
    Actions,
}

/// How many of how many, and whom no list has.
pub(crate) fn note(of: Candidates, listed: &Listed) -> String {
    let Listed { entities, candidates, considered, .. } = listed;
    let many = |one: &str, many: &str| if *candidates == 1 { one.to_owned() } else { many.to_owned() };
    let (what, absent) = match of {
        Candidates::Actions => (many("action", "actions"), ""),
        Candidates::Entities => {
            (many("known entity", "known entities"), "; one that is not stored and that no fact names is in no list")
        }
    };
    let considered = if considered < candidates { format!(", {considered} considered") } else { String::new() };
    format!("note: allowed for {} of {candidates} {what}{considered}{absent}", entities.len())
}

/// The last entity of a page after which there are more, unless all are only counted.
fn next(listed: &Listed, shown: Shown) -> Option<EntityRef> {
    let n = shown.n_of(listed.entities.len());
    let is_cut = n < listed.entities.len() && !shown.count;
    if is_cut { Some(listed.entities.get(n.checked_sub(1)?)?.to_entity()) } else { listed.next.clone() }
}

/// What the list leaves open.
pub(crate) fn open(listed: &Listed) -> Vec<String> {
    let mut open = Vec::new();
    if let Some(error) = &listed.error {
        open.push(format!("{} could not be decided about: {error}", number(listed.undecided, "candidate")));
    }
    if listed.is_incomplete {
        let message = "the steps ran out before all candidates had been decided about: there may be more";
        open.push(message.to_owned());
    }
    open
}

pub(crate) fn text(listed: &Listed, shown: Shown) -> String {
    let n = listed.entities.len();
    let mut lines: Vec<String> = listed.entities.iter().take(shown.n_of(n)).map(|name| name.to_string()).collect();
    if shown.count {
        lines.push(n.to_string());
    } else if listed.entities.is_empty() {
        lines.push(format!("none of {}", number(listed.candidates, "candidate")));
    } else {
        lines.extend(shown.rest_of(n));
    }
    lines.join("\n")
}

pub(crate) fn json(listed: &Listed, shown: Shown) -> Json {
    json!({
        "entities": listed.entities.iter().take(shown.n_of(listed.entities.len())).collect::<Vec<_>>(),
        "count": listed.entities.len(),
        "candidates": listed.candidates,
        "considered": listed.considered,
        "undecided": listed.undecided,
        "error": listed.error,
        "incomplete": listed.is_incomplete,
        "next": next(listed, shown),
        "stats": listed.stats,
    })
}
