//! [`crate::native::attention`] by AVX-512, so that what is added to stays in registers and caches are read as they lie.

use crate::native::WIDE;
use std::arch::x86_64::*;

/// Halves of which one register is made.
type Halves = [u16; WIDE];

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) fn ask512<const H: usize>(q: &[f32], keys: &[u16], size: usize, scores: &mut [f32]) {
    let stride = scores.len() / H;
    let tiles = keys.as_chunks::<WIDE>().0;
    let mut questions = [&q[..size]; H];
    for h in 0..H {
        questions[h] = &q[h * size..][..size];
    }
    let mut tile = 0;
    // Two at once: more sums hide how long each takes.
    while (tile + 2) * size <= tiles.len() {
        let (one, two) = tiles[tile * size..][..2 * size].split_at(size);
        let mut sums = [[_mm512_setzero_ps(); 2]; H];
        for d in 0..size {
            let (one, two) = (single(&one[d]), single(&two[d]));
            for h in 0..H {
                let by = _mm512_set1_ps(questions[h][d]);
                sums[h][0] = _mm512_fmadd_ps(by, one, sums[h][0]);
                sums[h][1] = _mm512_fmadd_ps(by, two, sums[h][1]);
            }
        }
        for h in 0..H {
            put(&mut scores[h * stride + tile * WIDE..], sums[h][0]);
            put(&mut scores[h * stride + (tile + 1) * WIDE..], sums[h][1]);
        }
        tile += 2;
    }
    if (tile + 1) * size <= tiles.len() {
        let mut sums = [_mm512_setzero_ps(); H];
        for d in 0..size {
            let keys = single(&tiles[tile * size + d]);
            for h in 0..H {
                sums[h] = _mm512_fmadd_ps(_mm512_set1_ps(questions[h][d]), keys, sums[h]);
            }
        }
        for h in 0..H {
            put(&mut scores[h * stride + tile * WIDE..], sums[h]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) fn answer512<const H: usize>(
    values: &[u16],
    scores: &[f32],
    size: usize,
    shares: &[f32; H],
    mixed: &mut [f32],
) {
    // Of all heads together at most 16 sums, half of the registers.
    let mut part = 0;
    while part < size / WIDE {
        let left = size / WIDE - part;
        let parts = if H <= 4 && left >= 4 {
            parts512::<H, 4>(values, scores, size, shares, mixed, part)
        } else if left >= 2 {
            parts512::<H, 2>(values, scores, size, shares, mixed, part)
        } else {
            parts512::<H, 1>(values, scores, size, shares, mixed, part)
        };
        part += parts;
    }
}

/// The sixteens of each value from `part` on, P of them; returns P.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn parts512<const H: usize, const P: usize>(
    values: &[u16],
    scores: &[f32],
    size: usize,
    shares: &[f32; H],
    mixed: &mut [f32],
    part: usize,
) -> usize {
    let stride = scores.len() / H;
    let total = values.len() / size;
    let mut weights = [&scores[..total]; H];
    for h in 0..H {
        weights[h] = &scores[h * stride..][..total];
    }
    let mut sums = [[_mm512_setzero_ps(); P]; H];
    for (position, value) in values.chunks_exact(size).enumerate() {
        let Some(value) = value.as_chunks::<WIDE>().0[part..].first_chunk::<P>() else { continue };
        let mut wide = [_mm512_setzero_ps(); P];
        for p in 0..P {
            wide[p] = single(&value[p]);
        }
        for h in 0..H {
            let by = _mm512_set1_ps(weights[h][position]);
            for p in 0..P {
                sums[h][p] = _mm512_fmadd_ps(by, wide[p], sums[h][p]);
            }
        }
    }
    for h in 0..H {
        let share = _mm512_set1_ps(shares[h]);
        for p in 0..P {
            put(&mut mixed[h * size + (part + p) * WIDE..], _mm512_mul_ps(sums[h][p], share));
        }
    }
    P
}

#[inline]
#[target_feature(enable = "avx512f")]
fn single(halves: &Halves) -> __m512 {
    // SAFETY: 16 halves, wherever they lie.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(halves.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn put(to: &mut [f32], sixteen: __m512) {
    // SAFETY: there is room for 16 values, wherever they lie.
    unsafe { _mm512_storeu_ps(to[..WIDE].as_mut_ptr(), sixteen) };
}
