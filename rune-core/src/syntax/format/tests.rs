//! Tests of the layout.

use std::sync::Arc;

use super::{parts::Parts, *};
use crate::base::Sources;

/// The layout of a text, or why there is none.
fn laid_out(path: &str, text: &str) -> String {
    let sources = Arc::new(Sources::single(path, text));
    let (file, _) = sources.files().next().unwrap();
    match format(Form::of(path).unwrap(), file, text) {
        Ok(layout) => layout,
        Err(FormatError::Refused(findings)) => findings.into_report(sources.clone()).to_string(),
        Err(error) => panic!("{error}:\n{text}"),
    }
}

/// A text has this layout, and the layout has itself.
fn check(path: &str, text: &str, expected: &str) {
    assert_eq!(laid_out(path, text), expected);
    assert_eq!(laid_out(path, expected), expected, "the layout of a layout is itself");
}

const V: &str = "version = \"rune/1.0\"\n\n";

/// The same for the body of a section.
fn check_body(header: &str, body: &str, expected: &str) {
    check("a.rune", &format!("{V}{header}\n{body}"), &format!("{V}{header}\n{expected}"));
}

fn check_rules(text: &str, expected: &str) {
    check_body("[rules]", text, expected);
}

fn check_data(text: &str, expected: &str) {
    check_body("[data]", text, expected);
}

#[test]
fn sections_stand_apart_under_headers_of_one_form() {
    check(
        "a.rune",
        "\u{feff}\r\n version='rune/1.0'# v\r\n[ data ]#d\r\n\r\n\r\na=1\r\n\r\n\r\n\r\nb=2\r\n[rules]\r\n[ test .  a  b ]\r\n\
         [test.'c \"d\"']\n[flag . \"new-ui\"]\n[flag.'new ui']\n[migrate.1]",
        "version = \"rune/1.0\" # v\n\n[data] #d\na = 1\n\nb = 2\n\n[rules]\n\n[test.\"a  b\"]\n\n[test.\"c \\\"d\\\"\"]\n\n\
         [flag.new-ui]\n\n[flag.\"new ui\"]\n\n[migrate.1]\n",
    );
    check("a.rune", &format!("{V}[test.\"# ] \\\" [data]\"] # c"), &format!("{V}[test.\"# ] \\\" [data]\"] # c\n"));
}

#[test]
fn comments_above_a_header_go_with_it() {
    check(
        "a.rune",
        "# file\n\n\nversion = \"rune/1.0\"\n# data\n[data]\na = 1\n# rules\n\n\n# more\n[rules]\np(a).\n// policies\n\n[policies]\n",
        // What follows a line directly and is parted from what comes stays above.
        "# file\n\nversion = \"rune/1.0\"\n\n# data\n[data]\na = 1\n# rules\n\n# more\n[rules]\np(a).\n// policies\n\n[policies]\n",
    );
    check(
        "a.rune",
        &format!("{V}[rules]\np(a).\n\n# below\n\n[data]\n# of data\n\n  # of data too\n[schema]\n\n// end\n\n"),
        &format!("{V}[rules]\np(a).\n\n# below\n\n[data]\n# of data\n\n# of data too\n\n[schema]\n// end\n"),
    );
}

#[test]
fn a_schema_stays_as_it_is_written() {
    check_body(
        "[schema]",
        "\n  \n  entity  User  in [ Group ]  \r\n\r\n\r\n{ x :Long } ; // c  \r\n\n\n",
        "  entity  User  in [ Group ]  \n\n\n{ x :Long } ; // c  \n",
    );
}

