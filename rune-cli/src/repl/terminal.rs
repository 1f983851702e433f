//! The prompt: lines edited at a terminal, with those of before, and with Tab.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use rune_core::Lineup;
use rustyline::{
    CompletionType, Config, Context, Editor, Helper,
    completion::{Completer, Pair},
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use crate::output::{Output, printable};

use super::{Prompt, command, complete};

/// Lines that the history keeps.
const HISTORY_LINES_MAX: usize = 1_000;

/// A terminal with a history.
pub(super) struct Terminal {
    editor: Editor<Words, FileHistory>,
    history: Option<PathBuf>,
    output: Output,
}

/// What Tab and Enter ask.
struct Words {
    lineup: Arc<Lineup>,
}

impl Terminal {
    pub(super) fn new(lineup: Arc<Lineup>, keep: bool, output: Output) -> Result<Self> {
        let config = Config::builder().max_history_size(HISTORY_LINES_MAX)?.completion_type(CompletionType::List);
        let mut editor = Editor::with_config(config.build()).context("the terminal cannot be used")?;
        editor.set_helper(Some(Words { lineup }));
        let mut history = if keep { path() } else { None };
        if let Some(path) = &history
            && let Err(error) = load(&mut editor, path)
        {
            output.warn(&format!("there will be no history: {}: {error}", path.display()));
            history = None;
        }
        Ok(Self { editor, history, output })
    }

    /// Writes a line to the history.
    fn keep(&mut self, line: &str) {
        let is_new = self.editor.add_history_entry(line).unwrap_or(false);
        if let Some(path) = self.history.as_ref().filter(|_| is_new)
            && let Err(error) = self.editor.append_history(path)
        {
            self.output.warn(&format!("there will be no more history: {}: {error}", path.display()));
            self.history = None;
        }
    }
}

impl super::Lines for Terminal {
    fn next(&mut self, prompt: Prompt<'_>) -> Result<Option<Result<String, String>>> {
        if let Some(words) = self.editor.helper_mut() {
            words.lineup = prompt.lineup.clone();
        }
        let text = match prompt.n_trial {
            0 => "rune> ".to_owned(),
            n => format!("rune ({n} on trial)> "),
        };
        loop {
            match self.editor.readline(&text) {
                Ok(line) => {
                    if !line.trim().is_empty() {
                        self.keep(&line);
                    }
                    return Ok(Some(Ok(line)));
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error).context("the terminal cannot be read"),
            }
        }
    }
}

impl Helper for Words {}
impl Highlighter for Words {}

impl Hinter for Words {
    type Hint = String;
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = complete::complete(&self.lineup, line, at);
        let pair = |word: String| Pair { display: printable(&word), replacement: word };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let is_open = command::is_open(context.input());
        Ok(if is_open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

/// Where the history is kept: the folder that the XDG Base Directory Specification has for it.
fn path() -> Option<PathBuf> {
    // A path that is not absolute is to be ignored, the specification says.
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("rune/history"))
}

/// The lines of before; none if there is no file yet.
fn load(editor: &mut Editor<Words, FileHistory>, path: &Path) -> rustyline::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match editor.load_history(path) {
        Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
