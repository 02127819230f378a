//! On its prompt's pulse.

use crate::pack::manifest::Pulse as Spec;
use std::f64::consts::TAU;

/// Seconds that a beat may last, and how finely it is looked for; twins of `training/segue_training/music.py`.
const SHORTEST: f64 = 0.1;
const LONGEST: f64 = 0.6;
const STEP: f64 = 1.005;
/// Moments that a beat can be told from.
const LEAST: usize = 4;
/// Of beats that fit nearly as well as the best, the longest is it.
const NEARLY_BEST: f64 = 0.95;

/// Where one continuation is in its beat.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    gain: f32,
    /// What a frame turns and fades what has been struck.
    turn: (f64, f64),
    fade: f64,
    /// Of what has been struck the sum of turns, and of lengths.
    beats: (f64, f64),
    all: f64,
}

impl Pulse {
    /// At the end of a prompt of so many notes in each frame, of which there are `rate` a second.
    pub(super) fn new(spec: &Spec, rate: f32, struck: &[usize]) -> Self {
        let rate = f64::from(rate);
        let moments = struck.iter().enumerate().filter(|(_, notes)| **notes > 0);
        let moments: Vec<f64> = moments.map(|(frame, _)| frame as f64 / rate).collect();
        let fade = (-1.0 / (f64::from(spec.seconds) * rate).max(1.0)).exp();
        let turn = period(&moments).map_or((0.0, 0.0), |period| {
            let (sin, cos) = (TAU / (period * rate)).sin_cos();
            (fade * cos, fade * sin)
        });
        let mut pulse = Self { gain: spec.gain, turn, fade, beats: (0.0, 0.0), all: 0.0 };
        struck.iter().for_each(|struck| pulse.hear(*struck));
        pulse
    }

    /// How many notes are struck in the next frame.
    pub(super) fn hear(&mut self, struck: usize) {
        let some = struck.min(1) as f64;
        let (re, im) = (self.beats.0 + some, self.beats.1);
        self.beats = (re * self.turn.0 - im * self.turn.1, re * self.turn.1 + im * self.turn.0);
        self.all = (self.all + some) * self.fade;
    }

    /// By how much the log odds of a rest are raised, held so closely.
    pub(super) fn calm(&self, hold: f32) -> f32 {
        if self.all <= 0.0 {
            return 0.0;
        }
        let (re, im) = (self.beats.0 / self.all, self.beats.1 / self.all);
        // What is lowered on the beat lets more through than what is raised off it keeps back: by so much in the mean.
        let gain = f64::from(hold * self.gain);
        (ln_i0(gain * re.hypot(im)) - gain * re) as f32
    }
}

/// ln I₀(x), the logarithm of the mean of e^(x · cos) around the circle, by its series (Abramowitz and Stegun 9.6.12).
fn ln_i0(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-12 * sum {
        term *= x * x / (4.0 * k * k);
        sum += term;
        k += 1.0;
    }
    sum.ln()
}

/// The longest period, in seconds, that moments lie on nearly as well as on any; none of too few.
fn period(moments: &[f64]) -> Option<f64> {
    if moments.len() < LEAST {
        return None;
    }
    let count = ((LONGEST / SHORTEST).ln() / STEP.ln()) as i32 + 1;
    let periods: Vec<f64> = (0..count).map(|i| SHORTEST * STEP.powi(i)).collect();
    let scores: Vec<f64> = periods.iter().map(|period| pull(moments, *period)).collect();
    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut place = scores.iter().rposition(|score| *score >= NEARLY_BEST * best)?;
    while place > 0 && scores[place - 1] > scores[place] {
        place -= 1;
    }
    Some(periods[place])
}

/// How well moments lie on a grid of this period, wherever it begins: 1 exactly, 0 as by chance.
fn pull(moments: &[f64], period: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for moment in moments {
        let (sin, cos) = (TAU * moment / period).sin_cos();
        re += cos;
        im += sin;
    }
    let count = moments.len() as f64;
    ((re * re + im * im) / count - 1.0) / (count - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec { gain: 2.0, seconds: 4.0 };

    #[test]
    fn a_beat_goes_on_where_the_prompt_leaves_it_and_follows_what_is_played() {
        // Struck every 10 frames, last in frame 90 of 100.
        let struck: Vec<usize> = (0..100).map(|t| usize::from(t % 10 == 0) * 3).collect();
        let mut pulse = Pulse::new(&SPEC, 25.0, &struck);
        let mut calm = Vec::new();
        for t in 100..140 {
            calm.push(pulse.calm(1.0));
            pulse.hear(usize::from(t % 10 == 0));
        }
        // On the beat 2 less, off it 2 more, and 0.82 more for what that lets through.
        assert!(
            (calm[0] + 1.18).abs() < 0.1 && (calm[10] + 1.18).abs() < 0.1 && (calm[5] - 2.82).abs() < 0.1,
            "{calm:?}"
        );
        // Half a beat later from here on: after some seconds that is where the beat is.
        for t in 140..640 {
            pulse.hear(usize::from(t % 10 == 5));
        }
        assert!(pulse.calm(1.0) > 2.5, "{}", pulse.calm(1.0));
    }

    #[test]
    fn as_many_are_let_through_as_without_a_beat_however_strong_it_is() {
        for x in [0.0, 0.5, 2.0, 6.0, 30.0] {
            let odds: f64 = (0..1000).map(|i| (x * (TAU * f64::from(i) / 1000.0).cos() - ln_i0(x)).exp()).sum();
            assert!((odds / 1000.0 - 1.0).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn the_beat_is_the_longest_that_all_lies_on_and_too_little_has_none() {
        // Eighths of 0.25 s with holes: not the quarter, not the sixteenth.
        let moments: Vec<f64> = [0, 1, 2, 4, 5, 7, 8, 11, 12, 15].iter().map(|i| f64::from(*i) * 0.25).collect();
        assert!((period(&moments).unwrap() - 0.25).abs() < 0.003);
        assert_eq!(period(&moments[..3]), None);
        assert_eq!(Pulse::new(&SPEC, 25.0, &[0; 50]).calm(1.0), 0.0);
        assert_eq!(Pulse::new(&SPEC, 25.0, &[1, 0, 1]).calm(1.0), 0.0);
    }
}
