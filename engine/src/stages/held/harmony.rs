//! In its prompt's key.

use crate::pack::manifest::{Density as Notes, Harmony as Spec};

/// How well each pitch class fits a key, from its tonic on (Krumhansl and Kessler 1982).
const MAJOR: [f32; 12] = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
const MINOR: [f32; 12] = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];

/// By how much the logit of each note is raised behind a prompt of these (counted from the first token that is a note).
pub(super) fn tilt(notes: &Notes, spec: &Spec, heard: impl Iterator<Item = usize>) -> Vec<f32> {
    let pitch_class = |note: usize| (usize::from(spec.lowest) + note / spec.levels) % 12;
    let all = usize::from(notes.notes[1] - notes.notes[0]);
    let mut shares = [0.0_f32; 12];
    heard.for_each(|note| shares[pitch_class(note)] += 1.0);
    let total: f32 = shares.iter().sum();
    if shares.iter().all(|share| *share == shares[0]) {
        return vec![0.0; all];
    }
    shares.iter_mut().for_each(|share| *share /= total);
    let keys = [MAJOR, MINOR].into_iter().flat_map(|profile| (0..12).map(move |tonic| in_key(profile, tonic)));
    let key = keys.max_by(|a, b| alike(a, &shares).total_cmp(&alike(b, &shares))).unwrap_or(shares);
    let mut wanted = [0.0_f32; 12];
    for (wanted, (share, key)) in wanted.iter_mut().zip(shares.iter().zip(key)) {
        *wanted = (1.0 - spec.profile) * share + spec.profile * key + spec.floor;
    }
    let most = wanted.into_iter().fold(0.0, f32::max);
    (0..all).map(|note| spec.gain * (wanted[pitch_class(note)] / most).ln()).collect()
}

/// The share of each pitch class in a key.
fn in_key(mut profile: [f32; 12], tonic: usize) -> [f32; 12] {
    profile.rotate_right(tonic);
    let sum: f32 = profile.iter().sum();
    profile.map(|fit| fit / sum)
}

/// Pearson's correlation of two shares, but for the length of `b`, which is the same whatever it is compared with.
fn alike(a: &[f32; 12], b: &[f32; 12]) -> f32 {
    let mean = 1.0 / 12.0;
    let (mut product, mut length) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        product += (a - mean) * (b - mean);
        length += (a - mean) * (a - mean);
    }
    product / length.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: Notes = Notes { notes: [1, 25], codebooks: 2, seconds: 2.0, share: 1.0, gain: 1.0, most: 1.5 };
    const SPEC: Spec = Spec { lowest: 60, levels: 1, gain: 0.5, profile: 0.0, floor: 0.01 };

    #[test]
    fn notes_that_are_not_in_the_prompt_are_rarer_whatever_their_octave() {
        // C twice, E once, in any octave.
        let found = tilt(&NOTES, &SPEC, [0, 12, 4].into_iter());
        assert_eq!((found[0], found[12], found.len()), (0.0, 0.0, 24));
        let rarer = |share: f32| 0.5 * ((share + 0.01) / (2.0 / 3.0 + 0.01)).ln();
        assert!((found[4] - rarer(1.0 / 3.0)).abs() < 1e-6 && (found[1] - rarer(0.0)).abs() < 1e-6);
        // A minor third above C and a fifth: what else C minor has is likelier than what it has not.
        let minor = tilt(&NOTES, &Spec { profile: 0.5, ..SPEC }, [0, 3, 7].into_iter());
        assert!(minor[8] > minor[9] && minor[10] > minor[11] && minor[3] > minor[4]);
        assert!(tilt(&NOTES, &SPEC, std::iter::empty()).iter().all(|tilt| *tilt == 0.0));
        // Two levels a key: tokens beside each other are the same key.
        let levels = tilt(&NOTES, &Spec { levels: 2, ..SPEC }, [0, 1, 9].into_iter());
        assert!(levels[0] == levels[1] && levels[8] == levels[9] && levels[1] > levels[2]);
    }
}
