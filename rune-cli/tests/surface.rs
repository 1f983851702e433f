//! What all commands have in common: help, manual pages, completions and colours. And how one begins: `rune init`.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(RUNE);
    command.args(arguments);
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

fn rune(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command prints that succeeds, and has nothing to say on standard error.
fn printed(arguments: &[&str]) -> String {
    let run = rune(arguments);
    assert!(run.status.success() && run.stderr.is_empty(), "{arguments:?}: {run:?}");
    text(&run.stdout)
}

fn commands() -> Vec<String> {
    let help = printed(&["-h"]);
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    commands.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn a_first_ruleset_is_in_order_passes_its_tests_and_is_laid_out() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("a/new folder");
    let new = new.to_str().unwrap();
    let expected = format!("wrote {new}/main.rune\n\nnext:\n  rune test '{new}'\n  rune serve --watch '{new}'\n");
    assert_eq!(printed(&["init", new]), expected);
    assert!(printed(&["check", new]).starts_with("ok: "), "without a warning");
    let tests = printed(&["test", new]);
    assert!(tests.ends_with("\n2 tests passed, 0 failed\n"), "{tests}");
    assert_eq!(printed(&["fmt", "--check", new]), "0 files would change, 1 laid out\n");
    let ask = ["--principal", "User::\"ada\"", "--action", "Action::\"read\"", "--resource", "Document::\"plan\""];
    let decided = printed(&[&["eval", new][..], &ask].concat());
    assert!(decided.starts_with("allow\nallowed by viewers-read"), "its rows decide as its comments say: {decided}");
}

#[test]
fn init_writes_beside_other_files_and_over_none() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("README.md"), "mine").unwrap();
    let run = command(&["init"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(text(&run.stdout).ends_with("  rune test .\n  rune serve --watch .\n"), "{run:?}");
    assert_eq!(fs::read_to_string(dir.path().join("README.md")).unwrap(), "mine");
    // Of another name, and yet a part of the same ruleset.
    let check = |path: &Path, expected: &str| {
        let before = fs::read_dir(path).map(Iterator::count).ok();
        let run = rune(&["init", path.to_str().unwrap()]);
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert_eq!(text(&run.stderr), format!("error: {}{expected}\n", path.display()));
        assert_eq!(fs::read_dir(path).map(Iterator::count).ok(), before);
    };
    check(dir.path(), " holds a ruleset already: main.rune");
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("a.cedar"), "").unwrap();
    check(other.path(), " holds a ruleset already: a.cedar");
    #[cfg(unix)]
    {
        // A link that leads nowhere yet.
        let linked = tempfile::tempdir().unwrap();
        let target = linked.path().join("target");
        std::os::unix::fs::symlink(&target, linked.path().join("main.rune")).unwrap();
        let run = rune(&["init", linked.path().to_str().unwrap()]);
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(!target.exists(), "{run:?}");
    }
    let file = dir.path().join("README.md");
    assert_eq!(rune(&["init", file.to_str().unwrap()]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}

#[test]
fn every_command_says_in_its_help_how_it_is_used_and_what_it_exits_with() {
    assert!(commands().contains(&"check".to_owned()), "commands are found");
    for name in commands() {
        let help = printed(&[&name, "--help"]);
        let example = format!("\n  rune {name}");
        for part in ["\nUsage: ", "\nExamples:\n", &example, "\nExit codes:\n  0  "] {
            assert!(help.contains(part), "{name}: no {part:?} in {help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "it is not broken by a terminal: {help}");
        let about = help.lines().next().unwrap();
        assert!(printed(&["-h"]).contains(about.trim_end_matches('.')), "{name}: {about}");
    }
    assert!(printed(&["--help"]).contains("\nExit codes:\n"));
}

#[test]
fn the_help_says_what_a_command_tells() {
    for (name, parts) in [
        ("eval", &["`@reason`"][..]),
        ("explain", &["the forbids about its action that do not hold", "the permits that come nearest"]),
        ("repl", &["relations that are `@live`"]),
    ] {
        let help = printed(&[name, "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(help.contains(part), "{name}: no {part:?} in {help}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("man1");
    let written = printed(&["man", "--out", out.to_str().unwrap()]);
    assert_eq!(written.lines().count(), commands().len() + 1);
    for name in commands() {
        let page = fs::read_to_string(out.join(format!("rune-{name}.1"))).unwrap();
        for part in [".TH ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH EXAMPLES\n", ".SH \"EXIT CODES\"\n"] {
            assert!(page.contains(part), "{name}: no {part:?} in {page}");
        }
        assert_eq!(printed(&["man", &name]).trim_end(), page.trim_end());
    }
    assert!(fs::read_to_string(out.join("rune.1")).unwrap().contains(".SH SUBCOMMANDS\n"));
    assert_eq!(rune(&["man", "nonsense"]).status.code(), Some(2));
    assert!(printed(&["man"]).contains(".SH SUBCOMMANDS\n"));
}

#[test]
fn completions_know_every_command_and_are_what_the_shell_reads() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        for name in commands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash runs");
    bash.stdin.take().unwrap().write_all(printed(&["completions", "bash"]).as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
    assert_eq!(rune(&["completions", "command.com"]).status.code(), Some(2));
}

#[test]
fn completions_are_written_to_folders_that_are_made_before() {
    let help = printed(&["completions", "--help"]);
    let files = help.lines().filter_map(|line| line.split_once(" > ").map(|(_, file)| file));
    let mut n = 0;
    for file in files {
        let (folder, _) = file.rsplit_once('/').expect("a folder");
        let made = help.find(&format!("  mkdir -p {folder}")).unwrap_or_else(|| panic!("{folder} in {help}"));
        assert!(made < help.find(file).unwrap(), "{help}");
        n += 1;
    }
    assert_eq!(n, 3, "{help}");
}

#[test]
fn findings_are_coloured_as_is_chosen_and_results_never() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.cedar"), "permit (").unwrap();
    let dir = dir.path().to_str().unwrap();
    let check = |arguments: &[&str], variables: &[(&str, &str)], is_coloured: bool| {
        // Findings, an error, and wrong usage.
        for rest in [&["check", dir][..], &["check", "/nowhere/at/all"], &["check", "--nonsense"]] {
            let run = command(&[arguments, rest].concat()).envs(variables.iter().copied()).output().unwrap();
            assert_ne!(run.status.code(), Some(0), "{run:?}");
            assert_eq!(run.stderr.contains(&0x1b), is_coloured, "{arguments:?} {variables:?}: {run:?}");
            assert!(!run.stdout.contains(&0x1b), "{run:?}");
        }
    };
    check(&[], &[], false);
    check(&["--color", "auto"], &[], false);
    check(&["--color", "always"], &[], true);
    check(&["--color=always"], &[("NO_COLOR", "1")], true);
    check(&[], &[("CLICOLOR_FORCE", "1")], true);
    check(&[], &[("CLICOLOR_FORCE", "")], false);
    check(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false);
    check(&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false);
    assert_eq!(rune(&["--color", "sometimes", "check", dir]).status.code(), Some(2));
    let run = rune(&["--json", "--color", "always", "check", dir]);
    assert!(run.stderr.is_empty() && !run.stdout.contains(&0x1b), "{run:?}");
}
