//! Folders laid out by hand, and what a look at them finds.

use std::{
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::base::limits::FILE_BYTES_MAX;

/// Longer than the steps of the clock that stamps files.
const CLOCK_STEP: Duration = Duration::from_millis(11);

/// A folder with these files, the directories made as needed.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// `a.rune=1 b.rune=2`, or the trouble, with the folder called `ROOT`.
fn shown(seen: &Observation, root: &Path) -> String {
    match seen {
        Observation::Whole(set) => {
            set.files().map(|(_, file)| format!("{}={}", file.path, file.text())).collect::<Vec<_>>().join(" ")
        }
        Observation::Moving => "moving".to_owned(),
        Observation::Locked => "locked".to_owned(),
        Observation::Trouble(trouble) => trouble.to_string().replace(root.to_str().unwrap(), "ROOT"),
    }
}

fn check_folder(root: &Path, expected: &str) {
    assert_eq!(shown(&Scanner::new(root).look(Locks::Heeded), root), expected);
}

/// A folder with these files, changed by `change`, and what a look then says.
fn check(files: &[(&str, &str)], change: impl FnOnce(&Path), expected: &str) {
    let folder = folder(files);
    change(folder.path());
    check_folder(folder.path(), expected);
}

fn bytes_of(seen: &Observation, path: &str) -> Arc<[u8]> {
    let Observation::Whole(set) = seen else { panic!("not whole: {seen:?}") };
    Arc::clone(&set.find(path).unwrap().bytes)
}

#[test]
fn ruleset_files_are_found_at_every_depth() {
    check(
        &[("b.rune", "1"), ("a/b/c.cedar", "2"), ("a/x.entities.json", "3"), ("README.md", "4")],
        |_| (),
        "a/b/c.cedar=2 a/x.entities.json=3 b.rune=1",
    );
}

#[test]
fn hidden_and_temporary_names_are_passed_over() {
    let hidden = [(".git/x.rune", "1"), (".a.rune.swp", "2"), ("a.rune~", "3"), ("lost+found/a.rune", "4")];
    check(&hidden, |_| (), "no ruleset file in the folder ROOT");
    let lock = |root: &Path| symlink("ada@host.42:1", root.join(".#a.rune")).unwrap();
    check(&[("a.rune", "1")], lock, "a.rune=1");
}

#[test]
fn a_missing_folder_is_trouble() {
    let folder = folder(&[("a.rune", "1")]);
    let missing = folder.path().join("x");
    check_folder(&missing, "there is no folder ROOT");
    check_folder(&folder.path().join("a.rune"), "there is no folder ROOT");
}

/// The layout of a mounted Kubernetes `ConfigMap`: the files of a generation in a hidden directory, a hidden link to it.
fn publish_generation(root: &Path, name: &str, files: &[&str]) {
    fs::create_dir(root.join(name)).unwrap();
    for file in files {
        fs::write(root.join(name).join(file), name).unwrap();
    }
    symlink(name, root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
}

#[test]
fn a_mounted_config_map_is_read_under_its_visible_names() {
    let folder = folder(&[]);
    let root = folder.path();
    publish_generation(root, "..1", &["a.rune", "b.rune"]);
    symlink("..data/a.rune", root.join("a.rune")).unwrap();
    symlink("..data/b.rune", root.join("b.rune")).unwrap();
    let mut scanner = Scanner::new(root);
    assert_eq!(shown(&scanner.look(Locks::Heeded), root), "a.rune=..1 b.rune=..1");
    publish_generation(root, "..2", &["a.rune", "b.rune"]);
    fs::remove_dir_all(root.join("..1")).unwrap();
    assert_eq!(shown(&scanner.look(Locks::Heeded), root), "a.rune=..2 b.rune=..2");
}

#[test]
fn a_set_is_never_a_mixture_of_two_generations() {
    let folder = folder(&[("..1/a.rune", "1"), ("..1/b.rune", "1"), ("..2/a.rune", "2"), ("..2/b.rune", "2")]);
    let root = folder.path();
    symlink("..1", root.join("..data")).unwrap();
    symlink("..data/a.rune", root.join("a.rune")).unwrap();
    symlink("..data/b.rune", root.join("b.rune")).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for generation in ["..2", "..1"].into_iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                symlink(generation, root.join("..tmp")).unwrap();
                fs::rename(root.join("..tmp"), root.join("..data")).unwrap();
                thread::sleep(CLOCK_STEP);
            }
        });
        let mut scanner = Scanner::new(root);
        let seen: Vec<_> = (0..2_000).map(|_| shown(&scanner.look(Locks::Heeded), root)).collect();
        // Before any assertion, or a failure would wait for the thread for ever.
        is_over.store(true, Ordering::Relaxed);
        let whole = ["a.rune=1 b.rune=1", "a.rune=2 b.rune=2"];
        assert!(whole.iter().all(|whole| seen.iter().any(|seen| seen == whole)), "each is seen");
        for seen in seen {
            assert!(seen == "moving" || whole.contains(&seen.as_str()), "a mixture: {seen}");
        }
    });
}

