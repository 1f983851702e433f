//! Live facts under the next program: what stays where it is answers as what is brought over does.

#![expect(clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use rune_core::{Batch, Engine, EntityRef, List, Node, Options, Program, Request, Sources};

fn sources(text: &str) -> Sources {
    Sources::single("a.rune", &format!("version = \"rune/1.0\"\n{text}"))
}

fn engine(text: &str, batch: &Batch) -> Engine {
    let program = Program::build(sources(text), Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let engine = Engine::new(program);
    engine.facts().apply(batch).expect("it fits");
    engine
}

fn node(text: &str) -> Node {
    text.parse().expect("JSON")
}

/// What both ways of a reload answer: the rows of a query, whether a request is allowed, and what is listed.
fn check(texts: [&str; 2], batch: &Batch, query: &str, expected: &str) {
    let request =
        Request::new(EntityRef::new("User", "u"), EntityRef::new("Action", "read"), EntityRef::new("Document", "d"));
    for is_next in [true, false] {
        let engine = engine(texts[0], batch);
        let next = match is_next {
            true => engine.lineup().stable().build_next(sources(texts[1]), Options::default()),
            false => Program::build(sources(texts[1]), Options::default()),
        };
        engine.swap(next.unwrap_or_else(|error| panic!("{error}"))).map(drop).expect("it has a place for all");
        assert!(engine.facts().is_counted(), "values are not held as they are named");
        let rows = engine.query(query, None).unwrap_or_else(|error| panic!("{error}")).rows;
        let listed = engine
            .list(&List::actions(EntityRef::new("User", "u"), EntityRef::new("Document", "d")))
            .map(|listed| listed.entities.len());
        let told = format!("{} {} {}", rows.len(), engine.decide(&request).is_allowed(), listed.unwrap_or(9));
        assert_eq!(told, expected, "where live facts {}", if is_next { "stay" } else { "are brought over" });
    }
}

const PEOPLE: &str = "[schema]\nentity Group in [Group];\nentity Document in [Group];\n\
    action read appliesTo { principal: [User], resource: [Document] };\n\
    @live entity User in [Group] { name: String, groups: Set<Group> };\n";
const PUT: &str = r#"{"uid":{"type":"User","id":"u"},
    "attrs":{"name":"staff","groups":[{"__entity":{"type":"Group","id":"staff"}}]},
    "parents":[{"type":"Group","id":"a"}]}"#;

#[test]
fn parents_that_files_derive_are_those_of_the_next_program() {
    let text = |to: &str| {
        format!(
            "{PEOPLE}[data]\nlink = [[\"a\", \"{to}\"]]\n[rules]\nrelation link(Group, Group).\nparent(G, H) :- link(G, H).\n\
            @id(\"in\") permit(U, _, _) :- U in Group::\"b\".\n"
        )
    };
    check([&text("b"), &text("c")], &Batch::default().put(node(PUT)), "parent(X, Y)", "2 false 0");
}

#[test]
fn what_has_a_new_id_has_it_however_deep_it_is() {
    let text = |id: &str| {
        format!(
            "{PEOPLE}[policies]\n@id(\"{id}\") permit (principal, action, resource) when {{ principal.groups.contains(Group::\"{id}\") }};\n"
        )
    };
    check([&text("x"), &text("staff")], &Batch::default().put(node(PUT)), "User(X)", "1 true 1");
}

#[test]
fn rows_of_files_go_when_their_relation_comes_to_be_live() {
    let rest = "@live relation member(User, Group).\n@materialize relation a(User).\na(U) :- member(U, _), noted(U).\n\
        @id(\"a\") permit(U, _, _) :- a(U).\n";
    let before = format!("[data]\nnoted = [[\"u\"]]\n[rules]\nrelation noted(User).\n{rest}");
    let after = format!("[rules]\n@live relation noted(User).\n{rest}");
    let batch = Batch::default().insert("member", ["\"u\"", "\"staff\""].map(node));
    check([&before, &after], &batch, "a(X)", "0 false 0");
}

#[test]
fn a_sum_that_the_next_program_names_is_that_number() {
    let before = "[rules]\n@live relation strikes(User -> Long).\n@materialize relation total(Long).\n\
        total(N) :- N = sum { M, U : strikes(U, M) }.\n@id(\"x\") permit(_, _, _) :- total(7).\n";
    let after = format!("{before}@materialize relation full(Long).\nfull(N) :- total(N), N == 2147483648.\n");
    let batch = Batch::default().insert("strikes", ["\"u\"", "1000000000"].map(node));
    let batch = batch.insert("strikes", ["\"v\"", "1147483648"].map(node));
    check([before, &after], &batch, "full(X)", "1 false 0");
}

#[test]
fn actions_that_live_facts_alone_name_are_listed() {
    let rest = "[rules]\n@live relation allowed(User, Action).\n@id(\"a\") permit(U, A, _) :- allowed(U, A).\n";
    let before = format!(
        "{rest}[policies]\n@id(\"b\") forbid (principal == User::\"x\", action == Action::\"read\", resource);\n"
    );
    let batch = Batch::default().insert("allowed", ["\"u\"", "\"read\""].map(node));
    check([&before, rest], &batch, "allowed(X, Y)", "1 true 1");
}

#[test]
fn what_is_kept_over_parents_of_files_and_live_ones_follows_both() {
    let text = |id: &str| {
        format!(
            "{PEOPLE}[data]\nlink = [[\"a\", \"b\"]]\n[rules]\nrelation link(Group, Group).\nparent(G, H) :- link(G, H).\n\
            @materialize relation among(User, Group).\namong(U, G) :- User(U), U in G, Group(G).\n\
            @id(\"{id}\") permit(U, _, _) :- among(U, Group::\"b\").\n"
        )
    };
    let stays = |engine: &Engine| engine.lineup().stable().build_next(sources(&text("y")), Options::default());
    let is_brought = |_: &Engine| Program::build(sources(&text("y")), Options::default());
    for way in 0..3 {
        let engine = engine(&text("x"), &Batch::default().put(node(PUT)));
        let next = match way {
            0 => None,
            1 => Some(stays(&engine)),
            _ => Some(is_brought(&engine)),
        };
        if let Some(next) = next {
            engine.swap(next.unwrap_or_else(|error| panic!("{error}"))).map(drop).expect("it has a place for all");
        }
        let rows = |query: &str| engine.query(query, None).expect("a query").rows.len();
        assert_eq!(rows("among(X, Y)"), 2);
        let moved = PUT.replace("\"id\":\"a\"", "\"id\":\"c\"");
        engine.facts().apply(&Batch::default().put(node(&moved))).expect("it fits");
        let told = ["among(X, Group::\"c\")", "among(X, Y)", "X in Y, User(X), Group(Y)"].map(rows);
        assert_eq!(told, [1; 3]);
        assert!(engine.facts().is_counted(), "values are not held as they are named");
    }
}
