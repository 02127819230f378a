//! The few things one can press, drag or type into, besides the knobs.

use super::icons::Icon;
use super::theme::{self, BODY, SMALL};
use super::view::{Act, Acts, Control, Desk, Needle, on_scale};
use egui::text::{LayoutJob, TextFormat};
use egui::{
    Align2, Color32, CursorIcon, EventFilter, FontId, Galley, Id, Painter, Pos2, Rect, Response, Sense, Stroke,
    StrokeKind, TextEdit, Ui, Vec2, pos2, vec2,
};
use std::sync::Arc;

/// One line that ends in `…` rather than run out of its room.
pub(super) fn fitted(painter: &Painter, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::single_section(text.to_owned(), TextFormat::simple(font, color));
    job.wrap.max_width = width.max(1.0);
    job.wrap.max_rows = 1;
    job.wrap.break_anywhere = true;
    painter.layout_job(job)
}

/// Draws one line inside `rect`, aligned. Returns where it went and whether it had to be cut.
pub(super) fn text_in(
    painter: &Painter,
    rect: Rect,
    align: Align2,
    text: &str,
    font: FontId,
    color: Color32,
) -> (Rect, bool) {
    let galley = fitted(painter, text, font, color, rect.width());
    let place = align.align_size_within_rect(galley.size(), rect);
    let cut = galley.elided;
    painter.galley(place.min, galley, color);
    (place, cut)
}

/// The width of a line.
pub(super) fn width_of(painter: &Painter, text: &str, font: FontId) -> f32 {
    painter.layout_no_wrap(text.to_owned(), font, theme::text()).size().x
}

/// A ring around what the keyboard would act on.
pub(super) fn focus_ring(ui: &Ui, response: &Response, rect: Rect, radius: f32) {
    if response.has_focus() {
        ui.painter().rect_stroke(rect, radius, Stroke::new(1.5, theme::text()), StrokeKind::Outside);
    }
}

/// Tells screen readers about a button.
pub(super) fn describe(response: &Response, enabled: bool, label: &str) {
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, label));
}

/// Which way a drag counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Up,
    Right,
}

/// Drag (Shift: fine), wheel, double-click (default) and arrow keys on a parameter. `range` points of travel are
/// the whole range.
pub(super) fn gesture(ui: &Ui, response: &Response, control: &Control, axis: Axis, range: f32, acts: &mut Acts) {
    let held = response.id.with("held");
    let snap = |value: f32| match control.steps {
        Some(steps) if steps > 0 => (value.clamp(0.0, 1.0) * steps as f32).round() / steps as f32,
        _ => value.clamp(0.0, 1.0),
    };
    if response.drag_started() {
        acts.push(Act::Begin(control.key));
        ui.data_mut(|data| data.insert_temp(held, control.value));
    }
    if response.dragged() {
        let (delta, fine) = (response.drag_delta(), ui.input(|input| input.modifiers.shift));
        let travel = if axis == Axis::Up { -delta.y } else { delta.x } * if fine { 0.1 } else { 1.0 };
        let was = ui.data(|data| data.get_temp(held)).unwrap_or(control.value);
        let now = (was + travel / range).clamp(0.0, 1.0);
        ui.data_mut(|data| data.insert_temp(held, now));
        if travel != 0.0 && snap(now) != control.value {
            acts.push(Act::Set(control.key, snap(now)));
        }
    }
    if response.drag_stopped() {
        acts.push(Act::End(control.key));
    }
    if response.double_clicked() || response.secondary_clicked() {
        acts.set(control.key, control.default);
        return;
    }
    let step = |fine: bool| match control.steps {
        Some(steps) if steps > 0 => 1.0 / steps as f32,
        _ if fine => 0.002,
        _ => 0.02,
    };
    if response.hovered() && !response.dragged() {
        let (turns, fine) = ui.input(|input| {
            let turns: f32 = input
                .events
                .iter()
                .map(|event| match event {
                    egui::Event::MouseWheel { unit: egui::MouseWheelUnit::Point, delta, .. } => delta.y / 50.0,
                    egui::Event::MouseWheel { delta, .. } => delta.y + delta.x,
                    _ => 0.0,
                })
                .sum();
            (turns, input.modifiers.shift)
        });
        if turns != 0.0 {
            let turns = if control.steps.is_some() { turns.signum() * turns.abs().max(1.0).round() } else { turns };
            acts.set(control.key, snap(control.value + turns * step(fine)));
        }
    }
    if response.has_focus() {
        let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        let turns = ui.input(|input| {
            let count = |key| input.num_presses(key) as f32;
            count(egui::Key::ArrowUp) + count(egui::Key::ArrowRight)
                - count(egui::Key::ArrowDown)
                - count(egui::Key::ArrowLeft)
        });
        if turns != 0.0 {
            acts.set(control.key, snap(control.value + turns * step(ui.input(|input| input.modifiers.shift))));
        }
    }
}