#[test]
fn a_retargeted_root_is_seen() {
    let folder = folder(&[("1/a.rune", "1"), ("2/a.rune", "2")]);
    let root = folder.path().join("current");
    symlink("1", &root).unwrap();
    let mut scanner = Scanner::new(&root);
    assert_eq!(shown(&scanner.look(Locks::Heeded), &root), "a.rune=1");
    fs::remove_file(&root).unwrap();
    symlink("2", &root).unwrap();
    assert_eq!(shown(&scanner.look(Locks::Heeded), &root), "a.rune=2");
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let outside = folder(&[("x.rune", "secret")]);
    let target = outside.path().canonicalize().unwrap();
    for (link, target) in [("a.rune", target.join("x.rune")), ("team", target)] {
        check(
            &[("b.rune", "1")],
            |root| symlink(&target, root.join(link)).unwrap(),
            &format!("the link ROOT/{link} leads out of the folder, to {}", target.display()),
        );
    }
    let readme = |root: &Path| symlink(outside.path().join("x.rune"), root.join("README")).unwrap();
    check(&[("b.rune", "1")], readme, "b.rune=1");
}

#[test]
fn a_link_to_nowhere_is_trouble_if_it_has_a_ruleset_files_name() {
    let other = |root: &Path| symlink("nowhere", root.join("notes")).unwrap();
    check(&[("a.rune", "1")], other, "a.rune=1");
    let file = |root: &Path| symlink("nowhere", root.join("b.rune")).unwrap();
    let told = "ROOT/b.rune cannot be read, so its rules are unknown: the link leads nowhere";
    check(&[("a.rune", "1")], file, told);
}

#[test]
fn a_loop_of_links_is_walked_once() {
    let links = |root: &Path| {
        symlink(".", root.join("again")).unwrap();
        symlink("../a", root.join("a/up")).unwrap();
        symlink("a", root.join("A")).unwrap();
    };
    check(&[("a/a.rune", "1")], links, "a/a.rune=1");
}

#[test]
fn links_upon_links_do_not_multiply() {
    let levels = |root: &Path| {
        for level in 0..30 {
            fs::create_dir(root.join(format!("..{level}"))).unwrap();
            for link in ["a", "b"] {
                symlink(format!("../..{}", level + 1), root.join(format!("..{level}/{link}"))).unwrap();
            }
        }
        fs::create_dir(root.join("..30")).unwrap();
        fs::write(root.join("..30/x.rune"), "1").unwrap();
        symlink("..0", root.join("top")).unwrap();
    };
    check(&[], levels, &format!("top/{}x.rune=1", "a/".repeat(30)));
}

#[test]
fn a_pipe_is_refused_and_not_opened() {
    let pipe = |root: &Path| {
        assert!(Command::new("mkfifo").arg(root.join("p.rune")).status().unwrap().success());
    };
    check(&[], pipe, "ROOT/p.rune is named like a ruleset file and is no file");
    let folder = folder(&[]);
    pipe(folder.path());
    let real = folder.path().join("p.rune");
    let stamp = Stamp { size: 1, ..Stamp::of(&real.metadata().unwrap()) };
    let stop = read(Path::new("p.rune"), &Found { real, stamp });
    assert!(matches!(stop, Err(Stop::Moving)), "one put in place since the scan does not block either");
}

#[test]
fn a_file_that_may_not_be_read_is_trouble() {
    use std::os::unix::fs::PermissionsExt as _;
    let lock = |root: &Path| fs::set_permissions(root.join("a.rune"), fs::Permissions::from_mode(0o000)).unwrap();
    let folder = folder(&[("a.rune", "1")]);
    lock(folder.path());
    if fs::read(folder.path().join("a.rune")).is_ok() {
        return; // The superuser may.
    }
    let told = "ROOT/a.rune cannot be read, so its rules are unknown: Permission denied (os error 13)";
    check_folder(folder.path(), told);
}

