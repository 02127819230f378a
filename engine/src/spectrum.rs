//! Spectrograms for drawing: levels per semitone over time, built while the audio grows. Worker only; the finished
//! [`Spectrum`] is shared.
//!
//! A column is a constant-Q-like picture of the moment at its middle: one band a semitone, from A0 (27.5 Hz) up. Two
//! transforms share the work, a long one where semitones are narrow and a short one where time matters more.

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bands per column: eight octaves of semitones; band `b` is centred on `27.5 · 2^(b/12)` Hz.
pub const BANDS: usize = 96;
/// Levels are in steps of 0.5 dB: 0 is −96 dBFS or less, 192 a sine of full scale.
pub const FULL_SCALE: u8 = 192;
/// About this many seconds a column; the exact figure is [`Spectrum::column_seconds`].
const COLUMN_SECONDS: f64 = 512.0 / 24_000.0;
/// Columns that are shared as one piece.
const BLOCK: usize = 64;
/// From this band on (C4) the short transform is used.
const SHORT_FROM: usize = 39;
/// Seconds of the long and the short window.
const WINDOW_SECONDS: [f64; 2] = [0.30, 0.08];

/// A spectrogram of a prompt and its continuation. Cloning is cheap; nothing that has been drawn from column 0 to
/// [`Self::len`] changes later, unless [`Self::version`] does.
#[derive(Clone, Default, PartialEq)]
pub struct Spectrum {
    blocks: Arc<[Arc<[u8]>]>,
    columns: usize,
    seam: usize,
    column_seconds: f64,
    version: u64,
}

impl std::fmt::Debug for Spectrum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spectrum({} columns, seam at {}, version {})", self.columns, self.seam, self.version)
    }
}

impl Spectrum {
    /// Columns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }
    /// Columns that belong to the prompt: column `seam + k` begins `k` times [`Self::column_seconds`] after the prompt's
    /// end, column `seam - 1` ends there.
    #[must_use]
    pub fn seam(&self) -> usize {
        self.seam
    }
    /// Seconds a column stands for, about 0.0213.
    #[must_use]
    pub fn column_seconds(&self) -> f64 {
        self.column_seconds
    }
    /// Changes when columns that were there before are no longer true. While it stays, only new columns are added.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
    /// [`BANDS`] levels, lowest first.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    pub fn column(&self, index: usize) -> &[u8] {
        let at = index % BLOCK * BANDS;
        &self.blocks[index / BLOCK][at..at + BANDS]
    }
}

/// One of the two transforms.
struct Transform {
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    input: Vec<f32>,
    output: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    /// For each of its bands: first bin and the weights of the bins from there on.
    bands: Vec<(usize, Vec<f32>)>,
}

impl Transform {
    fn new(rate: u32, seconds: f64, bands: std::ops::Range<usize>) -> Self {
        let n = ((seconds * f64::from(rate)) as usize).next_power_of_two();
        let fft = RealFftPlanner::new().plan_fft_forward(n);
        let window: Vec<f32> =
            (0..n).map(|i| (0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n as f64).cos()) as f32).collect();
        let bin = |hz: f64| hz * n as f64 / f64::from(rate);
        let band = |b: usize| {
            let centre = bin(27.5 * 2.0_f64.powf(b as f64 / 12.0));
            // A semitone either way, but never narrower than what the window resolves.
            let reach = (centre * (2.0_f64.powf(1.0 / 12.0) - 1.0)).max(1.5);
            let first = (centre - reach).ceil().max(1.0) as usize;
            let last = ((centre + reach).floor() as usize).min(n / 2);
            let weights = (first..=last).map(|k| (1.0 - (k as f64 - centre).abs() / reach).max(0.0) as f32);
            (first, if first <= last { weights.collect() } else { Vec::new() })
        };
        Self {
            input: fft.make_input_vec(),
            output: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
            window,
            bands: bands.map(band).collect(),
        }
    }

    /// Levels of its bands around sample `middle` of `audio`, whose first sample is `origin`.
    fn levels(&mut self, audio: &[f32], origin: usize, middle: usize, out: &mut Vec<u8>) {
        let half = self.window.len() / 2;
        for (i, (x, w)) in self.input.iter_mut().zip(&self.window).enumerate() {
            let sample = (middle + i).checked_sub(half + origin).and_then(|n| audio.get(n));
            *x = sample.map_or(0.0, |s| s * w);
        }
        if self.fft.process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch).is_err() {
            out.extend(std::iter::repeat_n(0, self.bands.len()));
            return;
        }
        // A sine of full scale through a Hann window has magnitude n/4 in its bin.
        let scale = (4.0 / self.window.len() as f32).powi(2);
        for (first, weights) in &self.bands {
            let loudest =
                weights.iter().zip(&self.output[*first..]).map(|(w, c)| w * c.norm_sqr()).fold(0.0_f32, f32::max);
            let db = 10.0 * (loudest * scale).max(1e-12).log10();
            out.push(((db + 96.0) * 2.0).clamp(0.0, f32::from(FULL_SCALE)) as u8);
        }
    }
}

