//! Holds what is played to its prompt: as dense, in its key, on its pulse (docs/pack.md, "Held to the prompt"). A transformer goes
//! by what it hears of itself: one that has played a little too much, a note out of the key or off the beat plays on like that.

mod density;
mod harmony;
mod pulse;

use crate::pack::manifest::{Density as Notes, Stage as Spec};
use crate::sampler::Sampling;
use crate::take::Tokens;
use density::Density;
use pulse::Pulse;

/// Seconds at the end of a prompt that tell its pulse: a take that is continued further may be minutes long.
const LONGEST: f32 = 30.0;

/// One continuation's.
#[derive(Debug, Clone)]
pub(super) struct Held {
    notes: Notes,
    density: Density,
    pulse: Option<Pulse>,
    /// What is added to the logits of notes.
    tilt: Vec<f32>,
}

impl Held {
    /// At the end of a prompt: the first `frames` of `prompt`, of which there are `rate` a second, in a song of this `tempo` (quarter
    /// notes a minute). Of a stage that is held to nothing: none.
    pub(super) fn new(spec: &Spec, rate: f32, prompt: &Tokens, frames: usize, tempo: Option<f64>) -> Option<Self> {
        let notes = spec.density.clone()?;
        let struck: Vec<usize> = (0..frames).map(|frame| of_frame(&notes, prompt.frame(frame)).count()).collect();
        let recent = &struck[frames.saturating_sub((LONGEST * rate) as usize)..];
        let heard = (0..frames).flat_map(|frame| of_frame(&notes, prompt.frame(frame)));
        Some(Self {
            density: Density::new(&notes, rate, &struck),
            pulse: spec.pulse.as_ref().map(|pulse| Pulse::new(pulse, rate, recent, tempo)),
            tilt: spec.harmony.as_ref().map_or_else(Vec::new, |harmony| harmony::tilt(&notes, harmony, heard)),
            notes,
        })
    }

    /// What is played next.
    pub(super) fn hear(&mut self, frame: &[u16]) {
        let struck = of_frame(&self.notes, frame).count();
        self.density.hear(struck);
        if let Some(pulse) = &mut self.pulse {
            pulse.hear(struck);
        }
    }

    /// By how much the log odds of a rest are raised.
    pub(super) fn calm(&self, sampling: &Sampling) -> f32 {
        let pulse = self.pulse.as_ref().map_or(0.0, |pulse| pulse.calm(sampling.hold));
        self.density.calm(sampling.density, sampling.hold) + pulse
    }

    /// By how much the logit of each note is raised, into `out` [notes]; nothing of a stage without `harmony`.
    pub(super) fn tilt(&self, sampling: &Sampling, out: &mut [f32]) {
        for (out, tilt) in out.iter_mut().zip(&self.tilt) {
            *out = sampling.hold * tilt;
        }
    }
}

/// The notes of a frame, counted from the first token that is one.
fn of_frame(notes: &Notes, frame: &[u16]) -> impl Iterator<Item = usize> {
    let [first, end] = notes.notes;
    let tokens = frame.iter().take(notes.codebooks);
    tokens.filter(move |token| (first..end).contains(token)).map(move |token| usize::from(token - first))
}
