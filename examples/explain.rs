//! Why, who and what: the reasons of a decision, the rows of a query, and those who may.
//!
//! ```sh
//! cargo run --release --example explain
//! ```

#![expect(clippy::print_stdout, reason = "the example shows what it does")]

use std::error::Error;

use rune_core::{Engine, EntityRef, List, Request};

fn main() -> Result<(), Box<dyn Error>> {
    let engine = Engine::open(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies/documents"))?;
    let (bob, read, write) =
        (EntityRef::new("User", "bob"), EntityRef::new("Action", "read"), EntityRef::new("Action", "write"));
    let welcome = EntityRef::new("Document", "welcome");

    // Down to the lines where facts stand.
    let explanation = engine.explain(&Request::new(bob.clone(), read.clone(), welcome.clone()));
    println!("{explanation}");

    // What would have been needed.
    let explanation = engine.explain(&Request::new(bob.clone(), write, welcome.clone()));
    println!("{explanation}");
    for candidate in &explanation.candidates {
        for atom in &candidate.missing {
            println!("{} would permit it with {atom}", candidate.instance.rule.id);
        }
    }

    let rows = engine.query("can_read(U, D), D in Folder::\"specs\"", None)?;
    for row in &rows.rows {
        println!("{}", row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" reads "));
    }

    let readers = engine.list(&List::principals(read, welcome))?;
    println!("{} of {} may read the welcome", readers.entities.len(), readers.candidates);
    Ok(())
}
