//! See `targets::Target::Program`.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|text: &str| common::check(common::Target::Program, text));
