//! `rune eval`: one decision, with the policies that made it.

use std::path::PathBuf;

use anyhow::Result;
use rune_core::{
    Effect, Engine, Explanation, Options, Why,
    explain::{ByFile, Cite, RuleRef},
};
use serde_json::{Value as Json, json};

use crate::{Outcome, output::Output, report, request};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    dir: PathBuf,
    #[command(flatten)]
    request: request::Whole,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let request = arguments.request.request()?;
    let Some(program) = report::program(&arguments.dir, Options::default(), output)? else {
        return Ok(Outcome::Unusable);
    };
    let explanation = Engine::new(program).snapshot().outline(&request);
    output.result(&text(&explanation, &ByFile), || json(&explanation));
    Ok(if explanation.decision.is_allowed() { Outcome::Yes } else { Outcome::No })
}

/// The decision for people, with places cited so.
pub(crate) fn text(explanation: &Explanation, cite: &dyn Cite) -> String {
    let kind = match &explanation.decision.why {
        Why::AllowedBy(_) => "allowed by",
        Why::ForbiddenBy(_) => "forbidden by",
        Why::NotPermitted => "not permitted: no policy permits it",
        Why::Error(fault) => return format!("deny\nerror: {fault}"),
    };
    let mut lines = vec![explanation.decision.effect().to_string()];
    match explanation.determining.as_slice() {
        [] => lines.push(kind.to_owned()),
        policies => {
            for policy in policies {
                lines.push(format!("{kind} {}", cite.rule(&policy.rule)));
                lines.extend(reason(&policy.rule));
            }
        }
    }
    lines.extend(
        explanation
            .failed
            .iter()
            .map(|failed| format!("passed over {}: {}", cite.rule(&failed.instance.rule), failed.message)),
    );
    lines.join("\n")
}

/// What the author of a policy has people told, on one line.
fn reason(policy: &RuleRef) -> Option<String> {
    let words: Vec<_> = policy.annotations.get("reason")?.split_whitespace().collect();
    (!words.is_empty()).then(|| format!("  “{}”", words.join(" ")))
}

pub(crate) fn json(explanation: &Explanation) -> Json {
    let decision = &explanation.decision;
    let failed = explanation.failed.iter().map(|failed| {
        let mut json = policy_json(&failed.instance.rule);
        if let Json::Object(members) = &mut json {
            members.insert("message".to_owned(), json!(failed.message));
        }
        json
    });
    let mut json = json!({
        "decision": decision.effect().to_string(),
        "allowed": decision.effect() == Effect::Allow,
        "kind": decision.why.kind(),
        "policies": explanation.determining.iter().map(|policy| policy_json(&policy.rule)).collect::<Json>(),
        "errors": failed.collect::<Json>(),
        "version": decision.version.to_string(),
        "incomplete": explanation.is_incomplete,
    });
    if let (Json::Object(members), Why::Error(error)) = (&mut json, &decision.why) {
        members.insert("error".to_owned(), json!(error));
    }
    json
}

fn policy_json(policy: &RuleRef) -> Json {
    json!({
        "id": &*policy.id,
        "path": &*policy.place.path,
        "line": policy.place.line,
        "column": policy.place.column,
        "annotations": &*policy.annotations,
    })
}
