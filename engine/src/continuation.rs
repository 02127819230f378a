//! A continuation: [`Continuation::prefill`] takes in the prompt, [`Continuation::step`] plays on. There is no other
//! way in which anything is generated, so cancelling, streaming and measuring come free. Worker thread.
//!
//! # Time
//! Positions are samples at the pack's rate from the prompt's start, `P` is the prompt's length. The last frames before
//! `P` are not known to the tokenizers (their windows look ahead), so generation starts a little before `P`; what is
//! decoded there is dropped, and sample 0 of the continuation is sample `P` exactly.

use crate::both::both;
use crate::error::{Error, Result};
use crate::models::Models;
use crate::pack::manifest::{AnalysisSpec, StreamId};
use crate::prompt::{Ear, OpenPrompt};
use crate::recall::{Lull, Memory};
pub use crate::sampler::Sampling;
use crate::signals::Signals;
use crate::stages::batch::Others;
use crate::stages::{self, Running, Streams, is_semantic, reach};
use crate::take::{Provenance, Take, TakeId, Tokens};
use crate::take_decoder::check_take;
use crate::tokenizers::Decoder;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Acoustic frames of steps: the first one makes a multiple of so many, with what the decoder's windows hold back; then a few
/// of the second size; then those of all later ones. So the first sound comes soon, and then there is less overhead.
const FIRST_CHUNK: usize = 2;
const SECOND_CHUNK: usize = 4;
const CHUNK: usize = 8;
/// The same of a continuation that goes beside another, which has made most of what it needs.
const CHUNK_BESIDE: usize = 32;
/// A continuation that has fallen silent goes back to its prompt after a multiple of so many frames: where a step ends
/// however it is cut, so that a seed gives the same beside others as alone.
const RECALL: usize = CHUNK_BESIDE;

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
    /// The lanes that it takes along, if it goes beside others.
    others: Option<Others>,
    /// Acoustic frames of a step but the first.
    chunk: usize,
    decoder: Decoder,
    decoding: Duration,
    /// Acoustic frames handed to the decoder.
    decoded: usize,
    /// The same when sound was first given out, or the prompt last gone back to: multiples of [`RECALL`] count from there.
    begun: usize,
    memory: Memory,
    lull: Lull,
    /// Samples of the prompt (`P`).
    prompt: usize,
    /// Samples given out.
    made: usize,
    gain: [f32; 2],
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
        Self::begin(&models, streams, Vec::new(), None, frames, take.prompt_samples, take.gain, seed)
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
        let lanes = stages::batch::start(models, &streams, seeds)?;
        let prompt = take.prompt_samples;
        let mut begun: Vec<Self> = Vec::with_capacity(seeds.len());
        for ((stages, others), seed) in lanes.into_iter().zip(seeds) {
            // All of them have heard the same.
            let decoder = begun.first().map(|first| first.decoder.another()).transpose()?;
            let one = Self::begin(models, streams.clone(), stages, decoder, frames, prompt, take.gain, *seed)?;
            let chunk = if begun.is_empty() { CHUNK } else { CHUNK_BESIDE };
            begun.push(Self { chunk, others: Some(others), ..one });
        }
        Ok(begun)
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
        Self::begin(&models, streams, Vec::new(), None, heard, prompt, take.gain, seed)
    }

    /// Fills the caches of the stages that are not there yet with the prompt's tokens, and hands the decoder the first
    /// `decoded` acoustic frames.
    #[allow(clippy::too_many_arguments, reason = "the one place where a take's parts meet")]
    fn begin(
        models: &Arc<Models>,
        streams: Streams,
        mut stages: Vec<(usize, Running)>,
        decoder: Option<Decoder>,
        decoded: usize,
        prompt: usize,
        gain: [f32; 2],
        seed: u64,
    ) -> Result<Self> {
        let there: Vec<usize> = stages.iter().map(|(place, _)| *place).collect();
        let warm_up = || -> Result<_> {
            if let Some(decoder) = decoder {
                return Ok(decoder);
            }
            let mut ear = Ear::new(models, decoded, 0)?;
            ear.hear(&streams.acoustic, decoded)?;
            Ok(ear.decoder)
        };
        let (decoder, started) = both(warm_up, || start_stages(models, &streams, &there, seed));
        let decoder = decoder?;
        stages.extend(started?);
        stages.sort_by_key(|(place, _)| *place);
        let stages = stages.into_iter().map(|(_, running)| running).collect();
        Ok(Self::of_parts(Arc::clone(models), streams, stages, decoder, decoded, prompt, gain, seed))
    }

    /// From stages that have taken the prompt's tokens in and a decoder that has decoded `decoded` frames of them.
    #[allow(clippy::too_many_arguments, reason = "the one place where everything meets")]
    pub(crate) fn of_parts(
        models: Arc<Models>,
        streams: Streams,
        stages: Vec<Running>,
        decoder: Decoder,
        decoded: usize,
        prompt: usize,
        gain: [f32; 2],
        seed: u64,
    ) -> Self {
        Self {
            seed,
            stages,
            others: None,
            chunk: CHUNK,
            decoder,
            decoding: Duration::ZERO,
            decoded,
            begun: decoded,
            memory: Memory::new(streams.clone()),
            lull: Lull::new(models.manifest()),
            prompt,
            made: 0,
            gain,
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
        let first = self.made == 0;
        let until = self.decoded + self.next_chunk();
        let at_hand = self.at_hand(until);
        if self.others.is_none() || at_hand > until {
            self.foresee(at_hand, sampling)?;
        }
        let start = self.decoder.position();
        let (now, next) = (reach(&self.stages, until), reach(&self.stages, until + self.chunk));
        let Self { stages, others, streams, decoder, decoding, decoded, .. } = self;
        let (mut ahead, mut along): (Vec<_>, Vec<_>) = stages.iter_mut().partition(|r| is_semantic(&r.spec));
        let mut think = |streams: &mut Streams, end| {
            ahead.iter_mut().try_for_each(|running| running.advance(streams, end, sampling))
        };
        let mut make = |streams: &mut Streams, end| {
            along.iter_mut().try_for_each(|running| running.advance(streams, end, sampling))
        };
        let codes = *decoded * streams.acoustic.codebooks..until * streams.acoustic.codebooks;
        let mut audio = Signals::default();
        let mut play = |codes: &[u16]| -> Result<()> {
            let clock = Instant::now();
            decoder.push(codes, &mut audio)?;
            *decoding += clock.elapsed();
            Ok(())
        };
        let (meanwhile, played) = if at_hand > until {
            // Little is left to be made of what comes next: that is done while this is decoded.
            make(streams, until)?;
            let codes = streams.acoustic.ids[codes].to_vec();
            both(|| make(streams, at_hand), || play(&codes))
        } else if let Some(others) = others {
            // Those that go beside it, and not through the same runs, do what it does.
            let own = || {
                think(streams, now)?;
                make(streams, until)?;
                play(&streams.acoustic.ids[codes])
            };
            both(|| others.advance(until, sampling), own)
        } else {
            // What is to be played after this is thought of meanwhile.
            let acoustic = Tokens::new(streams.acoustic.codebooks);
            let mut apart = Streams { semantic: streams.semantic.clone(), acoustic };
            let own = || make(streams, until).and_then(|()| play(&streams.acoustic.ids[codes]));
            let done = both(|| think(&mut apart, next), own);
            // Also if something fails: the stages know how far they are.
            streams.semantic = apart.semantic;
            done
        };
        played.and(meanwhile)?;
        self.decoded = until;
        // What lies before the prompt's end has been heard already.
        let skip = (self.prompt as isize - start).clamp(0, audio.len() as isize) as usize;
        self.made += audio.len() - skip;
        self.lull.hear(&audio, skip..audio.len());
        if first {
            self.begun = until;
        }
        if self.lull.is_long() && (until - self.begun).is_multiple_of(RECALL) {
            self.recall()?;
        }
        Ok(audio.left_right(skip..audio.len(), self.gain))
    }

    /// Takes over what the semantic stage has made already.
    pub(crate) fn foreseen(mut self, semantic: &[u16]) -> Self {
        self.streams.semantic.ids.extend_from_slice(semantic);
        self
    }

    /// Acoustic frames of the next step.
    fn next_chunk(&self) -> usize {
        if self.made == 0 {
            let held_back = (self.prompt as isize - self.decoder.position()).max(0) as usize;
            (held_back.div_ceil(self.models.manifest().codec.hop) + 1).next_multiple_of(FIRST_CHUNK)
        } else if self.chunk == CHUNK && self.decoded - self.begun < CHUNK {
            SECOND_CHUNK
        } else {
            self.chunk
        }
    }

    /// Plays on from the prompt again, with other noise: what has been made stays, and the decoder goes on, so that nothing
    /// clicks.
    fn recall(&mut self) -> Result<()> {
        let models = Arc::clone(&self.models);
        if !self.memory.go_back(&mut self.streams, self.decoded, models.manifest()) {
            return Ok(());
        }
        let seed = self.seed ^ self.memory.times().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let fresh = start_stages(&models, self.memory.prompt(), &[], seed)?;
        for (old, (_, new)) in self.stages.iter_mut().zip(fresh) {
            *old = Running { busy: old.busy, ..new };
        }
        // From here on it goes alone.
        self.others = None;
        self.decoded = self.memory.prompt().acoustic.frames();
        self.begun = self.decoded;
        self.lull.end();
        Ok(())
    }

    /// Takes everything for silence that is softer than this, in dB from the prompt's level: for tests.
    #[doc(hidden)]
    pub fn expect_level(&mut self, db: f32) {
        self.lull.expect(db);
    }

    /// The acoustic frame, from `until` on, up to which a continuation that goes beside another may make tokens while it
    /// decodes: as far as none has to be waited for.
    fn at_hand(&self, until: usize) -> usize {
        if self.chunk != CHUNK_BESIDE {
            return until;
        }
        let acoustic = self.stages.iter().filter(|running| running.spec.writes == StreamId::Acoustic);
        let made = acoustic.map(|running| running.stage.at_hand()).min().unwrap_or(0);
        made.clamp(until, until + self.chunk)
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
        let decoder = StageTiming { id: "decoder".into(), steps: generated.unwrap_or(0), time: self.decoding };
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
                device: self.models.device(),
                tempo: None,
                made_at: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            },
            semantic: self.memory.whole(&self.streams, StreamId::Semantic),
            acoustic,
            prompt_samples: self.prompt,
            continuation_samples: self.made,
            sample_rate: self.models.sample_rate(),
            gain: self.gain,
        }
    }
}

/// Stages that have taken in the tokens of a prompt, each with its place in the pack; not those that are `there`.
fn start_stages(models: &Arc<Models>, streams: &Streams, there: &[usize], seed: u64) -> Result<Vec<(usize, Running)>> {
    let missing = (0..models.stages.len()).filter(|place| !there.contains(place));
    missing
        .map(|place| {
            let mut running = Running::start(models, place)?;
            running.prefill(streams, true)?;
            running.stage.reseed(seed);
            Ok((place, running))
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
