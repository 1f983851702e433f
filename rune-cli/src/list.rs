//! `rune list`: who may, what may one do, and to what.

use std::path::PathBuf;

use anyhow::Result;
use rune_core::{Engine, EntityRef, List, Listed, Options};
use serde_json::{Value as Json, json};

use crate::{Outcome, check::number, output::Output, report, request};

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
    /// The circumstances, a JSON object: `{ "hour": 9 }`.
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// Print how many there are, and none of them.
    #[arg(long)]
    count: bool,
    /// Print so many at most, and how many more there are.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print what finding them took.
    #[arg(long)]
    stats: bool,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let (common, list) = match &arguments.side {
        Side::Principals { common, action, resource } => (common, List::principals(action.clone(), resource.clone())),
        Side::Actions { common, principal, resource } => (common, List::actions(principal.clone(), resource.clone())),
        Side::Resources { common, principal, action } => (common, List::resources(principal.clone(), action.clone())),
    };
    let list = match &common.kind {
        Some(kind) => list.of_type(kind),
        None => list,
    };
    let list = match request::context(common.context.as_deref())? {
        Some(context) => list.with_context(context),
        None => list,
    };
    let sources = rune_core::reload::driver::read(&common.dir)?;
    let Some(program) = report::program(sources, Options::default(), output)? else { return Ok(Outcome::Unusable) };
    let listed = Engine::new(program).list(&list);
    output.result(&text(&listed, common), || json(&listed, common));
    if let Some(error) = &listed.error {
        output.warn(&format!("{} could not be decided about: {error}", number(listed.undecided, "candidate")));
    }
    if listed.is_incomplete {
        output.warn("the steps ran out before all candidates had been decided about: there may be more");
    }
    Ok(if listed.is_incomplete {
        Outcome::Unusable
    } else if listed.entities.is_empty() {
        Outcome::No
    } else {
        Outcome::Yes
    })
}

/// How many entities are printed.
fn n_shown(listed: &Listed, common: &Common) -> usize {
    if common.count { 0 } else { common.limit.unwrap_or(usize::MAX).min(listed.entities.len()) }
}

fn text(listed: &Listed, common: &Common) -> String {
    let n_shown = n_shown(listed, common);
    let mut lines: Vec<String> = listed.entities.iter().take(n_shown).map(EntityRef::to_string).collect();
    if common.count {
        lines.push(listed.entities.len().to_string());
    } else if listed.entities.is_empty() {
        lines.push(format!("none of {}", number(listed.candidates, "candidate")));
    } else if n_shown < listed.entities.len() {
        lines.push(format!("… and {} more", listed.entities.len() - n_shown));
    }
    if common.stats {
        let stats = listed.stats;
        lines.push(format!(
            "{}, {} steps, {} rows looked at",
            number(listed.candidates, "candidate"),
            stats.steps,
            stats.rows_touched
        ));
    }
    lines.join("\n")
}

fn json(listed: &Listed, common: &Common) -> Json {
    json!({
        "entities": listed.entities.get(..n_shown(listed, common)),
        "count": listed.entities.len(),
        "candidates": listed.candidates,
        "undecided": listed.undecided,
        "error": listed.error,
        "incomplete": listed.is_incomplete,
        "stats": listed.stats,
    })
}
