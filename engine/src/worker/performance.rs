//! One continuation under way: its steps, its audio so far, and what is known about its speed.

use super::schedule::{Decision, Place, Situation};
use super::source::Music;
use super::takes::{Audio, Pictures, PromptPicture, host_frames, interleave};
use crate::continuation::Sampling;
use crate::controls::StartMode;
use crate::error::{Error, Result};
use crate::resample::StreamResampler;
use crate::spectrum::{Spectrum, SpectrumBuilder};
use crate::status::{Progress, RIBBON_FRAMES, StageProgress, TakeSummary, Waveform};
use crate::take::{Take, TakeId};
use crate::transport::Transport;
use crate::waveform::WaveformBuilder;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An endless continuation ends here: ten minutes, about 230 MB at 48 kHz.
pub(super) const MAX_SECONDS: u64 = 600;
/// The speed of late is measured over steps that took this long.
const LAP: Duration = Duration::from_millis(500);
/// Steps without a single sample after which a source is taken for broken.
const MAX_EMPTY_STEPS: usize = 1000;

pub(super) struct Performance {
    pub(super) id: TakeId,
    pub(super) name: String,
    pub(super) stars: u8,
    pub(super) place: Place,
    /// Whether it is shown as the selected take while it is made, and becomes it.
    pub(super) select: bool,
    /// A segment has been begun with it, or none is to be.
    pub(super) begun: bool,
    /// Nothing more will be made.
    pub(super) done: bool,
    /// Where the transport started since the trigger, for [`StartMode::OnPlay`].
    pub(super) transport_started: Option<u64>,
    /// A duet made it.
    pub(super) duet: bool,
    pub(super) seed: u64,
    pub(super) pack: String,
    /// Milliseconds until its first sample could be mixed.
    pub(super) ttfa_ms: Option<f64>,
    pub(super) starts_in: f64,
    /// When the trigger was seen, and how many milliseconds it had been waiting then.
    pub(super) seen: (Instant, f64),
    mode: Option<StartMode>,
    tempo: Option<f64>,
    parent: Option<TakeId>,
    prompt_seconds: f64,
    prompt_waveform: Waveform,
    /// The prompt is drawn only nearly right.
    sketch: bool,
    /// Settings when it began, and whether they hold to its end.
    sampling: Sampling,
    fixed: bool,
    music: Box<dyn Music>,
    spectrum: SpectrumBuilder,
    resampler: StreamResampler,
    audio: Vec<f32>,
    picture: WaveformBuilder,
    /// Frames wanted; `None` without end.
    total: Option<u64>,
    sample_rate: u32,
    pack_rate: u32,
    /// Frames that the first step gave, which is not counted as work.
    unmeasured: u64,
    busy: Duration,
    /// Work and frames since the speed of late was taken.
    lap: (Duration, u64),
    late_speed: Option<f64>,
    /// Underruns when it was last looked at.
    underruns: u64,
    steps: usize,
    empty_steps: usize,
    chunk: u64,
}

/// What a performance is for.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) place: Place,
    /// Comes in this way whatever the setting says.
    pub(super) mode: Option<StartMode>,
    pub(super) select: bool,
    /// Somebody else sees to it that it is heard, if it is to be.
    pub(super) silent: bool,
    pub(super) duet: bool,
    pub(super) tempo: Option<f64>,
    pub(super) parent: Option<TakeId>,
    /// Settings that hold to its end.
    pub(super) sampling: Option<Sampling>,
    pub(super) seed: Option<u64>,
}

impl Role {
    /// Heard at its place and selected.
    pub(super) fn heard(place: Place, tempo: Option<f64>) -> Self {
        Self {
            place,
            mode: None,
            select: true,
            silent: false,
            duet: false,
            tempo,
            parent: None,
            sampling: None,
            seed: None,
        }
    }
}

/// How the prompt is drawn, and what goes on being drawn.
pub(super) struct Drawn {
    pub(super) waveform: Waveform,
    pub(super) spectrum: DrawnSpectrum,
    pub(super) sketch: bool,
}

