#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ha_fuzz::read("stored_name", bytes));
