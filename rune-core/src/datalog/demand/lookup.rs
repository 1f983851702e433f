//! The ways in which rows of one view of the facts are found.
//!
//! | rows | by |
//! |---|---|
//! | by all columns | the table itself |
//! | of one column, and many of the values that there are | a bit for each value |
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
    /// Whether rows are to come whole, as those of an index do.
    pub(super) is_whole: bool,
}

/// Finds rows by some of their columns, in one view of the facts.
#[derive(Debug, Clone)]
pub(super) enum Lookup {
    Directory(Arc<Directory>),
    Index(Arc<Relation>, IndexId),
    Row(Arc<Relation>),
    Bits(Arc<Bits>),
}

/// Which values have a row, of a relation of one column.
#[derive(Debug)]
pub(super) struct Bits {
    /// What the first bit stands for.
    first: u32,
    words: Box<[u64]>,
    n_rows: usize,
}

/// Bits that a row may take, besides the one that stands for it: as many as it takes where rows are found by their hash.
const BITS_MAX: usize = 64;

impl Bits {
    /// The rows of a table of one column, if they are close enough to one another.
    fn of(rows: &Table) -> Option<Self> {
        let values = || rows.rows().filter_map(|row| row.first()).map(|value| value.bits());
        let (first, last) = (values().min()?, values().max()?);
        let (n_rows, n_bits) = (rows.len() as usize, (last - first) as usize + 1);
        if n_rows * BITS_MAX < n_bits {
            return None;
        }
        let mut bits = Self { first, words: vec![0; n_bits / 64 + 1].into(), n_rows };
        for value in values() {
            let (word, bit) = bits.place(value);
            if let Some(word) = bits.words.get_mut(word) {
                *word |= bit;
            }
        }
        Some(bits)
    }

    #[inline]
    fn place(&self, value: u32) -> (usize, u64) {
        let at = value.wrapping_sub(self.first);
        (at as usize / 64, 1 << (at % 64))
    }

    #[inline]
    fn has(&self, mut key: impl Iterator<Item = Value>) -> bool {
        let place = key.next().map(|value| self.place(value.bits()));
        place.is_some_and(|(word, bit)| self.words.get(word).is_some_and(|word| word & bit != 0))
    }
}

impl Lookup {
    pub(super) fn of(wanted: &Wanted, store: &impl Store, arity: usize) -> Self {
        let Wanted { id, columns, is_whole } = wanted;
        let Some(relation) = store.share(*id) else {
            return Self::Directory(Arc::new(Directory::of(&Table::default(), arity, columns, false)));
        };
        let index = if *is_whole && relation.rows.is_shared() { relation.rows.find_index(columns) } else { None };
        let bits = if [columns.len(), arity] == [1, 1] && !relation.rows.is_shared() {
            Bits::of(&relation.rows)
        } else {
            None
        };
        match index {
            _ if let Some(bits) = bits => Self::Bits(Arc::new(bits)),
            _ if columns.len() == arity => Self::Row(relation),
            Some(index) => Self::Index(relation, index),
            None => Self::Directory(Arc::new(Directory::of(&relation.rows, arity, columns, *is_whole))),
        }
    }

    /// The columns that a row which is found has: those of `arity` that are not the key, or all.
    pub(super) fn columns(&self, arity: usize, key: &[usize]) -> Vec<usize> {
        match self {
            Self::Directory(directory) => directory.columns(arity, key),
            Self::Index(..) => (0..arity).collect(),
            Self::Row(_) | Self::Bits(_) => Vec::new(),
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
            Self::Row(_) | Self::Bits(_) => Found::Nothing(self.has(key)),
        }
    }

    /// Whether a key has a row.
    #[inline]
    pub(super) fn has(&self, key: impl Iterator<Item = Value> + Clone) -> bool {
        match self {
            Self::Directory(directory) => directory.has(key),
            Self::Index(relation, index) => with_slice(key, |key| relation.rows.probe(*index, key)).next().is_some(),
            Self::Row(relation) => with_slice(key, |key| relation.rows.find(key)).is_some(),
            Self::Bits(bits) => bits.has(key),
        }
    }

    /// Reads what asking for these keys will read. The columns of each follow those of the one before.
    pub(super) fn touch(&self, keys: &[Value], width: usize) {
        match self {
            Self::Directory(directory) => directory.touch(keys.chunks_exact(width.max(1))),
            // Where it is nothing here knows, or it is at hand.
            Self::Index(..) | Self::Bits(_) => {}
            Self::Row(relation) => relation.rows.find_all(keys, |_| ()),
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        match self {
            Self::Directory(directory) => directory.n_rows(),
            Self::Index(relation, _) | Self::Row(relation) => relation.rows.len() as usize,
            Self::Bits(bits) => bits.n_rows,
        }
    }

    pub(super) fn n_keys(&self) -> usize {
        match self {
            Self::Directory(directory) => directory.n_keys(),
            Self::Index(relation, index) => relation.rows.n_keys(*index),
            Self::Row(relation) => relation.rows.len() as usize,
            Self::Bits(bits) => bits.n_rows,
        }
    }

    /// The most rows that a key has, or more than most have.
    pub(super) fn n_most(&self) -> usize {
        match self {
            Self::Directory(directory) => directory.n_most(),
            Self::Index(relation, index) => relation.rows.len() as usize / relation.rows.n_keys(*index).max(1) + 1,
            Self::Row(_) | Self::Bits(_) => 1,
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
