//! A prompt that may still go on: what has been played is taken in while it is played, so that little is left to do when
//! it is to be continued. A prompt that is over from the start is the same, taken in at once. Worker thread.

use crate::both::both;
use crate::continuation::Continuation;
use crate::error::{Error, Result};
use crate::loudness::Gain;
use crate::models::Models;
use crate::pack::manifest::StreamId;
use crate::sampler::Sampling;
use crate::signals::{Level, Signals, rms};
use crate::stages::{Running, Streams, is_semantic, reach};
use crate::take::Tokens;
use crate::tokenizers::{Decoder, Tokenizer};
use crate::voice::Voice;
use parking_lot::Mutex;
use std::sync::Arc;

/// Seconds of the prompt's end over which its decoded loudness is compared.
const MATCH_SECONDS: f32 = 1.0;
/// Acoustic frames behind a prompt's end for which the semantic stage thinks ahead when it is closed: about as many as the first
/// step makes.
const FORESEEN: usize = 5;

/// How much of the work is done with what is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// More is there already: tokens and caches.
    Behind,
    /// It may be closed any moment: all but the last few frames.
    Ready,
    /// It is over.
    Closed,
}

/// A prompt while it is taken in. It is brought to the pack's level by its beginning alone, so that what is known of it does
/// not change when it goes on; that, and frames that begin with it, is all in which a prompt taken in on the way differs
/// from the same samples taken in at once.
#[derive(Debug)]
pub struct OpenPrompt {
    models: Arc<Models>,
    level: Level,
    encoder: Tokenizer,
    semantic: Option<Tokenizer>,
    streams: Streams,
    stages: Vec<Running>,
    ear: Option<Ear>,
    /// Its mid at the pack's level, as much of its end as is compared and looked ahead to.
    mid: Vec<f32>,
    samples: usize,
}

impl OpenPrompt {
    /// Its beginning, of which nothing is taken in yet. `beginning` is planar, 1 or 2 channels of equal length at the pack's
    /// rate, and says how loud the whole is.
    ///
    /// # Errors
    /// [`Error::Request`] if that is silent or not finite.
    pub fn new(models: Arc<Models>, beginning: &[Vec<f32>]) -> Result<Self> {
        let manifest = models.manifest();
        let (_, level) = Signals::of_prompt(beginning, manifest.audio.channels == 2, manifest.audio.level_dbfs)?;
        let stages = (0..manifest.stages.len()).map(|place| Running::start(&models, place)).collect::<Result<_>>()?;
        let streams = Streams {
            semantic: Tokens::new(manifest.codebooks(StreamId::Semantic)),
            acoustic: Tokens::new(manifest.codec.codebooks),
        };
        Ok(Self {
            level,
            encoder: models.new_encoder()?,
            semantic: models.new_semantic()?,
            streams,
            stages,
            ear: None,
            mid: Vec::new(),
            samples: 0,
            models,
        })
    }

    /// Samples taken in.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Takes in what comes next, as `beginning` of [`Self::new`] is shaped.
    ///
    /// # Errors
    /// [`Error::Request`] if it is not finite; otherwise what the graphs say. It is of no use after that.
    pub fn take_in(&mut self, audio: &[Vec<f32>], phase: Phase) -> Result<()> {
        self.go_on(audio, phase, None).map(|_| ())
    }

    /// The same; with `ahead` the semantic stage then makes what the first step will need, while the rest is still taken in.
    /// Returns these tokens, which are not the prompt's.
    fn go_on(&mut self, audio: &[Vec<f32>], phase: Phase, ahead: Option<&Sampling>) -> Result<Vec<u16>> {
        let signals = Signals::at_level(audio, self.models.manifest().audio.channels == 2, self.level)?;
        self.samples += signals.len();
        let Self { models, encoder, semantic, streams, stages, ear, mid, samples, .. } = self;
        let closed = phase == Phase::Closed;
        let compare = (MATCH_SECONDS * models.sample_rate() as f32) as usize;
        mid.extend_from_slice(&signals.mid);
        mid.drain(..mid.len().saturating_sub(2 * compare));
        // The slowest part, and meanwhile everything that does not wait for it.
        let none = Tokens::new(streams.semantic.codebooks);
        let semantic_tokens = std::mem::replace(&mut streams.semantic, none);
        let mut alone = Streams { semantic: semantic_tokens, acoustic: Tokens::new(streams.acoustic.codebooks) };
        let foreseen = reach(stages, *samples / models.manifest().codec.hop + FORESEEN);
        let mut known = 0;
        let (before, encoded) = both(
            || -> Result<()> {
                if let Some(tokenizer) = semantic {
                    tokenizer.push(&signals, &mut alone.semantic)?;
                }
                known = alone.semantic.ids.len();
                stages.iter_mut().filter(|s| is_semantic(&s.spec)).try_for_each(|running| {
                    running.prefill(&alone, closed)?;
                    ahead.map_or(Ok(()), |sampling| running.advance(&mut alone, foreseen, sampling))
                })
            },
            || encoder.push(&signals, &mut streams.acoustic),
        );
        before.and(encoded)?;
        let thought = alone.semantic.ids.split_off(known);
        streams.semantic = alone.semantic;
        let decode = || -> Result<()> {
            if phase == Phase::Behind {
                return Ok(());
            }
            let frames = streams.acoustic.frames();
            if ear.is_none() {
                *ear = Some(Ear::new(models, frames, compare)?);
            }
            ear.as_mut().map_or(Ok(()), |ear| ear.hear(&streams.acoustic, frames))
        };
        let rest = || stages.iter_mut().filter(|s| !is_semantic(&s.spec)).try_for_each(|s| s.prefill(streams, closed));
        let (heard, filled) = both(decode, rest);
        heard.and(filled)?;
        Ok(thought)
    }

