//! What the sampling inside a graph is given: temperature, nucleus, and noise drawn from the seed.
//!
//! The arithmetic itself (top-k, temperature, top-p, Gumbel-max) is part of each graph (`docs/pack.md`); with the noise
//! as an input, a seed means the same tokens on every run of the same device.

use crate::error::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How tokens are drawn, read before every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Semantic, coarse, fine; 0 is greedy.
    pub temperatures: [f32; 3],
    /// Nucleus: candidates are cut where their cumulative probability reaches this.
    pub top_p: f32,
    /// How closely a stage is held to its prompt: times what its pack says, 0 is not at all (docs/pack.md, "Held to the prompt").
    pub hold: f32,
    /// How dense it is to be, in times of its prompt, of a stage that is held to it.
    pub density: f32,
    /// Of the song that it is played in, in quarter notes a minute: a prompt that is played in time with it goes on so. Read where a
    /// continuation begins; what makes no sense, as hosts may say it, is none.
    pub tempo: Option<f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Sampling {
    /// Where the knobs stand at first. AudioLM's are 0.6, 0.8, 0.6, those of a model a hundred times larger; how ours was chosen is
    /// in `training/RESULTS.md`, "Notes and rests".
    pub const DEFAULT: Self = Self { temperatures: [0.9, 0.7, 0.3], top_p: 0.98, hold: 1.0, density: 1.0, tempo: None };

    /// Refuses what no graph should see.
    ///
    /// # Errors
    /// [`Error::Request`] for NaN, a negative temperature, a nucleus outside (0, 1], or a hold or density that no knob has.
    pub fn check(&self) -> Result<()> {
        for t in self.temperatures {
            if !(0.0..=10.0).contains(&t) {
                return Err(Error::Request(format!("temperature {t} is not between 0 and 10")));
            }
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::Request(format!("top-p {} is not above 0 and at most 1", self.top_p)));
        }
        if !(0.0..=10.0).contains(&self.hold) {
            return Err(Error::Request(format!("hold {} is not between 0 and 10", self.hold)));
        }
        if !(0.1..=10.0).contains(&self.density) {
            return Err(Error::Request(format!("density {} is not between 0.1 and 10", self.density)));
        }
        Ok(())
    }

    /// The temperature of a stage: by its id if it is one of the three, else by its place.
    #[must_use]
    pub fn temperature(&self, id: &str, place: usize) -> f32 {
        let place = match id {
            "semantic" => 0,
            "coarse" => 1,
            "fine" => 2,
            _ => place.min(2),
        };
        self.temperatures[place]
    }
}

/// What a graph's sampling inputs are for one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Draw {
    pub(crate) inv_temperature: f32,
    pub(crate) top_p: f32,
    pub(crate) greedy: bool,
}

impl Draw {
    pub(crate) fn new(temperature: f32, top_p: f32) -> Self {
        // Below this the division says nothing but "the most likely".
        let greedy = temperature < 1e-3;
        if greedy {
            Self { inv_temperature: 1.0, top_p: 1.0, greedy }
        } else {
            Self { inv_temperature: 1.0 / temperature, top_p, greedy }
        }
    }
}

/// Gumbel noise for one stage: a pure function of (seed, stage, frame), so it does not depend on how frames are chunked.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    rng: ChaCha8Rng,
    per_frame: usize,
}

impl Noise {
    /// `per_frame`: values per generated frame (codebooks × candidates).
    pub(crate) fn new(seed: u64, stage: usize, per_frame: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stage as u64);
        Self { rng, per_frame }
    }

    /// Fills `out` (a whole number of frames) with the noise of the frames from `frame` on; zeros if greedy.
    pub(crate) fn fill(&mut self, frame: usize, greedy: bool, out: &mut [f32]) {
        if greedy {
            out.fill(0.0);
            return;
        }
        self.rng.set_word_pos((frame * self.per_frame) as u128);
        for x in out {
            // 24 bits, in the open interval (0, 1): neither logarithm can be infinite.
            let uniform = ((self.rng.next_u32() >> 8) as f64 + 0.5) / f64::from(1_u32 << 24);
            *x = (-(-uniform.ln()).ln()) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_does_not_depend_on_chunking_and_differs_between_seeds_and_stages() {
        let mut whole = vec![0.0; 40];
        Noise::new(7, 1, 4).fill(0, false, &mut whole);
        let mut noise = Noise::new(7, 1, 4);
        let mut parts = vec![0.0; 40];
        noise.fill(5, false, &mut parts[20..]);
        noise.fill(0, false, &mut parts[..20]);
        assert_eq!(whole, parts);
        for (seed, stage) in [(8, 1), (7, 2)] {
            let mut other = vec![0.0; 40];
            Noise::new(seed, stage, 4).fill(0, false, &mut other);
            assert_ne!(whole, other);
        }
    }

    #[test]
    fn noise_is_gumbel() {
        let mut draws = vec![0.0; 200_000];
        Noise::new(1, 0, 1).fill(0, false, &mut draws);
        assert!(draws.iter().all(|x| x.is_finite()));
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        assert!((mean - 0.5772).abs() < 0.01, "Euler's constant, not {mean}");
    }

    #[test]
    fn zero_temperature_is_greedy_and_nonsense_is_refused() {
        let draw = Draw::new(0.0, 0.5);
        assert_eq!((draw.inv_temperature, draw.top_p, draw.greedy), (1.0, 1.0, true));
        let with = |t: f32, p: f32| Sampling { temperatures: [0.6, t, 0.6], top_p: p, ..Sampling::DEFAULT }.check();
        assert!(with(0.8, 0.9).is_ok());
        for (t, p) in [(f32::NAN, 0.9), (-0.1, 0.9), (f32::INFINITY, 0.9), (0.8, 0.0), (0.8, 1.1), (0.8, f32::NAN)] {
            assert!(with(t, p).is_err(), "{t} {p}");
        }
    }
}
