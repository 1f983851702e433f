//! Applications of a million rows or two: repositories, a drive, roles of a cloud, and users by the million.

use std::collections::HashMap;

use crate::random::Random;

use super::{
    Data, Question, Size, Tables,
    authz::{N_QUESTIONS, above},
    distinct,
};

/// A part of what there is of the full size.
fn share(size: Size) -> Result<impl Fn(u32) -> u32, String> {
    let part = match size {
        Size::S => 500,
        Size::M => 50,
        Size::Million => 1,
        _ => return Err("this data has the sizes s, m and 1M".to_owned()),
    };
    Ok(move |n: u32| n / part)
}

/// Users in groups, groups in groups.
fn groups(tables: &mut Tables, [member, nested]: [&str; 2], n_users: u32, n_groups: u32, random: &mut Random) {
    let members = distinct((0..3 * n_users).map(|_| [random.below(n_users), random.below(n_groups)]));
    tables.add(member, members);
    let subs: Vec<u32> = (1..n_groups).filter(|_| random.chance(0.7)).collect();
    tables.add(nested, subs.into_iter().map(|sub| [sub, above(sub, sub / 4, random)]));
}

/// `n` pairs, each once.
fn pairs(n: u32, mut pair: impl FnMut() -> [u32; 2]) -> Vec<[u32; 2]> {
    distinct((0..n).map(|_| pair()))
}

/// Half of the questions from one source, half from the other.
fn questions(
    random: &mut Random,
    mut at_random: impl FnMut(&mut Random) -> [u32; 3],
    mut near: impl FnMut(&mut Random) -> [u32; 3],
) -> Vec<Question> {
    let ask = |n| {
        let [who, action, what] = if n % 2 == 1 { at_random(random) } else { near(random) };
        Question { who, action, what }
    };
    (0..N_QUESTIONS).map(ask).collect()
}

/// Repositories of organisations. Roles are 0 (read) to 4 (admin), and each includes the one before it; an action needs a role.
pub fn github(size: Size, random: &mut Random) -> Result<Data, String> {
    const N_ROLES: u32 = 5;
    const N_ACTIONS: u32 = 15;
    let share = share(size)?;
    let [n_users, n_teams, n_organizations, n_repositories] =
        [share(100_000), share(10_000), share(1_000), share(200_000)];
    let mut data = Data::default();
    let tables = &mut data.tables;
    groups(tables, ["team_member", "subteam"], n_users, n_teams, random);
    let organization: Vec<u32> = (0..n_repositories).map(|_| random.below(n_organizations)).collect();
    tables.add("repository_of", (0..).zip(&organization).map(|(repository, of)| [repository, *of]));
    let members = pairs(n_users * 8 / 5, || [random.below(n_organizations), random.below(n_users)]);
    tables.add("organization_member", members.iter().copied());
    let has_base: Vec<u32> = (0..n_organizations).filter(|_| random.chance(0.6)).collect();
    tables.add("base_role", has_base.into_iter().map(|organization| [organization, random.below(2)]));
    let by_team =
        (0..n_repositories).map(|_| [random.below(n_repositories), random.below(N_ROLES), random.below(n_teams)]);
    tables.add("grant_team", distinct(by_team));
    let by_user =
        (0..n_repositories / 2).map(|_| [random.below(n_repositories), random.below(N_ROLES), random.below(n_users)]);
    let by_user = distinct(by_user);
    tables.add("grant_user", by_user.iter().copied());
    tables.add("role_includes", (1..N_ROLES).map(|role| [role, role - 1]));
    tables.add("needs", (0..N_ACTIONS).map(|action| [action, action % N_ROLES]));
    // Whatever needs more than to read changes something.
    tables.add("changes", (0..N_ACTIONS).filter(|action| action % N_ROLES != 0).map(|action| [action]));
    tables.add(
        "archived",
        pairs(n_repositories / 10, || [random.below(n_repositories), 0]).into_iter().map(|[r, _]| [r]),
    );
    data.questions = questions(
        random,
        |random| [random.below(n_users), random.below(N_ACTIONS), random.below(n_repositories)],
        |random| {
            let [repository, role, user] = random.pick(&by_user);
            [user, random.below(3) * N_ROLES + random.below(role + 1), repository]
        },
    );
    Ok(data)
}

