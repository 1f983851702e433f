//! The `rune` command; see the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    rune_cli::main()
}