    /// Takes in the last of it and plays on from there. With `sampling`, that of the first step, a part of that is made on the way.
    ///
    /// # Errors
    /// [`Error::Request`] if it is too short; otherwise as [`Self::take_in`].
    pub fn close(mut self, audio: &[Vec<f32>], seed: u64, sampling: Option<&Sampling>) -> Result<Continuation> {
        sampling.map_or(Ok(()), Sampling::check)?;
        for running in &mut self.stages {
            running.stage.reseed(seed);
        }
        let thought = self.go_on(audio, Phase::Closed, sampling)?;
        let frames = self.streams.acoustic.frames();
        let semantic = self.models.manifest().semantic.is_none() || self.streams.semantic.frames() > 0;
        let Some(ear) = self.ear.filter(|_| frames > 0 && semantic) else {
            return Err(Error::Request("the prompt is too short: play at least a second".into()));
        };
        let matched = ear.matched(&self.mid, self.samples);
        let gain = Gain::of_prompt(self.level.balance.map(|b| b / self.level.gain * matched));
        let voice = Voice::new(ear.decoder, frames, self.samples, self.models.manifest());
        let voice = Arc::new(Mutex::new(voice));
        let begun =
            Continuation::of_parts(self.models, self.streams, self.stages, voice, frames, self.samples, gain, seed);
        Ok(begun.foreseen(&thought))
    }
}

/// A decoder that hears the end of a prompt as the pack will play it.
#[derive(Debug)]
pub(crate) struct Ear {
    pub(crate) decoder: Decoder,
    /// The next frame.
    next: usize,
    /// What it heard last, at most `compare` samples; they end where the decoder is.
    mid: Vec<f32>,
    compare: usize,
}

impl Ear {
    /// Early enough to be right once it has heard `frames` frames, and to tell the loudness of the `compare` samples before.
    pub(crate) fn new(models: &Models, frames: usize, compare: usize) -> Result<Self> {
        let hop = models.manifest().codec.hop;
        let back = models.new_decoder(0)?.memory(hop) + compare.div_ceil(hop);
        let next = frames.saturating_sub(back);
        Ok(Self { decoder: models.new_decoder(next)?, next, mid: Vec::new(), compare })
    }

    /// Decodes on up to frame `frames`.
    pub(crate) fn hear(&mut self, acoustic: &Tokens, frames: usize) -> Result<()> {
        let q = acoustic.codebooks;
        let mut audio = Signals::default();
        self.decoder.push(&acoustic.ids[self.next.min(frames) * q..frames * q], &mut audio)?;
        self.next = self.next.max(frames);
        self.mid.extend_from_slice(&audio.mid);
        self.mid.drain(..self.mid.len().saturating_sub(self.compare));
        Ok(())
    }

    /// The factor by which the end of a prompt of `samples` samples, whose last ones are `mid`, came out too soft.
    fn matched(&self, mid: &[f32], samples: usize) -> f32 {
        // Where the decoder is, counted from the end of the prompt.
        let after = (samples as isize - self.decoder.position()).clamp(0, mid.len() as isize) as usize;
        let end = mid.len() - after;
        let length = self.mid.len().min(end);
        let (was, is) = (rms(&mid[end - length..end]), rms(&self.mid[self.mid.len() - length..]));
        // At most 3 dB either way: more would be the codec failing, not fading.
        if was > 1e-5 && is > 1e-5 { (was / is).clamp(0.708, 1.413) } else { 1.0 }
    }
}
