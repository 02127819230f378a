//! What a project keeps: whatever it holds, takes are loaded whole or not at all, and what was loaded is saved so that
//! it loads again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::state::Project;
use segue_engine::worker::{Shelf, TakeShelf};
use std::collections::BTreeMap;
use std::sync::Arc;

fn load(fields: &BTreeMap<String, String>) -> (Project, Shelf) {
    let shelf: Arc<TakeShelf> = Arc::default();
    let project = Project::new(Arc::clone(&shelf));
    project.load(fields);
    (project, shelf.snapshot())
}

fuzz_target!(|text: &str| {
    // The line between two documents: a project that two versions have saved has both.
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    let mut fields = BTreeMap::from([("takes".to_string(), first.to_string())]);
    if !second.is_empty() {
        fields.insert("takes.2".into(), second.to_string());
    }
    let (project, shelf) = load(&fields);
    let saved = project.save();
    let (_, again) = load(&saved);
    assert_eq!(again, shelf, "saved as {saved:?}");
});
