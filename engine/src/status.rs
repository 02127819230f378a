//! What the worker shows the editor: one snapshot behind a `parking_lot` lock that the audio thread never touches,
//! and a few meters as atomics that the audio thread writes.

use crate::controls::AtomicF32;
use crate::take::TakeId;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Minimum and maximum per column, for drawing; channels mixed. At most 1024 columns.
pub type Waveform = Arc<[(f32, f32)]>;

/// What the worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// Not activated by the host yet.
    #[default]
    Asleep,
    /// Loading the runtime or a pack.
    Loading,
    /// Listening, ready to continue.
    Ready,
    /// Recording the prompt ([`crate::controls::CaptureMode::Record`]).
    Recording,
    /// Encoding the prompt and filling the caches.
    Prefilling,
    /// Generating.
    Generating,
    /// Cannot generate; [`Status::problem`] says why. Audio still passes.
    Unable,
}

/// An error in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What happened, naming the file.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl From<&crate::error::Error> for Problem {
    fn from(e: &crate::error::Error) -> Self {
        Self { what: e.to_string(), remedy: e.remedy().into() }
    }
}

/// The loaded pack.
#[derive(Debug, Clone, PartialEq)]
pub struct PackSummary {
    /// Short name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Title for people.
    pub title: String,
    /// Stage ids in order (`semantic`, `coarse`, `fine`): knobs of absent stages are hidden.
    pub stages: Vec<String>,
    /// Hz.
    pub sample_rate: u32,
    /// Channels the codec makes.
    pub channels: usize,
    /// `cpu`, `cuda`, `directml`.
    pub device: String,
    /// Intra-op threads per session.
    pub threads: usize,
    /// Licence of the weights.
    pub license: String,
}

/// Progress of one stage of the running continuation, in frames of that stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageProgress {
    /// Stage id.
    pub id: String,
    /// Frames made.
    pub done: usize,
    /// Frames wanted; `None` without end.
    pub total: Option<usize>,
}

/// Progress of the running continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// In the pack's order.
    pub stages: Vec<StageProgress>,
    /// Seconds of audio made.
    pub seconds: f64,
    /// Seconds wanted; `None` without end.
    pub total_seconds: Option<f64>,
    /// Seconds of audio per wall second so far.
    pub speed: f64,
    /// Wall seconds until it can be heard; 0 once it is playing.
    pub starts_in: f64,
}

/// A take as the editor shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeSummary {
    /// Identity.
    pub id: TakeId,
    /// Name.
    pub name: String,
    /// Marked as worth keeping.
    pub kept: bool,
    /// Seed used.
    pub seed: u64,
    /// Semantic, coarse, fine.
    pub temperatures: [f32; 3],
    /// Length in seconds.
    pub seconds: f64,
    /// Prompt as decoded or captured, for drawing.
    pub prompt: Waveform,
    /// Continuation, for drawing.
    pub continuation: Waveform,
    /// `false` while its pack is missing: visible, greyed, kept.
    pub playable: bool,
    /// Pack name and version it was made with.
    pub pack: String,
}

/// The worker's snapshot. Cloning is cheap (waveforms are shared).
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What the worker is doing.
    pub activity: Activity,
    /// The last problem, until the next success.
    pub problem: Option<Problem>,
    /// A short message for the user ("Exported to …"), until the next one.
    pub notice: Option<String>,
    /// The loaded pack.
    pub pack: Option<PackSummary>,
    /// The running continuation.
    pub progress: Option<Progress>,
    /// The last few seconds of input, prompt length long, for drawing while idle.
    pub listening: Waveform,
    /// Newest first.
    pub takes: Vec<TakeSummary>,
    /// The selected take.
    pub selected: Option<TakeId>,
    /// The take being generated, if any (it is in `takes` too, growing).
    pub generating: Option<TakeId>,
    /// Whether a take is being played.
    pub playing: Option<TakeId>,
    /// Milliseconds from the last trigger until its first continuation sample could be mixed.
    pub ttfa_ms: Option<f64>,
    /// Speed of the last finished continuation.
    pub speed: Option<f64>,
}

/// Written by the audio thread, read by anyone. Real-time safe.
#[derive(Debug, Default)]
pub struct Meters {
    /// Peak of the last block's input, linear.
    pub input_peak: AtomicF32,
    /// Peak of the last block's continuation, linear.
    pub wet_peak: AtomicF32,
    /// Position in the playing take, frames at the host's rate since the continuation's start; `u64::MAX` if none plays.
    pub position: AtomicU64,
    /// Blocks in which playback ran dry since activation.
    pub underruns: AtomicU64,
    /// The sample clock at the end of the last block.
    pub clock: AtomicU64,
}
