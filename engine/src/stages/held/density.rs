//! As dense as its prompt.

use crate::pack::manifest::Density as Spec;

/// Notes a frame that are added to what is compared, so that silence is a finite share of a prompt.
const LEAST: f32 = 0.01;

/// How densely one continuation plays.
#[derive(Debug, Clone)]
pub(super) struct Density {
    gain: f32,
    most: f32,
    /// Frames over which it is averaged.
    frames: f32,
    /// Notes a frame: what is aimed at, and the average.
    target: f32,
    average: f32,
}

impl Density {
    /// At the end of a prompt of so many notes in each frame, of which there are `rate` a second.
    pub(super) fn new(spec: &Spec, rate: f32, struck: &[usize]) -> Self {
        let all: usize = struck.iter().sum();
        let target = (all as f32 / struck.len().max(1) as f32).max(LEAST) * spec.share;
        let frames = (spec.seconds * rate).max(1.0);
        Self { gain: spec.gain, most: spec.most, frames, target, average: target }
    }

    /// How many notes are struck in the next frame.
    pub(super) fn hear(&mut self, struck: usize) {
        self.average += (struck as f32 - self.average) / self.frames;
    }

    /// By how much the log odds of a rest are raised, to be so many times as dense, held so closely.
    pub(super) fn calm(&self, times: f32, hold: f32) -> f32 {
        let too_much = ((self.average + LEAST) / (self.target * times + LEAST)).ln();
        // What is asked for is tried whether or not it is looked after.
        (hold * self.gain * too_much).clamp(-self.most, self.most) - times.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_played_too_much_rests_more_and_the_other_way_round() {
        let spec = Spec { notes: [1, 9], codebooks: 2, seconds: 2.0, share: 0.5, gain: 1.0, most: 1.5 };
        // Two notes in every second frame.
        let prompt: Vec<usize> = (0..50).map(|t| if t % 2 == 0 { 2 } else { 0 }).collect();
        let mut density = Density::new(&spec, 25.0, &prompt);
        assert!(density.calm(1.0, 1.0).abs() < 1e-6);
        for _ in 0..300 {
            density.hear(2);
        }
        // Four times as many as are aimed at.
        assert!((density.calm(1.0, 1.0) - 4.0_f32.ln()).abs() < 0.05, "{}", density.calm(1.0, 1.0));
        for _ in 0..300 {
            density.hear(0);
        }
        assert_eq!(density.calm(1.0, 1.0), -1.5);
        // Twice as dense is asked for: more is allowed, and without a hold it is tried all the same.
        assert!(density.calm(2.0, 1.0) < -1.5 && (density.calm(2.0, 0.0) + 2.0_f32.ln()).abs() < 1e-6);
        // A prompt without notes is no reason to be silent for ever.
        let silent = Density::new(&spec, 25.0, &[0; 10]);
        assert!(silent.calm(1.0, 1.0).is_finite() && silent.target > 0.0);
    }
}
