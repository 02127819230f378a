//! The last half minute of input, addressed by the sample clock. Worker only.

use crate::waveform::peaks;
use std::collections::VecDeque;

/// Seconds kept.
pub const HISTORY_SECONDS: usize = 30;
/// Columns a second of the running picture of the input.
const COLUMNS_PER_SECOND: usize = 50;

/// A ring of stereo frames that ends at the sample clock's newest captured frame.
#[derive(Debug)]
pub struct History {
    /// Interleaved; frame `f` lives at `f % capacity`.
    samples: Vec<f32>,
    capacity: usize,
    end: u64,
    columns: VecDeque<(f32, f32)>,
    column: (f32, f32),
    column_fill: usize,
    column_frames: usize,
}

impl History {
    /// An empty history for a host rate in Hz.
    #[must_use]
    pub fn new(sample_rate: u32) -> Self {
        let rate = sample_rate.max(1) as usize;
        let capacity = rate * HISTORY_SECONDS;
        Self {
            // Zeroed pages are only paid for once they are written.
            samples: vec![0.0; capacity * 2],
            capacity,
            end: 0,
            columns: VecDeque::new(),
            column: EMPTY,
            column_fill: 0,
            column_frames: (rate / COLUMNS_PER_SECOND).max(1),
        }
    }

    /// The clock just after the newest frame.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends interleaved stereo frames.
    pub fn push(&mut self, interleaved: &[f32]) {
        for frame in interleaved.chunks_exact(2) {
            let at = (self.end % self.capacity as u64) as usize * 2;
            self.samples[at..at + 2].copy_from_slice(frame);
            self.end += 1;
            self.draw((frame[0] + frame[1]) * 0.5);
        }
    }

    /// Appends frames that were lost, as silence, so that the clock stays right.
    pub fn push_silence(&mut self, frames: u64) {
        // What is older than the ring need not be written.
        let kept = frames.min(self.capacity as u64);
        self.end += frames - kept;
        for _ in 0..kept {
            self.push(&[0.0, 0.0]);
        }
    }

    /// How many frames that end at `end` are still here.
    #[must_use]
    pub fn available(&self, end: u64) -> usize {
        if end > self.end {
            return 0;
        }
        let oldest = self.end.saturating_sub(self.capacity as u64);
        end.saturating_sub(oldest) as usize
    }

    /// The `frames` frames that end just before the clock `end`, as planar left and right. `None` if they have not all
    /// been captured yet or are too old.
    #[must_use]
    pub fn slice(&self, end: u64, frames: usize) -> Option<[Vec<f32>; 2]> {
        if frames > self.available(end) {
            return None;
        }
        let mut out = [Vec::with_capacity(frames), Vec::with_capacity(frames)];
        for clock in end - frames as u64..end {
            let at = (clock % self.capacity as u64) as usize * 2;
            out[0].push(self.samples[at]);
            out[1].push(self.samples[at + 1]);
        }
        Some(out)
    }

    /// A picture of the last `seconds`, at most 1024 columns.
    #[must_use]
    pub fn picture(&self, seconds: f32) -> crate::status::Waveform {
        let wanted = (seconds.clamp(0.0, HISTORY_SECONDS as f32) * COLUMNS_PER_SECOND as f32) as usize;
        let skip = self.columns.len().saturating_sub(wanted);
        self.columns.iter().skip(skip).copied().collect()
    }

    fn draw(&mut self, sample: f32) {
        self.column = peaks(self.column, sample);
        self.column_fill += 1;
        if self.column_fill == self.column_frames {
            if self.columns.len() == COLUMNS_PER_SECOND * 20 {
                self.columns.pop_front();
            }
            self.columns.push_back(self.column);
            (self.column, self.column_fill) = (EMPTY, 0);
        }
    }
}

const EMPTY: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_end_at_the_exact_frame() {
        let mut history = History::new(100);
        let frames: Vec<f32> = (0..5000).flat_map(|n| [n as f32, -(n as f32)]).collect();
        history.push(&frames);
        let [left, right] = history.slice(4000, 3).expect("still there");
        assert_eq!(left, [3997.0, 3998.0, 3999.0]);
        assert_eq!(right, [-3997.0, -3998.0, -3999.0]);
        assert!(history.slice(5001, 1).is_none(), "not captured yet");
        assert!(history.slice(2000, 1).is_none(), "overwritten");
        assert_eq!(history.available(2500), 500);
    }

    #[test]
    fn lost_frames_keep_the_clock() {
        let mut history = History::new(100);
        history.push(&[1.0, 1.0]);
        history.push_silence(10_000);
        history.push(&[2.0, 2.0]);
        assert_eq!(history.end(), 10_002);
        assert_eq!(history.slice(10_002, 2).expect("there")[0], [0.0, 2.0]);
    }
}
