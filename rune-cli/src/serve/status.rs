//! `GET /api/v1/status`: what is served, and what came of the last edits.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Extension, extract::State, response::Response};
use rune_core::{
    Generation, Lineup, Status,
    program::{Change, Counts},
    reload::Refusal,
};
use serde_json::{Value as Json, json};
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::report;

use super::http::{App, answer};

/// The counts of what was asked about last: counting goes over all rows.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<Option<(Generation, Counts)>>);

impl Counted {
    async fn of(&self, lineup: &Arc<Lineup>) -> Option<Counts> {
        let mut last = self.0.lock().await;
        match *last {
            Some((generation, counts)) if generation == lineup.generation() => Some(counts),
            _ => {
                let counted = lineup.clone();
                let counts = spawn_blocking(move || counted.stable().counts()).await.ok()?;
                *last = Some((lineup.generation(), counts));
                Some(counts)
            }
        }
    }
}

pub(super) async fn status(State(served): State<App>, counted: Extension<Arc<Counted>>) -> Response {
    let status = served.status();
    let counts = match &status.lineup {
        Some(lineup) => counted.of(lineup).await,
        None => None,
    };
    answer(&json(&status, counts))
}

fn json(status: &Status, counts: Option<Counts>) -> Json {
    let state = match (&status.lineup, &status.trouble) {
        _ if status.is_unwatched => "unwatched",
        (None, _) => "waiting",
        (_, Some(_)) => "trouble",
        _ if status.building.is_some() => "building",
        _ if status.is_refused => "refused",
        _ => "serving",
    };
    let mut json = json!({ "state": state });
    let Json::Object(members) = &mut json else { return json };
    if let Some(lineup) = &status.lineup {
        let program = lineup.stable();
        members.insert("generation".to_owned(), json!(lineup.generation().get()));
        members.insert("version".to_owned(), json!(program.version().to_string()));
        members.extend(counts.map(|counts| ("counts".to_owned(), json!(counts))));
        members.insert("warnings".to_owned(), report::json(program.warnings()));
    }
    if let Some(reload) = &status.last_reload {
        let reload = json!({
            "at": time(reload.at),
            "took_ms": milliseconds(reload.took),
            "generation": reload.generation.get(),
            "version": reload.version.to_string(),
        });
        members.insert("last_reload".to_owned(), reload);
    }
    if let Some(refusal) = &status.last_refusal {
        members.insert("last_refusal".to_owned(), refusal_json(refusal, status.is_refused));
    }
    if let Some(building) = status.building {
        members.insert("building".to_owned(), json!(building.to_string()));
    }
    if let Some(since) = &status.trouble {
        let trouble = json!({ "at": time(since.at), "message": since.trouble.to_string() });
        members.insert("trouble".to_owned(), trouble);
    }
    if let Some(degraded) = &status.degraded {
        members.insert("degraded".to_owned(), json!(degraded));
    }
    json
}

fn refusal_json(refusal: &Refusal, is_current: bool) -> Json {
    let changes = refusal.not_in_force.iter().map(|change| {
        json!({
            "path": &*change.path,
            "change": match change.change {
                Change::Added => "added",
                Change::Changed => "changed",
                Change::Removed => "removed",
            },
            "policies_still_in_force": change.still_in_force.iter().map(|id| &**id).collect::<Vec<_>>(),
        })
    });
    json!({
        "at": time(refusal.at),
        "version": refusal.version.to_string(),
        "is_current": is_current,
        "findings": report::json(&refusal.report),
        "findings_beyond": refusal.report.n_beyond,
        "not_in_force": changes.collect::<Json>(),
    })
}

/// Milliseconds with three digits after the point: what takes less than one takes time, too.
pub(super) fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// A time as RFC 3339 writes it, in UTC.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
