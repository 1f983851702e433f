//! What is answered.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{base::Version, facts::token::Revision};

use super::Why;

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The request may be carried out.
    Allow,
    /// It may not.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// Counts what has been served, from 1. No two lineups of one engine have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The first.
    pub(crate) const FIRST: Self = Self(1);

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The one after this.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// What settles it.
    pub why: Why,
    /// The lineup that answered.
    pub generation: Generation,
    /// The version that answered.
    pub version: Version,
    /// The revision of the live facts that it answered over.
    pub revision: Revision,
}

impl Decision {
    /// Yes or no.
    #[must_use]
    pub fn effect(&self) -> Effect {
        if self.why.is_allowed() { Effect::Allow } else { Effect::Deny }
    }

    /// Whether the request may be carried out.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.why.is_allowed()
    }
}

/// `decision`, `kind`, `error` if there is one, `version`, `generation`.
impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("decision", &self.effect().to_string())?;
        map.serialize_entry("kind", self.why.kind())?;
        if let Why::Error(error) = &self.why {
            map.serialize_entry("error", error)?;
        }
        map.serialize_entry("version", &self.version.to_string())?;
        map.serialize_entry("generation", &self.generation.get())?;
        map.end()
    }
}
