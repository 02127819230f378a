//! What the host's transport has been doing: enough to say how long bars were and where the last beat fell.

use crate::transport::{Grid, Transport};
use std::collections::VecDeque;

/// Snapshots kept; between two of them the transport ran on evenly.
const KEPT: usize = 4096;

/// The past of a transport. Frames of the sample clock at the host's rate.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    snapshots: VecDeque<(u64, Transport)>,
}

impl Timeline {
    /// The transport at the frame `clock` was not what was to be expected. Returns whether it started, and whether it stopped.
    pub(super) fn push(&mut self, clock: u64, transport: Transport) -> (bool, bool) {
        let was = self.snapshots.back().is_some_and(|(_, before)| before.playing);
        if self.snapshots.len() == KEPT {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back((clock, transport));
        (transport.playing && !was, was && !transport.playing)
    }

    /// The latest snapshot, and when it was taken.
    pub(super) fn latest(&self) -> Option<(u64, Transport)> {
        self.snapshots.back().copied()
    }

    /// How many frames before `end` the song was `quarters` quarter notes earlier, at the tempi it had. `None` if the
    /// tempo or the position is not known.
    pub(super) fn frames_back(&self, end: u64, quarters: f64, sample_rate: u32) -> Option<u64> {
        let (mut left, mut until) = (quarters, end);
        for (index, (from, transport)) in self.snapshots.iter().enumerate().rev() {
            if *from >= until && index > 0 {
                continue;
            }
            transport.beat?;
            let per_frame =
                transport.tempo.filter(|t| t.is_finite() && *t > 1.0)? / 60.0 / f64::from(sample_rate.max(1));
            let here = until.saturating_sub(*from) as f64 * per_frame;
            // Before the oldest snapshot nothing is known; it is taken to hold there too.
            if here >= left || index == 0 {
                let frames = (left / per_frame).round() as u64;
                return Some(end - until + frames);
            }
            left -= here;
            until = *from;
        }
        None
    }

    /// How many frames before `end` the last beat fell, where `transport` is the transport at `end`; `None` if it does not run.
    pub(super) fn since_beat(&self, end: u64, transport: &Transport, sample_rate: u32) -> Option<u64> {
        let phase = transport.phase(Grid::Beat).filter(|_| transport.playing)?;
        // A trigger that rounds to the beat is on it.
        let nearly = phase > transport.quarters(Grid::Beat) - 1e-6;
        if nearly { Some(0) } else { self.frames_back(end, phase, sample_rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_they_were() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.frames_back(0, 4.0, 48_000), None, "nothing is known");
        timeline.push(1_000, Transport::in_four(0.0, 120.0));
        // Four quarters at 120, then it slows down to 60.
        timeline.push(1_000 + 96_000, Transport::in_four(4.0, 60.0));
        let end = 1_000 + 96_000 + 2 * 48_000;
        assert_eq!(timeline.frames_back(end, 2.0, 48_000), Some(96_000));
        assert_eq!(timeline.frames_back(end, 4.0, 48_000), Some(96_000 + 48_000));
        assert_eq!(timeline.frames_back(end, 8.0, 48_000), Some(96_000 + 6 * 24_000), "before the first: as the first");
        timeline.push(end, Transport { tempo: None, ..Transport::in_four(6.0, 60.0) });
        assert_eq!(timeline.frames_back(end + 10, 2.0, 48_000), None);
    }

    #[test]
    fn the_last_beat_is_found_across_a_change_of_tempo() {
        let mut timeline = Timeline::default();
        timeline.push(0, Transport::in_four(0.0, 120.0));
        timeline.push(12_000, Transport::in_four(0.5, 60.0));
        let now = Transport::in_four(0.75, 60.0);
        assert_eq!(timeline.since_beat(24_000, &now, 48_000), Some(24_000));
        assert_eq!(timeline.since_beat(24_000, &Transport { playing: false, ..now }, 48_000), None);
        assert_eq!(timeline.since_beat(12_000, &Transport::in_four(1.0 - 1e-9, 60.0), 48_000), Some(0));
    }

    #[test]
    fn starts_and_stops_are_noticed() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.push(0, Transport::in_four(0.0, 120.0)), (true, false));
        assert_eq!(timeline.push(10, Transport::in_four(8.0, 120.0)), (false, false));
        assert_eq!(timeline.push(20, Transport::default()), (false, true));
    }
}