/// While `control` is being typed into: the text field. Returns whether it was shown.
pub(super) fn entry(ui: &mut Ui, rect: Rect, control: &Control, desk: &mut Desk, acts: &mut Acts) -> bool {
    let Some((key, text)) = desk.entry.as_mut().filter(|(key, _)| *key == control.key) else { return false };
    let key = *key;
    let id = Id::unique(("segue entry", key));
    let edit = TextEdit::singleline(text)
        .id(id)
        .font(theme::font(BODY))
        .align(Align2::CENTER_CENTER)
        .margin(vec2(2.0, 1.0))
        .char_limit(12);
    let response = ui.put(rect, edit);
    if response.lost_focus() {
        if ui.input(|input| input.key_pressed(egui::Key::Enter)) {
            acts.write(key, text.trim().to_owned());
        }
        desk.entry = None;
    } else if !response.has_focus() && !response.gained_focus() {
        response.request_focus();
    }
    true
}

/// Starts typing into a parameter.
pub(super) fn begin_entry(ui: &Ui, control: &Control, desk: &mut Desk) {
    desk.entry = Some((control.key, control.text.clone()));
    select_all(ui, Id::unique(("segue entry", control.key)), &control.text);
}

/// Gives a text field the keyboard, with all of its text selected.
pub(super) fn select_all(ui: &Ui, id: Id, text: &str) {
    let mut state = egui::text_edit::TextEditState::default();
    let (start, end) = (egui::text::CCursor::new(0), egui::text::CCursor::new(text.chars().count()));
    state.cursor.set_char_range(Some(egui::text::CCursorRange::two(start, end)));
    TextEdit::store_state(ui.ctx(), id, state);
    ui.memory_mut(|memory| memory.request_focus(id));
}

/// A value in a small box: drag it sideways, turn the wheel, or click and type.
pub(super) fn field(
    ui: &mut Ui,
    rect: Rect,
    control: &Control,
    name: &str,
    hint: &str,
    desk: &mut Desk,
    acts: &mut Acts,
) {
    if entry(ui, rect, control, desk, acts) {
        return;
    }
    let response = ui.interact(rect, ui.scope_id().with(("field", control.key)), Sense::click_and_drag());
    gesture(ui, &response, control, Axis::Right, 260.0, acts);
    if response.clicked() && !response.double_clicked() {
        begin_entry(ui, control, desk);
    }
    let lit = response.hovered() || response.dragged();
    ui.painter().rect_filled(rect, 5.0, if lit { theme::lifted() } else { theme::raised() });
    focus_ring(ui, &response, rect, 5.0);
    text_in(
        ui.painter(),
        rect.shrink2(vec2(3.0, 0.0)),
        Align2::CENTER_CENTER,
        &control.text,
        theme::font(BODY),
        theme::text(),
    );
    response.widget_info(|| egui::WidgetInfo::slider(true, f64::from(control.value), name));
    response
        .on_hover_and_drag_cursor(CursorIcon::ResizeHorizontal)
        .on_hover_text(format!("{hint}\n\nDrag sideways (Shift: finer), or click and type. Right-click: default."));
}

/// A choice among a few words.
pub(super) fn choice(ui: &mut Ui, rect: Rect, control: &Control, name: &str, hint: &str, acts: &mut Acts) {
    let response = ui.interact(rect, ui.scope_id().with(("choice", control.key)), Sense::click());
    let fill = if response.hovered() { theme::lifted() } else { theme::raised() };
    ui.painter().rect_filled(rect, 5.0, fill);
    focus_ring(ui, &response, rect, 5.0);
    let inner = Rect::from_min_max(rect.min + vec2(8.0, 0.0), rect.max - vec2(20.0, 0.0));
    text_in(ui.painter(), inner, Align2::LEFT_CENTER, &control.text, theme::font(BODY), theme::text());
    Icon::Chevron.paint(ui.painter(), pos2(rect.right() - 11.0, rect.center().y), 4.5, theme::muted());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, format!("{name}: {}", control.text)));
    let response = response.on_hover_cursor(CursorIcon::PointingHand);
    let steps = control.steps.unwrap_or(0).max(1);
    egui::Popup::menu(&response).width(rect.width().max(160.0)).show(|ui| {
        for (index, option) in control.options.iter().enumerate() {
            if ui.selectable_label(index == control.index(), option).clicked() {
                acts.set(control.key, index as f32 / steps as f32);
                ui.close();
            }
        }
    });
    response.on_hover_text(hint);
}