/// Owners, editors and viewers of folders and files; folders from 0, files after them. The action is 0, to view.
pub fn drive(size: Size, random: &mut Random) -> Result<Data, String> {
    let share = share(size)?;
    let [n_users, n_groups, n_folders, n_files] = [share(100_000), share(10_000), share(50_000), share(400_000)];
    let n_objects = n_folders + n_files;
    let mut data = Data::default();
    let tables = &mut data.tables;
    groups(tables, ["member", "subgroup"], n_users, n_groups, random);
    let folders = (1..n_folders).map(|f| [f, above(f, (f / 4).saturating_sub(1), random)]);
    let mut within: Vec<_> = folders.collect();
    within.extend((n_folders..n_objects).map(|file| [file, random.below(n_folders)]));
    tables.add("within", within);
    // Grants stand on folders, too, but not near the root.
    let object = |random: &mut Random| random.within(n_folders / 20, n_objects);
    let group = |random: &mut Random| random.within(n_groups / 10, n_groups);
    tables.add("owner", pairs(share(250_000), || [object(random), random.below(n_users)]));
    tables.add("editor_user", pairs(share(60_000), || [object(random), random.below(n_users)]));
    tables.add("editor_group", pairs(share(60_000), || [object(random), group(random)]));
    let viewers = pairs(share(80_000), || [object(random), random.below(n_users)]);
    tables.add("viewer_user", viewers.iter().copied());
    tables.add("viewer_group", pairs(share(60_000), || [object(random), group(random)]));
    tables.add("public", pairs(share(2_000), || [object(random), 0]).into_iter().map(|[object, _]| [object]));
    data.questions = questions(
        random,
        |random| [random.below(n_users), 0, random.within(n_folders, n_objects)],
        |random| {
            let [object, user] = random.pick(&viewers);
            [user, 0, object]
        },
    );
    Ok(data)
}

/// Roles that assume roles, statements about groups of actions on a tree of resources, denials among them.
pub fn iam(size: Size, random: &mut Random) -> Result<Data, String> {
    const N_ACTIONS: u32 = 200;
    const N_ACTION_GROUPS: u32 = 40;
    let share = share(size)?;
    let [n_users, n_roles, n_resources] = [share(200_000), share(20_000), share(500_000)];
    let mut data = Data::default();
    let tables = &mut data.tables;
    let assumes = pairs(2 * n_users, || [random.below(n_users), random.below(n_roles)]);
    tables.add("assumes", assumes.iter().copied());
    // From the higher number to the lower, and few: chains are short.
    let chains = (1..n_roles).filter(|_| random.chance(0.6)).collect::<Vec<_>>();
    tables.add("chains_to", chains.into_iter().map(|role| [role, random.below(role)]));
    let action_in =
        distinct((0..3 * N_ACTIONS).map(|n| [n % N_ACTIONS, random.within(N_ACTION_GROUPS / 4, N_ACTION_GROUPS)]));
    tables.add("action_in", action_in.iter().copied());
    tables.add("group_in", (1..N_ACTION_GROUPS).map(|group| [group, above(group, group / 4, random)]));
    tables.add("within", (1..n_resources).map(|r| [r, above(r, (r / 4).saturating_sub(1), random)]));
    let statement = |random: &mut Random| {
        [random.below(n_roles), random.below(N_ACTION_GROUPS), random.within(n_resources / 100, n_resources)]
    };
    let allow = distinct((0..share(320_000)).map(|_| statement(random)));
    tables.add("allow", allow.iter().copied());
    tables.add("deny", distinct((0..share(50_000)).map(|_| statement(random))));

    // Somebody who assumes a role, and an action that is in a group.
    let users: HashMap<u32, u32> = assumes.iter().map(|[user, role]| (*role, *user)).collect();
    let actions: HashMap<u32, u32> = action_in.iter().map(|[action, group]| (*group, *action)).collect();
    data.questions = questions(
        random,
        |random| [random.below(n_users), random.below(N_ACTIONS), random.below(n_resources)],
        |random| {
            let [role, group, resource] = random.pick(&allow);
            [users.get(&role).copied().unwrap_or(0), actions.get(&group).copied().unwrap_or(0), resource]
        },
    );
    Ok(data)
}

/// A million users in two groups each, and what groups may do.
pub fn users(size: Size, random: &mut Random) -> Result<Data, String> {
    const N_ACTIONS: u32 = 4;
    const N_GROUPS: u32 = 1_000;
    let share = share(size)?;
    let [n_users, n_objects] = [share(1_000_000), share(50_000)];
    let mut data = Data::default();
    let member = distinct((0..2 * n_users).map(|n| [n / 2, random.below(N_GROUPS)]));
    let grants = distinct(
        (0..share(100_000)).map(|_| [random.below(N_GROUPS), random.below(N_ACTIONS), random.below(n_objects)]),
    );
    let of_group: HashMap<u32, u32> = member.iter().map(|[user, group]| (*group, *user)).collect();
    data.questions = questions(
        random,
        |random| [random.below(n_users), random.below(N_ACTIONS), random.below(n_objects)],
        |random| {
            let [group, action, object] = random.pick(&grants);
            [of_group.get(&group).copied().unwrap_or(0), action, object]
        },
    );
    data.tables.add("member", member);
    data.tables.add("grant", grants);
    Ok(data)
}
