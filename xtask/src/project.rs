//! What a saved plugin state says about its takes. A host may read a project file; it may not look inside the plugin.

use crate::error::{Error, Result};
use segue_engine::take::Take;
use serde_json::Value;

/// The takes in a state, newest first.
pub fn takes(state: &[u8]) -> Result<Vec<Take>> {
    let wrong = |e: serde_json::Error| Error::host(format!("the saved state is not what it should be: {e}"));
    // The framework writes JSON, in which each persisted field is JSON in a string.
    let state: Value = serde_json::from_slice(json(state)).map_err(wrong)?;
    let field = state.pointer("/fields/takes").and_then(Value::as_str).unwrap_or("null");
    let document: Value = serde_json::from_str(field).map_err(wrong)?;
    match document.get("takes") {
        Some(takes) => serde_json::from_value(takes.clone()).map_err(wrong),
        None => Ok(Vec::new()),
    }
}

/// A state without what its format puts around it: a CLAP's begins with the length of the rest, a VST3's does not.
#[must_use]
pub fn json(state: &[u8]) -> &[u8] {
    match state.split_first_chunk::<8>() {
        Some((length, rest)) if u64::from_le_bytes(*length) == rest.len() as u64 => rest,
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_looks_like_a_brace_is_none() {
        let text = format!("{:<123}", r#"{"fields":{"takes":"null"}}"#);
        let clap = [&123_u64.to_le_bytes(), text.as_bytes()].concat();
        assert_eq!(clap[0], b'{');
        assert_eq!(takes(&clap).expect("a state"), []);
        assert_eq!(takes(text.as_bytes()).expect("a state"), []);
        assert!(takes(b"nothing of the kind").is_err());
    }
}
