//! Seeded defects: a check that cannot fail is worth nothing. The plugin is built with its feature `defects`, which puts
//! one of these in when the environment names it, and the validator must notice each.

use super::plug::Format;
use super::run::{Surroundings, check};
use super::{Setting, table};
use crate::bundle;
use crate::error::{Error, Result};

/// A defect, what it does, and the checks that are expected to notice.
#[derive(Debug)]
struct Defect {
    name: &'static str,
    does: &'static str,
    noticed_by: &'static [&'static str],
}

const DEFECTS: &[Defect] = &[
    Defect { name: "allocates", does: "allocates in process", noticed_by: &["constant"] },
    Defect { name: "drops-sample", does: "drops the last sample of odd blocks", noticed_by: &["blocks"] },
    Defect { name: "panics-on-state", does: "panics on a state it does not understand", noticed_by: &["damage"] },
    Defect { name: "blocks-on-load", does: "waits for the model when a state is loaded", noticed_by: &["never-waits"] },
    Defect { name: "lets-nan-pass", does: "lets NaN through", noticed_by: &["not-a-number"] },
    Defect { name: "wrong-text", does: "shows a seed that is not the seed", noticed_by: &["texts"] },
    Defect { name: "ignores-offset", does: "answers notes at the block's beginning", noticed_by: &["exact"] },
    Defect { name: "loses-take", does: "leaves the newest take out of the state", noticed_by: &["round-trip"] },
    Defect { name: "leaves-worker", does: "does not end its worker", noticed_by: &["scan"] },
    Defect { name: "reopen-panics", does: "panics when the editor is opened again", noticed_by: &["editor"] },
    Defect { name: "system-call", does: "makes a system call while a take plays", noticed_by: &["syscalls"] },
    Defect { name: "waits-for-lock", does: "takes a lock the main thread holds", noticed_by: &["syscalls"] },
    Defect { name: "bounce-differs", does: "renders offline a thousandth softer", noticed_by: &["bounce"] },
    Defect { name: "forgets-reset", does: "plays on after a reset", noticed_by: &["reset"] },
];

/// Shows that the plugin without a defect holds, and with each of them does not.
pub fn run(seed: u64, around: &Surroundings) -> Result<()> {
    let plugin = bundle::defective_clap()?;
    let setting = Setting { plugin, format: Format::Clap, seed, full: false, hours: 0.0 };
    let mut missed = Vec::new();
    let mut sound: Vec<&str> = DEFECTS.iter().flat_map(|d| d.noticed_by).copied().collect();
    sound.sort_unstable();
    sound.dedup();
    for id in sound {
        let (verdict, seconds) = try_one(id, &setting, around)?;
        println!("  no defect        {id:14} {verdict} ({seconds:.1} s)");
        if !verdict.held() {
            return Err(Error::Check(format!("{id} does not hold without a defect: {verdict}")));
        }
    }
    for defect in DEFECTS {
        let mut with = around.clone();
        with.environment.push(("SEGUE_DEFECT".into(), defect.name.into()));
        let mut noticed = false;
        for id in defect.noticed_by {
            let (verdict, seconds) = try_one(id, &setting, &with)?;
            println!("  {:16} {id:14} {verdict} ({seconds:.1} s)", defect.name);
            noticed |= !verdict.held();
        }
        if !noticed {
            missed.push(format!("{} ({})", defect.name, defect.does));
        }
    }
    let caught = DEFECTS.len() - missed.len();
    if missed.is_empty() {
        println!("{caught} of {} seeded defects were noticed", DEFECTS.len());
        return Ok(());
    }
    Err(Error::Check(format!("{caught} of {} seeded defects were noticed; not: {}", DEFECTS.len(), missed.join(", "))))
}

fn try_one(id: &str, setting: &Setting, around: &Surroundings) -> Result<(super::run::Verdict, f64)> {
    let found = table::find(id).ok_or_else(|| Error::Request(format!("no check {id:?}")))?;
    check(found, setting, around)
}
