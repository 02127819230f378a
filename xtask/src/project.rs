//! What a saved plugin state says about its takes. A host may read a project file; it may not look inside the plugin.

use crate::error::{Error, Result};
use segue_engine::take::Take;
use serde_json::Value;

/// The takes in a state, newest first.
pub fn takes(state: &[u8]) -> Result<Vec<Take>> {
    let wrong = |e: serde_json::Error| Error::host(format!("the saved state is not what it should be: {e}"));
    // The framework writes JSON, in which each persisted field is JSON in a string.
    let state = state.iter().position(|b| *b == b'{').map_or(state, |at| &state[at..]);
    let state: Value = serde_json::Deserializer::from_slice(state)
        .into_iter()
        .next()
        .ok_or_else(|| Error::host("the saved state is empty"))?
        .map_err(wrong)?;
    let field = state.pointer("/fields/takes").and_then(Value::as_str).unwrap_or("null");
    let document: Value = serde_json::from_str(field).map_err(wrong)?;
    match document.get("takes") {
        Some(takes) => serde_json::from_value(takes.clone()).map_err(wrong),
        None => Ok(Vec::new()),
    }
}
