//! Measuring what was heard: when the continuation set in, where it broke off, how loud it is.

/// What the plugin added to its input: the continuation as it was heard.
#[must_use]
pub fn wet(heard: &[Vec<f32>; 2], input: &[Vec<f32>; 2]) -> [Vec<f32>; 2] {
    let minus = |out: &Vec<f32>, dry: &Vec<f32>| -> Vec<f32> {
        out.iter().enumerate().map(|(i, x)| x - dry.get(i).copied().unwrap_or(0.0)).collect()
    };
    [minus(&heard[0], &input[0]), minus(&heard[1], &input[1])]
}

/// Below this a sample is silence or the rounding of a difference.
const SILENCE: f32 = 1e-6;
/// A run of silence this long inside a continuation is a hole. A decoder never makes one; a ring run dry does.
const HOLE: usize = 48;

/// The first frame from `from` on in which something sounds.
#[must_use]
pub fn onset(planes: &[Vec<f32>; 2], from: usize) -> Option<usize> {
    (from..planes[0].len()).find(|i| planes.iter().any(|p| p[*i].abs() > SILENCE))
}

/// The last frame in which something sounds.
#[must_use]
pub fn end(planes: &[Vec<f32>; 2]) -> Option<usize> {
    (0..planes[0].len()).rev().find(|i| planes.iter().any(|p| p[*i].abs() > SILENCE))
}

/// Holes between two frames.
#[must_use]
pub fn holes(planes: &[Vec<f32>; 2], from: usize, to: usize) -> usize {
    let (mut run, mut holes) = (0, 0);
    for i in from..to.min(planes[0].len()) {
        if planes.iter().all(|p| p[i].abs() <= SILENCE) {
            run += 1;
            holes += usize::from(run == HOLE);
        } else {
            run = 0;
        }
    }
    holes
}

/// Both channels' level in dBFS.
#[must_use]
pub fn level(planes: &[Vec<f32>]) -> f64 {
    let count = planes.iter().map(Vec::len).sum::<usize>().max(1);
    let energy: f64 = planes.iter().flatten().map(|x| f64::from(*x).powi(2)).sum();
    10.0 * (energy / count as f64).max(1e-20).log10()
}

/// A stretch of both channels.
#[must_use]
pub fn cut(planes: &[Vec<f32>; 2], from: usize, to: usize) -> [Vec<f32>; 2] {
    planes
        .clone()
        .map(|p| p.get(from.min(p.len())..to.clamp(from, p.len().max(from)).min(p.len())).unwrap_or(&[]).to_vec())
}

/// Both channels as one.
#[must_use]
pub fn mono(planes: &[Vec<f32>; 2]) -> Vec<f32> {
    planes[0].iter().zip(&planes[1]).map(|(l, r)| 0.5 * (l + r)).collect()
}

/// How far `b`, moved by at most `reach` frames, is from `a`, in dB below `a`: (signal to difference, the shift).
#[must_use]
pub fn likeness(a: &[f32], b: &[f32], reach: isize) -> (f64, isize) {
    let energy: f64 = a.iter().map(|x| f64::from(*x).powi(2)).sum();
    let difference = |shift: isize, step: usize| -> f64 {
        let pairs = (0..a.len()).step_by(step).filter_map(|i| {
            let other = usize::try_from(i as isize + shift).ok().and_then(|i| b.get(i))?;
            Some(f64::from(a[i] - other).powi(2))
        });
        pairs.sum::<f64>() * step as f64
    };
    // Coarsely over a subset first, then the whole of it at the best place.
    let best = (-reach..=reach).min_by(|x, y| difference(*x, 97).total_cmp(&difference(*y, 97))).unwrap_or(0);
    (10.0 * (energy.max(1e-20) / difference(best, 1).max(1e-20)).log10(), best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<f32> {
        let mut state = 0x2545_f491_u32;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        (0..length).map(|_| draw()).collect()
    }

    #[test]
    fn holes_and_edges_are_found() {
        let mut sound = noise(1000);
        sound[..100].fill(0.0);
        sound[400..500].fill(0.0);
        sound[600..610].fill(0.0);
        let planes = [sound.clone(), sound];
        assert_eq!((onset(&planes, 0), end(&planes)), (Some(100), Some(999)));
        assert_eq!(holes(&planes, 100, 1000), 1);
    }

    #[test]
    fn a_shifted_copy_is_recognised() {
        let a = noise(5000);
        let b = [vec![0.0; 7], a.clone()].concat();
        let (db, shift) = likeness(&a, &b, 20);
        assert!(db > 100.0 && shift == 7, "{db} {shift}");
        assert!(likeness(&a, &noise(9000)[3000..], 20).0 < 3.0);
    }

    #[test]
    fn what_was_added_is_the_difference() {
        let wet = wet(&[vec![1.0, 0.5, 0.25], vec![0.0; 3]], &[vec![1.0, 0.5], vec![0.0; 2]]);
        assert_eq!(wet[0], vec![0.0, 0.0, 0.25]);
    }
}
