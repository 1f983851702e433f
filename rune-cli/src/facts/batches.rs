//! Batches of files: where each stands, what came of it, and where the changes stand that cannot be made.

use std::{
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rune_core::{
    ApplyError, Batch, BatchError, Engine, Node, Token,
    store::ChangeFault,
    syntax::{Shape, json},
};
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};

use crate::{check::number, output::Output};

/// The path that stands for standard input.
const STDIN: &str = "-";

/// Bytes of one file of batches: as many as one of rows may have.
const BYTES_MAX: usize = rune_core::base::limits::ROW_FILE_BYTES_MAX;

/// A file, and the batches that stand in it.
#[derive(Debug)]
pub(super) struct File {
    name: String,
    text: String,
    batches: Vec<(Range<usize>, Batch)>,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Applied {
    file: String,
    line: usize,
    n_changes: usize,
    pub(super) fate: Fate,
}

/// Whether it was applied.
#[derive(Debug)]
pub(super) enum Fate {
    /// The revision that has its changes, and whether it was made for them.
    Made { token: Token, is_new: bool },
    /// Nothing of it was.
    Refused { message: String, faults: Vec<Fault>, n_more: usize },
}

/// A change that cannot be made.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where it stands in its batch: `insert.suspended[0]`.
    place: String,
    line: usize,
    message: String,
    help: Option<String>,
}

/// The batches of files.
///
/// # Errors
///
/// If a file cannot be read, or holds what is no batch. Nothing was applied then.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<File>> {
    let n_stdin = paths.iter().filter(|path| path.as_os_str() == STDIN).count();
    ensure!(n_stdin <= 1, "standard input is read once");
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<File> {
    let is_stdin = path.as_os_str() == STDIN;
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let text = text(path, is_stdin).with_context(|| name.clone())?;
    let mut batches = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(&text).into_iter::<IgnoredAny>();
    loop {
        let start = stream.byte_offset();
        let Some(read) = stream.next() else { break };
        read.map_err(|error| {
            let message = error.to_string();
            // Its line is told as those of other faults are.
            let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
            anyhow!("{name}:{}: {what}", error.line())
        })?;
        let white = text.get(start..).map_or(0, |rest| rest.len() - rest.trim_start().len());
        let place = start + white..stream.byte_offset();
        let part = text.get(place.clone()).unwrap_or_default();
        let batch = part.parse::<Batch>().map_err(|error| {
            let at = match &error {
                BatchError::Json(error) => place.start + error.span.start,
                BatchError::Form(_) => place.start,
            };
            anyhow!("{name}:{}: {error}", line(&text, at))
        })?;
        batches.push((place, batch));
    }
    ensure!(!batches.is_empty(), "{name}: there is no batch in it");
    Ok(File { name, text, batches })
}

fn text(path: &Path, is_stdin: bool) -> io::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "the command line reads the file that it was given")]
    let from: Box<dyn Read> =
        if is_stdin { Box::new(io::stdin().lock()) } else { Box::new(std::fs::File::open(path)?) };
    let mut text = String::new();
    from.take(BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    if BYTES_MAX < text.len() {
        return Err(io::Error::other(format!("there are more than {BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The line of a place, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + n_lines(text.get(..at).unwrap_or_default())
}

fn n_lines(text: &str) -> usize {
    text.matches('\n').count()
}

/// Applies the batches of files, in their order, and says of each what came of it.
pub(super) fn apply(engine: &Engine, files: &[File]) -> Vec<Applied> {
    let mut all = Vec::new();
    for file in files {
        let (mut at, mut lines) = (0, 1);
        for (place, batch) in &file.batches {
            // Files may have very many batches: no line is counted twice.
            lines += n_lines(file.text.get(at..place.start).unwrap_or_default());
            at = place.start;
            let before = engine.facts().token();
            let fate = match engine.facts().apply(batch) {
                Ok(token) => Fate::Made { token, is_new: token != before },
                Err(error) => refused(file, place, error),
            };
            all.push(Applied { file: file.name.clone(), line: lines, n_changes: batch.len(), fate });
        }
    }
    all
}

fn refused(file: &File, place: &Range<usize>, error: ApplyError) -> Fate {
    let ApplyError::Changes { faults, n_more } = error else {
        return Fate::Refused { message: error.to_string(), faults: Vec::new(), n_more: 0 };
    };
    let part = file.text.get(place.clone()).unwrap_or_default();
    let places = json::parse_with_places(part).map(|batch| places(&batch)).unwrap_or_default();
    let n = faults.len() + n_more;
    let with_place = |ChangeFault { at, message, help }| {
        let (of, start) = places.get(at).cloned().unwrap_or_default();
        Fault { place: of, line: line(&file.text, place.start + start), message, help }
    };
    let faults = faults.into_iter().map(with_place).collect();
    Fate::Refused { message: format!("{} cannot be made", number(n, "change")), faults, n_more }
}

/// The changes of a batch in the order in which they are made: where each stands, in words and in bytes.
fn places(batch: &Node) -> Vec<(String, usize)> {
    let mut places = Vec::new();
    let mut list = |of: &str, node: &Node| {
        if let Shape::List(changes) = &node.shape {
            places.extend(changes.iter().enumerate().map(|(at, change)| (format!("{of}[{at}]"), change.span.start)));
        }
    };
    for of in ["remove", "delete", "put", "insert"] {
        match batch.member(of) {
            Some(Node { shape: Shape::Table(relations), .. }) => {
                for (relation, rows) in relations {
                    list(&format!("{of}.{}", relation.name), rows);
                }
            }
            Some(entities) => list(of, entities),
            None => {}
        }
    }
    places
}

impl Applied {
    /// What people are told of one that was applied.
    pub(super) fn text(&self) -> Option<String> {
        let Self { file, line, n_changes, fate: Fate::Made { token, is_new } } = self else { return None };
        let made = if *is_new { number(*n_changes, "change") } else { "nothing changes".to_owned() };
        Some(format!("{file}:{line}: {made}, revision {}", token.revision()))
    }

    /// Tells people why one was refused.
    pub(super) fn complain(&self, output: Output) {
        let Self { file, line, fate: Fate::Refused { message, faults, n_more }, .. } = self else { return };
        for Fault { place, line, message, help } in faults {
            let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            output.complain(&format!("{file}:{line}: {place}: {message}{help}"));
        }
        if 0 < *n_more {
            output.note(&format!("and {n_more} more"));
        }
        output.complain(&format!("{file}:{line}: {message}: nothing of this batch is in force"));
    }

    /// What came of it, for machines.
    pub(super) fn json(&self) -> Json {
        let Self { file, line, n_changes, fate } = self;
        match fate {
            Fate::Made { token, is_new } => json!({
                "file": file, "line": line, "changes": n_changes, "applied": true, "new": is_new,
                "revision": token.revision().get(), "token": token.to_string(),
            }),
            Fate::Refused { message, faults, n_more } => json!({
                "file": file, "line": line, "changes": n_changes, "applied": false,
                "error": message, "faults": faults.iter().map(Fault::json).collect::<Json>(), "faults_beyond": n_more,
            }),
        }
    }
}

impl Fault {
    fn json(&self) -> Json {
        let Self { place, line, message, help } = self;
        let mut json = json!({ "place": place, "line": line, "message": message });
        if let (Json::Object(members), Some(help)) = (&mut json, help) {
            members.insert("help".to_owned(), json!(help));
        }
        json
    }
}
