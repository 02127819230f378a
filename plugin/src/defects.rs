//! Seeded defects, to show that the validator notices them (`cargo xtask validate --defects`). Only with the feature
//! `defects`, which nothing that is released has; each sleeps until `SEGUE_DEFECT` names it.

use nice_plug::prelude::PluginState;
use segue_engine::worker::{Engine, EngineConfig, Shelf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Whether this defect is awake.
pub(crate) fn is(name: &str) -> bool {
    static AWAKE: OnceLock<Option<String>> = OnceLock::new();
    AWAKE.get_or_init(|| std::env::var("SEGUE_DEFECT").ok()).as_deref() == Some(name)
}

/// Reads the environment, before the audio thread would have to.
pub(crate) fn wake() {
    let _ = is("");
}

/// What the main thread holds while it shows, and the audio thread should never ask for.
static SHARED: Mutex<()> = Mutex::new(());

/// Where the seed becomes text.
pub(crate) fn seed(value: i32) -> i32 {
    let held = is("waits-for-lock").then(|| SHARED.lock().unwrap_or_else(PoisonError::into_inner));
    if held.is_some() {
        std::thread::sleep(Duration::from_millis(2));
    }
    value + i32::from(is("wrong-text"))
}

/// Where a note's place in the block is read.
pub(crate) fn timing(timing: u32) -> u32 {
    if is("ignores-offset") { 0 } else { timing }
}

/// What the state saves of the takes.
pub(crate) fn saved(mut shelf: Shelf) -> Shelf {
    if is("loses-take") && !shelf.takes.is_empty() {
        shelf.takes.remove(0);
    }
    shelf
}

/// At the beginning of `process`.
pub(crate) fn before(channels: &mut [&mut [f32]]) {
    if is("allocates") {
        drop(std::hint::black_box(Vec::<f32>::with_capacity(channels.len() + 1)));
    }
    if is("waits-for-lock") {
        drop(SHARED.lock());
    }
}

/// At the end of `process`.
pub(crate) fn after(channels: &mut [&mut [f32]], playing: bool, offline: bool) {
    for channel in channels {
        if is("drops-sample")
            && channel.len() % 2 == 1
            && let Some(last) = channel.last_mut()
        {
            *last = 0.0;
        }
        if is("bounce-differs") && offline {
            channel.iter_mut().for_each(|s| *s *= 0.999);
        }
    }
    if is("system-call") && playing {
        std::thread::yield_now();
    }
}

/// Where a state is loaded.
pub(crate) fn load(state: &PluginState) {
    let takes = state.fields.get("takes").map(String::as_str).unwrap_or_default();
    let sound = serde_json::from_str::<serde_json::Value>(takes).is_ok_and(|v| v["version"].as_u64() < Some(50));
    assert!(sound || !is("panics-on-state"), "a state that makes no sense");
    if is("blocks-on-load") {
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Where an editor opens.
pub(crate) fn open() {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    assert!(OPENED.fetch_add(1, Relaxed) == 0 || !is("reopen-panics"), "the editor is opened again");
}

/// Where the plugin ends.
pub(crate) fn end(engine: &mut Engine) {
    if is("leaves-worker") {
        std::mem::forget(std::mem::replace(engine, Engine::spawn(EngineConfig::default())));
    }
}
