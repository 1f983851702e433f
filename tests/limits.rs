//! What is as high as the limits allow is built and decided on the stacks that there are.

use std::thread;

use rune_core::{
    BuildError, Engine, EntityRef, File, Options, Program, Request, Sources, base::limits, diag::Code, diag::Severity,
};

/// The stack of a thread that decides: a quarter of what threads are usually given, and a debug build takes more.
const DECIDING_STACK_BYTES: usize = if cfg!(debug_assertions) { 6 << 20 } else { 512 << 10 };

const SCHEMA: &str = "entity User { n: Long };\naction read appliesTo { principal: User, resource: User };";

fn build(condition: &str) -> Result<Program, BuildError> {
    let policy = format!("permit (principal, action, resource) when {{ {condition} }};");
    let files = [("a.cedar", policy.as_str()), ("s.cedarschema", SCHEMA)];
    let files = files.map(|(path, text)| File::new(path, text.as_bytes())).to_vec();
    Program::build(Sources::new(files), Options::default())
}

fn request() -> Request {
    let user = || EntityRef::new("User", "ada");
    Request::new(user(), EntityRef::new("Action", "read"), user())
}

#[test]
fn an_expression_of_the_greatest_height_is_decided_on_a_small_stack() {
    let height = limits::EXPRESSION_HEIGHT_MAX - 2;
    let program = build(&format!("0 < {}1", "1 + ".repeat(height - 1))).unwrap_or_else(|error| panic!("{error}"));
    let engine = Engine::new(program);
    let decide = move || engine.decide(&request()).is_allowed();
    let thread = thread::Builder::new().stack_size(DECIDING_STACK_BYTES).spawn(decide).expect("a thread");
    assert!(thread.join().expect("no overflow"));
}

#[test]
fn a_deep_proof_is_found_and_drawn_on_a_small_stack() {
    let edges: Vec<String> = (0..900).map(|n| format!("edge(p{n}, p{}).", n + 1)).collect();
    let text = format!(
        "version = \"rune/1.0\"\n[rules]\nrelation edge(String, String).\n{}\nreach(\"p0\") :- edge(\"p0\", _).\n\
         reach(Y) :- reach(X), edge(X, Y).\n@id(\"way\") permit(_, _, _) :- reach(\"p900\").\n",
        edges.join("\n")
    );
    let program = Program::build(Sources::single("a.rune", &text), Options::default());
    let engine = Engine::new(program.unwrap_or_else(|error| panic!("{error}")));
    let explain = move || {
        let explanation = engine.explain(&request());
        (explanation.facts.len(), explanation.is_incomplete, explanation.to_string().lines().count())
    };
    let thread = thread::Builder::new().stack_size(DECIDING_STACK_BYTES).spawn(explain).expect("a thread");
    let (n_facts, is_incomplete, n_lines) = thread.join().expect("no overflow");
    assert_eq!((n_facts, is_incomplete), (1_801, false));
    assert!((2 * limits::TREE_DEPTH_MAX..5 * limits::TREE_DEPTH_MAX).contains(&n_lines), "{n_lines}");
}

#[test]
fn missing_facts_of_the_longest_rules_are_looked_for_on_a_small_stack() {
    let body = |atom: &str| vec![atom; limits::CONDITIONS_MAX - 1].join(", ");
    let rules: Vec<String> = (0..8)
        .map(|n| {
            format!(
                "p{n}(X) :- {}, {}.\n",
                body("e(X, _)"),
                if n == 7 { "f(X)".to_owned() } else { format!("p{}(X)", n + 1) }
            )
        })
        .collect();
    let text = format!(
        "version = \"rune/1.0\"\n[data]\ne = [[\"ada\", 1]]\n[rules]\nrelation e(User, Long).\nrelation f(User).\n{}\
         @id(\"p\") permit(U, _, _) :- p0(U).\n",
        rules.concat()
    );
    let program = Program::build(Sources::single("a.rune", &text), Options::default());
    let engine = Engine::new(program.unwrap_or_else(|error| panic!("{error}")));
    let explain = move || engine.explain(&request()).candidates.len();
    let thread = thread::Builder::new().stack_size(DECIDING_STACK_BYTES).spawn(explain).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), 1);
}

