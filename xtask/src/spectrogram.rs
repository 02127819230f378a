//! A picture of what was heard: log frequency, decibels as colours, the seam as a line.

mod canvas;
pub use canvas::save;

use crate::error::{Error, Result};
use canvas::Canvas;
use realfft::RealFftPlanner;
use std::path::Path;

const WINDOW: usize = 8192;
const LOWEST: f64 = 40.0;
const HIGHEST: f64 = 12_000.0;
/// Decibels between black and white.
const RANGE: f32 = 80.0;
const PLOT: (u32, u32) = (1500, 560);
const MARGIN: Margin = Margin { left: 90, top: 64, right: 120, bottom: 64 };
const WHITE: [u8; 3] = [255; 3];
const GREY: [u8; 3] = [170, 170, 180];

struct Margin {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

/// Draws mono audio whose seam is at this frame, and writes the PNG.
pub fn write(path: &Path, mono: &[f32], rate: u32, seam: usize) -> Result<()> {
    let levels = levels(mono, rate)?;
    let mut canvas = Canvas::new(MARGIN.left + PLOT.0 + MARGIN.right, MARGIN.top + PLOT.1 + MARGIN.bottom)?;
    let top = levels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for (index, level) in levels.iter().enumerate() {
        let (x, y) = (index as u32 % PLOT.0, index as u32 / PLOT.0);
        canvas.dot(MARGIN.left + x, MARGIN.top + y, colour(1.0 + (level - top) / RANGE));
    }
    let seconds = mono.len() as f64 / f64::from(rate);
    let at = seam as f64 / f64::from(rate);
    frequencies(&mut canvas);
    times(&mut canvas, seconds, at);
    seam_line(&mut canvas, seconds, at);
    scale(&mut canvas);
    canvas.save(path)
}

/// The plot, row by row from the highest frequency, in decibels.
fn levels(mono: &[f32], rate: u32) -> Result<Vec<f32>> {
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let mut input = fft.make_input_vec();
    let mut output = fft.make_output_vec();
    let hann: Vec<f32> =
        (0..WINDOW).map(|i| 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / WINDOW as f32).cos()).collect();
    let (width, height) = (PLOT.0 as usize, PLOT.1 as usize);
    let mut plot = vec![0.0f32; width * height];
    for x in 0..width {
        let centre = (x * mono.len() / width) as isize;
        for (i, (sample, window)) in input.iter_mut().zip(&hann).enumerate() {
            let at = centre + i as isize - WINDOW as isize / 2;
            let heard = usize::try_from(at).ok().and_then(|at| mono.get(at)).copied().unwrap_or(0.0);
            *sample = heard * window;
        }
        fft.process(&mut input, &mut output).map_err(|e| Error::Check(e.to_string()))?;
        for y in 0..height {
            // A row shows the loudest bin between its edges: no partial falls between two rows.
            let bin = |row: usize| row_frequency(row as f64) * WINDOW as f64 / f64::from(rate);
            let (low, high) = (bin(y + 1).floor() as usize, bin(y).ceil() as usize);
            let last = output.len() - 1;
            let loudest = output[low.min(last)..=high.min(last)].iter().map(|c| c.norm_sqr()).fold(1e-12, f32::max);
            plot[y * width + x] = 10.0 * loudest.log10();
        }
    }
    Ok(plot)
}

fn row_frequency(row: f64) -> f64 {
    HIGHEST * (LOWEST / HIGHEST).powf(row / f64::from(PLOT.1))
}

fn frequency_row(hz: f64) -> u32 {
    MARGIN.top + ((hz / HIGHEST).ln() / (LOWEST / HIGHEST).ln() * f64::from(PLOT.1)) as u32
}

fn colour(level: f32) -> [u8; 3] {
    let c = colorous::INFERNO.eval_continuous(f64::from(level.clamp(0.0, 1.0)));
    [c.r, c.g, c.b]
}

fn frequencies(canvas: &mut Canvas) {
    for (hz, text) in [
        (50.0, "50 Hz"),
        (100.0, "100"),
        (200.0, "200"),
        (500.0, "500"),
        (1e3, "1 kHz"),
        (2e3, "2"),
        (5e3, "5"),
        (1e4, "10"),
    ] {
        let y = frequency_row(hz);
        canvas.line(MARGIN.left - 8, y, MARGIN.left, y, GREY);
        canvas.text_left_of(MARGIN.left - 14, y - 11, text, GREY);
    }
}

fn column(second: f64, seconds: f64) -> u32 {
    MARGIN.left + (second / seconds.max(1e-9) * f64::from(PLOT.0)) as u32
}

/// Ticks every second, numbers counted from the seam: the continuation's own time.
fn times(canvas: &mut Canvas, seconds: f64, seam: f64) {
    let bottom = MARGIN.top + PLOT.1;
    let every = if seconds > 40.0 {
        5
    } else if seconds > 16.0 {
        2
    } else {
        1
    };
    for second in -(seam as i64)..=(seconds - seam) as i64 {
        let x = column(second as f64 + seam, seconds);
        let numbered = second % every == 0;
        canvas.line(x, bottom, x, bottom + if numbered { 9 } else { 5 }, GREY);
        if numbered {
            canvas.text_around(x, bottom + 14, &format!("{second} s"), GREY);
        }
    }
}

fn seam_line(canvas: &mut Canvas, seconds: f64, seam: f64) {
    let x = column(seam, seconds);
    let bottom = MARGIN.top + PLOT.1;
    for y in (MARGIN.top - 14..bottom).step_by(12) {
        for wide in 0..2 {
            canvas.line(x + wide, y, x + wide, (y + 7).min(bottom), WHITE);
        }
    }
    canvas.text_left_of(x - 12, MARGIN.top - 34, "prompt", WHITE);
    canvas.text(x + 14, MARGIN.top - 34, "continuation", WHITE);
}

fn scale(canvas: &mut Canvas) {
    let x = MARGIN.left + PLOT.0 + 24;
    for y in 0..PLOT.1 {
        let colour = colour(1.0 - y as f32 / PLOT.1 as f32);
        canvas.line(x, MARGIN.top + y, x + 16, MARGIN.top + y, colour);
    }
    for down in (0..=RANGE as u32).step_by(20) {
        let y = MARGIN.top + down * PLOT.1 / RANGE as u32;
        canvas.text(x + 24, y - 11, &if down == 0 { "0 dB".into() } else { format!("\u{2212}{down}") }, GREY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_a_bright_row_at_its_frequency() {
        let mono: Vec<f32> =
            (0..96_000).map(|i| (std::f32::consts::TAU * 1000.0 * i as f32 / 48_000.0).sin()).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.png");
        write(&path, &mono, 48_000, 48_000).expect("draws");
        let picture = image::open(&path).expect("a picture").to_rgb8();
        let brightness = |y: u32| picture.get_pixel(MARGIN.left + 300, y).0.iter().map(|c| u32::from(*c)).sum::<u32>();
        let brightest = (MARGIN.top..MARGIN.top + PLOT.1).max_by_key(|y| brightness(*y)).expect("rows");
        assert!(brightest.abs_diff(frequency_row(1000.0)) <= 3, "{brightest} {}", frequency_row(1000.0));
        assert!(brightness(frequency_row(200.0)) < 200);
    }
}
