//! `rune fmt`: what it writes where, what it leaves alone, and what it exits with.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value as Json;

fn rune(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rune"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // It may not read, and end before all is written.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const LOOSE: &str = "version='rune/1.0'\n[data]\na=1\n";
const LAID_OUT: &str = "version = \"rune/1.0\"\n\n[data]\na = 1\n";

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let dir = folder(&[]);
    for name in ["nowhere", "nowhere.rune"] {
        let path = dir.path().join(name).display().to_string();
        let run = rune(&["fmt", &path], "");
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert_eq!(text(&run.stderr), format!("error: there is no file or folder {path}\n"));
    }
}

#[test]
fn a_folder_is_laid_out_in_place_and_only_what_is_a_text_of_its_ruleset() {
    let dir = folder(&[
        ("a.rune", LOOSE),
        ("sub/b.cedar", "permit(principal,action,resource);"),
        ("same.rune", LAID_OUT),
        ("c.cedarschema", "entity  User ;"),
        ("d.entities.json", "[ ]"),
        (".hidden.rune", LOOSE),
        ("notes.md", "x  y"),
    ]);
    let root = dir.path().to_str().unwrap();
    let run = rune(&["fmt", "--check", root], "");
    let expected =
        format!("would change {root}/a.rune\nwould change {root}/sub/b.cedar\n2 files would change, 1 laid out\n");
    assert_eq!((run.status.code(), text(&run.stdout), text(&run.stderr)), (Some(1), expected.clone(), String::new()));
    assert_eq!(fs::read_to_string(dir.path().join("a.rune")).unwrap(), LOOSE, "a check changes nothing");

    let before = fs::metadata(dir.path().join("same.rune")).unwrap().modified().unwrap();
    let run = rune(&["fmt", root], "");
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(0), expected.replace("would change", "changed")));
    assert_eq!(fs::read_to_string(dir.path().join("a.rune")).unwrap(), LAID_OUT);
    let policy = fs::read_to_string(dir.path().join("sub/b.cedar")).unwrap();
    assert_eq!(policy, "permit (principal, action, resource);\n");
    assert_eq!(fs::read_to_string(dir.path().join("c.cedarschema")).unwrap(), "entity  User ;");
    assert_eq!(fs::read_to_string(dir.path().join(".hidden.rune")).unwrap(), LOOSE);
    assert_eq!(fs::metadata(dir.path().join("same.rune")).unwrap().modified().unwrap(), before, "what is right stays");
    let expected = [".hidden.rune", "a.rune", "c.cedarschema", "d.entities.json", "notes.md", "same.rune", "sub"];
    assert_eq!(names(dir.path()), expected, "nothing is left over");

    let run = rune(&["fmt", "--check", root], "");
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(0), "0 files would change, 3 laid out\n".to_owned()));
}

#[test]
fn a_file_that_does_not_parse_is_told_and_keeps_no_other_from_its_layout() {
    let dir =
        folder(&[("a.rune", "version = \"rune/1.0\"\n[rules]\np(a)\n"), ("b.rune", LOOSE), ("c.cedar", "permit (")]);
    let paths = ["a.rune", "b.rune", "c.cedar"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
    let [a, b, c] = paths.each_ref().map(String::as_str);
    let run = rune(&["fmt", a, b, c], "");
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(text(&run.stdout), format!("changed {b}\n1 file changed, 0 laid out, 2 with errors\n"));
    for part in ["error[missing-period]", &format!("--> {a}:3:1"), "error[policy-syntax]", &format!("--> {c}:1:9")] {
        assert!(text(&run.stderr).contains(part), "{part} in {}", text(&run.stderr));
    }
    assert_eq!(fs::read_to_string(c).unwrap(), "permit (");
}

#[test]
fn what_cannot_be_read_or_has_no_layout_exits_with_two() {
    let dir = folder(&[("a.json", "{}"), ("schema.cedarschema", ""), ("empty.cedar", "\n")]);
    fs::write(dir.path().join("b.cedar"), b"// \xff\n").unwrap();
    fs::write(dir.path().join("c.cedar"), "// ä".repeat(2_500_000)).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for (name, part) in [
        ("a.json", "only `.rune` and `.cedar` files are laid out"),
        ("schema.cedarschema", "only `.rune` and `.cedar` files are laid out"),
        ("empty.cedar", "error[empty-file]"),
        ("b.cedar", "error[not-utf8]"),
        ("c.cedar", "there are more than 8388608 bytes"),
        ("nowhere.rune", "there is no file or folder"),
    ] {
        let run = rune(&["fmt", &path(name)], "");
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(text(&run.stderr).contains(part), "{part} in {}", text(&run.stderr));
        let run = rune(&["--json", "fmt", &path(name)], "");
        let json: Json = serde_json::from_slice(&run.stdout).unwrap();
        assert!(run.stderr.is_empty() && json["files"][0]["error"].is_string(), "{run:?}");
    }
    let run = rune(&["fmt", "-", &path("b.cedar")], LOOSE);
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(2), String::new()));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(rune(&["fmt", empty.path().to_str().unwrap()], "").status.code(), Some(2));
}