#[test]
fn a_text_of_the_greatest_height_is_parsed_and_validated() {
    // Flat once it is compiled, and as high as text may be before: each level is validated on the one below.
    let n = limits::TEXT_HEIGHT_MAX / 2 - 10;
    let program = build(&format!("{}true", "principal.n == 1 || ".repeat(n / 2)));
    assert!(program.is_ok(), "{}", program.err().map(|error| error.to_string()).unwrap_or_default());
    // Too high once compiled: refused, after all of Cedar's parser and validator have seen it.
    let error = build(&format!("0 < {}1", "1 + ".repeat(limits::TEXT_HEIGHT_MAX - 10))).expect_err("too high");
    assert!(error.to_string().contains("expression-too-high"), "{error}");
}

#[test]
fn a_decision_that_takes_too_many_steps_is_denied_and_told() {
    let files = [
        File::new("a.cedar", *b"permit (principal, action, resource);\n\
                                forbid (principal, action, resource) when { context.text like \"*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\" };"),
    ];
    let program =
        Program::build(Sources::new(files.to_vec()), Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let engine = Engine::new(program);
    let request = request().with("text", "a".repeat(1_000_000));
    let decision = engine.decide(&request);
    assert!(matches!(&decision.why, rune_core::Why::Error(why) if why.contains("steps")), "{decision:?}");
    assert!(!decision.is_allowed());
    assert_eq!(engine.explain(&request).decision, decision);
}

fn derive(rules: &str, options: Options) -> String {
    let text = format!("version = \"rune/1.0\"\n[rules]\n{rules}");
    match Program::build(Sources::single("a.rune", &text), options) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn rules_that_count_for_ever_end_at_the_limit_of_rows() {
    let rules = "relation start(Long).\nstart(0).\nn(X) :- start(X).\nn(X + 1) :- n(X).\n";
    let said = derive(rules, Options { rows_max: 10_000, ..Options::default() });
    assert!(said.contains("error[too-many-rows]: the rule a.rune:rule1 (a.rune:6:1) derives more rows"), "{said}");
}

#[test]
fn rules_that_pair_everything_with_everything_end_at_the_limit_of_steps() {
    let facts: String = (0..100).map(|n| format!("p({n}).\n")).collect();
    let rules = format!("relation p(Long).\n{facts}q(1) :- p(A), p(B), p(C), p(D), A + B + C + D < 0.\n");
    let said = derive(&rules, Options { steps_max: 100_000, ..Options::default() });
    assert!(said.contains("error[too-many-steps]: the rule a.rune:rule0"), "{said}");
}

#[test]
fn more_rows_than_the_limit_are_refused_where_they_stand() {
    let facts: String = (0..100).map(|n| format!("p({n}).\n")).collect();
    let said = derive(&format!("relation p(Long).\n{facts}"), Options { rows_max: 50, ..Options::default() });
    assert!(said.contains("error[too-many-rows]: there are more than 50 rows\n --> a.rune:54:1"), "{said}");
}

/// What is repeated of a text is cut, or left out: a name or an id may be as long as a file.
#[test]
fn no_finding_of_a_hostile_text_is_long() {
    // A few values that are cut, and the words around them.
    const FINDING_CHARS_MAX: usize = 4 * limits::SHOWN_CHARS_MAX;
    let schema = "[schema]\nentity User, Group;\nentity Doc { owner: User };\n\
                  action read appliesTo { principal: User, resource: Doc };\n";
    let of_test = "[rules]\n[test.\"t\"]\nexpect = \"allow\"\n";
    let texts = [
        "[entities]\nDoc.d = { owner = \"LONG\" }\n",
        "[entities]\nDoc.d = { owner = \"User::LONG\" }\n",
        "[entities]\nDoc.d = { owner = 'Usr::\"LONG\"' }\n",
        "[entities]\nDoc.d = { owner = LONG }\n",
        "[entities]\nDoc.d = { LONG = 1 }\n",
        "[entities]\nDoc.d = { owner = \"User::\"LONG\"\" }\n",
        "[entities]\nUser.d = { in = ['LONG::\"a\"', 'Grup::\"LONG\"'] }\n",
        "[data]\np = [\"User::LONG\", \"User::\\\"LONG\\\"\", \" LONG\"]\n[rules]\nrelation p(User).\n",
        "[data]\np = [\"LONG\", \"User::LONG\", \"x::LONG\"]\n[rules]\nrelation p(User | Group).\n",
        "[data]\np = { rows_from = \"LONG.csv\" }\n[rules]\nrelation p(User).\n",
        "[rules]\nq(X) :- User(X), X == \"LONG\".\n",
        "[rules]\nq(X) :- User(X), X == LONG.\n",
        "[rules]\nq(X) :- User(X), X == a::LONG.\n",
        "[rules]\nq(X) :- User(X), X == Usr::\"LONG\".\n",
        "[rules]\n@id(\"x\") permit(\"LONG\", LONG, _) :- User(\"ada\").\n",
        "[rules]\nq(X) :- !LONG(X).\n",
        "[rules]\nq(X) :- (LONG(X)).\n",
        "[rules]\nq(X) :- LONG(X) && p(X).\n",
        "[policies]\npermit (principal == \"LONG\", action, resource);\n",
        "[policies]\npermit (principal, action, resource == LONG);\n",
        "[policies]\npermit (principal, action, resource) when { resource.owner == \"LONG\" };\n",
        "[policies]\npermit (principal, action, resource) when { LONG(principal) };\n",
        &format!("{of_test}request = {{ principal = \"LONG\", action = 'LONG', resource = 'User.LONG', LONG = 1 }}\n"),
        &format!("{of_test}LONG = 1\nbecause = \"LONG\"\n"),
    ];
    let long = "a".repeat(300_000);
    for text in texts {
        for schema in [schema, ""] {
            let whole = format!("version = \"rune/1.0\"\n{schema}{}", text.replace("LONG", &long));
            let report = match Program::build(Sources::single("a.rune", &whole), Options::default()) {
                Ok(program) => program.warnings().clone(),
                Err(BuildError::Refused(report)) => report,
                Err(error) => panic!("{error}"),
            };
            for finding in &report.findings {
                // What Cedar says is cut as a whole.
                let is_cedar_s = matches!(finding.code, Code::PolicySyntax | Code::PolicyInvalid);
                let message_max = if is_cedar_s { limits::FINDING_CHARS_MAX + 1 } else { FINDING_CHARS_MAX };
                let said = [(Some(&finding.message), message_max), (finding.help.as_ref(), FINDING_CHARS_MAX)];
                let mut said = said.into_iter().filter_map(|(said, max)| Some((said?, max)));
                let long = said.find(|(said, max)| *max < said.chars().count()).map(|(said, _)| said);
                assert_eq!(long.map(|said| said.chars().take(80).collect::<String>()), None, "{text}");
            }
        }
    }
}

/// Where nothing cuts what a message repeats, the finding is cut as a whole.
#[test]
fn what_follows_from_text_that_was_not_read_takes_no_room() {
    let rules: Vec<String> = (0..150).map(|n| format!("r(X) :- p(X), q(X), X != \"{n}\".\n")).collect();
    let text = format!(
        "version = \"rune/1.0\"\n[rules]\nrelation q(String).\nq(\"a\").\np(X) := q(X).\n{}zz(X) :- q(X), nosuch(X).\n\
         [policies]\npermit (principal, action, resource) when {{ foo(1) }};\n",
        rules.concat()
    );
    let Err(BuildError::Refused(report)) = Program::build(Sources::single("a.rune", &text), Options::default()) else {
        panic!("refused")
    };
    let errors: Vec<_> = report.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let told: Vec<_> = errors.iter().map(|finding| finding.code).collect();
    assert_eq!(told, [Code::RuleSyntax, Code::UnknownRelation, Code::PolicySyntax], "{report}");
    assert!(errors[1].message.contains("`nosuch`"), "{report}");
    assert_eq!(report.n_beyond, 0, "{report}");
}

#[test]
fn a_message_with_a_name_of_any_length_has_a_limit() {
    let long = "a".repeat(300_000);
    let text = format!("version = \"rune/1.0\"\n[rules]\nrelation p(User).\nq(X) :- p(X), {long}(X).\n");
    let error = Program::build(Sources::single("a.rune", &text), Options::default()).expect_err("unknown");
    let BuildError::Refused(report) = error else { panic!("{error}") };
    for finding in &report.findings {
        assert!(finding.message.chars().count() <= limits::FINDING_CHARS_MAX + 1);
        assert!(finding.help.iter().all(|help| help.chars().count() <= limits::FINDING_CHARS_MAX));
    }
}

fn in_words(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group).into_owned()).collect::<Vec<_>>().join(",")
}

