//! The dumb twin of the engine: Cedar itself, asked the same questions.
//!
//! ```text
//!                       ┌─▶ RUNE  ─▶ answer ─┐
//!   seed ─▶ world, asks ┤                    ├─▶ equal, or a panic with the seed and the smallest world that shows it
//!                       └─▶ Cedar ─▶ answer ─┘
//! ```
//!
//! An answer is the decision, the policies that determine it and the policies that fail. A world that Cedar takes and RUNE
//! refuses is a failure too: what RUNE refuses on purpose (data beyond its limits, members of an entity that mean nothing)
//! is not part of these worlds.
//!
//! `RUNE_WORLDS` says how many worlds there are, `RUNE_SEED` which seed is the first; `RUNE_SEED` alone replays that one.

mod seeds;
mod twin;

use std::slice;

use serde_json::{Value as Json, json};
use twin::{
    Answer, Cedar, Mix, compare, shrink,
    worlds::{Ask, Link, Maker, World},
};

/// About ten seconds of an optimized build.
const WORLDS: u64 = 1_400;
const ASKS_PER_WORLD: usize = 20;

/// Worlds without data, and how many conditions each has.
const CALCULATIONS: u64 = 100;
const POLICIES_PER_CALCULATION: usize = 200;

#[test]
fn random_worlds_are_decided_as_cedar_decides_them() {
    // Without the schema, and with it.
    let mut mixes = [Mix::default(), Mix::default()];
    for seed in seeds::of(WORLDS) {
        let (world, asks) = Maker::new(seed).world(ASKS_PER_WORLD);
        let mix = &mut mixes[usize::from(world.has_schema)];
        agree(seed, world, &asks, mix);
    }
    let [plain, typed] = &mixes;
    println!("cedar_twin: no schema: {plain}\ncedar_twin: schema: {typed}");
    if WORLDS <= (plain.worlds + typed.worlds) as u64 {
        plain.check();
        typed.check();
    }
}

#[test]
fn random_calculations_come_out_as_in_cedar() {
    let mut mix = Mix::default();
    for seed in seeds::of(CALCULATIONS) {
        agree(seed, Maker::new(seed).calculations(POLICIES_PER_CALCULATION), &[adas()], &mut mix);
    }
    assert_eq!(mix.refused, 0, "Cedar takes every calculation");
}

fn agree(seed: u64, world: World, asks: &[Ask], mix: &mut Mix) {
    if let Err(difference) = compare(&world, asks, mix) {
        let (world, difference) = shrink(world, difference);
        panic!("seed {seed} (replay it with RUNE_SEED={seed}): {difference}\nin this world:\n{world}");
    }
}

// What chance seldom finds, by hand.

/// Ada, who is in a team that is in another, has a few attributes and a tag; nobody knows her boss.
fn small_world(policies: &[&str]) -> World {
    let team = |id: &str| json!({ "type": "Team", "id": id });
    let entities = vec![
        json!({
            "uid": { "type": "User", "id": "ada" },
            "attrs": {
                "level": 3,
                "name": "ada",
                "boss": { "__entity": { "type": "User", "id": "nobody" } },
                "spot": { "city": "Ulm" },
                "home": { "__extn": { "fn": "ip", "arg": "10.0.0.1" } },
            },
            "parents": [team("staff")],
            "tags": { "k": "v" },
        }),
        json!({ "uid": team("staff"), "attrs": {}, "parents": [team("all")] }),
    ];
    let policies = policies.iter().map(|policy| (*policy).to_owned()).collect();
    World { policies, entities, ..World::default() }
}

/// Ada asks to read a document that nobody knows.
fn adas() -> Ask {
    let of = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    let context = json!({ "name": "ada" });
    Ask { principal: of("User", "ada"), action: of("Action", "read"), resource: of("Doc", "plan"), context }
}

/// To what Ada asks, both twins must give this answer.
fn check(world: &World, allows: bool, determining: &[&str], failed: &[&str]) {
    check_ask(world, &adas(), allows, determining, failed);
}

fn check_ask(world: &World, ask: &Ask, allows: bool, determining: &[&str], failed: &[&str]) {
    if let Err(difference) = compare(world, slice::from_ref(ask), &mut Mix::default()) {
        panic!("{difference}\nin this world:\n{world}");
    }
    let found = Cedar::build(world).and_then(|cedar| cedar.answer(ask)).expect("Cedar takes the world");
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(found, Answer { allows, determining: set(determining), failed: set(failed) }, "{world}");
}

