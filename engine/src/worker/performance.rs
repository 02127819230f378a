//! One continuation under way: its steps, its audio so far, and what is known about its speed.

use super::schedule::{Place, Situation};
use super::source::Music;
use super::takes::{Audio, host_frames, interleave};
use crate::continuation::Sampling;
use crate::controls::StartMode;
use crate::error::{Error, Result};
use crate::resample::StreamResampler;
use crate::status::{Progress, Spectrum, StageProgress, TakeSummary, Waveform};
use crate::take::{Take, TakeId};
use crate::waveform::WaveformBuilder;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An endless continuation ends here: ten minutes, about 230 MB at 48 kHz.
pub(super) const MAX_SECONDS: u64 = 600;
/// Steps without a single sample after which a source is taken for broken.
const MAX_EMPTY_STEPS: usize = 1000;

pub(super) struct Performance {
    pub(super) id: TakeId,
    pub(super) name: String,
    pub(super) place: Place,
    /// A segment has been begun with it.
    pub(super) begun: bool,
    /// Nothing more will be made.
    pub(super) done: bool,
    /// Where the transport started since the trigger, for [`StartMode::OnPlay`].
    pub(super) transport_started: Option<u64>,
    pub(super) prompt_picture: Waveform,
    pub(super) seed: u64,
    pub(super) pack: String,
    /// Milliseconds until its first sample could be mixed.
    pub(super) ttfa_ms: Option<f64>,
    pub(super) starts_in: f64,
    /// When the trigger was seen, and how many milliseconds it had been waiting then.
    pub(super) seen: (Instant, f64),
    tempo: Option<f64>,
    sampling: Sampling,
    music: Box<dyn Music>,
    resampler: StreamResampler,
    audio: Vec<f32>,
    picture: WaveformBuilder,
    /// Frames wanted; `None` without end.
    total: Option<u64>,
    sample_rate: u32,
    pack_rate: u32,
    busy: Duration,
    steps: usize,
    empty_steps: usize,
    chunk: u64,
}

/// What a performance is made of.
pub(super) struct Opening {
    pub(super) id: TakeId,
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) prompt_picture: Waveform,
    pub(super) seed: u64,
    pub(super) pack: String,
    pub(super) tempo: Option<f64>,
    pub(super) sampling: Sampling,
    /// Seconds; not finite: without end.
    pub(super) length: f32,
    pub(super) sample_rate: u32,
    pub(super) pack_rate: u32,
    pub(super) seen: (Instant, f64),
}

impl Performance {
    pub(super) fn new(opening: Opening, music: Box<dyn Music>) -> Result<Self> {
        let rate = f64::from(opening.sample_rate);
        let total = opening.length.is_finite().then(|| (f64::from(opening.length.max(0.1)) * rate).round() as u64);
        Ok(Self {
            resampler: StreamResampler::new(2, opening.pack_rate, opening.sample_rate)?,
            prompt_picture: opening.prompt_picture,
            id: opening.id,
            name: opening.name,
            place: opening.place,
            begun: false,
            done: false,
            transport_started: None,
            seed: opening.seed,
            pack: opening.pack,
            ttfa_ms: None,
            starts_in: 0.0,
            seen: opening.seen,
            tempo: opening.tempo,
            sampling: opening.sampling,
            music,
            audio: Vec::new(),
            picture: WaveformBuilder::default(),
            total,
            sample_rate: opening.sample_rate,
            pack_rate: opening.pack_rate,
            busy: Duration::ZERO,
            steps: 0,
            empty_steps: 0,
            chunk: 0,
        })
    }

    /// One step. After the last one [`Self::done`] is set.
    pub(super) fn step(&mut self, sampling: &Sampling) -> Result<()> {
        let clock = Instant::now();
        let chunk = self.music.step(sampling)?;
        let chunk = self.resampler.push(&chunk)?;
        self.busy += clock.elapsed();
        self.steps += 1;
        let before = self.audio.len();
        interleave(&chunk, &mut self.audio);
        if self.audio.len() == before {
            self.empty_steps += 1;
            if self.empty_steps > MAX_EMPTY_STEPS {
                return Err(Error::Request("the pack makes no sound at all".into()));
            }
        } else {
            self.empty_steps = 0;
        }
        let end = self.total.unwrap_or(MAX_SECONDS * u64::from(self.sample_rate));
        if self.frames() >= end {
            self.audio.truncate(end as usize * 2);
            self.done = true;
        }
        self.chunk = self.chunk.max(self.audio.len().saturating_sub(before) as u64 / 2);
        self.picture.push_interleaved(&self.audio[before.min(self.audio.len())..]);
        Ok(())
    }

