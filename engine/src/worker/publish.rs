//! The snapshot that the editor reads.

use super::run::{Job, Worker};
use crate::status::{Activity, HostTime, Status};
use std::time::{Duration, Instant};

/// Thirty snapshots a second are enough for any eye.
const INTERVAL: Duration = Duration::from_millis(33);

impl Worker {
    pub(super) fn publish_sometimes(&mut self) {
        let due = self.published.elapsed() >= INTERVAL;
        if self.dirty || (due && self.live.is_some()) {
            self.publish(None);
        }
    }

    /// Publishes; `activity` overrides what the state of things says (before a step that takes long).
    pub(super) fn publish(&mut self, activity: Option<Activity>) {
        let mut takes = self.takes.summaries();
        let performance = match &self.job {
            Job::Performing(performance) => Some(performance),
            _ => None,
        };
        if let Some(performance) = performance {
            takes.insert(0, performance.summary());
        }
        let status = Status {
            activity: activity.unwrap_or_else(|| self.activity()),
            problem: self.problem.clone(),
            notice: self.notice.clone(),
            pack: self.pack.clone(),
            progress: performance.map(|p| p.progress()),
            listening: self.listening(),
            takes,
            selected: self.selected(),
            generating: performance.map(|p| p.id),
            playing: self.live.as_ref().and_then(|live| live.playback.sounding()),
            queued: self.queue.len(),
            undo: self.edits.undo_words(),
            redo: self.edits.redo_words(),
            duet: self.duet_state(),
            prompt_seconds_now: self.prompt_seconds_now(),
            host_time: self.host_time(),
            exported: self.exported.clone(),
            ttfa_ms: self.ttfa_ms,
            speed: self.speed,
        };
        // The old snapshot is dropped after the lock is released.
        let _old = std::mem::replace(&mut *self.shared.status.lock(), status);
        self.published = Instant::now();
        self.dirty = false;
    }

    fn activity(&self) -> Activity {
        match (&self.live, &self.job) {
            (None, _) => Activity::Asleep,
            (_, Job::Performing(p)) if !p.done => Activity::Generating,
            (_, Job::Recording { .. }) => Activity::Recording,
            _ if self.pack.is_none() => Activity::Unable,
            _ => Activity::Ready,
        }
    }

    fn listening(&self) -> crate::status::Waveform {
        let seconds = self.prompt_seconds_now();
        self.live.as_ref().map(|live| live.capture.history().picture(seconds)).unwrap_or_default()
    }

    fn prompt_seconds_now(&self) -> f32 {
        match &self.live {
            Some(live) => self.prompt_frames(live.capture.history().end()) as f32 / live.sample_rate as f32,
            None => self.shared.config.controls.prompt_seconds.get(),
        }
    }

    fn host_time(&self) -> HostTime {
        let transport = self.timeline.latest().map(|(_, transport)| transport).unwrap_or_default();
        let tempo = transport.tempo.filter(|t| t.is_finite() && *t > 1.0);
        let bars = tempo.is_some() && transport.beat.is_some();
        HostTime { playing: transport.playing, tempo, signature: transport.signature, bars }
    }
}
