//! Proofs as programs read them: in which order variables stand, and how places are told.

use rune_core::{
    Engine, Options, Program, Sources,
    explain::{Cite, Place},
};

const RULES: &str = r#"version = "rune/1.0"
[rules]
relation viewer(User, Document).
viewer(ada, plan).
reads(U, D) :- viewer(U, D).
"#;

fn engine() -> Engine {
    let program = Program::build(Sources::single("a.rune", RULES), Options::default());
    Engine::new(program.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn a_proof_has_the_variables_in_the_order_of_the_query_as_rows_have_them() {
    let engine = engine();
    for (query, columns, first) in [
        ("viewer(U, D)", &["U", "D"][..], "U = User::\"ada\", D = Document::\"plan\""),
        (
            "D == Document::\"plan\", U == User::\"ada\", viewer(U, D)",
            &["D", "U"],
            "D = Document::\"plan\", U = User::\"ada\"",
        ),
        ("N = count { A : viewer(A, D) }, viewer(_, D)", &["N", "D"], "N = 1, D = Document::\"plan\""),
        ("viewer(_, _)", &[], "yes"),
        ("viewer(U, Document::\"U, D\")", &["U"], "no rows"),
    ] {
        let proof = engine.prove(query, None).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(proof.columns, columns, "{query}");
        assert_eq!(proof.columns, engine.query(query, None).expect("rows").columns, "{query}");
        assert_eq!(proof.tree(9).lines().next(), Some(first), "{query}");
    }
}

#[test]
fn places_are_told_as_whoever_asks_wants_them() {
    struct Lines;
    impl Cite for Lines {
        fn place(&self, place: &Place) -> String {
            format!("line {}", place.line)
        }
    }
    let proof = engine().prove("reads(U, D)", None).expect("a proof");
    let expected = "U = User::\"ada\", D = Document::\"plan\"
└─ ✓ reads(U, D)
   └─ reads(User::\"ada\", Document::\"plan\"), by a.rune:rule0 (line 5)
      └─ ✓ viewer(U, D)
         └─ viewer(User::\"ada\", Document::\"plan\") (line 4)
";
    assert_eq!(proof.tree_citing(9, &Lines), expected);
}
