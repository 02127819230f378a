//! What a project file brings back, and what it cannot break.

use super::*;
use nice_plug::plugin::PluginState;
use proptest::prelude::*;
use segue_engine::take::Provenance;

fn take(id: u64) -> Take {
    Take {
        id: TakeId(id),
        name: format!("Take {id}"),
        stars: if id == 2 { 5 } else { 0 },
        parent: None,
        provenance: Provenance {
            pack: "first 0.1.0".into(),
            pack_hash: "abc".into(),
            seed: id * 7,
            temperatures: [0.6, 0.8, 0.1 + 0.2],
            top_p: 0.95,
            hold: 0.5,
            density: 1.25,
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
        loudness: None,
    }
}

/// The text of the takes' field.
fn save(project: &Project) -> String {
    project.save().remove(FIELD).expect("there is one")
}

fn load(project: &Project, text: &str) {
    project.load(&BTreeMap::from([(FIELD.to_owned(), text.to_owned())]));
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
    assert!(saved.starts_with("{\"version\":2,"));
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
        (good.replace("\"version\":2", "\"version\":3"), "newer"),
        (good.replace("\"sample_rate\":24000", "\"sample_rate\":0"), "sample rate"),
        (good.replace("\"stars\":5", "\"stars\":6"), "stars"),
        (good.replace("4x16:AAEAAgAD//8", "3x16:AAEAAgAD"), "incomplete"),
        (good.replace("4x16:AAEAAgAD//8", "4x16:AAEAAgAD"), "damaged"),
        (good.replace("{\"codebooks\":2,", "{\"codebooks\":-1,"), "invalid value"),
        (good.replace("\"id\":2", "\"id\":1"), "two takes"),
    ] {
        let reason = read(&text).expect_err(&text);
        assert!(reason.contains(word), "{reason:?} does not say {word:?}");
        load(&project, &text);
        assert_eq!(shelf.snapshot(), before);
    }
}

/// A state as a project file of the oldest format has it, made by the version that wrote that format.
fn golden() -> PluginState {
    let clap = include_bytes!("../../../assets/test/state/format-1.clap-state");
    // The CLAP puts the length before it.
    serde_json::from_slice(&clap[8..]).expect("it is a state")
}

#[test]
fn the_oldest_format_still_opens() {
    let (mut state, project) = (golden(), Project::new(Arc::default()));
    bring_up_to_date(&mut state);
    project.load(&state.fields);
    let Shelf { takes, selected, pack } = project.shelf.snapshot();
    assert_eq!(project.kept.lock().len(), 0, "all of it was understood");
    assert_eq!((takes.len(), selected, pack), (3, Some(TakeId(3)), None));
    assert_eq!(takes.iter().map(|t| t.provenance.seed).collect::<Vec<_>>(), [77, 1683, 5]);
    assert_eq!(takes.iter().map(|t| t.continuation_samples).collect::<Vec<_>>(), [48_000, 72_000, 120_000]);
    for take in &takes {
        let frames = (take.prompt_samples + take.continuation_samples) / 480;
        assert!(take.acoustic.frames() >= frames && take.semantic.frames() >= frames / 2, "{}", take.name);
        assert_eq!(take.provenance.temperatures, [1.1, 1.1, 0.6]);
        assert_eq!((take.provenance.hold, take.provenance.density), (1.0, 1.0));
        assert_eq!(take.stars, 0);
    }
    assert_eq!(state.params.len(), 22, "every parameter but the two buttons has a value");
}

#[test]
fn a_take_that_was_kept_has_five_stars() {
    let old = save(&filled().0).replace("\"version\":2", "\"version\":1");
    let old = old.replace("\"stars\":5", "\"kept\":true").replace("\"stars\":0", "\"kept\":false");
    let project = Project::new(Arc::default());
    load(&project, &old);
    assert_eq!(project.shelf.snapshot().takes.iter().map(|take| take.stars).collect::<Vec<_>>(), [5, 0]);
}

/// The project of a newer Segue passes through an older one, which adds a take, and comes back whole.
#[test]
fn what_a_newer_segue_saved_is_saved_again_untouched() {
    let newer = r#"{ "version":9, "songs":[ 1.0, "2" ],"takes" : null}"#.to_owned();
    let colours = "[\"red\"]".to_owned();
    let fields = BTreeMap::from([("takes".to_owned(), newer), ("colours".to_owned(), colours)]);
    let (project, shelf) = (Project::new(Arc::default()), filled().1.snapshot());
    project.load(&fields);
    assert_eq!(project.save(), fields, "byte for byte");
    project.shelf.restore(shelf.clone());
    let saved = project.save();
    assert!(fields.iter().all(|(field, text)| saved.get(field) == Some(text)), "byte for byte, with takes beside it");
    // The same version opens it again: its own takes are there, the other's still wait.
    let again = Project::new(Arc::default());
    again.load(&saved);
    assert_eq!((again.shelf.snapshot(), again.save()), (shelf, saved.clone()));
    // A version that can read both has both, each take with a number of its own.
    let both = Project::new(Arc::default());
    both.load(
        &saved.into_iter().map(|(f, text)| (f, if text.contains(":9") { save(&filled().0) } else { text })).collect(),
    );
    let takes = both.shelf.snapshot().takes;
    assert_eq!(takes.iter().map(|take| take.id.0).collect::<Vec<_>>(), [4, 3, 2, 1]);
}

/// Takes of the default length with tokens of ten bits that no compression could make smaller.
#[test]
fn a_hundred_takes_are_less_than_two_megabytes() {
    let mut noise = 1_u32;
    let mut tokens = |codebooks: usize, frames: usize| {
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 22) as u16
        };
        Tokens { codebooks, ids: (0..codebooks * frames).map(|_| next()).collect() }
    };
    let takes: Vec<Take> =
        (1..=100).rev().map(|id| Take { semantic: tokens(1, 500), acoustic: tokens(8, 1000), ..take(id) }).collect();
    let shelf = Shelf { takes, selected: Some(TakeId(7)), pack: None };
    let project = Project::new(Arc::default());
    project.shelf.restore(shelf.clone());
    let state = PluginState { version: String::new(), params: BTreeMap::new(), fields: project.save() };
    let bytes = serde_json::to_vec(&state).expect("JSON");
    assert!(bytes.len() < 2_000_000, "{} bytes", bytes.len());
    let state: PluginState = serde_json::from_slice(&bytes).expect("a state");
    let opened = Project::new(Arc::default());
    opened.load(&state.fields);
    assert_eq!(opened.shelf.snapshot(), shelf);
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
