//! The duet: nobody presses anything. The audio thread's ear says when the pianist pauses and plays; the worker answers.

use super::listen::Moment;
use super::performance::Role;
use super::run::{Job, Worker};
use super::schedule::Place;
use crate::capture::CaptureInput;
use crate::controls::Controls;
use crate::duet::{Listener, Pause};
use crate::status::{DuetState, Meters};
use crate::take::TakeId;
use crate::transport::Transport;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Listens on the audio thread while the duet is switched on. Real-time safe throughout.
#[derive(Debug)]
pub(super) struct Ear {
    listener: Listener,
    controls: Arc<Controls>,
    meters: Arc<Meters>,
    on: bool,
}

impl Ear {
    pub(super) fn new(sample_rate: u32, controls: Arc<Controls>, meters: Arc<Meters>) -> Self {
        meters.duet_left.set(f32::INFINITY);
        Self { listener: Listener::new(sample_rate), controls, meters, on: false }
    }

    /// The sustain pedal has been lifted at this frame.
    pub(super) fn lifted(&mut self, clock: u64) {
        if self.on {
            self.listener.pedal_lifted(clock);
        }
    }

    /// Before the block is captured.
    pub(super) fn listen(&mut self, capture: &mut CaptureInput, channels: &[&[f32]]) {
        let on = self.controls.duet.load(Relaxed);
        if on != self.on {
            self.on = on;
            // What was played before counts for nothing.
            self.listener.reset();
            self.meters.duet_left.set(f32::INFINITY);
        }
        let Some(&left) = channels.first().filter(|_| on) else { return };
        let right = channels.get(1).copied().unwrap_or(left);
        let heard = self.listener.push(left, right, capture.clock(), self.controls.duet_pause_seconds.get());
        if let Some(onset) = heard.onset {
            capture.onset(onset);
        }
        if let Some(pause) = heard.pause {
            capture.paused(pause);
        }
        self.meters.duet_left.set(self.listener.seconds_left().unwrap_or(f32::INFINITY));
    }
}

impl Worker {
    /// The pianist has paused: Segue plays on, unless something is being made or heard that was asked for by hand.
    pub(super) fn paused(&mut self, pause: Pause, transport: Transport) {
        let by_hand = match &self.job {
            Job::Idle => self.player.playing().is_some_and(|id| Some(id) != self.duet_take),
            Job::Recording { .. } => true,
            Job::Performing(performance) => !performance.duet,
        };
        let Some(live) = &self.live else { return };
        if by_hand || self.pack.is_none() || !self.shared.config.controls.duet.load(Relaxed) {
            return;
        }
        let place = if live.offline {
            // A bounce must not depend on how long it takes.
            Place::InTime { origin: pause.found, transport }
        } else {
            Place::NextLine { transport }
        };
        self.queue.clear();
        self.finish_job();
        let frames = self.prompt_frames(pause.end);
        let role = Role { duet: true, ..Role::heard(place, transport.tempo) };
        self.continue_from(Moment { end: pause.end, now: pause.found }, frames, role);
        if let Job::Performing(performance) = &self.job {
            self.duet_take = Some(performance.id);
        }
    }

    /// The pianist plays: Segue makes way, and listens.
    pub(super) fn onset(&mut self) {
        if self.duet_plays() {
            self.queue.clear();
            self.finish_job();
            if let Some(live) = &mut self.live {
                self.player.stop(&mut live.playback);
            }
            self.duet_take = None;
            self.dirty = true;
        }
    }

    /// Whether a duet's take is being made or heard.
    fn duet_plays(&self) -> bool {
        let ours = |id: Option<TakeId>| id.is_some() && id == self.duet_take;
        ours(self.player.playing()) || matches!(&self.job, Job::Performing(performance) if performance.duet)
    }

    pub(super) fn duet_state(&self) -> DuetState {
        let config = &self.shared.config;
        let seconds_left = config.meters.duet_left.get();
        if self.live.is_none() || !config.controls.duet.load(Relaxed) {
            DuetState::Off
        } else if self.duet_plays() {
            DuetState::Playing
        } else if seconds_left.is_finite() {
            DuetState::Waiting { seconds_left }
        } else {
            DuetState::Listening
        }
    }
}
