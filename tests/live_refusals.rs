//! What a hostile writer of live facts sends: it is refused with a reason, or it takes as long as what it is long.

#![expect(clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::fmt::Write as _;

use rune_core::{ApplyError, Batch, Engine, EntityRef, Node, Options, Program, Request, Sources, Why};

const GROUPS: &str = r#"
[schema]
@live entity G in [G, F];
entity F in [G];
entity D;
action read appliesTo { principal: [G], resource: [D] };
[entities]
F.file = { in = ['G::"0"'] }
[policies]
@id("in") permit (principal in G::"0", action, resource);
"#;

fn engine(text: &str) -> Engine {
    Engine::new(program(text))
}

fn program(text: &str) -> Program {
    let sources = Sources::single("a.rune", &format!("version = \"rune/1.0\"\n{text}"));
    Program::build(sources, Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn apply(engine: &Engine, batch: &str) -> Result<u64, String> {
    let batch: Batch = batch.parse().map_err(|error| format!("no batch: {error}"))?;
    engine.facts().apply(&batch).map(|token| token.revision().get()).map_err(|error| error.to_string())
}

/// Puts entities, each with its parents.
fn put<'p>(entities: impl IntoIterator<Item = (&'p str, Vec<&'p str>)>) -> String {
    let uid = |id: &str| {
        let kind = if id == "file" { "F" } else { "G" };
        format!(r#"{{ "type": "{kind}", "id": "{id}" }}"#)
    };
    let mut batch = r#"{ "put": ["#.to_owned();
    for (at, (id, parents)) in entities.into_iter().enumerate() {
        let parents: Vec<String> = parents.into_iter().map(uid).collect();
        let comma = if at == 0 { "" } else { "," };
        write!(batch, r#"{comma} {{ "uid": {}, "attrs": {{}}, "parents": [{}] }}"#, uid(id), parents.join(", "))
            .expect("text");
    }
    batch + "] }"
}

fn is_allowed(engine: &Engine, group: &str) -> bool {
    why(engine, group).is_allowed()
}

fn why(engine: &Engine, group: &str) -> Why {
    engine.decide(&request(group)).why
}

fn request(group: &str) -> Request {
    let [action, plan] = [("Action", "read"), ("D", "plan")].map(|(kind, id)| EntityRef::new(kind, id));
    Request::new(EntityRef::new("G", group), action, plan)
}

#[test]
fn a_circle_of_parents_is_refused_with_the_change_that_closes_it() {
    let engine = engine(GROUPS);
    let refused = |at: usize, id: &str| Err(format!("change {at}: G::\"{id}\" would be in itself"));
    assert_eq!(apply(&engine, &put([("a", vec!["a"])])), refused(0, "a"));
    assert_eq!(
        apply(&engine, &put([("a", vec!["b"]), ("x", vec![]), ("b", vec!["c"]), ("c", vec!["a"])])),
        refused(3, "c")
    );
    assert_eq!(apply(&engine, &put([("c", vec!["a"]), ("a", vec!["b"]), ("b", vec!["x", "c"])])), refused(2, "b"));
    assert_eq!(apply(&engine, &put([("0", vec!["file"])])), refused(0, "0"), "what files say of parents counts");
    assert_eq!(apply(&engine, &put([("a", vec!["b"])])), Ok(2));
    assert_eq!(apply(&engine, &put([("b", vec!["a"])])), refused(0, "b"), "and so does what was put before");
    // What counts is what there is after the batch.
    assert_eq!(apply(&engine, &put([("b", vec!["a"]), ("a", vec![])])), Ok(3));
    let ends = put([("a", vec!["b"])]).replacen('{', r#"{ "remove": [{ "type": "G", "id": "b" }],"#, 1);
    assert_eq!(apply(&engine, &ends), Ok(4));
}

#[test]
fn a_long_chain_of_parents_takes_as_long_as_it_is() {
    const N: usize = 20_000;
    let ids: Vec<String> = (0..N).map(|at| at.to_string()).collect();
    let down = || (1..N).map(|at| (&*ids[at], vec![&*ids[at - 1]]));
    // Each of both is quadratic to who walks up from each that is put; so many would take minutes.
    for batch in [put(down()), put(down().rev())] {
        let engine = engine(GROUPS);
        assert_eq!(apply(&engine, &batch), Ok(2));
        assert!(is_allowed(&engine, &ids[N - 1]) && !is_allowed(&engine, "x"));
        assert_eq!(
            apply(&engine, &put([("0", vec![&*ids[N - 1]])])).expect_err("a circle"),
            "change 0: G::\"0\" would be in itself"
        );
    }
}

/// limits-everywhere: each policy walks the whole chain.
#[test]
fn walking_up_takes_steps_of_a_decision() {
    const N: usize = 20_000;
    let policies = |n: usize| -> String {
        (0..n).map(|at| format!("@id(\"p{at}\") permit (principal in G::\"x{at}\", action, resource);\n")).collect()
    };
    let ids: Vec<String> = (0..N).map(|at| at.to_string()).collect();
    let chain = put((1..N).map(|at| (&*ids[at], vec![&*ids[at - 1]])));
    let answer = |n_policies: usize| {
        let engine = engine(
            &format!("{GROUPS}{}", policies(n_policies)).replace("principal in G::\"0\",", "principal == G::\"0\","),
        );
        assert_eq!(apply(&engine, &chain), Ok(2));
        why(&engine, &ids[N - 1])
    };
    assert_eq!(answer(10), Why::NotPermitted);
    let Why::Error(error) = answer(200) else { panic!("it takes too much") };
    assert!(error.contains("steps"), "{error}");
}

#[test]
fn two_rows_that_share_what_becomes_a_key_are_in_the_way_of_that() {
    let text = |relation: &str| {
        format!("[rules]\n@live relation quota({relation}).\n@id(\"q\") permit(U, _, _) :- quota(U, 3), U is User.\n")
    };
    let engine = engine(&text("User, Long"));
    assert_eq!(apply(&engine, r#"{ "insert": { "quota": [["ada", 1], ["ada", 3], ["bob", 3]] } }"#), Ok(2));
    let rows = |engine: &Engine| engine.query("quota(U, N)", None).expect("a query").rows.len();
    let error = engine.swap(program(&text("User -> Long"))).expect_err("one would be lost").to_string();
    assert!(error.ends_with("`quota` has one value for a key now, and live rows have two"), "{error}");
    assert_eq!(rows(&engine), 3, "nothing has changed");
    assert_eq!(apply(&engine, r#"{ "delete": { "quota": [["ada", 1]] } }"#), Ok(3));
    engine.swap(program(&text("User -> Long"))).map(drop).expect("it has a place for all");
    assert_eq!(apply(&engine, r#"{ "insert": { "quota": [["ada", 4]] } }"#), Ok(4));
    assert_eq!(rows(&engine), 2);
}

#[test]
fn parents_that_a_file_gives_and_live_ones_make_no_circle() {
    let engine = engine(GROUPS);
    assert_eq!(apply(&engine, &put([("1", vec!["other"]), ("other", vec![])])), Ok(2));
    let file = GROUPS.replace("F.file =", "F.other = { in = ['G::\"1\"'] }\nF.file =");
    // `other` of `put` is a group, and that of the file a folder.
    engine.swap(program(&file)).map(drop).expect("there is no circle");
    assert_eq!(
        apply(&engine, &put([("0", vec!["1"]), ("1", vec!["file"])])).expect_err("a circle"),
        "change 1: G::\"1\" would be in itself"
    );
    assert_eq!(apply(&engine, &put([("1", vec!["file"])])), Ok(3));
    let circle = GROUPS.replace("in = ['G::\"0\"']", "in = ['G::\"1\"']");
    let error = engine.swap(program(&circle)).expect_err("a circle").to_string();
    assert_eq!(error, "live facts are in the way: G::\"1\" would be in itself");
}

#[test]
fn a_parent_by_a_row_of_a_file_closes_a_circle_too() {
    let text = GROUPS.replace("[entities]\nF.file = { in = ['G::\"0\"'] }", "[rules]\nparent(F::\"file\", G::\"0\").");
    let engine = engine(&text);
    let error = apply(&engine, &put([("0", vec!["file"])])).expect_err("a circle");
    assert_eq!(error, "change 0: G::\"0\" would be in itself");
}

#[test]
fn an_id_that_the_schema_no_longer_lists_is_in_the_way() {
    let text = |ids: &str| {
        format!(
            "[schema]\nentity Color enum [{ids}];\n@live entity U {{ color: Color }};\n\
             action read appliesTo {{ principal: [U], resource: [U] }};\n[policies]\n@id(\"x\") permit (principal, action, resource);\n"
        )
    };
    let engine = engine(&text("\"red\", \"green\""));
    let ada = r#"{ "put": [{ "uid": { "type": "U", "id": "ada" }, "attrs": { "color": { "__entity": { "type": "Color", "id": "green" } } }, "parents": [] }] }"#;
    assert_eq!(apply(&engine, ada), Ok(2));
    let error = engine.swap(program(&text("\"red\""))).expect_err("green is no more").to_string();
    assert_eq!(error, "live facts are in the way: U::\"ada\": it names an entity that the schema does not have now");
    assert_eq!(engine.facts().counts().entities, 1);
}

#[test]
fn relations_of_any_form_take_rows() {
    let wide = |n: usize, last: &str| {
        let cells: Vec<String> = (1..n).map(|at| at.to_string()).chain([last.to_owned()]).collect();
        cells.join(", ")
    };
    for n in [1, 2, 16, 17, 33, 100] {
        let types = vec!["Long"; n].join(", ");
        let any = wide(n, "X");
        let engine = engine(&format!(
            "[rules]\n@live relation flag().\n@live relation row({types}).\n@live relation one({} -> Long).\n\
             @id(\"x\") permit(U, _, _) :- flag(), row({any}), X > 0, U is User.\n",
            vec!["Long"; n].join(", ")
        ));
        let [first, last] = [wide(n, "7"), wide(n, "8")];
        let all = |member: &str| {
            format!(
                r#"{{ "{member}": {{ "flag": [[]], "row": [[{first}], [{last}]], "one": [[{first}, 1], [{first}, 2]] }} }}"#
            )
        };
        let counts = |engine: &Engine| engine.facts().counts().rows;
        assert_eq!((apply(&engine, &all("insert")), counts(&engine)), (Ok(2), 4));
        assert_eq!(engine.query(&format!("row({any})"), None).expect("a query").rows.len(), 2);
        assert_eq!((apply(&engine, &all("delete")), counts(&engine)), (Ok(3), 0));
        assert_eq!(engine.facts().counts().values, 0);
    }
}

#[test]
fn what_is_nested_or_too_much_is_refused() {
    let engine = engine("[rules]\n@live relation seen(User, Set<Long>).\n@id(\"x\") permit(U, _, _) :- seen(U, _).\n");
    let deep = |n: usize| format!(r#"{{ "insert": {{ "seen": [["ada", {}1{}]] }} }}"#, "[".repeat(n), "]".repeat(n));
    assert!(apply(&engine, &deep(100_000)).is_err_and(|error| error.starts_with("no batch: ")));
    assert!(apply(&engine, &deep(50)).is_err_and(|error| error.contains("expected Long, found a list")));
    // Data that no text was read for is as deep as somebody makes it.
    let made = |n: usize| (0..n).fold(Node::from(1), |node, _| Node::from(vec![node]));
    let error = engine.facts().apply(&Batch::default().insert("seen", ["ada".into(), made(5_000)])).expect_err("deep");
    assert_eq!(error.to_string(), "change 0: this is nested more than 64 deep");
    let deep = engine.decide(&request("x").with("deep", made(5_000))).why;
    assert_eq!(deep, Why::Error("the request is nested more than 64 deep".to_owned()));
    for text in ["null", "1.5", "9223372036854775808", "{}", "[1, null]", "\"x\""] {
        let batch = format!(r#"{{ "insert": {{ "seen": [["ada", {text}]] }} }}"#);
        assert!(apply(&engine, &batch).is_err_and(|error| error.starts_with("change 0: column 2 of `seen`")), "{text}");
    }
    for name in ["in", "parent", "User", "permit", "forbid", "x", "", "?"] {
        let batch = format!(r#"{{ "insert": {{ "{name}": [["ada", "eve"]] }} }}"#);
        let told = format!("change 0: there is no relation `{name}`");
        assert!(apply(&engine, &batch).is_err_and(|error| error.starts_with(&told)), "{name}");
    }
    let row = || ["ada".into(), vec![1].into()];
    let many = (0..=1_000_000).fold(Batch::default(), |batch, _| batch.insert("seen", row()));
    assert_eq!(engine.facts().apply(&many), Err(ApplyError::TooManyChanges(1_000_000)));
    assert_eq!(engine.facts().counts().rows, 0);
}
