//! Which model plays: the packs that are here, and any other folder.

use super::theme::{self, BODY, SMALL};
use super::view::{Act, Acts, Desk, Purpose, View};
use super::widgets::button;
use egui::{Id, RichText, TextEdit, Ui, vec2};
use segue_engine::command::Command;
use std::path::PathBuf;

/// A pack that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) title: String,
    /// Name and version, to tell whether it is the loaded one.
    pub(super) label: String,
    pub(super) folder: PathBuf,
}

/// The packs in all the usual places.
fn look() -> Vec<Found> {
    let found = segue_engine::pack::list().into_iter().map(|pack| Found {
        title: pack.manifest.title.clone(),
        label: pack.label(),
        folder: pack.folder,
    });
    found.collect()
}

/// The list, inside a popup.
pub(super) fn menu(ui: &mut Ui, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let packs = desk.packs.get_or_insert_with(look).clone();
    ui.set_width(320.0);
    ui.label(RichText::new("Model pack").font(theme::font(SMALL)).color(theme::muted()));
    let loaded = view.status.pack.as_ref().map(|pack| format!("{} {}", pack.name, pack.version));
    for pack in &packs {
        let chosen = loaded.as_deref() == Some(&pack.label);
        let response = ui.selectable_label(chosen, format!("{}  ·  {}", pack.title, pack.label));
        if response.on_hover_text(pack.folder.display().to_string()).clicked() {
            acts.send(Command::LoadPack(Some(pack.folder.clone())));
            ui.close();
        }
    }
    if packs.is_empty() {
        ui.label(RichText::new("None found in the usual places.").font(theme::font(BODY)).color(theme::text()));
    }
    ui.add_space(6.0);
    ui.label(RichText::new("Another one").font(theme::font(SMALL)).color(theme::muted()));
    let edit = TextEdit::singleline(&mut desk.pack_folder)
        .id(Id::unique("segue pack folder"))
        .hint_text("Path of a pack, a folder of packs, or a .seguepack")
        .font(theme::font(BODY))
        .desired_width(f32::INFINITY)
        .margin(vec2(8.0, 5.0));
    let response = ui.add(edit).on_hover_text("Type or paste a path, then Enter.");
    let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    ui.horizontal(|ui| {
        let used = button(
            ui,
            "Use",
            vec2(56.0, 26.0),
            false,
            "Load the pack that is there. A .seguepack is unpacked into your packs first.",
        );
        let folder = desk.pack_folder.trim();
        if (used || entered) && !folder.is_empty() {
            acts.send(Command::LoadPack(Some(folder.into())));
            ui.close();
        }
        for (name, width, purpose, tip) in [
            ("Folder…", 78.0, Purpose::Pack, "Choose a folder in a dialog."),
            ("File…", 62.0, Purpose::PackFile, "Choose a .seguepack in a dialog; it is unpacked into your packs."),
        ] {
            if button(ui, name, vec2(width, 26.0), false, tip) {
                acts.push(Act::Choose(purpose));
                ui.close();
            }
        }
        if button(ui, "Look again", vec2(92.0, 26.0), false, "Look in the usual places again.") {
            desk.packs = None;
            acts.send(Command::LoadPack(None));
            ui.close();
        }
    });
}
