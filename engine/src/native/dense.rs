//! Products with matrices whose weights are numbers, or bytes that stand for numbers: what is multiplied is not rounded, for the
//! codec's decoder. A row's result does not depend on the rows beside it.

use super::forward::{add_times, sized};
use super::matrix::Isa;
use super::{Complaint, Source, WIDE};

/// Inputs of a matrix of bytes that share a scale.
pub(super) const BLOCK: usize = 16;

/// 16 outputs of R rows by a matrix of bytes, added to `sums`: `bytes` block by block of inputs, with the scales of each.
#[inline(always)]
pub(super) fn bytes<I: Isa, const R: usize>(
    rows: &[&[f32]; R],
    bytes: &[[[i8; WIDE]; BLOCK]],
    scales: &[[f32; WIDE]],
    sums: &mut [[f32; WIDE]; R],
) {
    for (block, (bytes, scales)) in bytes.iter().zip(scales).enumerate() {
        let mut parts = [[0.0_f32; WIDE]; R];
        for (input, bytes) in bytes.iter().enumerate() {
            let mut weights = [0.0_f32; WIDE];
            for i in 0..WIDE {
                weights[i] = f32::from(bytes[i]);
            }
            for r in 0..R {
                add_times::<I>(&mut parts[r], &weights, rows[r][block * BLOCK + input]);
            }
        }
        for r in 0..R {
            for i in 0..WIDE {
                sums[r][i] = I::fma(parts[r][i], scales[i], sums[r][i]);
            }
        }
    }
}

/// Of 16 outputs side by side, input by input.
#[derive(Debug)]
enum Values {
    Floats(Vec<[f32; WIDE]>),
    /// With the scales of each [`BLOCK`] inputs.
    Bytes(Vec<[i8; WIDE]>, Vec<[f32; WIDE]>),
}

/// x · matrix + bias.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    values: Values,
    /// As many as there are tiles of outputs, or none.
    bias: Vec<[f32; WIDE]>,
}

/// [rows, outputs] as [tile, rows, 16], zeros beyond the last output.
fn tiled<T: Copy + Default>(values: &[T], outputs: usize) -> Vec<[T; WIDE]> {
    let mut tiles = Vec::with_capacity(values.len().div_ceil(WIDE));
    for tile in (0..outputs).step_by(WIDE) {
        for row in values.chunks_exact(outputs) {
            let mut sixteen = [T::default(); WIDE];
            for (to, from) in sixteen.iter_mut().zip(&row[tile..]) {
                *to = *from;
            }
            tiles.push(sixteen);
        }
    }
    tiles
}

/// Of these as many as there is room for.
#[inline(always)]
fn put(to: &mut [f32], sums: &[f32; WIDE], added: bool) {
    for (to, sum) in to.iter_mut().zip(sums) {
        *to = if added { *to + sum } else { *sum };
    }
}

impl Dense {
    /// From the constants `name.weight` [inputs, outputs], in whichever form they are stored, and `name.bias` if `with_bias`.
    pub(super) fn read(from: &Source<'_>, name: &str, with_bias: bool) -> Result<Self, Complaint> {
        let weight = format!("{name}.weight");
        let wrong = || Source::wrong(&weight, "a matrix");
        let (inputs, outputs, values) = match from.0.get(&format!("{weight}_bytes")) {
            Some(found) => {
                let [blocks, BLOCK, outputs] = found.dims[..] else { return Err(wrong()) };
                let bytes = found.signed_bytes().filter(|b| b.len() == blocks * BLOCK * outputs).ok_or_else(wrong)?;
                let scales = from.numbers(&format!("{weight}_scales"))?;
                if scales.len() != blocks * outputs || outputs == 0 {
                    return Err(wrong());
                }
                (blocks * BLOCK, outputs, Values::Bytes(tiled(&bytes, outputs), tiled(&scales, outputs)))
            }
            None => {
                let (dims, floats) = from.shaped(&weight)?;
                let [inputs, outputs] = dims[..] else { return Err(wrong()) };
                if outputs == 0 {
                    return Err(wrong());
                }
                (inputs, outputs, Values::Floats(tiled(&floats, outputs)))
            }
        };
        let bias = if with_bias { from.numbers(&format!("{name}.bias"))? } else { Vec::new() };
        if with_bias && bias.len() != outputs {
            return Err(Source::wrong(&format!("{name}.bias"), "one number for each output"));
        }
        let bias = if with_bias { tiled(&bias, outputs) } else { Vec::new() };
        Ok(Self { inputs, outputs, values, bias })
    }

    /// Rows of `x` by it, into `y` [rows, outputs]; to what is there if `added`.
    #[inline(always)]
    pub(super) fn multiply<I: Isa>(&self, x: &[f32], y: &mut Vec<f32>, added: bool) {
        let rows = x.len() / self.inputs;
        let y = sized(y, rows * self.outputs);
        for tile in 0..self.outputs.div_ceil(WIDE) {
            let mut row = 0;
            while row < rows {
                let some = 1 << (rows - row).min(8).ilog2();
                match some {
                    8 => self.tile::<I, 8>(x, y, tile, row, added),
                    4 => self.tile::<I, 4>(x, y, tile, row, added),
                    2 => self.tile::<I, 2>(x, y, tile, row, added),
                    _ => self.tile::<I, 1>(x, y, tile, row, added),
                }
                row += some;
            }
        }
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize>(&self, x: &[f32], y: &mut [f32], tile: usize, row: usize, added: bool) {
        let mut sums = [[0.0_f32; WIDE]; R];
        let mut rows = [&x[..self.inputs]; R];
        for r in 0..R {
            rows[r] = &x[(row + r) * self.inputs..][..self.inputs];
        }
        match &self.values {
            Values::Floats(values) => {
                for (input, weights) in values[tile * self.inputs..][..self.inputs].iter().enumerate() {
                    for r in 0..R {
                        add_times::<I>(&mut sums[r], weights, rows[r][input]);
                    }
                }
            }
            Values::Bytes(bytes, scales) => {
                let blocks = self.inputs / BLOCK;
                let bytes = bytes[tile * self.inputs..][..self.inputs].as_chunks().0;
                I::bytes(&rows, bytes, &scales[tile * blocks..][..blocks], &mut sums);
            }
        }
        for r in 0..R {
            if let Some(bias) = self.bias.get(tile) {
                for i in 0..WIDE {
                    sums[r][i] += bias[i];
                }
            }
            let to = &mut y[(row + r) * self.outputs..(row + r + 1) * self.outputs][tile * WIDE..];
            // Where there are 16, a compiler knows it.
            match to.first_chunk_mut::<WIDE>() {
                Some(to) => put(to, &sums[r], added),
                None => put(to, &sums[r], added),
            }
        }
    }
}