/// Builds a [`Spectrum`] from mono audio at one rate, a prompt first, then its continuation.
pub struct SpectrumBuilder {
    transforms: [Transform; 2],
    hop: usize,
    rate: u32,
    audio: Vec<f32>,
    /// Which sample `audio[0]` is, counted from the beginning of column 0.
    origin: usize,
    blocks: Vec<Arc<[u8]>>,
    open: Vec<u8>,
    columns: usize,
    seam: usize,
    tail: Vec<f32>,
    version: u64,
}

impl std::fmt::Debug for SpectrumBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpectrumBuilder")
            .field("columns", &self.columns)
            .field("seam", &self.seam)
            .finish_non_exhaustive()
    }
}

impl SpectrumBuilder {
    /// For audio at `rate` Hz that begins with `prompt` samples of prompt.
    #[must_use]
    pub fn new(rate: u32, prompt: usize) -> Self {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let hop = ((COLUMN_SECONDS * f64::from(rate)).round() as usize).max(1);
        let seam = prompt.div_ceil(hop);
        Self {
            transforms: [
                Transform::new(rate, WINDOW_SECONDS[0], 0..SHORT_FROM),
                Transform::new(rate, WINDOW_SECONDS[1], SHORT_FROM..BANDS),
            ],
            hop,
            rate,
            // The seam lies between two columns: what is missing before the prompt is silence.
            audio: vec![0.0; seam * hop - prompt],
            origin: 0,
            blocks: Vec::new(),
            open: Vec::new(),
            columns: 0,
            seam,
            tail: Vec::new(),
            version: VERSIONS.fetch_add(1, Relaxed),
        }
    }

    /// As if the prompt had been pushed already: its columns (the last ones of `before`, or silence after them where they
    /// are too few), and as much of its end as there is in `tail`.
    #[must_use]
    pub fn after(rate: u32, prompt: usize, before: &[&[u8]], tail: &[f32]) -> Self {
        let mut builder = Self::new(rate, prompt);
        let silence = [0; BANDS];
        let surplus = before.len().saturating_sub(builder.seam);
        let columns = before[surplus..].iter().copied().chain(std::iter::repeat(&silence[..])).take(builder.seam);
        for column in columns {
            builder.open.extend_from_slice(column);
            builder.close_column();
        }
        builder.audio = tail.to_vec();
        builder.origin = builder.seam * builder.hop - tail.len().min(builder.seam * builder.hop);
        builder.tail = tail.to_vec();
        builder
    }

    /// The prompt's last samples, as far as windows beyond it reach back.
    #[must_use]
    pub fn tail(&self) -> &[f32] {
        &self.tail
    }

    /// Adds planar audio, channels mixed.
    pub fn push(&mut self, planar: &[Vec<f32>]) {
        let scale = 1.0 / planar.len().max(1) as f32;
        let frames = planar.iter().map(Vec::len).min().unwrap_or(0);
        let seam = self.seam * self.hop;
        let before = self.origin + self.audio.len();
        self.audio.extend((0..frames).map(|n| planar.iter().map(|channel| channel[n]).sum::<f32>() * scale));
        if before < seam && before + frames >= seam {
            let end = seam - self.origin;
            self.tail = self.audio[end.saturating_sub(self.transforms[0].window.len() / 2)..end].to_vec();
        }
        self.draw(false);
    }

    /// The columns at the end too, whose windows reach past it.
    pub fn finish(&mut self) {
        self.draw(true);
    }

