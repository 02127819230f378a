//! The seam between what is played and what goes on: an equal-power envelope that knows how many frames it has left.
//! Audio thread, real-time safe.

use std::f32::consts::FRAC_PI_2;

/// Length of every fade in seconds.
pub const FADE_SECONDS: f32 = 0.025;

/// How far in the continuation is, 0–1, moving by at most one step a frame. Wet and dry gains are sine and cosine of
/// it, so their powers add up to one.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    level: f32,
    step: f32,
}

impl Envelope {
    /// Silent, for a host rate in Hz.
    #[must_use]
    pub fn new(sample_rate: u32) -> Self {
        let step = 1.0 / (sample_rate as f32 * FADE_SECONDS).max(1.0);
        Self { level: 0.0, step }
    }

    /// Frames a whole fade takes.
    #[must_use]
    pub fn fade_frames(&self) -> u64 {
        self.step.recip().ceil() as u64
    }

    /// One frame on, with `left` frames of audio left, this one included: rises if it can, and comes down in time to
    /// be silent when nothing is left. `left` may shrink by one a frame, or jump to no less than
    /// [`Self::frames_to_silence`], without a step in the gain. Returns the wet gain.
    pub fn advance(&mut self, left: u64) -> f32 {
        let allowed = left as f32 * self.step;
        self.level = (self.level + self.step).min(allowed).min(1.0);
        self.wet()
    }

    /// Frames the fade-out from here takes.
    #[must_use]
    pub fn frames_to_silence(&self) -> u64 {
        (self.level / self.step).ceil() as u64
    }

    /// Silent at once.
    pub fn silence(&mut self) {
        self.level = 0.0;
    }

    /// The continuation's gain: exactly 0 when out, exactly 1 when in.
    #[must_use]
    pub fn wet(&self) -> f32 {
        if self.level >= 1.0 { 1.0 } else { (self.level * FRAC_PI_2).sin() }
    }

    /// The gain of an input that makes way: exactly 1 when the continuation is out, exactly 0 when it is in.
    #[must_use]
    pub fn dry(&self) -> f32 {
        if self.level <= 0.0 {
            1.0
        } else if self.level >= 1.0 {
            0.0
        } else {
            (self.level * FRAC_PI_2).cos()
        }
    }
}

/// A gain that follows its target without zipper noise (one pole, 10 ms) and settles on it exactly.
#[derive(Debug, Clone, Copy)]
pub struct Smoothed {
    value: f32,
    coefficient: f32,
    /// The first target is taken at once: a session should not open with a fade.
    fresh: bool,
}

impl Smoothed {
    /// For a host rate in Hz.
    #[must_use]
    pub fn new(sample_rate: u32) -> Self {
        Self { value: 0.0, coefficient: 1.0 - (-1.0 / (0.010 * sample_rate.max(1) as f32)).exp(), fresh: true }
    }

    /// Takes the next target at once.
    pub fn reset(&mut self) {
        self.fresh = true;
    }

    /// Call once a block, before [`Self::next`].
    pub fn begin(&mut self, target: f32) {
        if self.fresh {
            self.value = target;
            self.fresh = false;
        }
    }

    /// One frame on.
    pub fn next(&mut self, target: f32) -> f32 {
        let difference = target - self.value;
        self.value = if difference.abs() < 1e-4 { target } else { self.value + difference * self.coefficient };
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_add_up_and_ends_are_exact() {
        let mut envelope = Envelope::new(48_000);
        assert_eq!((envelope.wet(), envelope.dry()), (0.0, 1.0));
        for n in 0..1200 {
            envelope.advance(u64::MAX);
            let power = envelope.wet().powi(2) + envelope.dry().powi(2);
            assert!((power - 1.0).abs() < 1e-5, "frame {n}: {power}");
        }
        envelope.advance(u64::MAX);
        assert_eq!((envelope.wet(), envelope.dry()), (1.0, 0.0));
    }

    #[test]
    fn it_is_down_when_nothing_is_left() {
        for total in [1_u64, 2, 100, 1199, 2400, 2401, 10_000] {
            let mut envelope = Envelope::new(48_000);
            let mut last = 0.0_f32;
            for left in (1..=total).rev() {
                let gain = envelope.advance(left);
                assert!((gain - last).abs() < 0.002, "{total} frames, {left} left: {last} to {gain}");
                last = gain;
            }
            assert!(last < 0.002, "{total} frames end at {last}");
        }
    }

    #[test]
    fn a_gain_settles_exactly() {
        let mut gain = Smoothed::new(48_000);
        gain.begin(1.0);
        assert_eq!(gain.next(1.0), 1.0, "the first target is taken at once");
        for _ in 0..48_000 {
            gain.next(0.25);
        }
        assert_eq!(gain.next(0.25), 0.25);
    }
}
