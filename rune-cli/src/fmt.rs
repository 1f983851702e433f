//! `rune fmt`: the layout of files.
//!
//! ```text
//!   read ──▶ layout ──▶ the same?  nothing is written
//!              │        another?   a new file beside it ──▶ still what was read? ──▶ takes its name
//!              └▶ findings: the file stays
//! ```
//!
//! Each file has its old text or its new one, whatever happens meanwhile, and a file that does not parse keeps no other
//! from its layout.

use std::{
    fs::{self, File as Opened, OpenOptions},
    io::{self, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use rune_core::{
    File, Finding, Report, Sources, Span,
    base::limits::FILE_BYTES_MAX,
    diag::{Code, Findings},
    syntax::format::{self, Form, FormatError},
};
use serde_json::{Value as Json, json};

use crate::{
    Outcome,
    check::number,
    output::{Output, printable},
    report,
};

/// The path that stands for standard input.
const STDIN: &str = "-";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Files, or folders with all their `.rune` and `.cedar` files. None, or `-`: from standard input to standard output.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Change nothing; exit code 1 if a file is not laid out.
    #[arg(long)]
    check: bool,
    /// The name that the text on standard input has: its ending says what it is.
    #[arg(long, value_name = "NAME", default_value = "stdin.rune")]
    stdin_name: String,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == STDIN;
    if arguments.paths.iter().all(is_stdin) {
        return standard_input(arguments, output);
    }
    if arguments.paths.iter().any(is_stdin) {
        bail!("`{STDIN}` stands alone: its layout goes to standard output");
    }
    let mut tally = Tally { is_check: arguments.check, results: Vec::new() };
    for path in &arguments.paths {
        if path.is_dir() {
            folder(path, &mut tally, output);
        } else if !path.exists() {
            let shown = path.display().to_string();
            tally.fail(shown.clone(), format!("there is no file or folder {shown}"), output);
        } else {
            file(path, &mut tally, output);
        }
    }
    output.result(&tally.text(), || tally.json());
    Ok(tally.outcome())
}

/// What became of a file.
enum Fate {
    /// It was laid out.
    Same,
    /// It was not; now it is, or would be.
    Changed,
    /// It has no layout, or could not be read or written.
    Failed { message: String, findings: Json },
}

struct Tally {
    is_check: bool,
    results: Vec<(String, Fate)>,
}

impl Tally {
    fn fail(&mut self, path: String, message: String, output: Output) {
        output.complain(&message);
        self.results.push((path, Fate::Failed { message, findings: json!([]) }));
    }

    fn count(&self, is_it: fn(&Fate) -> bool) -> usize {
        self.results.iter().filter(|(_, fate)| is_it(fate)).count()
    }

    fn n_changed(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Changed))
    }

    fn outcome(&self) -> Outcome {
        if self.results.iter().any(|(_, fate)| matches!(fate, Fate::Failed { .. })) {
            Outcome::Unusable
        } else if self.is_check && 0 < self.n_changed() {
            Outcome::No
        } else {
            Outcome::Yes
        }
    }

    fn text(&self) -> String {
        let verb = if self.is_check { "would change" } else { "changed" };
        let changed = self.results.iter().filter(|(_, fate)| matches!(fate, Fate::Changed));
        let mut lines: Vec<String> = changed.map(|(path, _)| format!("{verb} {path}")).collect();
        let n_same = self.count(|fate| matches!(fate, Fate::Same));
        let mut summary = format!("{} {verb}, {n_same} laid out", number(self.n_changed(), "file"));
        let n_failed = self.results.len() - self.n_changed() - n_same;
        if 0 < n_failed {
            summary = format!("{summary}, {n_failed} with errors");
        }
        lines.push(summary);
        lines.join("\n")
    }

    fn json(&self) -> Json {
        let file = |(path, fate): &(String, Fate)| match fate {
            Fate::Same => json!({ "path": path, "changed": false }),
            Fate::Changed => json!({ "path": path, "changed": true }),
            Fate::Failed { message, findings } => json!({ "path": path, "error": message, "findings": findings }),
        };
        json!({
            "check": self.is_check,
            "changed": self.n_changed(),
            "files": self.results.iter().map(file).collect::<Json>(),
        })
    }
}

fn folder(root: &Path, tally: &mut Tally, output: Output) {
    let sources = match rune_core::reload::driver::read(root) {
        Ok(sources) => sources,
        Err(trouble) => return tally.fail(root.display().to_string(), trouble.to_string(), output),
    };
    for (_, file) in sources.files() {
        if let Some(form) = Form::of(&file.path) {
            let path = root.join(&*file.path);
            one(&path, form, &file.bytes, tally, output);
        }
    }
}

fn file(path: &Path, tally: &mut Tally, output: Output) {
    let shown = path.display().to_string();
    let Some(form) = Form::of(&shown) else {
        return tally.fail(shown.clone(), format!("{shown}: only `.rune` and `.cedar` files are laid out"), output);
    };
    match read(path) {
        Ok(bytes) => one(path, form, &bytes.into(), tally, output),
        Err(error) => tally.fail(shown.clone(), format!("{shown}: {error}"), output),
    }
}

