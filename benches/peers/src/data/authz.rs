//! Users in nested groups, documents in folders, roles that include others, denials that go down the tree.

use crate::random::Random;

use super::{Data, Question, Size, distinct};

/// Roles: each includes the one before it.
pub const VIEW: u32 = 0;
const COMMENT: u32 = 1;
const EDIT: u32 = 2;
const OWN: u32 = 3;

/// Users whom a denial at the root locks out of everything, in the skewed data.
const N_LOCKED_OUT: u32 = 20;
/// How many questions there are.
pub const N_QUESTIONS: u32 = 1_000;

/// Folders are numbered from 0, documents from `n_folders`; users and groups each from 0.
struct Scale {
    n_users: u32,
    n_groups: u32,
    n_folders: u32,
    n_documents: u32,
}

impl Scale {
    fn of(size: Size) -> Self {
        let [n_users, n_groups, n_folders, n_documents] = match size {
            Size::S => [200, 40, 100, 1_500],
            Size::M => [600, 100, 300, 5_000],
            Size::L => [1_500, 250, 600, 12_000],
            Size::Million => [100_000, 10_000, 50_000, 500_000],
            Size::TenMillion => [1_000_000, 100_000, 500_000, 5_000_000],
        };
        Self { n_users, n_groups, n_folders, n_documents }
    }
}

/// The data; skewed, every tenth question is asked by one who is denied the root.
pub fn authz(size: Size, is_skewed: bool) -> Data {
    let random = &mut Random::of(&format!("authz-{size}"));
    let Scale { n_users, n_groups, n_folders, n_documents } = Scale::of(size);
    let document = |random: &mut Random| n_folders + random.below(n_documents);
    let folder = |random: &mut Random| random.within(n_folders / 20, n_folders);
    let group = |random: &mut Random| random.within(n_groups / 10, n_groups);
    let mut data = Data::default();
    let tables = &mut data.tables;

    tables.add("member", distinct((0..3 * n_users).map(|_| [random.below(n_users), random.below(n_groups)])));
    let nested: Vec<u32> = (1..n_groups).filter(|_| random.chance(0.7)).collect();
    tables.add("subgroup", nested.into_iter().map(|sub| [sub, above(sub, sub / 4, random)]));

    let mut below: Vec<_> = (1..n_folders).map(|f| [f, above(f, (f / 4).saturating_sub(1), random)]).collect();
    below.extend((0..n_documents).map(|d| [n_folders + d, random.below(n_folders)]));
    tables.add("below", below);
    tables.add("doc", (0..n_documents).map(|d| [n_folders + d]));

    let mut by_group: Vec<_> =
        (0..n_folders / 2).map(|_| [folder(random), random.pick(&[VIEW, VIEW, EDIT, OWN]), group(random)]).collect();
    by_group.extend((0..n_documents / 10).map(|_| [document(random), VIEW, group(random)]));
    tables.add("grant_group", distinct(by_group));
    let mut by_user: Vec<_> = (0..n_documents / 4)
        .map(|_| [document(random), random.pick(&[VIEW, COMMENT, EDIT, OWN]), random.below(n_users)])
        .collect();
    by_user.extend((0..n_folders / 4).map(|_| [folder(random), random.pick(&[VIEW, EDIT]), random.below(n_users)]));
    let by_user = distinct(by_user);
    tables.add("grant_user", by_user.iter().copied());
    tables.add("role_includes", [[OWN, EDIT], [EDIT, COMMENT], [COMMENT, VIEW]]);

    let mut deny: Vec<_> = (0..n_documents / 50).map(|_| [random.below(n_users), document(random)]).collect();
    deny.extend((0..n_folders / 50).map(|_| [random.below(n_users), folder(random)]));
    let locked_out: Vec<u32> = (0..N_LOCKED_OUT).map(|_| random.below(n_users)).collect();
    if is_skewed {
        deny.extend(locked_out.iter().map(|user| [*user, 0]));
    }
    tables.add("deny", distinct(deny));
    tables.add("blocked", distinct((0..(n_users / 50).max(1)).map(|_| [random.below(n_users)])));

    // Half of them at random, half near a grant of the document itself.
    let direct: Vec<_> = by_user.into_iter().filter(|[what, ..]| n_folders <= *what).collect();
    data.questions = (0..N_QUESTIONS)
        .map(|n| {
            let (who, what) = if n % 2 == 1 {
                (random.below(n_users), document(random))
            } else {
                let [what, _, who] = random.pick(&direct);
                (who, what)
            };
            let who = if is_skewed && n % 10 == 9 { random.pick(&locked_out) } else { who };
            Question { who, action: VIEW, what }
        })
        .collect();
    data
}

/// Something above a node of a forest whose depth is about logarithmic.
pub fn above(node: u32, from: u32, random: &mut Random) -> u32 {
    if node == 1 { 0 } else { random.within(from, node / 2 + 1) }
}
