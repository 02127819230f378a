//! One segment as it sounds: which frame is due, whether it is here, and how loud it is. Audio thread, real-time safe.

use super::Segment;
use crate::seam::Envelope;

/// The segment being played.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voice {
    pub(super) segment: Segment,
    /// Clock of `segment.position`, once it is known.
    pub(super) start: Option<u64>,
    /// Take position, counted on over passes, at which the current pass ends.
    pub(super) pass_end: u64,
    /// Frames until a stop takes effect.
    pub(super) stop_in: Option<u64>,
    /// Ran dry, and waits for enough to go on.
    pub(super) dry: bool,
}

/// The ring's contents as they were when the block began.
pub(super) struct Feed<'a> {
    pub(super) head: &'a [f32],
    pub(super) tail: &'a [f32],
    pub(super) taken: usize,
    pub(super) read: u64,
}

impl Feed<'_> {
    pub(super) fn all(&self) -> usize {
        (self.head.len() + self.tail.len()) / 2
    }

    /// Discards what lies before the ring index `index`; then how many frames from `index` on are here.
    fn seek(&mut self, index: u64) -> usize {
        let late = index.saturating_sub(self.read + self.taken as u64).min((self.all() - self.taken) as u64);
        self.taken += late as usize;
        if self.read + self.taken as u64 == index { self.all() - self.taken } else { 0 }
    }

    pub(super) fn next(&mut self) -> [f32; 2] {
        let at = self.taken * 2;
        self.taken += 1;
        let sample = |i: usize| if i < self.head.len() { self.head[i] } else { self.tail[i - self.head.len()] };
        [sample(at), sample(at + 1)]
    }
}

pub(super) enum Next {
    /// A frame; `thin` if it had to be faded because what follows it has not arrived.
    Sound { frame: [f32; 2], thin: bool },
    /// Not due yet.
    Wait,
    /// Due, but not here.
    Dry,
    /// The segment is over.
    Over,
}

impl Voice {
    /// Frames since the current pass began, at `clock`.
    pub(super) fn position(&self, clock: u64) -> Option<u64> {
        let start = self.start.filter(|start| *start <= clock)?;
        let position = self.segment.position + (clock - start);
        Some(position - self.pass_end.saturating_sub(self.segment.period).min(position))
    }

    pub(super) fn next(&mut self, now: u64, looping: bool, feed: &mut Feed<'_>, envelope: &mut Envelope) -> Next {
        if self.stop_in == Some(0) {
            return Next::Over;
        }
        let Some(start) = self.start.filter(|start| *start <= now) else { return Next::Wait };
        let position = self.segment.position + (now - start);
        while position >= self.pass_end {
            if !looping {
                return Next::Over;
            }
            self.pass_end = self.pass_end.saturating_add(self.segment.period);
        }
        let in_pass = self.pass_end - position;
        let held = feed.seek(self.segment.ring_index + (now - start)) as u64;
        self.stop_in = self.stop_in.map(|frames| frames - 1);
        let until_stop = self.stop_in.map_or(u64::MAX, |frames| frames + 1);
        // After running dry, wait for four fades' worth: better one gap than a stutter.
        let enough = if self.dry { in_pass.min(4 * envelope.fade_frames()) } else { 1 };
        if held < enough {
            self.dry = true;
            return Next::Dry;
        }
        self.dry = false;
        let end = in_pass.min(until_stop);
        let thin = held < end && held < envelope.fade_frames();
        let gain = envelope.advance(end.min(held));
        Next::Sound { frame: feed.next().map(|s| s * gain), thin }
    }
}
