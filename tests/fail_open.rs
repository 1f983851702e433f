//! Ways in which a slip, a typo or an error could grant. None does: it is refused, or denied and told.

use rune_core::{
    BuildError, Engine, EntityRef, Explanation, File, Options, Program, Request, Severity, Sources, Why, syntax::json,
};

const SCHEMA: &str = "entity Group;\nentity User in [Group] { level?: Long, @request role?: String };\nentity Doc;\n\
                      action read appliesTo { principal: User, resource: Doc, context: { n?: Long } };";

fn build(body: &str) -> Result<Program, String> {
    let text = format!("version = \"rune/1.0\"\n[schema]\n{SCHEMA}\n{body}");
    build_files(&[("a.rune", &text)])
}

fn build_files(files: &[(&str, &str)]) -> Result<Program, String> {
    let files = files.iter().map(|(path, text)| File::new(*path, text.as_bytes())).collect();
    Program::build(Sources::new(files), Options::default()).map_err(|error| match error {
        BuildError::Refused(report) => report.to_string(),
        error @ BuildError::NoThread(_) => panic!("{error}"),
    })
}

fn request(who: &str) -> Request {
    Request::new(EntityRef::new("User", who), EntityRef::new("Action", "read"), EntityRef::new("Doc", "d"))
}

fn explain(program: Program, request: &Request) -> Explanation {
    let engine = Engine::new(program);
    let explanation = engine.explain(request);
    assert_eq!(engine.decide(request), explanation.decision, "decide and explain agree");
    explanation
}

/// What is decided for somebody, by a body that builds.
fn why(body: &str, who: &str) -> Why {
    explain(build(body).unwrap_or_else(|report| panic!("{report}")), &request(who)).decision.why
}

fn refused(body: &str, code: &str) {
    let report = build(body).err().unwrap_or_else(|| panic!("{body} is not refused"));
    assert!(report.contains(&format!("error[{code}]")), "{report}");
}

const OVERFLOWING: &str = "[entities]\nUser.eve = { level = 9223372036854775807 }\nUser.ada = { level = 1 }\n";

#[test]
fn an_erring_guard_under_not_does_not_grant() {
    let rules = "[rules]\nrelation user(User).\nuser(ada). user(eve).\n\
                 @id(\"ok\") permit(U, _, _) :- user(U), U has level, not U.level + 1 > 5.";
    let body = format!("{OVERFLOWING}{rules}");
    assert!(why(&body, "ada").is_allowed());
    assert_eq!(why(&body, "eve"), Why::NotPermitted);
}

#[test]
fn a_stranger_does_not_pass_a_forbid_on_all_who_lack_something() {
    let rules = "[rules]\nrelation cleared(User).\ncleared(ada).\n\
                 @attribute relation barred(User).\nbarred(U) :- User(U), not cleared(U).\n\
                 [policies]\npermit (principal, action, resource);\n\
                 forbid (principal, action, resource) when { principal.barred };";
    assert!(why(rules, "ada").is_allowed());
    assert_eq!(why(rules, "nobody"), Why::ForbiddenBy("a.rune:policy1".into()));
}

#[test]
fn an_erring_guard_behind_a_relation_under_not_does_not_grant() {
    let rules = "[rules]\nrelation user(User).\nuser(ada). user(eve).\n\
                 high(U) :- user(U), U has level, U.level + 1 > 5.\nhigher(U) :- high(U).\n\
                 @id(\"ok\") permit(U, _, _) :- user(U), not higher(U).";
    let body = format!("{OVERFLOWING}{rules}");
    assert!(why(&body, "ada").is_allowed());
    assert_eq!(why(&body, "eve"), Why::NotPermitted);
    let told = explain(build(&body).unwrap(), &request("eve")).failed;
    assert!(told[0].message.contains("the rule a.rune:rule0 (a.rune:13:1): the sum goes beyond 64 bits"), "{told:?}");
}

#[test]
fn an_erring_forbid_denies_and_names_the_rule_and_its_place() {
    let rules = "[rules]\n@id(\"all\") permit(_, _, _).\n\
                 @id(\"high\") forbid(U, _, _) :- User(U), U has level, U.level + 1 > 5.";
    let body = format!("{OVERFLOWING}{rules}");
    assert!(why(&body, "ada").is_allowed());
    let Why::Error(fault) = why(&body, "eve") else { panic!("{:?}", why(&body, "eve")) };
    assert!(fault.contains("the forbid high is undetermined: the rule high (a.rune:12:1)"), "{fault}");
}

#[test]
fn an_aggregate_over_something_undetermined_does_not_grant() {
    let rules = "[rules]\nrelation user(User).\nuser(ada). user(eve).\n\
                 high(U) :- user(U), U has level, U.level + 1 > 5.\n\
                 @id(\"few\") permit(U, _, _) :- user(U), N = count { V : high(V) }, N < 5.";
    assert_eq!(why(&format!("{OVERFLOWING}{rules}"), "ada"), Why::NotPermitted);
}

#[test]
fn a_typo_of_a_variable_is_refused() {
    refused(
        "[rules]\nrelation m(User, Group).\nrelation ok(Group).\n@id(\"p\") permit(U, _, _) :- m(U, G), ok(Gg).",
        "single-use",
    );
    refused(
        "[rules]\nrelation m(User).\nrelation no(User).\n@id(\"p\") permit(U, _, _) :- m(U), not no(V).",
        "unbound-variable",
    );
}