#[test]
fn a_clause_has_one_spelling() {
    check_rules(
        "p( X ,Y , ):-q( X,Y ) ,not  r(X),X in[Y ,],N=count{Z:s(Z),Z in X},M=sum{A ,B:t( A,B )},-1< - X,!(X==Y)\n.",
        "p(X, Y) :- q(X, Y), not r(X), X in [Y], N = count { Z : s(Z), Z in X }, M = sum { A, B : t(A, B) }, -1 < -X, !(X == Y).\n",
    );
    check_rules(
        "e .f(\"x . y\").\tg(X):-X .a [ \"b\" ] .contains( 1+2*-3 ),A :: B :: \"c\"==X,{a:-1,\"b\" :[]}=={},\
         if(X)then{a:1}.a else not_it, X is A::B in Y, X has a .b||X like\"*\".",
        "e.f(\"x . y\").\n\
         g(X) :-\n    X.a[\"b\"].contains(1 + 2 * -3),\n    A::B::\"c\" == X,\n    { a: -1, \"b\": [] } == {},\n    \
         if (X) then { a: 1 }.a else not_it,\n    X is A::B in Y,\n    X has a.b || X like \"*\".\n",
    );
}

#[test]
fn a_declaration_has_one_spelling() {
    check_rules(
        "relation  a .b( who:User|Group,Set< Long >,x :{n:String , age ?:Long,\"k\":Set<A::B>,} ,->max  Long , ).\nrelation c( ). \
         relation d(->Long).",
        "relation a.b(who: User | Group, Set<Long>, x: { n: String, age?: Long, \"k\": Set<A::B> } -> max Long).\nrelation c().\n\
         relation d(-> Long).\n",
    );
    check_rules(
        "relation grant(who: User, // whom\n what: Document, -> # what\n // until when\n until: Long\n // that is all\n).",
        "relation grant(\n    who: User, // whom\n    what: Document -> # what\n    // until when\n    until: Long\n    \
         // that is all\n).\n",
    );
}

#[test]
fn annotations_stand_on_the_line_of_their_clause_if_one_does() {
    check_rules(
        "@attribute\nrelation p(User).\n@ id( \"a\" )@doc(\"b\")p(X):-q(X).\n@id(\"c\") // why\np(X) :- q(X).",
        "@attribute relation p(User).\n@id(\"a\")\n@doc(\"b\")\np(X) :- q(X).\n@id(\"c\") // why\np(X) :- q(X).\n",
    );
    let long = "x".repeat(100);
    check_rules(&format!("@id(\"{long}\") p(X) :- q(X), r(X)."), &format!("@id(\"{long}\")\np(X) :- q(X), r(X).\n"));
}

#[test]
fn a_clause_is_broken_where_it_passes_column_120() {
    let fits = format!("p(X) :- {}(X), q(X).", "y".repeat(120 - 18));
    assert_eq!(fits.len(), 120);
    check_rules(&fits, &format!("{fits}\n"));
    let longer = fits.replace("q(X)", "qq(X)");
    check_rules(&longer, &format!("{}\n", longer.replace(":- ", ":-\n    ").replace(", ", ",\n    ")));
    // Columns are characters.
    let wide = format!("p(X) :- q(X), X == \"{}\".", "ä".repeat(120 - 22));
    check_rules(&wide, &format!("{wide}\n"));
}

#[test]
fn comments_stay_at_their_clause_and_at_their_literal() {
    check_rules(
        "// one\n\n\n# two\np(a). // three   \n//four\np(X) :- // five\n  // six\n  q(X, // seven\n  Y), # eight\n  r(X) // nine\n  , \
         // ten\n  s(X)\n  // eleven\n  . // twelve\n\nt(\n// thirteen\na). # \"fourteen\n# fifteen",
        "// one\n\n# two\np(a). // three\n//four\np(X) :- // five\n    // six\n    // seven\n    q(X, Y), # eight\n    // nine\n    r(X), // ten\n    \
         // eleven\n    s(X). // twelve\n\n// thirteen\nt(a). # \"fourteen\n# fifteen\n",
    );
}

#[test]
fn between_clauses_a_blank_line_is_kept_and_none_is_added() {
    check_rules("\n\n\np(a).\np(b).\n\n\n\nq(a). q(b).", "p(a).\np(b).\n\nq(a).\nq(b).\n");
}

