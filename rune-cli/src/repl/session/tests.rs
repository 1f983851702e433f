//! Lines, edits, and what is said to them.

use rune_core::{Engine, File, Options, Program, Sources};

use super::*;
use crate::repl::answer::{Answered, Note};

const FOLDER: &str = "version = \"rune/1.0\"
[rules]
relation viewer(who: User, what: Document).
@attribute relation can_read(User, Document).
relation strikes(User -> Long).
@live relation suspended(User).
viewer(User::\"ada\", \"plan\").
can_read(U, D) :- viewer(U, D).
mine(D) :- can_read(principal, D).
[policies]
@id(\"readers\")
permit (principal, action == Action::\"read\", resource) when { principal.can_read.contains(resource) };
[test.\"a viewer reads\"]
facts = 'viewer(User::\"u\", \"d\").'
request = { principal = 'User::\"u\"', action = 'Action::\"read\"', resource = 'Document::\"d\"' }
expect = \"allow\"
";

fn build(files: &[(&str, &str)]) -> Result<Arc<Lineup>, Report> {
    let files = files.iter().map(|(path, text)| File::new(*path, text.as_bytes())).collect();
    match Program::build(Sources::new(files), Options::default()) {
        Ok(program) => Ok(Engine::new(program).lineup()),
        Err(BuildError::Refused(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

fn lineup(files: &[(&str, &str)]) -> Arc<Lineup> {
    build(files).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn session() -> Session {
    Session::new(lineup(&[("main.rune", FOLDER)]), Shown::default(), 9)
}

/// All that people read, and a mark before what is no answer.
fn said(answer: Answer) -> String {
    let mut lines: Vec<String> = answer.text.into_iter().collect();
    for note in answer.notes {
        lines.push(match note {
            Note::Findings(report) => report.to_string(),
            Note::Error(text) => format!("error: {text}"),
            Note::Warning(text) => format!("warning: {text}"),
            Note::Remark(text) => text,
            Note::Event(text) => format!("--- {text}"),
        });
    }
    let mark = if answer.answered == Answered::No { "! " } else { "" };
    format!("{mark}{}", lines.join("\n"))
}

/// Says a line, and asserts what is said to it.
fn check(session: &mut Session, line: &str, expected: &str) {
    let seen = match session.line(line) {
        Step::Tell(answer) => said(answer),
        Step::Nothing => "nothing".to_owned(),
        Step::Reload => "reload".to_owned(),
        Step::End => "end".to_owned(),
    };
    assert_eq!(seen, expected, "{line}");
}

fn check_news(session: &mut Session, news: News, expected: &str) {
    assert_eq!(session.news(news).map(said).unwrap_or_default(), expected);
}

#[test]
fn a_query_has_rows_or_none_or_is_refused() {
    let mut session = session();
    check(&mut session, "can_read(U, D)?", "U = User::\"ada\", D = Document::\"plan\"");
    check(&mut session, "can_read(U, D)", "U = User::\"ada\", D = Document::\"plan\"");
    check(&mut session, "can_read(User::\"bob\", D)?", "no rows");
    check(&mut session, "viewer(User::\"ada\", Document::\"plan\")?", "yes");
    let unknown =
        "! error[unknown-relation]: there is no relation `can_reed`\n --> query:1:1\n help: did you mean `can_read`?";
    check(&mut session, "can_reed(U, D)?", unknown);
    check(&mut session, "  ", "nothing");
    check(&mut session, "# can_read(U, D)", "nothing");
    check(&mut session, ":quit", "end");
    check(&mut session, ":reload", "reload");
}

#[test]
fn a_fact_for_trial_counts_until_it_is_forgotten() {
    let mut session = session();
    let files = session.answers().stable().sources().clone();
    check(&mut session, "viewer(User::\"bob\", \"plan\").", "on trial: viewer(User::\"bob\", \"plan\").");
    check(
        &mut session,
        "shared(D) :- viewer(A, D),\nviewer(B, D), A != B.",
        "on trial: shared(D) :- viewer(A, D),\nviewer(B, D), A != B.",
    );
    check(&mut session, "shared(D)?", "D = Document::\"plan\"");
    let both = "1  viewer(User::\"bob\", \"plan\").\n2  shared(D) :- viewer(A, D), viewer(B, D), A != B.";
    check(&mut session, ":trial", both);
    let why = ":why User::\"bob\" Action::\"read\" Document::\"plan\"";
    let Step::Tell(answer) = session.line(why) else { panic!("an answer") };
    assert!(answer.text.unwrap().ends_with("viewer(User::\"bob\", Document::\"plan\") (trial 1)"));
    check(&mut session, ":forget 3", "! error: there is no statement 3 on trial: `:trial` lists them");
    check(&mut session, ":forget 1", "1  shared(D) :- viewer(A, D), viewer(B, D), A != B.");
    check(&mut session, "shared(D)?", "no rows");
    check(&mut session, ":forget", "nothing is on trial");
    assert_eq!(session.answers().stable().sources(), &files);
}

#[test]
fn what_cannot_be_built_is_refused_and_changes_nothing() {
    let mut session = session();
    check(&mut session, "relation likes(User, User).", "on trial: relation likes(User, User).");
    check(&mut session, "likes(User::\"a\", User::\"b\").", "on trial: likes(User::\"a\", User::\"b\").");
    let before = session.answers().clone();
    for line in
        ["likes(User::\"a\").", "hates(a, b).", "p(X) :- q(X).", "p(X", "p(X.", ".", "\"\nversion = 2\n[policies]\n."]
    {
        let Step::Tell(answer) = session.line(line) else { panic!("{line}") };
        assert_eq!(answer.answered, Answered::No, "{line}");
        assert!(Arc::ptr_eq(session.answers(), &before), "{line}");
    }
    let question = "! error[not-constant]: `D` is not a constant\n --> trial/3.rune:3:21\n \
                    help: a fact has no variables: write strings in quotes or as words with a small letter\n\
                    warning: what ends with a period is for trial; to ask, write `viewer(User::\"ada\", D)?`";
    check(&mut session, "viewer(User::\"ada\", D).", question);
    let Step::Tell(answer) = session.line(":forget 1") else { panic!("an answer") };
    assert_eq!(answer.json["error"], "what would be left on trial is refused");
    check(&mut session, "likes(A, B)?", "A = User::\"a\", B = User::\"b\"");
}

#[test]
fn a_statement_opens_no_section() {
    let mut session = session();
    let Step::Tell(answer) = session.line("p(a),\n[policies]\npermit (principal, action, resource);\n// .") else {
        panic!("an answer")
    };
    assert_eq!(answer.answered, Answered::No);
    let anyone = ":decide User::\"eve\" Action::\"read\" Document::\"plan\"";
    check(&mut session, anyone, "deny\nnot permitted: no policy permits it");
}

#[test]
fn a_rule_on_trial_may_break_tests_and_that_is_told() {
    let mut session = session();
    let Step::Tell(answer) = session.line("@id(\"no\") forbid(U, A, D) :- viewer(U, D), A is Action.") else {
        panic!("an answer")
    };
    assert_eq!(answer.answered, Answered::Yes, "{answer:?}");
    assert_eq!(answer.json["findings"][0]["code"], "test-failed");
    assert_eq!(answer.json["findings"].as_array().unwrap().len(), 1, "what is odd about the folder is not told again");
    let Step::Tell(answer) = session.line(":decide User::\"ada\" Action::\"read\" Document::\"plan\"") else {
        panic!("an answer")
    };
    assert!(answer.text.unwrap().starts_with("deny\nforbidden by no (trial 1)"));
    check(&mut session, "viewer(User::\"x\", \"y\").", "on trial: viewer(User::\"x\", \"y\").");
}

#[test]
fn trial_has_a_path_that_no_file_has() {
    let other = ("trial/1.rune", "version = \"rune/1.0\"\n[rules]\nviewer(User::\"eve\", \"plan\").\n");
    let mut session = Session::new(lineup(&[("main.rune", FOLDER), other]), Shown::default(), 9);
    check(&mut session, "viewer(User::\"bob\", \"plan\").", "on trial: viewer(User::\"bob\", \"plan\").");
    let three = "U = User::\"ada\"\nU = User::\"bob\"\nU = User::\"eve\"";
    check(&mut session, "viewer(U, Document::\"plan\")?", three);
}

#[test]
fn what_only_looks_like_a_place_on_trial_is_shown_as_it_is() {
    let entity = "User::\"trial/1.rune:3:1\"";
    let other = format!("version = \"rune/1.0\"\n[rules]\nviewer({entity}, \"notes\").\n");
    let mut session = Session::new(lineup(&[("a.rune", &other), ("main.rune", FOLDER)]), Shown::default(), 9);
    check(&mut session, "viewer(User::\"bob\", \"plan\").", "on trial: viewer(User::\"bob\", \"plan\").");
    let why = ":why viewer(U, Document::\"notes\")";
    let proof = format!(
        "U = {entity}\n└─ ✓ viewer(U, Document::\"notes\")\n   └─ viewer({entity}, Document::\"notes\") (a.rune:3:1)"
    );
    check(&mut session, why, &proof);
    check(
        &mut session,
        &format!(":why viewer({entity}, D)"),
        &proof
            .replacen(&format!("U = {entity}"), "D = Document::\"notes\"", 1)
            .replace("✓ viewer(U, Document::\"notes\")", &format!("✓ viewer({entity}, D)")),
    );
}

#[test]
fn rules_on_trial_are_cited_by_their_numbers_and_their_names_if_they_have_one() {
    let mut session = session();
    for statement in ["shared(D) :- viewer(_, D).", "@id(\"seen\") seen(D) :- viewer(_, D)."] {
        check(&mut session, statement, &format!("on trial: {statement}"));
    }
    let proof = |head: &str, rule: &str| {
        let fact = "viewer(User::\"ada\", Document::\"plan\") (main.rune:7:1)";
        let row = format!("{head}(Document::\"plan\")");
        format!(
            "D = Document::\"plan\"\n└─ ✓ {head}(D)\n   └─ {row}, by {rule}\n      └─ ✓ viewer(_, D)\n         └─ {fact}"
        )
    };
    check(&mut session, ":why shared(D)", &proof("shared", "trial 1"));
    check(&mut session, ":why seen(D)", &proof("seen", "seen (trial 2)"));
}

#[test]
fn what_is_on_trial_is_cited_by_its_numbers_also_behind_an_edit() {
    let mut session = session();
    check(&mut session, "strikes(User::\"ada\", 3).", "on trial: strikes(User::\"ada\", 3).");
    let other = ("trial/1.rune", "version = \"rune/1.0\"\n");
    let edited = lineup(&[("main.rune", &FOLDER.replace("strikes", "points")), other]);
    assert!(said(session.news(News::Live(edited)).unwrap()).contains("refused with what is on trial"));
    let proof = "N = 3\n└─ ✓ strikes(User::\"ada\", N)\n   └─ strikes(User::\"ada\", 3) (trial 1)";
    check(&mut session, ":why strikes(User::\"ada\", N)", proof);
}

#[test]
fn facts_on_trial_may_be_rows_of_what_is_live_and_stay_no_rows_of_the_folder() {
    let mut session = session();
    check(&mut session, "suspended(U)?", "no rows");
    check(&mut session, "suspended(User::\"ada\").", "on trial: suspended(User::\"ada\").");
    check(&mut session, "suspended(U)?", "U = User::\"ada\"");
    let no = "@id(\"no\") forbid(U, _, _) :- suspended(U).";
    check(&mut session, no, &format!("on trial: {no}"));
    let denied = "deny: forbidden\n└─ forbid no (trial 2)\n   └─ ✓ suspended(U)\n      \
                  └─ suspended(User::\"ada\") (trial 1)";
    check(&mut session, ":why User::\"ada\" Action::\"read\" Document::\"plan\"", denied);
    let Step::Tell(relations) = session.line(":relations") else { panic!("an answer") };
    assert!(relations.text.unwrap().contains("suspended(User)  live, 1 row\n"), "it is live all the same");
    for rule in ["suspended(U) :- viewer(U, _).", "suspended(User::\"eve\"). suspended(U) :- viewer(U, _)."] {
        let Step::Tell(answer) = session.line(rule) else { panic!("an answer") };
        assert_eq!(answer.json["findings"][0]["code"], "ownership", "{rule}");
    }
}

#[test]
fn there_is_a_limit_to_what_is_on_trial() {
    let mut session = session();
    session.trial = vec!["viewer(User::\"bob\", \"plan\").".to_owned(); TRIAL_MAX];
    let full = "! error: 1000 statements are on trial, and there may be 1000: `:forget` some";
    check(&mut session, "viewer(User::\"eve\", \"plan\").", full);
}

#[test]
fn queries_may_depend_on_the_request_that_is_set() {
    let mut session = session();
    check(&mut session, "mine(D)?", "! error: the query depends on a request: `:request P A R` sets one");
    check(&mut session, ":why", "! error: there is no request: write one, or set one by `:request P A R`");
    check(&mut session, ":request", "no request is set");
    let request = "User::\"ada\" Action::\"read\" Document::\"plan\" { \"hour\": 9 }";
    check(&mut session, &format!(":request {request}"), request);
    check(&mut session, "mine(D)?", "D = Document::\"plan\"");
    check(&mut session, ":decide", "allow\nallowed by readers (main.rune:11:1)");
    check(&mut session, ":request none", "no request is set");
    check(&mut session, ":decide", "! error: there is no request: write one, or set one by `:request P A R`");
}

#[test]
fn lists_relations_and_facts_are_answered() {
    let mut session = session();
    let note = |found: &str, of: &str| format!("{found}\nnote: allowed for 1 of {of}");
    let known = "2 known entities; one that is not stored and that no fact names is in no list";
    let principals = note("User::\"ada\"", known);
    check(&mut session, ":principals Action::\"read\" Document::\"plan\"", &principals);
    let actions = note("Action::\"read\"", "1 action");
    check(&mut session, ":actions User::\"ada\" Document::\"plan\"", &actions);
    let resources = note("Document::\"plan\"", known);
    check(&mut session, ":resources User::\"ada\" Action::\"read\"", &resources);
    let relations = "can_read(User, Document)  derived, 1 row\n\
        mine(Document)  derived, depends on the request\n\
        strikes(User -> Long)  given, 0 rows\n\
        suspended(User)  live, 0 rows\n\
        viewer(who: User, what: Document)  given, 1 row";
    check(&mut session, ":relations", relations);
    let proof = "U = User::\"ada\", D = Document::\"plan\"\n\
        └─ ✓ can_read(U, D)\n\
        \u{20}  └─ can_read(User::\"ada\", Document::\"plan\"), by main.rune:rule0 (main.rune:8:1)\n\
        \u{20}     └─ ✓ viewer(U, D)\n\
        \u{20}        └─ viewer(User::\"ada\", Document::\"plan\") (main.rune:7:1)";
    check(&mut session, ":why can_read(U, D).", proof);
}

#[test]
fn an_edit_is_in_force_with_what_is_on_trial() {
    let mut session = session();
    check(&mut session, "viewer(User::\"bob\", \"plan\").", "on trial: viewer(User::\"bob\", \"plan\").");
    let edited = FOLDER.replace("\"ada\"", "\"eve\"");
    let folder = lineup(&[("main.rune", &edited)]);
    check_news(&mut session, News::Live(folder.clone()), "--- main.rune changed: in force");
    check(
        &mut session,
        "viewer(U, D)?",
        "U = User::\"bob\", D = Document::\"plan\"\nU = User::\"eve\", D = Document::\"plan\"",
    );
    check_news(&mut session, News::Live(folder.clone()), "");
    assert_eq!(said(session.reload(Ok(folder))), "nothing has changed");
    assert_eq!(said(session.reload(Ok(lineup(&[("main.rune", FOLDER)])))), "main.rune changed: in force");
}

#[test]
fn a_refused_edit_changes_nothing_and_is_told_once() {
    let mut session = session();
    let refusal = || build(&[("main.rune", "version = \"rune/1.0\"\n[polices]\n")]).unwrap_err();
    let finding = "error[unknown-section]: `polices` is not the name of a section\n --> main.rune:2:1\n \
                   help: did you mean `[policies]`?";
    let told = format!("{finding}\n--- main.rune changed: refused, answers are as before");
    check_news(&mut session, News::Refused(refusal()), &told);
    check_news(&mut session, News::Refused(refusal()), "");
    assert_eq!(said(session.reload(Err(refusal()))), format!("! {finding}"), "whoever asks is told again");
    check(&mut session, "can_read(U, D)?", "U = User::\"ada\", D = Document::\"plan\"");
    check_news(&mut session, News::Recovered, "--- the files are again those of before");
    check_news(
        &mut session,
        News::Trouble("there is no folder x".to_owned()),
        "--- there is no folder x; answers are as before",
    );
}

#[test]
fn an_edit_that_does_not_go_with_what_is_on_trial_waits_until_that_is_forgotten() {
    let mut session = session();
    check(&mut session, "strikes(User::\"ada\", 3).", "on trial: strikes(User::\"ada\", 3).");
    let other = lineup(&[("main.rune", &FOLDER.replace("strikes", "points"))]);
    let news = session.news(News::Live(other.clone())).unwrap();
    let told = said(news);
    assert!(told.starts_with("error[undeclared-relation]"), "{told}");
    let end = "--- main.rune changed: refused with what is on trial, answers are as before until `:forget`";
    assert!(told.ends_with(end), "{told}");
    check(&mut session, "strikes(U, N)?", "U = User::\"ada\", N = 3");
    assert_eq!(session.reload(Ok(other)).answered, Answered::No, "it is not in force");
    check(&mut session, ":forget", "nothing is on trial");
    check(&mut session, "points(U, N)?", "no rows");
}

#[test]
fn the_help_names_every_command() {
    let Step::Tell(help) = session().line(":help") else { panic!("an answer") };
    let help = help.text.unwrap();
    assert!(command::COMMANDS.iter().all(|command| help.contains(command.name)));
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}
