//! Edits while decisions go on: every answer is the one that its version gives, every valid edit takes effect, and every
//! broken one is told with its place.
//!
//! Holds the invariants *one-pointer*, *all-or-nothing* and *last-good-stays, and is said*.

#![expect(clippy::disallowed_methods, reason = "the test writes files and waits")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is how a test reports"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rune_core::{Engine, EntityRef, File, Options, Program, Request, Sources};
use support::Server;

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

/// A multiple of the kinds of edits, so that the last one is valid.
const N_EDITS: usize = 23 * EDITS.len();
const N_READERS: usize = 3;

const USERS: [&str; 4] = ["ada", "bob", "eve", "guest"];
const ACTIONS: [&str; 2] = ["read", "write"];

const MAIN: &str = r#"version = "rune/1.0"

[schema]
entity Group;
entity User in [Group];
entity Document;
action read, write appliesTo { principal: [User], resource: [Document] };

[entities]
User.ada   = { in = ['Group::"eng"'] }
User.bob   = { in = ['Group::"eng"'] }
User.eve   = {}
"#;

/// The main file with one user in the group of the hour, and a policy for that group: whoever reads the users of one save by
/// the policy of another sees a user who may do nothing, or one who may do too much.
fn main(n: usize) -> String {
    let (user, group) = (["ada", "bob", "eve"][n % 3], format!("g{n}"));
    let moved = MAIN.lines().map(|line| match line.strip_prefix(&format!("User.{user}")) {
        Some(_) => format!("User.{user} = {{ in = ['Group::\"{group}\"'] }}\n"),
        None => format!("{line}\n"),
    });
    let entities: Vec<String> = moved.collect();
    format!(
        "{}\n[policies]\n@id(\"group\") permit (principal in Group::\"{group}\", action == Action::\"write\", resource);\n",
        entities.concat()
    )
}

/// The request that each number stands for: a user and an action.
fn probes() -> Vec<(&'static str, &'static str)> {
    USERS.iter().flat_map(|user| ACTIONS.iter().map(move |action| (*user, *action))).collect()
}

/// What the folder holds, and what each version of it answers.
struct World {
    root: PathBuf,
    files: BTreeMap<String, String>,
    /// Every set of files that was ever on the disk, for a while at least: what each probe is answered, if it is valid.
    answers: Arc<RwLock<HashMap<String, Vec<bool>>>>,
}

impl World {
    fn sources(files: &BTreeMap<String, String>) -> Sources {
        Sources::new(files.iter().map(|(path, text)| File::new(path.as_str(), text.as_bytes())).collect())
    }

