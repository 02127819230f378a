//! Keeps what is played as dense as its prompt: docs/pack.md, "Density". A transformer that has played a little too much plays on
//! like that, for it goes by what it hears of itself.

use crate::pack::manifest::Density as Spec;
use crate::take::Tokens;

/// Notes a frame that are added to what is compared, so that silence is a finite share of a prompt.
const LEAST: f32 = 0.01;

/// How densely one continuation plays.
#[derive(Debug, Clone)]
pub(super) struct Density {
    spec: Spec,
    /// Frames over which it is averaged.
    frames: f32,
    /// Notes a frame: what is aimed at, and the average.
    target: f32,
    average: f32,
}

impl Density {
    /// At the end of a prompt: the first `frames` of `prompt`, of which there are `rate` a second.
    pub(super) fn new(spec: &Spec, rate: f32, prompt: &Tokens, frames: usize) -> Self {
        let all: usize = (0..frames).map(|frame| struck(spec, prompt.frame(frame))).sum();
        let target = (all as f32 / frames.max(1) as f32).max(LEAST) * spec.share;
        Self { spec: spec.clone(), frames: (spec.seconds * rate).max(1.0), target, average: target }
    }

    /// What is played next.
    pub(super) fn hear(&mut self, frame: &[u16]) {
        self.average += (struck(&self.spec, frame) as f32 - self.average) / self.frames;
    }

    /// By how much the log odds of a rest are raised.
    pub(super) fn calm(&self) -> f32 {
        let too_much = ((self.average + LEAST) / (self.target + LEAST)).ln();
        (self.spec.gain * too_much).clamp(-self.spec.most, self.spec.most)
    }
}

/// Notes of a frame.
fn struck(spec: &Spec, frame: &[u16]) -> usize {
    let notes = usize::from(spec.notes[0])..usize::from(spec.notes[1]);
    frame.iter().take(spec.codebooks).filter(|token| notes.contains(&usize::from(**token))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_played_too_much_rests_more_and_the_other_way_round() {
        let spec = Spec { notes: [1, 9], codebooks: 2, seconds: 2.0, share: 0.5, gain: 1.0, most: 1.5 };
        // Two notes in every second frame; 9 is a rest, the third book no note at all.
        let ids = (0..50).flat_map(|t| if t % 2 == 0 { [3, 1, 5] } else { [9, 0, 5] }).collect();
        let prompt = Tokens { codebooks: 3, ids };
        let mut density = Density::new(&spec, 25.0, &prompt, 50);
        assert!(density.calm().abs() < 1e-6);
        for _ in 0..300 {
            density.hear(&[8, 2, 5]);
        }
        // Four times as many as are aimed at.
        assert!((density.calm() - 4.0_f32.ln()).abs() < 0.05, "{}", density.calm());
        for _ in 0..300 {
            density.hear(&[10, 0, 5]);
        }
        assert_eq!(density.calm(), -1.5);
        // A prompt without notes is no reason to be silent for ever.
        let silent = Density::new(&spec, 25.0, &Tokens { codebooks: 3, ids: vec![0; 30] }, 10);
        assert!(silent.calm().is_finite() && silent.target > 0.0);
    }
}