fn check_conditions(conditions: &[&str], allows: bool, determining: &[&str], failed: &[&str]) {
    for condition in conditions {
        let policy = format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};");
        check(&small_world(&[&policy]), allows, determining, failed);
    }
}

fn holds(conditions: &[&str]) {
    check_conditions(conditions, true, &["p"], &[]);
}

fn does_not_hold(conditions: &[&str]) {
    check_conditions(conditions, false, &[], &[]);
}

fn fails(conditions: &[&str]) {
    check_conditions(conditions, false, &[], &["p"]);
}

#[test]
fn a_failing_forbid_does_not_forbid() {
    let permit = "@id(\"p\") permit (principal, action, resource);";
    let forbid = "@id(\"f\") forbid (principal, action, resource) when { principal.nothing };";
    check(&small_world(&[permit, forbid]), true, &["p"], &["f"]);
}

#[test]
fn whatever_the_decision_every_satisfied_and_every_failing_policy_is_named() {
    let permits = [
        "@id(\"p\") permit (principal, action, resource);",
        "@id(\"q\") permit (principal == User::\"ada\", action, resource) unless { principal.level == 4 };",
        "@id(\"r\") permit (principal, action, resource) when { principal.level + \"\" == 4 };",
    ];
    check(&small_world(&permits), true, &["p", "q"], &["r"]);
    let forbids = [
        "@id(\"f\") forbid (principal in Team::\"all\", action, resource);",
        "@id(\"g\") forbid (principal is User, action, resource is Doc);",
        "@id(\"h\") forbid (principal, action, resource) when { resource.level == 4 };",
    ];
    check(&small_world(&[permits, forbids].concat()), false, &["f", "g"], &["h", "r"]);
}

#[test]
fn a_condition_cannot_fail_where_the_scope_does_not_hold() {
    let permits = [
        "@id(\"p\") permit (principal == User::\"eve\", action, resource) when { 1 };",
        "@id(\"q\") permit (principal, action in [], resource) when { 1 };",
        "@id(\"r\") permit (principal, action, resource in Doc::\"other\") when { 1 };",
        "@id(\"s\") permit (principal is Team in Team::\"all\", action, resource) when { 1 };",
    ];
    check(&small_world(&permits), false, &[], &[]);
}

#[test]
fn clauses_count_in_their_order_and_each_must_be_a_boolean() {
    let clauses = [("when { false } when { 1 }", false), ("unless { true } unless { 1 }", false), ("when { 1 }", true)];
    for (clauses, fails) in clauses {
        let policy = format!("@id(\"p\") permit (principal, action, resource) {clauses};");
        check(&small_world(&[&policy]), false, &[], if fails { &["p"] } else { &[] });
    }
}

#[test]
fn a_policy_with_an_empty_id_goes_by_file_and_position() {
    let policies = [
        "@id(\"\") permit (principal, action, resource);",
        "@id permit (principal, action, resource);",
        "permit (principal, action, resource);",
        "@id(\"policy0\") permit (principal, action, resource);",
    ];
    let names = ["p.cedar:policy0", "p.cedar:policy1", "p.cedar:policy2", "policy0"];
    check(&small_world(&policies), true, &names, &[]);
}

#[test]
fn each_link_of_a_template_decides_for_itself() {
    let template =
        "@id(\"t\") permit (principal in ?principal, action, resource == ?resource) when { context.level == 1 };";
    let mut world = small_world(&[template]);
    for (id, team, doc) in
        [("near", "staff", "plan"), ("far", "all", "plan"), ("not", "others", "plan"), ("no", "all", "x")]
    {
        let slots = vec![
            ("?principal", ("Team".to_owned(), team.to_owned())),
            ("?resource", ("Doc".to_owned(), doc.to_owned())),
        ];
        world.links.push(Link { template: "t".to_owned(), id: id.to_owned(), slots });
    }
    check(&world, false, &[], &["far", "near"]);
    world.policies = vec![template.replace("context.level == 1", "true")];
    check(&world, true, &["far", "near"], &[]);
}

#[test]
fn membership_in_a_set_fails_for_a_non_entity_even_after_an_element_that_matches() {
    fails(&["principal in [principal, 1]", "principal in [Team::\"all\", [Team::\"all\"]]", "principal in \"ada\""]);
    fails(&["1 in principal", "1 in []", "context in principal", "1 is User in principal"]);
    holds(&["principal in [Team::\"none\", Team::\"all\"]", "resource in [resource]"]);
    does_not_hold(&["principal in []", "principal is Team in 1", "principal is Team in [1]"]);
}

