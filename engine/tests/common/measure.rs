//! What can be measured about a sound without ears.
#![allow(dead_code, missing_docs, reason = "each test binary uses its part")]

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

pub fn mono(planes: &[Vec<f32>]) -> Vec<f32> {
    (0..planes[0].len()).map(|i| planes.iter().map(|p| p[i]).sum::<f32>() / planes.len() as f32).collect()
}

pub fn db(x: &[f32]) -> f64 {
    let energy: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
    10.0 * (energy / x.len().max(1) as f64).max(1e-20).log10()
}

fn spectrum(x: &[f32], size: usize) -> Vec<Complex<f32>> {
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(size);
    let mut input = fft.make_input_vec();
    input[..x.len()].copy_from_slice(x);
    let mut output = fft.make_output_vec();
    fft.process(&mut input, &mut output).unwrap();
    output
}

/// Median over the sounding frames of geometric by arithmetic mean of the power from 80 Hz to 5 kHz: white noise has
/// about 0.56, a piano well below 0.1.
pub fn flatness(x: &[f32], rate: u32) -> f64 {
    const SIZE: usize = 2048;
    let bin = |hz: f64| (hz * SIZE as f64 / f64::from(rate)) as usize;
    let loud = db(x) - 20.0;
    let mut all: Vec<f64> = Vec::new();
    for frame in x.chunks_exact(SIZE).filter(|frame| db(frame) > loud) {
        let windowed: Vec<f32> = frame
            .iter()
            .enumerate()
            .map(|(i, x)| x * (0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / SIZE as f32).cos()))
            .collect();
        let power: Vec<f64> =
            spectrum(&windowed, SIZE)[bin(80.0)..bin(5000.0)].iter().map(|c| f64::from(c.norm_sqr()) + 1e-12).collect();
        let geometric = (power.iter().map(|p| p.ln()).sum::<f64>() / power.len() as f64).exp();
        all.push(geometric / (power.iter().sum::<f64>() / power.len() as f64));
    }
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(1.0)
}

/// The largest normalised cross-correlation of any `window` samples of `x` with any stretch of `y`: 1 for a copy.
pub fn copied(x: &[f32], y: &[f32], window: usize) -> f64 {
    let size = (y.len() + window).next_power_of_two();
    let of_y = spectrum(y, size);
    let mut energy_y = vec![0.0_f64];
    energy_y.extend(y.iter().scan(0.0, |sum, y| {
        *sum += f64::from(*y).powi(2);
        Some(*sum)
    }));
    let inverse = RealFftPlanner::<f32>::new().plan_fft_inverse(size);
    let mut most: f64 = 0.0;
    for piece in x.chunks_exact(window) {
        let energy: f64 = piece.iter().map(|x| f64::from(*x).powi(2)).sum();
        let mut product: Vec<_> = spectrum(piece, size).iter().zip(&of_y).map(|(a, b)| a.conj() * b).collect();
        product[0].im = 0.0;
        product[size / 2].im = 0.0;
        let mut correlation = vec![0.0; size];
        inverse.process(&mut product, &mut correlation).unwrap();
        for lag in 0..=y.len() - window {
            let under = energy_y[lag + window] - energy_y[lag];
            let norm = (energy * under).sqrt() * size as f64;
            most = most.max(f64::from(correlation[lag].abs()) / norm.max(1e-9));
        }
    }
    most
}

/// The largest step between neighbouring samples around `at`, by the largest one in the 200 ms on either side of it.
pub fn step(x: &[f32], at: usize, rate: u32) -> f64 {
    let largest =
        |from: usize, to: usize| x[from..to.min(x.len())].windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    let (near, far) = (rate as usize / 1000, rate as usize / 5);
    let around = largest(at - far, at - near).max(largest(at + near, at + far));
    f64::from(largest(at - near, at + near)) / f64::from(around.max(1e-9))
}