/// A small switch with its word.
pub(super) fn switch(ui: &mut Ui, rect: Rect, control: &Control, name: &str, hint: &str, acts: &mut Acts) {
    let response = ui.interact(rect, ui.scope_id().with(("switch", control.key)), Sense::click());
    if response.clicked() {
        acts.set(control.key, if control.on() { 0.0 } else { 1.0 });
    }
    let painter = ui.painter();
    let track = Rect::from_center_size(pos2(rect.left() + 14.0, rect.center().y), vec2(26.0, 14.0));
    let on = ui.ctx().animate_bool_with_time(response.id, control.on(), 0.1);
    let lit = response.hovered();
    let off_fill = if lit { theme::lifted() } else { theme::raised() };
    painter.rect(
        track,
        7.0,
        off_fill.lerp_to_gamma(theme::dim(theme::brass(), 0.55), on),
        Stroke::new(1.0, theme::line()),
        StrokeKind::Inside,
    );
    let knob = pos2(egui::lerp(track.left() + 7.0..=track.right() - 7.0, on), track.center().y);
    painter.circle_filled(knob, 4.5, theme::muted().lerp_to_gamma(theme::text(), on));
    focus_ring(ui, &response, track, 7.0);
    let label = Rect::from_min_max(pos2(track.right() + 7.0, rect.top()), rect.max);
    let color = if control.on() || lit { theme::text() } else { theme::muted() };
    text_in(painter, label, Align2::LEFT_CENTER, name, theme::font(SMALL), color);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::CheckBox, true, control.on(), name));
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(hint);
}

/// A level with its name, its value and, under it, what goes through.
pub(super) struct Fader<'a> {
    pub(super) control: &'a Control,
    pub(super) name: &'a str,
    pub(super) hint: &'a str,
    pub(super) color: Color32,
    pub(super) needle: Needle,
}

impl Fader<'_> {
    /// Draws it and takes its gestures.
    pub(super) fn show(self, ui: &mut Ui, rect: Rect, desk: &mut Desk, acts: &mut Acts) {
        let control = self.control;
        let row = Rect::from_min_size(rect.min, vec2(rect.width(), 18.0));
        let value = Rect::from_min_max(pos2(row.right() - 62.0, row.top()), row.max);
        text_in(
            ui.painter(),
            row.with_max_x(value.left()),
            Align2::LEFT_CENTER,
            self.name,
            theme::font(SMALL),
            theme::muted(),
        );
        if !entry(ui, value, control, desk, acts) {
            let response = ui.interact(value, ui.scope_id().with(("value", control.key)), Sense::click());
            if response.clicked() {
                begin_entry(ui, control, desk);
            }
            let color = if response.hovered() { theme::brass_lit() } else { theme::text() };
            text_in(ui.painter(), value, Align2::RIGHT_CENTER, &control.text, theme::font(SMALL), color);
            response.on_hover_cursor(CursorIcon::Text).on_hover_text("Click to type a value.");
        }
        let slot = Rect::from_min_size(pos2(rect.left(), row.bottom()), vec2(rect.width(), 16.0));
        let response = ui.interact(slot, ui.scope_id().with(("fader", control.key)), Sense::click_and_drag());
        gesture(ui, &response, control, Axis::Right, rect.width() - 8.0, acts);
        let painter = ui.painter();
        let track = Rect::from_center_size(slot.center(), vec2(slot.width(), 4.0));
        painter.rect_filled(track, 2.0, theme::line());
        let x = egui::lerp(track.left() + 4.0..=track.right() - 4.0, control.value);
        painter.rect_filled(track.with_max_x(x), 2.0, theme::dim(self.color, 0.75));
        let lit = response.hovered() || response.dragged();
        let thumb = Rect::from_center_size(pos2(x, track.center().y), vec2(6.0, 14.0));
        painter.rect_filled(thumb, 3.0, if lit { theme::brass_lit() } else { theme::text() });
        focus_ring(ui, &response, thumb, 3.0);
        let bar = Rect::from_min_size(pos2(rect.left(), slot.bottom() + 1.0), vec2(rect.width(), 3.0));
        meter(painter, bar, self.needle, self.color);
        response.widget_info(|| egui::WidgetInfo::slider(true, f64::from(control.value), self.name));
        response
            .on_hover_and_drag_cursor(CursorIcon::ResizeHorizontal)
            .on_hover_text(format!("{}\n\nDrag (Shift: finer). Double-click: 0 dB.", self.hint));
    }
}