#[test]
fn everybody_is_in_himself_and_in_what_is_above_whether_it_is_known_or_not() {
    holds(&["resource in resource", "User::\"nobody\" in [User::\"nobody\"]", "principal in Team::\"all\""]);
    does_not_hold(&["Team::\"all\" in principal", "User::\"nobody\" in Team::\"all\""]);
}

#[test]
fn the_right_side_counts_only_when_it_is_reached() {
    does_not_hold(&["false && 1", "false && principal.nothing", "1 == 2 && (true && 1)"]);
    holds(&["true || 1", "true || principal.nothing", "if true then true else 1"]);
    fails(&["true && 1", "false || 1", "1 && false", "1 || true", "true && true && \"\"", "(true && 1) || true"]);
    fails(&["if 1 then true else true", "if false then true else 1", "!1", "[true && 1] == []"]);
}

#[test]
fn integers_overflow_instead_of_wrapping() {
    fails(&["9223372036854775807 + 1 != 0", "-9223372036854775808 - 1 != 0", "4611686018427387904 * 2 != 0"]);
    fails(&[
        "-(-9223372036854775808) != 0",
        "--9223372036854775808 != 0",
        "principal.level * 9223372036854775807 != 0",
    ]);
    holds(&["-9223372036854775808 < 0", "-9223372036854775807 - 1 == -9223372036854775808", "----1 == 1"]);
    holds(&["1073741823 + 1 == 1073741824", "-1073741824 - 1 == -1073741825", "0 * -9223372036854775808 == 0"]);
}

#[test]
fn equality_is_by_value_and_never_fails() {
    holds(&["[1, [2, 3], 1] == [[3, 2, 3], 1]", "{a: [], \"b\": 1} == {b: 1, a: []}", "{} != []", "[] == []"]);
    holds(&["ip(\"10.0.0.1\") == ip(\"10.0.0.1/32\")", "ip(\"10.0.0.1/8\") != ip(\"10.0.0.0/8\")", "1 != \"1\""]);
    holds(&[
        "decimal(\"1.5\") == decimal(\"1.5000\")",
        "duration(\"1d\") == duration(\"24h\")",
        "principal != context",
    ]);
    holds(&["datetime(\"2024-01-01T01:00:00+0100\") == datetime(\"2024-01-01\")", "ip(\"::1\") == ip(\"0:0::1\")"]);
    holds(&["datetime(\"1970-01-01\") != duration(\"0ms\")", "[context].contains({name: \"ada\"})"]);
    holds(&["[ip(\"10.0.0.1/32\"), 1].containsAll([principal.home])", "[[1, 2]].containsAny([[2, 1, 1]])"]);
    fails(&["principal.nothing == 1", "1.contains(1)", "[1].containsAll(1)", "\"a\".isEmpty()"]);
}

#[test]
fn an_unknown_entity_has_nothing_and_can_give_nothing() {
    does_not_hold(&[
        "resource has name",
        "resource has name.city",
        "resource.hasTag(\"k\")",
        "principal has boss.name",
    ]);
    fails(&["resource.name == 1", "resource.getTag(\"k\") == 1", "principal.boss.name == 1", "resource.hasTag(1)"]);
    holds(&["principal.hasTag(\"k\")", "principal.getTag(\"k\") == \"v\"", "resource is Doc", "action is Action"]);
    does_not_hold(&["principal.hasTag(\"name\")", "principal has k", "resource is User"]);
}

#[test]
fn a_path_of_names_stops_where_one_is_missing_and_fails_on_what_has_no_members() {
    holds(&["principal has spot.city", "{a: {b: 1}} has a.b", "principal has \"spot\"", "context has name"]);
    does_not_hold(&["principal has nothing.city", "principal has spot.nothing", "{a: {b: 1}} has a.c"]);
    fails(&["principal has name.city", "principal has level.a.b", "1 has a", "[] has a"]);
}

