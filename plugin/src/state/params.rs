//! What becomes of a project file's parameters before they reach the table.

use crate::params::SegueParams;
use nice_plug::plugin::ParamValue;
use nice_plug::prelude::*;
use std::collections::BTreeMap;

/// Where parameters of a newer Segue wait for it.
const LATER: &str = "later_parameters";
/// Opening a project must not press buttons.
const BUTTONS: [&str; 2] = ["capture", "play"];

/// Makes a saved state one of this version. Parameters that it does not know take their defaults instead of staying as
/// they happen to be; those that this version does not know are kept for one that does; values out of range are brought
/// into it.
pub fn bring_up_to_date(state: &mut PluginState) {
    let fresh = SegueParams::new(Default::default());
    let mut later: BTreeMap<String, ParamValue> =
        state.fields.remove(LATER).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let table = fresh.table();
    for row in &table {
        let saved = state.params.remove(row.id).or_else(|| later.remove(row.id));
        if !BUTTONS.contains(&row.id) {
            state.params.insert(row.id.to_owned(), row.param.restored(saved));
        }
    }
    let unknown: Vec<String> =
        state.params.keys().filter(|id| table.iter().all(|row| row.id != id.as_str())).cloned().collect();
    for id in unknown {
        if let Some(value) = state.params.remove(&id) {
            later.insert(id, value);
        }
    }
    if !later.is_empty()
        && let Ok(text) = serde_json::to_string(&later)
    {
        state.fields.insert(LATER.into(), text);
    }
}

/// Parameters that know which saved values make sense.
pub trait Restore {
    /// The saved value if it is one for this parameter, clamped; else the default.
    fn restore(&self, saved: Option<ParamValue>) -> ParamValue;
}

impl Restore for FloatParam {
    fn restore(&self, saved: Option<ParamValue>) -> ParamValue {
        ParamValue::F32(match saved {
            Some(ParamValue::F32(value)) if !value.is_nan() => {
                value.clamp(self.preview_plain(0.0), self.preview_plain(1.0))
            }
            _ => self.default_plain_value(),
        })
    }
}

impl Restore for IntParam {
    fn restore(&self, saved: Option<ParamValue>) -> ParamValue {
        ParamValue::I32(match saved {
            Some(ParamValue::I32(value)) => value.clamp(self.preview_plain(0.0), self.preview_plain(1.0)),
            _ => self.default_plain_value(),
        })
    }
}

impl Restore for BoolParam {
    fn restore(&self, saved: Option<ParamValue>) -> ParamValue {
        ParamValue::Bool(match saved {
            Some(ParamValue::Bool(on)) => on,
            _ => self.default_plain_value(),
        })
    }
}

impl<T: Enum + PartialEq + 'static> Restore for EnumParam<T> {
    fn restore(&self, saved: Option<ParamValue>) -> ParamValue {
        let known = |id: &String| T::ids().is_some_and(|ids| ids.contains(&id.as_str()));
        match saved {
            Some(ParamValue::String(id)) if known(&id) => ParamValue::String(id),
            _ => ParamValue::I32(i32::try_from(self.default_plain_value().to_index()).unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(params: &str) -> PluginState {
        serde_json::from_str(&format!(r#"{{"version":"0","params":{params},"fields":{{}}}}"#)).expect("it is a state")
    }

    fn updated(mut state: PluginState) -> PluginState {
        bring_up_to_date(&mut state);
        state
    }

    fn value(state: &PluginState, id: &str) -> String {
        state.params.get(id).map_or_else(String::new, |value| serde_json::to_string(value).expect("JSON"))
    }

    #[test]
    fn opening_a_project_presses_no_button() {
        let state = updated(state(r#"{"capture":{"bool":true},"play":{"bool":true},"duet":{"bool":true}}"#));
        assert_eq!((value(&state, "capture"), value(&state, "play")), (String::new(), String::new()));
        assert_eq!(value(&state, "duet"), r#"{"bool":true}"#);
    }

    #[test]
    fn what_an_old_project_does_not_say_is_at_its_default() {
        let state = updated(state(r#"{"prompt":{"f32":2.5}}"#));
        assert_eq!(value(&state, "prompt"), r#"{"f32":2.5}"#);
        assert_eq!(value(&state, "duet_pause"), r#"{"f32":1.5}"#);
        assert_eq!(value(&state, "variations"), r#"{"i32":1}"#);
        assert_eq!(value(&state, "start"), r#"{"i32":0}"#);
    }

    #[test]
    fn values_out_of_range_or_of_another_kind_do_no_harm() {
        let state = updated(state(
            r#"{"length":{"f32":1e30},"seed":{"i32":-2147483648},"dry":{"bool":true},"start":{"string":"someday"},
                "mode":{"string":"record"},"t_fine":{"f32":-1.0}}"#,
        ));
        assert_eq!(value(&state, "length"), r#"{"f32":60.0}"#);
        assert_eq!(value(&state, "seed"), r#"{"i32":0}"#);
        assert_eq!(value(&state, "dry"), r#"{"f32":1.0}"#);
        assert_eq!(value(&state, "start"), r#"{"i32":0}"#);
        assert_eq!(value(&state, "mode"), r#"{"string":"record"}"#);
        assert_eq!(value(&state, "t_fine"), r#"{"f32":0.0}"#);
    }

    #[test]
    fn parameters_of_a_newer_segue_wait_for_it() {
        let newer = state(r#"{"seed":{"i32":5},"swing":{"f32":0.25}}"#);
        let mut state = updated(newer);
        assert!(!state.params.contains_key("swing"));
        // Saved by this version and opened again: still there.
        state.params.insert("seed".into(), ParamValue::I32(6));
        let again = updated(state);
        assert_eq!(again.fields.get(LATER).map(String::as_str), Some(r#"{"swing":{"f32":0.25}}"#));
        assert_eq!(value(&again, "seed"), r#"{"i32":6}"#);
    }
}
