//! Stereo as packs code it: mid and side (docs/pack.md, "Channels"). Worker thread.

use crate::error::{Error, Result};
use crate::pack::manifest::Channel;

/// Mid and side of equal length; of a mono pack the side stays empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Signals {
    /// (L + R) / 2.
    pub mid: Vec<f32>,
    /// (L − R) / 2.
    pub side: Vec<f32>,
}

/// How a prompt was brought to the pack's level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    /// Factor that was applied before encoding.
    pub gain: f32,
    /// Factor of each output channel that restores the prompt's balance where the pack is mono; 1 where it is stereo.
    pub balance: [f32; 2],
}

impl Signals {
    /// A prompt (planar, one or two channels of equal length) as the pack wants it, at `level_dbfs`.
    ///
    /// # Errors
    /// [`Error::Request`] if it is silent, not finite, or of another shape.
    pub(crate) fn of_prompt(prompt: &[Vec<f32>], stereo: bool, level_dbfs: f32) -> Result<(Self, Level)> {
        let mut signals = Self::unscaled(prompt, stereo)?;
        // What both channels hold together: of a mono pack the mix.
        let level = rms(&signals.mid).hypot(rms(&signals.side));
        if level < 1e-5 {
            return Err(Error::Request("nothing to continue: the prompt is silent".into()));
        }
        let limit = 100.0; // ±40 dB, as the pack format says
        let gain = (10.0_f32.powf(level_dbfs / 20.0) / level).clamp(1.0 / limit, limit);
        signals.scale(gain);
        let share = |c: &[f32]| (rms(c) / level).clamp(0.0, 4.0);
        let (left, right) = (&prompt[0], &prompt[prompt.len() - 1]);
        let balance = if stereo { [1.0; 2] } else { [share(left), share(right)] };
        Ok((signals, Level { gain, balance }))
    }

    /// More of a prompt, at the level of its beginning.
    ///
    /// # Errors
    /// [`Error::Request`] if it is not finite, or of another shape.
    pub(crate) fn at_level(prompt: &[Vec<f32>], stereo: bool, level: Level) -> Result<Self> {
        let mut signals = Self::unscaled(prompt, stereo)?;
        signals.scale(level.gain);
        Ok(signals)
    }

    fn scale(&mut self, gain: f32) {
        for x in self.mid.iter_mut().chain(&mut self.side) {
            *x *= gain;
        }
    }

    fn unscaled(prompt: &[Vec<f32>], stereo: bool) -> Result<Self> {
        let channels = prompt.len();
        let length = prompt.first().map_or(0, Vec::len);
        if !(1..=2).contains(&channels) || prompt.iter().any(|c| c.len() != length) {
            return Err(Error::Request(format!("{channels} channels; one or two of equal length can be continued")));
        }
        if !prompt.iter().flatten().all(|x| x.is_finite()) {
            return Err(Error::Request("the prompt holds NaN or infinity".into()));
        }
        let (left, right) = (&prompt[0], &prompt[channels - 1]);
        let mix = |sign: f32| left.iter().zip(right).map(|(l, r)| (l + sign * r) * 0.5).collect::<Vec<f32>>();
        Ok(Self { mid: mix(1.0), side: if stereo { mix(-1.0) } else { Vec::new() } })
    }

    /// Length in samples.
    pub(crate) fn len(&self) -> usize {
        self.mid.len()
    }

    /// One channel; the side of a mono pack is empty.
    pub(crate) fn of(&self, channel: Channel) -> &[f32] {
        match channel {
            Channel::Mid => &self.mid,
            Channel::Side => &self.side,
        }
    }

    /// One channel.
    pub(crate) fn of_mut(&mut self, channel: Channel) -> &mut Vec<f32> {
        match channel {
            Channel::Mid => &mut self.mid,
            Channel::Side => &mut self.side,
        }
    }

    /// Left and right of the samples in `range`, each times its gain.
    pub(crate) fn left_right(&self, range: std::ops::Range<usize>, gain: [f32; 2]) -> [Vec<f32>; 2] {
        let side = |n: usize| self.side.get(n).copied().unwrap_or(0.0);
        [(1.0, gain[0]), (-1.0, gain[1])]
            .map(|(sign, g)| range.clone().map(|n| (self.mid[n] + sign * side(n)) * g).collect())
    }
}

/// Root of the mean square; 0 of nothing.
pub(crate) fn rms(x: &[f32]) -> f32 {
    (x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len().max(1) as f64).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_comes_back_as_it_was() {
        let left: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.05).sin() * 0.3).collect();
        let right: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.031).cos() * 0.1).collect();
        let (signals, level) = Signals::of_prompt(&[left.clone(), right.clone()], true, -24.0).unwrap();
        let again = signals.left_right(0..1000, level.balance.map(|b| b / level.gain));
        for (a, b) in again.iter().flatten().zip(left.iter().chain(&right)) {
            assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        }
        // Both channels together are at the level that was asked for.
        let power = |s: &Signals| (rms(&s.mid).powi(2) + rms(&s.side).powi(2)).sqrt();
        assert!((20.0 * power(&signals).log10() + 24.0).abs() < 0.01);
    }

    #[test]
    fn a_mono_pack_keeps_the_balance() {
        let tone: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.05).sin()).collect();
        let quiet: Vec<f32> = tone.iter().map(|x| x * 0.25).collect();
        let (signals, level) = Signals::of_prompt(&[tone.clone(), quiet], false, -24.0).unwrap();
        assert!(signals.side.is_empty());
        let [left, right] = signals.left_right(0..1000, level.balance.map(|b| b / level.gain));
        assert!((rms(&left) / rms(&tone) - 1.0).abs() < 0.01 && (rms(&right) / rms(&left) - 0.25).abs() < 0.01);
    }

    #[test]
    fn a_mono_prompt_in_a_stereo_pack_sits_in_the_middle() {
        let tone: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.05).sin()).collect();
        let (signals, _) = Signals::of_prompt(&[tone], true, -24.0).unwrap();
        assert!(signals.side.iter().all(|x| *x == 0.0) && signals.side.len() == 1000);
    }
}
