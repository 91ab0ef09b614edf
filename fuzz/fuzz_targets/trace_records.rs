#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ctxprof::fuzzing::check("trace_records", bytes));