/// A level meter from −60 to +6 dB.
pub(super) fn meter(painter: &Painter, rect: Rect, needle: Needle, color: Color32) {
    let radius = rect.height() / 2.0;
    painter.rect_filled(rect, radius, theme::line());
    let x = |level: f32| egui::lerp(rect.x_range().min..=rect.x_range().max, on_scale(level));
    if on_scale(needle.level) > 0.0 {
        let loud = needle.level > 1.0;
        painter.rect_filled(rect.with_max_x(x(needle.level)), radius, if loud { theme::alert() } else { color });
    }
    if on_scale(needle.hold) > 0.0 {
        let mark = Rect::from_center_size(pos2(x(needle.hold), rect.center().y), vec2(2.0, rect.height()));
        painter.rect_filled(mark.intersect(rect), 0.0, if needle.hold > 1.0 { theme::alert() } else { theme::text() });
    }
}

/// A picture over a word, to press.
pub(super) struct Tile<'a> {
    pub(super) icon: Icon,
    pub(super) word: &'a str,
    pub(super) hint: &'a str,
    pub(super) enabled: bool,
    pub(super) lit: bool,
}

impl Tile<'_> {
    /// Draws it; whether it was pressed.
    pub(super) fn show(self, ui: &mut Ui, rect: Rect) -> bool {
        let sense = if self.enabled { Sense::click() } else { Sense::hover() };
        let response = ui.interact(rect, ui.scope_id().with(("tile", self.hint)), sense);
        let painter = ui.painter();
        let over = self.enabled && response.hovered();
        let fill = if response.is_pointer_button_down_on() && self.enabled { theme::line() } else { theme::lifted() };
        painter.rect_filled(rect, 7.0, if over { fill } else { theme::raised() });
        focus_ring(ui, &response, rect, 7.0);
        let color = match (self.enabled, self.lit) {
            (false, _) => theme::faint(),
            (true, true) => theme::brass(),
            (true, false) => theme::text(),
        };
        self.icon.paint(painter, rect.center_top() + vec2(0.0, rect.height() * 0.36), 7.0, color);
        let word = Rect::from_min_max(pos2(rect.left(), rect.bottom() - 19.0), rect.max - vec2(0.0, 3.0));
        let color = if self.enabled { theme::muted() } else { theme::faint() };
        text_in(painter, word, Align2::CENTER_CENTER, self.word, theme::font(SMALL), color);
        describe(&response, self.enabled, self.word);
        let clicked = response.clicked();
        let response = if self.enabled { response.on_hover_cursor(CursorIcon::PointingHand) } else { response };
        response.on_hover_text(self.hint);
        clicked
    }
}

/// A picture alone, to press.
pub(super) fn icon_button(ui: &mut Ui, id: Id, center: Pos2, icon: Icon, color: Color32, hint: &str) -> bool {
    let rect = Rect::from_center_size(center, Vec2::splat(20.0));
    let response = ui.interact(rect, id, Sense::click());
    if response.hovered() {
        ui.painter().rect_filled(rect, 5.0, theme::lifted());
    }
    focus_ring(ui, &response, rect, 5.0);
    icon.paint(ui.painter(), center, if icon == Icon::Cross { 4.5 } else { 6.5 }, color);
    describe(&response, true, hint);
    let clicked = response.clicked();
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(hint);
    clicked
}

/// Words to press.
pub(super) fn link(ui: &mut Ui, rect: Rect, align: Align2, id: Id, text: &str, size: f32, hint: &str) -> bool {
    let galley = fitted(ui.painter(), text, theme::font(size), Color32::PLACEHOLDER, rect.width());
    let place = align.align_size_within_rect(galley.size(), rect);
    let response = ui.interact(place.expand(2.0), id, Sense::click());
    let color = if response.hovered() { theme::brass_lit() } else { theme::brass() };
    ui.painter().galley(place.min, galley, color);
    if response.hovered() {
        ui.painter().hline(place.x_range(), place.bottom(), Stroke::new(1.0, color));
    }
    focus_ring(ui, &response, place, 2.0);
    describe(&response, true, text);
    let clicked = response.clicked();
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(hint);
    clicked
}

