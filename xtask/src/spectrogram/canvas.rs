//! Lines and words on a picture.

use crate::error::{Error, Result};
use crate::wav;
use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::RgbImage;
use std::path::Path;

const SIZE: PxScale = PxScale { x: 22.0, y: 22.0 };
const BACKGROUND: [u8; 3] = [18, 18, 24];

/// A picture in the making.
pub(super) struct Canvas {
    picture: RgbImage,
    font: FontRef<'static>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Result<Self> {
        let font =
            FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).map_err(|e| Error::Check(e.to_string()))?;
        Ok(Self { picture: RgbImage::from_pixel(width, height, image::Rgb(BACKGROUND)), font })
    }

    pub(super) fn dot(&mut self, x: u32, y: u32, colour: [u8; 3]) {
        if let Some(pixel) = self.picture.get_pixel_mut_checked(x, y) {
            pixel.0 = colour;
        }
    }

    /// Along one axis.
    pub(super) fn line(&mut self, x0: u32, y0: u32, x1: u32, y1: u32, colour: [u8; 3]) {
        for y in y0..=y1 {
            for x in x0..=x1 {
                self.dot(x, y, colour);
            }
        }
    }

    fn width(&self, text: &str) -> f32 {
        let font = self.font.as_scaled(SIZE);
        text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
    }

    /// From its left upper corner.
    pub(super) fn text(&mut self, left: u32, top: u32, text: &str, colour: [u8; 3]) {
        let font = self.font.clone();
        let scaled = font.as_scaled(SIZE);
        let mut pen = point(left as f32, top as f32 + scaled.ascent());
        for c in text.chars() {
            let id = scaled.glyph_id(c);
            if let Some(outline) = font.outline_glyph(id.with_scale_and_position(SIZE, pen)) {
                let corner = outline.px_bounds().min;
                outline.draw(|x, y, coverage| {
                    self.blend(corner.x as i32 + x as i32, corner.y as i32 + y as i32, colour, coverage)
                });
            }
            pen.x += scaled.h_advance(id);
        }
    }

    /// Ending at `right`.
    pub(super) fn text_left_of(&mut self, right: u32, top: u32, text: &str, colour: [u8; 3]) {
        let left = (right as f32 - self.width(text)).max(0.0);
        self.text(left as u32, top, text, colour);
    }

    /// Centred.
    pub(super) fn text_around(&mut self, middle: u32, top: u32, text: &str, colour: [u8; 3]) {
        let left = (middle as f32 - self.width(text) / 2.0).max(0.0);
        self.text(left as u32, top, text, colour);
    }

    fn blend(&mut self, x: i32, y: i32, colour: [u8; 3], coverage: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(pixel) = self.picture.get_pixel_mut_checked(x, y) {
            for (there, new) in pixel.0.iter_mut().zip(colour) {
                *there = (f32::from(*there) + (f32::from(new) - f32::from(*there)) * coverage.clamp(0.0, 1.0)) as u8;
            }
        }
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        save(&self.picture, path)
    }
}

/// Writes a PNG, whole or not at all.
pub fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    let file = wav::beside(path)?;
    picture
        .write_to(&mut std::io::BufWriter::new(file.as_file()), image::ImageFormat::Png)
        .map_err(|e| Error::file(path, e))?;
    wav::place(file, path)
}
