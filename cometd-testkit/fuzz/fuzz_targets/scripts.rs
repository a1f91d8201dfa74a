#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cometd_testkit::fuzz::scripts(bytes));
