//! The fuzzer's target `checkpoint`.
#![no_main]
#[path = "../../src/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::checkpoint(bytes));
