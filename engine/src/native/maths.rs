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

/// Sine and cosine of −π … π, right within 2 · 10⁻⁷.
#[inline(always)]
pub(super) fn sin_cos<I: Isa>(x: f32) -> (f32, f32) {
    let shifted = I::fma(x, std::f32::consts::FRAC_2_PI, ROUNDING);
    let (quarter, whole) = (shifted.to_bits(), shifted - ROUNDING);
    // π / 2 in two parts, so that the difference loses nothing; then Taylor's series, |rest| ≤ π / 4.
    let rest = I::fma(whole, 4.371_139e-8, I::fma(whole, -1.570_796_4, x));
    let square = rest * rest;
    let (mut odd, mut even) = (2.755_731_9e-6, -2.755_732e-7);
    for (of_odd, of_even) in
        [(-1.984_127e-4, 2.480_158_7e-5), (8.333_334e-3, -1.388_888_9e-3), (-1.666_666_7e-1, 4.166_666_8e-2)]
    {
        (odd, even) = (I::fma(odd, square, of_odd), I::fma(even, square, of_even));
    }
    let (odd, even) = (I::fma(odd * square, rest, rest), I::fma(I::fma(even, square, -0.5), square, 1.0));
    let (sine, cosine) = if quarter & 1 == 0 { (odd, even) } else { (even, odd) };
    let negative = |sign: u32, x: f32| f32::from_bits(x.to_bits() ^ (sign & 2) << 30);
    (negative(quarter, sine), negative(quarter.wrapping_add(1), cosine))
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

/// Of half precision, to the nearest, ties to even; what is too large becomes infinite, what is no number stays none.
#[inline(always)]
pub(super) fn to_half(x: f32) -> u16 {
    let (sign, size) = ((x.to_bits() >> 16 & 0x8000) as u16, f32::from_bits(x.to_bits() & 0x7fff_ffff));
    let bits = if size < f32::from_bits((127 - 14) << 23) {
        // Below the smallest normal one halves are 2⁻²⁴ apart, as floats of this size are.
        (size + 0.5).to_bits() - 0.5_f32.to_bits()
    } else if size < 65520.0 {
        // Rounded where the last bit of a half is, then the exponent begins elsewhere.
        let bits = size.to_bits();
        (bits + 0xfff + (bits >> 13 & 1) - (112 << 23)) >> 13
    } else {
        0x7c00 | u32::from(size.is_nan()) << 9
    };
    sign | bits as u16
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
    fn sine_and_cosine_are_right() {
        for i in -3142..=3142 {
            let x = i as f32 * 0.001;
            let (sine, cosine) = sin_cos::<Portable>(x);
            assert!((f64::from(sine) - f64::from(x).sin()).abs() < 2e-7, "sin {x}: {sine}");
            assert!((f64::from(cosine) - f64::from(x).cos()).abs() < 2e-7, "cos {x}: {cosine}");
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
            assert_eq!(to_half(single), half);
        }
        // Ties to even, what is too large, what is so small that it is lost, and what is no number.
        for (single, half) in
            [(1.0 + 1.0 / 2048.0, 0x3c00), (1.0 + 3.0 / 2048.0, 0x3c02), (-65519.0, 0xfbff), (65520.0, 0x7c00)]
        {
            assert_eq!(to_half(single), half);
        }
        assert_eq!((to_half(2.9e-8), to_half(-3.1e-8), to_half(1e-40)), (0, 0x8001, 0));
        assert_eq!(to_half(6.0e-5), 0x03ef);
        assert!(to_half(f32::NAN) & 0x7fff > 0x7c00 && to_half(f32::NEG_INFINITY) == 0xfc00);
    }
}
