//! Feeds one take's audio to the playback ring, as far ahead as the ring is long.

use crate::playback::{PlaybackInput, Start};
use crate::take::TakeId;

/// What is being played, and what shall be next.
#[derive(Debug, Default)]
pub(super) struct Player {
    current: Option<Current>,
    /// Waits until the current one has faded and its own audio is decoded.
    request: Option<(TakeId, Start)>,
    /// A stop that the queue had no room for.
    stop_owed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    take: TakeId,
    /// The take position that is pushed next.
    next: u64,
    /// Length of the take; `u64::MAX` while it has no end.
    period: u64,
}

impl Player {
    /// What is playing.
    pub(super) fn playing(&self) -> Option<TakeId> {
        self.current.map(|c| c.take)
    }

    /// What shall play, once it can.
    pub(super) fn requested(&self) -> Option<TakeId> {
        self.request.map(|r| r.0)
    }

    /// Plays a take from its beginning, after what plays now has faded.
    pub(super) fn request(&mut self, playback: &mut PlaybackInput, take: TakeId, start: Start) {
        self.stop(playback);
        self.request = Some((take, start));
    }

    /// Stops what plays and forgets what was requested.
    pub(super) fn stop(&mut self, playback: &mut PlaybackInput) {
        self.request = None;
        if self.current.is_some() {
            self.stop_owed = !playback.stop();
        }
    }

    /// Begins to play `audio` (interleaved, from the take's beginning) at its frame `position`. `false` while something else is still fading.
    pub(super) fn begin(
        &mut self,
        playback: &mut PlaybackInput,
        take: TakeId,
        start: Start,
        position: u64,
        period: u64,
        audio: &[f32],
    ) -> bool {
        let from = (position as usize).saturating_mul(2).min(audio.len());
        let Some(pushed) = playback.begin(take, start, position, period, &audio[from..]) else { return false };
        self.current = Some(Current { take, next: position + pushed as u64, period });
        true
    }

    /// Pushes what fits. `audio` is what exists of the playing take; over its end it starts over if `looping`.
    pub(super) fn feed(&mut self, playback: &mut PlaybackInput, audio: &[f32], looping: bool) {
        let Some(current) = &mut self.current else { return };
        loop {
            if current.next >= current.period {
                if !looping {
                    return;
                }
                current.next = 0;
            }
            let end = (audio.len() / 2).min(current.period as usize);
            let from = (current.next as usize).min(end);
            let pushed = playback.push(&audio[from * 2..end * 2]);
            current.next += pushed as u64;
            if pushed == 0 {
                return;
            }
        }
    }

    /// Once a turn: notices what has ended, repeats what could not be said. Returns a request that can be begun now.
    pub(super) fn turn(&mut self, playback: &mut PlaybackInput) -> Option<(TakeId, Start)> {
        if self.stop_owed {
            self.stop_owed = !playback.stop();
        }
        if playback.is_idle() {
            self.current = None;
            self.stop_owed = false;
            return self.request;
        }
        None
    }

    /// The request has been begun.
    pub(super) fn granted(&mut self) {
        self.request = None;
    }
}
