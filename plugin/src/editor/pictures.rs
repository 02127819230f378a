//! Pictures of sound: the spectra of takes as textures, one row a key of the piano, made once and added to while a take
//! grows.

use super::palette::{Hue, ramp};
use super::theme::{Look, worn};
use egui::{Color32, ColorImage, Context, Painter, Rect, TextureHandle, TextureOptions, pos2};
use segue_engine::spectrum::Spectrum;
use segue_engine::status::TakeSummary;
use segue_engine::take::TakeId;
use std::collections::HashMap;
use std::ops::Range;

/// The keys of a piano, lowest first: the lower 88 bands of a [`Spectrum`].
pub(super) const KEYS: usize = 88;
/// Columns in one texture. (A take without end becomes wider than any texture.)
const STRIP: usize = 256;
/// Levels (of half a decibel) between the ground and the brightest colour.
const RANGE: u8 = 96;
/// The brightest colour is a multiple of this above silence, so that it seldom moves while a take grows.
const STEP: u8 = 12;
/// A quiet take is brightened, but not beyond this: its noise is not music.
const LOWEST_CEILING: u8 = 108;
/// Size of the picture on a card.
const THUMB: (usize, usize) = (132, 22);

/// A part of a picture: a texture and the columns it shows.
struct Strip {
    texture: TextureHandle,
    columns: Range<usize>,
}

/// What a picture was made for; if it differs it is made again.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Terms {
    version: u64,
    look: Look,
    alive: bool,
    ceiling: u8,
}

/// The whole picture of a take.
struct Film {
    terms: Terms,
    strips: Vec<Strip>,
    columns: usize,
    used: u64,
}

struct Thumb {
    terms: Terms,
    columns: usize,
    texture: TextureHandle,
    used: u64,
}

/// All pictures that are in use.
#[derive(Default)]
pub(super) struct Pictures {
    films: HashMap<TakeId, Film>,
    thumbs: HashMap<TakeId, Thumb>,
    /// Loudest level of a spectrum and how much of it that is about.
    loudest: HashMap<TakeId, (u64, usize, u8)>,
    frame: u64,
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pictures({} takes, {} cards)", self.films.len(), self.thumbs.len())
    }
}

impl Pictures {
    /// A new frame begins: pictures that have not been drawn for a while go.
    pub(super) fn turn(&mut self) {
        self.frame += 1;
        let now = self.frame;
        self.films.retain(|_, film| film.used + 200 > now);
        self.thumbs.retain(|_, thumb| thumb.used + 200 > now);
        if self.loudest.len() > 4 * (self.films.len() + self.thumbs.len()) + 64 {
            self.loudest.clear();
        }
    }

    fn terms(&mut self, take: &TakeSummary) -> Terms {
        let spectrum = &take.spectrum;
        let known = self.loudest.entry(take.id).or_insert((spectrum.version(), 0, 0));
        if known.0 != spectrum.version() || known.1 > spectrum.len() {
            *known = (spectrum.version(), 0, 0);
        }
        let fresh = (known.1..spectrum.len()).flat_map(|column| spectrum.column(column)[..KEYS].iter().copied()).max();
        (known.1, known.2) = (spectrum.len(), known.2.max(fresh.unwrap_or(0)));
        let ceiling = known.2.max(LOWEST_CEILING).div_ceil(STEP).saturating_mul(STEP);
        Terms { version: spectrum.version(), look: worn(), alive: take.playable, ceiling }
    }

    /// Draws the columns of one side of a take's spectrum. `x` says where the beginning of a column is; `shade` is what
    /// the picture is multiplied with.
    pub(super) fn paint(
        &mut self,
        painter: &Painter,
        take: &TakeSummary,
        columns: Range<usize>,
        y: egui::Rangef,
        x: impl Fn(usize) -> f32,
        shade: Color32,
    ) {
        let terms = self.terms(take);
        let used = self.frame;
        let film = self.films.entry(take.id).or_insert(Film { terms, strips: Vec::new(), columns: 0, used });
        film.used = used;
        film.grow(painter.ctx(), take, terms);
        for strip in &film.strips {
            let (from, to) = (strip.columns.start.max(columns.start), strip.columns.end.min(columns.end));
            if from >= to {
                continue;
            }
            // The texture holds one column more than the strip shows, so that neighbours meet without a seam.
            let width = strip.texture.size()[0] as f32;
            let u = |column: usize| (column - strip.columns.start) as f32 / width;
            let uv = Rect::from_min_max(pos2(u(from), 0.0), pos2(u(to), 1.0));
            let place = Rect::from_x_y_ranges(x(from)..=x(to), y);
            if place.intersects(painter.clip_rect()) {
                painter.image(strip.texture.id(), place, uv, shade);
            }
        }
    }

    /// Draws a small picture of a take's continuation.
    pub(super) fn thumb(&mut self, painter: &Painter, take: &TakeSummary, place: Rect, shade: Color32) {
        let spectrum = &take.spectrum;
        if spectrum.len() <= spectrum.seam() {
            return;
        }
        let terms = self.terms(take);
        let stale = |thumb: &Thumb| {
            // A growing one is drawn again when it has grown by a twentieth.
            thumb.terms != terms || spectrum.len() < thumb.columns || spectrum.len() * 20 > thumb.columns * 21
        };
        if self.thumbs.get(&take.id).is_none_or(stale) {
            let image = thumbnail(spectrum, terms);
            let texture = painter.ctx().load_texture(format!("thumb {}", take.id.0), image, TextureOptions::LINEAR);
            self.thumbs.insert(take.id, Thumb { terms, columns: spectrum.len(), texture, used: self.frame });
        }
        if let Some(thumb) = self.thumbs.get_mut(&take.id) {
            thumb.used = self.frame;
            let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(thumb.texture.id(), place, whole, shade);
        }
    }
}

