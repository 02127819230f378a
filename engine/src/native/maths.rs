//! What lies between the products, written so that a compiler can do 16 values at once.

use super::matrix::{Isa, ROUNDING};

/// eˣ, right within 2 · 10⁻⁷ of it; below −87 as at −87.
#[inline(always)]
pub(super) fn exp<I: Isa>(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = I::fma(x, std::f32::consts::LOG2_E, ROUNDING);
    let whole = shifted - ROUNDING;
    // ln 2 in two parts, so that the difference loses nothing.
    let rest = I::fma(whole, -1.428_606_8e-6, I::fma(whole, -0.693_145_75, x));
    // Taylor's series up to the sixth power; |rest| ≤ ln 2 / 2.
    let mut sum = 1.0 / 720.0;
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = I::fma(sum, rest, factor);
    }
    sum * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// x · Φ(x); Φ by Abramowitz and Stegun 7.1.26, right within 1.5 · 10⁻⁷.
#[inline(always)]
fn gelu_of<I: Isa>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / I::fma(0.327_591_1, z, 1.0);
    let mut sum = 1.061_405_4;
    for factor in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        sum = I::fma(sum, t, factor);
    }
    let tail = sum * t * exp::<I>(-z * z);
    0.5 * x * (1.0 + (1.0 - tail).copysign(x))
}

/// GELU of all of them.
#[inline(always)]
pub(super) fn gelu<I: Isa>(x: &mut [f32]) {
    for x in x {
        *x = gelu_of::<I>(*x);
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Halves joined until one is left: each loop is of a length that is known, so that none is one.
macro_rules! joined {
    ($lanes:expr, $join:expr) => {{
        let mut lanes: [f32; 16] = $lanes;
        for i in 0..8 {
            lanes[i] = $join(lanes[i], lanes[i + 8]);
        }
        for i in 0..4 {
            lanes[i] = $join(lanes[i], lanes[i + 4]);
        }
        $join($join(lanes[0], lanes[2]), $join(lanes[1], lanes[3]))
    }};
}

/// Largest.
#[inline(always)]
pub(super) fn largest(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (sixteens, rest) = x.as_chunks::<16>();
    for x in sixteens {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = larger(*x, *lane);
        }
    }
    let mut top = joined!(lanes, larger);
    for x in rest {
        top = larger(*x, top);
    }
    top
}

/// Of as many lanes as are summed side by side.
#[inline(always)]
fn joined(lanes: [f32; 16]) -> f32 {
    joined!(lanes, std::ops::Add::add)
}

/// Σ x.
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; 16];
    let (sixteens, rest) = x.as_chunks::<16>();
    for x in sixteens {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += x;
        }
    }
    let mut sum = joined(lanes);
    for x in rest {
        sum += x;
    }
    sum
}

/// Σ a · b.
#[inline(always)]
pub(super) fn dot<I: Isa>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = I::fma(*a, *b, *lane);
        }
    }
    let mut sum = joined(lanes);
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += a * b;
    }
    sum
}

/// Row by row x / rms(x) · gain, into `y`.
#[inline(always)]
pub(super) fn norm<I: Isa>(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(gain.len()).zip(y.chunks_exact_mut(gain.len())) {
        let by = 1.0 / (dot::<I>(x, x) / x.len() as f32 + epsilon).sqrt();
        for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
            *y = x * by * gain;
        }
    }
}

/// Row by row to mean 0 and variance 1, then weight · x + bias.
#[inline(always)]
pub(super) fn layer_norm<I: Isa>(x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    for x in x.chunks_exact_mut(weight.len()) {
        let size = x.len() as f32;
        let mean = sum(x) / size;
        for x in x.iter_mut() {
            *x -= mean;
        }
        let by = 1.0 / (dot::<I>(x, x) / size + epsilon).sqrt();
        for ((x, weight), bias) in x.iter_mut().zip(weight).zip(bias) {
            *x = I::fma(*x * by, *weight, *bias);
        }
    }
}

/// Each value becomes e to it less the largest; returns their sum.
#[inline(always)]
pub(super) fn exponentials<I: Isa>(x: &mut [f32]) -> f32 {
    let top = largest(x);
    let mut lanes = [0.0; 16];
    let (sixteens, rest) = x.as_chunks_mut::<16>();
    for x in sixteens {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *x = exp::<I>(*x - top);
            *lane += *x;
        }
    }
    let mut sum = joined(lanes);
    for x in rest {
        *x = exp::<I>(*x - top);
        sum += *x;
    }
    sum
}

/// ln Σ eˣ.
#[inline(always)]
pub(super) fn log_sum_exp<I: Isa>(x: &[f32]) -> f32 {
    let top = largest(x);
    let mut lanes = [0.0; 16];
    let (sixteens, rest) = x.as_chunks::<16>();
    for x in sixteens {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += exp::<I>(*x - top);
        }
    }
    let mut sum = joined(lanes);
    for x in rest {
        sum += exp::<I>(*x - top);
    }
    top + sum.ln()
}

/// A number of half precision.
#[inline(always)]
pub(super) fn from_half(half: u16) -> f32 {
    let size = f32::from_bits(u32::from(half & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(size.to_bits() | u32::from(half & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::super::matrix::Portable;
    use super::*;

    #[test]
    fn exp_and_gelu_are_right() {
        for i in -8000..800 {
            let x = i as f32 * 0.01;
            let (found, exact) = (f64::from(exp::<Portable>(x)), f64::from(x).exp());
            assert!((found / exact - 1.0).abs() < 1e-6, "exp {x}: {found} {exact}");
        }
        assert!(exp::<Portable>(-1e9) < 1e-37);
        // Known values of the normal distribution: Φ(1), Φ(2), Φ(0.5).
        for (x, phi) in [(1.0, 0.841_344_8_f32), (2.0, 0.977_249_9), (0.5, 0.691_462_5), (0.0, 0.5), (9.0, 1.0)] {
            for (x, phi) in [(x, phi), (-x, 1.0 - phi)] {
                assert!((gelu_of::<Portable>(x) - x * phi).abs() < 1e-6, "gelu {x}");
            }
        }
    }

    #[test]
    fn sums_maxima_and_halves_are_right() {
        let x: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
        let exact = x.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        assert!((f64::from(log_sum_exp::<Portable>(&x)) - exact).abs() < 1e-5);
        let mut y = vec![0.0; 37];
        norm::<Portable>(&x, &[2.0; 37], 1e-5, &mut y);
        let rms = (y.iter().map(|y| y * y).sum::<f32>() / 37.0).sqrt();
        assert!((rms - 2.0).abs() < 1e-4);
        for (half, single) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0), (0, 0.0)] {
            assert_eq!(from_half(half), single);
        }
    }
}