    /// Frames so far.
    pub(super) fn frames(&self) -> u64 {
        self.audio.len() as u64 / 2
    }

    /// Interleaved, from the continuation's first frame.
    pub(super) fn audio(&self) -> &[f32] {
        &self.audio
    }

    /// Length of the take for playback: without end until it has one.
    pub(super) fn period(&self) -> u64 {
        self.total.unwrap_or(u64::MAX)
    }

    /// Without end, and stopped by [`MAX_SECONDS`] alone.
    pub(super) fn is_endless(&self) -> bool {
        self.total.is_none()
    }

    /// Seconds of audio per second of work.
    pub(super) fn speed(&self) -> f64 {
        let busy = self.busy.as_secs_f64();
        if busy > 0.0 { self.frames() as f64 / f64::from(self.sample_rate) / busy } else { 0.0 }
    }

    pub(super) fn situation(&self, mode: StartMode, now: u64, margin: u64, offline: bool) -> Situation {
        Situation {
            place: self.place,
            mode,
            sample_rate: self.sample_rate,
            now,
            margin,
            offline,
            transport_started: self.transport_started,
            generated: self.frames(),
            total: self.total,
            done: self.done,
            speed: self.speed(),
            steps: self.steps,
            chunk: self.chunk,
        }
    }

    /// Notes when the first sample that is not yet past exists.
    pub(super) fn measure(&mut self, now: u64) {
        let past = match self.place {
            Place::InTime { origin, .. } => now.saturating_sub(self.transport_started.unwrap_or(origin)),
            Place::Free => 0,
        };
        if self.ttfa_ms.is_none() && self.frames() > past {
            self.ttfa_ms = Some(self.seen.0.elapsed().as_secs_f64() * 1e3 + self.seen.1);
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let seconds = self.frames() as f64 / f64::from(self.sample_rate);
        let total_seconds = self.total.map(|t| t as f64 / f64::from(self.sample_rate));
        let scale = total_seconds.filter(|_| seconds > 0.0).map(|total| total / seconds);
        let stages = self.music.stage_frames().into_iter();
        let stages = stages.map(|(id, done)| StageProgress {
            id,
            done,
            total: scale.map(|s| (done as f64 * s).round() as usize),
            tokens: Arc::default(),
        });
        Progress {
            stages: stages.collect(),
            seconds,
            total_seconds,
            speed: self.speed(),
            starts_in: if self.begun { 0.0 } else { self.starts_in },
        }
    }

    /// What the editor sees while it grows.
    pub(super) fn summary(&self) -> TakeSummary {
        TakeSummary {
            id: self.id,
            name: self.name.clone(),
            stars: 0,
            seed: self.seed,
            temperatures: self.sampling.temperatures,
            seconds: self.frames() as f64 / f64::from(self.sample_rate),
            prompt: self.prompt_picture.clone(),
            continuation: self.picture.picture(),
            playable: true,
            spectrum: Spectrum::default(),
            prompt_seconds: self.so_far().prompt_seconds(),
            tempo: self.tempo,
            parent: None,
            pack: self.pack.clone(),
        }
    }

    /// What there is of it, for continuing its prompt again.
    pub(super) fn so_far(&self) -> Take {
        let mut take = self.music.take(self.id, self.name.clone(), &self.sampling);
        take.provenance.tempo = self.tempo;
        take
    }

    /// Everything so far as a take, its audio and its picture. `None` if there is nothing worth keeping (less than a tenth of a second).
    pub(super) fn finish(self) -> Option<(Take, Audio, Waveform)> {
        if self.frames() < u64::from(self.sample_rate) / 10 {
            return None;
        }
        let mut take = self.so_far();
        // The last chunk reaches beyond what was asked for.
        let asked = host_frames(self.audio.len() / 2, self.sample_rate, self.pack_rate);
        take.continuation_samples = take.continuation_samples.min(asked);
        Some((take, Arc::new(self.audio), self.picture.picture()))
    }
}
