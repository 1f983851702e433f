//! The folder of a session, watched: what came of the edits since it was last asked.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rune_core::{
    BuildError, Engine, Lineup, Options, Program, Report, Status, Watch,
    reload::{Tried, WatchOptions, driver::Event},
};

use crate::dir;

/// A folder that is watched.
pub(super) struct Folder {
    dir: PathBuf,
    watch: Watch,
    /// The status that was last looked at.
    seen: Arc<Status>,
}

/// What came of an edit.
#[derive(Debug)]
pub(super) enum News {
    /// Another version is good.
    Live(Arc<Lineup>),
    /// The files as they are now are refused.
    Refused(Report),
    /// The files are again those of the last good version.
    Recovered,
    /// The folder cannot be read as it is; why.
    Trouble(String),
}

impl Folder {
    /// Watches a folder, and waits for its first version: a lineup, or why there is none.
    pub(super) fn open(dir: &Path) -> Result<(Self, Result<Arc<Lineup>, Report>)> {
        dir::check(dir)?;
        let (send, events) = mpsc::channel();
        let watch = Watch::start(dir, WatchOptions::default(), move |event| {
            // After the first one nobody listens: the status says it all.
            let _ = send.send(event);
        })
        .context("cannot watch the folder")?;
        let first = loop {
            match events.recv().map_err(|_| anyhow!("the folder is no longer watched"))? {
                Event::Tried(Tried::Live(_) | Tried::Unchanged) => {
                    let lineup = watch.served().status().lineup.clone();
                    break Ok(lineup.context("the folder has no version")?);
                }
                Event::Tried(Tried::Refused(refusal)) => break Err(refusal.report),
                Event::Tried(Tried::NotBuilt(why)) => bail!(why),
                Event::Trouble(trouble) => return Err(trouble.into()),
                Event::Degraded(_) => {}
            }
        };
        let seen = watch.served().status();
        Ok((Self { dir: dir.to_owned(), watch, seen }, first))
    }

    /// What came of edits since the last call.
    pub(super) fn news(&mut self) -> Vec<News> {
        let now = self.watch.served().status();
        let news = news(&self.seen, &now);
        self.seen = now;
        news
    }

    /// Reads the folder as it is: a lineup, or why it is none.
    pub(super) fn read(&self) -> Result<Result<Arc<Lineup>, Report>> {
        let sources = dir::read(&self.dir)?;
        match Program::build(sources, Options::default()) {
            Ok(program) => Ok(Ok(Engine::new(program).lineup())),
            Err(BuildError::Refused(refusal)) => Ok(Err(refusal)),
            Err(error @ BuildError::NoThread(_)) => Err(error.into()),
        }
    }
}

/// What happened between two looks at the status.
fn news(before: &Status, now: &Status) -> Vec<News> {
    let mut news = Vec::new();
    let generation = |status: &Status| status.lineup.as_ref().map(|lineup| lineup.generation());
    if let Some(lineup) = now.lineup.as_ref().filter(|_| generation(before) != generation(now)) {
        news.push(News::Live(lineup.clone()));
    }
    let refused = |status: &Status| {
        let refusal = status.last_refusal.as_ref().filter(|_| status.is_refused);
        refusal.map(|refusal| (refusal.version, refusal.report.clone()))
    };
    let trouble = |status: &Status| status.trouble.as_ref().map(|since| since.trouble.to_string());
    let (refused_before, trouble_before) = (refused(before).map(|(version, _)| version), trouble(before));
    match (refused(now), trouble(now)) {
        (_, Some(trouble)) if trouble_before.as_ref() != Some(&trouble) => news.push(News::Trouble(trouble)),
        (Some((version, report)), None) if refused_before != Some(version) || trouble_before.is_some() => {
            news.push(News::Refused(report));
        }
        (None, None) if news.is_empty() && (refused_before.is_some() || trouble_before.is_some()) => {
            news.push(News::Recovered);
        }
        _ => {}
    }
    news
}
