//! A cloud: from the user's roles to their statements, those about the action, and whether they are about something above.

use rustc_hash::FxHashMap;

use crate::data::{Question, Tables};

use super::{Adjacency, Answers, adjacency, close, of};

/// By role: a group of actions and a resource.
type Statements = FxHashMap<u32, Vec<(u32, u32)>>;

pub struct Iam {
    assumes: Adjacency,
    chains_to: Adjacency,
    groups_of_action: Adjacency,
    group_in: Adjacency,
    within: Adjacency,
    allow: Statements,
    deny: Statements,
    // Scratch.
    roles: Vec<u32>,
    groups: Vec<u32>,
    resources: Vec<u32>,
}

impl Iam {
    pub fn new(given: &Tables) -> Self {
        let statements = |name| {
            let mut statements = Statements::default();
            for [role, group, resource] in given.rows(name) {
                statements.entry(role).or_default().push((group, resource));
            }
            statements
        };
        Self {
            assumes: adjacency(given, "assumes"),
            chains_to: adjacency(given, "chains_to"),
            groups_of_action: adjacency(given, "action_in"),
            group_in: adjacency(given, "group_in"),
            within: adjacency(given, "within"),
            allow: statements("allow"),
            deny: statements("deny"),
            roles: Vec::new(),
            groups: Vec::new(),
            resources: Vec::new(),
        }
    }

    fn holds(&self, statements: &Statements) -> bool {
        let of_role = self.roles.iter().filter_map(|role| statements.get(role)).flatten();
        of_role.into_iter().any(|(group, resource)| self.groups.contains(group) && self.resources.contains(resource))
    }
}

impl Answers for Iam {
    fn may(&mut self, Question { who, action, what }: Question) -> bool {
        let start = |nodes: &mut Vec<u32>, from: &[u32], up| {
            nodes.clear();
            nodes.extend_from_slice(from);
            close(nodes, up);
        };
        start(&mut self.roles, of(&self.assumes, who), &self.chains_to);
        start(&mut self.groups, of(&self.groups_of_action, action), &self.group_in);
        start(&mut self.resources, &[what], &self.within);
        !self.holds(&self.deny) && self.holds(&self.allow)
    }
}
