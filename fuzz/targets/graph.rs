//! The bytes of a graph, before the runtime sees them: let through or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err((found, expected)) = segue_engine::pack::onnx::check(bytes) {
        assert!(!found.is_empty() && !expected.is_empty());
    }
});
