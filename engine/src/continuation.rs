//! A continuation: [`Continuation::prefill`] takes in the prompt, [`Continuation::step`] plays on. There is no other
//! way in which anything is generated, so cancelling, streaming and measuring come free. Worker thread.
//!
//! # Time
//! Positions are samples at the pack's rate from the prompt's start, `P` is the prompt's length. The last frames before
//! `P` are not known to the tokenizers (their windows look ahead), so generation starts a little before `P`; what is
//! decoded there is dropped, and sample 0 of the continuation is sample `P` exactly.

use crate::both::both;
use crate::error::{Error, Result};
use crate::loudness::{self, Follower, Gain};
use crate::models::Models;
use crate::pack::manifest::{AnalysisSpec, StreamId};
use crate::prompt::{Ear, OpenPrompt};
use crate::recall::Memory;
pub use crate::sampler::Sampling;
use crate::stages::batch::{self, Beside, Choir};
use crate::stages::{Running, Streams, is_semantic, reach, start_all};
use crate::take::{Provenance, Take, TakeId, Tokens};
use crate::take_decoder::check_take;
use crate::tokenizers::Decoder;
use crate::voice::Voice;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Acoustic frames of steps: the first one makes a multiple of so many, with what the decoder's windows hold back; then a few
/// of the second size; then those of all later ones. So the first sound comes soon, and then there is less overhead.
const FIRST_CHUNK: usize = 2;
const SECOND_CHUNK: usize = 4;
const CHUNK: usize = 8;
/// Most frames that a step of a continuation gives out which have been made while another was played.
const CHUNK_BESIDE: usize = 32;

/// How much one stage has done.
#[derive(Debug, Clone, PartialEq)]
pub struct StageTiming {
    /// Stage id.
    pub id: String,
    /// Frames made.
    pub steps: usize,
    /// Time spent on them.
    pub time: Duration,
}

/// A continuation in the making.
#[derive(Debug)]
pub struct Continuation {
    models: Arc<Models>,
    seed: u64,
    streams: Streams,
    stages: Vec<Running>,
    /// What makes its tokens and its sound, if it goes beside others.
    choir: Option<Choir>,
    voice: Arc<Mutex<Voice>>,
    /// Acoustic frames whose sound has been given out.
    decoded: usize,
    memory: Memory,
    /// Samples of the prompt (`P`).
    prompt: usize,
    /// Samples given out.
    made: usize,
    gain: Gain,
    /// Once it has begun.
    follower: Option<Follower>,
    started_with: Option<Sampling>,
}

impl Continuation {
    /// Encodes the prompt and fills every stage's cache. `prompt` is planar, 1 or 2 channels of equal length at the
    /// pack's rate; what is in the past of a continuation is the whole of it.
    ///
    /// # Errors
    /// [`Error::Request`] if the prompt is too short, silent or not finite; otherwise what the graphs say.
    pub fn prefill(models: Arc<Models>, prompt: &[Vec<f32>], seed: u64) -> Result<Self> {
        OpenPrompt::new(models, prompt)?.close(prompt, seed, None)
    }

    /// Continues a take's prompt once more, from its tokens: another seed gives another continuation of the same
    /// prompt, the same seed and settings the same one.
    ///
    /// # Errors
    /// As [`TakeDecoder::new`] and [`Self::prefill`].
    pub fn prefill_take(models: Arc<Models>, take: &Take, seed: u64) -> Result<Self> {
        let (streams, frames) = Self::prompt_of(&models, take)?;
        Self::begin(&models, streams, frames, take.prompt_samples, Gain::at_beginning(take), seed)
    }

    /// Continues a take's prompt once more for each seed, as [`Self::prefill_take`] would, but side by side: they are to be
    /// stepped one after the other, each to its end, and the first one's steps make most of what the others need. Of more
    /// seeds than can go together (see [`Models::lanes`]) it takes the first.
    ///
    /// # Errors
    /// As [`Self::prefill_take`].
    pub fn prefill_together(models: &Arc<Models>, take: &Take, seeds: &[u64]) -> Result<Vec<Self>> {
        let seeds = &seeds[..seeds.len().min(models.lanes())];
        if let [seed] = seeds {
            return Ok(vec![Self::prefill_take(Arc::clone(models), take, *seed)?]);
        }
        let (streams, frames) = Self::prompt_of(models, take)?;
        let (prompt, gain) = (take.prompt_samples, Gain::at_beginning(take));
        let voice = || Ok(Voice::new(warmed_up(models, &streams, frames)?, frames, prompt, models.manifest()));
        let lanes = batch::start(models, &streams, seeds, voice)?;
        let one = |((stages, voice, choir), seed): (Beside, &u64)| {
            let models = Arc::clone(models);
            let one = Self::of_parts(models, streams.clone(), stages, voice, frames, prompt, gain, *seed);
            Self { choir: Some(choir), ..one }
        };
        Ok(lanes.into_iter().zip(seeds).map(one).collect())
    }

