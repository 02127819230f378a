//! One segment as it sounds: which frame is due, whether it is here, and how loud it is. Audio thread, real-time safe.

use super::{Segment, Start};
use crate::seam::Envelope;
use crate::transport::Transport;

/// The segment being played.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voice {
    pub(super) segment: Segment,
    /// What follows without a gap.
    pub(super) next: Option<Segment>,
    /// Clock of the segment's first sample, once it is known. A playhead that was moved has begun before the clock did.
    start: Option<i64>,
    /// The frame from which on it can be heard; `None` while the line of the grid it waits for is not known.
    open_from: Option<u64>,
    /// It has been heard.
    pub(super) entered: bool,
    /// Take position, counted on over passes, at which the current pass ends.
    pub(super) pass_end: u64,
    /// Frames until a stop takes effect.
    pub(super) stop_in: Option<u64>,
    /// Ran dry, and waits for enough to go on.
    dry: bool,
}

/// The ring's contents as they were when the block began.
pub(super) struct Ring<'a> {
    pub(super) head: &'a [f32],
    pub(super) tail: &'a [f32],
    pub(super) taken: usize,
    pub(super) read: u64,
}

impl Ring<'_> {
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
    /// Not due yet, or not to be heard yet.
    Wait,
    /// Due, but not here.
    Dry,
    /// The segment is over.
    Over,
}

impl Voice {
    pub(super) fn new(segment: Segment, start: Option<i64>) -> Self {
        let cue = &segment.cue;
        let pass_end = (cue.position / cue.period + 1).saturating_mul(cue.period);
        Self {
            segment,
            next: None,
            start,
            open_from: if cue.gate.is_none() { Some(0) } else { None },
            entered: false,
            pass_end,
            stop_in: None,
            dry: false,
        }
    }

    /// The serial of the last segment it holds.
    pub(super) fn last_serial(&self) -> u64 {
        self.next.map_or(self.segment.serial, |next| next.serial)
    }

    pub(super) fn transport_started(&mut self, clock: u64) {
        if let Start::OnTransport { since } = self.segment.cue.start
            && self.start.is_none()
            && clock >= since
        {
            self.start = Some(clock as i64);
        }
    }

    /// Finds the line it waits for, if it falls into the block from `clock` to `end`.
    pub(super) fn resolve(&mut self, transport: Option<&Transport>, clock: u64, end: u64, sample_rate: u32) {
        if let (Start::OnLine { grid, offset }, None) = (self.segment.cue.start, self.start) {
            let line = transport.and_then(|t| t.after_quarters(-offset).next(grid, clock, clock, sample_rate));
            let start = line.unwrap_or(clock);
            if start < end {
                self.start = Some(start as i64);
            }
        }
        if let (Some(grid), None, Some(start)) = (self.segment.cue.gate, self.open_from, self.start) {
            let earliest = clock.max(u64::try_from(start).unwrap_or(0));
            if earliest < end {
                let line = transport.and_then(|t| t.next(grid, clock, earliest, sample_rate)).unwrap_or(earliest);
                self.open_from = Some(line).filter(|line| *line < end);
            }
        }
    }

    /// Take position due at `clock`, counted on over passes; `None` if it has not started then.
    pub(super) fn position_at(&self, clock: u64) -> Option<u64> {
        let since = u64::try_from(clock as i64 - self.start?).ok()?;
        Some(self.segment.cue.position + since)
    }

    /// Frames since the current pass began, at `clock`.
    pub(super) fn position(&self, clock: u64) -> Option<u64> {
        let position = self.position_at(clock)?;
        Some(position - self.pass_end.saturating_sub(self.segment.cue.period).min(position))
    }

    pub(super) fn next(&mut self, now: u64, looping: bool, ring: &mut Ring<'_>, envelope: &mut Envelope) -> Next {
        if self.stop_in == Some(0) {
            return Next::Over;
        }
        let Some(mut position) = self.position_at(now) else {
            // A stop need not wait for something that has not begun.
            return if self.stop_in.is_some() { Next::Over } else { Next::Wait };
        };
        while position >= self.pass_end {
            if let Some(next) = self.next.take() {
                self.start = self.start.map(|start| start + (self.pass_end - self.segment.cue.position) as i64);
                position -= self.pass_end;
                self.segment = next;
                self.pass_end = next.cue.period;
            } else if looping {
                self.pass_end = self.pass_end.saturating_add(self.segment.cue.period);
            } else {
                return Next::Over;
            }
        }
        let in_ring = position - self.segment.cue.position;
        let held = ring.seek(self.segment.ring_index + in_ring) as u64;
        if self.open_from.is_none_or(|from| now < from) {
            return if self.stop_in.is_some() { Next::Over } else { Next::Wait };
        }
        self.stop_in = self.stop_in.map(|frames| frames - 1);
        let until_stop = self.stop_in.map_or(u64::MAX, |frames| frames + 1);
        let in_pass = self.pass_end - position + self.next.map_or(0, |next| next.cue.period);
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
        Next::Sound { frame: ring.next().map(|s| s * gain), thin }
    }
}