#[test]
fn limits_hold_before_anything_is_read() {
    let sparse = |path: PathBuf, bytes: usize| fs::File::create(path).unwrap().set_len(bytes as u64).unwrap();
    check(
        &[],
        |root| sparse(root.join("a.rune"), FILE_BYTES_MAX + 1),
        "ROOT/a.rune has 8388609 bytes, and a file may have 8388608",
    );
    check(
        &[],
        |root| (0..33).for_each(|n| sparse(root.join(format!("{n}.rune")), FILE_BYTES_MAX)),
        "the files have 276824064 bytes together, and a ruleset may have 268435456",
    );
    check(
        &[("a.rune", "1")],
        |root| {
            (0..FILES_MAX).for_each(|n| fs::hard_link(root.join("a.rune"), root.join(format!("{n}.rune"))).unwrap());
        },
        "there are 10001 files, and a ruleset may have 10000",
    );
    let deep = "d/".repeat(DIRECTORY_DEPTH_MAX);
    let told = format!("ROOT/{deep}d is nested deeper than 32 directories");
    check(&[(&format!("{deep}d/a.rune"), "1")], |_| (), &told);
    check(&[(&format!("{deep}a.rune"), "1")], |_| (), &format!("{deep}a.rune=1"));
}

#[test]
fn a_name_that_is_not_utf_8_is_trouble_if_it_is_a_ruleset_files() {
    let write = |name: &'static [u8]| move |root: &Path| fs::write(root.join(OsStr::from_bytes(name)), "2").unwrap();
    check(&[("a.rune", "1")], write(b"\xff.txt"), "a.rune=1");
    let told = "the name of ROOT/\u{fffd}.rune is not UTF-8";
    check(&[("a.rune", "1")], write(b"\xff.rune"), told);
}

#[test]
fn a_file_that_did_not_change_is_not_held_twice() {
    let folder = folder(&[("a.rune", "1"), ("b.rune", "1")]);
    let mut scanner = Scanner::new(folder.path());
    let first = scanner.look(Locks::Heeded);
    let Observation::Whole(set) = &first else { panic!("{first:?}") };
    for _ in 0..2 * REREAD_EVERY {
        let Observation::Whole(again) = scanner.look(Locks::Heeded) else { panic!() };
        assert!(Arc::ptr_eq(set, &again), "the whole set is the same");
    }
    fs::write(folder.path().join("b.rune"), "2").unwrap();
    let second = scanner.look(Locks::Heeded);
    assert!(Arc::ptr_eq(&bytes_of(&first, "a.rune"), &bytes_of(&second, "a.rune")));
    assert_eq!(*bytes_of(&second, "b.rune"), *b"2");
    fs::write(folder.path().join("b.rune"), "2").unwrap();
    assert!(Arc::ptr_eq(&bytes_of(&second, "b.rune"), &bytes_of(&scanner.look(Locks::Heeded), "b.rune")), "a touch");
}

#[test]
fn a_removed_file_is_in_no_later_set() {
    let folder = folder(&[("a.rune", "1"), ("b.rune", "1")]);
    let mut scanner = Scanner::new(folder.path());
    scanner.look(Locks::Heeded);
    scanner.look(Locks::Heeded);
    fs::remove_file(folder.path().join("b.rune")).unwrap();
    assert_eq!(shown(&scanner.look(Locks::Heeded), folder.path()), "a.rune=1");
}

#[test]
fn a_change_with_the_same_size_and_mtime_is_seen() {
    let folder = folder(&[("a.rune", "1")]);
    let path = folder.path().join("a.rune");
    let mut scanner = Scanner::new(folder.path());
    scanner.look(Locks::Heeded);
    scanner.look(Locks::Heeded);
    let modified = path.metadata().unwrap().modified().unwrap();
    thread::sleep(CLOCK_STEP);
    fs::write(&path, "2").unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(path.metadata().unwrap().modified().unwrap(), modified);
    assert_eq!(shown(&scanner.look(Locks::Heeded), folder.path()), "a.rune=2");
}

#[test]
fn a_file_written_again_within_one_step_of_the_clock_is_seen() {
    let folder = folder(&[]);
    let path = folder.path().join("a.rune");
    let mut scanner = Scanner::new(folder.path());
    for round in 0..500 {
        for text in [format!("{round:04}"), format!("{:04}", 9_999 - round)] {
            fs::write(&path, &text).unwrap();
            assert_eq!(shown(&scanner.look(Locks::Heeded), folder.path()), format!("a.rune={text}"));
        }
    }
}