    /// A take's prompt, as far as its tokens do not know of its continuation, and its acoustic frames.
    fn prompt_of(models: &Models, take: &Take) -> Result<(Streams, usize)> {
        check_take(models, take)?;
        let known = |frames: usize, graph_sees: usize, hop: usize| {
            frames.min(take.prompt_samples.saturating_sub(graph_sees) / hop)
        };
        let manifest = models.manifest();
        let look_ahead = |specs: &[AnalysisSpec]| specs.iter().map(|s| s.look_ahead).max().unwrap_or(0);
        let mut streams = Streams { semantic: take.semantic.clone(), acoustic: take.acoustic.clone() };
        let codec = &manifest.codec;
        let frames = known(streams.acoustic.frames(), look_ahead(&codec.encoder.analysis), codec.hop);
        streams.acoustic.ids.truncate(frames * codec.codebooks);
        if let Some(semantic) = &manifest.semantic {
            let frames = known(streams.semantic.frames(), look_ahead(&semantic.analysis), semantic.hop);
            streams.semantic.ids.truncate(frames * semantic.codebooks);
        }
        if frames == 0 {
            return Err(Error::Request(format!("take {:?} holds no prompt", take.name)));
        }
        Ok((streams, frames))
    }

    /// Goes on from a take's end: its tokens, prompt and continuation, are the prompt (as many of them as the stages
    /// remember), and nothing is encoded again. The first sample ever returned is the one right after the take's last.
    ///
    /// # Errors
    /// As [`Self::prefill_take`].
    pub fn prefill_further(models: Arc<Models>, take: &Take, seed: u64) -> Result<Self> {
        check_take(&models, take)?;
        let manifest = models.manifest();
        let (codec, semantic) = (&manifest.codec, manifest.semantic.as_ref());
        // Whole frames of both streams go.
        let unit = semantic.map_or(codec.hop, |s| codec.hop * s.hop / gcd(codec.hop, s.hop));
        let memory =
            manifest.stages.iter().filter_map(|s| Some(s.context * manifest.hop(s.writes)?)).max().unwrap_or(0);
        let end = take.prompt_samples + take.continuation_samples;
        let cut = end.saturating_sub(memory) / unit * unit;
        let mut streams = Streams { semantic: take.semantic.clone(), acoustic: take.acoustic.clone() };
        let first = (cut / codec.hop * codec.codebooks).min(streams.acoustic.ids.len());
        streams.acoustic.ids.drain(..first);
        if let Some(semantic) = semantic {
            let first = (cut / semantic.hop * semantic.codebooks).min(streams.semantic.ids.len());
            streams.semantic.ids.drain(..first);
        }
        let prompt = end - cut;
        // Of the frames there are, those have been heard whose samples all lie before the end.
        let lead = -models.new_decoder(0)?.position();
        let heard = ((prompt as isize + lead) / codec.hop as isize).max(0) as usize;
        let heard = heard.min(streams.acoustic.frames());
        if heard == 0 {
            return Err(Error::Request(format!("take {:?} is too short to go on from", take.name)));
        }
        Self::begin(&models, streams, heard, prompt, Gain::at_end(take), seed)
    }

    /// Fills the stages' caches with the prompt's tokens, and hands the decoder the first `decoded` acoustic frames.
    fn begin(
        models: &Arc<Models>,
        streams: Streams,
        decoded: usize,
        prompt: usize,
        gain: Gain,
        seed: u64,
    ) -> Result<Self> {
        let (decoder, stages) = both(|| warmed_up(models, &streams, decoded), || start_all(models, &streams, .., seed));
        let voice = Voice::new(decoder?, decoded, prompt, models.manifest());
        let voice = Arc::new(Mutex::new(voice));
        Ok(Self::of_parts(Arc::clone(models), streams, stages?, voice, decoded, prompt, gain, seed))
    }

    /// From stages that have taken the prompt's tokens in and a voice that has decoded `decoded` frames of them.
    #[allow(clippy::too_many_arguments, reason = "the one place where everything meets")]
    pub(crate) fn of_parts(
        models: Arc<Models>,
        streams: Streams,
        stages: Vec<Running>,
        voice: Arc<Mutex<Voice>>,
        decoded: usize,
        prompt: usize,
        gain: Gain,
        seed: u64,
    ) -> Self {
        Self {
            seed,
            stages,
            choir: None,
            voice,
            decoded,
            memory: Memory::new(streams.clone()),
            prompt,
            made: 0,
            gain,
            follower: None,
            started_with: None,
            streams,
            models,
        }
    }

