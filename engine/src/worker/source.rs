//! Where music comes from, as the worker sees it: a small trait, so that the worker can be tested without a model.

use crate::continuation::{Continuation, Sampling};
use crate::error::{Error, Result};
use crate::models::{Device, LoadRequest, Models};
use crate::prompt::{OpenPrompt, Phase};
use crate::status::PackSummary;
use crate::take::{Take, TakeId};
use crate::take_decoder::TakeDecoder;
use std::sync::Arc;

/// Makes [`Music`]. Lives on the worker's thread.
pub(super) trait Source {
    /// Loads the runtime and a pack; on failure what was loaded before stays.
    fn load(&mut self, request: &LoadRequest) -> Result<PackSummary>;
    /// Why it no longer runs where it was asked to, once: it goes on elsewhere.
    fn lost(&mut self) -> Option<(PackSummary, Error)> {
        None
    }
    /// Whether the loaded pack made this take.
    fn made(&self, take: &Take) -> bool;
    /// Takes in a prompt.
    fn begin(&mut self, prompt: &Prompt, seed: u64) -> Result<Box<dyn Music>>;
    /// A prompt that goes on while it is taken in; its beginning, at any rate, tells its level.
    fn open(&mut self, beginning: &[Vec<f32>]) -> Result<Box<dyn Ahead>>;
    /// Takes in a take's prompt for as many of these seeds as go together, at least the first: to be played one after the
    /// other, each to its end.
    fn begin_together(&mut self, take: &Take, seeds: &[u64]) -> Result<Vec<Box<dyn Music>>>;
    /// Decodes a take again.
    fn decode(&mut self, take: &Take, part: Part) -> Result<Box<dyn Decode>>;
}

/// What is continued.
#[derive(Debug)]
pub(super) enum Prompt {
    /// What was captured: planar, at the pack's rate.
    Audio(Vec<Vec<f32>>),
    /// The prompt of a take, again.
    Take(Box<Take>),
    /// A whole take, on from its end.
    Further(Box<Take>),
}

impl Prompt {
    /// Samples per channel at the pack's rate.
    pub(super) fn samples(&self) -> usize {
        match self {
            Self::Audio(planes) => planes.first().map_or(0, Vec::len),
            Self::Take(take) => take.prompt_samples,
            Self::Further(take) => take.prompt_samples + take.continuation_samples,
        }
    }
}

/// Which part of a take is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Prompt,
    Continuation,
    /// Prompt and continuation, without a seam.
    Whole,
}

/// A continuation in the making.
pub(super) trait Music {
    /// A little more; planar stereo at the pack's rate.
    fn step(&mut self, sampling: &Sampling) -> Result<[Vec<f32>; 2]>;
    /// Each stage's id, the frames it has generated, and the first codebook of the latest of them, at most `most`.
    fn ribbons(&self, most: usize) -> Vec<(String, usize, Arc<[u16]>)>;
    /// Everything so far, but at most so many samples.
    fn take(&self, id: TakeId, name: String, sampling: &Sampling, samples: usize) -> Take;
}

/// A prompt being taken in while it is played.
pub(super) trait Ahead {
    /// What comes next, planar at the pack's rate.
    fn take_in(&mut self, audio: &[Vec<f32>], phase: Phase) -> Result<()>;
    /// The last of it; the first step will have these settings.
    fn close(self: Box<Self>, audio: &[Vec<f32>], seed: u64, sampling: &Sampling) -> Result<Box<dyn Music>>;
}

/// A take being decoded.
pub(super) trait Decode {
    /// A little more, planar stereo at the pack's rate; `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<[Vec<f32>; 2]>>;
}

/// The real one.
#[derive(Default)]
pub(super) struct ModelSource {
    models: Option<Arc<Models>>,
    /// The device that could not be had, and whether a lost one has been told of.
    refused: Option<Error>,
    told: bool,
}

impl ModelSource {
    fn models(&self) -> Result<Arc<Models>> {
        self.models.clone().ok_or_else(|| Error::Request("no pack is loaded".into()))
    }
}

impl Source for ModelSource {
    fn load(&mut self, request: &LoadRequest) -> Result<PackSummary> {
        let (models, refused) = match Models::load(request) {
            Err(error @ Error::Device { .. }) => {
                (Models::load(&LoadRequest { device: Device::Cpu, ..request.clone() })?, Some(error))
            }
            found => (found?, None),
        };
        let summary = models.summary();
        (self.models, self.refused, self.told) = (Some(models), refused, false);
        Ok(summary)
    }
    fn lost(&mut self) -> Option<(PackSummary, Error)> {
        let models = self.models.as_ref()?;
        let lost = || (!self.told).then(|| models.lost()).flatten();
        let error = self.refused.take().or_else(lost)?;
        self.told = true;
        Some((models.summary(), error))
    }
    fn made(&self, take: &Take) -> bool {
        self.models.as_ref().is_some_and(|m| m.understands(&take.provenance.pack_hash))
    }
    fn begin(&mut self, prompt: &Prompt, seed: u64) -> Result<Box<dyn Music>> {
        Ok(Box::new(match prompt {
            Prompt::Audio(audio) => Continuation::prefill(self.models()?, audio, seed)?,
            Prompt::Take(take) => Continuation::prefill_take(self.models()?, take, seed)?,
            Prompt::Further(take) => Continuation::prefill_further(self.models()?, take, seed)?,
        }))
    }
    fn open(&mut self, beginning: &[Vec<f32>]) -> Result<Box<dyn Ahead>> {
        Ok(Box::new(OpenPrompt::new(self.models()?, beginning)?))
    }
    fn begin_together(&mut self, take: &Take, seeds: &[u64]) -> Result<Vec<Box<dyn Music>>> {
        let together = Continuation::prefill_together(&self.models()?, take, seeds)?;
        Ok(together.into_iter().map(|one| Box::new(one) as Box<dyn Music>).collect())
    }
    fn decode(&mut self, take: &Take, part: Part) -> Result<Box<dyn Decode>> {
        let models = self.models()?;
        Ok(Box::new(match part {
            Part::Prompt => TakeDecoder::prompt(&models, take)?,
            Part::Continuation => TakeDecoder::new(&models, take)?,
            Part::Whole => TakeDecoder::whole(&models, take)?,
        }))
    }
}

impl Music for Continuation {
    fn step(&mut self, sampling: &Sampling) -> Result<[Vec<f32>; 2]> {
        self.step(sampling)
    }
    fn ribbons(&self, most: usize) -> Vec<(String, usize, Arc<[u16]>)> {
        self.ribbons(most)
    }
    fn take(&self, id: TakeId, name: String, sampling: &Sampling, samples: usize) -> Take {
        self.take_up_to(id, name, sampling, samples)
    }
}

impl Ahead for OpenPrompt {
    fn take_in(&mut self, audio: &[Vec<f32>], phase: Phase) -> Result<()> {
        self.take_in(audio, phase)
    }
    fn close(self: Box<Self>, audio: &[Vec<f32>], seed: u64, sampling: &Sampling) -> Result<Box<dyn Music>> {
        Ok(Box::new((*self).close(audio, seed, Some(sampling))?))
    }
}

impl Decode for TakeDecoder {
    fn next_chunk(&mut self) -> Result<Option<[Vec<f32>; 2]>> {
        self.next_chunk()
    }
}
