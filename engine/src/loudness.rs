//! Holds the loudness of what is played to its prompt's (docs/pack.md, "Loudness"). A continuation slides away, and plays on as
//! softly or loudly as it has come to; half of that is taken back here, slowly. Worker thread.

use crate::pack::manifest::Loudness as Spec;
use crate::signals::Signals;
use crate::take::{Loudness, Take};
use std::collections::VecDeque;
use std::ops::Range;

/// The gain is found for the beginning of each block and goes in a straight line from one to the next.
const BLOCK_SECONDS: f32 = 0.01;
/// Power, of the prompt's, below which nothing is told apart.
const LEAST: f32 = 1e-9;
/// Blocks that are remembered: a take may end before what has been made.
const REMEMBERED: usize = 200;

/// How a continuation that begins at this gain is held, `hold` times as closely as its pack says; none where nothing is to be done.
pub(crate) fn law(spec: Option<&Spec>, hold: f32, gain: Gain) -> Option<Loudness> {
    let Gain { before, most, .. } = gain;
    match spec.map(|spec| Loudness {
        seconds: spec.seconds,
        share: spec.share * hold,
        most: spec.most,
        before,
        after: before,
    }) {
        Some(law) if law.share > 0.0 => Some(law),
        // It stays as it is.
        _ => (before != 0.0).then_some(Loudness { seconds: 1.0, share: 0.0, most, before, after: before }),
    }
}

/// What decoded sound is multiplied by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gain {
    /// Of each channel; see [`Take::gain`].
    pub(crate) channels: [f32; 2],
    /// What a continuation begins at beyond that, in dB: that its prompt, a take, has ended at. See [`Loudness::before`].
    pub(crate) before: f32,
    /// Most of it that is heard.
    most: f32,
}

impl Gain {
    /// Of a prompt that was played.
    pub(crate) fn of_prompt(channels: [f32; 2]) -> Self {
        Self { channels, before: 0.0, most: 0.0 }
    }

    /// A take's prompt's, and what its continuation begins at.
    pub(crate) fn at_beginning(take: &Take) -> Self {
        let law = take.loudness.as_ref();
        law.map_or(Self::of_prompt(take.gain), |law| Self { channels: take.gain, before: law.before, most: law.most })
    }

    /// Where a take ends.
    pub(crate) fn at_end(take: &Take) -> Self {
        let law = take.loudness.as_ref();
        law.map_or(Self::of_prompt(take.gain), |law| Self { channels: take.gain, before: law.after, most: law.most })
    }

    /// Of each channel while it stays as it is.
    pub(crate) fn steady(self) -> [f32; 2] {
        self.channels.map(|channel| channel * factor(self.before.clamp(-self.most, self.most)))
    }
}

/// A factor of so many dB.
fn factor(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}

/// Follows one continuation from its beginning. It does not depend on how the sound is cut into pieces.
#[derive(Debug)]
pub(crate) struct Follower {
    law: Option<Loudness>,
    block: usize,
    fade: f32,
    /// The prompt's mean square.
    reference: f32,
    /// Mean square of what has been heard, in times of it.
    heard: f32,
    /// What is multiplied by where the block began, and where it ends.
    factors: [f32; 2],
    /// Of the block: samples so far, and the sum of their squares.
    samples: usize,
    sum: f64,
    /// Blocks that are over, and the gains in dB that the last ones led to.
    blocks: usize,
    recent: VecDeque<f32>,
}

impl Follower {
    /// Of sound at `rate` whose prompt was at `level_dbfs`.
    pub(crate) fn new(law: Option<Loudness>, rate: u32, level_dbfs: f32) -> Self {
        let (fade, heard, begin) = match &law {
            // What has been heard is what the gain says.
            Some(law) if law.share > 0.0 => {
                let heard = 10.0_f32.powf(-law.before / (10.0 * law.share)).clamp(LEAST, 1.0 / LEAST);
                ((BLOCK_SECONDS / law.seconds).min(1.0), heard, law.before.clamp(-law.most, law.most))
            }
            Some(law) => (0.0, 1.0, law.before.clamp(-law.most, law.most)),
            None => (0.0, 1.0, 0.0),
        };
        Self {
            block: ((BLOCK_SECONDS * rate as f32).round() as usize).max(1),
            fade,
            reference: 10.0_f32.powf(level_dbfs / 10.0),
            heard,
            factors: [factor(begin); 2],
            samples: 0,
            sum: 0.0,
            blocks: 0,
            recent: VecDeque::with_capacity(REMEMBERED),
            law,
        }
    }

    /// How a take of the first `samples` samples is held: what [`Self::new`] was given, and where that left it.
    pub(crate) fn law(&self, samples: usize) -> Option<Loudness> {
        let law = self.law.clone()?;
        let over = samples / self.block;
        let back = self.blocks.saturating_sub(over);
        let after = match self.recent.len().checked_sub(back + 1) {
            Some(place) => self.recent[place],
            None => self.recent.front().copied().unwrap_or(law.before),
        };
        Some(Loudness { after, ..law })
    }

