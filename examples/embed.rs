//! An authorizer with RUNE inside: policies and facts that the program has itself, and decisions by them.
//!
//! ```sh
//! cargo run --release --example embed
//! ```

#![expect(clippy::print_stdout, reason = "the example shows what it does")]

use std::error::Error;

use rune_core::{Engine, EntityRef, File, Options, Program, Request, Sources};

const POLICIES: &str = r#"
@id("engineers")
permit (principal in Group::"engineering", action == Action::"read", resource)
when { 8 <= context.hour };
"#;

const ENTITIES: &str = r#"[
  { "uid": { "type": "User", "id": "ada" }, "attrs": {}, "parents": [{ "type": "Group", "id": "engineering" }] }
]"#;

fn main() -> Result<(), Box<dyn Error>> {
    // Files from anywhere: a folder (`Engine::open`), a database, the program itself.
    let files =
        vec![File::new("policies.cedar", POLICIES.as_bytes()), File::new("people.entities.json", ENTITIES.as_bytes())];
    let engine = Engine::new(Program::build(Sources::new(files), Options::default())?);

    for (who, hour) in [("ada", 9), ("ada", 6), ("eve", 9)] {
        let request = Request::new(
            EntityRef::new("User", who),
            EntityRef::new("Action", "read"),
            EntityRef::new("Document", "plan"),
        )
        .with("hour", hour);
        println!("{who} at {hour}: {}", engine.decide(&request).effect());
    }
    Ok(())
}
