//! What most laptops have: registers of 8 numbers, and 16 of them, so a tile goes through by halves.
#![allow(clippy::needless_range_loop, reason = "several arrays side by side, by the same numbers")]

use crate::native::matrix::{BLOCK, Isa, LINES, Line, Matrix, Quads, Quantised, TILE, bits, scale};
use crate::native::{WIDE, dense};
use std::arch::x86_64::*;

/// A kind of processor with registers of 8 numbers, by how it multiplies bytes.
macro_rules! processor {
    ($(#[$about:meta])* $name:ident, $product:ident) => {
        $(#[$about])*
        #[derive(Debug)]
        pub(in crate::native) struct $name;

        impl Isa for $name {
            const FUSED: bool = true;

            #[inline(always)]
            fn product<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]) {
                // SAFETY: this type is used only where the processor has been found to have these features.
                unsafe { $product::<R>(m, tile, x, row, y) }
            }

            #[inline(always)]
            fn bytes<const R: usize>(
                rows: &[&[f32]; R],
                bytes: &[[[i8; WIDE]; dense::BLOCK]],
                scales: &[[f32; WIDE]],
                sums: &mut [[f32; WIDE]; R],
            ) {
                // SAFETY: as above.
                unsafe { self::bytes(rows, bytes, scales, sums) }
            }

            #[inline(always)]
            fn quantise(x: &[f32; BLOCK], quads: &mut Quads) -> (f32, i32) {
                // SAFETY: as above.
                unsafe { quantise(x, quads) }
            }

            #[inline(always)]
            fn ask<const H: usize>(q: &[f32], keys: &[u16], size: usize, scores: &mut [f32]) {
                // SAFETY: as above.
                unsafe { ask::<H>(q, keys, size, scores) }
            }

            #[inline(always)]
            fn answer<const H: usize>(
                values: &[u16],
                scores: &[f32],
                size: usize,
                shares: &[f32; H],
                mixed: &mut [f32],
            ) {
                // SAFETY: as above.
                unsafe { answer::<H>(values, scores, size, shares, mixed) }
            }
        }
    };
}

processor! {
    /// AVX2 with FMA and F16C; only where [`crate::native::Processor`] has found them.
    Avx2, product_avx2
}
processor! {
    /// The same with AVX-VNNI.
    AvxVnni, product_avx_vnni
}

/// Numbers of a register.
const HALF: usize = WIDE / 2;

/// [`Isa::product`], by what dots begin with (given [`Quantised::excess`]) and by how weights are held and dotted.
macro_rules! product {
    ($name:ident, $features:literal, $begin:ident, $hold:ident, $dot:ident) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn $name<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]) {
            let mut sums = [[_mm256_setzero_ps(); R]; 2];
            for (lines, (quads, by, excess)) in m.tile(tile).iter().zip(x.together::<R>(row)) {
                for half in 0..2 {
                    let mut dots = [_mm256_setzero_si256(); R];
                    for r in 0..R {
                        dots[r] = $begin(excess[r]);
                    }
                    for quad in 0..BLOCK / 4 {
                        let weights = $hold(part(&lines[quad], half));
                        for r in 0..R {
                            dots[r] = $dot(dots[r], weights, _mm256_set1_epi32(bits(quads[r][quad])));
                        }
                    }
                    let scales = _mm256_castsi256_ps(part(&lines[LINES - 1], half));
                    for r in 0..R {
                        let both = _mm256_mul_ps(scales, _mm256_set1_ps(by[r]));
                        sums[half][r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[r]), both, sums[half][r]);
                    }
                }
            }
            for (half, sums) in sums.iter().enumerate() {
                for (r, sum) in sums.iter().enumerate() {
                    put(&mut y[(row + r) * m.outputs + tile * TILE + half * HALF..], *sum);
                }
            }
        }
    };
}

product!(product_avx2, "avx2,fma,f16c", nothing, signed, dot_of_pairs);
product!(product_avx_vnni, "avx2,fma,f16c,avxvnni", all, as_it_is, dot_avx_vnni);

#[inline]
#[target_feature(enable = "avx2")]
fn nothing(_excess: i32) -> __m256i {
    _mm256_setzero_si256()
}

/// Weights less 128: their sizes and themselves.
#[inline]
#[target_feature(enable = "avx2")]
fn signed(weights: __m256i) -> (__m256i, __m256i) {
    let weights = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
    (_mm256_abs_epi8(weights), weights)
}

