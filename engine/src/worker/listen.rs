//! From a trigger to a continuation: what the prompt is, whether there is anything in it, and the prefill.

use super::ahead::Caught;
use super::performance::{Drawn, Opening, Performance, Role};
use super::player::Entry;
use super::run::{Job, Worker};
use super::schedule::Place;
use super::source::{Music, Prompt};
use super::takes::host_frames;
use crate::both::both;
use crate::capture::Event;
use crate::continuation::Sampling;
use crate::controls::{CaptureMode, StartMode};
use crate::duet::Pause;
use crate::error::Result;
use crate::playback::Start;
use crate::signals::rms;
use crate::status::Activity;
use crate::take::TakeId;
use crate::transport::{Grid, Transport};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A prompt softer than this (−60 dBFS) is silence.
const SILENCE_RMS: f32 = 0.001;
/// Bars at a slow tempo are cut here: the history is half a minute long, and no stage remembers more.
const MAX_PROMPT_SECONDS: u64 = 24;

/// Where a prompt ends, and the frame from which the wait for the continuation counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) end: u64,
    pub(super) now: u64,
}

impl Worker {
    /// Takes in what has been played, and answers what has happened.
    pub(super) fn listen(&mut self) {
        if let Some(live) = &mut self.live {
            live.capture.drain();
        }
        while let Some(event) = self.live.as_mut().and_then(|live| live.capture.next_event()) {
            match event {
                Event::Trigger { clock, transport } => self.trigger(clock, transport),
                Event::Transport { clock, transport } => self.transport(clock, transport),
                Event::Play { clock } => self.play_selected(Some(clock)),
                Event::Stop { .. } => self.stop_playing(),
                Event::Paused { clock, end, transport } => self.paused(Pause { end, found: clock }, transport),
                Event::Onset { .. } => self.onset(),
                Event::Gap { .. } => continue,
            }
            if let Some(live) = &mut self.live {
                live.playback.answer();
            }
        }
        if let (Some(live), Job::Recording { start, end, transport }) = (&self.live, &self.job)
            && live.capture.history().end() >= *end
        {
            let (start, end, transport) = (*start, *end, *transport);
            self.recorded(start, end, transport);
        }
    }

    /// The transport did what could not be foreseen.
    fn transport(&mut self, clock: u64, transport: Transport) {
        let (started, stopped) = self.timeline.push(clock, transport);
        let mode = self.shared.config.controls.start_mode();
        let Job::Performing(performance) = &mut self.job else { return };
        if started {
            performance.transport_started.get_or_insert(clock);
        }
        let armed = performance.mode(mode) == StartMode::OnPlay && !performance.is_broken();
        if stopped && !performance.begun && !armed && performance.with_song(mode) {
            performance.begun = true;
            self.notice = Some("The song was stopped before the continuation came in. It is here to be played.".into());
            self.dirty = true;
            if let Some(live) = &mut self.live {
                live.playback.set_due_from(u64::MAX);
            }
        }
    }

    fn trigger(&mut self, clock: u64, transport: Transport) {
        self.dirty = true;
        if let Job::Recording { start, transport, .. } = self.job {
            // A second press: that was the prompt.
            return self.recorded(start, clock, transport);
        }
        self.queue.clear();
        self.finish_job();
        let Some(live) = &mut self.live else { return };
        self.player.stop(&mut live.playback);
        if self.pack.is_none() {
            self.notice = Some("No pack is loaded: there is nothing to continue with.".into());
            return;
        }
        match self.shared.config.controls.capture_mode() {
            CaptureMode::JustPlayed => {
                let end = clock - self.since_beat(clock, &transport);
                let at_end = transport.before(clock - end, live_rate(self));
                let frames = self.prompt_frames(end);
                self.continue_from(
                    Moment { end, now: end },
                    frames,
                    Role::heard(Place::InTime { origin: end, transport: at_end }, transport.tempo),
                );
            }
            CaptureMode::Record => {
                let end = clock + self.prompt_frames(clock);
                if let Some(live) = &mut self.live {
                    live.playback.set_due_from(end);
                }
                self.job = Job::Recording { start: clock, end, transport };
                self.notice = None;
            }
        }
    }

    /// The prompt has been recorded from `start`, where the transport was `transport`, to `end`.
    fn recorded(&mut self, start: u64, end: u64, transport: Transport) {
        let snapped = (end - self.since_beat(end, &transport.after(end - start, live_rate(self)))).max(start);
        let at_end = transport.after(snapped - start, live_rate(self));
        let role = Role::heard(Place::InTime { origin: snapped, transport: at_end }, transport.tempo);
        self.continue_from(Moment { end: snapped, now: snapped }, snapped - start, role);
    }