#[test]
fn keys_and_values_keep_their_spelling() {
    check_data(
        "a . \"b c\" . 'd'=1_000\nb   =   'x # \"y\"'# c\nc=1979-05-27 07:32:00Z   \nd=[ 1 ,2, ]\ne={ a=1,b . c=[ ] , }\nf={ }\ng=-1.5e3",
        "a.\"b c\".'d' = 1_000\nb = 'x # \"y\"' # c\nc = 1979-05-27 07:32:00Z\nd = [1, 2]\ne = { a = 1, b.c = [] }\nf = {}\ng = -1.5e3\n",
    );
    let string = "a = '''\n [rules]  \n# none\r\n  '''";
    check_data(&format!("{string}  # c\nb = \"\"\"\\\n  x\"\"\""), &format!("{string} # c\nb = \"\"\"\\\n  x\"\"\"\n"));
}

#[test]
fn an_array_of_several_lines_has_an_element_on_each() {
    check_data(
        "a=[1,\n2]\nb = [[1,2],\n\n\n[3,\n4]]\nc = [ # open\n1 # one\n, # again\n  # own\n2]\nd = [\n# nothing\n]\ne = [\n]",
        "a = [\n    1,\n    2,\n]\nb = [\n    [1, 2],\n\n    [\n        3,\n        4,\n    ],\n]\n\
         c = [ # open\n    1, # one\n    # again\n    # own\n    2,\n]\nd = [\n    # nothing\n]\ne = []\n",
    );
    check_data(
        "a = { b = [1,\n2], c = 1 }\nd = { e = 1, # e\n f = 2 }\ng = { h # h\n = 1 }",
        "a = { b = [\n    1,\n    2,\n], c = 1 }\nd = {\n    e = 1, # e\n    f = 2,\n}\ng = {\n    # h\n    h = 1,\n}\n",
    );
}

#[test]
fn an_array_is_broken_where_it_passes_column_120() {
    let (x, y) = ("x".repeat(50), "y".repeat(56));
    let fits = format!("key = ['{x}', '{y}']");
    assert_eq!(fits.len(), 120);
    check_data(&fits, &format!("{fits}\n"));
    check_data(&format!("{fits}   # c"), &format!("{fits} # c\n"));
    check_data(&fits.replace("key", "keys"), &format!("keys = [\n    '{x}',\n    '{y}',\n]\n"));
    // In a table it is broken only if it alone is too long.
    check_data(&format!("a = {{ {fits} }}"), &format!("a = {{ {fits} }}\n"));
    let (x, y) = ("x".repeat(60), "y".repeat(60));
    check_data(&format!("a = {{ b = ['{x}', '{y}'] }}"), &format!("a = {{ b = [\n    '{x}',\n    '{y}',\n] }}\n"));
}

#[test]
fn a_line_of_toml_that_looks_like_a_header_stays_none() {
    check_data("  [a . b] # c\nx=1\n[\"y\"]\n    [[ z ]]", "    [a.b] # c\nx = 1\n    [\"y\"]\n    [[z]]\n");
}

#[test]
fn policies_stand_apart_in_cedars_layout() {
    check(
        "a.cedar",
        "// file\n\n\n@id(\"a\")permit(principal,action,resource)when{true}; // one\n// two\nforbid(principal==User::\"a\",action,resource,\
         );permit(principal,action,resource);\n\n\n// end",
        "// file\n\n@id(\"a\")\npermit (principal, action, resource)\nwhen { true }; // one\n\n// two\nforbid (\n  principal == \
         User::\"a\",\n  action,\n  resource\n);\n\npermit (principal, action, resource);\n\n// end\n",
    );
    check_body(
        "[policies]",
        "permit(principal,action in[Action::\"a\", #why\nAction::\"b\",# and \"why\n],resource)when{\"#\"==\"//\"};#end",
        "permit (\n  principal,\n  action in\n    [Action::\"a\", //why\n     Action::\"b\" // and \"why\n    ],\n  resource\n)\n\
         when { \"#\" == \"//\" }; //end\n",
    );
}

#[test]
fn a_policy_too_large_for_cedars_formatter_stays_as_it_is_written() {
    let users = "User::\"u\"  ,\n".repeat(7_000);
    let text = format!("permit(principal,action,resource)   \r\n\r\nwhen{{[\n{users}].isEmpty()}};\n");
    let expected = text.replace("   \r\n\r\n", "\n");
    let expected = expected.replace("  ,\n]", "\n]");
    let layout = laid_out("a.cedar", &text);
    assert!(layout == expected && laid_out("a.cedar", &layout) == layout, "{layout:.200}");
}

