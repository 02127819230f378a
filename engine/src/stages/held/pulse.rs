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
/// Of a song's quarter note.
const PARTS: std::ops::RangeInclusive<u32> = 1..=8;
/// A prompt is in time with its song if a part of its quarter lasts nearly as long as the beat that is heard, and the prompt lies on
/// that nearly as well.
const AS_LONG: f64 = 0.04;
const AS_WELL: f64 = 0.85;

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
    /// The beat is its song's: it stays where the prompt has it, whatever is played.
    in_song: bool,
}

impl Pulse {
    /// At the end of a prompt of so many notes in each frame, of which there are `rate` a second, in a song of this `tempo`.
    pub(super) fn new(spec: &Spec, rate: f32, struck: &[usize], tempo: Option<f64>) -> Self {
        let rate = f64::from(rate);
        let moments = struck.iter().enumerate().filter(|(_, notes)| **notes > 0);
        let moments: Vec<f64> = moments.map(|(frame, _)| frame as f64 / rate).collect();
        let fade = (-1.0 / (f64::from(spec.seconds) * rate).max(1.0)).exp();
        let heard = period(&moments);
        let song = heard.zip(tempo).and_then(|(heard, tempo)| of_song(&moments, heard, tempo));
        let (sin, cos) = song.or(heard).map_or((0.0, 0.0), |period| (TAU / (period * rate)).sin_cos());
        let turn = if heard.is_some() { (fade * cos, fade * sin) } else { (0.0, 0.0) };
        let mut pulse = Self { gain: spec.gain, turn, fade, beats: (0.0, 0.0), all: 0.0, in_song: false };
        struck.iter().for_each(|struck| pulse.hear(*struck));
        if song.is_some() {
            (pulse.turn, pulse.fade, pulse.in_song) = ((cos, sin), 1.0, true);
        }
        pulse
    }

    /// How many notes are struck in the next frame.
    pub(super) fn hear(&mut self, struck: usize) {
        let some = if self.in_song { 0.0 } else { struck.min(1) as f64 };
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

/// The part of a quarter note of this tempo that a beat heard in these moments is; none if they are not in time with it.
fn of_song(moments: &[f64], heard: f64, tempo: f64) -> Option<f64> {
    let quarter = Some(60.0 / tempo).filter(|quarter| quarter.is_finite() && *quarter > 0.0)?;
    let fits =
        |part: &f64| (part / heard - 1.0).abs() <= AS_LONG && pull(moments, *part) >= AS_WELL * pull(moments, heard);
    PARTS.map(|parts| quarter / f64::from(parts)).find(fits)
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
        let mut pulse = Pulse::new(&SPEC, 25.0, &struck, None);
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

    /// Eighths of a quarter note of so many bpm for 4 s, in frames of 40 ms.
    fn eighths(tempo: f64) -> Vec<usize> {
        let mut struck = vec![0; 100];
        for beat in 0..((4.0 * tempo / 30.0) as usize) {
            struck[(beat as f64 * 30.0 / tempo * 25.0) as usize] = 1;
        }
        struck
    }

    /// Where the lowest calm is within a beat of so many frames, a minute on: 0 on it, 0.5 between two.
    fn late(mut pulse: Pulse, frames: f64, wanders: impl Fn(usize) -> bool) -> f64 {
        (100..1600).for_each(|t| pulse.hear(usize::from(wanders(t))));
        let (mut re, mut im) = (0.0, 0.0);
        for t in 1600..1900 {
            let (sin, cos) = (TAU * t as f64 / frames).sin_cos();
            let calm = f64::from(pulse.calm(1.0));
            (re, im) = (re - calm * cos, im - calm * sin);
            pulse.hear(usize::from(wanders(t)));
        }
        im.atan2(re) / TAU
    }

    #[test]
    fn a_prompt_in_time_with_its_song_stays_there_whatever_is_played() {
        let (struck, frames) = (eighths(118.0), 25.0 * 30.0 / 118.0);
        let on = late(Pulse::new(&SPEC, 25.0, &struck, Some(118.0)), frames, |t| t % 6 == 0);
        assert!(on.abs() < 0.15, "{on} of a beat late");
        // By what is heard alone the beat goes where it is played.
        let astray = |t| ((t as f64 / frames).rem_euclid(1.0) - 0.5).abs() < 0.5 / frames;
        assert!(late(Pulse::new(&SPEC, 25.0, &struck, None), frames, astray).abs() > 0.35);
        assert!(late(Pulse::new(&SPEC, 25.0, &struck, Some(118.0)), frames, astray).abs() < 0.15);
        // In another time than its song's: as without one.
        for tempo in [100.0, 131.0, 0.0, f64::NAN, f64::INFINITY] {
            let calm = |tempo| Pulse::new(&SPEC, 25.0, &struck, tempo).calm(1.0);
            assert_eq!(calm(Some(tempo)), calm(None), "{tempo}");
            assert!(late(Pulse::new(&SPEC, 25.0, &struck, Some(tempo)), frames, astray).abs() > 0.35, "{tempo}");
        }
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
        assert_eq!(Pulse::new(&SPEC, 25.0, &[0; 50], Some(120.0)).calm(1.0), 0.0);
        assert_eq!(Pulse::new(&SPEC, 25.0, &[1, 0, 1], Some(120.0)).calm(1.0), 0.0);
    }
}
