//! Products with 8-bit matrices, as `MatMulNBits` has them: weights in blocks of 32 along the inputs with a scale each, the
//! vector quantised block by block as well, so that what is multiplied are bytes.
//!
//! A row's result does not depend on the rows beside it: a lane gives alone what it gives beside others.

use super::forward::add_times;
use super::{WIDE, attention, dense, maths};
use std::fmt::Debug;

/// Inputs that share a scale.
pub(super) const BLOCK: usize = 32;
/// Outputs that lie side by side.
pub(super) const TILE: usize = 16;
/// Lines of the weights of a tile and a block: eight of bytes, one of scales.
pub(super) const LINES: usize = BLOCK * TILE / 64 + 1;

/// 64 bytes, as the widest registers hold them: of 16 outputs the weights of four inputs, plus 128; or 16 scales.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Line(pub(super) [u8; 64]);

/// [outputs, inputs], tile by tile of outputs and block by block of inputs in the order in which they are read.
pub(super) struct Matrix {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    lines: Vec<Line>,
}

impl Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({} → {})", self.inputs, self.outputs)
    }
}

impl Matrix {
    /// From the tensors of `MatMulNBits`: bytes [outputs, inputs / 32, 32], 128 being 0, and scales [outputs, inputs / 32]. `None`
    /// for sizes that it does not take.
    pub(super) fn new(outputs: usize, inputs: usize, bytes: &[u8], scales: &[f32]) -> Option<Self> {
        let blocks = inputs / BLOCK;
        let fits = outputs.is_multiple_of(TILE) && inputs.is_multiple_of(BLOCK) && outputs * inputs > 0;
        if !fits || bytes.len() != outputs * inputs || scales.len() != outputs * blocks {
            return None;
        }
        let mut lines = Vec::with_capacity(outputs / TILE * blocks * LINES);
        for tile in 0..outputs / TILE {
            for block in 0..blocks {
                for quad in 0..BLOCK / 4 {
                    let mut line = Line([0; 64]);
                    for (output, four) in line.0.chunks_exact_mut(4).enumerate() {
                        let from = (tile * TILE + output) * inputs + block * BLOCK + quad * 4;
                        four.copy_from_slice(&bytes[from..from + 4]);
                    }
                    lines.push(line);
                }
                let mut line = Line([0; 64]);
                for (output, four) in line.0.chunks_exact_mut(4).enumerate() {
                    four.copy_from_slice(&scales[(tile * TILE + output) * blocks + block].to_ne_bytes());
                }
                lines.push(line);
            }
        }
        Some(Self { inputs, outputs, lines })
    }

    /// The lines of one tile, block by block.
    #[inline(always)]
    pub(super) fn tile(&self, tile: usize) -> &[[Line; LINES]] {
        let size = self.inputs / BLOCK * LINES;
        self.lines[tile * size..(tile + 1) * size].as_chunks().0
    }
}

/// Rows of a matrix of activations, quantised. Those that are multiplied together (see [`beside`]) lie together, block by block:
/// [block, row], so that a processor finds all rows of a block from one place.
#[derive(Debug, Default)]
pub(super) struct Quantised {
    pub(super) rows: usize,
    pub(super) blocks: usize,
    /// Of each block, four inputs each.
    pub(super) quads: Vec<Quads>,
    /// Of each block.
    pub(super) scales: Vec<f32>,
    /// Minus 128 times the sum of each block's bytes: what the weights' 128 adds.
    pub(super) excess: Vec<i32>,
}

/// A block of a row.
pub(super) type Quads = [[i8; 4]; BLOCK / 4];

/// Four bytes as the number that is made of them.
#[inline(always)]
pub(super) fn bits(quad: [i8; 4]) -> i32 {
    i32::from_le_bytes([quad[0] as u8, quad[1] as u8, quad[2] as u8, quad[3] as u8])
}

/// Of so many rows that are left, those that are multiplied together.
#[inline(always)]
pub(super) fn beside(left: usize) -> usize {
    1 << left.min(8).ilog2()
}

impl Quantised {
    /// Takes in rows of `inputs` values, a multiple of [`BLOCK`].
    #[inline(always)]
    pub(super) fn take<I: Isa>(&mut self, x: &[f32], inputs: usize) {
        self.rows = x.len() / inputs;
        self.blocks = inputs / BLOCK;
        self.quads.resize(x.len() / BLOCK, [[0; 4]; BLOCK / 4]);
        self.scales.resize(x.len() / BLOCK, 0.0);
        self.excess.resize(x.len() / BLOCK, 0);
        let x = &x.as_chunks::<BLOCK>().0[..self.rows * self.blocks];
        let (mut row, mut to) = (0, 0);
        while row < self.rows {
            let rows = beside(self.rows - row);
            for block in 0..self.blocks {
                for row in row..row + rows {
                    let from = &x[row * self.blocks + block];
                    (self.scales[to], self.excess[to]) = I::quantise(from, &mut self.quads[to]);
                    to += 1;
                }
            }
            row += rows;
        }
    }