#[test]
fn now_and_then_everything_is_read_whatever_the_stamps_say() {
    let folder = folder(&[("a.rune", "1")]);
    let mut scanner = Scanner::new(folder.path());
    scanner.look(Locks::Heeded);
    scanner.cache.get_mut("a.rune").unwrap().file = File::new("a.rune", *b"stale");
    scanner.last = None;
    assert_eq!(
        shown(&scanner.look(Locks::Heeded), folder.path()),
        "a.rune=1",
        "a stamp is trusted from the second reading on"
    );
    scanner.look(Locks::Heeded);
    scanner.cache.get_mut("a.rune").unwrap().file = File::new("a.rune", *b"stale");
    scanner.last = None;
    for _ in 4..REREAD_EVERY {
        assert_eq!(shown(&scanner.look(Locks::Heeded), folder.path()), "a.rune=stale");
    }
    assert_eq!(shown(&scanner.look(Locks::Heeded), folder.path()), "a.rune=1");
}

#[test]
fn whatever_changes_between_the_scans_is_moving() {
    let check = |what: &str, change: &dyn Fn(&Path)| {
        let folder = folder(&[("a.rune", "1"), ("..1/b.rune", "1"), ("..2/b.rune", "2"), ("team/c.rune", "1")]);
        symlink("..1", folder.path().join("..data")).unwrap();
        symlink("..data/b.rune", folder.path().join("b.rune")).unwrap();
        let mut scanner = Scanner::new(folder.path());
        let first = scanner.look(Locks::Heeded);
        assert!(matches!(first, Observation::Whole(_)), "{what}: {first:?}");
        fs::write(folder.path().join("a.rune"), "2").unwrap();
        thread::sleep(CLOCK_STEP);
        let seen = scanner.observe(Locks::Heeded, || change(folder.path()));
        assert_eq!(seen, Observation::Moving, "{what}");
    };
    let point = |root: &Path, target: &str| {
        symlink(target, root.join("..tmp")).unwrap();
        fs::rename(root.join("..tmp"), root.join("..data")).unwrap();
    };
    check("a write", &|root| fs::write(root.join("a.rune"), "3").unwrap());
    check("a touch", &|root| fs::write(root.join("team/c.rune"), "1").unwrap());
    check("a removal", &|root| fs::remove_file(root.join("team/c.rune")).unwrap());
    check("a new file", &|root| fs::write(root.join("d.rune"), "1").unwrap());
    check("the end of it all", &|root| fs::remove_dir_all(root).unwrap());
    check("another target", &|root| point(root, "..2"));
    check("another target and back", &|root| ["..2", "..1"].into_iter().for_each(|target| point(root, target)));
}

#[test]
fn a_file_that_changed_since_the_scan_is_moving() {
    let folder = folder(&[("a.rune", "1")]);
    let found = place_and_scan(folder.path()).unwrap().files.remove("a.rune").unwrap();
    fs::write(folder.path().join("a.rune"), "12").unwrap();
    assert!(matches!(read(Path::new("a.rune"), &found), Err(Stop::Moving)));
    fs::remove_file(folder.path().join("a.rune")).unwrap();
    assert!(matches!(read(Path::new("a.rune"), &found), Err(Stop::Moving)));
}

#[test]
fn what_other_programs_keep_in_the_folder_is_not_moving() {
    let folder = folder(&[("a.rune", "1"), ("team/b.rune", "1"), ("..1/c.rune", "1"), ("server.log", "")]);
    symlink("..1", folder.path().join("..data")).unwrap();
    symlink("..data/c.rune", folder.path().join("c.rune")).unwrap();
    let mut scanner = Scanner::new(folder.path());
    for round in 0..20 {
        let text = round.to_string();
        fs::write(folder.path().join("a.rune"), &text).unwrap();
        let seen = scanner.observe(Locks::Heeded, || {
            for directory in ["", "team", "..1"].map(|directory| folder.path().join(directory)) {
                fs::write(directory.join(format!("{text}.tmp")), "").unwrap();
                fs::write(directory.join("server.log"), &text).unwrap();
                fs::rename(directory.join("server.log"), directory.join("server.log.1")).unwrap();
                fs::write(directory.join("mv.tmp"), "").unwrap();
                fs::remove_file(directory.join("mv.tmp")).unwrap();
            }
            symlink("server.log.1", folder.path().join(format!("latest-{text}"))).unwrap();
            symlink("pid:7", folder.path().join(format!("lock-{text}"))).unwrap();
        });
        assert_eq!(shown(&seen, folder.path()), format!("a.rune={text} c.rune=1 team/b.rune=1"));
    }
}

