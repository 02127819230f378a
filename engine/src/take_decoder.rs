//! Takes back to audio, without generating anything. Worker thread.

use crate::error::{Error, Result};
use crate::loudness::{Follower, Gain};
use crate::models::Models;
use crate::signals::Signals;
use crate::take::{Loudness, Take, Tokens};
use crate::tokenizers::Decoder;
use std::ops::Range;

/// Frames decoded at once.
const CHUNK: usize = 32;

/// Refuses a take that the loaded pack cannot have made.
pub(crate) fn check_take(models: &Models, take: &Take) -> Result<()> {
    if !models.understands(&take.provenance.pack_hash) {
        let label = models.provenance_pack().0;
        let made_with = &take.provenance.pack;
        // The same name and version with other weights needs more than the name.
        let pack = if *made_with == label {
            format!("{made_with} ({:.8})", take.provenance.pack_hash)
        } else {
            made_with.clone()
        };
        return Err(Error::TakePackMissing { take: take.name.clone(), pack });
    }
    let manifest = models.manifest();
    let fits = |tokens: &Tokens, codebooks: usize, most: usize| {
        tokens.codebooks == codebooks
            && tokens.ids.len().is_multiple_of(codebooks)
            && tokens.ids.iter().all(|id| usize::from(*id) <= most)
    };
    let semantic = manifest
        .semantic
        .as_ref()
        .map_or(take.semantic.ids.is_empty(), |s| fits(&take.semantic, s.codebooks, s.cardinality));
    let sound = semantic
        && fits(&take.acoustic, manifest.codec.codebooks, manifest.codec.cardinality)
        && take.sample_rate == models.sample_rate()
        && take.gain.iter().all(|g| g.is_finite())
        && take.loudness.as_ref().is_none_or(Loudness::is_sound);
    if sound {
        Ok(())
    } else {
        Err(Error::Request(format!("take {:?} holds tokens that its pack cannot have made", take.name)))
    }
}

/// Decodes a take again: what [`crate::continuation::Continuation::step`] returned, to rounding.
#[derive(Debug)]
pub struct TakeDecoder {
    decoder: Decoder,
    acoustic: Tokens,
    next: usize,
    /// Samples still to be given, from the take's first token's start.
    wanted: Range<usize>,
    /// Where the continuation begins.
    prompt: usize,
    gain: Gain,
    follower: Follower,
}

impl TakeDecoder {
    /// The continuation.
    ///
    /// # Errors
    /// [`Error::TakePackMissing`] if the take was made with another pack, [`Error::Request`] if its tokens make no sense.
    pub fn new(models: &Models, take: &Take) -> Result<Self> {
        Self::of(models, take, take.prompt_samples..take.prompt_samples.saturating_add(take.continuation_samples))
    }

    /// The prompt, as the codec heard it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn prompt(models: &Models, take: &Take) -> Result<Self> {
        Self::of(models, take, 0..take.prompt_samples)
    }

    /// Prompt and continuation, without a seam.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn whole(models: &Models, take: &Take) -> Result<Self> {
        Self::of(models, take, 0..take.prompt_samples.saturating_add(take.continuation_samples))
    }

    fn of(models: &Models, take: &Take, wanted: Range<usize>) -> Result<Self> {
        check_take(models, take)?;
        let hop = models.manifest().codec.hop;
        let first = (wanted.start / hop).min(take.acoustic.frames());
        let from = first.saturating_sub(models.new_decoder(0)?.memory(hop));
        Ok(Self {
            decoder: models.new_decoder(from)?,
            acoustic: take.acoustic.clone(),
            next: from,
            wanted,
            prompt: take.prompt_samples,
            gain: Gain::at_beginning(take),
            follower: Follower::new(take.loudness.clone(), take.sample_rate, models.manifest().audio.level_dbfs),
        })
    }

    /// The next stereo samples, planar, at the pack's rate; `None` at the end.
    ///
    /// # Errors
    /// As [`crate::continuation::Continuation::step`].
    pub fn next_chunk(&mut self) -> Result<Option<[Vec<f32>; 2]>> {
        let q = self.acoustic.codebooks;
        while !self.wanted.is_empty() && self.next < self.acoustic.frames() {
            let until = (self.next + CHUNK).min(self.acoustic.frames());
            let start = self.decoder.position();
            let mut audio = Signals::default();
            self.decoder.push(&self.acoustic.ids[self.next * q..until * q], &mut audio)?;
            self.next = until;
            let skip = (self.wanted.start as isize - start).clamp(0, audio.len() as isize) as usize;
            let given = skip..audio.len().min(skip + self.wanted.len());
            let before = self.prompt.saturating_sub(self.wanted.start).min(given.len());
            self.wanted.start += given.len();
            if !given.is_empty() {
                let (of_prompt, rest) = (given.start..given.start + before, given.start + before..given.end);
                let mut all = audio.left_right(of_prompt, self.gain.steady());
                let made = self.follower.left_right(&audio, rest, self.gain.channels);
                for (all, made) in all.iter_mut().zip(made) {
                    all.extend(made);
                }
                return Ok(Some(all));
            }
        }
        Ok(None)
    }
}
