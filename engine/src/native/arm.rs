//! Products by ARM's dot products of bytes: every Apple processor since the M1, most others since 2018.
#![allow(clippy::needless_range_loop, reason = "several arrays side by side, by the same numbers")]

use super::Work;
use super::matrix::{BLOCK, Isa, LINES, Line, Matrix, Quantised, TILE, bits};
use std::arch::aarch64::*;

#[target_feature(enable = "neon,dotprod")]
pub(super) fn on_dotprod(work: impl Work) {
    work.on::<Dotprod>();
}

/// Only where [`crate::native::Processor`] has found it.
#[derive(Debug)]
pub(super) struct Dotprod;

impl Isa for Dotprod {
    const FUSED: bool = true;

    #[inline(always)]
    fn product<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]) {
        // SAFETY: this type is used only where the processor has been found to have these features.
        unsafe { product::<R>(m, tile, x, row, y) }
    }
}

/// Numbers of a register.
const QUARTER: usize = TILE / 4;

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn product<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]) {
    let mut sums = [[vdupq_n_f32(0.0); R]; 4];
    for (lines, (quads, by, _)) in m.tile(tile).iter().zip(x.together::<R>(row)) {
        // Half a tile at once: of eight rows more would not fit the registers.
        for half in [0, 2] {
            let mut dots = [[vdupq_n_s32(0); R]; 2];
            for quad in 0..BLOCK / 4 {
                let weights = [signed(part(&lines[quad], half)), signed(part(&lines[quad], half + 1))];
                for r in 0..R {
                    let values = vreinterpretq_s8_s32(vdupq_n_s32(bits(quads[r][quad])));
                    dots[0][r] = dot(dots[0][r], weights[0], values);
                    dots[1][r] = dot(dots[1][r], weights[1], values);
                }
            }
            for (quarter, dots) in (half..).zip(dots) {
                let scales = vreinterpretq_f32_u8(part(&lines[LINES - 1], quarter));
                for r in 0..R {
                    let both = vmulq_n_f32(scales, by[r]);
                    sums[quarter][r] = vfmaq_f32(sums[quarter][r], vcvtq_f32_s32(dots[r]), both);
                }
            }
        }
    }
    for (quarter, sums) in sums.iter().enumerate() {
        for (r, sum) in sums.iter().enumerate() {
            let to = &mut y[(row + r) * m.outputs + tile * TILE + quarter * QUARTER..][..QUARTER];
            // SAFETY: there is room for 4 values, wherever they lie.
            unsafe { vst1q_f32(to.as_mut_ptr(), *sum) };
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn part(line: &Line, quarter: usize) -> uint8x16_t {
    // SAFETY: any quarter of a line is 16 bytes.
    unsafe { vld1q_u8(line.0[quarter * 16..][..16].as_ptr()) }
}

/// Weights less 128.
#[inline]
#[target_feature(enable = "neon")]
fn signed(weights: uint8x16_t) -> int8x16_t {
    vreinterpretq_s8_u8(veorq_u8(weights, vdupq_n_u8(128)))
}

/// Adds the products of four bytes each. (`vdotq_s32` is not stable yet.)
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut dots: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
    // SAFETY: one instruction, which this function's processors have; it touches nothing but these registers.
    unsafe {
        std::arch::asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) dots,
            in(vreg) weights,
            in(vreg) values,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    dots
}
