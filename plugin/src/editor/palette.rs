//! Colours for levels: one hue each for what you played and what Segue plays, from the ground up to the brightest (in
//! the light look: darkest) in equal steps of Oklab lightness. Lightness alone carries the level, so every kind of
//! colour blindness reads the same picture, and equal steps of level look equal.
//!
//! Oklab: B. Ottosson, "A perceptual color space for image processing", 2020.

use super::theme::{Look, worn};
use egui::Color32;
use std::sync::LazyLock;

/// Whose sound it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Hue {
    /// What you played.
    Slate,
    /// What Segue plays.
    Brass,
    /// A take that cannot be played now.
    Grey,
}

/// A colour for each level, 0–255.
pub(super) type Ramp = [Color32; 256];

/// Lightness from silence to the loudest, greatest chroma, hue in degrees.
struct Course {
    lightness: (f32, f32),
    chroma: f32,
    hue: f32,
}

fn course(look: Look, hue: Hue) -> Course {
    let lightness = match look {
        Look::Dark => (0.178, 0.955),
        Look::Light => (0.982, 0.30),
    };
    let (chroma, degrees) = match (look, hue) {
        (_, Hue::Grey) => (0.008, 80.0),
        (Look::Dark, Hue::Slate) => (0.095, 248.0),
        (Look::Dark, Hue::Brass) => (0.120, 72.0),
        (Look::Light, Hue::Slate) => (0.105, 248.0),
        (Look::Light, Hue::Brass) => (0.115, 66.0),
    };
    // What cannot be played stays in the dimmer half.
    let lightness = if hue == Hue::Grey { (lightness.0, (lightness.0 + lightness.1) / 2.0) } else { lightness };
    Course { lightness, chroma, hue: degrees }
}

impl Course {
    fn ramp(&self) -> Ramp {
        std::array::from_fn(|level| {
            let t = level as f32 / 255.0;
            let lightness = self.lightness.0 + (self.lightness.1 - self.lightness.0) * t;
            // None at the ground, most in the middle, little at the top, where none would fit into sRGB.
            let chroma = self.chroma * (std::f32::consts::PI * t.powf(0.85)).sin().max(0.0).powf(0.8);
            oklch(lightness, chroma, self.hue.to_radians())
        })
    }
}

/// sRGB of an Oklab colour in polar form. What does not fit is cut.
fn oklch(lightness: f32, chroma: f32, hue: f32) -> Color32 {
    let (a, b) = (chroma * hue.cos(), chroma * hue.sin());
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    let linear = [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s,
        -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ];
    let [r, g, b] = linear.map(|x| {
        let x = x.clamp(0.0, 1.0);
        let encoded = if x <= 0.003_130_8 { 12.92 * x } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round() as u8
    });
    Color32::from_rgb(r, g, b)
}

/// The ramp of a hue in the look that is worn.
pub(super) fn ramp(hue: Hue) -> &'static Ramp {
    static RAMPS: LazyLock<[[Ramp; 3]; 2]> = LazyLock::new(|| {
        [Look::Dark, Look::Light].map(|look| [Hue::Slate, Hue::Brass, Hue::Grey].map(|hue| course(look, hue).ramp()))
    });
    &RAMPS[usize::from(worn() == Look::Light)][hue as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIE L* of an sRGB colour, 0–100: another measure of lightness than the ramps are built with.
    fn lightness(color: Color32) -> f32 {
        let linear = |x: u8| {
            let x = f32::from(x) / 255.0;
            if x <= 0.040_45 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
        };
        let y = 0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b());
        116.0 * if y > 0.008_856 { y.cbrt() } else { 7.787 * y + 16.0 / 116.0 } - 16.0
    }

    #[test]
    fn a_louder_level_is_always_further_from_the_ground_in_steps_that_look_equal() {
        for look in [Look::Dark, Look::Light] {
            for hue in [Hue::Slate, Hue::Brass, Hue::Grey] {
                let ramp = course(look, hue).ramp();
                let away = if look == Look::Dark { 1.0 } else { -1.0 };
                let steps: Vec<f32> =
                    (0..15).map(|i| away * (lightness(ramp[(i + 1) * 17]) - lightness(ramp[i * 17]))).collect();
                let mean = steps.iter().sum::<f32>() / steps.len() as f32;
                for (at, step) in steps.iter().enumerate() {
                    assert!((0.6..1.5).contains(&(step / mean)), "{look:?} {hue:?}: step {at} is {step}, mean {mean}");
                }
            }
        }
    }
}
