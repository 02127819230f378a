//! The name, the selected take, what can be taken back, and what comes in.

use super::icons::Icon;
use super::preferences::SCALES;
use super::takes;
use super::theme::{self, BODY, Look, SMALL};
use super::timeline;
use super::view::{Act, Acts, Desk, Key, View, seconds};
use super::widgets::{STAR, describe, focus_ring, link, meter, stars, text_in, width_of};
use egui::{Align2, CursorIcon, Id, Rect, Sense, Stroke, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::TakeSummary;

/// A level below this (linear) is nothing.
pub(super) const SILENCE: f32 = 1e-3;
/// Seconds after which silence is called silence.
pub(super) const QUIET_AFTER: f64 = 1.5;

/// Draws the top line.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let painter = ui.painter().clone();
    let (mark, _) = text_in(
        &painter,
        rect.translate(vec2(0.0, -3.0)),
        Align2::LEFT_CENTER,
        "Segue",
        theme::mark(31.0),
        theme::text(),
    );
    let narrow = rect.width() < 860.0;
    let level = Rect::from_min_size(pos2(rect.right() - 136.0, rect.center().y - 12.0), vec2(136.0, 24.0));
    let strip_width = if narrow { 0.0 } else { 104.0 };
    let strip = Rect::from_min_size(pos2(level.left() - 12.0 - strip_width, level.top()), vec2(strip_width, 24.0));
    input(ui, strip, level, view, desk);

    let tools_width = 4.0 * 28.0;
    let tools =
        Rect::from_min_size(pos2(strip.left() - 12.0 - tools_width, level.top() - 2.0), vec2(tools_width, 28.0));
    tool_row(ui, tools, view, desk, acts);

    painter.vline(
        mark.right() + 12.0,
        rect.center().y - 12.0..=rect.center().y + 12.0,
        Stroke::new(1.0, theme::line()),
    );
    let title = Rect::from_min_max(pos2(mark.right() + 24.0, rect.top()), pos2(tools.left() - 12.0, rect.bottom()));
    match view.shown() {
        Some(take) => heading(ui, title, take, view, acts),
        None => {
            let words = if view.busy() { "New take" } else { "No take yet" };
            text_in(&painter, title, Align2::LEFT_CENTER, words, theme::font(BODY), theme::muted());
        }
    }
}

/// The take's name, its stars, its seed.
fn heading(ui: &mut Ui, rect: Rect, take: &TakeSummary, view: &View<'_>, acts: &mut Acts) {
    let painter = ui.painter().clone();
    let seed = format!("seed {}", take.seed);
    let parent = take.parent.and_then(|parent| view.take(parent)).map(|parent| format!("after {}", parent.name));
    let tail = 5.0 * STAR + 14.0 + width_of(&painter, &seed, theme::font(SMALL)) + 14.0;
    let (name, _) = text_in(
        &painter,
        rect.with_max_x((rect.right() - tail).max(rect.left() + 30.0)),
        Align2::LEFT_CENTER,
        &take.name,
        theme::medium(15.0),
        theme::text(),
    );
    let facts = takes::facts_of(take, view.growing(take.id));
    ui.interact(name, Id::unique("segue title"), Sense::hover()).on_hover_text(facts);
    let at = pos2(name.right() + 12.0, rect.center().y);
    if let Some(count) = stars(ui, Id::unique("segue title stars"), at, take.stars, true) {
        acts.send(Command::Stars(take.id, count));
    }
    let rest = rect.with_min_x(at.x + 5.0 * STAR + 12.0).translate(vec2(0.0, 1.0));
    let control = view.control(Key::Seed);
    let steps = control.steps.unwrap_or(9999).max(1);
    let usable = take.seed <= steps as u64 && control.index() as u64 != take.seed;
    let mut right = rest.left() + width_of(&painter, &seed, theme::font(SMALL));
    if usable {
        let hint = "The seed of this take. Click to use it for the next takes.";
        if link(ui, rest, Align2::LEFT_CENTER, Id::unique("segue use seed"), &seed, SMALL, hint) {
            acts.set(Key::Seed, take.seed as f32 / steps as f32);
        }
    } else {
        let (place, _) = text_in(&painter, rest, Align2::LEFT_CENTER, &seed, theme::font(SMALL), theme::muted());
        ui.interact(place, Id::unique("segue seed"), Sense::hover())
            .on_hover_text("The seed of this take, which the next takes have too.");
    }
    right += 12.0;
    if let Some(parent) = parent
        && rest.right() - right > width_of(&painter, &parent, theme::font(SMALL))
    {
        let room = rest.with_min_x(right);
        text_in(&painter, room, Align2::LEFT_CENTER, &parent, theme::font(SMALL), theme::muted());
    }
}

