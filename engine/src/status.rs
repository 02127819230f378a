//! What the worker shows the editor: one snapshot behind a `parking_lot` lock that the audio thread never touches,
//! and a few meters as atomics that the audio thread writes.

use crate::controls::AtomicF32;
use crate::take::TakeId;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use crate::spectrum::Spectrum;

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
    /// The one step that mends it, where the editor can lead there.
    pub mend: Mend,
}

/// A step that mends a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mend {
    /// None that the editor knows.
    #[default]
    None,
    /// Put ONNX Runtime into this folder and look again.
    Runtime(std::path::PathBuf),
    /// Choose a pack.
    Pack,
}

impl From<&crate::error::Error> for Problem {
    fn from(e: &crate::error::Error) -> Self {
        use crate::error::Error;
        let mend = match e {
            // The last place that was looked at is the user's own.
            Error::RuntimeMissing { looked } => looked.last().and_then(|library| library.parent()),
            Error::RuntimeUnusable { path, .. } => path.parent(),
            _ => None,
        };
        let mend = match (mend, e) {
            (Some(folder), _) => Mend::Runtime(folder.to_path_buf()),
            (None, Error::PackMissing { .. } | Error::PackInvalid { .. }) => Mend::Pack,
            (None, _) => Mend::None,
        };
        Self { what: e.to_string(), remedy: e.remedy().into(), mend }
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
    /// Whether a stage is held to its prompt: the knobs for that are hidden if none is.
    pub held: bool,
    /// Hz.
    pub sample_rate: u32,
    /// Channels the codec makes.
    pub channels: usize,
    /// `cpu`, `cuda`, `directml`, `coreml`.
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
    /// The first codebook of the latest frames, oldest first, the last one being frame `done - 1`; at most
    /// [`RIBBON_FRAMES`].
    pub tokens: Arc<[u16]>,
}

/// Most tokens in [`StageProgress::tokens`].
pub const RIBBON_FRAMES: usize = 3000;

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
    /// 0–5.
    pub stars: u8,
    /// Seed used.
    pub seed: u64,
    /// Semantic, coarse, fine.
    pub temperatures: [f32; 3],
    /// How closely it was held to its prompt, in times of what the pack says.
    pub hold: f32,
    /// How dense it was to be, in times of its prompt.
    pub density: f32,
    /// Length in seconds.
    pub seconds: f64,
    /// Length of what it continues, in seconds.
    pub prompt_seconds: f64,
    /// Prompt as decoded or captured, for drawing.
    pub prompt: Waveform,
    /// Continuation, for drawing.
    pub continuation: Waveform,
    /// `false` while its pack is missing: visible, greyed, kept.
    pub playable: bool,
    /// Prompt and continuation as levels over time and pitch, for drawing. Grows while the take is made.
    pub spectrum: Spectrum,
    /// Pack name and version it was made with.
    pub pack: String,
    /// The host's tempo when it was made, in beats per minute.
    pub tempo: Option<f64>,
    /// The take it goes on from ([`crate::command::Command::Further`]). It may have been deleted.
    pub parent: Option<TakeId>,
}

/// What the duet is doing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum DuetState {
    /// Switched off, or not active.
    #[default]
    Off,
    /// The pianist plays, or nothing new has been played since the last continuation.
    Listening,
    /// The pianist has paused.
    Waiting {
        /// Until Segue goes on, unless there is an onset first.
        seconds_left: f32,
    },
    /// Segue plays on (or is about to: it is generating).
    Playing,
}

/// What the host tells about its musical time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HostTime {
    /// Whether the song runs.
    pub playing: bool,
    /// Quarter notes per minute, if told.
    pub tempo: Option<f64>,
    /// Time signature, if told.
    pub signature: Option<(u32, u32)>,
    /// Whether tempo and position are known, so that prompts can be measured in bars.
    pub bars: bool,
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
    /// Variations still to be made after the one in the making.
    pub queued: usize,
    /// What [`crate::command::Command::Undo`] would take back, in words (`delete “Take 3”`).
    pub undo: Option<String>,
    /// What [`crate::command::Command::Redo`] would do again, in words.
    pub redo: Option<String>,
    /// What the duet is doing.
    pub duet: DuetState,
    /// Seconds of the prompt that a trigger would take now (bars counted in the host's tempo).
    pub prompt_seconds_now: f32,
    /// The host's musical time.
    pub host_time: HostTime,
    /// The files written last, most recent export only: the continuation's (or the only one) first.
    pub exported: Vec<std::path::PathBuf>,
    /// Milliseconds from the last trigger until its first continuation sample could be mixed.
    pub ttfa_ms: Option<f64>,
    /// Speed of the last finished continuation.
    pub speed: Option<f64>,
}

/// Written by the audio thread, read by anyone. Real-time safe.
#[derive(Debug)]
pub struct Meters {
    /// Peak of the last block's input, linear.
    pub input_peak: AtomicF32,
    /// Peak of the last block's continuation, linear.
    pub wet_peak: AtomicF32,
    /// Position in the playing take, frames at the host's rate since the continuation's start; `u64::MAX` if none plays.
    pub position: AtomicU64,
    /// While the built-in prompt is heard: frames at the host's rate since its beginning; `u64::MAX` otherwise.
    pub prompt_position: AtomicU64,
    /// Blocks in which playback ran dry since activation.
    pub underruns: AtomicU64,
    /// The sample clock at the end of the last block.
    pub clock: AtomicU64,
    /// Seconds until a duet plays on; infinite while no pause runs.
    pub duet_left: AtomicF32,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            input_peak: AtomicF32::default(),
            wet_peak: AtomicF32::default(),
            position: AtomicU64::new(u64::MAX),
            prompt_position: AtomicU64::new(u64::MAX),
            underruns: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            duet_left: AtomicF32::new(f32::INFINITY),
        }
    }
}

impl Default for TakeSummary {
    /// Nothing yet.
    fn default() -> Self {
        Self {
            id: TakeId(0),
            name: String::new(),
            stars: 0,
            seed: 0,
            temperatures: [0.0; 3],
            hold: 1.0,
            density: 1.0,
            seconds: 0.0,
            prompt_seconds: 0.0,
            prompt: Waveform::default(),
            continuation: Waveform::default(),
            playable: false,
            spectrum: Spectrum::default(),
            pack: String::new(),
            tempo: None,
            parent: None,
        }
    }
}
