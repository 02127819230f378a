//! The text of a pack's manifest: understood or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err((found, expected)) = segue_engine::pack::parse(text) {
        assert!(!found.is_empty() && !expected.is_empty());
    }
});
