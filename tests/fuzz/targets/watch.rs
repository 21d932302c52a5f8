//! The fuzzer's target `watch`.
#![no_main]
#[path = "../../src/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::watch(bytes));
