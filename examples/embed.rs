//! An authorizer with RUNE inside: open a folder, decide, edit a file, decide again.
//!
//! ```sh
//! cargo run --release --example embed
//! ```

#![expect(clippy::disallowed_methods, reason = "the example edits a file and waits for it to be in force")]
#![expect(clippy::print_stdout, reason = "the example shows what it does")]

use std::{error::Error, fs, sync::mpsc};

use rune_core::{EntityRef, Request, Watch, reload::WatchOptions};

const POLICIES: &str = r#"
@id("engineers")
permit (principal == User::"ada", action == Action::"read", resource)
when { 8 <= context.hour };
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("rune-embed-{}", std::process::id()));
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
    )
    .with("hour", 9);
    println!("ada reads the plan: {}", engine.decide(&request).effect());

    fs::write(&file, POLICIES.replace("User::\"ada\"", "User::\"bob\""))?;
    told.recv()?;
    let explanation = engine.explain(&request);
    println!("after the edit, by generation {}: {}", explanation.decision.generation, explanation.decision.effect());

    fs::remove_dir_all(&folder)?;
    Ok(())
}
