//! The entities that facts name.

use std::collections::BTreeMap;

use crate::base::{Symbol, Value};

/// Known entities.
#[derive(Debug, Default)]
pub struct Known {
    /// Those of each type.
    pub by_type: BTreeMap<Symbol, Vec<Value>>,
    /// A bit for each value that the program holds, as far as any is known, and for each that is live.
    all: [Vec<u64>; 2],
}

impl Known {
    /// Whether an entity is known.
    #[must_use]
    pub fn has(&self, entity: Value) -> bool {
        let (word, bit) = Self::place(entity);
        let [stored, live] = &self.all;
        let words = if entity.is_live() { live } else { stored };
        !entity.is_local() && words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Adds an entity, and says whether it is new. What a request brings along is not known.
    pub(super) fn insert(&mut self, entity: Value) -> bool {
        if entity.is_local() {
            return false;
        }
        let (word, bit) = Self::place(entity);
        let [stored, live] = &mut self.all;
        let words = if entity.is_live() { live } else { stored };
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words.get_mut(word).is_some_and(|word| std::mem::replace(word, *word | bit) & bit == 0)
    }

    /// The word and the bit of a value among those of its kind.
    fn place(entity: Value) -> (usize, u64) {
        let at = entity.place();
        (at / 64, 1 << (at % 64))
    }
}