#[test]
fn constructors_and_calls_fail_only_when_they_are_reached() {
    for call in
        ["ip(\"1.2.3\")", "decimal(\"1\")", "ip()", "ip(\"::1\").isInRange()", "decimal(\"1.0\", 1)", "duration(1)"]
    {
        holds(&[&format!("true || {call} == 1"), &format!("(if false then {call} else 1) == 1")]);
        fails(&[&format!("{call} == 1"), &format!("[1, {call}].contains(1)"), &format!("{{a: 1, b: {call}}}.a == 1")]);
    }
}

#[test]
fn only_integers_and_times_have_an_order() {
    holds(&["datetime(\"1969-12-31\") < datetime(\"1970-01-01\")", "duration(\"-1s\") <= duration(\"0ms\")", "2 > 1"]);
    fails(&["decimal(\"1.0\") < decimal(\"2.0\")", "\"a\" < \"b\"", "datetime(\"2024-01-01\") < duration(\"1d\")"]);
    fails(&["1 < datetime(\"2024-01-01\")", "true <= true", "ip(\"::1\") >= ip(\"::1\")", "1.lessThan(2)"]);
}

#[test]
fn days_begin_at_midnight_even_before_1970() {
    holds(&["datetime(\"1969-12-31T23:00:00Z\").toDate() == datetime(\"1969-12-31\")"]);
    holds(&["datetime(\"1969-12-31T23:00:00Z\").toTime() == duration(\"23h\")", "duration(\"-36h\").toDays() == -1"]);
    fails(&["datetime(\"2024-01-01\").offset(duration(\"9223372036854775807ms\")) == 1"]);
    fails(&["datetime(\"1970-01-01\").offset(duration(\"-9223372036854775808ms\")).toDate() == 1"]);
}

#[test]
fn patterns_take_characters_and_not_bytes() {
    holds(&[
        "\"a*b\" like \"a\\*b\"",
        "\"äöü\" like \"*ö*\"",
        "\"\" like \"*\"",
        "\"😀\" like \"\\u{1F600}\"",
        "\"xx\" like \"\\u{2a}\"",
    ]);
    does_not_hold(&["\"axb\" like \"a\\*b\"", "\"ab\" like \"a\"", "\"\" like \"?\""]);
    fails(&["1 like \"1\"", "principal like \"*\""]);
}

#[test]
fn escapes_and_comments_are_read_as_cedar_reads_them() {
    holds(&["\"\\x41\\u{42}\\n\\0\\'\" == \"AB\\n\\0'\"", "true // \"({[\n", "\"// no comment\" like \"// no*\""]);
    holds(&["User::\"\\u{61}da\" == principal", "[1, 2,].contains(2)", "{\"a b\": 1,}[\"a b\"] == 1", "!!!!true"]);
}

#[test]
fn under_a_schema_strings_are_what_their_type_says() {
    let attrs = json!({
        "name": "10.0.0.1",
        "home": "10.0.0.1",
        "nets": ["10.0.0.0/8", { "fn": "ip", "arg": "::1" }, { "__extn": { "fn": "ip", "arg": "::1/128" } }],
        "since": "2024-01-01",
        "owner": { "type": "User", "id": "eve" },
        "mode": { "__entity": { "type": "Mode", "id": "on" } },
    });
    let condition = "principal.home == ip(\"10.0.0.1\") && principal.name == \"10.0.0.1\" && \
        principal.nets == [ip(\"::1\"), ip(\"10.0.0.0/8\")] && principal.since == datetime(\"2024-01-01\") && \
        principal.owner == User::\"eve\" && principal.mode == Mode::\"on\" && action in Action::\"all\"";
    let policy = format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};");
    let mut world = small_world(&[&policy]);
    world.has_schema = true;
    world.entities = vec![json!({ "uid": { "type": "User", "id": "ada" }, "attrs": attrs, "parents": [] })];
    check(&world, true, &["p"], &[]);
}

#[test]
fn under_a_schema_a_policy_that_does_not_validate_runs_all_the_same() {
    let policies = [
        "@id(\"p\") permit (principal, action, resource) when { principal.level == 3 };",
        "@id(\"q\") permit (principal, action in Action::\"nothing\", resource is Ghost);",
        "@id(\"r\") permit (principal, action, resource) when { context.nothing };",
    ];
    let mut world = small_world(&policies);
    world.has_schema = true;
    let attrs = json!({ "name": "ada", "level": 3 });
    world.entities = vec![json!({ "uid": { "type": "User", "id": "ada" }, "attrs": attrs, "parents": [] })];
    check(&world, true, &["p"], &["r"]);
}

// Data that looks like an escape.

