//! The folder that a command was given.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, bail};
use rune_core::{Sources, reload::driver, watch::Trouble};

/// Reads it once, whole.
pub(crate) fn read(dir: &Path) -> Result<Arc<Sources>> {
    check_is_no_file(dir)?;
    Ok(driver::read(dir)?)
}

/// Refuses what is no folder, where one is to be watched: to wait for a folder whose name is misspelt would be to wait for ever.
pub(crate) fn check(dir: &Path) -> Result<()> {
    check_is_no_file(dir)?;
    if dir.is_dir() { Ok(()) } else { Err(Trouble::RootMissing { path: dir.to_owned() }.into()) }
}

/// Refuses a file: what is served or asked is all that stands in one folder.
pub(crate) fn check_is_no_file(dir: &Path) -> Result<()> {
    if dir.is_file() {
        let folder = dir.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
        bail!("{} is a file, and a ruleset is a folder: give `{}`", dir.display(), folder.display());
    }
    Ok(())
}
