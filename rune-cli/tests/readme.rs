//! What the README shows of a terminal is what the terminal shows.

use std::{path::Path, process::Command};

const README: &str = include_str!("../../README.md");

#[test]
fn the_terminal_shows_what_the_readme_shows() {
    let folder = Path::new(env!("CARGO_BIN_EXE_rune")).parent().unwrap();
    let blocks = README.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut n = 0;
    for step in blocks.flat_map(|block| block.split("$ ").skip(1)) {
        let (command, shown) = step.split_once('\n').unwrap();
        let path = std::env::join_paths([folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let mut shell = Command::new("sh");
        shell.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env("PATH", path).args(["-c", command]);
        let run = shell.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&run.stdout), shown, "{command}");
        n += 1;
    }
    assert!(2 < n, "the README shows {n} commands");
}