    fn draw(&mut self, to_the_end: bool) {
        let end = self.origin + self.audio.len();
        let half = self.transforms[0].window.len() / 2;
        loop {
            let middle = self.columns * self.hop + self.hop / 2;
            let known = if to_the_end { middle < end } else { middle + half <= end };
            if !known {
                break;
            }
            for transform in &mut self.transforms {
                transform.levels(&self.audio, self.origin, middle, &mut self.open);
            }
            self.close_column();
        }
        let needed = (self.columns * self.hop).saturating_sub(half);
        let forget = needed.saturating_sub(self.origin).min(self.audio.len());
        // Moving what stays is only worth it now and then.
        if forget > self.audio.len() / 2 {
            self.audio.drain(..forget);
            self.origin += forget;
        }
    }

    fn close_column(&mut self) {
        self.columns += 1;
        if self.open.len() == BLOCK * BANDS {
            self.blocks.push(std::mem::take(&mut self.open).into());
        }
    }

    /// What there is so far.
    #[must_use]
    pub fn spectrum(&self) -> Spectrum {
        let open = (!self.open.is_empty()).then(|| self.open.as_slice().into());
        Spectrum {
            blocks: self.blocks.iter().cloned().chain(open).collect(),
            columns: self.columns,
            seam: self.seam,
            column_seconds: self.hop as f64 / f64::from(self.rate.max(1)),
            version: self.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: u32, hz: f64, seconds: f64, level: f32) -> Vec<f32> {
        let n = (seconds * f64::from(rate)) as usize;
        (0..n).map(|i| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin() as f32 * level).collect()
    }

    #[test]
    fn every_key_of_a_piano_lights_its_own_band() {
        for rate in [24_000, 44_100, 48_000] {
            for key in (12..88).step_by(5) {
                let hz = 27.5 * 2.0_f64.powf(f64::from(key) / 12.0);
                let mut builder = SpectrumBuilder::new(rate, 0);
                builder.push(&[sine(rate, hz, 1.0, 0.5)]);
                builder.finish();
                let spectrum = builder.spectrum();
                let column = spectrum.column(spectrum.len() / 2);
                let loudest = column.iter().max().copied().unwrap_or(0);
                assert_eq!(column[key as usize], loudest, "key {key} at {rate} Hz");
                // Between two bins a sine is up to 4 dB softer.
                assert!((170..=181).contains(&loudest), "−6 dB is {loudest} for key {key} at {rate} Hz");
            }
        }
    }

    #[test]
    fn the_seam_lies_between_two_columns_and_growing_changes_nothing() {
        let audio = [sine(24_000, 440.0, 1.0, 0.1), sine(24_000, 220.0, 3.0, 0.3)].concat();
        let mut whole = SpectrumBuilder::new(24_000, 24_000);
        whole.push(std::slice::from_ref(&audio));
        whole.finish();
        let whole = whole.spectrum();
        assert_eq!(whole.seam(), 47);
        assert_eq!(whole.len(), 47 + (3 * 24_000_usize).div_ceil(512));
        let mut growing = SpectrumBuilder::new(24_000, 24_000);
        let mut before = Spectrum::default();
        for piece in audio.chunks(1_000) {
            growing.push(&[piece.to_vec()]);
            let now = growing.spectrum();
            assert!((0..before.len()).all(|c| before.column(c) == now.column(c)));
            before = now;
        }
        growing.finish();
        let same = |a: &Spectrum, b: &Spectrum, from: usize| {
            a.len() == b.len() && (from..a.len()).all(|c| a.column(c) == b.column(c))
        };
        assert!(same(&growing.spectrum(), &whole, 0));
        assert_ne!(growing.spectrum().version(), whole.version());
        // Another take of the same prompt is drawn on from its columns.
        let columns: Vec<&[u8]> = (0..whole.seam()).map(|c| whole.column(c)).collect();
        let mut again = SpectrumBuilder::after(24_000, 24_000, &columns, growing.tail());
        again.push(&[audio[24_000..].to_vec()]);
        again.finish();
        assert!(same(&again.spectrum(), &whole, 0));
        let (a4, a3) = (48, 36);
        let well = |column: usize, band: usize| whole.column(column)[band];
        assert!(well(20, a4) > 130 && well(20, a3) < 40 && well(80, a3) > 150 && well(80, a4) < 40);
    }
}
