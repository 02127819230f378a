//! Audio to spectra and back, frame by frame, as `docs/pack.md` defines them. Runs on the worker.

use crate::pack::manifest::{AnalysisSpec, SynthesisSpec};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

fn hann(n: usize) -> Vec<f32> {
    (0..n).map(|i| (0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n as f64).cos()) as f32).collect()
}

/// Short-time Fourier analysis with the pack's frame placement.
pub struct Analysis {
    spec: AnalysisSpec,
    hop: usize,
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl std::fmt::Debug for Analysis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analysis").field("spec", &self.spec).field("hop", &self.hop).finish_non_exhaustive()
    }
}

impl Analysis {
    /// For a stream whose frames own `hop` samples.
    #[must_use]
    pub fn new(spec: AnalysisSpec, hop: usize) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(spec.n_fft);
        Self {
            spec,
            hop,
            window: hann(spec.n_fft),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    /// How many frames from 0 on are known once `samples` samples are.
    #[must_use]
    pub fn frames_known(&self, samples: usize) -> usize {
        samples.saturating_sub(self.spec.look_ahead) / self.hop
    }

    /// Appends frame `t` to `out` as `bins` pairs (re, im). `audio[0]` is sample `origin`; what lies before it is
    /// silence, what lies after its end must not be needed (see [`Self::frames_known`]).
    pub fn frame(&mut self, audio: &[f32], origin: usize, t: usize, out: &mut Vec<f32>) {
        let end = (t + 1) * self.hop + self.spec.look_ahead;
        for (i, (x, w)) in self.frame.iter_mut().zip(&self.window).enumerate() {
            let sample = (end + i).checked_sub(self.spec.n_fft + origin).and_then(|n| audio.get(n));
            *x = sample.map_or(0.0, |s| s * w);
        }
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .expect("buffers were made by this transform");
        let scale = 1.0 / (self.spec.n_fft as f32).sqrt();
        out.extend(self.spectrum[..self.spec.bins].iter().flat_map(|c| [c.re * scale, c.im * scale]));
    }

    /// Samples before a frame's window that can be forgotten once frame `t` is the next one.
    #[must_use]
    pub fn first_sample(&self, t: usize) -> usize {
        ((t + 1) * self.hop + self.spec.look_ahead).saturating_sub(self.spec.n_fft)
    }
}

/// Inverse short-time Fourier transform with overlap-add in the pack's frame placement. Streaming: sub-frames come in
/// order, final samples go out in order.
#[derive(Clone)]
pub struct Synthesis {
    spec: SynthesisSpec,
    window: Vec<f32>,
    /// 1 / steady-state sum of squared windows, by phase of the hop.
    normaliser: Vec<f32>,
    fft: Arc<dyn ComplexToReal<f32>>,
    spectrum: Vec<Complex<f32>>,
    frame: Vec<f32>,
    scratch: Vec<Complex<f32>>,
    /// Overlap-add memory; its first sample is sample `position`.
    overlap: Vec<f32>,
    position: isize,
}

impl std::fmt::Debug for Synthesis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Synthesis").field("spec", &self.spec).field("position", &self.position).finish_non_exhaustive()
    }
}

impl Synthesis {
    /// Starts at sub-frame 0 of token frame `frame` of a codec with this hop.
    #[must_use]
    pub fn new(spec: SynthesisSpec, codec_hop: usize, frame: usize) -> Self {
        let window = hann(spec.n_fft);
        let normaliser = (0..spec.hop)
            .map(|phase| {
                let sum: f64 = window.iter().skip(phase).step_by(spec.hop).map(|w| f64::from(*w).powi(2)).sum();
                if sum > 1e-9 { (1.0 / sum) as f32 } else { 0.0 }
            })
            .collect();
        let fft = RealFftPlanner::new().plan_fft_inverse(spec.n_fft);
        Self {
            spec,
            window,
            normaliser,
            spectrum: fft.make_input_vec(),
            frame: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
            overlap: vec![0.0; spec.n_fft],
            position: (frame * codec_hop) as isize + spec.offset,
        }
    }

    /// The sample (prompt time) at which the next call's output starts.
    #[must_use]
    pub fn position(&self) -> isize {
        self.position
    }

