//! Repositories: a role by a grant, by a team or by the organisation.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::data::{Question, Tables};

use super::{Adjacency, Answers, adjacency, close, key, keys, of, set};

/// Who is granted what: (who, role), by repository.
type Grants = FxHashMap<u32, Vec<(u32, u32)>>;

pub struct GitHub {
    teams: Adjacency,
    parent_team: Adjacency,
    organization: FxHashMap<u32, u32>,
    is_member: FxHashSet<u64>,
    base_role: FxHashMap<u32, u32>,
    by_team: Grants,
    by_user: Grants,
    included: Adjacency,
    needs: FxHashMap<u32, u32>,
    changes: FxHashSet<u32>,
    archived: FxHashSet<u32>,
    // Scratch.
    in_teams: Vec<u32>,
    roles: Vec<u32>,
}

impl GitHub {
    pub fn new(given: &Tables) -> Self {
        let map = |name| given.rows(name).map(|[a, b]| (a, b)).collect();
        let grants = |name| {
            let mut grants = Grants::default();
            for [repository, role, who] in given.rows(name) {
                grants.entry(repository).or_default().push((who, role));
            }
            grants
        };
        Self {
            teams: adjacency(given, "team_member"),
            parent_team: adjacency(given, "subteam"),
            organization: map("repository_of"),
            is_member: keys(given.rows("organization_member")),
            base_role: map("base_role"),
            by_team: grants("grant_team"),
            by_user: grants("grant_user"),
            included: adjacency(given, "role_includes"),
            needs: map("needs"),
            changes: set(given, "changes"),
            archived: set(given, "archived"),
            in_teams: Vec::new(),
            roles: Vec::new(),
        }
    }
}

impl Answers for GitHub {
    fn may(&mut self, Question { who, action, what }: Question) -> bool {
        if self.archived.contains(&what) && self.changes.contains(&action) {
            return false;
        }
        let Some(needed) = self.needs.get(&action) else { return false };
        self.roles.clear();
        let by_user = self.by_user.get(&what).into_iter().flatten();
        self.roles.extend(by_user.filter(|(user, _)| *user == who).map(|(_, role)| *role));
        if let Some(organization) = self.organization.get(&what)
            && let Some(role) = self.base_role.get(organization)
            && self.is_member.contains(&key(*organization, who))
        {
            self.roles.push(*role);
        }
        if let Some(by_team) = self.by_team.get(&what) {
            self.in_teams.clear();
            self.in_teams.extend_from_slice(of(&self.teams, who));
            close(&mut self.in_teams, &self.parent_team);
            self.roles.extend(by_team.iter().filter(|(team, _)| self.in_teams.contains(team)).map(|(_, role)| *role));
        }
        close(&mut self.roles, &self.included);
        self.roles.contains(needed)
    }
}
