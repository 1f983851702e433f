//! Live facts: `cargo bench --bench live [NAME…]`, `RUNE_SCALE` times as large (a whole number, 1 by default).
//!
//! | name | what |
//! |---|---|
//! | change | one fact changed among many, until decisions see it |
//! | reload | other rules while a million rows are live |
//! | users | a million users that come and go, and what one takes |
//! | closure | one edge of a closure that is kept derived, deleted and put back |
//! | cut | an edge in the middle of a chain whose closure is kept derived: half of all pairs go and come |
//! | churn | ten million distinct strings that come and go, and the memory that stays |
//!
//! Each counts what there is at the end and asks again, so that a figure is one of right answers.

#![expect(clippy::disallowed_methods, reason = "it takes times and reads its environment")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark tells what it saw"
)]

use std::{
    env, fs,
    time::{Duration, Instant},
};

use rune_core::{Batch, Engine, EntityRef, Node, Options, Program, Request, Sources};

/// The rules of `bench/datalog/programs/authz.dl` with every relation live.
const AUTHZ: &str = r#"
version = "rune/1.0"
[rules]
@live relation member(User, Group).
@live relation subgroup(Group, Group).
@live relation parent_of(Document | Folder, Folder).
@live relation grant_user(User, Document | Folder).
@live relation grant_group(Group, Document | Folder).
@live relation deny(User, Document | Folder).
in_group(U, G) :- member(U, G).
in_group(U, G) :- in_group(U, H), subgroup(H, G).
below(D, F) :- parent_of(D, F).
below(D, F) :- below(D, E), parent_of(E, F).
may(U, D) :- grant_user(U, D).
may(U, D) :- in_group(U, G), grant_group(G, D).
may(U, D) :- below(D, F), grant_user(U, F).
may(U, D) :- below(D, F), in_group(U, G), grant_group(G, F).
no(U, D) :- deny(U, D).
no(U, D) :- below(D, F), deny(U, F).
@id("read") permit(U, Action::"read", D) :- may(U, D), not no(U, D).
"#;

const USERS: &str = r#"
version = "rune/1.0"
[schema]
@live entity Group in [Group];
@live entity User in [Group] { level: Long, email: String };
entity Document;
action read, write appliesTo { principal: [User], resource: [Document] };
[policies]
@id("level") permit (principal, action == Action::"read", resource) when { principal.level > 2 };
@id("group") permit (principal in Group::"top", action == Action::"write", resource);
"#;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

fn main() {
    let names: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let scale = env::var("RUNE_SCALE").ok().map_or(1, |text| text.parse().expect("a number"));
    run(&names, scale);
}

/// Those of these names; without any, all.
pub(crate) fn run(names: &[String], scale: u64) {
    let benches: [fn(u64); 6] = [change, reload, users, closure, cut, churn];
    for (name, bench) in ["change", "reload", "users", "closure", "cut", "churn"].into_iter().zip(benches) {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            bench(scale);
        }
    }
}

fn engine(text: &str) -> Engine {
    Engine::new(Program::build(Sources::single("a.rune", text), Options::default()).expect("it is right"))
}

fn entity(kind: &str, id: impl ToString) -> EntityRef {
    EntityRef::new(kind, id.to_string())
}

fn show(name: &str, took: &mut [Duration]) {
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 1_000].as_secs_f64() * 1e6;
    println!("{name}: p50 {:.1} us, p99 {:.1} us, max {:.1} us of {}", at(500), at(990), at(1_000), took.len());
}

