//! What the editor and the host's main thread may ask of the worker. Sent through a bounded crossbeam channel; a full
//! channel refuses (`try_send`), nobody waits.

use crate::take::{Take, TakeId};
use std::path::PathBuf;

/// A request to the worker. Triggers do not come this way: they are sample-accurate and come from the audio thread.
#[derive(Debug, Clone)]
pub enum Command {
    /// Stop generating; what has been generated so far stays as a take, variations still to be made are forgotten.
    /// Stops playback of it too.
    Cancel,
    /// Generate again from the selected take's prompt with a new seed (or the seed of [`crate::controls::Controls`] if it is not 0).
    Retry,
    /// Go on from the take's end: its tokens are the prompt, nothing is encoded again. The new take names it as its
    /// parent; if it is playing, the new one follows it without a gap. A take in the making is continued when it is done.
    Further(TakeId),
    /// Make 1–8 more takes from that take's prompt, each with a seed of its own, one after another and silently.
    Variations(TakeId, u8),
    /// Generate again from that take's prompt and its seed, with one temperature moved: "more like this" (down),
    /// "further away" (up).
    Nudge {
        /// The take to stay close to.
        id: TakeId,
        /// 0 semantic, 1 coarse, 2 fine.
        stage: usize,
        /// Added to the temperature the take was made with; the sum is kept within 0–1.5.
        delta: f32,
    },
    /// Play the built-in prompt and continue it, as if it had been played in.
    TryIt,
    /// Take back the last thing that [`crate::status::Status::undo`] names (a deletion, a name, stars).
    Undo,
    /// Do again what was taken back.
    Redo,
    /// Make this take the selected one. While a take is playing this is A/B: the selected one goes on at the same
    /// position with an equal-power crossfade (from its beginning if it is shorter).
    Select(TakeId),
    /// Play the selected take from its beginning, now.
    Play,
    /// Move the playhead of the playing take to this many seconds after the continuation's beginning, without a click.
    Locate(f64),
    /// Stop playing.
    Stop,
    /// Remove a take. Can be undone.
    Delete(TakeId),
    /// Give a take another name. Can be undone.
    Rename(TakeId, String),
    /// Give a take 0–5 stars. Can be undone.
    Stars(TakeId, u8),
    /// Write a take to a file. See [`ExportRequest`].
    Export(TakeId, ExportRequest),
    /// Replace all takes by these (project state was loaded). They are decoded again, never regenerated.
    Restore(Vec<Take>),
    /// Use the pack in this folder, or the default lookup if `None`.
    LoadPack(Option<PathBuf>),
}

/// A WAV file to be written, at the host's rate, with the take's provenance in it (`bext` and `LIST/INFO`). A file that
/// exists is never overwritten: the next free name is taken, and [`crate::status::Status::exported`] says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    /// The wanted file. Its folder is made if it is not there. For [`ExportContent::TwoFiles`] the prompt's file gets
    /// ` prompt` after the stem.
    pub path: PathBuf,
    /// Sample format.
    pub format: ExportFormat,
    /// What is written.
    pub content: ExportContent,
}

/// Sample format of an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// 32-bit IEEE float.
    #[default]
    Float32,
    /// 24-bit integer.
    Pcm24,
}

/// What an exported file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportContent {
    /// The continuation alone.
    #[default]
    Continuation,
    /// The prompt (as the codec heard it) and the continuation, in one file, without a seam.
    PromptAndContinuation,
    /// Two files that fit together to the sample.
    TwoFiles,
}
