//! Plain data with places, whether it was written as TOML or as JSON.

use std::ops::Range;

/// A piece of data and the bytes that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Bytes of the text it was read from.
    pub span: Range<usize>,
    /// What it is.
    pub shape: Shape,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// JSON's `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Long(i64),
    /// A number that is none, as written.
    Float(String),
    /// TOML's date, time or both, as written.
    Datetime(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// A table, its keys distinct.
    Table(Vec<(Key, Node)>),
}

/// A key of a table and the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Bytes of the text it was read from.
    pub span: Range<usize>,
    /// The key.
    pub name: String,
}

impl Node {
    /// Whether at most so many lists and tables are within one another.
    // Recurses once per level, up to the bound.
    #[must_use]
    pub fn is_within(&self, n_levels: usize) -> bool {
        let is_lower = |node: &Self| n_levels.checked_sub(1).is_some_and(|n_levels| node.is_within(n_levels));
        match &self.shape {
            Shape::List(nodes) => nodes.iter().all(is_lower),
            Shape::Table(members) => members.iter().all(|(_, node)| is_lower(node)),
            _ => true,
        }
    }

    /// The member `name`, if this is a table that has it.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        match &self.shape {
            Shape::Table(members) => members.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Null => "null",
            Shape::Bool(_) => "a boolean",
            Shape::Long(_) => "an integer",
            Shape::Float(_) => "a number that is not a 64-bit integer",
            Shape::Datetime(_) => "a date or time",
            Shape::Text(_) => "a string",
            Shape::List(_) => "a list",
            Shape::Table(_) => "a table",
        }
    }
}
