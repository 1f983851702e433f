//! `rune init`: a first ruleset, to read and to change.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use rune_core::{Sources, reload::driver, watch::Trouble};
use serde_json::json;

use crate::{Outcome, output::Output, shell::quoted};

/// The ruleset. A test holds that it is in order, tested and laid out.
const FIRST: &str = include_str!("first.rune");
const NAME: &str = "main.rune";

/// Names of files that are there already, as many as are told.
const TOLD_MAX: usize = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder to write to; it is made if it is not there.
    #[arg(default_value = ".", value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let dir = &arguments.dir;
    // Any ruleset collides, whatever its files are called: all files of a folder are one.
    match driver::read(dir) {
        Err(Trouble::RootMissing { .. }) => fs::create_dir_all(dir).with_context(|| dir.display().to_string())?,
        Err(Trouble::Empty { .. }) => {}
        Err(trouble) => return Err(trouble.into()),
        Ok(sources) => bail!("{} holds a ruleset already: {}", dir.display(), names(&sources)),
    }
    let path = dir.join(NAME);
    write(&path).with_context(|| path.display().to_string())?;
    let folder = quoted(&dir.display().to_string());
    let next = [format!("rune test {folder}"), format!("rune serve --watch {folder}")];
    output.result(
        &format!("wrote {}\n\nnext:\n  {}\n  {}", path.display(), next[0], next[1]),
        || json!({ "files": [path.display().to_string()], "next": next }),
    );
    Ok(Outcome::Yes)
}

fn names(sources: &Sources) -> String {
    let mut names: Vec<&str> = sources.files().take(TOLD_MAX).map(|(_, file)| &*file.path).collect();
    if TOLD_MAX < sources.len() {
        names.push("…");
    }
    names.join(", ")
}

/// What is there is never overwritten, nor written through a link.
fn write(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(FIRST.as_bytes())?;
    file.sync_all()
}
