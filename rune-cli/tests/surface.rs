//! What all commands have in common: colours.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    process::{Command, Output},
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
