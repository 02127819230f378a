//! What the editor and the host's main thread may ask of the worker. Sent through a bounded crossbeam channel; a full
//! channel refuses (`try_send`), nobody waits.

use crate::take::{Take, TakeId};
use std::path::PathBuf;

/// A request to the worker. Triggers do not come this way: they are sample-accurate and come from the audio thread.
#[derive(Debug, Clone)]
pub enum Command {
    /// Stop generating; what has been generated so far stays as a take. Stops playback of it too.
    Cancel,
    /// Generate again from the selected take's prompt with a new seed (or the seed of [`crate::controls::Controls`] if it is not 0).
    Retry,
    /// Make this take the selected one.
    Select(TakeId),
    /// Play the selected take from its beginning, now.
    Play,
    /// Stop playing.
    Stop,
    /// Remove a take.
    Delete(TakeId),
    /// Give a take another name.
    Rename(TakeId, String),
    /// Mark or unmark a take as worth keeping.
    Keep(TakeId, bool),
    /// Write a take to a WAV file (32-bit float, host rate).
    Export(TakeId, PathBuf),
    /// Replace all takes by these (project state was loaded). They are decoded again, never regenerated.
    Restore(Vec<Take>),
    /// Use the pack in this folder, or the default lookup if `None`.
    LoadPack(Option<PathBuf>),
}
