//! `docs/promises.md`, written from the table: what is promised, what holds it, the last figure.

use super::Outcome;
use super::plug::Format;
use super::run::Verdict;
use super::table::{CHECKS, ELSEWHERE};
use crate::error::{Error, Result};
use crate::paths;
use std::collections::HashMap;
use std::path::PathBuf;

/// The page.
#[must_use]
pub fn page() -> PathBuf {
    paths::root().join("docs/promises.md")
}

/// Figures by check and format.
type Figures = HashMap<(String, Format), String>;

/// Writes the page with the figures of a run; what did not run keeps its last figure.
pub fn record(outcomes: &[Outcome]) -> Result<()> {
    let path = page();
    let mut figures = std::fs::read_to_string(&path).map(|text| read(&text)).unwrap_or_default();
    for outcome in outcomes {
        let figure = match &outcome.verdict {
            Verdict::Held(figure) => figure.clone(),
            other => other.to_string(),
        };
        figures.insert((outcome.id.into(), outcome.format), figure.replace('|', "/"));
    }
    std::fs::write(&path, text(&figures)).map_err(|e| Error::file(&path, e))
}

fn text(figures: &Figures) -> String {
    let mut text = String::from(
        "# What Segue promises, and what holds it\n\n\
         Written by `cargo xtask validate --long --record` from the validator's table (`xtask/src/validate/table.rs`);\n\
         not to be edited by hand. Each check is `cargo xtask validate --only CHECK`. A figure is of the last recorded run\n\
         of that check; — means that none has been recorded.\n\n\
         | Promise | Check | CLAP | VST3 |\n|---|---|---|---|\n",
    );
    for check in CHECKS {
        let of = |format: Format| {
            if !check.formats.contains(&format) {
                return "not tried";
            }
            figures.get(&(check.id.to_owned(), format)).map_or("—", String::as_str)
        };
        text += &format!("| {} | `{}` | {} | {} |\n", check.promise, check.id, of(Format::Clap), of(Format::Vst3));
    }
    text += "\n## Held by other tests\n\nWhat a host cannot see from outside. All run in `cargo xtask test` \
             (those of `training/` with `--training`).\n\n| Promise | Test |\n|---|---|\n";
    for (promise, file, name) in ELSEWHERE {
        text += &format!("| {promise} | `{file}`: `{name}` |\n");
    }
    text
}

/// The figures on the page.
fn read(text: &str) -> Figures {
    let mut figures = Figures::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, id, clap, vst3] = cells[..] else { continue };
        let id = id.trim_matches('`').to_owned();
        for (format, figure) in [(Format::Clap, clap), (Format::Vst3, vst3)] {
            if figure != "—" && CHECKS.iter().any(|c| c.id == id) {
                figures.insert((id.clone(), format), figure.to_owned());
            }
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_table_says() {
        let written = std::fs::read_to_string(page()).expect("docs/promises.md: cargo xtask validate --record");
        assert_eq!(written, text(&read(&written)), "run cargo xtask validate --record");
    }

    #[test]
    fn a_figure_that_is_recorded_is_kept() {
        let mut figures = Figures::new();
        figures.insert(("scan".into(), Format::Vst3), "3 ms".into());
        assert_eq!(read(&text(&figures)), figures);
    }

    #[test]
    fn tests_that_are_named_exist() {
        for (promise, file, name) in ELSEWHERE {
            let text = std::fs::read_to_string(paths::root().join(file)).unwrap_or_default();
            assert!(text.contains(name), "{promise}: {file} has no {name}");
        }
    }

    #[test]
    fn names_of_checks_are_unique() {
        for (n, check) in CHECKS.iter().enumerate() {
            assert!(CHECKS[..n].iter().all(|other| other.id != check.id), "{}", check.id);
        }
    }
}