/// Resident memory, in MB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// A random row of one of the relations of [`AUTHZ`], as many in all as a million of them are like.
fn authz_row(random: &mut Random, n: u64) -> (&'static str, [EntityRef; 2]) {
    let (users, groups, documents, folders) = (n / 10, n / 100, n / 4, n / 40);
    let user = entity("User", random.below(users));
    let group = |random: &mut Random| entity("Group", random.below(groups));
    let what = |random: &mut Random| match random.below(4) {
        0 => entity("Folder", random.below(folders)),
        _ => entity("Document", random.below(documents)),
    };
    match random.below(100) {
        0..44 => ("member", [user, group(random)]),
        // About one for each group: most have a few above them.
        44 => {
            let low = 1 + random.below(groups - 1);
            ("subgroup", [entity("Group", low), entity("Group", random.below(low))])
        }
        45..75 => {
            let folder = entity("Folder", random.below(folders));
            ("parent_of", [entity("Document", random.below(documents)), folder])
        }
        75..90 => ("grant_user", [user, what(random)]),
        90..95 => ("grant_group", [group(random), what(random)]),
        _ => ("deny", [user, what(random)]),
    }
}

/// So many rows of [`AUTHZ`], in batches of so many.
fn fill(engine: &Engine, random: &mut Random, (n, n_batch): (u64, u64)) {
    let mut took = Duration::ZERO;
    for _ in 0..n / n_batch {
        let batch = (0..n_batch).fold(Batch::default(), |batch, _| {
            let (relation, row) = authz_row(random, n);
            batch.insert(relation, row.map(Node::from))
        });
        let begun = Instant::now();
        engine.facts().apply(&batch).expect("it fits");
        took += begun.elapsed();
    }
    let (counts, seconds) = (engine.facts().counts(), took.as_secs_f64());
    println!(
        "{} rows applied in batches of {n_batch} in {seconds:.1} s, {} values, {} MB",
        counts.rows,
        counts.values,
        resident()
    );
}

fn change(scale: u64) {
    let n = 1_000_000 * scale;
    let engine = engine(AUTHZ);
    let mut random = Random(1);
    fill(&engine, &mut random, (n, n / 100));
    let (mut applied, mut decided, mut seen) = (Vec::new(), Vec::new(), 0);
    for at in 0..20_000 {
        let user = entity("User", random.below(n / 10));
        let document = entity("Document", random.below(n / 4));
        let row = || [user.clone(), document.clone()].map(Node::from);
        let request = Request::new(user.clone(), entity("Action", "read"), document.clone());
        let before = engine.decide(&request).is_allowed();
        let batch = Batch::default().insert("grant_user", row()).delete("deny", row());
        let begun = Instant::now();
        engine.facts().apply(&batch).expect("it fits");
        applied.push(begun.elapsed());
        let begun = Instant::now();
        let after = engine.decide(&request).is_allowed();
        decided.push(begun.elapsed());
        seen += u64::from(before != after);
        if at % 2 == 0 {
            let batch = Batch::default().delete("grant_user", row());
            let begun = Instant::now();
            engine.facts().apply(&batch).expect("it fits");
            applied.push(begun.elapsed());
            assert_eq!(engine.decide(&request).is_allowed(), before, "{request:?}");
        }
    }
    println!("change: {seen} of 20000 grants changed a decision");
    assert!(15_000 < seen, "most users may not read most documents before they are granted that");
    show("change: a fact, until decisions see it", &mut applied);
    show("change: the decision after it", &mut decided);
}

fn reload(scale: u64) {
    let n = 1_000_000 * scale;
    let engine = engine(AUTHZ);
    let mut random = Random(1);
    fill(&engine, &mut random, (n, n.min(1_000_000)));
    let other = "\n@id(\"admin\") permit(User::\"0\", Action::\"read\", D) :- below(D, Folder::\"0\").";
    let rows = engine.facts().counts().rows;
    let mut took = Vec::new();
    for at in 0..6 {
        let text = format!("{AUTHZ}{}", if at % 2 == 0 { other } else { "" });
        let begun = Instant::now();
        let served = engine.lineup();
        let program = served.stable().build_next(Sources::single("a.rune", &text), Options::default());
        let program = program.expect("it is right");
        engine.swap(program).map(drop).expect("it has a place for all");
        took.push(begun.elapsed());
        assert!(rows <= engine.facts().counts().rows, "all are carried over");
        let (user, document) = (entity("User", random.below(n / 10)), entity("Document", random.below(n / 4)));
        let batch = Batch::default().insert("grant_user", [user.clone(), document.clone()].map(Node::from));
        engine.facts().apply(&batch.delete("deny", [user.clone(), document.clone()].map(Node::from))).expect("it fits");
    }
    show("reload: other rules, until they are in force", &mut took);
}

