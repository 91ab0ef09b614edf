//! Whatever is in a saved file, it is a document or an error; raw samples are summarized again on the way.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = ctxprof::record::reader::parse(text);
});