    /// How far before `clock` the prompt ends: on the last beat, if that is wanted and known.
    fn since_beat(&self, clock: u64, transport: &Transport) -> u64 {
        if !self.shared.config.controls.snap_to_beat.load(Relaxed) {
            return 0;
        }
        self.timeline.since_beat(clock, transport, live_rate(self)).unwrap_or(0).min(clock)
    }

    /// Length of a prompt that ends at `end`, in frames.
    pub(super) fn prompt_frames(&self, end: u64) -> u64 {
        let (controls, rate) = (&self.shared.config.controls, live_rate(self));
        let bars = controls.prompt_bars.load(Relaxed);
        let in_bars = self.timeline.latest().filter(|_| bars > 0).and_then(|(_, transport)| {
            let quarters = transport.quarters(Grid::Bar) * f64::from(bars.min(8));
            self.timeline.frames_back(end, quarters, rate)
        });
        let seconds = f64::from(controls.prompt_seconds.get().clamp(1.0, 10.0));
        let frames = in_bars.unwrap_or_else(|| (seconds * f64::from(rate)).round() as u64);
        frames.clamp(u64::from(rate), MAX_PROMPT_SECONDS * u64::from(rate))
    }

    /// Continues the `frames` frames before a moment's end, or as many of them as there are.
    pub(super) fn continue_from(&mut self, moment: Moment, frames: u64, role: Role) {
        let Moment { end, now } = moment;
        self.job = Job::Idle;
        self.dirty = true;
        let Some(live) = &mut self.live else { return };
        let history = live.capture.history();
        let waiting_ms = (history.end() - now) as f64 / f64::from(live.sample_rate) * 1e3;
        let seen = (Instant::now(), waiting_ms);
        let mut caught = self.catch_ahead(end, frames);
        let Some(live) = &mut self.live else { return };
        let history = live.capture.history();
        // A hot prompt begins where it was begun.
        let prompt = match &mut caught {
            Some(caught) => Some(std::mem::take(&mut caught.heard)),
            None => history.slice(end, (frames as usize).min(history.available(end))),
        };
        let prompt = prompt.filter(|p| p[0].len() >= live.sample_rate as usize);
        let refusal = match &prompt {
            None => Some("Nothing to continue yet: play for at least a second."),
            Some(prompt) if is_silent(prompt) => Some("Nothing to continue: the input was silent."),
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            self.notice = Some(refusal.into());
            live.playback.set_due_from(u64::MAX);
            return;
        }
        if let Place::InTime { origin, .. } = role.place {
            live.playback.set_due_from(origin);
        }
        let Some(prompt) = prompt else { return };
        let alone = role.duet;
        match self.perform_audio(&prompt, caught, role, seen) {
            // A duet's pianist will have played something else before the others are made.
            Ok(()) if alone => {}
            Ok(()) => self.order_variations(),
            Err(error) => {
                self.fail(&error);
                if let Some(live) = &mut self.live {
                    live.playback.set_due_from(u64::MAX);
                }
            }
        }
    }

    /// Continues audio at the host's rate, which may have been `caught` before. It is drawn meanwhile.
    fn perform_audio(
        &mut self,
        prompt: &[Vec<f32>; 2],
        caught: Option<Caught>,
        role: Role,
        seen: (Instant, f64),
    ) -> Result<()> {
        let (Some(live), Some(pack)) = (&self.live, &self.pack) else { return Ok(()) };
        let (from, to) = (live.sample_rate, pack.sample_rate);
        let at_pack = || crate::resample::resample(prompt, from, to);
        let sampling = Sampling { tempo: role.tempo, ..role.sampling.unwrap_or_else(|| self.sampling()) };
        let begin = |worker: &mut Self, seed| {
            let (drawn, music) = match caught {
                Some(caught) => {
                    both(|| at_pack().map(|prompt| Drawn::of(&prompt, to)), || caught.close(seed, &sampling))
                }
                None => {
                    worker.publish(Some(Activity::Prefilling));
                    let prompt = at_pack()?;
                    let heard = Prompt::Audio(prompt.clone());
                    both(|| Ok(Drawn::of(&prompt, to)), || worker.source.begin(&heard, seed))
                }
            };
            Ok((music?, drawn?))
        };
        let id = self.takes.next_id();
        self.perform_music(id, host_frames(prompt[0].len(), from, to), role, seen, begin)
    }