/// A prompt's spectrum.
pub(super) enum DrawnSpectrum {
    /// It has been pushed.
    Pushed(Box<SpectrumBuilder>),
    /// It has been drawn before: the first columns of this, and the prompt's last samples.
    Before { spectrum: Spectrum, columns: usize, tail: Arc<[f32]> },
}

impl Drawn {
    /// A prompt at the pack's rate.
    pub(super) fn of(prompt: &[Vec<f32>], rate: u32) -> Self {
        let mut spectrum = SpectrumBuilder::new(rate, prompt.first().map_or(0, Vec::len));
        spectrum.push(prompt);
        let waveform = crate::waveform::picture(prompt);
        Self { waveform, spectrum: DrawnSpectrum::Pushed(Box::new(spectrum)), sketch: false }
    }

    /// What goes on being drawn after a prompt of `samples` samples.
    fn open(self, rate: u32, samples: usize, whole: f64) -> (Waveform, SpectrumBuilder, bool) {
        let builder = match self.spectrum {
            DrawnSpectrum::Pushed(builder) => *builder,
            DrawnSpectrum::Before { spectrum, columns, tail } => {
                let columns: Vec<&[u8]> = (0..columns.min(spectrum.len())).map(|c| spectrum.column(c)).collect();
                SpectrumBuilder::after(rate, samples, &columns, &tail)
            }
        };
        // A prompt that was cut has lost its beginning.
        let kept = (self.waveform.len() as f64 * whole.min(1.0)).round() as usize;
        let waveform = self.waveform[self.waveform.len() - kept.min(self.waveform.len())..].into();
        (waveform, builder, self.sketch)
    }
}

/// What a performance is made of.
pub(super) struct Opening {
    pub(super) id: TakeId,
    pub(super) name: String,
    pub(super) role: Role,
    /// Samples of the prompt as it was given.
    pub(super) prompt_samples: usize,
    pub(super) seed: u64,
    pub(super) pack: String,
    pub(super) sampling: Sampling,
    /// Seconds; not finite: without end.
    pub(super) length: f32,
    pub(super) sample_rate: u32,
    pub(super) pack_rate: u32,
    pub(super) seen: (Instant, f64),
}

impl Performance {
    pub(super) fn new(opening: Opening, drawn: Drawn, music: Box<dyn Music>) -> Result<Self> {
        let rate = f64::from(opening.sample_rate);
        let total = opening.length.is_finite().then(|| (f64::from(opening.length.max(0.1)) * rate).round() as u64);
        let prompt = music.take(opening.id, String::new(), &opening.sampling, 0).prompt_samples;
        let whole = prompt as f64 / opening.prompt_samples.max(1) as f64;
        let (prompt_waveform, spectrum, sketch) = drawn.open(opening.pack_rate, prompt, whole);
        Ok(Self {
            resampler: StreamResampler::new(2, opening.pack_rate, opening.sample_rate)?,
            prompt_seconds: prompt as f64 / f64::from(opening.pack_rate.max(1)),
            prompt_waveform,
            spectrum,
            sketch,
            id: opening.id,
            name: opening.name,
            stars: 0,
            place: opening.role.place,
            select: opening.role.select,
            mode: opening.role.mode,
            duet: opening.role.duet,
            parent: opening.role.parent,
            begun: opening.role.silent,
            done: false,
            transport_started: None,
            seed: opening.seed,
            pack: opening.pack,
            ttfa_ms: None,
            starts_in: 0.0,
            seen: opening.seen,
            tempo: opening.role.tempo,
            fixed: opening.role.sampling.is_some(),
            sampling: Sampling { tempo: opening.role.tempo, ..opening.role.sampling.unwrap_or(opening.sampling) },
            music,
            audio: Vec::new(),
            picture: WaveformBuilder::default(),
            total,
            sample_rate: opening.sample_rate,
            pack_rate: opening.pack_rate,
            unmeasured: 0,
            busy: Duration::ZERO,
            lap: (Duration::ZERO, 0),
            late_speed: None,
            underruns: 0,
            steps: 0,
            empty_steps: 0,
            chunk: 0,
        })
    }

