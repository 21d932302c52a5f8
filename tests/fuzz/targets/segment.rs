//! The fuzzer's target `segment`.
#![no_main]
#[path = "../../src/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::segment(bytes));
