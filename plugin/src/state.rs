//! What a project file keeps beside the parameters: the takes, which one is selected, and the chosen pack. Versioned;
//! loading never waits on a model, and a file that makes no sense changes nothing.
//!
//! What this version cannot read (a newer Segue's project, a damaged one) is refused with a message, and its text is
//! kept and saved again as it was. Takes made meanwhile are saved beside it, and a version that can read both has both.

mod params;

pub use params::{Restore, bring_up_to_date};

use parking_lot::Mutex;
use segue_engine::take::{Take, TakeId, Tokens};
use segue_engine::worker::{Shelf, TakeShelf};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// The version written. A change that old versions cannot read raises it, and adds a step to [`migrate`].
///
/// 1: takes are kept or not. 2: takes have stars, and may have a parent.
pub const VERSION: u64 = 2;

/// The field of the takes. What could not be read there stays there, and ours go to the first free of `takes.2`,
/// `takes.3` and so on.
const FIELD: &str = "takes";

/// The project's takes as the framework persists them. Main thread.
#[derive(Debug)]
pub struct Project {
    shelf: Arc<TakeShelf>,
    /// Fields of the project that was loaded last that this version does not know or understand, as they were.
    kept: Mutex<BTreeMap<String, String>>,
}

/// Version 2.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u64,
    takes: Vec<Take>,
    selected: Option<TakeId>,
    pack: Option<PathBuf>,
}

impl Project {
    /// Over the takes of an engine.
    #[must_use]
    pub fn new(shelf: Arc<TakeShelf>) -> Self {
        Self { shelf, kept: Mutex::default() }
    }

    /// The fields of a project file.
    #[must_use]
    pub fn save(&self) -> BTreeMap<String, String> {
        let mut fields = self.kept.lock().clone();
        let shelf = self.shelf.snapshot();
        #[cfg(feature = "defects")]
        let shelf = crate::defects::saved(shelf);
        let Shelf { takes, selected, pack } = shelf;
        let occupied = fields.contains_key(FIELD);
        if occupied && takes.is_empty() {
            return fields;
        }
        let free = (2..).map(|n| format!("{FIELD}.{n}")).find(|field| !fields.contains_key(field));
        let field = if occupied { free } else { None }.unwrap_or_else(|| FIELD.into());
        // Takes are plain data: there is nothing in them that JSON could refuse.
        if let Ok(text) = serde_json::to_string(&Saved { version: VERSION, takes, selected, pack }) {
            fields.insert(field, text);
        }
        fields
    }

    /// Takes a project file's fields over. Whatever cannot be read leaves the takes as they are and is kept.
    pub fn load(&self, fields: &BTreeMap<String, String>) {
        let mut kept = BTreeMap::new();
        let mut loaded: Option<Shelf> = None;
        for (field, text) in fields {
            let ours = field.strip_prefix(FIELD).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            match if ours { Some(read(text)) } else { None } {
                Some(Ok(shelf)) => loaded = Some(loaded.map_or_else(|| shelf.clone(), |first| join(first, &shelf))),
                Some(Err(reason)) => {
                    self.shelf
                        .note(format!("The takes in this project could not be read, nothing was changed: {reason}"));
                    kept.insert(field.clone(), text.clone());
                }
                None => {
                    kept.insert(field.clone(), text.clone());
                }
            }
        }
        *self.kept.lock() = kept;
        if let Some(shelf) = loaded {
            self.shelf.restore(shelf);
        }
    }
}

/// Two documents of one project: the later one's takes are the newer ones.
fn join(first: Shelf, later: &Shelf) -> Shelf {
    let top = first.takes.iter().map(|take| take.id.0).max().unwrap_or(0);
    let moved = |id: TakeId| TakeId(id.0.saturating_add(top));
    let newer =
        later.takes.iter().cloned().map(|take| Take { id: moved(take.id), parent: take.parent.map(moved), ..take });
    Shelf {
        selected: later.selected.map(moved).or(first.selected),
        takes: newer.chain(first.takes).collect(),
        pack: first.pack,
    }
}

fn read(text: &str) -> Result<Shelf, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if value.is_null() {
        return Ok(Shelf::default());
    }
    let saved: Saved = serde_json::from_value(migrate(value)?).map_err(|e| e.to_string())?;
    let mut seen = HashSet::new();
    for take in &saved.takes {
        check(take).map_err(|reason| format!("take {:?}: {reason}", take.name))?;
        if !seen.insert(take.id) {
            return Err(format!("two takes have the number {}", take.id.0));
        }
    }
    let selected = saved.selected.filter(|id| seen.contains(id)).or(saved.takes.first().map(|t| t.id));
    Ok(Shelf { takes: saved.takes, selected, pack: saved.pack })
}

/// Brings older documents up to [`VERSION`].
fn migrate(mut value: Value) -> Result<Value, String> {
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => Ok(value),
        Some(1) => {
            for take in value.get_mut("takes").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(take) = take.as_object_mut() {
                    let kept = take.remove("kept").and_then(|kept| kept.as_bool()).unwrap_or(false);
                    take.insert("stars".into(), if kept { 5 } else { 0 }.into());
                }
            }
            Ok(value)
        }
        Some(newer) if newer > VERSION => {
            Err(format!("it was saved by a newer Segue (format {newer}, this one reads up to {VERSION})"))
        }
        _ => Err("it has no version".into()),
    }
}

/// Refuses what no Segue has saved, so that the engine need not.
fn check(take: &Take) -> Result<(), &'static str> {
    let whole = |t: &Tokens| if t.codebooks == 0 { t.ids.is_empty() } else { t.ids.len().is_multiple_of(t.codebooks) };
    if !whole(&take.semantic) || !whole(&take.acoustic) {
        return Err("its tokens are incomplete");
    }
    if take.stars > 5 {
        return Err("it has too many stars");
    }
    if !(8_000..=384_000).contains(&take.sample_rate) {
        return Err("its sample rate makes no sense");
    }
    // An hour is far beyond the longest take.
    let longest = take.sample_rate as usize * 3600;
    if take.prompt_samples > longest || take.continuation_samples > longest {
        return Err("its length makes no sense");
    }
    if take.gain.iter().any(|g| !(0.0..=1e6).contains(g)) {
        return Err("its level makes no sense");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