    /// One step. After the last one [`Self::done`] is set.
    pub(super) fn step(&mut self, sampling: &Sampling) -> Result<()> {
        let clock = Instant::now();
        let now = Sampling { tempo: self.tempo, ..*sampling };
        let chunk = self.music.step(if self.fixed { &self.sampling } else { &now })?;
        self.spectrum.push(&chunk);
        let chunk = self.resampler.push(&chunk)?;
        let took = clock.elapsed();
        self.steps += 1;
        let before = self.audio.len();
        interleave(&chunk, &mut self.audio);
        // The first step also makes what the decoder's windows hold back: that says nothing of how fast it will go on, and would
        // have it wait for more.
        let took = if before == 0 {
            self.unmeasured = self.frames();
            Duration::ZERO
        } else {
            took
        };
        self.busy += took;
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
        let made = self.audio.len().saturating_sub(before) as u64 / 2;
        self.chunk = self.chunk.max(made);
        if !took.is_zero() {
            self.lap = (self.lap.0 + took, self.lap.1 + made);
        }
        if self.lap.0 >= LAP {
            self.late_speed = Some(self.lap.1 as f64 / f64::from(self.sample_rate) / self.lap.0.as_secs_f64());
            self.lap = (Duration::ZERO, 0);
        }
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

    /// Seconds of audio per second of work, after the first step that gave any; 0 until then.
    pub(super) fn speed(&self) -> f64 {
        let (busy, frames) = (self.busy.as_secs_f64(), self.frames().saturating_sub(self.unmeasured));
        if busy > 0.0 { frames as f64 / f64::from(self.sample_rate) / busy } else { 0.0 }
    }

    /// The same, of the last half second of work.
    fn late_speed(&self) -> f64 {
        self.late_speed.unwrap_or_else(|| self.speed())
    }

    /// What plays is at `position`, and there have been so many underruns. Whether it has run dry and will not be back in
    /// time soon: then it waits, and goes on from there.
    pub(super) fn breaks(&mut self, position: u64, underruns: u64) -> bool {
        let dry = underruns > std::mem::replace(&mut self.underruns, underruns);
        let situation = self.situation(StartMode::AtOnce, None, 0, 0, false);
        if !dry || self.done || !(Situation { speed: self.late_speed(), ..situation }).is_lost(position) {
            return false;
        }
        let position = position.min(self.frames());
        let transport = match self.place {
            Place::InTime { transport, .. } | Place::NextLine { transport } => {
                transport.after(position, self.sample_rate)
            }
            Place::Broken { position: before, transport } => {
                transport.after(position.saturating_sub(before), self.sample_rate)
            }
            Place::Free => Transport::default(),
        };
        self.place = Place::Broken { position, transport };
        self.begun = false;
        true
    }

    /// It has run dry.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.place, Place::Broken { .. })
    }

    /// It is to be heard from now on: underruns of before are not its own.
    pub(super) fn begins(&mut self, underruns: u64) {
        (self.begun, self.underruns) = (true, underruns);
    }

    /// How it comes in, where the setting says `mode`.
    pub(super) fn mode(&self, mode: StartMode) -> StartMode {
        self.mode.unwrap_or(mode)
    }

    /// Whether it stops with the song: it was asked for while that ran, or waits for it.
    pub(super) fn with_song(&self, mode: StartMode) -> bool {
        match self.place {
            Place::InTime { transport, .. } | Place::NextLine { transport, .. } | Place::Broken { transport, .. } => {
                transport.playing || self.mode(mode) == StartMode::OnPlay
            }
            Place::Free => false,
        }
    }

    pub(super) fn situation(
        &self,
        mode: StartMode,
        news: Option<(u64, Transport)>,
        now: u64,
        margin: u64,
        offline: bool,
    ) -> Situation {
        Situation {
            place: self.place,
            mode: self.mode(mode),
            news,
            sample_rate: self.sample_rate,
            now,
            margin,
            offline,
            transport_started: self.transport_started,
            generated: self.frames(),
            total: self.total,
            done: self.done,
            speed: if self.is_broken() { self.late_speed() } else { self.speed() },
            steps: self.steps,
            chunk: self.chunk,
        }
    }

