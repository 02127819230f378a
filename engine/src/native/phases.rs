//! Levels to spectra: the phases that are made where a codec that keeps none is played. Twin of `training/segue_training/phases.py`, where
//! what is done and why is said.

use super::forward::sized;
use super::maths::exp;
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
    ahead: Vec<f32>,
    phase: Vec<f32>,
    top: Vec<usize>,
    other: Vec<usize>,
    of_band: Vec<[f32; 2]>,
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
        let Scratch { sharp, across, ahead, phase: next_phase, top, other, of_band } = scratch;
        for (steady, level) in steady.iter_mut().zip(here.iter()) {
            let louder = level - *steady;
            *steady = if louder > rules.risen { *level } else { *steady + rules.steady * louder };
        }
        let (sharp, ahead) = (sized(sharp, bins), sized(ahead, bins));
        for bin in 0..bins {
            let (below, above) = (steady[bin.saturating_sub(1)], steady[(bin + 1).min(bins - 1)]);
            ahead[bin] = (above - below) * (rules.per_slope / 2.0) + self.middle[bin];
            sharp[bin] = steady[bin] + rules.sharper * (steady[bin] + steady[bin] - below - above);
        }
        // Where phases lie across a sub-frame, from its lowest bin on.
        let across = sized(across, bins);
        let mut sum = 0.0;
        let mut rise = -rules.per_rise / 2.0 * (mid[0].clamp(0.0, rules.highest) - before[0]);
        across[0] = 0.0;
        for bin in 1..bins {
            let next = -rules.per_rise / 2.0 * (mid[bin].clamp(0.0, rules.highest) - before[bin]);
            sum += wrapped::<I>((next + rise) * 0.5);
            across[bin] = sum;
            rise = next;
        }
        tops(sharp, rules.doublings, top, other);
        next_phase.resize(bins, 0.0);
        for bin in 0..bins {
            let top = top[bin];
            let struck = here[top] - before[top] > rules.struck;
            let moved = if struck { across[bin] } else { phase[top] + ahead[top] + (across[bin] - across[top]) };
            next_phase[bin] = wrapped::<I>(moved);
        }
        std::mem::swap(phase, next_phase);
        of_band.clear();
        of_band.extend(
            last_coherence.iter().zip(&self.ahead).map(|(c, ahead)| [*c, (1.0 - c * c).max(0.0).sqrt() * ahead]),
        );
        let [to_mid, to_side] = spectra;
        let (to_mid, to_side) = (to_mid.as_chunks_mut::<2>().0, to_side.as_chunks_mut::<2>().0);
        for bin in 0..bins {
            let (sine, cosine) = phase[bin].sin_cos();
            let (sine, cosine) = (sine * self.sign[bin], cosine * self.sign[bin]);
            let loud = (exp::<I>(here[bin]) - 1.0) * rules.floor;
            to_mid[bin] = [loud * cosine, loud * sine];
            let [along, across] = of_band[self.band[bin]];
            let wide = (exp::<I>(last_side[bin]) - 1.0) * rules.floor;
            to_side[bin] = [wide * (along * cosine - across * sine), wide * (along * sine + across * cosine)];
        }
        std::mem::swap(before, here);
        for (to, from) in here.iter_mut().zip(mid) {
            *to = from.clamp(0.0, rules.highest);
        }
        for (to, from) in last_side.iter_mut().zip(side) {
            *to = from.clamp(0.0, rules.highest);
        }
        last_coherence.copy_from_slice(coherence);
    }
}

/// Of each bin the top of the hill that it lies on.
#[inline(always)]
fn tops(levels: &[f32], doublings: usize, top: &mut Vec<usize>, other: &mut Vec<usize>) {
    let bins = levels.len();
    top.clear();
    top.extend((0..bins).map(|bin| {
        let low = levels[0] - 1e3;
        let level = levels[bin];
        let below = if bin > 0 { levels[bin - 1] } else { low };
        let above = if bin + 1 < bins { levels[bin + 1] } else { low };
        let down = below > level && below >= above;
        if down {
            bin - 1
        } else if above > level {
            bin + 1
        } else {
            bin
        }
    }));
    other.resize(bins, 0);
    for _ in 0..doublings {
        for (to, from) in other.iter_mut().zip(top.iter()) {
            *to = top[*from];
        }
        std::mem::swap(top, other);
    }
}