fn user(id: u64, groups: &[u64], level: u64) -> Node {
    let above: Vec<String> = groups.iter().map(|g| format!(r#"{{"type":"Group","id":"g{g}"}}"#)).collect();
    let text = format!(
        r#"{{"uid":{{"type":"User","id":"u{id}"}},"attrs":{{"level":{level},"email":"u{id}@example.com"}},"parents":[{}]}}"#,
        above.join(",")
    );
    text.parse().expect("JSON")
}

fn users(scale: u64) {
    let n = 1_000_000 * scale;
    let engine = engine(USERS);
    let mut random = Random(2);
    let group = |g: u64| {
        let above = if g < 10 { "top".to_owned() } else { format!("g{}", g / 10) };
        let text = format!(
            r#"{{"uid":{{"type":"Group","id":"g{g}"}},"attrs":{{}},"parents":[{{"type":"Group","id":"{above}"}}]}}"#
        );
        text.parse::<Node>().expect("JSON")
    };
    let batch = (0..1_000).fold(Batch::default(), |batch, g| batch.put(group(g)));
    engine.facts().apply(&batch).expect("it fits");
    let mut took = Duration::ZERO;
    for first in (0..n).step_by(10_000) {
        let batch = (first..first + 10_000).fold(Batch::default(), |batch, id| {
            batch.put(user(id, &[random.below(1_000), random.below(1_000)], id % 5))
        });
        let begun = Instant::now();
        engine.facts().apply(&batch).expect("it fits");
        took += begun.elapsed();
    }
    let (counts, seconds) = (engine.facts().counts(), took.as_secs_f64());
    assert_eq!(counts.entities, n + 1_000);
    println!("users: {n} applied in {seconds:.1} s, {} values, {} MB", counts.values, resident());
    let mut applied = Vec::new();
    for _ in 0..5_000 {
        let id = random.below(n);
        let request =
            Request::new(entity("User", format!("u{id}")), entity("Action", "write"), entity("Document", "d"));
        for (groups, is_allowed) in [(&[][..], false), (&[7, 77], true)] {
            let batch = Batch::default().put(user(id, groups, id % 5));
            let begun = Instant::now();
            engine.facts().apply(&batch).expect("it fits");
            let decision = engine.decide(&request);
            applied.push(begun.elapsed());
            assert_eq!(decision.is_allowed(), is_allowed, "{request:?}");
        }
    }
    show("users: one user's groups, to the next answer", &mut applied);
}

/// How far up an edge of the closure goes at most, of as many places as there are users.
const WINDOW: u64 = 2_000;

const PATHS: &str = r#"
version = "rune/1.0"
[rules]
@live relation edge(User, User).
@materialize relation path(User, User).
path(U, V) :- edge(U, V).
path(U, W) :- path(U, V), edge(V, W).
@id("p") permit(U, _, V) :- path(U, V).
"#;

fn closure(scale: u64) {
    let engine = engine(PATHS);
    let (n, mut random) = (20_000 * scale, Random(3));
    let user = |at: u64| entity("User", at);
    // Edges go up, and not far: most have a few hundred above them.
    let mut edge = || {
        let low = random.below(n - 1);
        [user(low), user((low + 1 + random.below(WINDOW)).min(n - 1))]
    };
    let edges: Vec<[EntityRef; 2]> = (0..n + 3 * n / 10).map(|_| edge()).collect();
    let batch = edges.iter().fold(Batch::default(), |batch, row| batch.insert("edge", row.clone().map(Node::from)));
    let begun = Instant::now();
    engine.facts().apply(&batch).expect("it fits");
    let rows = || engine.query("N = count { U, V : path(U, V) }", None).expect("a query").rows;
    let before = rows();
    println!("closure: {} pairs of {} edges in {:.1} s", before[0][0], edges.len(), begun.elapsed().as_secs_f64());
    let (mut deleted, mut inserted) = (Vec::new(), Vec::new());
    for at in 0..400 {
        let row = || edges[at * edges.len() / 400].clone().map(Node::from);
        for (batch, took) in [
            (Batch::default().delete("edge", row()), &mut deleted),
            (Batch::default().insert("edge", row()), &mut inserted),
        ] {
            let begun = Instant::now();
            engine.facts().apply(&batch).expect("it fits");
            took.push(begun.elapsed());
        }
    }
    assert_eq!(rows(), before, "what was deleted and put back is what there was");
    show("closure: an edge deleted", &mut deleted);
    show("closure: an edge inserted", &mut inserted);
}

fn cut(scale: u64) {
    let n = 1_500 * scale;
    let edge = |at: u64| [entity("User", at), entity("User", at + 1)].map(Node::from);
    let (mut anew, mut deleted, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let engine = engine(PATHS);
        let pairs = || engine.query("N = count { U, V : path(U, V) }", None).expect("a query").rows[0][0].to_string();
        let all = (0..n).fold(Batch::default(), |batch, at| batch.insert("edge", edge(at)));
        let (delete, insert) =
            (Batch::default().delete("edge", edge(n / 2)), Batch::default().insert("edge", edge(n / 2)));
        let n_pairs = [n * (n + 1) / 2, n * (n + 1) / 2 - (n / 2 + 1) * (n - n / 2), n * (n + 1) / 2];
        for ((batch, took), n_pairs) in
            [(all, &mut anew), (delete, &mut deleted), (insert, &mut inserted)].into_iter().zip(n_pairs)
        {
            let begun = Instant::now();
            engine.facts().apply(&batch).expect("it fits");
            took.push(begun.elapsed());
            assert_eq!(pairs(), n_pairs.to_string());
        }
    }
    println!("cut: {} pairs of a chain", n * (n + 1) / 2);
    show("cut: all of them derived", &mut anew);
    show("cut: half of them deleted", &mut deleted);
    show("cut: and put back", &mut inserted);
}

fn churn(scale: u64) {
    let (n, n_at_once) = (10_000_000 * scale, 10_000u64);
    let text = "version = \"rune/1.0\"\n[rules]\n@live relation session(User, String).\n\
                @id(\"s\") permit(U, _, _) :- session(U, _).";
    let engine = engine(text);
    let row = |at: u64| [entity("User", format!("user {at}")).into(), format!("session {at}").into()];
    let begun = Instant::now();
    let mut marks = Vec::new();
    for first in (0..n).step_by(1_000) {
        let batch = (first..first + 1_000).fold(Batch::default(), |batch, at| batch.insert("session", row(at)));
        let batch = match first.checked_sub(n_at_once) {
            Some(old) => (old..old + 1_000).fold(batch, |batch, at| batch.delete("session", row(at))),
            None => batch,
        };
        engine.facts().apply(&batch).expect("it fits");
        if first % (n / 5) == 0 && 0 < first {
            marks.push(resident());
        }
    }
    marks.push(resident());
    let (counts, seconds) = (engine.facts().counts(), begun.elapsed().as_secs_f64());
    println!(
        "churn: {} strings in {seconds:.1} s, {} values at the end, MB at each fifth: {marks:?}",
        2 * n,
        counts.values
    );
    assert_eq!(counts.rows, n_at_once);
    assert!(counts.values <= 4 * n_at_once, "what is gone is held: {counts:?}");
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    assert!(last < first + first / 4 + 16, "memory grows: {marks:?}");
}
