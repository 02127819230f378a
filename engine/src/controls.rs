//! The settings a performance reads while it runs: written by the audio thread from the host's parameters at the
//! start of each block, read by the worker before each step. Plain atomics, no ordering between them.

use crate::sampler::Sampling;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// An `f32` that two threads share.
#[derive(Debug, Default)]
pub struct AtomicF32(AtomicU32);

impl AtomicF32 {
    /// A new value.
    #[must_use]
    pub const fn new(value: f32) -> Self {
        Self(AtomicU32::new(value.to_bits()))
    }
    /// Reads. Any thread, real-time safe.
    pub fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Relaxed))
    }
    /// Writes. Any thread, real-time safe.
    pub fn set(&self, value: f32) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

/// What the prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum CaptureMode {
    /// The seconds before the trigger.
    #[default]
    JustPlayed,
    /// The seconds after the trigger; the continuation follows them.
    Record,
}

/// When the continuation comes in. Sample *n* of it always belongs *n* frames after the prompt's end; this chooses
/// the frame at which it becomes audible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum StartMode {
    /// As soon as it can be mixed without running dry.
    #[default]
    AtOnce,
    /// On the next beat of the host's transport after that.
    NextBeat,
    /// On the next bar line after that.
    NextBar,
    /// From its beginning, when the host's transport starts.
    OnPlay,
}

/// Shared settings. One per plugin instance, in an `Arc`.
#[derive(Debug)]
pub struct Controls {
    /// Temperatures of the semantic, coarse and fine stages, 0–1.5; 0 is greedy.
    pub temperature: [AtomicF32; 3],
    /// Nucleus, 0.5–1.
    pub top_p: AtomicF32,
    /// How closely the prompt's key, pulse and density are kept, 0–2.
    pub hold: AtomicF32,
    /// How dense it is to be, in times of the prompt, 0.5–2.
    pub density: AtomicF32,
    /// 0–9999; 0 draws a new one for each take.
    pub seed: AtomicU32,
    /// Share of a core that the prompt may take before it is asked for, 0–1; 0 takes it in at the trigger.
    pub ahead: AtomicF32,
    /// Prompt length in seconds, 1–10.
    pub prompt_seconds: AtomicF32,
    /// Prompt length in bars of the host's transport (1, 2, 4, 8); 0, or a host that does not tell tempo and position:
    /// [`Self::prompt_seconds`] counts.
    pub prompt_bars: AtomicU32,
    /// Whether the prompt's end is moved back to the last beat before the trigger, if the host's transport runs.
    pub snap_to_beat: AtomicBool,
    /// Takes made by each trigger, 1–8: the first is played, the others are made after it, silently.
    pub variations: AtomicU32,
    /// Whether Segue triggers itself when the pianist has paused, and makes way when the pianist plays again.
    pub duet: AtomicBool,
    /// Seconds of pause after which a duet goes on, 0.3–5.
    pub duet_pause_seconds: AtomicF32,
    /// Continuation length in seconds, 2–60; infinite for no end.
    pub length_seconds: AtomicF32,
    /// `true`: [`CaptureMode::Record`].
    pub record: AtomicBool,
    /// Index into [`StartMode`] in declaration order.
    pub start: AtomicU32,
    /// Whether the selected take starts over at its end.
    pub loop_take: AtomicBool,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            temperature: Sampling::DEFAULT.temperatures.map(AtomicF32::new),
            top_p: AtomicF32::new(Sampling::DEFAULT.top_p),
            hold: AtomicF32::new(Sampling::DEFAULT.hold),
            density: AtomicF32::new(Sampling::DEFAULT.density),
            seed: AtomicU32::new(0),
            ahead: AtomicF32::new(0.25),
            prompt_seconds: AtomicF32::new(4.0),
            prompt_bars: AtomicU32::new(0),
            snap_to_beat: AtomicBool::new(false),
            variations: AtomicU32::new(1),
            duet: AtomicBool::new(false),
            duet_pause_seconds: AtomicF32::new(1.5),
            length_seconds: AtomicF32::new(16.0),
            record: AtomicBool::new(false),
            start: AtomicU32::new(0),
            loop_take: AtomicBool::new(false),
        }
    }
}

impl Controls {
    /// The start mode now.
    pub fn start_mode(&self) -> StartMode {
        match self.start.load(Relaxed) {
            1 => StartMode::NextBeat,
            2 => StartMode::NextBar,
            3 => StartMode::OnPlay,
            _ => StartMode::AtOnce,
        }
    }
    /// The capture mode now.
    pub fn capture_mode(&self) -> CaptureMode {
        if self.record.load(Relaxed) { CaptureMode::Record } else { CaptureMode::JustPlayed }
    }
    /// How tokens are drawn now, in no song.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            temperatures: [0, 1, 2].map(|i| self.temperature[i].get()),
            top_p: self.top_p.get(),
            hold: self.hold.get(),
            density: self.density.get(),
            tempo: None,
        }
    }
}
