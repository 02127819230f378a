//! Seeded defects: a check that cannot fail is worth nothing. The plugin is built with its feature `defects`, which puts
//! one of these in when the environment names it, and the validator must notice each.

use super::plug::Format;
use super::run::{Surroundings, check};
use super::{Setting, table};
use crate::bundle;
use crate::error::{Error, Result};

/// A defect.
#[derive(Debug)]
struct Defect {
    /// What `SEGUE_DEFECT` calls it.
    name: &'static str,
    /// What it does.
    does: &'static str,
    /// The check that must notice.
    check: &'static str,
    /// Words of the verdict: it must be noticed for what it is.
    says: &'static str,
}

const fn defect(name: &'static str, does: &'static str, check: &'static str, says: &'static str) -> Defect {
    Defect { name, does, check, says }
}

const DEFECTS: &[Defect] = &[
    defect("allocates", "allocates in process", "constant", "memory allocation"),
    defect("drops-sample", "drops the last sample of odd blocks", "blocks", "does not come through"),
    defect("panics-on-state", "panics on a state it does not understand", "damage", "a state that makes no sense"),
    defect("blocks-on-load", "waits for the model when a state is loaded", "never-waits", "kept the main thread"),
    defect("lets-nan-pass", "lets NaN through", "not-a-number", "is not a number"),
    defect("wrong-text", "shows a seed that is not the seed", "texts", "comes back as"),
    defect("ignores-offset", "answers notes at the block's beginning", "exact", "is answered at frame"),
    defect("loses-take", "leaves the newest take out of the state", "round-trip", "the state holds 0"),
    defect("leaves-worker", "does not end its worker", "scan", "threads are left"),
    defect("reopen-panics", "panics when the editor is opened again", "editor", "Failed to create plugin GUI"),
    defect("system-call", "makes a system call while a take plays", "syscalls", "sched_yield"),
    defect("waits-for-lock", "takes a lock the main thread holds", "syscalls", "futex"),
    defect("bounce-differs", "renders offline a thousandth softer", "bounce", "differs from real time"),
    defect("forgets-reset", "plays on after a reset", "reset", "does not come through"),
];

/// Shows that the plugin without a defect holds, and with each of them does not.
pub fn run(seed: u64, around: &Surroundings) -> Result<()> {
    let plugin = bundle::defective_clap()?;
    let setting = Setting { plugin, format: Format::Clap, seed, full: false, hours: 0.0 };
    let mut missed = Vec::new();
    let mut sound: Vec<&str> = DEFECTS.iter().map(|d| d.check).collect();
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
        let (verdict, seconds) = try_one(defect.check, &setting, &with)?;
        println!("  {:16} {:14} {verdict} ({seconds:.1} s)", defect.name, defect.check);
        let noticed = !verdict.held() && verdict.to_string().contains(defect.says);
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
