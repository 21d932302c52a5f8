//! The fuzzer's target `words`.
#![no_main]
#[path = "../../src/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::words(bytes));
