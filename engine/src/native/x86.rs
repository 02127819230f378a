//! Products by AVX-512 VNNI, and by AVX2 (`avx2`). Each kind is used only where [`Processor`](super::Processor) has found what it needs.
#![allow(clippy::needless_range_loop, reason = "several arrays side by side, by the same numbers")]

mod attention;
mod avx2;

#[cfg(test)]
pub(super) use avx2::as_avx512_writes_it;
pub(super) use avx2::{Avx2, AvxVnni};

use super::matrix::{BLOCK, Isa, LINES, Line, Matrix, Quads, Quantised, TILE, bits, scale};
use super::{WIDE, Work, dense};
use std::arch::x86_64::*;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) fn on_avx512(work: impl Work) {
    work.on::<Avx512>();
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(super) fn on_avx_vnni(work: impl Work) {
    work.on::<AvxVnni>();
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn on_avx2(work: impl Work) {
    work.on::<Avx2>();
}

/// AVX-512 with VNNI; only where [`crate::native::Processor`] has found it.
#[derive(Debug)]
pub(super) struct Avx512;

impl Isa for Avx512 {
    const FUSED: bool = true;

    #[inline(always)]
    fn product<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]) {
        // SAFETY: this type is used only where the processor has been found to have these features.
        unsafe { product512::<R>(m, tile, x, row, y) }
    }

    #[inline(always)]
    fn bytes<const R: usize>(
        rows: &[&[f32]; R],
        bytes: &[[[i8; WIDE]; dense::BLOCK]],
        scales: &[[f32; WIDE]],
        sums: &mut [[f32; WIDE]; R],
    ) {
        // SAFETY: as above.
        unsafe { bytes512(rows, bytes, scales, sums) }
    }

    #[inline(always)]
    fn quantise(x: &[f32; BLOCK], quads: &mut Quads) -> (f32, i32) {
        // SAFETY: as above.
        unsafe { quantise512(x, quads) }
    }

    #[inline(always)]
    fn ask<const H: usize>(q: &[f32], keys: &[u16], size: usize, scores: &mut [f32]) {
        // SAFETY: as above.
        unsafe { attention::ask512::<H>(q, keys, size, scores) }
    }

    #[inline(always)]
    fn answer<const H: usize>(values: &[u16], scores: &[f32], size: usize, shares: &[f32; H], mixed: &mut [f32]) {
        // SAFETY: as above.
        unsafe { attention::answer512::<H>(values, scores, size, shares, mixed) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn quantise512(x: &[f32; BLOCK], quads: &mut Quads) -> (f32, i32) {
    // SAFETY: twice 16 numbers, wherever they lie.
    let (first, second) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(BLOCK / 2))) };
    let (one, two) = (_mm512_abs_ps(first), _mm512_abs_ps(second));
    // Their sum is no number, or infinite, if one of them is.
    let finite = _mm512_reduce_add_ps(_mm512_add_ps(one, two)).is_finite();
    let (scale, by) = scale(_mm512_reduce_max_ps(_mm512_max_ps(one, two)), finite);
    let by = _mm512_set1_ps(by);
    // To the nearest, ties to even, as long as nobody has set the processor otherwise.
    let (first, second) = (_mm512_cvtps_epi32(_mm512_mul_ps(first, by)), _mm512_cvtps_epi32(_mm512_mul_ps(second, by)));
    let to = quads.as_flattened_mut();
    // SAFETY: twice room for 16 bytes, wherever it lies.
    unsafe {
        _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(first));
        _mm_storeu_si128(to.as_mut_ptr().add(BLOCK / 2).cast(), _mm512_cvtepi32_epi8(second));
    }
    (scale, _mm512_reduce_add_epi32(_mm512_add_epi32(first, second)).wrapping_mul(-128))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn product512<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]) {
    let mut sums = [_mm512_setzero_ps(); R];
    for (lines, (quads, by, excess)) in m.tile(tile).iter().zip(x.together::<R>(row)) {
        if R >= MANY {
            for line in lines {
                // Nothing is read: what lies behind the last tile is as good.
                _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().wrapping_add(AHEAD * LINES * 64).cast());
            }
        }
        let mut dots = [_mm512_setzero_si512(); R];
        for r in 0..R {
            dots[r] = _mm512_set1_epi32(excess[r]);
        }
        for quad in 0..BLOCK / 4 {
            let weights = whole(&lines[quad]);
            for r in 0..R {
                let values = _mm512_set1_epi32(bits(quads[r][quad]));
                dots[r] = _mm512_dpbusd_epi32(dots[r], weights, values);
            }
        }
        let scales = _mm512_castsi512_ps(whole(&lines[LINES - 1]));
        for r in 0..R {
            let both = _mm512_mul_ps(scales, _mm512_set1_ps(by[r]));
            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r]), both, sums[r]);
        }
    }
    for r in 0..R {
        let to = &mut y[(row + r) * m.outputs + tile * TILE..][..TILE];
        // SAFETY: there is room for 16 values, wherever they lie.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), sums[r]) };
    }
}

/// From so many rows on the processor does not fetch what comes next early enough by itself.
const MANY: usize = 8;
/// Blocks ahead.
const AHEAD: usize = 8;

/// [`dense::bytes`], so that what is added to stays in registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn bytes512<const R: usize>(
    rows: &[&[f32]; R],
    bytes: &[[[i8; WIDE]; dense::BLOCK]],
    scales: &[[f32; WIDE]],
    sums: &mut [[f32; WIDE]; R],
) {
    let mut totals = [_mm512_setzero_ps(); R];
    for (block, (bytes, scales)) in bytes.iter().zip(scales).enumerate() {
        let mut parts = [_mm512_setzero_ps(); R];
        let mut values = [&[0.0_f32; dense::BLOCK]; R];
        for r in 0..R {
            if let Some(found) = rows[r][block * dense::BLOCK..].first_chunk() {
                values[r] = found;
            }
        }
        for input in 0..dense::BLOCK {
            // SAFETY: 16 bytes, wherever they lie.
            let weights = unsafe { _mm_loadu_si128(bytes[input].as_ptr().cast()) };
            let weights = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(weights));
            for r in 0..R {
                parts[r] = _mm512_fmadd_ps(weights, _mm512_set1_ps(values[r][input]), parts[r]);
            }
        }
        // SAFETY: 16 numbers, wherever they lie.
        let scales = unsafe { _mm512_loadu_ps(scales.as_ptr()) };
        for r in 0..R {
            totals[r] = _mm512_fmadd_ps(parts[r], scales, totals[r]);
        }
    }
    for r in 0..R {
        // SAFETY: there is room for 16 values, wherever they lie.
        unsafe { _mm512_storeu_ps(sums[r].as_mut_ptr(), totals[r]) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn whole(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes at a multiple of 64.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}
