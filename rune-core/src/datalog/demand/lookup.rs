//! The ways in which rows of one view of the facts are found.
//!
//! | rows | by |
//! |---|---|
//! | by all columns | the table itself |
//! | of a relation that does not change under a program | a directory, made for the question |
//! | of one that changes | an index of its table, which each revision has |

use std::sync::Arc;

use crate::{
    base::Value,
    check::rules::PredicateId,
    facts::{IndexId, Probe, Relation, Store, Table},
};

use super::directory::{Directory, Run};

/// What is asked for: the rows of a relation by these columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) id: PredicateId,
    pub(super) columns: Box<[usize]>,
}

/// Finds rows by some of their columns, in one view of the facts.
#[derive(Debug, Clone)]
pub(super) enum Lookup {
    Directory(Arc<Directory>),
    Index(Arc<Relation>, IndexId),
    Row(Arc<Relation>),
}

impl Lookup {
    /// As the rows of a store are. Whether rows come whole depends on the relation and the columns alone.
    pub(super) fn of(wanted: &Wanted, store: &impl Store, arity: usize) -> Self {
        let Wanted { id, columns } = wanted;
        let Some(relation) = store.share(*id) else {
            return Self::Directory(Arc::new(Directory::of(&Table::default(), arity, columns, false)));
        };
        let is_changing = relation.rows.is_shared();
        let index = if is_changing { relation.rows.find_index(columns) } else { None };
        match index {
            _ if columns.len() == arity => Self::Row(relation),
            Some(index) => Self::Index(relation, index),
            None => Self::Directory(Arc::new(Directory::of(&relation.rows, arity, columns, is_changing))),
        }
    }

    /// The columns that a row which is found has: those of `arity` that are not the key, or all.
    pub(super) fn columns(&self, arity: usize, key: &[usize]) -> Vec<usize> {
        match self {
            Self::Directory(directory) => directory.columns(arity, key),
            Self::Index(..) => (0..arity).collect(),
            Self::Row(_) => Vec::new(),
        }
    }

    /// The rows of a key; where rows are whole, some may be of other keys.
    #[inline]
    pub(super) fn probe(&self, key: impl Iterator<Item = Value> + Clone) -> Found<'_> {
        match self {
            Self::Directory(directory) => Found::Run(directory.probe(key)),
            Self::Index(relation, index) => {
                let probe = with_slice(key, |key| relation.rows.probe(*index, key));
                Found::Rows(&relation.rows, probe)
            }
            Self::Row(_) => Found::Nothing(self.has(key)),
        }
    }

    /// Whether a key has a row.
    #[inline]
    pub(super) fn has(&self, key: impl Iterator<Item = Value> + Clone) -> bool {
        match self {
            Self::Directory(directory) => directory.has(key),
            Self::Index(relation, index) => with_slice(key, |key| relation.rows.probe(*index, key)).next().is_some(),
            Self::Row(relation) => with_slice(key, |key| relation.rows.find(key)).is_some(),
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        match self {
            Self::Directory(directory) => directory.n_rows(),
            Self::Index(relation, _) | Self::Row(relation) => relation.rows.len() as usize,
        }
    }

    pub(super) fn n_keys(&self) -> usize {
        match self {
            Self::Directory(directory) => directory.n_keys(),
            Self::Index(relation, index) => relation.rows.n_keys(*index),
            Self::Row(relation) => relation.rows.len() as usize,
        }
    }

    /// The most rows that a key has, or more than most have.
    pub(super) fn n_most(&self) -> usize {
        match self {
            Self::Directory(directory) => directory.n_most(),
            Self::Index(relation, index) => relation.rows.len() as usize / relation.rows.n_keys(*index).max(1) + 1,
            Self::Row(_) => 1,
        }
    }
}

/// Relations have few columns, and a key seldom more than these.
const COLUMNS: usize = 8;

#[inline]
fn with_slice<R>(key: impl Iterator<Item = Value> + Clone, take: impl FnOnce(&[Value]) -> R) -> R {
    let (mut cells, mut n) = ([Value::FALSE; COLUMNS], 0);
    for (cell, value) in cells.iter_mut().zip(key.clone()) {
        *cell = value;
        n += 1;
    }
    match cells.get(..n).filter(|_| n < COLUMNS) {
        Some(cells) => take(cells),
        None => take(&key.collect::<Vec<_>>()),
    }
}

/// The rows of a key.
#[derive(Debug)]
pub(super) enum Found<'d> {
    Run(Run<'d>),
    Rows(&'d Table, Probe<'d>),
    /// A row that has nothing but the key, if there is one.
    Nothing(bool),
}

impl<'d> Iterator for Found<'d> {
    type Item = &'d [Value];

    #[inline]
    fn next(&mut self) -> Option<&'d [Value]> {
        match self {
            Self::Run(run) => run.next(),
            Self::Rows(table, probe) => probe.next().map(|id| table.row(id)),
            Self::Nothing(is_there) => std::mem::take(is_there).then_some(&[]),
        }
    }
}
