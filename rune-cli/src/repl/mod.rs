//! `rune repl`: queries, facts and rules for trial, and explanations, one line after another.
//!
//! ```text
//!   terminal ─┐                ┌▶ answers
//!             ├▶ line ─▶ Session
//!   a script ─┘       ▲
//!   edits ─▶ Folder ──┘ told, and in force for the next line
//! ```
//!
//! A [`Session`](session::Session) has no terminal, no folder and no clock.

mod answer;
mod command;
mod complete;
mod folder;
mod script;
mod session;
mod terminal;
mod trial;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Result;
use rune_core::Lineup;

use crate::{
    Outcome,
    output::{self, Output, printable},
    report,
    shown::Shown,
};

use answer::{Answer, Answered};
use folder::Folder;
use session::{Session, Step};

/// Rows of an answer that are printed unless somebody wants more or less: what is longer scrolls away.
const ROWS_SHOWN: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
    /// Print so many rows at most, and how many more there are.
    #[arg(long, value_name = "N", default_value_t = ROWS_SHOWN)]
    limit: usize,
    /// Show rules below rules so deep; 0 shows none.
    #[arg(long, value_name = "N", default_value_t = 3)]
    depth: usize,
    /// Keep no history of lines, and read none.
    #[arg(long)]
    no_history: bool,
}

/// What is shown before a line is asked for.
struct Prompt<'p> {
    /// What will answer.
    lineup: &'p Arc<Lineup>,
    n_trial: usize,
}

/// Where lines come from.
trait Lines {
    /// The next line, or why it is none; nothing at the end.
    fn next(&mut self, prompt: Prompt<'_>) -> Result<Option<Result<String, String>>>;
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let (folder, first) = Folder::open(&arguments.dir)?;
    let lineup = match first {
        Ok(lineup) => lineup,
        Err(refusal) => {
            report::refused("the ruleset", &refusal, output);
            return Ok(Outcome::Unusable);
        }
    };
    let shown = Shown { limit: Some(arguments.limit), ..Shown::default() };
    let session = Session::new(lineup.clone(), shown, arguments.depth);
    let is_at_terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && !output.is_json();
    if !is_at_terminal {
        return answer_all(&mut script::Script::new(io::stdin().lock()), session, folder, output);
    }
    let dir = printable(&arguments.dir.display().to_string());
    output.note(&format!("{dir}: {}; `:help` says what can be asked", lineup.stable()));
    let mut terminal = terminal::Terminal::new(lineup, !arguments.no_history, output)?;
    answer_all(&mut terminal, session, folder, output)?;
    Ok(Outcome::Yes)
}

/// Answers each line, and says whether all were.
fn answer_all(lines: &mut impl Lines, mut session: Session, mut folder: Folder, output: Output) -> Result<Outcome> {
    let mut outcome = Outcome::Yes;
    loop {
        tell_news(&mut session, &mut folder, output);
        let prompt = Prompt { lineup: session.answers(), n_trial: session.n_trial() };
        let Some(line) = lines.next(prompt)? else { return Ok(outcome) };
        // What was edited while the line was written.
        tell_news(&mut session, &mut folder, output);
        let step = match line {
            Ok(line) => session.line(&line),
            Err(message) => Step::Tell(Answer::error(message)),
        };
        let answer = match step {
            Step::Nothing => continue,
            Step::Tell(answer) => answer,
            Step::Reload => match folder.read() {
                Ok(read) => session.reload(read),
                Err(error) => Answer::error(format!("{error:#}; answers are as before")),
            },
            Step::End => return Ok(outcome),
        };
        if answer.answered == Answered::No {
            outcome = Outcome::No;
        }
        answer.tell(output);
        if !output::is_heard() {
            return Ok(outcome);
        }
    }
}

fn tell_news(session: &mut Session, folder: &mut Folder, output: Output) {
    for news in folder.news() {
        if let Some(answer) = session.news(news) {
            answer.tell(output);
        }
    }
}
