//! Folders with a ruleset and its rows.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::data::{self, Data, Size};

/// A folder that holds all that a program needs.
pub struct Files {
    pub dir: PathBuf,
    pub data: Data,
}

impl Files {
    /// Makes the data of a family and writes them beside the ruleset `rulesets/<kind>/<ruleset>`.
    ///
    /// # Errors
    ///
    /// If there is no such data, or it cannot be written.
    pub fn write(kind: &str, ruleset: &str, family: &str, size: Size) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = root.join("target/data").join(format!("{ruleset}-{family}-{size}-{kind}"));
        let data = data::make(family, size)?;
        let put = || {
            data.tables.write(&dir)?;
            for name in ["given.rune", "rules.rune"] {
                fs::copy(root.join("rulesets").join(kind).join(ruleset).join(name), dir.join(name))?;
            }
            Ok::<(), std::io::Error>(())
        };
        put().map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self { dir, data })
    }
}

/// Has another process write such a folder, and says how many rows there are. A process is never told to have had less memory than
/// the one that started it: those that are measured are not started by one that has held all the data.
///
/// # Errors
///
/// What that process says.
pub fn write_apart(kind: &str, ruleset: &str, family: &str, size: Size) -> Result<(PathBuf, usize), String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let wrote = Command::new(this).args(["write", kind, ruleset, family, &size.to_string()]).output();
    let wrote = wrote.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(if wrote.status.success() { &wrote.stdout } else { &wrote.stderr }).into_owned();
    let found = said.trim().rsplit_once(": ").filter(|_| wrote.status.success());
    let (dir, n_rows) = found.ok_or_else(|| said.clone())?;
    let n_rows = n_rows.trim_end_matches(" rows").parse().map_err(|_| said.clone())?;
    Ok((PathBuf::from(dir), n_rows))
}
