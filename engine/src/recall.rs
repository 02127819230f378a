//! What a continuation does when it has fallen silent: it calls its prompt to mind again and plays on from there, as a pianist
//! who has lost the thread would. A model that writes silence writes more of it, for nothing in its memory says otherwise.
//! Worker thread.

use crate::pack::manifest::{Manifest, StreamId};
use crate::signals::{Signals, rms};
use crate::stages::Streams;
use crate::take::Tokens;
use std::ops::Range;

/// So far below the prompt's level nothing is played any more: of places of the training music, 4 s and what follows them for 16,
/// 3 in a hundred are so soft for so long.
const LULL_DB: f32 = -25.0;
const LULL_SECONDS: f32 = 1.2;
/// The level is looked at by parts of a second of this length.
const LOOK_SECONDS: f32 = 0.05;

/// How long nothing has been heard. It does not depend on how the sound is cut into pieces.
#[derive(Debug)]
pub(crate) struct Lull {
    look: usize,
    least: f32,
    /// Samples since the last look.
    waiting: Signals,
    quiet: usize,
}

impl Lull {
    /// Of decoded sound, whose prompt was at the pack's level.
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let look = ((LOOK_SECONDS * manifest.audio.sample_rate as f32) as usize).max(1);
        let least = 10.0_f32.powf((manifest.audio.level_dbfs + LULL_DB) / 20.0);
        Self { look, least, waiting: Signals::default(), quiet: 0 }
    }

    /// Takes everything for silence that is softer than this, in dB from the prompt's level: for tests.
    pub(crate) fn expect(&mut self, db: f32) {
        self.least *= 10.0_f32.powf((db - LULL_DB) / 20.0);
    }

    /// What comes next.
    pub(crate) fn hear(&mut self, audio: &Signals, range: Range<usize>) {
        self.waiting.mid.extend_from_slice(&audio.mid[range.clone()]);
        self.waiting.side.extend_from_slice(audio.side.get(range).unwrap_or(&[]));
        let looks = self.waiting.mid.len() / self.look;
        for n in 0..looks {
            let part = n * self.look..(n + 1) * self.look;
            let side = self.waiting.side.get(part.clone()).unwrap_or(&[]);
            let level = rms(&self.waiting.mid[part]).hypot(rms(side));
            self.quiet = if level < self.least { self.quiet + 1 } else { 0 };
        }
        self.waiting.mid.drain(..looks * self.look);
        let side = (looks * self.look).min(self.waiting.side.len());
        self.waiting.side.drain(..side);
    }

    /// Whether it has to end.
    pub(crate) fn is_long(&self) -> bool {
        self.quiet as f32 * LOOK_SECONDS >= LULL_SECONDS
    }

    /// Something is going to be heard.
    pub(crate) fn end(&mut self) {
        self.quiet = 0;
    }
}

/// The tokens of a continuation that has gone back to its prompt: `now`, what the stages write to, begins with the prompt each
/// time; what was made before is kept here.
#[derive(Debug)]
pub(crate) struct Memory {
    prompt: Streams,
    /// Prompt and all that was made up to the last time it went back.
    before: Option<Streams>,
    times: u64,
}

impl Memory {
    /// At the beginning; `prompt` is what the stages have been given.
    pub(crate) fn new(prompt: Streams) -> Self {
        Self { prompt, before: None, times: 0 }
    }

    /// What it goes back to.
    pub(crate) fn prompt(&self) -> &Streams {
        &self.prompt
    }

    /// How often it has gone back.
    pub(crate) fn times(&self) -> u64 {
        self.times
    }

    /// How much later a frame of `now` is in the whole.
    pub(crate) fn shift(&self, stream: StreamId) -> usize {
        self.before.as_ref().map_or(0, |before| before.of(stream).frames() - self.prompt.of(stream).frames())
    }

    /// Everything there is of a stream.
    pub(crate) fn whole(&self, now: &Streams, stream: StreamId) -> Tokens {
        let now = now.of(stream);
        let Some(before) = &self.before else { return now.clone() };
        let mut whole = before.of(stream).clone();
        whole.ids.extend_from_slice(&now.ids[self.prompt.of(stream).ids.len()..]);
        whole
    }

    /// Keeps `now` up to acoustic frame `end`, and begins it anew with the prompt. False, and nothing is changed, if frames of
    /// the semantic stream do not begin there.
    pub(crate) fn go_back(&mut self, now: &mut Streams, end: usize, manifest: &Manifest) -> bool {
        let made = (end + self.shift(StreamId::Acoustic)).saturating_sub(self.prompt.acoustic.frames());
        let hop = manifest.hop(StreamId::Semantic).unwrap_or(manifest.codec.hop);
        let samples = made * manifest.codec.hop;
        if !samples.is_multiple_of(hop) {
            return false;
        }
        let keep = |stream: StreamId, made: usize| {
            let mut whole = self.whole(now, stream);
            whole.ids.resize((self.prompt.of(stream).frames() + made) * whole.codebooks, 0);
            whole
        };
        let before =
            Streams { semantic: keep(StreamId::Semantic, samples / hop), acoustic: keep(StreamId::Acoustic, made) };
        *now = self.prompt.clone();
        self.before = Some(before);
        self.times += 1;
        true
    }
}
