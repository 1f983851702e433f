//! See `targets::Target::Rows`.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|text: &str| common::check(common::Target::Rows, text));
