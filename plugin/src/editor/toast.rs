//! What has just happened, in one line, and what can be done about it. Gone after a few seconds.

use super::theme::{self, BODY};
use super::view::{Acts, Desk};
use super::widgets::{link, width_of};
use egui::{Align2, Area, Id, Order, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use segue_engine::command::Command;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Seconds it stays.
const STAYS: f64 = 7.0;
/// Seconds it stays at least after the pointer has left it.
const LINGERS: f64 = 2.0;

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Take it back.
    Undo,
    /// The file's path to the clipboard.
    Copy(PathBuf),
    /// The file's folder in the system's file manager.
    Reveal(PathBuf),
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Toast {
    pub(super) text: String,
    pub(super) remedies: Vec<Remedy>,
    /// When it goes, egui's time; set when it is first drawn.
    until: Option<f64>,
}

impl Toast {
    /// Says something.
    pub(super) fn new(text: impl Into<String>, remedies: Vec<Remedy>) -> Self {
        Self { text: text.into(), remedies, until: None }
    }
}

/// Opens the folder a file is in.
pub(super) fn reveal(ui: &Ui, file: &Path) {
    open_folder(ui, file.parent().unwrap_or(file));
}

/// Opens a folder in the system's file manager; makes it if it is not there.
pub(super) fn open_folder(ui: &Ui, folder: &Path) {
    // If it cannot be made, the file manager says so.
    let _ = std::fs::create_dir_all(folder);
    ui.ctx().open_url(egui::OpenUrl::same_tab(folder.display().to_string()));
}

/// Draws it above the bottom line.
pub(super) fn show(ui: &mut Ui, above: Rect, desk: &mut Desk, acts: &mut Acts) {
    let Some(toast) = desk.toast.clone() else { return };
    let (ctx, painter) = (ui.ctx().clone(), ui.painter().clone());
    let words = |remedy: &Remedy| match remedy {
        Remedy::Undo => ("Undo", "Take it back (Ctrl+Z)."),
        Remedy::Copy(_) => ("Copy path", "Copy the file's path, to paste it into a file dialog."),
        Remedy::Reveal(_) => ("Show in folder", "Open the file's folder, to drag the file into the arrangement."),
    };
    let wide = |text: &str| width_of(&painter, text, theme::font(BODY));
    let remedies: f32 = toast.remedies.iter().map(|remedy| wide(words(remedy).0) + 22.0).sum();
    let text = wide(&toast.text).min(above.width() - remedies - 60.0);
    let size = vec2(text + remedies + 32.0, 34.0);
    let place = Rect::from_min_size(pos2(above.center().x - size.x / 2.0, above.top() - size.y - 4.0), size);
    let mut done = false;
    let shown = Area::new(Id::unique("segue toast")).order(Order::Foreground).fixed_pos(place.min).show(&ctx, |ui| {
        let (place, whole) = ui.allocate_exact_size(size, Sense::hover());
        let shadow = egui::Shadow { offset: [0, 4], blur: 16, spread: 0, color: egui::Color32::from_black_alpha(90) };
        ui.painter().add(shadow.as_shape(place, 9.0));
        ui.painter().rect(place, 9.0, theme::lifted(), Stroke::new(1.0, theme::faint()), StrokeKind::Inside);
        let line = place.shrink2(vec2(16.0, 0.0));
        let words_place = line.with_max_x(line.left() + text + 1.0);
        let font = theme::font(BODY);
        super::widgets::text_in(ui.painter(), words_place, Align2::LEFT_CENTER, &toast.text, font, theme::text());
        let mut x = words_place.right();
        for (index, remedy) in toast.remedies.iter().enumerate() {
            let (word, hint) = words(remedy);
            let room = Rect::from_min_size(pos2(x + 22.0, line.top()), vec2(wide(word) + 2.0, line.height()));
            if link(ui, room, Align2::LEFT_CENTER, Id::unique(("segue toast", index)), word, BODY, hint) {
                done = true;
                match remedy {
                    Remedy::Undo => acts.send(Command::Undo),
                    Remedy::Copy(path) => ui.ctx().copy_text(path.display().to_string()),
                    Remedy::Reveal(path) => reveal(ui, path),
                }
            }
            x = room.right();
        }
        whole.contains_pointer()
    });
    let now = ctx.input(|input| input.time);
    let Some(toast) = desk.toast.as_mut() else { return };
    let until = toast.until.get_or_insert(now + STAYS);
    if shown.inner {
        *until = until.max(now + LINGERS);
    }
    if done || now >= *until {
        desk.toast = None;
        ctx.request_repaint();
    } else {
        ctx.request_repaint_after(Duration::from_secs_f64(*until - now));
    }
}
