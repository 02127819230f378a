//! From a trigger to a continuation: what the prompt is, whether there is anything in it, and the prefill.

use super::performance::{Opening, Performance};
use super::run::{Job, Worker};
use super::schedule::Place;
use super::source::Prompt;
use crate::capture::Event;
use crate::continuation::Sampling;
use crate::controls::CaptureMode;
use crate::error::Result;
use crate::playback::Start;
use crate::status::{Activity, Waveform};
use crate::transport::Transport;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A prompt softer than this (−60 dBFS) is silence.
const SILENCE_RMS: f32 = 0.001;

impl Worker {
    /// Takes in what has been played, and answers what has happened.
    pub(super) fn listen(&mut self) {
        if let Some(live) = &mut self.live {
            live.capture.drain();
        }
        while let Some(event) = self.live.as_mut().and_then(|live| live.capture.next_event()) {
            match event {
                Event::Trigger { clock, transport } => self.trigger(clock, transport),
                Event::TransportStarted { clock, .. } => {
                    if let Job::Performing(performance) = &mut self.job {
                        performance.transport_started.get_or_insert(clock);
                    }
                }
                Event::Play { clock } => self.play_selected(clock),
                Event::Stop { .. } => self.stop_playing(),
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
            self.continue_from(end, (end - start) as usize, transport, start);
        }
    }

    fn trigger(&mut self, clock: u64, transport: Transport) {
        self.dirty = true;
        if let Job::Recording { start, transport, .. } = self.job {
            // A second press: that was the prompt.
            return self.continue_from(clock, (clock - start) as usize, transport, start);
        }
        self.finish_job();
        let Some(live) = &mut self.live else { return };
        self.player.stop(&mut live.playback);
        if self.pack.is_none() {
            self.notice = Some("No pack is loaded: there is nothing to continue with.".into());
            return;
        }
        let controls = &self.shared.config.controls;
        let frames =
            (f64::from(controls.prompt_seconds.get().clamp(1.0, 10.0)) * f64::from(live.sample_rate)).round() as u64;
        match controls.capture_mode() {
            CaptureMode::JustPlayed => self.continue_from(clock, frames as usize, transport, clock),
            CaptureMode::Record => {
                live.playback.set_due_from(clock + frames);
                self.job = Job::Recording { start: clock, end: clock + frames, transport };
                self.notice = None;
            }
        }
    }

    /// Continues the `frames` frames before `end`, or as many of them as there are.
    fn continue_from(&mut self, end: u64, frames: usize, transport: Transport, taken_at: u64) {
        self.job = Job::Idle;
        self.dirty = true;
        let Some(live) = &mut self.live else { return };
        let history = live.capture.history();
        let waiting_ms = (history.end() - end) as f64 / f64::from(live.sample_rate) * 1e3;
        let seen = (Instant::now(), waiting_ms);
        let have = frames.min(history.available(end));
        let prompt = history.slice(end, have).filter(|p| p[0].len() >= live.sample_rate as usize);
        let refusal = match &prompt {
            None => Some("Nothing to continue yet: play for at least a second."),
            Some(prompt) if prompt.iter().all(|channel| rms(channel) < SILENCE_RMS) => {
                Some("Nothing to continue: the input was silent.")
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            self.notice = Some(refusal.into());
            live.playback.set_due_from(u64::MAX);
            return;
        }
        live.playback.set_due_from(end);
        let (Some(prompt), Some(pack)) = (prompt, &self.pack) else { return };
        let resampled = crate::resample::resample(&prompt, live.sample_rate, pack.sample_rate);
        let place = Place::InTime { origin: end, transport, taken_at };
        let begun = resampled.and_then(|prompt| {
            let picture = crate::waveform::picture(&prompt);
            self.perform(&Prompt::Audio(prompt), picture, place, transport.tempo, seen)
        });
        if let Err(error) = begun {
            self.fail(&error);
            if let Some(live) = &mut self.live {
                live.playback.set_due_from(u64::MAX);
            }
        }
    }

    /// Prefills and leaves the rest to the turns to come.
    pub(super) fn perform(
        &mut self,
        prompt: &Prompt,
        prompt_picture: Waveform,
        place: Place,
        tempo: Option<f64>,
        seen: (Instant, f64),
    ) -> Result<()> {
        let (Some(live), Some(pack)) = (&self.live, &self.pack) else { return Ok(()) };
        let controls = &self.shared.config.controls;
        let seed = match controls.seed.load(Relaxed) {
            0 => random_seed(),
            chosen => u64::from(chosen),
        };
        let id = self.takes.next_id();
        let opening = Opening {
            id,
            name: format!("Take {}", id.0),
            place,
            prompt_picture,
            seed,
            pack: format!("{} {}", pack.name, pack.version),
            tempo,
            sampling: Sampling { temperatures: controls.temperatures(), top_p: controls.top_p.get() },
            length: controls.length_seconds.get(),
            sample_rate: live.sample_rate,
            pack_rate: pack.sample_rate,
            seen,
        };
        self.publish(Some(Activity::Prefilling));
        let music = self.source.begin(prompt, seed)?;
        self.job = Job::Performing(Box::new(Performance::new(opening, music)?));
        self.problem = None;
        self.notice = None;
        self.dirty = true;
        Ok(())
    }

    /// Plays the selected take; offline exactly from `clock`, else as soon as it can be.
    pub(super) fn play_selected(&mut self, clock: u64) {
        self.dirty = true;
        let id = match &self.job {
            Job::Performing(performance) => Some(performance.id),
            _ => self.takes.selected(),
        };
        let (Some(id), Some(live)) = (id, &mut self.live) else {
            self.notice = Some("There is no take to play yet.".into());
            return;
        };
        let performing = matches!(self.job, Job::Performing(_));
        if !performing && !self.takes.is_playable(id) {
            self.notice = Some("That take cannot be played: its pack is not loaded.".into());
            return;
        }
        if live.offline {
            live.playback.set_due_from(clock);
        }
        let start = if live.offline { Start::At(clock) } else { Start::Now };
        self.player.request(&mut live.playback, id, start);
    }

    pub(super) fn stop_playing(&mut self) {
        self.dirty = true;
        if let Some(live) = &mut self.live {
            self.player.stop(&mut live.playback);
        }
    }
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>() / samples.len().max(1) as f64).sqrt() as f32
}

/// 1–9999, from the clock: nothing depends on its quality.
fn random_seed() -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    // Multiplicative hashing: neighbouring nanoseconds give far seeds.
    (nanos.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 9999 + 1
}