    /// Rows `row..row + R`, that are multiplied together: of each block what each of them has there.
    #[inline(always)]
    pub(super) fn together<const R: usize>(
        &self,
        row: usize,
    ) -> impl Iterator<Item = (&[Quads; R], &[f32; R], &[i32; R])> {
        let all = row * self.blocks..(row + R) * self.blocks;
        let quads = self.quads[all.clone()].as_chunks().0;
        let (scales, excess) = (self.scales[all.clone()].as_chunks().0, self.excess[all].as_chunks().0);
        quads.iter().zip(scales).zip(excess).map(|((quads, scales), excess)| (quads, scales, excess))
    }
}

/// The scale of a block whose largest value this is, and what its values are multiplied by. What is no number must not be lost on
/// the way: who samples looks for it.
#[inline(always)]
pub(super) fn scale(largest: f32, finite: bool) -> (f32, f32) {
    (if finite { largest / 127.0 } else { f32::NAN }, if largest > 0.0 { 127.0 / largest } else { 0.0 })
}

/// 1.5 · 2²³: what is added to it is rounded to a whole number.
pub(super) const ROUNDING: f32 = 12_582_912.0;

/// What a processor can do.
pub(super) trait Isa {
    /// Whether a·b + c is one instruction.
    const FUSED: bool;

    /// Rows `row..row + R` of `x` by a tile, into `y` [rows, outputs].
    fn product<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]);

    /// See [`dense::bytes`].
    #[inline(always)]
    fn bytes<const R: usize>(
        rows: &[&[f32]; R],
        bytes: &[[[i8; WIDE]; dense::BLOCK]],
        scales: &[[f32; WIDE]],
        sums: &mut [[f32; WIDE]; R],
    ) where
        Self: Sized,
    {
        dense::bytes::<Self, R>(rows, bytes, scales, sums);
    }

    /// The bytes of a block, its scale, and its [`Quantised::excess`].
    #[inline(always)]
    fn quantise(x: &[f32; BLOCK], quads: &mut Quads) -> (f32, i32) {
        let mut size = [0.0_f32; BLOCK];
        for (size, value) in size.iter_mut().zip(x) {
            *size = value.abs();
        }
        let (scale, by) = scale(maths::largest(&size), maths::sum(&size).is_finite());
        let mut sum = 0_i32;
        for (quad, values) in quads.iter_mut().zip(x.as_chunks::<4>().0) {
            for (byte, value) in quad.iter_mut().zip(values) {
                // To the nearest, ties to even: the bits that are left when this has been added are the number itself.
                let whole = (value * by + ROUNDING).to_bits().wrapping_sub(ROUNDING.to_bits()) as i32;
                (*byte, sum) = (whole as i8, sum.wrapping_add(whole));
            }
        }
        (scale, sum.wrapping_mul(-128))
    }

    /// See [`attention::ask`].
    #[inline(always)]
    fn ask<const H: usize>(q: &[f32], keys: &[u16], size: usize, scores: &mut [f32])
    where
        Self: Sized,
    {
        attention::ask::<Self, H>(q, keys, size, scores);
    }

    /// See [`attention::answer`].
    #[inline(always)]
    fn answer<const H: usize>(values: &[u16], scores: &[f32], size: usize, shares: &[f32; H], mixed: &mut [f32])
    where
        Self: Sized,
    {
        attention::answer::<Self, H>(values, scores, size, shares, mixed);
    }

    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }
}

/// y = x · matrixᵀ, [rows, outputs].
#[inline(always)]
pub(super) fn multiply<I: Isa>(m: &Matrix, x: &Quantised, y: &mut [f32]) {
    debug_assert_eq!((x.blocks * BLOCK, x.rows * m.outputs), (m.inputs, y.len()));
    // One tile after the other, as they lie: where they come from memory several at once took twice as long.
    for tile in 0..m.outputs / TILE {
        let mut row = 0;
        while row < x.rows {
            let rows = beside(x.rows - row);
            match rows {
                8 => I::product::<8>(m, tile, x, row, y),
                4 => I::product::<4>(m, tile, x, row, y),
                2 => I::product::<2>(m, tile, x, row, y),
                _ => I::product::<1>(m, tile, x, row, y),
            }
            row += rows;
        }
    }
}

/// Any processor.
#[derive(Debug)]
pub(super) struct Portable;

impl Isa for Portable {
    const FUSED: bool = cfg!(target_arch = "aarch64");

