//! What a project file keeps beside the parameters: the takes, which one is selected, and the chosen pack. Versioned;
//! loading never waits on a model, and a file that makes no sense changes nothing.

use nice_plug::params::persist::PersistentField;
use segue_engine::take::{Take, TakeId, Tokens};
use segue_engine::worker::{Shelf, TakeShelf};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The version written. A change that old versions cannot read raises it, and adds a step to [`migrate`].
pub const VERSION: u64 = 1;

/// The project's takes as the framework persists them. Main thread.
#[derive(Debug)]
pub struct Project {
    shelf: Arc<TakeShelf>,
}

impl Project {
    /// Over the takes of an engine.
    #[must_use]
    pub fn new(shelf: Arc<TakeShelf>) -> Self {
        Self { shelf }
    }
}

/// Version 1.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u64,
    takes: Vec<Take>,
    selected: Option<TakeId>,
    pack: Option<PathBuf>,
}

/// A project file's content, or why it is not one. Deserialising never fails, so that the reason can be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Result<Shelf, String>);

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shelf = self.0.as_ref().map_err(serde::ser::Error::custom)?.clone();
        Saved { version: VERSION, takes: shelf.takes, selected: shelf.selected, pack: shelf.pack }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(read(Value::deserialize(deserializer)?)))
    }
}

impl<'a> PersistentField<'a, Document> for Project {
    fn set(&self, document: Document) {
        match document.0 {
            Ok(shelf) => self.shelf.restore(shelf),
            Err(reason) => {
                self.shelf.note(format!("The takes in this project could not be read, nothing was changed: {reason}"))
            }
        }
    }

    fn map<F, R>(&self, f: F) -> R
    where
        F: Fn(&Document) -> R,
    {
        let shelf = self.shelf.snapshot();
        #[cfg(feature = "defects")]
        let shelf = crate::defects::saved(shelf);
        f(&Document(Ok(shelf)))
    }
}

fn read(value: Value) -> Result<Shelf, String> {
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
fn migrate(value: Value) -> Result<Value, String> {
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => Ok(value),
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use segue_engine::take::Provenance;

    fn take(id: u64) -> Take {
        Take {
            id: TakeId(id),
            name: format!("Take {id}"),
            kept: id == 2,
            provenance: Provenance {
                pack: "first 0.1.0".into(),
                pack_hash: "abc".into(),
                seed: id * 7,
                temperatures: [0.6, 0.8, 0.1 + 0.2],
                top_p: 0.95,
                device: "cpu".into(),
                tempo: Some(119.999_999_999_7),
                made_at: 1_790_000_000,
            },
            semantic: Tokens { codebooks: 1, ids: vec![1, 2, 3] },
            acoustic: Tokens { codebooks: 2, ids: vec![1, 2, 3, 65_535] },
            prompt_samples: 96_000,
            continuation_samples: 384_000,
            sample_rate: 24_000,
            gain: [0.123_456_79, 3.0],
        }
    }

    fn save(project: &Project) -> String {
        project.map(|document| serde_json::to_string(document).expect("saved"))
    }

    fn load(project: &Project, text: &str) {
        if let Ok(document) = serde_json::from_str::<Document>(text) {
            project.set(document);
        }
    }

    fn filled() -> (Project, Arc<TakeShelf>) {
        let shelf = Arc::new(TakeShelf::default());
        shelf.restore(Shelf {
            takes: vec![take(2), take(1)],
            selected: Some(TakeId(1)),
            pack: Some("/packs/first".into()),
        });
        (Project::new(Arc::clone(&shelf)), shelf)
    }

    #[test]
    fn a_project_is_saved_again_byte_for_byte() {
        let (project, shelf) = filled();
        let saved = save(&project);
        let other = Project::new(Arc::default());
        load(&other, &saved);
        assert_eq!(save(&other), saved);
        assert!(saved.starts_with("{\"version\":1,"));
        assert_eq!(shelf.snapshot().takes.len(), 2);
    }

    #[test]
    fn absent_and_empty_are_fine() {
        let (project, shelf) = filled();
        load(&project, "null");
        assert_eq!(shelf.snapshot(), Shelf::default());
        load(&project, &save(&Project::new(Arc::default())));
        assert_eq!(shelf.snapshot(), Shelf::default());
    }

    #[test]
    fn nonsense_is_refused_in_words_and_changes_nothing() {
        let (project, shelf) = filled();
        let before = shelf.snapshot();
        let good = save(&project);
        for (text, word) in [
            ("{}".to_owned(), "version"),
            ("[1,2]".to_owned(), "version"),
            (good.replace("\"version\":1", "\"version\":2"), "newer"),
            (good.replace("\"sample_rate\":24000", "\"sample_rate\":0"), "sample rate"),
            (good.replace("[1,2,3,65535]", "[1,2,3]"), "incomplete"),
            (good.replace("{\"codebooks\":2,", "{\"codebooks\":-1,"), "invalid value"),
            (good.replace("\"id\":2", "\"id\":1"), "two takes"),
        ] {
            let Document(read) = serde_json::from_str(&text).expect("it is JSON");
            let reason = read.expect_err(&text);
            assert!(reason.contains(word), "{reason:?} does not say {word:?}");
            load(&project, &text);
            assert_eq!(shelf.snapshot(), before);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (project, shelf) = filled();
            let before = shelf.snapshot();
            let text = String::from_utf8_lossy(&bytes);
            prop_assume!(text.trim() != "null");
            load(&project, &text);
            prop_assert_eq!(shelf.snapshot(), before);
        }

        /// One byte of a good file changed: it loads whole or not at all, and never panics.
        #[test]
        fn a_damaged_file_is_taken_whole_or_not_at_all(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let (project, shelf) = filled();
            let mut bytes = save(&project).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            load(&project, &String::from_utf8_lossy(&bytes));
            prop_assert_eq!(shelf.snapshot().takes.len(), 2);
        }
    }
}