    /// Makes a little more (a few frames of every stage) and returns the stereo samples that are final with it, planar, at the
    /// pack's rate. The first sample ever returned is the one right after the prompt's end. Settings take effect at once,
    /// those of the semantic stage one step later: on a thread of its own it is a step ahead.
    ///
    /// # Errors
    /// [`Error::Inference`] if a graph fails or gives nonsense, [`Error::Request`] for settings that make no sense. What
    /// has been made so far stays.
    pub fn step(&mut self, sampling: &Sampling) -> Result<[Vec<f32>; 2]> {
        sampling.check()?;
        self.started_with.get_or_insert(*sampling);
        let until = self.next();
        match &self.choir {
            Some(choir) => {
                if until > self.voice.lock().decoded() {
                    choir.advance(until, sampling)?;
                }
                let now = reach(&self.stages, until);
                for running in &mut self.stages {
                    let end = if is_semantic(&running.spec) { now } else { until };
                    running.advance(&mut self.streams, end, sampling)?;
                }
            }
            None => self.make(until, sampling)?,
        }
        let Self { follower, models, gain, .. } = self;
        let audio = &models.manifest().audio;
        let follower = follower.get_or_insert_with(|| {
            let law = loudness::law(audio.loudness.as_ref(), sampling.hold, *gain);
            Follower::new(law, audio.sample_rate, audio.level_dbfs)
        });
        let audio = self.voice.lock().give(until, gain.channels, follower);
        self.decoded = until;
        self.made += audio[0].len();
        if self.voice.lock().is_lost(until) {
            self.recall()?;
        }
        Ok(audio)
    }

    /// Makes the acoustic frames up to `until` and their sound, by itself.
    fn make(&mut self, until: usize, sampling: &Sampling) -> Result<()> {
        let next = reach(&self.stages, until + CHUNK);
        self.foresee(until, sampling)?;
        let Self { stages, streams, voice, .. } = self;
        let (mut ahead, mut along): (Vec<_>, Vec<_>) = stages.iter_mut().partition(|r| is_semantic(&r.spec));
        // What is to be played after this is thought of meanwhile.
        let acoustic = Tokens::new(streams.acoustic.codebooks);
        let mut apart = Streams { semantic: streams.semantic.clone(), acoustic };
        let think = || ahead.iter_mut().try_for_each(|running| running.advance(&mut apart, next, sampling));
        let own = || {
            along.iter_mut().try_for_each(|running| running.advance(streams, until, sampling))?;
            voice.lock().play(&streams.acoustic, until)
        };
        let (thought, played) = both(think, own);
        // Also if something fails: the stages know how far they are.
        streams.semantic = apart.semantic;
        played.and(thought)
    }

    /// Takes over what the semantic stage has made already.
    pub(crate) fn foreseen(mut self, semantic: &[u16]) -> Self {
        self.streams.semantic.ids.extend_from_slice(semantic);
        self
    }

    /// The acoustic frame up to which the next step gives out sound.
    fn next(&self) -> usize {
        let voice = self.voice.lock();
        if voice.decoded() > self.decoded {
            return voice.decoded().min(self.decoded + CHUNK_BESIDE);
        }
        let chunk = if self.made == 0 {
            let held_back = voice.held_back().div_ceil(self.models.manifest().codec.hop);
            (held_back + 1).next_multiple_of(FIRST_CHUNK)
        } else if self.decoded - voice.begun() < CHUNK {
            SECOND_CHUNK
        } else {
            CHUNK
        };
        self.decoded + chunk
    }

    /// Plays on from the prompt again, with other noise: what has been made stays, and the decoder goes on, so that nothing
    /// clicks.
    fn recall(&mut self) -> Result<()> {
        let models = Arc::clone(&self.models);
        if !self.memory.go_back(&mut self.streams, self.decoded, models.manifest()) {
            self.voice.lock().go_on();
            return Ok(());
        }
        let seed = self.seed ^ self.memory.times().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let fresh = start_all(&models, self.memory.prompt(), .., seed)?;
        for (old, new) in self.stages.iter_mut().zip(fresh) {
            *old = Running { busy: old.busy, ..new };
        }
        // From here on it goes alone.
        self.choir = None;
        self.decoded = self.memory.prompt().acoustic.frames();
        self.voice.lock().go_back(self.decoded);
        Ok(())
    }

    /// Takes everything for silence that is softer than this, in dB from the prompt's level: for tests.
    #[doc(hidden)]
    pub fn expect_level(&mut self, db: f32) {
        self.voice.lock().expect_level(db);
    }