    /// Prefills and leaves the rest to the turns to come.
    pub(super) fn perform(
        &mut self,
        id: TakeId,
        prompt: &Prompt,
        drawn: Drawn,
        role: Role,
        seen: (Instant, f64),
    ) -> Result<()> {
        let begin = |worker: &mut Self, seed| {
            worker.publish(Some(Activity::Prefilling));
            Ok((worker.source.begin(prompt, seed)?, drawn))
        };
        self.perform_music(id, prompt.samples(), role, seen, begin)
    }

    /// Performs what `begin` makes of the seed, on from a prompt of so many samples at the pack's rate.
    pub(super) fn perform_music(
        &mut self,
        id: TakeId,
        prompt_samples: usize,
        role: Role,
        seen: (Instant, f64),
        begin: impl FnOnce(&mut Self, u64) -> Result<(Box<dyn Music>, Drawn)>,
    ) -> Result<()> {
        let (Some(live), Some(pack)) = (&self.live, &self.pack) else { return Ok(()) };
        let controls = &self.shared.config.controls;
        let seed = role.seed.unwrap_or_else(|| match controls.seed.load(Relaxed) {
            0 => random_seed(),
            chosen => u64::from(chosen),
        });
        let opening = Opening {
            id,
            name: format!("Take {}", id.0),
            role,
            prompt_samples,
            seed,
            pack: format!("{} {}", pack.name, pack.version),
            sampling: self.sampling(),
            length: controls.length_seconds.get(),
            sample_rate: live.sample_rate,
            pack_rate: pack.sample_rate,
            seen,
        };
        let (music, drawn) = begin(self, seed)?;
        self.job = Job::Performing(Box::new(Performance::new(opening, drawn, music)?));
        self.problem = None;
        self.notice = None;
        self.dirty = true;
        Ok(())
    }

    /// How tokens are drawn, as it is set now.
    pub(super) fn sampling(&self) -> Sampling {
        self.shared.config.controls.sampling()
    }

    /// Plays the selected take; offline exactly from `clock` if it was asked for on the sample clock, else as soon as it
    /// can be.
    pub(super) fn play_selected(&mut self, clock: Option<u64>) {
        let Some(id) = self.selected() else {
            self.dirty = true;
            self.notice = Some("There is no take to play yet.".into());
            return;
        };
        let exactly = clock.filter(|_| self.live.as_ref().is_some_and(|live| live.offline));
        if self.request(id, Entry::Beginning(exactly.map_or(Start::Now, Start::At)))
            && let Some(live) = &mut self.live
            && let Some(clock) = exactly
        {
            live.playback.set_due_from(clock);
        }
    }

    /// What the editor shows as selected.
    pub(super) fn selected(&self) -> Option<TakeId> {
        match &self.job {
            Job::Performing(performance) if performance.select => Some(performance.id),
            _ => self.takes.selected(),
        }
    }

    /// Plays a take as soon as it can be; `false`, and a notice, if it cannot.
    pub(super) fn request(&mut self, id: TakeId, entry: Entry) -> bool {
        self.dirty = true;
        let performing = matches!(&self.job, Job::Performing(p) if p.id == id);
        let can = self.live.is_some() && (performing || self.takes.is_playable(id));
        if can {
            self.player.request(id, entry);
        } else {
            self.notice = Some("That take cannot be played: its pack is not loaded.".into());
        }
        can
    }

    pub(super) fn stop_playing(&mut self) {
        self.dirty = true;
        if let Job::Performing(performance) = &mut self.job {
            // What has not come in yet stays out; it goes on being made.
            performance.begun = true;
        }
        if let Some(live) = &mut self.live {
            live.playback.set_due_from(u64::MAX);
            self.player.stop(&mut live.playback);
        }
    }
}

/// The host's rate in Hz; 1 while there is none.
fn live_rate(worker: &Worker) -> u32 {
    worker.live.as_ref().map_or(1, |live| live.sample_rate)
}

/// Whether there is nothing to continue.
pub(super) fn is_silent(prompt: &[Vec<f32>]) -> bool {
    prompt.iter().all(|channel| rms(channel) < SILENCE_RMS)
}

/// 1–9999, from the clock: nothing depends on its quality.
pub(super) fn random_seed() -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    // Multiplicative hashing: neighbouring nanoseconds give far seeds.
    (nanos.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 9999 + 1
}