#[test]
fn standard_input_goes_to_standard_output() {
    for arguments in [&["fmt"][..], &["fmt", "-"]] {
        let run = rune(arguments, LOOSE);
        assert_eq!((run.status.code(), text(&run.stdout)), (Some(0), LAID_OUT.to_owned()), "{run:?}");
    }
    let run = rune(&["fmt", "--stdin-name", "x/a.cedar"], "permit(principal,action,resource);// \u{1b}[2J\n");
    assert_eq!(
        text(&run.stdout),
        "permit (principal, action, resource); // \u{1b}[2J\n",
        "what is no terminal gets it all"
    );
    let run = rune(&["fmt", "--check"], LOOSE);
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(1), "would change\n".to_owned()));
    assert_eq!(rune(&["fmt", "--check"], LAID_OUT).status.code(), Some(0));
    let run = rune(&["fmt"], "version = 1\n");
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(2), String::new()), "half a text is none");
    assert!(text(&run.stderr).contains("error[unknown-version]"), "{run:?}");
    assert_eq!(rune(&["fmt", "--stdin-name", "a.txt"], LOOSE).status.code(), Some(2));
}

#[test]
fn json_says_what_became_of_each_file() {
    let dir = folder(&[("a.rune", LOOSE), ("b.rune", LAID_OUT), ("c.rune", "x")]);
    let run = rune(&["--json", "fmt", dir.path().to_str().unwrap()], "");
    let json: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((run.status.code(), &json["changed"], &json["check"]), (Some(2), &1.into(), &false.into()));
    let files = json["files"].as_array().unwrap();
    assert_eq!((&files[0]["changed"], &files[1]["changed"]), (&true.into(), &false.into()));
    assert_eq!(
        (&files[2]["findings"][0]["code"], &files[2]["findings"][0]["line"]),
        (&"toml-syntax".into(), &1.into())
    );
    assert!(run.stderr.is_empty());

    let json: Json = serde_json::from_slice(&rune(&["--json", "fmt"], LOOSE).stdout).unwrap();
    assert_eq!((&json["changed"], &json["text"]), (&true.into(), &LAID_OUT.into()));
    let json: Json = serde_json::from_slice(&rune(&["--json", "fmt"], "x").stdout).unwrap();
    assert_eq!(json["findings"][0]["code"], "toml-syntax");
}

#[cfg(unix)]
#[test]
fn a_file_keeps_its_links_and_its_permissions() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = folder(&[("real/a.rune", LOOSE), ("fixed.rune", LOOSE)]);
    let (real, link, fixed) =
        (dir.path().join("real/a.rune"), dir.path().join("b.rune"), dir.path().join("fixed.rune"));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(&fixed, fs::Permissions::from_mode(0o444)).unwrap();
    symlink("real/a.rune", &link).unwrap();
    let run = rune(&["fmt", link.to_str().unwrap()], "");
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), LAID_OUT);
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);

    let run = rune(&["fmt", fixed.to_str().unwrap()], "");
    assert_eq!((run.status.code(), fs::read_to_string(&fixed).unwrap()), (Some(2), LOOSE.to_owned()), "{run:?}");
    assert_eq!(names(dir.path()), ["b.rune", "fixed.rune", "real"]);
}
