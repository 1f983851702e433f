//! A check of the fuzz test as one of libFuzzer's: a failure is a panic, on the stack that a build has.

#[path = "../../tests/fuzzer/targets.rs"]
#[allow(dead_code, reason = "each target takes what it needs")]
mod targets;

use std::thread;

use rune_core::base::limits::BUILD_STACK_BYTES;
pub use targets::Target;

pub fn check(target: Target, text: &str) {
    let checked = || targets::check(target, text);
    let result = if target.is_of_builds() {
        thread::scope(|scope| {
            let worker = thread::Builder::new().stack_size(BUILD_STACK_BYTES).spawn_scoped(scope, checked);
            worker.expect("a thread").join().expect("no panic")
        })
    } else {
        checked()
    };
    result.unwrap_or_else(|fault| panic!("{fault}"));
}
