//! Drawing a token from logits: twins of `sampling.py`, number for number but for rounding.

use super::maths::{exp, largest, log_sum_exp};
use super::matrix::Isa;
use crate::sampler::Draw;
use std::ops::Range;

/// The nucleus is never smaller: the likeliest is always kept.
const SMALLEST_TOP_P: f32 = 1e-6;

/// The likeliest others, and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Likeliest first: what sorts so in the upper half, the token in the lower.
    keys: Vec<u64>,
    scaled: Vec<f32>,
}

impl Candidates {
    /// The `count` likeliest tokens of `logits` but for `without`, those that come first where they are alike.
    #[inline(always)]
    fn find(&mut self, logits: &[f32], without: Option<usize>, count: usize) {
        self.keys.clear();
        self.keys.extend(logits.iter().enumerate().map(|(token, logit)| {
            let bits = logit.to_bits();
            // As numbers without sign these are in the order of the logits.
            let rising = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
            u64::from(!rising) << 32 | token as u64
        }));
        if let Some(without) = without {
            self.keys[without] |= u64::MAX << 32;
        }
        if count < self.keys.len() {
            self.keys.select_nth_unstable(count);
            self.keys.truncate(count);
        }
        self.keys.sort_unstable();
    }

    fn token(&self, place: usize) -> usize {
        self.keys[place] as u32 as usize
    }

    /// The best of the candidates that the nucleus keeps, by the logarithm of its probability at this temperature,
    /// `log_share` and noise: its place, and how good it is.
    #[inline(always)]
    fn best<I: Isa>(&mut self, logits: &[f32], noise: &[f32], log_share: f32, draw: Draw) -> (usize, f32) {
        let Self { keys, scaled } = self;
        scaled.clear();
        scaled.extend(keys.iter().map(|key| logits[*key as u32 as usize] * draw.inv_temperature));
        let top = largest(scaled);
        let sum: f32 = scaled.iter().map(|x| exp::<I>(x - top)).sum();
        let (mut before, mut kept) = (0.0, 0);
        for x in scaled.iter() {
            if before >= draw.top_p.max(SMALLEST_TOP_P) {
                break;
            }
            before += exp::<I>(x - top) / sum;
            kept += 1;
        }
        let kept = &scaled[..kept];
        let log_total = log_sum_exp::<I>(kept);
        let mut best = (0, f32::NEG_INFINITY);
        for (place, (x, noise)) in kept.iter().zip(noise).enumerate() {
            let good = x - log_total + log_share + noise;
            if good > best.1 {
                best = (place, good);
            }
        }
        best
    }

    /// `sample`: the token, and its log-probability.
    #[inline(always)]
    pub(super) fn any<I: Isa>(&mut self, logits: &[f32], noise: &[f32], draw: Draw) -> (i64, f32) {
        self.find(logits, None, noise.len());
        let (place, _) = self.best::<I>(logits, noise, 0.0, draw);
        (self.token(place) as i64, logits[self.token(place)] - log_sum_exp::<I>(logits))
    }

    /// `sample_or_hold`: the token, and its log-probability.
    #[inline(always)]
    pub(super) fn or_hold<I: Isa>(&mut self, logits: &[f32], previous: i64, noise: &[f32], draw: Draw) -> (i64, f32) {
        let total = log_sum_exp::<I>(logits);
        let held = usize::try_from(previous).ok().filter(|held| *held < logits.len());
        let hold = held.map_or(0.0, |held| (logits[held] - total).exp());
        let (noise, noise_of_hold) = noise.split_at(noise.len() - 1);
        self.find(logits, held, noise.len());
        let (place, good) = self.best::<I>(logits, noise, (1.0 - hold).ln(), draw);
        match held {
            Some(held) if hold.ln() + noise_of_hold[0] > good => (held as i64, logits[held] - total),
            _ => (self.token(place) as i64, logits[self.token(place)] - total),
        }
    }

    /// `sample_or_rest`: the token, and its log-probability, of a rest that it is one.
    #[inline(always)]
    pub(super) fn or_rest<I: Isa>(
        &mut self,
        logits: &[f32],
        previous: i64,
        rests: &Range<usize>,
        eagerness: f32,
        noise: &[f32],
        draw: Draw,
    ) -> (i64, f32) {
        let (notes, all_rests) = logits.split_at(rests.start);
        let (playing, resting) = (log_sum_exp::<I>(notes), log_sum_exp::<I>(all_rests));
        let odds = playing - resting + eagerness;
        let count = (noise.len() - 1).min(rests.start);
        self.find(notes, None, count);
        let (place, good) = self.best::<I>(notes, &noise[..count], -soft_plus(-odds), draw);
        let total = log_sum_exp::<I>(&[playing, resting]);
        if -soft_plus(odds) + noise[count] > good {
            let following = if previous < rests.end as i64 { previous + 1 } else { 0 };
            (following.clamp(rests.start as i64, rests.end as i64 - 1), resting - total)
        } else {
            (self.token(place) as i64, notes[self.token(place)] - total)
        }
    }
}

/// Adds to each logit what tilts it; all together stay as likely as they were.
#[inline(always)]
pub(super) fn tilted<I: Isa>(logits: &mut [f32], tilt: &[f32]) {
    let before = log_sum_exp::<I>(logits);
    for (logit, tilt) in logits.iter_mut().zip(tilt) {
        *logit += tilt;
    }
    let off = before - log_sum_exp::<I>(logits);
    logits.iter_mut().for_each(|logit| *logit += off);
}

/// ln(1 + eˣ).
fn soft_plus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