    #[allow(clippy::needless_range_loop, reason = "several arrays side by side, by the same numbers")]
    #[inline(always)]
    fn product<const R: usize>(m: &Matrix, tile: usize, x: &Quantised, row: usize, y: &mut [f32]) {
        let mut sums = [[0.0_f32; TILE]; R];
        for (lines, (quads, by, excess)) in m.tile(tile).iter().zip(x.together::<R>(row)) {
            // Bytes by bytes are whole numbers that a float holds exactly; and floats are what every compiler can do side by side.
            let mut dots = [[0.0_f32; TILE]; R];
            for quad in 0..BLOCK / 4 {
                let mut fours = [0_u32; TILE];
                for (four, bytes) in fours.iter_mut().zip(lines[quad].0.as_chunks::<4>().0) {
                    *four = u32::from_le_bytes(*bytes);
                }
                for input in 0..4 {
                    let mut weights = [0.0_f32; TILE];
                    for i in 0..TILE {
                        weights[i] = (fours[i] >> (8 * input) & 255) as i32 as f32;
                    }
                    for r in 0..R {
                        add_times::<Self>(&mut dots[r], &weights, f32::from(quads[r][quad][input]));
                    }
                }
            }
            let mut scales = [0.0_f32; TILE];
            for (scale, bytes) in scales.iter_mut().zip(lines[LINES - 1].0.as_chunks::<4>().0) {
                *scale = f32::from_ne_bytes(*bytes);
            }
            for r in 0..R {
                let excess = excess[r] as f32;
                for i in 0..TILE {
                    sums[r][i] += (dots[r][i] + excess) * (scales[i] * by[r]);
                }
            }
        }
        for r in 0..R {
            y[(row + r) * m.outputs + tile * TILE..][..TILE].copy_from_slice(&sums[r]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Processor;
    #[cfg(target_arch = "x86_64")]
    use crate::native::x86::{Avx2, Avx512, AvxVnni, as_avx512_writes_it};

    /// Numbers between −1 and 1 that look random.
    pub(super) fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 16) as u16) / 32_768.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn multiplied<I: Isa>(m: &Matrix, x: &[f32]) -> Vec<f32> {
        let mut quantised = Quantised::default();
        quantised.take::<I>(x, m.inputs);
        let mut y = vec![f32::NAN; x.len() / m.inputs * m.outputs];
        multiply::<I>(m, &quantised, &mut y);
        y
    }

    #[test]
    fn every_kind_of_processor_multiplies_alike_and_a_row_alone_as_beside_others() {
        for (outputs, inputs) in [(16, 32), (96, 64), (112, 256)] {
            let bytes: Vec<u8> = numbers(outputs * inputs, 3).iter().map(|x| (x * 128.0 + 128.0) as u8).collect();
            let scales: Vec<f32> = numbers(outputs * inputs / BLOCK, 5).iter().map(|x| x * 0.01).collect();
            let m = Matrix::new(outputs, inputs, &bytes, &scales).unwrap();
            for rows in [1, 2, 3, 7, 17] {
                let x = numbers(rows * inputs, 7);
                let y = multiplied::<Portable>(&m, &x);
                for (row, y) in y.chunks_exact(outputs).enumerate() {
                    let x = &x[row * inputs..(row + 1) * inputs];
                    for (output, y) in y.iter().enumerate() {
                        let weight = |i: usize| {
                            let at = output * inputs + i;
                            f64::from(i16::from(bytes[at]) - 128) * f64::from(scales[at / BLOCK])
                        };
                        let exact: f64 = x.iter().enumerate().map(|(i, x)| f64::from(*x) * weight(i)).sum();
                        assert!((exact - f64::from(*y)).abs() < 0.08, "{exact} {y}");
                    }
                    assert_eq!(multiplied::<Portable>(&m, x), y);
                }
                {
                    let like = |other: Vec<f32>| other.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-4);
                    let check = |multiplied: fn(&Matrix, &[f32]) -> Vec<f32>| {
                        let y = multiplied(&m, &x);
                        let alone: Vec<f32> = x.chunks_exact(inputs).flat_map(|x| multiplied(&m, x)).collect();
                        assert_eq!(alone, y);
                        assert!(like(y));
                    };
                    for processor in Processor::all() {
                        match processor {
                            #[cfg(target_arch = "x86_64")]
                            Processor::Avx512 => {
                                check(multiplied::<Avx512>);
                                check(multiplied::<as_avx512_writes_it::Vnni>);
                            }
                            #[cfg(target_arch = "x86_64")]
                            Processor::AvxVnni => check(multiplied::<AvxVnni>),
                            #[cfg(target_arch = "x86_64")]
                            Processor::Avx2 => check(multiplied::<Avx2>),
                            #[cfg(target_arch = "aarch64")]
                            Processor::Dotprod => check(multiplied::<crate::native::arm::Dotprod>),
                            Processor::Portable => check(multiplied::<Portable>),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_that_it_does_not_take_are_refused() {
        assert!(Matrix::new(16, 48, &[0; 768], &[0.0; 16]).is_none());
        assert!(Matrix::new(8, 32, &[0; 256], &[0.0; 8]).is_none());
        assert!(Matrix::new(16, 32, &[0; 511], &[0.0; 16]).is_none());
        assert!(Matrix::new(16, 32, &[0; 512], &[0.0; 15]).is_none());
    }
}
