//! A rotary knob: an arc of three quarters, drawn, with its name above and its value below.

use super::theme::{self, BODY, SMALL};
use super::view::{Acts, Control, Desk};
use super::widgets::{Axis, begin_entry, entry, gesture, text_in};
use egui::{Align2, Color32, CursorIcon, Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};
use std::f32::consts::PI;

const FROM: f32 = 0.75 * PI;
const SWEEP: f32 = 1.5 * PI;

/// A knob to be drawn.
pub(super) struct Knob<'a> {
    pub(super) control: &'a Control,
    pub(super) name: &'a str,
    pub(super) hint: &'a str,
    pub(super) color: Color32,
}

fn arc(painter: &Painter, c: Pos2, r: f32, from: f32, to: f32, stroke: Stroke) {
    let count = (((to - from).abs() * r / 2.5).ceil() as usize).max(2);
    let points = (0..=count).map(|i| {
        let angle = from + (to - from) * i as f32 / count as f32;
        c + vec2(angle.cos(), angle.sin()) * r
    });
    painter.add(Shape::line(points.collect(), stroke));
}

impl Knob<'_> {
    /// Draws it and takes its gestures.
    pub(super) fn show(self, ui: &mut Ui, rect: Rect, desk: &mut Desk, acts: &mut Acts) {
        let control = self.control;
        let r = (rect.width() / 2.0 - 8.0).min((rect.height() - 56.0) / 2.0).clamp(14.0, 36.0);
        let around = Rect::from_center_size(rect.center(), vec2(rect.width(), 2.0 * r + 56.0));
        let name = Rect::from_min_size(around.min, vec2(around.width(), 20.0));
        let value = Rect::from_min_max(pos2(around.left(), around.bottom() - 20.0), around.max);
        let dial = Rect::from_min_max(name.left_bottom(), value.right_top());
        let response =
            ui.interact(name.union(dial), ui.scope_id().with(("knob", control.key)), Sense::click_and_drag());
        gesture(ui, &response, control, Axis::Up, 180.0, acts);
        let lit = response.hovered() || response.dragged();

        let painter = ui.painter();
        let color = if lit { theme::text() } else { theme::muted() };
        text_in(painter, name, Align2::CENTER_CENTER, self.name, theme::medium(BODY), color);
        let c = dial.center() + vec2(0.0, 3.0);
        painter.circle_filled(c, r - 6.0, if lit { theme::lifted() } else { theme::raised() });
        if response.has_focus() {
            painter.circle_stroke(c, r - 6.0, Stroke::new(1.5, theme::text()));
        }
        arc(painter, c, r, FROM, FROM + SWEEP, Stroke::new(3.5, theme::line()));
        let angle = FROM + SWEEP * control.value.clamp(0.0, 1.0);
        if control.value > 0.003 {
            arc(painter, c, r, FROM, angle, Stroke::new(3.5, self.color));
        }
        let tick = FROM + SWEEP * control.default.clamp(0.0, 1.0);
        let outward = vec2(tick.cos(), tick.sin());
        painter.line_segment([c + outward * (r + 3.5), c + outward * (r + 6.0)], Stroke::new(1.5, theme::faint()));
        let toward = vec2(angle.cos(), angle.sin());
        painter.line_segment([c + toward * (r * 0.32), c + toward * (r - 9.0)], Stroke::new(2.5, theme::text()));

        response.widget_info(|| egui::WidgetInfo::slider(true, f64::from(control.value), self.name));
        response.on_hover_and_drag_cursor(CursorIcon::ResizeVertical).on_hover_text(format!(
            "{}\n\nDrag up or down (Shift: finer), or turn the wheel. Double-click: default.",
            self.hint
        ));

        let value = Rect::from_center_size(value.center(), vec2(value.width().min(64.0), 20.0));
        if !entry(ui, value, control, desk, acts) {
            let response = ui.interact(value, ui.scope_id().with(("value", control.key)), Sense::click());
            if response.clicked() {
                begin_entry(ui, control, desk);
            }
            let color = if response.hovered() { theme::brass_lit() } else { theme::text() };
            // The paper's word for it, under the cursor.
            let text = if lit || response.hovered() { format!("T = {}", control.text) } else { control.text.clone() };
            text_in(ui.painter(), value, Align2::CENTER_CENTER, &text, theme::font(SMALL), color);
            response.on_hover_cursor(CursorIcon::Text).on_hover_text("The temperature. Click to type a value.");
        }
    }
}