impl Film {
    /// Adds what is new; all of it if the terms have changed.
    fn grow(&mut self, ctx: &Context, take: &TakeSummary, terms: Terms) {
        let spectrum = &take.spectrum;
        if self.terms != terms || spectrum.len() < self.columns {
            (self.terms, self.columns) = (terms, 0);
            self.strips.clear();
        }
        if spectrum.len() == self.columns {
            return;
        }
        // The last strip may have been open.
        let from = self.strips.pop_if(|strip| strip.columns.len() < STRIP || strip.columns.end == self.columns);
        let mut at = from.map_or(self.columns, |strip| strip.columns.start);
        while at < spectrum.len() {
            // No strip lies across the seam: the two sides have scales of their own.
            let side = if at < spectrum.seam() { spectrum.seam().min(spectrum.len()) } else { spectrum.len() };
            let end = (at + STRIP).min(side);
            let image = image(spectrum, at..end, side, terms);
            let texture = ctx.load_texture(format!("take {} from {at}", take.id.0), image, TextureOptions::LINEAR);
            self.strips.push(Strip { texture, columns: at..end });
            at = end;
        }
        self.columns = spectrum.len();
    }
}

/// The colour of a level.
fn color(terms: Terms, prompt: bool, level: u8) -> Color32 {
    let hue = match (terms.alive, prompt) {
        (false, _) => Hue::Grey,
        (true, true) => Hue::Slate,
        (true, false) => Hue::Brass,
    };
    let above = level.saturating_sub(terms.ceiling.saturating_sub(RANGE)).min(RANGE);
    ramp(hue)[usize::from(above) * 255 / usize::from(RANGE)]
}

/// The picture of some columns and, if there is one on this side, of the next.
fn image(spectrum: &Spectrum, columns: Range<usize>, side: usize, terms: Terms) -> ColorImage {
    let width = columns.len() + 1;
    let mut pixels = vec![Color32::BLACK; width * KEYS];
    for x in 0..width {
        let column = (columns.start + x).min(side - 1);
        let prompt = column < spectrum.seam();
        for (key, level) in spectrum.column(column)[..KEYS].iter().enumerate() {
            pixels[(KEYS - 1 - key) * width + x] = color(terms, prompt, *level);
        }
    }
    ColorImage::new([width, KEYS], pixels)
}

/// The loudest of each small field.
fn thumbnail(spectrum: &Spectrum, terms: Terms) -> ColorImage {
    let (width, height) = THUMB;
    let (seam, made) = (spectrum.seam(), spectrum.len() - spectrum.seam());
    let mut pixels = vec![Color32::BLACK; width * height];
    for x in 0..width {
        let from = seam + x * made / width;
        let to = (seam + (x + 1) * made / width).max(from + 1).min(spectrum.len());
        for y in 0..height {
            let keys = (height - 1 - y) * KEYS / height..(height - y) * KEYS / height;
            let level = (from..to).flat_map(|c| spectrum.column(c)[keys.clone()].iter().copied()).max().unwrap_or(0);
            pixels[y * width + x] = color(terms, false, level);
        }
    }
    ColorImage::new([width, height], pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_engine::spectrum::SpectrumBuilder;

    fn take(seconds: f64) -> TakeSummary {
        let audio: Vec<f32> = (0..(seconds * 24_000.0) as usize).map(|n| (n as f32 * 0.115).sin() * 0.5).collect();
        let mut builder = SpectrumBuilder::new(24_000, 24_000);
        builder.push(&[audio]);
        builder.finish();
        TakeSummary { id: TakeId(1), playable: true, spectrum: builder.spectrum(), ..TakeSummary::default() }
    }

    /// Every column is in exactly one strip, and none lies across the seam, however the take has grown.
    #[test]
    fn a_growing_take_is_covered_once() {
        let ctx = Context::default();
        let mut pictures = Pictures::default();
        let mut film: Option<Film> = None;
        for seconds in [0.4, 1.0, 1.01, 3.0, 6.4, 6.5, 9.0, 9.0, 30.0] {
            let take = take(seconds);
            let terms = pictures.terms(&take);
            let film = film.get_or_insert(Film { terms, strips: Vec::new(), columns: 0, used: 0 });
            film.grow(&ctx, &take, terms);
            let mut next = 0;
            for strip in &film.strips {
                assert_eq!(strip.columns.start, next, "at {seconds} s");
                assert!(strip.columns.len() <= STRIP);
                assert!(!(strip.columns.start + 1..strip.columns.end).contains(&take.spectrum.seam()));
                assert_eq!(strip.texture.size(), [strip.columns.len() + 1, KEYS]);
                next = strip.columns.end;
            }
            assert_eq!(next, take.spectrum.len());
        }
    }

    #[test]
    fn a_key_is_as_high_as_it_sounds_and_has_its_side_s_colour() {
        let take = take(3.0);
        let terms = Pictures::default().terms(&take);
        let spectrum = &take.spectrum;
        let whole = image(spectrum, 0..spectrum.len(), spectrum.len(), terms);
        // 0.115 radians a sample are 439 Hz: A4, key 48.
        let row = KEYS - 1 - 48;
        let at = |x: usize, y: usize| whole.pixels[y * whole.size[0] + x];
        let (past, future) = (at(20, row), at(100, row));
        assert!(past.b() > past.r() && future.r() > future.b(), "{past:?} {future:?}");
        let bright = |c: Color32| u32::from(c.r()) + u32::from(c.g()) + u32::from(c.b());
        assert!(bright(future) > bright(at(100, row - 20)) + 300);
    }
}