/// Ada has nothing but these attributes.
fn check_attributes(attrs: &Json, condition: &str) {
    let policy = format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};");
    let mut world = small_world(&[&policy]);
    world.entities = vec![json!({ "uid": { "type": "User", "id": "ada" }, "attrs": attrs, "parents": [] })];
    check(&world, true, &["p"], &[]);
}

#[test]
fn an_attribute_may_have_the_name_of_an_escape() {
    let ada = json!({ "type": "User", "id": "ada" });
    check_attributes(&json!({ "__entity": ada, "more": 1 }), "principal has __entity");
    check_attributes(&json!({ "__entity": ada }), "principal has __entity && principal.__entity.id == \"ada\"");
    check_attributes(&json!({ "__extn": { "fn": "ip", "arg": "::1" } }), "principal.__extn.fn == \"ip\"");
}

#[test]
fn a_tag_may_have_the_name_of_an_escape() {
    let policy = "@id(\"p\") permit (principal, action, resource) when { principal.hasTag(\"__entity\") };";
    let mut world = small_world(&[policy]);
    world.entities[0]["tags"] = json!({ "__entity": { "type": "User", "id": "ada" } });
    check(&world, true, &["p"], &[]);
}

#[test]
fn a_member_of_a_context_may_have_the_name_of_an_escape() {
    let policy = "@id(\"p\") permit (principal, action, resource) when { context has __entity || context has __extn };";
    for context in [json!({ "__entity": "User::\"ada\"" }), json!({ "__extn": "::1" })] {
        check_ask(&small_world(&[policy]), &Ask { context, ..adas() }, true, &["p"], &[]);
    }
}

#[test]
fn a_record_with_more_than_an_escape_is_a_record() {
    let ada = json!({ "type": "User", "id": "ada" });
    check_attributes(&json!({ "a": { "__entity": ada, "more": 1 } }), "principal.a has more");
}

/// The one place where RUNE takes less than Cedar: what looks like an escape but is none, Cedar keeps as a record
/// that no policy expects.
#[test]
fn what_cedar_keeps_as_a_record_in_place_of_an_escape_is_refused() {
    let ada = json!({ "type": "User", "id": "ada" });
    for value in [
        json!({ "__entity": "User::\"ada\"" }),
        json!({ "__entity": { "__entity": ada } }),
        json!({ "__entity": { "type": "User" } }),
        json!({ "__extn": "::1" }),
        json!({ "__extn": { "fn": "ip" } }),
        json!({ "__expr": 1 }),
    ] {
        let mut world = small_world(&["permit (principal, action, resource);"]);
        world.entities = vec![json!({ "uid": ada, "attrs": { "a": value }, "parents": [] })];
        assert!(Cedar::build(&world).is_ok(), "Cedar takes {value}");
        assert!(twin::build_rune(&world).is_err(), "RUNE takes {value}");
    }
}

#[test]
fn an_escape_may_call_any_function() {
    let call = |function: &str, argument: Json| json!({ "__extn": { "fn": function, "arg": argument } });
    let attrs = json!({ "a": call("toDate", call("datetime", json!("2024-01-01T12:00:00Z"))) });
    check_attributes(&attrs, "principal.a == datetime(\"2024-01-01\")");
    let attrs = json!({ "a": call("isIpv4", call("ip", json!("::1"))) });
    check_attributes(&attrs, "!principal.a");
}

#[test]
fn under_a_schema_the_arguments_of_a_function_may_be_strings() {
    let policy =
        "@id(\"p\") permit (principal, action, resource) when { principal.since == datetime(\"2024-01-02\") };";
    for since in
        [json!({ "fn": "offset", "args": ["2024-01-01", "1d"] }), json!({ "fn": "toDate", "arg": "2024-01-02" })]
    {
        let mut world = small_world(&[policy]);
        world.has_schema = true;
        let attrs = json!({ "name": "ada", "since": since });
        world.entities = vec![json!({ "uid": { "type": "User", "id": "ada" }, "attrs": attrs, "parents": [] })];
        check(&world, true, &["p"], &[]);
    }
}

#[test]
fn a_call_with_too_few_arguments_may_stand_anywhere() {
    holds(&["true || [ip()] == []", "true || {a: ip()} == {}", "true || {Value: ip()} == {}", "true || ip() has a"]);
    fails(&["{Value: ip()} == {}", "{Value: {ip: [ip(1, 2)]}} has a"]);
}
