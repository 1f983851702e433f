//! `rune eval`: one decision, with the policies that made it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rune_core::{
    Effect, Engine, EntityRef, Explanation, Request, Why,
    engine::PolicyRef,
    syntax::{Shape, json},
};
use serde_json::{Value as Json, json};

use crate::{Outcome, check, output::Output, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    dir: PathBuf,
    /// Who asks: `User::"ada"`.
    #[arg(long)]
    principal: EntityRef,
    /// To do what: `Action::"read"`.
    #[arg(long)]
    action: EntityRef,
    /// To what: `Document::"plan"`.
    #[arg(long)]
    resource: EntityRef,
    /// The circumstances, a JSON object: `{ "hour": 9 }`.
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let request = Request::new(arguments.principal.clone(), arguments.action.clone(), arguments.resource.clone());
    let request = match &arguments.context {
        None => request,
        Some(text) => {
            let context = json::parse(text).context("the context is not JSON")?;
            anyhow::ensure!(matches!(context.shape, Shape::Table(_)), "the context is not an object");
            request.with_context(context)
        }
    };
    let program = match check::build(&arguments.dir)? {
        Ok(program) => program,
        Err(refusal) => {
            output.note(&report::text(&refusal, output.has_colour()));
            output.json(|| json!({ "error": "the ruleset is refused", "findings": report::json(&refusal) }));
            return Ok(Outcome::Unusable);
        }
    };
    let explanation = Engine::new(program).explain(&request);
    output.result(&text(&explanation), || json(&explanation));
    Ok(if explanation.decision.is_allowed() { Outcome::Yes } else { Outcome::No })
}

fn text(explanation: &Explanation) -> String {
    let kind = match &explanation.decision.why {
        Why::AllowedBy(_) => "allowed by",
        Why::ForbiddenBy(_) => "forbidden by",
        Why::NotPermitted => "not permitted: no policy permits it",
        Why::Error(fault) => return format!("deny\nerror: {fault}"),
    };
    let mut lines = vec![explanation.decision.effect().to_string()];
    match explanation.determining.as_slice() {
        [] => lines.push(kind.to_owned()),
        policies => lines.extend(policies.iter().map(|policy| format!("{kind} {}", shown(policy)))),
    }
    lines.extend(
        explanation.failed.iter().map(|failed| format!("passed over {}: {}", shown(&failed.policy), failed.message)),
    );
    lines.join("\n")
}

fn shown(policy: &PolicyRef) -> String {
    format!("{} ({}:{}:{})", policy.id, policy.path, policy.place.line, policy.place.column)
}

fn json(explanation: &Explanation) -> Json {
    let decision = &explanation.decision;
    let (kind, error) = match &decision.why {
        Why::AllowedBy(_) => ("allowed_by", None),
        Why::ForbiddenBy(_) => ("forbidden_by", None),
        Why::NotPermitted => ("not_permitted", None),
        Why::Error(fault) => ("error", Some(fault)),
    };
    let failed = explanation.failed.iter().map(|failed| {
        let mut json = policy_json(&failed.policy);
        if let Json::Object(members) = &mut json {
            members.insert("message".to_owned(), json!(failed.message));
        }
        json
    });
    let mut json = json!({
        "decision": decision.effect().to_string(),
        "allowed": decision.effect() == Effect::Allow,
        "kind": kind,
        "policies": explanation.determining.iter().map(policy_json).collect::<Json>(),
        "errors": failed.collect::<Json>(),
        "version": decision.version.to_string(),
        "incomplete": explanation.is_incomplete,
    });
    if let (Json::Object(members), Some(error)) = (&mut json, error) {
        members.insert("error".to_owned(), json!(error));
    }
    json
}

fn policy_json(policy: &PolicyRef) -> Json {
    json!({
        "id": &*policy.id,
        "path": &*policy.path,
        "line": policy.place.line,
        "column": policy.place.column,
        "annotations": &*policy.annotations,
    })
}