    /// Left and right of the next samples, those of `range`, each times its gain.
    pub(crate) fn left_right(&mut self, signals: &Signals, range: Range<usize>, gain: [f32; 2]) -> [Vec<f32>; 2] {
        let mut audio = signals.left_right(range.clone(), gain);
        if self.law.is_none() {
            return audio;
        }
        let mut at = 0;
        while at < range.len() {
            let some = (self.block - self.samples).min(range.len() - at);
            let [from, to] = self.factors;
            let step = (to - from) / self.block as f32;
            for channel in &mut audio {
                for (n, x) in channel[at..at + some].iter_mut().enumerate() {
                    *x *= from + step * (self.samples + n) as f32;
                }
            }
            let next = range.start + at..range.start + at + some;
            let side = signals.side.get(next.clone()).unwrap_or(&[]);
            for x in signals.mid[next].iter().chain(side) {
                self.sum += f64::from(*x) * f64::from(*x);
            }
            self.samples += some;
            at += some;
            if self.samples == self.block {
                self.end_block();
            }
        }
        audio
    }

    /// What the block was like tells the gain at the end of the next.
    fn end_block(&mut self) {
        let power = (self.sum / self.block as f64) as f32 / self.reference;
        (self.samples, self.sum) = (0, 0.0);
        self.heard += (power - self.heard) * self.fade;
        let Some(law) = &self.law else { return };
        let steady = law.share <= 0.0;
        let gain = if steady { law.before } else { -law.share * 10.0 * self.heard.max(LEAST).log10() };
        self.factors = [self.factors[1], factor(gain.clamp(-law.most, law.most))];
        self.blocks += 1;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(gain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec { seconds: 2.0, share: 0.5, most: 6.0 };
    const RATE: u32 = 8_000;

    /// A tone of so many seconds, so many dB from the prompt's level, which is 0 dBFS.
    fn tone(seconds: usize, db: f32) -> Signals {
        let mid = (0..seconds * RATE as usize).map(|n| factor(db + 3.01) * (n as f32 * 0.3).sin()).collect();
        Signals { mid, side: Vec::new() }
    }

    fn begun(before: f32) -> Gain {
        Gain { channels: [1.0; 2], before, most: SPEC.most }
    }

    fn follower(hold: f32, before: f32) -> Follower {
        Follower::new(law(Some(&SPEC), hold, begun(before)), RATE, 0.0)
    }

    /// What it does to the ends of a tone, in dB.
    fn gain_at_end(follower: &mut Follower, tone: &Signals) -> f32 {
        let [audio, _] = follower.left_right(tone, 0..tone.len(), [1.0, 1.0]);
        let end = tone.len() - 800..tone.len();
        20.0 * (crate::signals::rms(&audio[end.clone()]) / crate::signals::rms(&tone.mid[end])).log10()
    }

    #[test]
    fn half_of_what_it_strays_is_taken_back_and_never_more_than_the_most() {
        for (db, gain) in [(0.0, 0.0), (-6.0, 3.0), (4.0, -2.0), (-40.0, 6.0), (30.0, -6.0)] {
            let found = gain_at_end(&mut follower(1.0, 0.0), &tone(20, db));
            assert!((found - gain).abs() < 0.1, "{db} dB: {found}");
        }
        assert!((gain_at_end(&mut follower(2.0, 0.0), &tone(20, -5.0)) - 5.0).abs() < 0.1);
        assert_eq!(gain_at_end(&mut follower(0.0, 0.0), &tone(20, -5.0)), 0.0);
    }

    #[test]
    fn nothing_steps_and_it_is_the_same_however_it_is_cut() {
        let quiet = tone(3, -12.0);
        let mut at_once = follower(1.0, 0.0);
        let [whole, _] = at_once.left_right(&quiet, 0..quiet.len(), [0.5, 0.5]);
        // It begins where the prompt ends.
        assert_eq!(whole[1], quiet.mid[1] * 0.5);
        let gains: Vec<f32> = whole.iter().zip(&quiet.mid).skip(1).map(|(a, b)| a / b).collect();
        assert!(gains.windows(2).all(|w| (w[1] - w[0]).abs() < 1e-4));
        let (mut pieces, mut cut, mut from) = (follower(1.0, 0.0), Vec::<f32>::new(), 0);
        for (n, size) in [1, 79, 80, 81, 1_000].into_iter().cycle().enumerate() {
            let to = (from + size + n % 3).min(quiet.len());
            cut.extend(pieces.left_right(&quiet, from..to, [0.5, 0.5])[0].iter());
            from = to;
            if from == quiet.len() {
                break;
            }
        }
        assert_eq!(cut, whole);
        assert_eq!(pieces.law(10_000), at_once.law(10_000));
    }

    #[test]
    fn what_goes_on_from_a_take_begins_where_that_ends_whatever_its_hold() {
        let quiet = tone(4, -12.0);
        let mut parent = follower(1.0, 0.0);
        let [whole, _] = parent.left_right(&quiet, 0..quiet.len(), [1.0, 1.0]);
        let asked = 20_000;
        let gain = 20.0 * (whole[asked] / quiet.mid[asked]).log10();
        let after = parent.law(asked).unwrap().after;
        assert!((after - gain).abs() < 0.05, "{after} {gain}");
        for hold in [1.0, 0.3, 2.0, 0.0] {
            let mut child = follower(hold, after);
            let [on, _] = child.left_right(&quiet, asked..asked + 2, [1.0, 1.0]);
            assert!((20.0 * (on[1] / quiet.mid[asked + 1]).log10() - gain).abs() < 0.05);
        }
        // Without a hold it stays so.
        assert!((gain_at_end(&mut follower(0.0, after), &tone(9, 5.0)) - after).abs() < 0.01);
        assert!(law(Some(&SPEC), 0.0, begun(0.0)).is_none() && law(None, 1.0, begun(0.0)).is_none());
        // What it would have been raised by is not heard all at once.
        assert!((gain_at_end(&mut follower(0.0, 20.0), &tone(1, 0.0)) - SPEC.most).abs() < 0.01);
    }
}
