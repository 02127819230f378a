//! The snapshot that the editor reads.

use super::run::{Job, Worker};
use crate::status::{Activity, Status};
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
        let heard = self.live.as_ref().is_some_and(|live| live.playback.is_heard());
        let status = Status {
            activity: activity.unwrap_or_else(|| self.activity()),
            problem: self.problem.clone(),
            notice: self.notice.clone(),
            pack: self.pack.clone(),
            progress: performance.map(|p| p.progress()),
            listening: self.listening(),
            takes,
            selected: performance.map(|p| p.id).or(self.takes.selected()),
            generating: performance.map(|p| p.id),
            playing: self.player.playing().filter(|_| heard),
            ttfa_ms: self.ttfa_ms,
            speed: self.speed,
            prompt_seconds_now: self.shared.config.controls.prompt_seconds.get(),
            ..Status::default()
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
        let seconds = self.shared.config.controls.prompt_seconds.get();
        self.live.as_ref().map(|live| live.capture.history().picture(seconds)).unwrap_or_default()
    }
}
