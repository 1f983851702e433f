//! Who may view which document: the question, and the two lists.

use rustc_hash::FxHashSet;

use crate::data::{Question, Tables};

use super::{Adjacency, Answers, adjacency, adjacent, close, key, keys, of, reach, reversed, set};

pub struct Authz {
    member: Adjacency,
    members: Adjacency,
    supergroup: Adjacency,
    subgroups: Adjacency,
    above: Adjacency,
    below: Adjacency,
    is_document: FxHashSet<u32>,
    is_denied: FxHashSet<u64>,
    denied: Adjacency,
    is_blocked: FxHashSet<u32>,
    /// Every role includes the right to view, so that any grant will do.
    groups_granted: Adjacency,
    users_granted: Adjacency,
    is_granted: FxHashSet<u64>,
    granted_to_group: Adjacency,
    granted_to_user: Adjacency,
    // Scratch.
    objects: Vec<u32>,
    groups: Vec<u32>,
    denied_objects: Vec<u32>,
    seen: FxHashSet<u32>,
    seen_denied: FxHashSet<u32>,
}

impl Authz {
    pub fn new(given: &Tables) -> Self {
        let by_group = || given.rows("grant_group").map(|[what, _, group]| [what, group]);
        let by_user = || given.rows("grant_user").map(|[what, _, user]| [what, user]);
        let swap = |[a, b]: [u32; 2]| [b, a];
        Self {
            member: adjacency(given, "member"),
            members: reversed(given, "member"),
            supergroup: adjacency(given, "subgroup"),
            subgroups: reversed(given, "subgroup"),
            above: adjacency(given, "below"),
            below: reversed(given, "below"),
            is_document: set(given, "doc"),
            is_denied: keys(given.rows("deny")),
            denied: adjacency(given, "deny"),
            is_blocked: set(given, "blocked"),
            groups_granted: adjacent(by_group()),
            users_granted: adjacent(by_user()),
            is_granted: keys(by_user().map(swap)),
            granted_to_group: adjacent(by_group().map(swap)),
            granted_to_user: adjacent(by_user().map(swap)),
            objects: Vec::new(),
            groups: Vec::new(),
            denied_objects: Vec::new(),
            seen: FxHashSet::default(),
            seen_denied: FxHashSet::default(),
        }
    }

    fn close_groups(&mut self, user: u32) {
        self.groups.clear();
        self.groups.extend_from_slice(of(&self.member, user));
        close(&mut self.groups, &self.supergroup);
    }

    fn close_objects(&mut self, document: u32) {
        self.objects.clear();
        self.objects.push(document);
        close(&mut self.objects, &self.above);
    }

    /// The documents that a user may view.
    pub fn documents(&mut self, user: u32, answer: &mut Vec<u32>) {
        answer.clear();
        if self.is_blocked.contains(&user) {
            return;
        }
        self.close_groups(user);
        self.objects.clear();
        self.objects.extend_from_slice(of(&self.granted_to_user, user));
        for group in &self.groups {
            self.objects.extend_from_slice(of(&self.granted_to_group, *group));
        }
        self.objects.sort_unstable();
        self.objects.dedup();
        reach(&mut self.objects, &mut self.seen, &self.below);
        self.denied_objects.clear();
        self.denied_objects.extend_from_slice(of(&self.denied, user));
        reach(&mut self.denied_objects, &mut self.seen_denied, &self.below);
        let is_in = |object: &&u32| self.is_document.contains(object) && !self.seen_denied.contains(object);
        answer.extend(self.objects.iter().filter(is_in));
    }

    /// Who may view a document.
    pub fn users(&mut self, document: u32, answer: &mut Vec<u32>) {
        answer.clear();
        if !self.is_document.contains(&document) {
            return;
        }
        self.close_objects(document);
        self.groups.clear();
        self.seen.clear();
        for object in &self.objects {
            self.groups.extend_from_slice(of(&self.groups_granted, *object));
        }
        self.groups.sort_unstable();
        self.groups.dedup();
        reach(&mut self.groups, &mut self.seen_denied, &self.subgroups);
        let by_groups = self.groups.iter().flat_map(|group| of(&self.members, *group));
        let by_objects = self.objects.iter().flat_map(|object| of(&self.users_granted, *object));
        for user in by_groups.chain(by_objects) {
            if self.seen.insert(*user) && !self.is_blocked.contains(user) {
                answer.push(*user);
            }
        }
        answer.retain(|user| !self.objects.iter().any(|object| self.is_denied.contains(&key(*user, *object))));
    }
}

impl Answers for Authz {
    fn may(&mut self, Question { who, what, .. }: Question) -> bool {
        if self.is_blocked.contains(&who) || !self.is_document.contains(&what) {
            return false;
        }
        self.close_objects(what);
        if self.objects.iter().any(|object| self.is_denied.contains(&key(who, *object))) {
            return false;
        }
        if self.objects.iter().any(|object| self.is_granted.contains(&key(who, *object))) {
            return true;
        }
        self.close_groups(who);
        let is_shared =
            |object: &u32| of(&self.groups_granted, *object).iter().any(|group| self.groups.contains(group));
        self.objects.iter().any(is_shared)
    }
}
