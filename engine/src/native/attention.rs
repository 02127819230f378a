//! Attention of one position to all before it: heads of questions that share keys and values, these of half precision. Keys lie
//! [positions / 16, size, 16], values [positions, size].

use super::WIDE;
use super::forward::{add_times, sized};
use super::maths::{exponentials, from_half};
use super::matrix::Isa;

/// H heads of questions that share keys and values, over `total` positions.
#[inline(always)]
pub(super) fn mix<I: Isa, const H: usize>(
    q: &[f32],
    keys: &[u16],
    values: &[u16],
    size: usize,
    total: usize,
    scores: &mut Vec<f32>,
    mixed: &mut [f32],
) {
    let stride = total.next_multiple_of(WIDE);
    let scores = sized(scores, H * stride);
    I::ask::<H>(&q[..H * size], &keys[..stride * size], size, scores);
    let mut shares = [0.0; H];
    for (scores, share) in scores.chunks_exact_mut(stride).zip(&mut shares) {
        let sum = exponentials::<I>(&mut scores[..total]);
        *share = 1.0 / sum;
    }
    I::answer::<H>(&values[..total * size], scores, size, &shares, &mut mixed[..H * size]);
}

/// How well each key answers each head's question, into `scores` [H, positions], of which there is a multiple of 16.
#[inline(always)]
pub(super) fn ask<I: Isa, const H: usize>(q: &[f32], keys: &[u16], size: usize, scores: &mut [f32]) {
    let stride = scores.len() / H;
    for (tile, keys) in keys.chunks_exact(size * WIDE).enumerate() {
        let mut sums = [[0.0_f32; WIDE]; H];
        for (d, keys) in keys.as_chunks::<WIDE>().0.iter().enumerate() {
            let keys = wide(keys);
            for h in 0..H {
                add_times::<I>(&mut sums[h], &keys, q[h * size + d]);
            }
        }
        for (h, sums) in sums.iter().enumerate() {
            scores[h * stride + tile * WIDE..][..WIDE].copy_from_slice(sums);
        }
    }
}

/// The values, each as often as its score says, times the head's share: into `mixed` [H, size].
#[inline(always)]
pub(super) fn answer<I: Isa, const H: usize>(
    values: &[u16],
    scores: &[f32],
    size: usize,
    shares: &[f32; H],
    mixed: &mut [f32],
) {
    let (stride, total) = (scores.len() / H, values.len() / size);
    for part in 0..size / WIDE {
        // Every second position by itself: more sums at once hide how long each takes.
        let (mut sums, mut others) = ([[0.0_f32; WIDE]; H], [[0.0_f32; WIDE]; H]);
        let mut position = 0;
        while position + 1 < total {
            let at = position * size + part * WIDE;
            let (one, two) = (wide(sixteen(values, at)), wide(sixteen(values, at + size)));
            for h in 0..H {
                add_times::<I>(&mut sums[h], &one, scores[h * stride + position]);
                add_times::<I>(&mut others[h], &two, scores[h * stride + position + 1]);
            }
            position += 2;
        }
        if position < total {
            let value = wide(sixteen(values, position * size + part * WIDE));
            for h in 0..H {
                add_times::<I>(&mut sums[h], &value, scores[h * stride + position]);
            }
        }
        for h in 0..H {
            let to = &mut mixed[h * size + part * WIDE..][..WIDE];
            for ((to, sum), other) in to.iter_mut().zip(&sums[h]).zip(&others[h]) {
                *to = (sum + other) * shares[h];
            }
        }
    }
}

/// Numbers of half precision.
#[inline(always)]
fn wide(halves: &[u16; WIDE]) -> [f32; WIDE] {
    let mut wide = [0.0; WIDE];
    for i in 0..WIDE {
        wide[i] = from_half(halves[i]);
    }
    wide
}

/// The 16 values from `at` on.
#[inline(always)]
fn sixteen(values: &[u16], at: usize) -> &[u16; WIDE] {
    const NONE: &[u16; WIDE] = &[0; WIDE];
    values[at..].first_chunk().unwrap_or(NONE)
}
