//! Levels to spectra: the phases that are made where a codec that keeps none is played. Twin of `training/segue_training/phases.py`, where
//! what is done and why is said.

use super::forward::sized;
use super::maths::{exp, sin_cos};
use super::matrix::Isa;
use super::{Complaint, Source};
use std::f32::consts::TAU;

/// Its numbers, as the graph's metadata has them; see the constants of the same names in `phases.py`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    floor: f32,
    highest: f32,
    per_slope: f32,
    per_rise: f32,
    steady: f32,
    risen: f32,
    struck: f32,
    sharper: f32,
    doublings: usize,
}

/// What does not change while it runs.
#[derive(Debug)]
pub(super) struct Phases {
    rules: Rules,
    pub(super) bins: usize,
    pub(super) bands: usize,
    middle: Vec<f32>,
    sign: Vec<f32>,
    /// Of each bin.
    band: Vec<usize>,
    /// Of each band.
    ahead: Vec<f32>,
}

impl Phases {
    pub(super) fn read(from: &Source<'_>, rules: Rules) -> Result<Self, Complaint> {
        let (middle, sign) = (from.numbers("phase.middle")?, from.numbers("phase.sign")?);
        let ahead = from.numbers("phase.ahead")?;
        let band: Vec<usize> =
            from.integers("phase.band")?.iter().map(|b| usize::try_from(*b).unwrap_or(usize::MAX)).collect();
        let (bins, bands) = (middle.len(), ahead.len());
        let fits = bins > 2 && sign.len() == bins && band.len() == bins && band.iter().all(|b| *b < bands);
        if !fits || rules.doublings > 12 {
            return Err(Source::wrong("phase.middle", "as many as the others of phase"));
        }
        Ok(Self { rules, bins, bands, middle, sign, band, ahead })
    }
}

/// What the next sub-frames need of those before; all zero at the start of a stream.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Levels of the last two sub-frames, the older first.
    mid: [Vec<f32>; 2],
    side: Vec<f32>,
    coherence: Vec<f32>,
    steady: Vec<f32>,
    phase: Vec<f32>,
    scratch: Scratch,
}

#[derive(Debug, Clone, Default)]
struct Scratch {
    sharp: Vec<f32>,
    across: Vec<f32>,
    /// Of each bin: where its phase will be if nothing is struck, and what is to be taken from `across` there.
    moved: Vec<f32>,
    from: Vec<f32>,
    top: Vec<u32>,
    of_band: Vec<[f32; 2]>,
    /// How far the side's phase lies from the mid's, as its cosine and sine.
    turn: [Vec<f32>; 2],
}

impl State {
    pub(super) fn new(phases: &Phases) -> Self {
        let silent = || vec![0.0; phases.bins];
        Self {
            mid: [silent(), silent()],
            side: silent(),
            coherence: vec![0.0; phases.bands],
            steady: silent(),
            phase: silent(),
            scratch: Scratch::default(),
        }
    }
}

#[inline(always)]
fn wrapped<I: Isa>(phase: f32) -> f32 {
    I::fma(-TAU, (phase * (1.0 / TAU) + 0.5).floor(), phase)
}

