//! Between the host's rate and the pack's, by rubato. Delay is compensated: output sample `n` is input time `n·from/to`,
//! to within half an input sample where the two rates have no small ratio.

use crate::error::{Error, Result};
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Indexing, Resampler};

/// Input samples that are turned over at once, and the filter's length: a continuation waits for as much of itself.
const CHUNK: usize = 1024;

/// A streaming resampler for planar audio. Worker thread.
pub struct StreamResampler {
    /// `None` if the rates are equal.
    fft: Option<Fft<f32>>,
    pending: Vec<Vec<f32>>,
    /// Output samples still to be dropped: the filter's delay.
    skip: usize,
    pushed: usize,
    emitted: usize,
    from: u32,
    to: u32,
}

impl std::fmt::Debug for StreamResampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamResampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl StreamResampler {
    /// For `channels` planar channels, rates in Hz.
    ///
    /// # Errors
    /// [`Error::Request`] for a rate of 0 or a ratio beyond what rubato does.
    pub fn new(channels: usize, from: u32, to: u32) -> Result<Self> {
        let refuse = |reason: String| Error::Request(format!("cannot resample from {from} Hz to {to} Hz: {reason}"));
        let fft = if from == to {
            None
        } else {
            let fft = Fft::new(from as usize, to as usize, CHUNK, channels, FixedSync::Input)
                .map_err(|e| refuse(e.to_string()))?;
            Some(fft)
        };
        let skip = fft.as_ref().map_or(0, Resampler::output_delay);
        Ok(Self { fft, pending: vec![Vec::new(); channels], skip, pushed: 0, emitted: 0, from, to })
    }

    /// Takes more input; gives what output is ready.
    ///
    /// # Errors
    /// [`Error::Request`] if the number of channels is not the one of `new`.
    pub fn push(&mut self, planar: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        if planar.len() != self.pending.len() {
            return Err(Error::Request(format!(
                "{} channels where {} were announced",
                planar.len(),
                self.pending.len()
            )));
        }
        for (pending, new) in self.pending.iter_mut().zip(planar) {
            pending.extend_from_slice(new);
        }
        self.pushed += planar.first().map_or(0, Vec::len);
        let mut out = vec![Vec::new(); planar.len()];
        self.drain(&mut out, false)?;
        Ok(out)
    }

    /// The rest, so that in all `round(pushed · to / from)` samples have been given.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self) -> Result<Vec<Vec<f32>>> {
        let mut out = vec![Vec::new(); self.pending.len()];
        let total = (self.pushed as u64 * u64::from(self.to) + u64::from(self.from) / 2) / u64::from(self.from);
        let wanted = (total as usize).saturating_sub(self.emitted);
        while out.first().is_some_and(|c| c.len() < wanted) {
            let before = out[0].len();
            self.drain(&mut out, true)?;
            if out[0].len() == before && self.skip == 0 && self.fft.is_none() {
                break;
            }
        }
        for channel in &mut out {
            channel.truncate(wanted);
        }
        Ok(out)
    }

    fn drain(&mut self, out: &mut [Vec<f32>], flush: bool) -> Result<()> {
        let Some(fft) = &mut self.fft else {
            for (out, pending) in out.iter_mut().zip(&mut self.pending) {
                out.append(pending);
            }
            self.emitted = self.pushed;
            return Ok(());
        };
        let failed = |e: String| Error::Request(format!("resampling failed: {e}"));
        let channels = self.pending.len();
        let mut once = flush;
        while self.pending[0].len() >= fft.input_frames_next() || std::mem::take(&mut once) {
            let available = self.pending[0].len().min(fft.input_frames_next());
            let mut made: Vec<Vec<f32>> = vec![vec![0.0; fft.output_frames_next()]; channels];
            let frames = made[0].len();
            let input = SequentialSliceOfVecs::new(&self.pending, channels, self.pending[0].len())
                .map_err(|e| failed(e.to_string()))?;
            let mut output =
                SequentialSliceOfVecs::new_mut(&mut made, channels, frames).map_err(|e| failed(e.to_string()))?;
            let partial = (available < fft.input_frames_next()).then_some(available);
            let mut indexing = Indexing::new();
            if let Some(partial) = partial {
                indexing = indexing.partial_len(partial);
            }
            let (_, written) =
                fft.process_into_buffer(&input, &mut output, Some(&indexing)).map_err(|e| failed(e.to_string()))?;
            let skipped = self.skip.min(written);
            self.skip -= skipped;
            self.emitted += written - skipped;
            for (out, made) in out.iter_mut().zip(&made) {
                out.extend_from_slice(&made[skipped..written]);
            }
            for pending in &mut self.pending {
                pending.drain(..available);
            }
        }
        Ok(())
    }
}

/// A whole signal at once: `round(n · to / from)` samples per channel.
///
/// # Errors
/// As [`StreamResampler::new`].
pub fn resample(planar: &[Vec<f32>], from: u32, to: u32) -> Result<Vec<Vec<f32>>> {
    let mut resampler = StreamResampler::new(planar.len(), from, to)?;
    let mut out = resampler.push(planar)?;
    for (out, rest) in out.iter_mut().zip(resampler.finish()?) {
        out.extend(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: u32, n: usize) -> Vec<f32> {
        (0..n).map(|i| (std::f64::consts::TAU * 440.0 * i as f64 / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn stays_in_time_and_keeps_length() {
        for (from, to) in
            [(48_000, 24_000), (24_000, 44_100), (44_056, 24_000), (24_000, 24_000), (8_000, 24_000), (24_000, 384_000)]
        {
            let n = from as usize;
            let out = resample(&[sine(from, n), sine(from, n)], from, to).unwrap();
            assert_eq!(out[0].len(), (n as f64 * f64::from(to) / f64::from(from)).round() as usize, "{from} to {to}");
            let expected = sine(to, out[0].len());
            let middle = out[0].len() / 4..out[0].len() * 3 / 4;
            let error = middle.map(|i| (out[0][i] - expected[i]).abs()).fold(0.0, f32::max);
            // Half a sample of a 440 Hz sine, for the one ratio that is odd.
            let bound = if from == 44_056 { 0.5 * std::f32::consts::TAU * 440.0 / 44_056.0 } else { 2e-3 };
            assert!(error <= bound, "{from} to {to}: {error}");
            assert_eq!(out[0], out[1]);
        }
    }

    #[test]
    fn streaming_gives_what_the_whole_gives() {
        let audio = sine(24_000, 10_000);
        let whole = resample(std::slice::from_ref(&audio), 24_000, 48_000).unwrap();
        let mut stream = StreamResampler::new(1, 24_000, 48_000).unwrap();
        let mut parts = Vec::new();
        for piece in audio.chunks(333) {
            parts.extend(stream.push(&[piece.to_vec()]).unwrap().remove(0));
        }
        parts.extend(stream.finish().unwrap().remove(0));
        assert_eq!(whole[0], parts);
    }

    #[test]
    fn refuses_a_rate_of_zero() {
        assert!(StreamResampler::new(2, 0, 24_000).is_err());
    }
}