    /// The version that these files are, after what it answers has been noted, and whether it is valid: decided by a fresh
    /// engine on the same bytes.
    fn note(&self, files: &BTreeMap<String, String>) -> (String, bool) {
        let sources = Self::sources(files);
        let version = sources.version().to_string();
        let Ok(program) = Program::build(sources, Options::default()) else { return (version, false) };
        let engine = Engine::new(program);
        let answer = |(user, action): (&str, &str)| {
            let entity = EntityRef::new;
            engine
                .decide(&Request::new(entity("User", user), entity("Action", action), entity("Document", "d")))
                .is_allowed()
        };
        self.answers.write().unwrap().insert(version.clone(), probes().into_iter().map(answer).collect());
        (version, true)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// A way in which a folder is changed.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Valid,
    Broken,
    LastForbidDeleted,
    FileRemoved,
    Revert,
    AddedInNewFolder,
    AtomicRename,
    TwoHalves,
    /// An entity and a policy that reads it, in one save: by halves it would answer as neither version does.
    EntityAndPolicy,
}

const EDITS: [Edit; 9] = [
    Edit::Valid,
    Edit::EntityAndPolicy,
    Edit::Broken,
    Edit::LastForbidDeleted,
    Edit::AtomicRename,
    Edit::TwoHalves,
    Edit::AddedInNewFolder,
    Edit::FileRemoved,
    Edit::Revert,
];

fn permits(n: usize) -> String {
    let user = USERS[n % USERS.len()];
    let action = ACTIONS[n / USERS.len() % ACTIONS.len()];
    format!(
        "// edit {n}\n@id(\"one\") permit (principal == User::\"{user}\", action == Action::\"{action}\", resource);\n\
         @id(\"eng\") permit (principal in Group::\"eng\", action == Action::\"read\", resource);\n"
    )
}

fn forbids(n: usize) -> String {
    format!("// edit {n}\n@id(\"no\") forbid (principal == User::\"{}\", action, resource);\n", USERS[n % USERS.len()])
}

/// Makes the `n`th edit and returns the files as they are to be from then on.
fn edit(world: &World, n: usize, kind: Edit, live: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut files = world.files.clone();
    let (path, text) = match kind {
        Edit::Valid => ("a.cedar", Some(permits(n))),
        Edit::Broken => ("b.cedar", Some(format!("{}\nforbid (principal, actoin, resource);\n", forbids(n)))),
        Edit::LastForbidDeleted => ("b.cedar", Some(format!("// edit {n}: nothing is forbidden\n"))),
        Edit::FileRemoved => (if files.contains_key("b.cedar") { "b.cedar" } else { "a.cedar" }, None),
        Edit::AddedInNewFolder => {
            let path = format!("team{n}/more/b.cedar");
            files.insert(path, forbids(n).replace("no\"", &format!("no{n}\"")));
            ("", None)
        }
        Edit::AtomicRename | Edit::TwoHalves => ("b.cedar", Some(forbids(n))),
        Edit::EntityAndPolicy => ("main.rune", Some(main(n))),
        Edit::Revert => {
            files.clone_from(live);
            ("", None)
        }
    };
    match text {
        Some(text) => files.insert(path.to_owned(), text),
        None => files.remove(path),
    };
    // What the disk holds in between counts as a version too: two files cannot change at one time.
    let (_, _) = world.note(&files);
    let mut between = world.files.clone();
    let changed = world.files.keys().chain(files.keys()).cloned().collect::<std::collections::BTreeSet<_>>();
    for path in changed {
        match (between.get(&path), files.get(&path)) {
            (before, after) if before == after => continue,
            (_, Some(text)) => write(world, &path, text, kind, n, &between),
            (_, None) => fs::remove_file(world.path(&path)).unwrap(),
        }
        match files.get(&path) {
            Some(text) => drop(between.insert(path, text.clone())),
            None => drop(between.remove(&path)),
        }
        world.note(&between);
    }
    files
}

fn write(world: &World, path: &str, text: &str, kind: Edit, n: usize, between: &BTreeMap<String, String>) {
    let target = world.path(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    // The state that the write leads to, before the disk can show it. A file that is written in place is empty at first,
    // and an empty file is refused.
    let mut after = between.clone();
    after.insert(path.to_owned(), text.to_owned());
    world.note(&after);
    match kind {
        Edit::AtomicRename => {
            let temporary = world.path(&format!(".{n}.tmp"));
            fs::write(&temporary, text).unwrap();
            fs::rename(temporary, target).unwrap();
        }
        Edit::TwoHalves => {
            // Cut inside the policy: the first half alone is an error, and no answer may come of it.
            let half = text.find("principal").unwrap();
            let mut file = fs::File::create(target).unwrap();
            file.write_all(&text.as_bytes()[..half]).unwrap();
            thread::sleep(Duration::from_millis(30));
            file.write_all(&text.as_bytes()[half..]).unwrap();
        }
        _ => {
            fs::write(target, text).unwrap();
        }
    }
}

/// Asks one probe after another until told to stop, and checks each answer against its version. Returns how many.
fn read(
    address: std::net::SocketAddr,
    answers: &RwLock<HashMap<String, Vec<bool>>>,
    stop: &AtomicBool,
    first: usize,
) -> usize {
    let mut client = support::Client::connect(address);
    let probes = probes();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let at = (first + n) % probes.len();
        let (user, action) = probes[at];
        let body = format!(
            r#"{{"subject":{{"type":"User","id":"{user}"}},"action":{{"name":"{action}"}},"resource":{{"type":"Document","id":"d"}}}}"#
        );
        let answer = client.post("/access/v1/evaluation", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let version = answer.header("rune-version").expect("each answer names its version").to_owned();
        let answers = answers.read().unwrap();
        let expected =
            answers.get(&version).unwrap_or_else(|| panic!("version {version} was never on the disk, or not valid"));
        assert_eq!(answer.json()["decision"], expected[at], "{user} {action} by {version}");
        n += 1;
    }
    n
}

fn fresh_start(dir: &Path) -> String {
    let server = Server::start(RUNE, dir, &[]);
    server.client().get("/api/v1/status").json()["version"].as_str().unwrap().to_owned()
}

#[test]
fn every_answer_is_the_one_that_its_version_gives_while_the_folder_is_edited() {
    let dir = tempfile::tempdir().unwrap();
    let files = BTreeMap::from([
        ("main.rune".to_owned(), MAIN.to_owned()),
        ("a.cedar".to_owned(), permits(0)),
        ("b.cedar".to_owned(), forbids(0)),
    ]);
    for (path, text) in &files {
        fs::write(dir.path().join(path), text).unwrap();
    }
    let mut world = World { root: dir.path().to_owned(), files, answers: Arc::default() };
    let (mut live_version, is_valid) = world.note(&world.files);
    assert!(is_valid);
    let server = Server::start(RUNE, dir.path(), &[]);

    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..N_READERS)
        .map(|first| {
            let (answers, stop, address) = (world.answers.clone(), stop.clone(), server.address);
            thread::spawn(move || read(address, &answers, &stop, first))
        })
        .collect();

    let n_refused = AtomicUsize::new(0);
    let mut n_live = 0;
    let (mut live, mut before_live) = (world.files.clone(), world.files.clone());
    let mut latencies = Vec::new();
    for n in 1..=N_EDITS {
        let kind = EDITS[n % EDITS.len()];
        // A revert goes back to what is live after a broken edit, and to what was live before otherwise.
        let back = if live == world.files { &before_live } else { &live };
        let target = edit(&world, n, kind, &back.clone());
        let written = Instant::now();
        let (version, is_valid) = world.note(&target);
        world.files = target;
        if is_valid {
            let status = server.status_when(&format!("edit {n} ({kind:?}) takes effect"), |status| {
                status["version"] == *version && status["state"] == "serving"
            });
            latencies.push(written.elapsed());
            assert_eq!(status["counts"]["files"], world.files.len(), "edit {n}");
            if version != live_version {
                n_live += 1;
                before_live = std::mem::replace(&mut live, world.files.clone());
                live_version = version;
            }
        } else {
            let status = server.status_when(&format!("edit {n} ({kind:?}) is refused"), |status| {
                status["last_refusal"]["version"] == *version && status["state"] == "refused"
            });
            assert_eq!(status["version"], *live_version, "edit {n}: what was served still is");
            let finding = &status["last_refusal"]["findings"][0];
            assert_eq!(finding["path"], "b.cedar", "{finding}");
            assert!(finding["line"].as_u64() == Some(4) && finding["column"].as_u64() == Some(20), "{finding}");
            assert_eq!(status["last_refusal"]["not_in_force"][0]["path"], "b.cedar");
            n_refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let n_answers: usize = readers.into_iter().map(|reader| reader.join().expect("every answer was right")).sum();
    latencies.sort();
    println!(
        "{n_answers} answers during {n_live} versions that went live and {} that were refused; \
         status showed a valid edit after {:?} (median)",
        n_refused.load(Ordering::Relaxed),
        latencies[latencies.len() / 2]
    );
    assert!(N_EDITS / 10 < n_refused.into_inner() && N_EDITS / 2 < n_live, "the edits are a mix");
    assert!(N_EDITS < n_answers, "decisions were made all the while");

    let last = server.client().get("/api/v1/status").json()["version"].as_str().unwrap().to_owned();
    assert_eq!(last, fresh_start(dir.path()), "what is served equals a fresh start on the same bytes");
}
