//! The README's table of parameters is this table's.

use super::*;
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str = "<!-- parameters: written by SEGUE_WRITE_README=1 cargo test -p segue readme -->\n";
const END: &str = "<!-- parameters end -->\n";

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

#[test]
fn the_readme_agrees() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("README.md says where the table begins");
    let (found, after) = rest.split_once(END).expect("README.md says where the table ends");
    if std::env::var_os("SEGUE_WRITE_README").is_some() {
        std::fs::write(&path, [before, BEGIN, &table(), END, after].concat()).expect("README.md is written");
    } else {
        assert_eq!(found, table(), "SEGUE_WRITE_README=1 cargo test -p segue readme writes it anew");
    }
}
