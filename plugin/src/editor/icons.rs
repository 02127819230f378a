//! Small pictures, drawn, so that no font decides how they look.

use super::theme;
use egui::{Color32, Mesh, Painter, Pos2, Shape, Stroke, pos2, vec2};
use std::f32::consts::{PI, TAU};

/// A small picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Icon {
    Play,
    Stop,
    Retry,
    Star,
    StarFilled,
    Export,
    Cross,
    Chevron,
    Alert,
    Further,
    /// A and B; the one that is heard is bright.
    Compare(Option<bool>),
    Undo,
    Redo,
    Gear,
    Help,
}

impl Icon {
    /// Draws it about a point; `r` is half its size.
    pub(super) fn paint(self, painter: &Painter, c: Pos2, r: f32, color: Color32) {
        let stroke = Stroke::new((r * 0.22).max(1.4), color);
        let line = |points: Vec<Pos2>| {
            painter.add(Shape::line(points, stroke));
        };
        match self {
            Self::Play => {
                let points = vec![c + vec2(-0.65, -0.9) * r, c + vec2(0.9, 0.0) * r, c + vec2(-0.65, 0.9) * r];
                painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
            }
            Self::Stop => {
                let rect = egui::Rect::from_center_size(c, vec2(1.5, 1.5) * r);
                painter.rect_filled(rect, 1.5, color);
            }
            Self::Retry => {
                let at = |angle: f32| c + vec2(angle.cos(), angle.sin()) * r * 0.85;
                let (from, to) = (-PI * 0.15, PI * 1.45);
                line((0..=28).map(|i| at(from + (to - from) * i as f32 / 28.0)).collect());
                let tip = at(to);
                let (along, across) = (vec2(-to.sin(), to.cos()), vec2(to.cos(), to.sin()));
                let head = vec![tip + along * r * 0.75, tip + across * r * 0.5, tip - across * r * 0.5];
                painter.add(Shape::convex_polygon(head, color, Stroke::NONE));
            }
            Self::Star | Self::StarFilled => {
                let points: Vec<Pos2> = (0..10)
                    .map(|i| {
                        let angle = TAU * i as f32 / 10.0 - PI / 2.0;
                        let radius = if i % 2 == 0 { r } else { r * 0.44 };
                        c + vec2(angle.cos(), angle.sin()) * radius
                    })
                    .collect();
                if self == Self::StarFilled {
                    let mut mesh = Mesh::default();
                    mesh.colored_vertex(c, color);
                    for point in &points {
                        mesh.colored_vertex(*point, color);
                    }
                    for i in 0..10 {
                        mesh.add_triangle(0, 1 + i, 1 + (i + 1) % 10);
                    }
                    painter.add(Shape::mesh(mesh));
                }
                painter.add(Shape::closed_line(points, Stroke::new(1.3, color)));
            }
            Self::Export => {
                line(vec![c + vec2(0.0, -0.95) * r, c + vec2(0.0, 0.35) * r]);
                line(vec![c + vec2(-0.45, -0.1) * r, c + vec2(0.0, 0.38) * r, c + vec2(0.45, -0.1) * r]);
                line(vec![
                    c + vec2(-0.9, 0.3) * r,
                    c + vec2(-0.9, 0.9) * r,
                    c + vec2(0.9, 0.9) * r,
                    c + vec2(0.9, 0.3) * r,
                ]);
            }
            Self::Cross => {
                line(vec![c + vec2(-0.7, -0.7) * r, c + vec2(0.7, 0.7) * r]);
                line(vec![c + vec2(-0.7, 0.7) * r, c + vec2(0.7, -0.7) * r]);
            }
            Self::Chevron => {
                line(vec![c + vec2(-0.7, -0.35) * r, c + vec2(0.0, 0.4) * r, c + vec2(0.7, -0.35) * r]);
            }
            Self::Further => {
                for x in [-0.75, 0.15] {
                    let points = vec![c + vec2(x, -0.75) * r, c + vec2(x + 0.85, 0.0) * r, c + vec2(x, 0.75) * r];
                    painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
                }
            }
            Self::Compare(second) => {
                let letter = |x: f32, text: &str, on: bool| {
                    let color = if on { color } else { color.gamma_multiply(0.45) };
                    painter.text(
                        c + vec2(x, 0.0) * r,
                        egui::Align2::CENTER_CENTER,
                        text,
                        theme::medium(r * 2.0),
                        color,
                    );
                };
                letter(-0.75, "A", second != Some(true));
                letter(0.75, "B", second != Some(false));
            }
            Self::Undo | Self::Redo => {
                let way = if self == Self::Undo { 1.0 } else { -1.0 };
                let at = |x: f32, y: f32| c + vec2(x * way, y) * r;
                // A hook: back along the top, around, and home below.
                let bend = (0..=14).map(|i| {
                    let angle = -PI / 2.0 + PI * i as f32 / 14.0;
                    at(0.25 + 0.6 * angle.cos(), 0.2 + 0.6 * angle.sin())
                });
                line(std::iter::once(at(-0.75, -0.4)).chain(bend).chain([at(-0.35, 0.8)]).collect());
                line(vec![at(-0.3, -0.9), at(-0.8, -0.4), at(-0.3, 0.1)]);
            }
            Self::Gear => {
                painter.circle_stroke(c, r * 0.36, stroke);
                let teeth = (0..48).map(|i| {
                    let angle = TAU * i as f32 / 48.0;
                    let radius = if (i / 3) % 2 == 0 { r } else { r * 0.76 };
                    c + vec2(angle.cos(), angle.sin()) * radius
                });
                painter.add(Shape::closed_line(teeth.collect(), stroke));
            }
            Self::Help => {
                let bow = (0..=16).map(|i| {
                    let angle = PI + PI * 1.35 * i as f32 / 16.0;
                    c + vec2(angle.cos() * 0.5, -0.38 + angle.sin() * 0.5) * r
                });
                line(bow.chain([c + vec2(0.0, 0.36) * r]).collect());
                painter.circle_filled(c + vec2(0.0, 0.82) * r, stroke.width * 0.7, color);
            }
            Self::Alert => {
                painter.circle_stroke(c, r, stroke);
                line(vec![c + vec2(0.0, -0.5) * r, c + vec2(0.0, 0.12) * r]);
                painter.circle_filled(pos2(c.x, c.y + 0.48 * r), stroke.width * 0.62, color);
            }
        }
    }
}
