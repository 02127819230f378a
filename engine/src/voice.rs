//! What a continuation's codes sound like. Its own steps decode them, or, where it goes beside others, the steps of the one
//! that is played before it: then the sound waits here. Worker thread.

use crate::error::Result;
use crate::loudness::Follower;
use crate::pack::manifest::Manifest;
use crate::recall::Lull;
use crate::signals::Signals;
use crate::take::Tokens;
use crate::tokenizers::Decoder;
use std::time::{Duration, Instant};

/// A continuation that has fallen silent goes back to its prompt after a multiple of so many frames: where a step ends
/// however it is cut, so that a seed gives the same beside others as alone.
const RECALL: usize = 32;
/// Most sound that may wait.
const WAITING_SECONDS: usize = 20;

/// A decoder with what it has decoded and not given out.
#[derive(Debug)]
pub(crate) struct Voice {
    decoder: Decoder,
    /// Time spent decoding.
    spent: Duration,
    /// Acoustic frames decoded.
    decoded: usize,
    /// The same when sound was first decoded, or the prompt last gone back to: multiples of [`RECALL`] count from there.
    begun: Option<usize>,
    lull: Lull,
    /// Nothing more is decoded: it has fallen silent.
    lost: bool,
    /// What it plays no longer comes from those that it went beside.
    alone: bool,
    waiting: Signals,
    /// Samples of `waiting` that the prompt's end is away: what lies before it has been heard already.
    before: usize,
    hop: usize,
    room: usize,
}

impl Voice {
    /// Of a decoder that has decoded `decoded` frames of a prompt of `prompt` samples.
    pub(crate) fn new(decoder: Decoder, decoded: usize, prompt: usize, manifest: &Manifest) -> Self {
        Self {
            before: (prompt as isize - decoder.position()).max(0) as usize,
            decoder,
            spent: Duration::ZERO,
            decoded,
            begun: None,
            lull: Lull::new(manifest),
            lost: false,
            alone: false,
            waiting: Signals::default(),
            hop: manifest.codec.hop,
            room: WAITING_SECONDS * manifest.audio.sample_rate as usize,
        }
    }

    /// Another that has been given the same.
    ///
    /// # Errors
    /// As the decoder's graph says.
    pub(crate) fn another(&self, manifest: &Manifest) -> Result<Self> {
        let decoder = self.decoder.another()?;
        let prompt = (decoder.position() + self.before as isize).max(0) as usize;
        Ok(Self::new(decoder, self.decoded, prompt, manifest))
    }

    /// Acoustic frames that are decoded.
    pub(crate) fn decoded(&self) -> usize {
        self.decoded
    }

    /// Samples to be decoded before there is sound.
    pub(crate) fn held_back(&self) -> usize {
        self.before
    }

    /// See the field.
    pub(crate) fn begun(&self) -> usize {
        self.begun.unwrap_or(self.decoded)
    }

    /// Time spent decoding.
    pub(crate) fn spent(&self) -> Duration {
        self.spent
    }

    /// Whether those that it goes beside may decode frames up to `until` before they are asked for; only as `many` as go well
    /// together, for then weights are read once for them.
    pub(crate) fn wants(&self, until: usize, many: bool) -> bool {
        let enough = !many || self.begun.is_none() || until >= self.decoded + RECALL;
        enough && !self.lost && !self.alone && self.waiting.len() < self.room
    }

    /// Decodes the frames of `acoustic` up to `until` that it has not; none once it has fallen silent.
    ///
    /// # Errors
    /// As the decoder's graph says.
    pub(crate) fn play(&mut self, acoustic: &Tokens, until: usize) -> Result<()> {
        if self.lost || until <= self.decoded {
            return Ok(());
        }
        let clock = Instant::now();
        let from = self.waiting.len();
        let codes = self.decoded * acoustic.codebooks..until * acoustic.codebooks;
        self.decoder.push(&acoustic.ids[codes], &mut self.waiting)?;
        self.spent += clock.elapsed();
        self.decoded = until;
        let heard = from.max(self.before)..self.waiting.len();
        if heard.is_empty() {
            return Ok(());
        }
        self.lull.hear(&self.waiting, heard);
        let begun = *self.begun.get_or_insert(until);
        self.lost = self.lull.is_long() && (until - begun).is_multiple_of(RECALL);
        Ok(())
    }

    /// What the decoded frames up to `until` sound like, as far as it has not been given out and lies behind the prompt, at
    /// these gains, and as loud as `follower` says.
    pub(crate) fn give(&mut self, until: usize, gain: [f32; 2], follower: &mut Follower) -> [Vec<f32>; 2] {
        let kept = self.decoded.saturating_sub(until) * self.hop;
        let given = self.waiting.len().saturating_sub(kept);
        let silent = self.before.min(given);
        let audio = follower.left_right(&self.waiting, silent..given, gain);
        self.waiting.mid.drain(..given);
        let side = given.min(self.waiting.side.len());
        self.waiting.side.drain(..side);
        self.before -= silent;
        audio
    }

    /// Whether it has fallen silent, and all of it is given out: the continuation is to go back to its prompt, or on.
    pub(crate) fn is_lost(&self, given: usize) -> bool {
        self.lost && given >= self.decoded
    }

    /// Goes on although it is silent.
    pub(crate) fn go_on(&mut self) {
        self.lost = false;
    }

    /// Goes on with other codes, the next being frame `frame` of them, and by itself; the decoder does not begin anew, so that nothing
    /// clicks.
    pub(crate) fn go_back(&mut self, frame: usize) {
        self.alone = true;
        (self.decoded, self.begun, self.lost) = (frame, Some(frame), false);
        self.lull.end();
    }

    /// Takes everything for silence that is softer than this, in dB from the prompt's level: for tests.
    pub(crate) fn expect_level(&mut self, db: f32) {
        self.lull.expect(db);
    }
}
