//! Roles as most have them: users in groups, groups that may do this to that.

use rustc_hash::FxHashSet;

use crate::data::{Question, Tables};

use super::{Adjacency, Answers, adjacency, of};

pub struct Users {
    member: Adjacency,
    /// Group, action and object.
    grants: FxHashSet<[u32; 3]>,
}

impl Users {
    pub fn new(given: &Tables) -> Self {
        Self { member: adjacency(given, "member"), grants: given.rows("grant").collect() }
    }
}

impl Answers for Users {
    fn may(&mut self, Question { who, action, what }: Question) -> bool {
        of(&self.member, who).iter().any(|group| self.grants.contains(&[*group, action, what]))
    }
}
