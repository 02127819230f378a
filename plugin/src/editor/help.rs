//! The keys, all on one card.

use super::theme::{self, BODY, SMALL};
use super::view::Desk;
use super::widgets::{text_in, width_of};
use egui::{Align2, Rect, Sense, Ui, pos2, vec2};

/// A key and what it does, in the order of the card: two columns, read downwards.
pub(crate) const KEYS: [(&str, &str); 23] = [
    ("C  or  Enter", "Capture & Continue"),
    ("Esc", "Cancel what is being made"),
    ("Space", "Play or stop the selected take"),
    ("L", "Loop"),
    ("R", "Retry: the same prompt, another way"),
    ("F", "Further: go on from the take's end"),
    ("V", "Variations of the take"),
    (",  .", "More like this, further away (Ideas)"),
    ("A", "A/B: the take before, same place"),
    ("D", "Duet on or off"),
    ("T", "Try it: a built-in prompt"),
    ("←  →", "Select the newer or older take"),
    ("Home", "Play from the beginning"),
    ("1 – 5", "Stars; again: none"),
    ("F2", "Rename"),
    ("Del", "Delete (can be undone)"),
    ("Ctrl Z", "Undo"),
    ("Ctrl Y", "Redo"),
    ("E", "Export"),
    ("Ctrl C", "Copy the take's file path"),
    ("S", "Show the take's file in its folder"),
    ("Ctrl +  Ctrl −", "Larger or smaller"),
    ("?", "All keys on one card"),
];

/// The card, while it is shown.
pub(super) fn show(ui: &Ui, desk: &mut Desk) {
    if !desk.help {
        return;
    }
    let closed = super::dialog(ui, "segue help", 700.0, |ui| {
        super::title(ui, "Keys");
        ui.add_space(6.0);
        let rows = KEYS.len().div_ceil(2);
        let (room, _) = ui.allocate_exact_size(vec2(ui.available_width(), rows as f32 * 25.0), Sense::hover());
        let column = room.width() / 2.0;
        for (index, (key, what)) in KEYS.iter().enumerate() {
            let (across, down) = (index / rows, index % rows);
            let line = Rect::from_min_size(
                room.min + vec2(across as f32 * column, down as f32 * 25.0),
                vec2(column - 12.0, 25.0),
            );
            let cap_width = width_of(ui.painter(), key, theme::medium(SMALL)) + 14.0;
            let cap = Rect::from_min_size(pos2(line.left(), line.top() + 2.0), vec2(cap_width, 20.0));
            ui.painter().rect_filled(cap, 4.0, theme::lifted());
            text_in(ui.painter(), cap, Align2::CENTER_CENTER, key, theme::medium(SMALL), theme::text());
            let words = line.with_min_x(line.left() + 112.0);
            text_in(ui.painter(), words, Align2::LEFT_CENTER, what, theme::font(BODY), theme::muted());
        }
        ui.add_space(10.0);
        let notes = "Every value: drag, or the wheel; with Shift finer. Click its number and type. Double-click: default. \
                     A take: right-click for all that can be done with it.";
        ui.label(egui::RichText::new(notes).font(theme::font(BODY)).color(theme::muted()));
    });
    if closed {
        desk.help = false;
    }
}