#[test]
fn a_typo_of_a_relation_is_refused() {
    refused(
        "[rules]\nrelation user(User).\nrelation banned(User).\n@id(\"p\") permit(U, _, _) :- user(U), not baned(U).",
        "unknown-relation",
    );
    refused(
        "[rules]\n@attribute relation banned(User).\n[policies]\nforbid (principal, action, resource) when { principal.baned };",
        "policy-invalid",
    );
}

#[test]
fn an_entity_literal_in_the_id_of_a_row_is_refused() {
    let text = format!(
        "version = \"rune/1.0\"\n[schema]\n{SCHEMA}\n[data]\nbanned = {{ rows_from = \"b.csv\" }}\n[rules]\n@attribute relation banned(User)."
    );
    let report = build_files(&[("a.rune", &text), ("b.csv", "eve\n\"User::\"\"bob\"\"\"\n")]).err().unwrap();
    assert!(report.contains("error[entity-as-id]") && report.contains("b.csv:2:1"), "{report}");
    refused("[data]\nbanned = ['User::\"eve\"']\n[rules]\n@attribute relation banned(User).", "entity-as-id");
}

#[test]
fn has_on_the_name_of_a_relation_is_true_of_every_entity_of_its_type() {
    let rules = "[rules]\n@attribute relation banned(User).\n[policies]\n@id(\"all\") permit (principal, action, resource);\n\
                 @id(\"has\") forbid (principal, action, resource) when { principal has banned };";
    assert_eq!(why(rules, "nobody"), Why::ForbiddenBy("has".into()));
    // A relation cannot take the place of a stored attribute, whose absence a policy may ask for.
    refused("[rules]\n@attribute relation level(User).", "attribute-form");
}

#[test]
fn an_attribute_that_a_request_supplies_is_not_what_a_rule_reads_of_the_user() {
    let body = "[entities]\nUser.ada = { role = \"guest\" }\n[rules]\n\
                @id(\"admins\") permit(U, _, _) :- User(U), U has role, U.role == \"admin\".";
    let supplied = request("ada").with_principal_attributes(json::parse(r#"{ "role": "admin" }"#).unwrap());
    assert_eq!(explain(build(body).unwrap(), &supplied).decision.why, Why::NotPermitted);
    let words = body.replace("U has role, U.role", "principal has role, principal.role");
    assert!(
        explain(build(&words).unwrap(), &supplied).decision.why.is_allowed(),
        "the word `principal` reads the request"
    );
}

#[test]
fn deleting_the_last_row_of_a_relation_that_a_forbid_mentions_goes_through() {
    let rules = |row: &str| {
        format!(
            "[data]\nviewer = [{row}]\n[rules]\nrelation viewer(User).\nrelation banned(User).\n\
             @id(\"banned\") forbid(U, _, _) :- banned(U).\n@id(\"viewers\") permit(U, _, _) :- viewer(U)."
        )
    };
    assert!(why(&rules("\"eve\""), "eve").is_allowed());
    assert_eq!(why(&rules(""), "eve"), Why::NotPermitted, "the revocation is in force");
}

#[test]
fn deleting_the_last_row_that_a_test_counts_on_is_a_warning() {
    let rules = |row: &str| {
        format!(
            "[data]\nviewer = [{row}]\n[rules]\nrelation viewer(User).\n@id(\"viewers\") permit(U, _, _) :- viewer(U).\n\
             [test.\"eve reads\"]\nwith = \"data\"\nexpect = \"allow\"\n\
             request = {{ principal = 'User::\"eve\"', action = 'Action::\"read\"', resource = 'Doc::\"d\"' }}\n"
        )
    };
    assert!(build(&rules("\"eve\"")).unwrap().warnings().findings.is_empty());
    let program = build(&rules("")).unwrap_or_else(|report| panic!("{report}"));
    assert!(program.warnings().findings.iter().any(|finding| finding.severity == Severity::Warning));
    assert_eq!(explain(program, &request("eve")).decision.why, Why::NotPermitted);
}

#[test]
fn a_user_who_is_banned_while_a_test_says_otherwise_is_banned() {
    let body = "[data]\nbanned = [\"eve\"]\n[rules]\nrelation banned(User).\n@id(\"all\") permit(_, _, _).\n\
                @id(\"banned\") forbid(U, _, _) :- banned(U).\n[test.\"everybody reads\"]\nexpect = \"allow\"\n\
                request = { principal = 'User::\"eve\"', action = 'Action::\"read\"', resource = 'Doc::\"d\"' }\n";
    assert_eq!(why(body, "eve"), Why::ForbiddenBy("banned".into()), "a test sees no rows of the files");
    let with_data = body.replace("expect", "with = \"data\"\nexpect");
    assert_eq!(why(&with_data, "eve"), Why::ForbiddenBy("banned".into()), "and where it does, it only warns");
}

#[test]
fn a_missing_context_denies_where_a_forbid_reads_it() {
    let rules = "[rules]\n@id(\"all\") permit(_, _, _).\n\
                 @id(\"big\") forbid(_, _, _) :- context has n, context.n + 9223372036854775807 > 0.";
    let program = build(rules).unwrap_or_else(|report| panic!("{report}"));
    assert!(explain(program, &request("ada")).decision.why.is_allowed());
    let big = request("ada").with("n", 1_i64);
    let program = build(rules).unwrap_or_else(|report| panic!("{report}"));
    assert!(matches!(explain(program, &big).decision.why, Why::Error(_)));
    refused("[rules]\n@id(\"big\") forbid(_, _, _) :- context.n > 0.", "may-be-undetermined");
}