#[inline]
#[target_feature(enable = "avx2")]
fn dot_of_pairs(dots: __m256i, (size, weights): (__m256i, __m256i), values: __m256i) -> __m256i {
    // At most 128 · 127 twice: that fits 16 bits.
    let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(values, weights));
    _mm256_add_epi32(dots, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn all(excess: i32) -> __m256i {
    _mm256_set1_epi32(excess)
}

#[inline(always)]
fn as_it_is(weights: __m256i) -> __m256i {
    weights
}

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn dot_avx_vnni(dots: __m256i, weights: __m256i, values: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(dots, weights, values)
}

/// [`AvxVnni`]'s product, but for how the instruction is written: what a processor with AVX-512, which need not have AVX-VNNI, can
/// try.
#[cfg(test)]
pub(in crate::native) mod as_avx512_writes_it {
    use super::*;

    product!(product, "avx2,fma,f16c,avx512vl,avx512vnni", all, as_it_is, dot);

    #[inline]
    #[target_feature(enable = "avx2,avx512vl,avx512vnni")]
    fn dot(dots: __m256i, weights: __m256i, values: __m256i) -> __m256i {
        _mm256_dpbusd_epi32(dots, weights, values)
    }

    processor! {
        /// For tests.
        Vnni, product
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn part(line: &Line, half: usize) -> __m256i {
    // SAFETY: either half of a line is 32 bytes at a multiple of 32.
    unsafe { _mm256_load_si256(line.0.as_ptr().add(half * 32).cast()) }
}

/// [`dense::bytes`], so that what is added to stays in registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn bytes<const R: usize>(
    rows: &[&[f32]; R],
    bytes: &[[[i8; WIDE]; dense::BLOCK]],
    scales: &[[f32; WIDE]],
    sums: &mut [[f32; WIDE]; R],
) {
    let mut totals = [[_mm256_setzero_ps(); R]; 2];
    for (block, (bytes, scales)) in bytes.iter().zip(scales).enumerate() {
        let mut values = [&[0.0_f32; dense::BLOCK]; R];
        for r in 0..R {
            if let Some(found) = rows[r][block * dense::BLOCK..].first_chunk() {
                values[r] = found;
            }
        }
        for half in 0..2 {
            let mut parts = [_mm256_setzero_ps(); R];
            for input in 0..dense::BLOCK {
                // SAFETY: 8 bytes, wherever they lie.
                let weights = unsafe { _mm_loadl_epi64(bytes[input][half * HALF..][..HALF].as_ptr().cast()) };
                let weights = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(weights));
                for r in 0..R {
                    parts[r] = _mm256_fmadd_ps(weights, _mm256_set1_ps(values[r][input]), parts[r]);
                }
            }
            let scales = get(&scales[half * HALF..]);
            for r in 0..R {
                totals[half][r] = _mm256_fmadd_ps(parts[r], scales, totals[half][r]);
            }
        }
    }
    for (half, totals) in totals.iter().enumerate() {
        for (total, sums) in totals.iter().zip(sums.iter_mut()) {
            put(&mut sums[half * HALF..], *total);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn quantise(x: &[f32; BLOCK], quads: &mut Quads) -> (f32, i32) {
    let mut four = [_mm256_setzero_ps(); BLOCK / HALF];
    for (place, eight) in four.iter_mut().enumerate() {
        *eight = get(&x[place * HALF..]);
    }
    let sign = _mm256_set1_ps(-0.0);
    let (mut largest, mut sum) = (_mm256_setzero_ps(), _mm256_setzero_ps());
    for eight in four {
        let size = _mm256_andnot_ps(sign, eight);
        largest = _mm256_max_ps(largest, size);
        sum = _mm256_add_ps(sum, size);
    }
    // The sum is no number, or infinite, if one of them is; such a one the largest may lose.
    let (mut sizes, mut tops) = ([0.0_f32; HALF], [0.0_f32; HALF]);
    put(&mut sizes, sum);
    put(&mut tops, largest);
    let largest = tops.iter().fold(0.0, |a: f32, b| a.max(*b));
    let (scale, by) = scale(largest, sizes.iter().sum::<f32>().is_finite());
    let by = _mm256_set1_ps(by);
    let mut whole = [_mm256_setzero_si256(); BLOCK / HALF];
    let mut total = _mm256_setzero_si256();
    for (whole, eight) in whole.iter_mut().zip(four) {
        // To the nearest, ties to even, as long as nobody has set the processor otherwise.
        *whole = _mm256_cvtps_epi32(_mm256_mul_ps(eight, by));
        total = _mm256_add_epi32(total, *whole);
    }
    let pairs = (_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
    // Packed by halves of registers: fours of the first, second, third and fourth eight by turns.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(pairs.0, pairs.1), order);
    let mut totals = [0_i32; HALF];
    // SAFETY: there is room for 32 bytes in either, wherever they lie.
    unsafe {
        _mm256_storeu_si256(quads.as_flattened_mut().as_mut_ptr().cast(), bytes);
        _mm256_storeu_si256(totals.as_mut_ptr().cast(), total);
    }
    (scale, totals.iter().fold(0, |a: i32, b| a.wrapping_add(*b)).wrapping_mul(-128))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn ask<const H: usize>(q: &[f32], keys: &[u16], size: usize, scores: &mut [f32]) {
    // Eights of positions, two a tile. Eight sums at once hide how long each takes, and leave registers for what is added.
    let eights = keys.len() / size / HALF;
    let mut eight = 0;
    while eight < eights {
        let left = eights - eight;
        eight += match H {
            1 if left >= 8 => ask_of::<H, 8>(q, keys, size, scores, eight),
            1 | 2 if left >= 4 => ask_of::<H, 4>(q, keys, size, scores, eight),
            1..=4 if left >= 2 => ask_of::<H, 2>(q, keys, size, scores, eight),
            _ => ask_of::<H, 1>(q, keys, size, scores, eight),
        };
    }
}

/// P eights of positions from this one on; returns P.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn ask_of<const H: usize, const P: usize>(
    q: &[f32],
    keys: &[u16],
    size: usize,
    scores: &mut [f32],
    eight: usize,
) -> usize {
    let stride = scores.len() / H;
    let mut questions = [&q[..size]; H];
    for h in 0..H {
        questions[h] = &q[h * size..][..size];
    }
    let mut columns = [keys; P];
    for p in 0..P {
        let (tile, half) = ((eight + p) / 2, (eight + p) % 2);
        columns[p] = &keys[tile * size * WIDE + half * HALF..][..(size - 1) * WIDE + HALF];
    }
    let mut sums = [[_mm256_setzero_ps(); P]; H];
    for d in 0..size {
        let mut some = [_mm256_setzero_ps(); P];
        for p in 0..P {
            some[p] = single(&columns[p][d * WIDE..]);
        }
        for h in 0..H {
            let by = _mm256_set1_ps(questions[h][d]);
            for p in 0..P {
                sums[h][p] = _mm256_fmadd_ps(by, some[p], sums[h][p]);
            }
        }
    }
    for h in 0..H {
        for p in 0..P {
            put(&mut scores[h * stride + (eight + p) * HALF..], sums[h][p]);
        }
    }
    P
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn answer<const H: usize>(values: &[u16], scores: &[f32], size: usize, shares: &[f32; H], mixed: &mut [f32]) {
    let mut part = 0;
    while part < size / HALF {
        let left = size / HALF - part;
        part += match H {
            1 if left >= 8 => answer_of::<H, 8>(values, scores, size, shares, mixed, part),
            1 | 2 if left >= 4 => answer_of::<H, 4>(values, scores, size, shares, mixed, part),
            1..=4 if left >= 2 => answer_of::<H, 2>(values, scores, size, shares, mixed, part),
            _ => answer_of::<H, 1>(values, scores, size, shares, mixed, part),
        };
    }
}

/// The eights of each value from `part` on, P of them; returns P.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn answer_of<const H: usize, const P: usize>(
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
    let mut sums = [[_mm256_setzero_ps(); P]; H];
    for (position, value) in values.chunks_exact(size).enumerate() {
        let value = &value[part * HALF..][..P * HALF];
        let mut wide = [_mm256_setzero_ps(); P];
        for p in 0..P {
            wide[p] = single(&value[p * HALF..]);
        }
        for h in 0..H {
            let by = _mm256_set1_ps(weights[h][position]);
            for p in 0..P {
                sums[h][p] = _mm256_fmadd_ps(by, wide[p], sums[h][p]);
            }
        }
    }
    for h in 0..H {
        let share = _mm256_set1_ps(shares[h]);
        for p in 0..P {
            put(&mut mixed[h * size + (part + p) * HALF..], _mm256_mul_ps(sums[h][p], share));
        }
    }
    P
}

/// The first eight.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn single(halves: &[u16]) -> __m256 {
    // SAFETY: 8 halves, wherever they lie.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves[..HALF].as_ptr().cast()) })
}

/// The first eight.
#[inline]
#[target_feature(enable = "avx2")]
fn get(numbers: &[f32]) -> __m256 {
    // SAFETY: 8 numbers, wherever they lie.
    unsafe { _mm256_loadu_ps(numbers[..HALF].as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn put(to: &mut [f32], eight: __m256) {
    // SAFETY: there is room for 8 values, wherever they lie.
    unsafe { _mm256_storeu_ps(to[..HALF].as_mut_ptr(), eight) };
}
