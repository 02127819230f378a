//! What a saved plugin state says about its takes. A host may read a project file; it may not look inside the plugin.

use crate::error::{Error, Result};
use segue_engine::take::Take;
use serde_json::Value;

/// The formats of takes this reads.
const FORMATS: std::ops::RangeInclusive<u64> = 1..=2;

/// The takes in a state, newest first. Documents that a Segue has kept without understanding them are passed over, as
/// long as there is one that can be read.
pub fn takes(state: &[u8]) -> Result<Vec<Take>> {
    let wrong = |e: serde_json::Error| Error::host(format!("the saved state is not what it should be: {e}"));
    // The framework writes JSON, in which each persisted field is JSON in a string.
    let state: Value = serde_json::Deserializer::from_slice(json(state))
        .into_iter()
        .next()
        .ok_or_else(|| Error::host("the saved state is empty"))?
        .map_err(wrong)?;
    let fields = state.get("fields").and_then(Value::as_object).into_iter().flatten();
    let ours =
        fields.filter(|(name, _)| name.strip_prefix("takes").is_some_and(|r| r.is_empty() || r.starts_with('.')));
    let (mut takes, mut refused) = (None, None);
    for (_, field) in ours {
        match document(field.as_str().unwrap_or_default()) {
            Ok(newer) => takes = Some(newer.into_iter().chain(takes.unwrap_or_default()).collect()),
            Err(e) => refused = Some(e),
        }
    }
    match (takes, refused) {
        (None, Some(e)) => Err(e),
        (takes, _) => Ok(takes.unwrap_or_default()),
    }
}

fn document(text: &str) -> Result<Vec<Take>> {
    let wrong = |e: serde_json::Error| Error::host(format!("the saved takes are not what they should be: {e}"));
    let document: Value = serde_json::from_str(text).map_err(wrong)?;
    if document.is_null() {
        return Ok(Vec::new());
    }
    match (document.get("version").and_then(Value::as_u64), document.get("takes")) {
        (Some(version), Some(takes)) if FORMATS.contains(&version) => {
            serde_json::from_value(takes.clone()).map_err(wrong)
        }
        (version, _) => Err(Error::host(format!("the saved takes are of format {version:?}"))),
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
