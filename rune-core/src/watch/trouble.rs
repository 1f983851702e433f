//! Why a folder gives no set of files.

use std::{fmt, path::PathBuf};

/// Why there is no set of files. Whatever the reason, what was served still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The watched folder is gone, or is no folder.
    RootMissing {
        /// The folder, as it was given.
        path: PathBuf,
    },
    /// The watched folder holds no ruleset file. An empty folder is not an empty policy.
    Empty {
        /// The folder, as it was given.
        path: PathBuf,
    },
    /// A file or directory could not be read, so its rules are unknown.
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        message: String,
    },
    /// A pipe, a socket or a device has the name of a ruleset file. It was not opened.
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// A link leads out of the watched folder. It was not followed.
    OutsideRoot {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A file is too large.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size.
        limit: usize,
    },
    /// There are too many files.
    TooManyFiles {
        /// How many there are.
        n: usize,
        /// How many there may be.
        limit: usize,
    },
    /// All files together are too large.
    TooManyBytes {
        /// Their size.
        bytes: u64,
        /// The largest size.
        limit: usize,
    },
    /// A directory is nested too deeply.
    TooDeep {
        /// The directory.
        path: PathBuf,
        /// The depth below the watched folder that there may be.
        limit: usize,
    },
    /// The path of a ruleset file is not UTF-8.
    NameNotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// The files did not rest for as long as the settler waits.
    Unstable,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RootMissing { path } => write!(f, "there is no folder {}", path.display()),
            Self::Empty { path } => write!(f, "no ruleset file in the folder {}", path.display()),
            Self::Unreadable { path, message } => {
                write!(f, "{} cannot be read, so its rules are unknown: {message}", path.display())
            }
            Self::NotAFile { path } => write!(f, "{} is named like a ruleset file and is no file", path.display()),
            Self::OutsideRoot { path, target } => {
                write!(f, "the link {} leads out of the folder, to {}", path.display(), target.display())
            }
            Self::TooLarge { path, bytes, limit } => {
                write!(f, "{} has {bytes} bytes, and a file may have {limit}", path.display())
            }
            Self::TooManyFiles { n, limit } => write!(f, "there are {n} files, and a ruleset may have {limit}"),
            Self::TooManyBytes { bytes, limit } => {
                write!(f, "the files have {bytes} bytes together, and a ruleset may have {limit}")
            }
            Self::TooDeep { path, limit } => {
                write!(f, "{} is nested deeper than {limit} directories", path.display())
            }
            Self::NameNotUtf8 { path } => write!(f, "the name of {} is not UTF-8", path.display()),
            Self::Unstable => f.write_str("the files keep changing"),
        }
    }
}

impl std::error::Error for Trouble {}
