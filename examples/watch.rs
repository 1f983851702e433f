//! A folder that is edited while a program decides by it: an edit is in force a few milliseconds after it was saved, and one
//! with an error changes nothing.
//!
//! ```sh
//! cargo run --release --example watch
//! ```

#![expect(clippy::disallowed_methods, reason = "the example edits a file")]
#![expect(clippy::print_stdout, reason = "the example shows what it does")]

use std::{error::Error, fs, sync::mpsc};

use rune_core::{EntityRef, Request, Watch, WatchOptions};

const POLICIES: &str = r#"@id("readers") permit (principal == User::"ada", action == Action::"read", resource);"#;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("rune-watch-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let file = folder.join("policies.cedar");
    fs::write(&file, POLICIES)?;

    // A thread of its own watches the folder and tells what comes of each edit; `served` is what decisions are made by.
    let (tell, told) = mpsc::channel();
    let watch = Watch::start(&folder, WatchOptions::default(), move |event| {
        // Nobody listens any more once the example has ended.
        let _ = tell.send(event);
    })?;
    told.recv()?;
    let engine = watch.served().engine().ok_or("the folder has an error")?;
    let request = Request::new(
        EntityRef::new("User", "ada"),
        EntityRef::new("Action", "read"),
        EntityRef::new("Document", "plan"),
    );
    println!("ada reads the plan: {}", engine.decide(&request).effect());

    fs::write(&file, POLICIES.replace("permit", "prmit"))?;
    told.recv()?;
    let status = watch.served().status();
    if let Some(refusal) = status.last_refusal.as_ref().filter(|_| status.is_refused) {
        println!("with a typing error, still: {}", engine.decide(&request).effect());
        println!("{}", refusal.report);
    }

    fs::write(&file, POLICIES.replace("ada", "bob"))?;
    told.recv()?;
    let decision = engine.decide(&request);
    println!("after another edit, by generation {}: {}", decision.generation, decision.effect());

    fs::remove_dir_all(&folder)?;
    Ok(())
}
