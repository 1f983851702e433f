//! See `targets::Target::Cedar`.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|text: &str| common::check(common::Target::Cedar, text));
