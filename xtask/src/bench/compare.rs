//! What has changed since another run.

use super::Figures;
use crate::error::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// A line for each figure that both have: old, new, and new over old.
pub(super) fn table(old: &Path, new: &Figures) -> Result<String> {
    let text = std::fs::read_to_string(old).map_err(|e| Error::file(old, e))?;
    let before: Value = serde_json::from_str(&text).map_err(|e| Error::file(old, e))?;
    let after = serde_json::to_value(new).map_err(|e| Error::file(old, e))?;
    let mut lines = format!("{:34} {:>12} {:>12} {:>8}\n", "", "before", "now", "ratio");
    if before["machine"] != after["machine"] {
        lines += &format!("not the same machine: before, {}\n", before["machine"].as_str().unwrap_or("unknown"));
    }
    compare("", &before, &after, &mut lines);
    Ok(lines)
}

fn compare(name: &str, before: &Value, after: &Value, lines: &mut String) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, after) in after {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                compare(&name, before.get(key).unwrap_or(&Value::Null), after, lines);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            // Stages, each by its name.
            for after in after {
                let same = before.iter().find(|before| before["id"] == after["id"]).unwrap_or(&Value::Null);
                let id = after["id"].as_str().unwrap_or("?");
                compare(&format!("{name}.{id}"), same, after, lines);
            }
        }
        (before, after) => {
            if let (Some(before), Some(after)) = (before.as_f64(), after.as_f64()) {
                let ratio = if before == 0.0 { "–".into() } else { format!("{:.2}", after / before) };
                *lines += &format!("{name:34} {before:>12.4} {after:>12.4} {ratio:>8}\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_have_is_compared_stage_by_stage() {
        let old = tempfile::NamedTempFile::new().expect("a file");
        let text =
            r#"{"machine": "m", "speed": 4.0, "gone": 1, "stages": [{"id": "b", "steps": 2, "ms_per_step": 0.5}]}"#;
        std::fs::write(old.path(), text).expect("written");
        let stage = |id: &str| crate::report::Stage {
            id: id.into(),
            steps: 1,
            steps_per_second: Some(1.0),
            ms_per_step: Some(2.0),
            roofline: None,
        };
        let new = Figures {
            machine: "m".into(),
            speed: Some(5.0),
            stages: vec![stage("a"), stage("b")],
            ..Figures::default()
        };
        let table = table(old.path(), &new).expect("a table");
        let line = |name: &str| table.lines().find(|l| l.starts_with(name)).map(|l| l.split_whitespace().last());
        assert_eq!(line("speed "), Some(Some("1.25")));
        assert_eq!(line("stages.b.ms_per_step "), Some(Some("4.00")));
        assert!(line("stages.a").is_none() && line("gone").is_none() && !table.contains("not the same machine"));
    }
}