/// A word on a plate, to press. The `first` choice has the accent.
pub(super) fn button(ui: &mut Ui, text: &str, size: Vec2, first: bool, hint: &str) -> bool {
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let lit = response.hovered();
    let (fill, ink) = match (first, lit) {
        (true, false) => (theme::accent(), theme::on_accent()),
        (true, true) => (theme::accent_lit(), theme::on_accent()),
        (false, false) => (theme::lifted(), theme::text()),
        (false, true) => (theme::line(), theme::text()),
    };
    ui.painter().rect_filled(rect, 6.0, fill);
    focus_ring(ui, &response, rect, 6.0);
    let font = if first { theme::medium(BODY) } else { theme::font(BODY) };
    text_in(ui.painter(), rect.shrink2(vec2(6.0, 0.0)), Align2::CENTER_CENTER, text, font, ink);
    describe(&response, true, text);
    let clicked = response.clicked();
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(hint);
    clicked
}

/// One of a few words, side by side, each with its explanation.
pub(super) fn segments<T: Copy + PartialEq>(ui: &mut Ui, name: &str, chosen: &mut T, options: &[(T, &str, &str)]) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 30.0), Sense::hover());
    ui.painter().rect_filled(rect, 6.0, theme::paper());
    let width = rect.width() / options.len().max(1) as f32;
    for (index, (value, word, hint)) in options.iter().enumerate() {
        let place = Rect::from_min_size(rect.min + vec2(index as f32 * width, 0.0), vec2(width, rect.height()));
        let response = ui.interact(place, Id::unique(("segue segment", name, index)), Sense::click());
        if response.clicked() {
            *chosen = *value;
        }
        let on = *chosen == *value;
        let plate = place.shrink(2.0);
        if on {
            ui.painter().rect_filled(plate, 5.0, theme::lifted());
        }
        focus_ring(ui, &response, plate, 5.0);
        let color = if on || response.hovered() { theme::text() } else { theme::muted() };
        let font = if on { theme::medium(BODY) } else { theme::font(BODY) };
        text_in(ui.painter(), plate.shrink2(vec2(4.0, 0.0)), Align2::CENTER_CENTER, word, font, color);
        response.widget_info(|| egui::WidgetInfo::selected(egui::Role::RadioButton, true, on, *word));
        response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(*hint);
    }
}

/// Points from one star to the next.
pub(super) const STAR: f32 = 13.0;

/// Five stars in a row that begins at `left`. Returns the number that was chosen: the one that is there already means
/// none.
pub(super) fn stars(ui: &mut Ui, id: Id, left: Pos2, stars: u8, open: bool) -> Option<u8> {
    let mut chosen = None;
    let row = Rect::from_min_size(left - vec2(0.0, 10.0), vec2(5.0 * STAR, 20.0));
    let over = ui.rect_contains_pointer(row);
    let at = ui.input(|input| input.pointer.hover_pos()).filter(|_| over);
    let under = at.map(|pos| ((pos.x - row.left()) / STAR) as u8 + 1);
    for star in 1..=5 {
        let center = pos2(left.x + (f32::from(star) - 0.5) * STAR, left.y);
        let response =
            ui.interact(Rect::from_center_size(center, vec2(STAR, 20.0)), id.with(("star", star)), Sense::click());
        let on = star <= stars;
        let would = under.is_some_and(|under| star <= under);
        if on || open || over {
            let color = match (on, would) {
                (true, _) => theme::brass(),
                (false, true) => theme::muted(),
                (false, false) => theme::faint(),
            };
            let icon = if on { Icon::StarFilled } else { Icon::Star };
            icon.paint(ui.painter(), center, 5.0, color);
        }
        let word = if star == 1 { "1 star".to_owned() } else { format!("{star} stars") };
        describe(&response, true, &word);
        if response.clicked() {
            chosen = Some(if stars == star { 0 } else { star });
        }
        let hint = if stars == star { format!("{word}. Again ({star}): none.") } else { format!("{word} ({star}).") };
        response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(hint);
    }
    chosen
}