/// The limits of live facts and of what is kept for questions, as the reference writes them.
fn of_live_facts() -> [(&'static str, String); 9] {
    [
        ("BATCH_CHANGES_MAX", in_words(limits::BATCH_CHANGES_MAX as u64)),
        ("LATER_PROCEDURES_MAX", in_words(limits::LATER_PROCEDURES_MAX as u64)),
        ("LIVE_DERIVED_MAX", in_words(limits::LIVE_DERIVED_MAX)),
        ("LIVE_ROWS_MAX", in_words(limits::LIVE_ROWS_MAX)),
        ("LIVE_STEPS_MAX", in_words(limits::LIVE_STEPS_MAX)),
        ("RETAINED_CHANGES_MAX", in_words(limits::RETAINED_CHANGES_MAX as u64)),
        ("REVISIONS_MAX", in_words(limits::REVISIONS_MAX as u64)),
        ("REVISION_AGE_MAX", format!("{} s", limits::REVISION_AGE_MAX.as_secs())),
        ("WAITERS_MAX", in_words(limits::WAITERS_MAX as u64)),
    ]
}

#[test]
fn the_reference_says_each_limit_as_it_is() {
    let page = include_str!("../docs/LANGUAGE.md");
    let mebibytes = |bytes: usize| format!("{} MiB", bytes >> 20);
    let limits = [
        ("FILE_BYTES_MAX", mebibytes(limits::FILE_BYTES_MAX)),
        ("ROW_FILE_BYTES_MAX", mebibytes(limits::ROW_FILE_BYTES_MAX)),
        ("SOURCE_BYTES_MAX", mebibytes(limits::SOURCE_BYTES_MAX)),
        ("REQUEST_BYTES_MAX", mebibytes(limits::REQUEST_BYTES_MAX)),
        ("FILES_MAX", in_words(limits::FILES_MAX as u64)),
        ("DIRECTORY_DEPTH_MAX", in_words(limits::DIRECTORY_DEPTH_MAX as u64)),
        ("NESTING_MAX", in_words(limits::NESTING_MAX as u64)),
        ("TEXT_HEIGHT_MAX", in_words(limits::TEXT_HEIGHT_MAX as u64)),
        ("EXPRESSION_HEIGHT_MAX", in_words(limits::EXPRESSION_HEIGHT_MAX as u64)),
        ("ACCESSES_MAX", in_words(limits::ACCESSES_MAX as u64)),
        ("ROWS_MAX", in_words(limits::ROWS_MAX)),
        ("REQUEST_ROWS_MAX", in_words(limits::REQUEST_ROWS_MAX)),
        ("DERIVATION_STEPS_MAX", in_words(limits::DERIVATION_STEPS_MAX)),
        ("ROUNDS_MAX", in_words(limits::ROUNDS_MAX)),
        ("DERIVING_THREADS_MAX", in_words(limits::DERIVING_THREADS_MAX as u64)),
        ("DECISION_STEPS_MAX", in_words(limits::DECISION_STEPS_MAX)),
        ("EXPLANATION_STEPS_MAX", in_words(limits::EXPLANATION_STEPS_MAX)),
        ("LIST_STEPS_MAX", in_words(limits::LIST_STEPS_MAX)),
        ("EXPLAINED_FACTS_MAX", in_words(limits::EXPLAINED_FACTS_MAX as u64)),
        ("EXPLANATION_STACK_BYTES", mebibytes(limits::EXPLANATION_STACK_BYTES)),
        ("EXPLANATION_BYTES_MAX", mebibytes(limits::EXPLANATION_BYTES_MAX)),
        ("MISSING_DEPTH_MAX", in_words(limits::MISSING_DEPTH_MAX as u64)),
        ("TREE_LINE_CHARS_MAX", in_words(limits::TREE_LINE_CHARS_MAX as u64)),
        ("READS_MAX", in_words(limits::READS_MAX as u64)),
        ("ASKED_MAX", in_words(limits::ASKED_MAX as u64)),
        ("OPERANDS_DEPTH_MAX", in_words(limits::OPERANDS_DEPTH_MAX as u64)),
        ("ATTEMPTS_MAX", in_words(limits::ATTEMPTS_MAX as u64)),
        ("ANSWER_ROWS_MAX", in_words(limits::ANSWER_ROWS_MAX as u64)),
        ("TREE_DEPTH_MAX", in_words(limits::TREE_DEPTH_MAX as u64)),
        ("FOLDED_ROWS_MAX", in_words(limits::FOLDED_ROWS_MAX as u64)),
        ("MINIMAL_STEPS_MAX", in_words(limits::MINIMAL_STEPS_MAX)),
        ("MINIMAL_OPTIONS_MAX", in_words(limits::MINIMAL_OPTIONS_MAX as u64)),
        ("CANDIDATES_MAX", in_words(limits::CANDIDATES_MAX as u64)),
        ("ATTEMPTS_HEIGHT_MAX", in_words(limits::ATTEMPTS_HEIGHT_MAX as u64)),
        ("MISSING_FACTS_MAX", in_words(limits::MISSING_FACTS_MAX as u64)),
        ("MISSING_FACTS_ASKED_MAX", in_words(limits::MISSING_FACTS_ASKED_MAX as u64)),
        ("MISSING_SETS_MAX", in_words(limits::MISSING_SETS_MAX as u64)),
        ("SUPPOSED_SETS_ASKED_MAX", in_words(limits::SUPPOSED_SETS_ASKED_MAX as u64)),
        ("MISSING_STEPS_MAX", in_words(limits::MISSING_STEPS_MAX)),
        ("SUPPOSED_SETS_MAX", in_words(limits::SUPPOSED_SETS_MAX as u64)),
        ("SUPPOSED_VALUES_MAX", in_words(limits::SUPPOSED_VALUES_MAX as u64)),
        ("ANCESTORS_MAX", in_words(limits::ANCESTORS_MAX as u64)),
        ("FINDINGS_MAX", in_words(limits::FINDINGS_MAX as u64)),
        ("CONDITIONS_MAX", in_words(limits::CONDITIONS_MAX as u64)),
        ("SCHEMA_SIZE_MAX", in_words(limits::SCHEMA_SIZE_MAX as u64)),
        ("SCHEMA_DEPTH_MAX", in_words(limits::SCHEMA_DEPTH_MAX as u64)),
        ("BUILD_STACK_BYTES", mebibytes(limits::BUILD_STACK_BYTES)),
        ("VALUES_MAX", in_words(limits::VALUES_MAX as u64)),
        ("SHOWN_CHARS_MAX", in_words(limits::SHOWN_CHARS_MAX as u64)),
        ("FINDING_CHARS_MAX", in_words(limits::FINDING_CHARS_MAX as u64)),
    ];
    let limits: Vec<_> = limits.into_iter().chain(of_live_facts()).collect();
    let source = include_str!("../rune-core/src/base/limits.rs");
    let names = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'));
    for (name, _) in names {
        assert!(limits.iter().any(|(known, _)| *known == name), "{name} is not in this list");
    }
    for (name, value) in limits {
        assert!(page.contains(&format!("| {value} | `{name}` |")), "{name} is {value}");
    }
}

#[test]
fn procedures_for_questions_of_many_kinds_do_not_pile_up() {
    let columns = 12;
    let names: Vec<String> = (0..columns).map(|at| format!("X{at}")).collect();
    let source = format!(
        "version = \"rune/1.0\"\n[rules]\nrelation given({}).\ngiven({}).\nwide({args}) :- given({args}).\n",
        vec!["Long"; columns].join(", "),
        vec!["1"; columns].join(", "),
        args = names.join(", ")
    );
    let program = Program::build(Sources::single("a.rune", &source), Options::default()).expect("it is right");
    let engine = Engine::new(program);
    for pattern in 0..1u32 << columns {
        let is_given = |at: usize| pattern >> at & 1 == 1;
        let terms: Vec<&str> = (0..columns).map(|at| if is_given(at) { "1" } else { &*names[at] }).collect();
        let rows = engine.query(&format!("wide({})", terms.join(", ")), None).expect("a query").rows;
        assert_eq!(rows.len(), 1);
    }
    let n_later = engine.lineup().stable().demand().n_later();
    assert!(n_later <= limits::LATER_PROCEDURES_MAX + 10, "{n_later} are kept");
}

#[test]
fn what_counts_up_without_end_is_refused() {
    let rules = "version = \"rune/1.0\"\n[rules]\nrelation start(String, Long).\nstart(\"a\", 0).\n\
        @materialize relation n(String, Long).\nn(X, N) :- start(X, N).\nn(X, M) :- n(X, N), M = N + 1.\n";
    let refused =
        Program::build(Sources::single("a.rune", rules), Options::default()).map(drop).unwrap_err().to_string();
    assert!(refused.contains("derives from what it derived more often than the 4000000 times"), "{refused}");
}
