//! A folder opened once, without watching it.

use std::{fmt, path::PathBuf};

use crate::{
    engine::Engine,
    program::{BuildError, Options, Program},
    watch::Trouble,
};

use super::driver;

/// Why a folder cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The folder cannot be read, or is empty.
    Trouble(Trouble),
    /// What it holds cannot be served.
    Build(BuildError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(trouble) => trouble.fmt(f),
            Self::Build(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Trouble(_) => None,
            Self::Build(error) => error.source(),
        }
    }
}

impl Engine {
    /// An engine that serves what a folder holds now. [`Watch`](super::Watch) follows its edits, too.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or what it holds cannot be served: then every reason why not.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let sources = driver::read(dir).map_err(OpenError::Trouble)?;
        Program::build(sources, Options::default()).map(Self::new).map_err(OpenError::Build)
    }
}