/// The bytes of a file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would be waited for.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("this is no file"));
    }
    #[expect(clippy::disallowed_methods, reason = "the command line reads the file that it was given")]
    let file = Opened::open(path)?;
    limited(file)
}

fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    // Part of a text is not laid out: it would be all that is left of it.
    if FILE_BYTES_MAX < bytes.len() {
        return Err(io::Error::other(format!("there are more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn one(path: &Path, form: Form, bytes: &Arc<[u8]>, tally: &mut Tally, output: Output) {
    let shown = path.display().to_string();
    let fate = match lay_out(&shown, form, bytes.clone()) {
        Err(failure) => {
            if let Some(report) = &failure.report {
                output.note(&report::text(report, output.has_colour()));
            } else {
                output.complain(&failure.message);
            }
            let findings = failure.report.as_ref().map_or_else(|| json!([]), report::json);
            Fate::Failed { message: failure.message, findings }
        }
        Ok(layout) if layout.as_bytes() == &**bytes => Fate::Same,
        Ok(_) if tally.is_check => Fate::Changed,
        Ok(layout) => match replace(path, bytes, layout.as_bytes()) {
            Ok(()) => Fate::Changed,
            Err(error) => return tally.fail(shown, format!("{error:#}"), output),
        },
    };
    tally.results.push((shown, fate));
}

/// Why a text has no layout.
struct Failure {
    message: String,
    report: Option<Report>,
}

fn lay_out(path: &str, form: Form, bytes: Arc<[u8]>) -> Result<String, Failure> {
    let sources = Arc::new(Sources::new(vec![File::new(path, bytes)]));
    let refused = |findings: Findings| Failure {
        message: format!("{path}: the text does not parse"),
        report: Some(findings.into_report(sources.clone())),
    };
    let Some((id, file)) = sources.files().next() else {
        return Err(Failure { message: format!("{path}: there is no text"), report: None });
    };
    if file.text().len() < file.bytes.len() {
        let at = file.text().len();
        let finding = Finding::new(Code::NotUtf8, Span::new(id, at..at), "from here on the file is not UTF-8 text");
        let mut findings = Findings::default();
        findings.push(finding.help("save it as UTF-8"));
        return Err(refused(findings));
    }
    match format::format(form, id, file.text()) {
        Ok(layout) => Ok(layout),
        Err(FormatError::Refused(findings)) => Err(refused(findings)),
        Err(error) => Err(Failure { message: format!("{path}: {error}"), report: None }),
    }
}

/// Gives a file a new text, if it still has the old one.
fn replace(path: &Path, old: &[u8], new: &[u8]) -> Result<()> {
    // Not a link, but what it leads to.
    let target = path.canonicalize().with_context(|| path.display().to_string())?;
    if target.metadata().with_context(|| path.display().to_string())?.permissions().readonly() {
        bail!("{}: the file is not to be written", path.display());
    }
    let name = target.file_name().with_context(|| path.display().to_string())?;
    // The name begins with a period, so that nobody takes it for a file of the ruleset.
    let beside = target.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = write(&target, &beside, new).with_context(|| beside.display().to_string()).and_then(|()| {
        if read(&target).with_context(|| path.display().to_string())? != old {
            bail!("{}: the file has changed meanwhile; it stays as it is", path.display());
        }
        fs::rename(&beside, &target).with_context(|| path.display().to_string())
    });
    if written.is_err() {
        // What cannot be taken away again is named in the error.
        drop(fs::remove_file(&beside));
    }
    written
}

fn write(target: &Path, beside: &Path, new: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(beside)?;
    file.set_permissions(target.metadata()?.permissions())?;
    file.write_all(new)?;
    file.sync_all()
}

fn standard_input(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let Some(form) = Form::of(&arguments.stdin_name) else {
        bail!("{}: only `.rune` and `.cedar` files are laid out", arguments.stdin_name);
    };
    let bytes: Arc<[u8]> = limited(io::stdin().lock()).context("standard input")?.into();
    let layout = match lay_out(&arguments.stdin_name, form, bytes.clone()) {
        Ok(layout) => layout,
        Err(Failure { report: Some(report), message }) => {
            output.note(&report::text(&report, output.has_colour()));
            output.json(|| json!({ "error": message, "findings": report::json(&report) }));
            return Ok(Outcome::Unusable);
        }
        Err(failure) => bail!(failure.message),
    };
    let is_changed = layout.as_bytes() != &*bytes;
    let outcome = if arguments.check && is_changed { Outcome::No } else { Outcome::Yes };
    if output.is_json() {
        output.json(|| json!({ "check": arguments.check, "changed": is_changed, "text": layout }));
    } else if arguments.check {
        output.result(if is_changed { "would change" } else { "laid out" }, || json!(null));
    } else {
        let mut out = io::stdout().lock();
        // A terminal would obey what stands in the text; a file is to have it as it is.
        let text = if out.is_terminal() { printable(&layout) } else { layout };
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")?;
    }
    Ok(outcome)
}