#[test]
fn strings_of_cedar_keep_their_lines() {
    let string = "\"a \\\"\n  // b  \n\n c\"";
    check(
        "a.cedar",
        &format!("permit(principal,action,resource)\r\nwhen{{{string}==context.x}};\r\n"),
        &format!("permit (principal, action, resource)\nwhen {{ {string} == context.x }};\n"),
    );
}

#[test]
fn a_text_that_does_not_parse_has_findings_and_no_layout() {
    for (path, text, code) in [
        ("a.rune", "", "empty-file"),
        ("a.rune", "[data]\n", "missing-version"),
        ("a.rune", "version = \"rune/1.0\"\r[data]", "lone-carriage-return"),
        ("a.rune", "version = \"rune/1.0\"\n[data]\na = = 1\n", "toml-syntax"),
        ("a.rune", "version = \"rune/1.0\"\n[rules]\np(a)\n", "missing-period"),
        ("a.rune", "version = \"rune/1.0\"\n[rules]\np(X) :- q(X; r(X).\n[data]\n", "unclosed-bracket"),
        ("a.rune", "version = \"rune/1.0\"\n[policies]\npermit (principal);\n", "policy-syntax"),
        ("a.cedar", "permit (principal, action, resource)", "policy-syntax"),
        ("a.cedar", "# Cedar knows no such comments\n", "policy-syntax"),
    ] {
        assert!(laid_out(path, text).starts_with(&format!("error[{code}]")), "{text}: {}", laid_out(path, text));
    }
    let long =
        format!("permit (principal, action, resource) when {{ {} true }};", "if true then true else ".repeat(1_500));
    assert!(laid_out("a.cedar", &long).starts_with("error[file-too-large]: laid out, the file has "));
}

#[test]
fn the_net_tells_every_difference() {
    let compared = |header: &str, before: &str, after: &str| {
        let texts = [before, after].map(|body| format!("{V}{header}\n{body}\n"));
        let sources = Sources::single("a.rune", "");
        let (file, _) = sources.files().next().unwrap();
        let [before, after] = texts.each_ref().map(|text| {
            Parts::read(Form::Rune, file, text, &mut Findings::default()).unwrap_or_else(|| panic!("{text}"))
        });
        same::compare(before, after)
    };
    for (header, before, after) in [
        ("[schema]", "entity User;", "entity  User;"),
        ("[data]", "a = [1, 2]", "a = [2, 1]"),
        ("[data]", "a = 1", "b = 1"),
        ("[rules]", "p(X) :- q(X), r(X).", "p(X) :- r(X), q(X)."),
        ("[rules]", "p(X) :- N = count { Y : q(X, Y) }.", "p(X) :- N = sum { Y : q(X, Y) }."),
        ("[rules]", "relation p(a: User -> Long).", "relation p(a: User, Long)."),
        ("[rules]", "relation p(Set<{ a: Long }>).", "relation p(Set<{ a?: Long }>)."),
        ("[rules]", "p(X) :- q(X), X.a - 1 == 2 * 3.", "p(X) :- q(X), X.a - 1 == 2 * 4."),
        ("[rules]", "@id(\"a\") p(a).", "@id(\"b\") p(a)."),
        ("[policies]", "permit (principal, action, resource);", "forbid (principal, action, resource);"),
        ("[policies]", "@id(\"a\") permit (principal, action, resource);", "permit (principal, action, resource);"),
        (
            "[policies]",
            "permit (principal == ?principal, action, resource);",
            "permit (principal in ?principal, action, resource);",
        ),
        ("[rules]", "p(a). // b", "p(a). // c"),
        ("[data]", "a = 1 # b\n# c", "a = 1 # c\n# b"),
        ("[policies]", "// a", ""),
    ] {
        assert!(compared(header, before, after).is_err(), "{before}\n{after}");
        assert_eq!(compared(header, before, before), Ok(()), "{before}");
    }
    assert_eq!(compared("[rules]", "p(X):-q(X),\nX.a>1.", "p(X) :- q(X), X.a > 1."), Ok(()));
}