    /// Makes what the stages look at that make the acoustic frames up to `until`, as far as it is not there.
    fn foresee(&mut self, until: usize, sampling: &Sampling) -> Result<()> {
        let end = reach(&self.stages, until);
        let ahead = self.stages.iter_mut().filter(|running| is_semantic(&running.spec));
        ahead.into_iter().try_for_each(|running| running.advance(&mut self.streams, end, sampling))
    }

    /// Frames a stage has made, all in all.
    fn frames_made(&self, running: &Running) -> usize {
        running.frames - running.prompt_frames + self.memory.shift(running.spec.writes)
    }

    /// The seed in use.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Samples given out so far, per channel, at the pack's rate.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.made
    }

    /// Frames each stage has made (the prompt's not counted), in the pack's order.
    #[must_use]
    pub fn stage_frames(&self) -> Vec<(String, usize)> {
        self.stages.iter().map(|s| (s.spec.id.clone(), self.frames_made(s))).collect()
    }

    /// What each stage has done and how long it took, and the decoder last (`id` "decoder", steps in acoustic frames).
    #[must_use]
    pub fn stage_timings(&self) -> Vec<StageTiming> {
        let stages =
            self.stages.iter().map(|s| StageTiming { id: s.spec.id.clone(), steps: self.frames_made(s), time: s.busy });
        let generated =
            self.stages.iter().filter(|s| s.spec.writes == StreamId::Acoustic).map(|s| self.frames_made(s)).max();
        let decoder =
            StageTiming { id: "decoder".into(), steps: generated.unwrap_or(0), time: self.voice.lock().spent() };
        stages.chain([decoder]).collect()
    }

    /// The generated tokens of each stage, `[codebook][frame]`, in the pack's order.
    #[must_use]
    pub fn stage_tokens(&self) -> Vec<(String, Vec<Vec<u16>>)> {
        let of = |s: &Running| {
            let tokens = self.memory.whole(&self.streams, s.spec.writes);
            let books = s.spec.first_codebook..s.spec.first_codebook + s.spec.codebooks;
            let made = s.prompt_frames..s.prompt_frames + self.frames_made(s);
            let book = |b: usize| made.clone().map(|t| tokens.frame(t)[b]).collect();
            (s.spec.id.clone(), books.map(book).collect())
        };
        self.stages.iter().map(of).collect()
    }

    /// For each stage, in the pack's order: its id, the frames it has made, and the first codebook of the latest of them,
    /// at most `most`.
    #[must_use]
    pub fn ribbons(&self, most: usize) -> Vec<(String, usize, Arc<[u16]>)> {
        let of = |s: &Running| {
            let tokens = self.streams.of(s.spec.writes);
            let from = s.prompt_frames.max(s.frames.saturating_sub(most));
            let book = (from..s.frames).map(|t| tokens.frame(t)[s.spec.first_codebook]);
            (s.spec.id.clone(), self.frames_made(s), book.collect())
        };
        self.stages.iter().map(of).collect()
    }

    /// Everything made so far as a take. `sampling` is used for the provenance if nothing has been made yet.
    #[must_use]
    pub fn take(&self, id: TakeId, name: String, sampling: &Sampling) -> Take {
        self.take_up_to(id, name, sampling, self.made)
    }

    /// The same, of at most so many samples: what has been made beyond is a second at most.
    #[must_use]
    pub fn take_up_to(&self, id: TakeId, name: String, sampling: &Sampling, samples: usize) -> Take {
        let (pack, pack_hash) = self.models.provenance_pack();
        let with = self.started_with.unwrap_or(*sampling);
        let mut acoustic = self.memory.whole(&self.streams, StreamId::Acoustic);
        acoustic.ids.truncate((self.decoded + self.memory.shift(StreamId::Acoustic)) * acoustic.codebooks);
        Take {
            id,
            name,
            stars: 0,
            parent: None,
            provenance: Provenance {
                pack,
                pack_hash,
                seed: self.seed,
                temperatures: with.temperatures,
                top_p: with.top_p,
                hold: with.hold,
                density: with.density,
                device: self.models.device(),
                tempo: with.tempo,
                made_at: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            },
            semantic: self.memory.whole(&self.streams, StreamId::Semantic),
            acoustic,
            prompt_samples: self.prompt,
            continuation_samples: samples.min(self.made),
            sample_rate: self.models.sample_rate(),
            gain: self.gain.channels,
            loudness: self.follower.as_ref().and_then(|follower| follower.law(samples.min(self.made))),
        }
    }
}

/// A decoder that has heard the first `frames` acoustic frames of a prompt.
fn warmed_up(models: &Models, streams: &Streams, frames: usize) -> Result<Decoder> {
    let mut ear = Ear::new(models, frames, 0)?;
    ear.hear(&streams.acoustic, frames)?;
    Ok(ear.decoder)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