    /// Whether it can be played from `position` on without running dry, as far as can be told.
    pub(super) fn outlasts(&self, position: u64) -> bool {
        let free = Situation { place: Place::Free, ..self.situation(StartMode::AtOnce, None, 0, 0, false) };
        let left = Situation {
            generated: self.frames().saturating_sub(position),
            total: self.total.map(|total| total.saturating_sub(position)),
            ..free
        };
        // Past its end it is played from its beginning.
        self.total.is_some_and(|total| position >= total) || matches!(left.decide(), Decision::Begin { .. })
    }

    /// Notes when the first sample that is not yet past exists.
    pub(super) fn measure(&mut self, now: u64) {
        let past = match self.place {
            Place::InTime { origin, .. } => now.saturating_sub(self.transport_started.unwrap_or(origin)),
            Place::NextLine { .. } | Place::Free | Place::Broken { .. } => 0,
        };
        if self.ttfa_ms.is_none() && self.frames() > past {
            self.ttfa_ms = Some(self.seen.0.elapsed().as_secs_f64() * 1e3 + self.seen.1);
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let seconds = self.frames() as f64 / f64::from(self.sample_rate);
        let total_seconds = self.total.map(|t| t as f64 / f64::from(self.sample_rate));
        let scale = total_seconds.filter(|_| seconds > 0.0).map(|total| total / seconds);
        let stages = self.music.ribbons(RIBBON_FRAMES).into_iter();
        let stages = stages.map(|(id, done, tokens)| StageProgress {
            id,
            done,
            total: scale.map(|s| (done as f64 * s).round() as usize),
            tokens,
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
            stars: self.stars,
            seed: self.seed,
            temperatures: self.sampling.temperatures,
            hold: self.sampling.hold,
            density: self.sampling.density,
            seconds: self.frames() as f64 / f64::from(self.sample_rate),
            prompt: self.prompt_waveform.clone(),
            continuation: self.picture.picture(),
            playable: true,
            spectrum: self.spectrum.spectrum(),
            prompt_seconds: self.prompt_seconds,
            tempo: self.tempo,
            parent: self.parent,
            pack: self.pack.clone(),
        }
    }

    /// What there is of it, for continuing its prompt again.
    pub(super) fn so_far(&self) -> Take {
        // The last chunk reaches beyond what was asked for.
        let asked = host_frames(self.audio.len() / 2, self.sample_rate, self.pack_rate);
        let mut take = self.music.take(self.id, self.name.clone(), &self.sampling, asked);
        take.provenance.tempo = self.tempo;
        take.stars = self.stars;
        take.parent = self.parent;
        take
    }

    /// Whether there is enough of it to be kept: a tenth of a second.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.frames() >= u64::from(self.sample_rate) / 10
    }

    /// How its prompt is drawn.
    pub(super) fn prompt_picture(&self) -> PromptPicture {
        PromptPicture {
            waveform: self.prompt_waveform.clone(),
            spectrum: self.spectrum.spectrum(),
            tail: self.spectrum.tail().into(),
        }
    }

    /// Everything so far as a take, complete. `None` if it is not worth keeping.
    pub(super) fn finish(mut self) -> Option<Finished> {
        if !self.is_worth_keeping() {
            return None;
        }
        let take = self.so_far();
        self.spectrum.finish();
        let prompt = self.prompt_picture();
        let pictures = Pictures { spectrum: prompt.spectrum.clone(), prompt, waveform: self.picture.picture() };
        Some(Finished { take, audio: Arc::new(self.audio), pictures, sketch: self.sketch, select: self.select })
    }
}

/// A performance that has become a take.
pub(super) struct Finished {
    pub(super) take: Take,
    pub(super) audio: Audio,
    pub(super) pictures: Pictures,
    /// The pictures are only nearly right.
    pub(super) sketch: bool,
    pub(super) select: bool,
}