    /// Adds one sub-frame (pairs re, im of the lowest bins) and appends the `hop` samples that are final with it to `out`.
    ///
    /// # Panics
    /// If `bins` does not hold the pairs that the pack promises.
    pub fn push(&mut self, bins: &[f32], out: &mut Vec<f32>) {
        assert_eq!(bins.len(), self.spec.bins() * 2, "one sub-frame");
        // The transform uses its input as scratch: what is not given must be cleared again.
        self.spectrum.fill(Complex::new(0.0, 0.0));
        for (c, pair) in self.spectrum.iter_mut().zip(bins.chunks_exact(2)) {
            *c = Complex::new(pair[0], pair[1]);
        }
        // A real signal has real DC and Nyquist bins; the inverse transform insists on it.
        self.spectrum[0].im = 0.0;
        self.spectrum[self.spec.n_fft / 2].im = 0.0;
        self.fft
            .process_with_scratch(&mut self.spectrum, &mut self.frame, &mut self.scratch)
            .expect("buffers were made by this transform");
        // The transform is not normalised (a factor n_fft), the pack's spectra are divided by sqrt(n_fft).
        let scale = 1.0 / (self.spec.n_fft as f32).sqrt();
        for ((y, x), w) in self.overlap.iter_mut().zip(&self.frame).zip(&self.window) {
            *y += x * w * scale;
        }
        let hop = self.spec.hop;
        out.extend(self.overlap[..hop].iter().zip(&self.normaliser).map(|(y, n)| y * n));
        self.overlap.copy_within(hop.., 0);
        let kept = self.overlap.len() - hop;
        self.overlap[kept..].fill(0.0);
        self.position += hop as isize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::manifest::Channel;

    #[test]
    fn perfect_spectra_give_back_the_audio() {
        // Two geometries: whole overlap and one where the window is no multiple of the hop.
        for (n_fft, hop) in [(960, 120), (512, 120)] {
            let look_ahead = n_fft / 2;
            let offset = (hop + look_ahead) as isize - n_fft as isize;
            let mut analysis =
                Analysis::new(AnalysisSpec { n_fft, bins: n_fft / 2 + 1, look_ahead, channel: Channel::Mid }, hop);
            let spec = SynthesisSpec { n_fft, hop, offset, given_bins: 0, channel: Channel::Mid };
            let mut synthesis = Synthesis::new(spec, hop, 0);
            let audio: Vec<f32> = (0..24_000).map(|i| ((i * i % 7919) as f32 / 7919.0 - 0.5) * 0.5).collect();
            let mut out = Vec::new();
            let start = synthesis.position();
            for t in 0..analysis.frames_known(audio.len()) {
                let mut bins = Vec::new();
                analysis.frame(&audio, 0, t, &mut bins);
                synthesis.push(&bins, &mut out);
            }
            // From the first sample that every window covering it was there for.
            for n in n_fft..20_000 {
                let got = out[(n as isize - start) as usize];
                assert!((got - audio[n]).abs() < 1e-5, "n_fft {n_fft} sample {n}: {got} is not {}", audio[n]);
            }
        }
    }

    #[test]
    fn bins_that_are_not_given_are_silent_in_every_frame() {
        let all = SynthesisSpec { n_fft: 64, hop: 32, offset: -16, given_bins: 0, channel: Channel::Mid };
        let few = SynthesisSpec { given_bins: 5, ..all };
        let (mut whole, mut low) = (Synthesis::new(all, 32, 0), Synthesis::new(few, 32, 0));
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for t in 0..6 {
            let given: Vec<f32> = (0..10).map(|i| ((t * 10 + i) as f32).sin()).collect();
            let mut padded = given.clone();
            padded.resize(66, 0.0);
            whole.push(&padded, &mut a);
            low.push(&given, &mut b);
        }
        assert_eq!(a, b);
    }

    #[test]
    fn a_frame_reaches_exactly_its_look_ahead() {
        let mut analysis =
            Analysis::new(AnalysisSpec { n_fft: 64, bins: 33, look_ahead: 16, channel: Channel::Mid }, 32);
        assert_eq!((analysis.frames_known(47), analysis.frames_known(48), analysis.frames_known(80)), (0, 1, 2));
        let mut audio = vec![0.0; 200];
        audio[48] = 1.0; // the first sample that frame 0 (window −16..48) must not see
        let mut seen = Vec::new();
        analysis.frame(&audio, 0, 0, &mut seen);
        assert!(seen.iter().all(|x| *x == 0.0));
        seen.clear();
        analysis.frame(&audio, 0, 1, &mut seen);
        assert!(seen.iter().any(|x| *x != 0.0));
    }
}
