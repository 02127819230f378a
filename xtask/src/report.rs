//! The figures of one continuation, under the keys of the design's section 6.

use crate::error::{Error, Result};
use crate::wav;
use segue_engine::continuation::{Continuation, StageTiming};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// One stage's work.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    /// `semantic`, `coarse`, `fine` or any.
    pub id: String,
    /// Frames made.
    pub steps: usize,
    /// Frames per second of this stage's own time.
    pub steps_per_second: Option<f64>,
    /// Milliseconds a frame.
    pub ms_per_step: Option<f64>,
    /// Share of what this machine could do at best: the time to read from memory the matrices that a step reads, each as often as
    /// it does, one thread, over the time a step takes. Only `bench` knows it.
    pub roofline: Option<f64>,
}

impl Stage {
    fn of(timing: &StageTiming) -> Self {
        let seconds = timing.time.as_secs_f64();
        let measured = timing.steps > 0 && seconds > 0.0;
        Self {
            id: timing.id.clone(),
            steps: timing.steps,
            steps_per_second: measured.then(|| timing.steps as f64 / seconds),
            ms_per_step: measured.then(|| seconds * 1e3 / timing.steps as f64),
            roofline: None,
        }
    }
}

/// What `render --json` writes.
#[derive(Debug, Clone, Serialize)]
pub struct Render {
    /// From handing over the prompt until the first sample of the continuation, models loaded.
    pub ttfa_ms: f64,
    /// Seconds of continuation per wall second, whole chain, after the first sample.
    pub speed: f64,
    /// Seconds written.
    pub seconds: f64,
    /// Seed used.
    pub seed: u64,
    /// Name and version.
    pub pack: String,
    /// `cpu`, `cuda`, `directml`, `coreml`.
    pub device: String,
    /// Threads for one graph.
    pub threads: usize,
    /// Semantic, coarse, fine.
    pub temperatures: [f32; 3],
    /// Nucleus.
    pub top_p: f32,
    /// How closely it was held to its prompt, in times of what the pack says.
    pub hold: f32,
    /// How dense it was to be, in times of the prompt.
    pub density: f32,
    /// Quarter notes a minute of the song it was to be in time with.
    pub tempo: Option<f64>,
    /// Seconds of prompt.
    pub prompt_seconds: f64,
    /// Work of each stage.
    pub stages: Vec<Stage>,
    /// What each stage made, `[codebook][frame]`.
    pub tokens: BTreeMap<String, Vec<Vec<u16>>>,
}

/// The stages of a continuation, and how long one frame takes to decode in milliseconds.
#[must_use]
pub fn stages(continuation: &Continuation) -> (Vec<Stage>, Option<f64>) {
    let all: Vec<Stage> = continuation.stage_timings().iter().map(Stage::of).collect();
    let decoder = all.iter().find(|s| s.id == "decoder").and_then(|s| s.ms_per_step);
    (all.into_iter().filter(|s| s.id != "decoder").collect(), decoder)
}

/// Writes any report as JSON, whole or not at all.
pub fn write(path: &Path, report: &impl Serialize) -> Result<()> {
    let mut file = wav::beside(path)?;
    let text = serde_json::to_string_pretty(report).map_err(|e| Error::file(path, e))?;
    writeln!(file, "{text}").map_err(|e| Error::file(path, e))?;
    wav::place(file, path)
}