/// Undo, redo, keys, appearance.
fn tool_row(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let place = |index: usize| Rect::from_min_size(rect.min + vec2(28.0 * index as f32, 0.0), vec2(28.0, 28.0));
    let what = |word: &str, key: &str, what: &Option<String>| match what {
        Some(what) => format!("{word}: {what} ({key})."),
        None => format!("Nothing to {} ({key}).", word.to_lowercase()),
    };
    let undo = what("Undo", "Ctrl+Z", &view.status.undo);
    if tool(ui, place(0), "undo", Icon::Undo, view.status.undo.is_some(), &undo).clicked() {
        acts.send(Command::Undo);
    }
    let redo = what("Redo", "Ctrl+Y", &view.status.redo);
    if tool(ui, place(1), "redo", Icon::Redo, view.status.redo.is_some(), &redo).clicked() {
        acts.send(Command::Redo);
    }
    if tool(ui, place(2), "help", Icon::Help, true, "The keys, and how values are moved (?).").clicked() {
        desk.help = !desk.help;
    }
    let response = tool(ui, place(3), "look", Icon::Gear, true, "Dark or light, and how large.");
    egui::Popup::menu(&response).width(150.0).show(|ui| appearance(ui, desk, acts));
}

fn tool(ui: &mut Ui, rect: Rect, name: &str, icon: Icon, enabled: bool, hint: &str) -> egui::Response {
    let sense = if enabled { Sense::click() } else { Sense::hover() };
    let response = ui.interact(rect, Id::unique(("segue tool", name)), sense);
    if enabled && response.hovered() {
        ui.painter().rect_filled(rect.shrink(2.0), 5.0, theme::raised());
    }
    focus_ring(ui, &response, rect.shrink(2.0), 5.0);
    let color = match (enabled, response.hovered()) {
        (false, _) => theme::line(),
        (true, false) => theme::muted(),
        (true, true) => theme::text(),
    };
    icon.paint(ui.painter(), rect.center(), 6.5, color);
    describe(&response, enabled, name);
    let response = if enabled { response.on_hover_cursor(CursorIcon::PointingHand) } else { response };
    response.on_hover_text(hint)
}

/// Dark or light, and how large.
fn appearance(ui: &mut Ui, desk: &mut Desk, acts: &mut Acts) {
    let before = desk.preferences.clone();
    let small = |text: &str| egui::RichText::new(text).font(theme::font(SMALL)).color(theme::muted());
    ui.label(small("Look"));
    for (look, word) in [(Look::Dark, "Dark"), (Look::Light, "Light")] {
        if ui.selectable_label(desk.preferences.look == look, word).clicked() {
            desk.preferences.look = look;
            ui.close();
        }
    }
    ui.add_space(4.0);
    ui.label(small("Size"));
    let now = (desk.preferences.zoom() * 100.0).round() as u16;
    for scale in SCALES {
        if ui.selectable_label(now == scale, format!("{scale} %")).clicked() {
            desk.preferences.scale = scale;
            ui.close();
        }
    }
    if desk.preferences != before {
        acts.push(Act::Prefer(desk.preferences.clone()));
    }
}

/// What comes in: the last seconds as a strip, the level beside it, and in words whether anything does.
fn input(ui: &mut Ui, strip: Rect, level: Rect, view: &View<'_>, desk: &Desk) {
    let painter = ui.painter().clone();
    if strip.width() > 0.0 {
        painter.rect_filled(strip, 5.0, theme::well());
        let wave = &view.status.listening;
        painter.hline(strip.shrink(5.0).x_range(), strip.center().y, Stroke::new(1.0, theme::line()));
        if timeline::heard(wave) {
            let gain = timeline::gain_of(&[wave]);
            let color = theme::dim(theme::slate(), 0.8);
            timeline::bars(&painter, strip.shrink2(vec2(5.0, 3.0)), wave, gain, |_| color);
        }
        ui.interact(strip, Id::unique("segue strip"), Sense::hover()).on_hover_text(format!(
            "Segue is always listening. These are the last {} of your playing: what Capture & Continue would continue.",
            seconds(view.prompt_seconds)
        ));
    }
    let now = ui.input(|input| input.time);
    let quiet = desk.heard.is_none_or(|heard| now - heard > QUIET_AFTER);
    let hold = desk.input.hold;
    let (text, color) = match (quiet, hold > SILENCE) {
        (false, true) if hold > 1.0 => (decibels(hold), theme::alert()),
        (false, true) => (decibels(hold), theme::text()),
        (false, false) => ("…".to_owned(), theme::muted()),
        (true, _) => ("nothing comes in".to_owned(), theme::muted()),
    };
    let words = level.with_max_y(level.center().y + 2.0);
    let (name, _) = text_in(&painter, words, Align2::LEFT_CENTER, "Input", theme::font(SMALL), theme::muted());
    let rest = words.with_min_x(name.right() + 6.0);
    text_in(&painter, rest, Align2::RIGHT_CENTER, &text, theme::font(SMALL), color);
    let bar = Rect::from_min_max(pos2(level.left(), level.bottom() - 7.0), pos2(level.right(), level.bottom() - 2.0));
    meter(&painter, bar, desk.input, theme::slate());
    let hint = if quiet {
        "Nothing is coming in. Is there a piano on this track, before Segue, and does the host pass it on (armed and \
         monitored, or playing)?"
    } else {
        "Peak level of the input, −60 to +6 dB, before the input level control."
    };
    ui.interact(level, Id::unique("segue level"), Sense::hover()).on_hover_text(hint);
}

fn decibels(level: f32) -> String {
    format!("{:.0} dB", 20.0 * level.log10()).replace("-0 dB", "0 dB").replace('-', "−")
}
