//! The line above the scene: how much of the past, how much of the future, and when it comes in.

use super::icons::Icon;
use super::theme::{self, BODY, SMALL};
use super::view::{Acts, Desk, Key, View};
use super::widgets::{choice, field, focus_ring, switch, text_in, width_of};
use egui::{Align2, CursorIcon, Id, Rect, Sense, Ui, pos2, vec2};

/// Draws it.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let painter = ui.painter().clone();
    let narrow = rect.width() < 800.0;
    let place = |x: f32, width: f32| Rect::from_min_size(pos2(x, rect.top()), vec2(width, rect.height()));

    let mode = view.control(Key::Mode);
    let (word, _) = text_in(&painter, rect, Align2::LEFT_CENTER, "Prompt", theme::medium(BODY), theme::slate());
    let room = place(word.right() + 10.0, if narrow { 156.0 } else { 168.0 });
    choice(
        ui,
        room,
        mode,
        "Capture mode",
        "What I just played: Segue continues the seconds before you press.\n\
         Record, then continue: it records the seconds after you press, and continues those.",
        acts,
    );
    let room = place(room.right() + 6.0, 58.0);
    let (length, hint) = if view.in_bars() {
        (Key::PromptBars, "How many bars of your playing Segue hears as the beginning, in the host's tempo.")
    } else {
        (Key::Prompt, "How much of your playing Segue hears as the beginning.")
    };
    field(ui, room, view.control(length), "Prompt length", hint, desk, acts);
    measure(ui, place(room.right() + 2.0, 22.0), view, acts);

    let play = |text: &str| width_of(&painter, text, theme::font(SMALL));
    let loop_width = 34.0 + play("Loop");
    let mut x = rect.right() - loop_width;
    switch(
        ui,
        place(x, loop_width),
        view.control(Key::Loop),
        "Loop",
        "Start the selected take over when it ends (L).",
        acts,
    );
    let start_width = if narrow { 140.0 } else { 150.0 };
    x -= start_width + 12.0;
    choice(
        ui,
        place(x, start_width),
        view.control(Key::Start),
        "Start",
        "When the continuation comes in. It always stays in time with your playing: if it comes in later, it comes in \
         further along.",
        acts,
    );
    x -= 58.0 + 6.0;
    field(
        ui,
        place(x, 58.0),
        view.control(Key::Length),
        "Continuation length",
        "How long Segue plays on. At the top: without end.",
        desk,
        acts,
    );
    let word = "Continuation";
    x -= width_of(&painter, word, theme::medium(BODY)) + 10.0;
    text_in(&painter, place(x, 200.0), Align2::LEFT_CENTER, word, theme::medium(BODY), theme::brass());
}

/// Seconds or bars, and where the prompt ends.
fn measure(ui: &mut Ui, rect: Rect, view: &View<'_>, acts: &mut Acts) {
    let response = ui.interact(rect, Id::unique("segue measure"), Sense::click());
    let fill = if response.hovered() { theme::lifted() } else { theme::raised() };
    ui.painter().rect_filled(rect, 5.0, fill);
    focus_ring(ui, &response, rect, 5.0);
    Icon::Chevron.paint(ui.painter(), rect.center(), 4.5, theme::muted());
    super::widgets::describe(&response, true, "Seconds or bars");
    let response = response.on_hover_cursor(CursorIcon::PointingHand);
    let (bars, snap) = (view.control(Key::PromptBars), view.control(Key::Snap));
    let steps = bars.steps.unwrap_or(1).max(1) as f32;
    egui::Popup::menu(&response).width(210.0).show(|ui| {
        if ui.selectable_label(bars.index() == 0, "Seconds").clicked() {
            acts.set(Key::PromptBars, 0.0);
            ui.close();
        }
        for (index, words) in ["1 bar", "2 bars", "4 bars", "8 bars"].iter().enumerate() {
            let index = index + 1;
            if ui.selectable_label(bars.index() == index, format!("The last {words}")).clicked() {
                acts.set(Key::PromptBars, index as f32 / steps);
                ui.close();
            }
        }
        if !view.status.host_time.bars {
            let note = "The host tells no tempo now: seconds count.";
            ui.label(egui::RichText::new(note).font(theme::font(SMALL)).color(theme::muted()));
        }
        ui.separator();
        if ui.selectable_label(snap.on(), "End on the last beat").clicked() {
            acts.set(Key::Snap, if snap.on() { 0.0 } else { 1.0 });
            ui.close();
        }
    });
    response.on_hover_text(
        "Measure the prompt in seconds or in bars of the host; end it exactly where you press, or on the last beat \
         before.",
    );
}
