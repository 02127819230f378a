//! The README's tables of parameters and of keys are those that the plugin has.

use super::*;
use std::fmt::Write;
use std::path::Path;

/// Where a table begins and ends.
fn marks(name: &str) -> [String; 2] {
    let how = "written by SEGUE_WRITE_README=1 cargo test -p segue readme";
    [format!("<!-- {name}: {how} -->\n"), format!("<!-- {name} end -->\n")]
}

/// What a parameter can be, with its default in bold.
fn range(param: &dyn AnyParam) -> String {
    let default = param.text(param.default());
    match param.steps() {
        Some(steps) if steps <= 4 => {
            let texts = (0..=steps).map(|step| param.text(step as f32 / steps as f32));
            let marked = texts.map(|text| if text == default { format!("**{text}**") } else { text });
            marked.collect::<Vec<_>>().join(" · ")
        }
        _ => format!("{} … {}; **{default}**", param.text(0.0), param.text(1.0)),
    }
}

fn table() -> String {
    let mut lines =
        String::from("| name | id | range, **default** | automation | what it does |\n|---|---|---|---|---|\n");
    for row in SegueParams::new(Arc::default()).table() {
        let automation = if row.param.automatable() { "yes" } else { "no" };
        let (name, range) = (row.param.name(), range(row.param));
        let _ = writeln!(lines, "| {name} | `{}` | {range} | {automation} | {} |", row.id, row.about);
    }
    lines
}

fn keys() -> String {
    let mut lines = String::from("| key | what it does |\n|---|---|\n");
    for (key, what) in crate::editor::SHORTCUTS {
        let _ = writeln!(lines, "| {} | {what} |", key.replace("  ", " "));
    }
    lines
}

#[test]
fn the_readme_agrees() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let mut readme = std::fs::read_to_string(&path).expect("README.md");
    for (name, table) in [("parameters", table()), ("keys", keys())] {
        let [begin, end] = marks(name);
        let (before, rest) = readme.split_once(&begin).expect("README.md says where the table begins");
        let (found, after) = rest.split_once(&end).expect("README.md says where the table ends");
        if std::env::var_os("SEGUE_WRITE_README").is_some() {
            readme = [before, &begin, &table, &end, after].concat();
            std::fs::write(&path, &readme).expect("README.md is written");
        } else {
            assert_eq!(found, table, "{name}: SEGUE_WRITE_README=1 cargo test -p segue readme writes it anew");
        }
    }
}
