//! See `targets::Target::Expressions`.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|text: &str| common::check(common::Target::Expressions, text));
