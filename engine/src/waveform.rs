//! Pictures of audio: minimum and maximum per column, built while the audio grows. Worker only.

use crate::status::Waveform;

/// Most columns a picture has.
pub const MAX_COLUMNS: usize = 1024;

/// Widens a column by one sample.
#[must_use]
pub fn peaks(column: (f32, f32), sample: f32) -> (f32, f32) {
    (column.0.min(sample), column.1.max(sample))
}

/// Builds a picture of audio whose length is not known yet: when the columns run out, neighbours are merged.
#[derive(Debug, Clone)]
pub struct WaveformBuilder {
    columns: Vec<(f32, f32)>,
    open: Option<(f32, f32)>,
    fill: usize,
    frames_per_column: usize,
}

impl Default for WaveformBuilder {
    fn default() -> Self {
        Self { columns: Vec::new(), open: None, fill: 0, frames_per_column: 32 }
    }
}

impl WaveformBuilder {
    /// Adds interleaved stereo frames, channels mixed.
    pub fn push_interleaved(&mut self, frames: &[f32]) {
        for frame in frames.chunks_exact(2) {
            self.push((frame[0] + frame[1]) * 0.5);
        }
    }

    /// Adds one mixed frame.
    pub fn push(&mut self, sample: f32) {
        self.open = Some(peaks(self.open.unwrap_or((sample, sample)), sample));
        self.fill += 1;
        if self.fill == self.frames_per_column {
            self.columns.extend(self.open.take());
            self.fill = 0;
            if self.columns.len() == MAX_COLUMNS {
                self.merge();
            }
        }
    }

    /// The picture so far.
    #[must_use]
    pub fn picture(&self) -> Waveform {
        self.columns.iter().copied().chain(self.open).collect()
    }

    fn merge(&mut self) {
        self.columns =
            self.columns.chunks(2).map(|pair| pair.iter().fold(pair[0], |a, b| (a.0.min(b.0), a.1.max(b.1)))).collect();
        self.frames_per_column *= 2;
    }
}

/// The picture of planar audio, channels mixed.
#[must_use]
pub fn picture(planar: &[Vec<f32>]) -> Waveform {
    let mut builder = WaveformBuilder::default();
    let scale = 1.0 / planar.len().max(1) as f32;
    for n in 0..planar.first().map_or(0, Vec::len) {
        builder.push(planar.iter().map(|channel| channel[n]).sum::<f32>() * scale);
    }
    builder.picture()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_holds_every_peak_and_stays_small() {
        for frames in [0_usize, 1, 31, 32, 33, 48_000, 1_000_000] {
            let mut audio = vec![0.0_f32; frames];
            if frames > 10 {
                audio[frames / 2] = 0.9;
                audio[frames - 1] = -0.8;
            }
            let picture = picture(&[audio]);
            assert!(picture.len() <= MAX_COLUMNS, "{frames} frames: {} columns", picture.len());
            assert_eq!(picture.is_empty(), frames == 0);
            if frames > 10 {
                assert_eq!(picture.iter().map(|c| c.1).fold(0.0, f32::max), 0.9);
                assert_eq!(picture.iter().map(|c| c.0).fold(0.0, f32::min), -0.8);
            }
        }
    }
}
