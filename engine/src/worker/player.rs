//! Feeds one take's audio to the playback ring, as far ahead as the ring is long.

use crate::playback::{Cue, PlaybackInput, Start};
use crate::take::TakeId;

/// How a take that was asked for comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Entry {
    /// From its beginning.
    Beginning(Start),
    /// Where what plays now is.
    Beside,
    /// At this frame of the take, at once.
    Position(u64),
}

/// What is being played, and what shall be next.
#[derive(Debug, Default)]
pub(super) struct Player {
    current: Option<Current>,
    /// Waits until its own audio is decoded and a deck is free.
    request: Option<(TakeId, Entry)>,
    /// Follows the current take, `(which, what)`, without a gap.
    follower: Option<(TakeId, TakeId)>,
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
    prompt: bool,
}

impl Player {
    /// What is playing, or has been told to.
    pub(super) fn playing(&self) -> Option<TakeId> {
        self.current.filter(|c| !c.prompt).map(|c| c.take)
    }

    /// Whether the prompt before a take is being fed.
    pub(super) fn plays_prompt(&self) -> bool {
        self.current.is_some_and(|c| c.prompt)
    }

    /// Whether what plays has been handed over to its end, so that something else may be fed.
    pub(super) fn is_handed_over(&self) -> bool {
        self.current.is_none_or(|c| c.next >= c.period)
    }

    /// What shall play, once it can.
    pub(super) fn requested(&self) -> Option<TakeId> {
        self.request.map(|r| r.0)
    }

    /// Every take whose audio is needed.
    pub(super) fn needed(&self) -> impl Iterator<Item = TakeId> + use<> {
        [self.playing(), self.requested(), self.follower.map(|f| f.1)].into_iter().flatten()
    }

    /// Plays a take as soon as it can be; what plays now makes way for it.
    pub(super) fn request(&mut self, take: TakeId, entry: Entry) {
        self.follower = None;
        self.request = Some((take, entry));
    }

    /// Lets `child` follow `parent` if that is playing. `false` if it is not.
    pub(super) fn follow(&mut self, parent: TakeId, child: TakeId) -> bool {
        let playing = self.playing() == Some(parent) && self.request.is_none();
        if playing {
            self.follower = Some((parent, child));
        }
        playing
    }

    /// Stops what plays and forgets what was requested.
    pub(super) fn stop(&mut self, playback: &mut PlaybackInput) {
        self.request = None;
        self.follower = None;
        if self.current.is_some() {
            self.stop_owed = !playback.stop();
        }
    }

    /// Begins to play `audio` (interleaved, from the take's beginning) at the cue's position. `false` while no deck is
    /// free.
    pub(super) fn begin(&mut self, playback: &mut PlaybackInput, cue: Cue, audio: &[f32]) -> bool {
        let from = (cue.position as usize).saturating_mul(2).min(audio.len());
        let Some(pushed) = playback.begin(cue, &audio[from..]) else { return false };
        self.current = Some(Current {
            take: cue.take,
            next: cue.position + pushed as u64,
            period: cue.period,
            prompt: cue.prompt,
        });
        true
    }

    /// Pushes what fits. `audio` is what exists of the playing take; over its end it starts over if `looping`.
    pub(super) fn feed(&mut self, playback: &mut PlaybackInput, audio: &[f32], looping: bool) {
        let Some(current) = &mut self.current else { return };
        loop {
            if current.next >= current.period {
                if !looping || self.follower.is_some() {
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

    /// The take that shall follow, if everything of the current one has been handed over.
    pub(super) fn follower_due(&self) -> Option<TakeId> {
        let (parent, child) = self.follower?;
        self.current.filter(|c| c.take == parent && c.next >= c.period).map(|_| child)
    }

    /// The follower's first samples come next. `false` if it could not be said yet.
    pub(super) fn begin_follower(&mut self, playback: &mut PlaybackInput, child: TakeId, period: u64) -> bool {
        let said = playback.follow(child, period);
        if said {
            self.follower = None;
            self.current = Some(Current { take: child, next: 0, period, prompt: false });
        }
        said
    }

    /// Once a turn: notices what has ended, repeats what could not be said. Returns a request.
    pub(super) fn turn(&mut self, playback: &mut PlaybackInput) -> Option<(TakeId, Entry)> {
        if self.stop_owed {
            self.stop_owed = !playback.stop();
        }
        if playback.is_over() {
            self.current = None;
            // It was not made in time to follow without a gap.
            if let Some((_, child)) = self.follower.take() {
                self.request.get_or_insert((child, Entry::Beginning(Start::Now)));
            }
        }
        self.request
    }

    /// The request has been begun, or never can be.
    pub(super) fn granted(&mut self) {
        self.request = None;
    }
}
