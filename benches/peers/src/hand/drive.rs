//! A drive: whoever owns or edits views, and all of it goes down the folders.

use rustc_hash::FxHashSet;

use crate::data::{Question, Tables};

use super::{Adjacency, Answers, adjacency, close, key, keys, of, set};

pub struct Drive {
    member: Adjacency,
    supergroup: Adjacency,
    folder: Adjacency,
    /// Object and user, of all three roles.
    by_user: FxHashSet<u64>,
    by_group: [Adjacency; 2],
    public: FxHashSet<u32>,
    // Scratch.
    objects: Vec<u32>,
    groups: Vec<u32>,
}

impl Drive {
    pub fn new(given: &Tables) -> Self {
        let users = ["owner", "editor_user", "viewer_user"].into_iter().flat_map(|name| given.rows(name));
        Self {
            member: adjacency(given, "member"),
            supergroup: adjacency(given, "subgroup"),
            folder: adjacency(given, "within"),
            by_user: keys(users),
            by_group: ["editor_group", "viewer_group"].map(|name| adjacency(given, name)),
            public: set(given, "public"),
            objects: Vec::new(),
            groups: Vec::new(),
        }
    }
}

impl Answers for Drive {
    fn may(&mut self, Question { who, what, .. }: Question) -> bool {
        self.objects.clear();
        self.objects.push(what);
        close(&mut self.objects, &self.folder);
        let is_open = |object: &u32| self.public.contains(object) || self.by_user.contains(&key(*object, who));
        if self.objects.iter().any(is_open) {
            return true;
        }
        self.groups.clear();
        self.groups.extend_from_slice(of(&self.member, who));
        close(&mut self.groups, &self.supergroup);
        let is_shared = |object: &u32| {
            self.by_group.iter().any(|by_group| of(by_group, *object).iter().any(|group| self.groups.contains(group)))
        };
        self.objects.iter().any(is_shared)
    }
}
