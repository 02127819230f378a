//! Line charts, side by side in one PNG.

use crate::error::{Error, Result};
use crate::spectrogram;
use image::RgbImage;
use plotters::prelude::*;
use std::path::Path;

/// Size of one chart.
const SIZE: (u32, u32) = (760, 500);
const COLUMNS: usize = 2;
/// Told apart by the colour-blind too (Okabe & Ito).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// Lines over one pair of axes, both from 0.
#[derive(Debug)]
pub struct Chart {
    /// Above it.
    pub title: &'static str,
    /// Below and beside it, with units.
    pub axes: [&'static str; 2],
    /// Name and points of each.
    pub lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// Writes them.
pub fn draw(charts: &[Chart], path: &Path) -> Result<()> {
    let rows = charts.len().div_ceil(COLUMNS);
    let (width, height) = (SIZE.0 * COLUMNS as u32, SIZE.1 * rows as u32);
    let mut pixels = vec![0_u8; width as usize * height as usize * 3];
    let failed = |e: String| Error::Check(format!("{}: {e}", path.display()));
    plotters::style::register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| failed("the font is damaged".into()))?;
    {
        let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        root.fill(&WHITE).map_err(|e| failed(e.to_string()))?;
        for (area, chart) in root.split_evenly((rows, COLUMNS)).iter().zip(charts) {
            one(area, chart).map_err(|e| failed(e.to_string()))?;
        }
        root.present().map_err(|e| failed(e.to_string()))?;
    }
    let picture = RgbImage::from_raw(width, height, pixels).ok_or_else(|| failed("no picture".into()))?;
    spectrogram::save(&picture, path)
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

fn one(area: &Area<'_>, chart: &Chart) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let all = || chart.lines.iter().flat_map(|(_, points)| points);
    let right = all().map(|p| p.0).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let top = all().map(|p| p.1).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let mut on = ChartBuilder::on(area)
        .caption(chart.title, ("sans-serif", 26))
        .margin(18)
        .x_label_area_size(56)
        .y_label_area_size(76)
        .build_cartesian_2d(0.0..right * 1.05, 0.0..top * 1.15)?;
    on.configure_mesh()
        .x_desc(chart.axes[0])
        .y_desc(chart.axes[1])
        .label_style(("sans-serif", 18))
        .axis_desc_style(("sans-serif", 20))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for ((name, points), colour) in chart.lines.iter().zip(COLOURS.iter().cycle()) {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(3)).point_size(5);
        let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 26, y)], colour.stroke_width(3));
        on.draw_series(line)?.label(*name).legend(key);
    }
    if chart.lines.len() > 1 {
        on.configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 18))
            .draw()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_drawn_where_its_points_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chart.png");
        let chart = |points: &[(f64, f64)]| Chart {
            title: "Line",
            axes: ["x (s)", "y (ms)"],
            lines: vec![("rising", points.to_vec()), ("none", Vec::new())],
        };
        draw(&[chart(&[(0.0, 0.0), (10.0, 100.0)]), chart(&[]), chart(&[(5.0, 5.0)])], &path).expect("drawn");
        let picture = image::open(&path).expect("a picture").to_rgb8();
        assert_eq!(picture.dimensions(), (2 * SIZE.0, 2 * SIZE.1));
        let of_line = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
            x.flat_map(|x| y.clone().map(move |y| (x, y)))
                .filter(|(x, y)| picture.get_pixel(*x, *y).0 == [0, 114, 178])
                .count()
        };
        let (left, right) = ((100..300, 300..420), (500..720, 60..200));
        assert!(of_line(left.0.clone(), left.1) > 100 && of_line(right.0.clone(), right.1) > 100);
        assert_eq!(of_line(right.0, 300..420), 0, "it rises");
    }
}