#[test]
fn a_directory_moved_away_and_back_is_moving() {
    for directory in ["team", "team/deep", "..1"] {
        let folder = folder(&[("a.rune", "1"), ("team/deep/b.rune", "1"), ("..1/c.rune", "1")]);
        let root = folder.path();
        symlink("..1/c.rune", root.join("c.rune")).unwrap();
        thread::sleep(CLOCK_STEP);
        let seen = Scanner::new(root).observe(Locks::Heeded, || {
            fs::rename(root.join(directory), root.join("away")).unwrap();
            thread::sleep(CLOCK_STEP);
            fs::rename(root.join("away"), root.join(directory)).unwrap();
        });
        assert_eq!(seen, Observation::Moving, "{directory}");
    }
}

#[test]
fn a_link_changed_and_changed_back_behind_a_hidden_name_is_moving() {
    let folder = folder(&[("..x/1/a.rune", "1"), ("..x/2/a.rune", "2")]);
    let root = folder.path();
    symlink("1", root.join("..x/now")).unwrap();
    symlink("..x/now/a.rune", root.join("a.rune")).unwrap();
    thread::sleep(CLOCK_STEP);
    let seen = Scanner::new(root).observe(Locks::Heeded, || {
        for target in ["2", "1"] {
            symlink(target, root.join("tmp")).unwrap();
            fs::rename(root.join("tmp"), root.join("..x/now")).unwrap();
        }
    });
    assert_eq!(seen, Observation::Moving);
}

#[test]
fn the_trail_holds_directories_links_and_files_that_links_rename() {
    let folder = folder(&[("a.rune", "1"), ("team/b.rune", "1"), ("..1/c", "1"), ("server.log", "")]);
    let root = folder.path().canonicalize().unwrap();
    symlink("..1", root.join("..data")).unwrap();
    symlink("..data/c", root.join("c.rune")).unwrap();
    let mut scanner = Scanner::new(&root);
    let trail = scanner.trail();
    let through = |path: &str| trail.leads_through(&root.join(path));
    assert_eq!(through("team"), None, "before the first look");
    scanner.look(Locks::Heeded);
    for (path, expected) in [("team", true), ("..data", true), ("..1", true), ("..1/c", true), ("server.log", false)] {
        assert_eq!(through(path), Some(expected), "{path}");
    }
    fs::remove_dir_all(&root).unwrap();
    scanner.look(Locks::Heeded);
    assert_eq!(through("team"), None, "in trouble");
}

#[test]
fn a_folder_is_locked_if_there_is_a_lock_before_or_after_the_scans() {
    let folder = folder(&[("a.rune", "1")]);
    let root = folder.path();
    let lock = || fs::write(root.join(".rune.lock"), "").unwrap();
    let unlock = || fs::remove_file(root.join(".rune.lock")).unwrap();
    let mut scanner = Scanner::new(root);
    lock();
    assert_eq!(scanner.look(Locks::Heeded), Observation::Locked);
    assert_eq!(scanner.n_reads, 0, "nothing is read under a lock");
    unlock();
    assert_eq!(scanner.observe(Locks::Heeded, lock), Observation::Locked);
    unlock();
    assert_eq!(shown(&scanner.look(Locks::Heeded), root), "a.rune=1");
    fs::remove_file(root.join("a.rune")).unwrap();
    lock();
    assert_eq!(scanner.look(Locks::Heeded), Observation::Locked, "trouble too is locked");
}

#[test]
fn a_lock_that_was_ignored_is_ignored_until_it_is_another() {
    let folder = folder(&[("a.rune", "1"), (".rune.lock", "")]);
    let root = folder.path();
    let mut scanner = Scanner::new(root);
    assert_eq!(scanner.look(Locks::Heeded), Observation::Locked);
    assert_eq!(shown(&scanner.look(Locks::Ignored), root), "a.rune=1");
    assert_eq!(shown(&scanner.look(Locks::Heeded), root), "a.rune=1");
    fs::write(root.join(".rune.lock"), "again").unwrap();
    assert_eq!(scanner.look(Locks::Heeded), Observation::Locked);
}