impl Phases {
    /// One sub-frame's levels and coherence → the spectra [bins, 2] of the sub-frame before it.
    #[inline(always)]
    pub(super) fn step<I: Isa>(
        &self,
        s: &mut State,
        mid: &[f32],
        side: &[f32],
        coherence: &[f32],
        spectra: [&mut [f32]; 2],
    ) {
        let (rules, bins) = (&self.rules, self.bins);
        let State { mid: [before, here], side: last_side, coherence: last_coherence, steady, phase, scratch } = s;
        let Scratch { sharp, across, moved, from, top, of_band, turn: [along, aside] } = scratch;
        // All of one length, so that a compiler need not look at each bin whether it is there.
        let (mid, side) = (&mid[..bins], &side[..bins]);
        let (before, here, last_side) = (&mut before[..bins], &mut here[..bins], &mut last_side[..bins]);
        let (steady, phase) = (&mut steady[..bins], &mut phase[..bins]);
        let (sharp, across) = (sized(sharp, bins), sized(across, bins));
        let (moved, from) = (sized(moved, bins), sized(from, bins));
        let (along, aside) = (sized(along, bins), sized(aside, bins));
        for bin in 0..bins {
            let louder = here[bin] - steady[bin];
            steady[bin] = if louder > rules.risen { here[bin] } else { steady[bin] + rules.steady * louder };
        }
        // Where phases lie across a sub-frame, from its lowest bin on: how far each bin rises, then the sums.
        for bin in 0..bins {
            from[bin] = -rules.per_rise / 2.0 * (mid[bin].clamp(0.0, rules.highest) - before[bin]);
        }
        across[0] = 0.0;
        for bin in 1..bins {
            across[bin] = wrapped::<I>((from[bin] + from[bin - 1]) * 0.5);
        }
        let mut sum = 0.0;
        for across in across.iter_mut() {
            sum += *across;
            *across = sum;
        }
        for bin in 1..bins - 1 {
            self.look(steady, bin, [bin - 1, bin + 1], sharp, moved);
        }
        self.look(steady, 0, [0, 1], sharp, moved);
        self.look(steady, bins - 1, [bins - 2, bins - 1], sharp, moved);
        for bin in 0..bins {
            // What is struck begins anew.
            let goes_on = here[bin] - before[bin] <= rules.struck;
            moved[bin] = if goes_on { phase[bin] + moved[bin] } else { 0.0 };
            from[bin] = if goes_on { across[bin] } else { 0.0 };
        }
        tops(sharp, 1 << rules.doublings, top);
        for bin in 0..bins {
            let top = top[bin] as usize;
            phase[bin] = moved[top] + (across[bin] - from[top]);
        }
        of_band.clear();
        of_band.extend(
            last_coherence.iter().zip(&self.ahead).map(|(c, ahead)| [*c, (1.0 - c * c).max(0.0).sqrt() * ahead]),
        );
        for bin in 0..bins {
            [along[bin], aside[bin]] = of_band[self.band[bin]];
        }
        let [to_mid, to_side] = spectra;
        let (to_mid, to_side) =
            (&mut to_mid.as_chunks_mut::<2>().0[..bins], &mut to_side.as_chunks_mut::<2>().0[..bins]);
        let sign = &self.sign[..bins];
        for bin in 0..bins {
            phase[bin] = wrapped::<I>(phase[bin]);
            let (sine, cosine) = sin_cos::<I>(phase[bin]);
            let (sine, cosine) = (sine * sign[bin], cosine * sign[bin]);
            let loud = (exp::<I>(here[bin]) - 1.0) * rules.floor;
            to_mid[bin] = [loud * cosine, loud * sine];
            let wide = (exp::<I>(last_side[bin]) - 1.0) * rules.floor;
            let (along, aside) = (along[bin] * wide, aside[bin] * wide);
            to_side[bin] = [along * cosine - aside * sine, along * sine + aside * cosine];
        }
        for bin in 0..bins {
            (before[bin], here[bin]) = (here[bin], mid[bin].clamp(0.0, rules.highest));
            last_side[bin] = side[bin].clamp(0.0, rules.highest);
        }
        last_coherence.copy_from_slice(coherence);
    }

    /// Of a bin and its neighbours: its level with its bend, and how far it turns.
    #[inline(always)]
    fn look(&self, steady: &[f32], bin: usize, [below, above]: [usize; 2], sharp: &mut [f32], ahead: &mut [f32]) {
        let (level, below, above) = (steady[bin], steady[below], steady[above]);
        ahead[bin] = (above - below) * (self.rules.per_slope / 2.0) + self.middle[bin];
        sharp[bin] = level + self.rules.sharper * (level + level - below - above);
    }
}

/// Of each bin the top of the hill that it lies on, if that is at most so many bins away; otherwise the bin so far up.
#[inline(always)]
fn tops(levels: &[f32], furthest: u32, top: &mut Vec<u32>) {
    let bins = levels.len();
    top.resize(bins, 0);
    // Whether the next bin up lies below or above: first those that climb down to lower bins, then the others.
    let down = |bin: usize| {
        bin > 0 && levels[bin - 1] > levels[bin] && (bin + 1 == bins || levels[bin - 1] >= levels[bin + 1])
    };
    let mut steps = 0;
    for (bin, top) in top.iter_mut().enumerate() {
        steps = if down(bin) { steps + 1 } else { 0 };
        *top = bin as u32 - steps.min(furthest);
    }
    steps = 0;
    for bin in (0..bins).rev() {
        let up = bin + 1 < bins && levels[bin + 1] > levels[bin] && !down(bin);
        steps = if up { steps + 1 } else { 0 };
        if up {
            top[bin] = bin as u32 + steps.min(furthest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tops;

    #[test]
    fn hills_are_climbed_from_both_sides_and_no_further_than_is_allowed() {
        let rising: Vec<f32> = (0..200).map(|bin| bin as f32).collect();
        let falling: Vec<f32> = rising.iter().rev().copied().collect();
        let mut top = Vec::new();
        tops(&rising, 64, &mut top);
        assert_eq!((top[0], top[135], top[150], top[199]), (64, 199, 199, 199));
        tops(&falling, 64, &mut top);
        assert_eq!((top[0], top[50], top[64], top[199]), (0, 0, 0, 135));
        // Of two neighbours the louder one; of two alike the lower bin; what is level stays where it is.
        tops(&[3.0, 1.0, 2.0, 2.0, 5.0, 1.0, 5.0], 64, &mut top);
        assert_eq!(top, [0, 0, 2, 4, 4, 4, 6]);
    }
}
