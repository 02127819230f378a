//! Writing a take to a file: what, how and where, chosen once and remembered; and afterwards where the file is.

use super::preferences::{Content, Format, Preferences};
use super::theme::{self, BODY, SMALL};
use super::toast::{Remedy, Toast, reveal};
use super::view::{Act, Acts, Desk, Purpose, View};
use super::widgets::{button, segments, text_in};
use egui::{Align2, Id, Rect, Sense, TextEdit, Ui, vec2};
use segue_engine::command::{Command, ExportContent, ExportFormat, ExportRequest};
use segue_engine::status::{Status, TakeSummary};
use segue_engine::take::TakeId;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// An export being prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// Which take.
    pub(super) take: TakeId,
    /// The folder as it is typed.
    pub(super) folder: String,
}

/// What is to be done with a file as soon as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Say so.
    Tell,
    /// Copy its path too.
    Copy,
    /// Open its folder too.
    Reveal,
}

/// The files takes were exported to.
#[derive(Debug, Default)]
pub(super) struct Files {
    of: HashMap<TakeId, PathBuf>,
    waiting: Option<(TakeId, Then)>,
    /// What the worker wrote last, when it was last looked at.
    seen: Vec<PathBuf>,
}

impl Files {
    /// Notes what was written since.
    pub(super) fn follow(ui: &Ui, desk: &mut Desk, status: &Status) {
        if status.exported == desk.files.seen {
            return;
        }
        desk.files.seen.clone_from(&status.exported);
        let (Some(file), Some((take, then))) = (status.exported.first(), desk.files.waiting.take()) else { return };
        desk.files.of.insert(take, file.clone());
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let copied = match then {
            Then::Tell => "",
            Then::Copy => " · path copied",
            Then::Reveal => "",
        };
        let also = if status.exported.len() > 1 { " and its prompt" } else { "" };
        desk.tell(Toast::new(
            format!("Exported {name}{also}{copied}"),
            vec![Remedy::Copy(file.clone()), Remedy::Reveal(file.clone())],
        ));
        match then {
            Then::Tell => {}
            Then::Copy => ui.ctx().copy_text(file.display().to_string()),
            Then::Reveal => reveal(ui, file),
        }
    }

    /// Does something with a take's file; writes it first, as was chosen last, if it has none.
    pub(super) fn with(ui: &Ui, desk: &mut Desk, take: &TakeSummary, then: Then, acts: &mut Acts) {
        match desk.files.of.get(&take.id).filter(|file| file.exists()) {
            Some(file) if then == Then::Copy => {
                ui.ctx().copy_text(file.display().to_string());
                let file = file.clone();
                desk.tell(Toast::new("Path copied", vec![Remedy::Reveal(file)]));
            }
            Some(file) if then == Then::Reveal => reveal(ui, file),
            _ => {
                if let Some(folder) = desk.preferences.folder() {
                    write(desk, take, &folder, then, acts);
                }
            }
        }
    }
}

/// Asks the worker for a file.
fn write(desk: &mut Desk, take: &TakeSummary, folder: &Path, then: Then, acts: &mut Acts) {
    let Preferences { format, content, .. } = desk.preferences;
    let request = ExportRequest {
        path: folder.join(file_name(&take.name, take.seed)),
        format: match format {
            Format::Float => ExportFormat::Float32,
            Format::Pcm24 => ExportFormat::Pcm24,
        },
        content: match content {
            Content::Continuation => ExportContent::Continuation,
            Content::Joined => ExportContent::PromptAndContinuation,
            Content::Separate => ExportContent::TwoFiles,
        },
    };
    desk.files.waiting = Some((take.id, then));
    acts.send(Command::Export(take.id, request));
}

/// A file name that every system takes.
pub(super) fn file_name(name: &str, seed: u64) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_control() || "<>:\"/\\|?*".contains(c) { '_' } else { c }).take(60).collect();
    let safe = safe.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let safe = if safe.is_empty() { "Take" } else { safe };
    format!("Segue - {safe} (seed {seed}).wav")
}

/// Whether this take can be written now.
pub(super) fn possible(view: &View<'_>, take: &TakeSummary) -> bool {
    take.playable && !view.growing(take.id)
}

/// Opens the dialog.
pub(super) fn open(desk: &mut Desk, take: TakeId) {
    let folder = desk.preferences.folder().map(|folder| folder.display().to_string()).unwrap_or_default();
    desk.export = Some(Draft { take, folder });
}

/// The dialog, while it is open.
pub(super) fn show(ui: &Ui, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let Some(mut draft) = desk.export.clone() else { return };
    let Some(take) = view.take(draft.take) else {
        desk.export = None;
        return;
    };
    let mut preferences = desk.preferences.clone();
    let (mut confirmed, mut closed) = (false, false);
    let modal = super::dialog(ui, "segue export", 460.0, |ui| {
        super::title(ui, &format!("Export “{}”", take.name));
        row(ui, "Contents");
        let contents = [
            (Content::Continuation, "Continuation", "What Segue played."),
            (Content::Joined, "With prompt", "What you played and what Segue played, as one file, without a seam."),
            (Content::Separate, "Two files", "Prompt and continuation as two files that fit together to the sample."),
        ];
        segments(ui, "content", &mut preferences.content, &contents);
        row(ui, "Format");
        let formats = [
            (Format::Float, "WAV, 32-bit float", "Exactly what is heard; nothing clips."),
            (Format::Pcm24, "WAV, 24-bit", "For what does not read floating point."),
        ];
        segments(ui, "format", &mut preferences.format, &formats);
        row(ui, "Folder");
        ui.horizontal(|ui| {
            let edit = TextEdit::singleline(&mut draft.folder)
                .id(Id::unique("segue export folder"))
                .font(theme::font(BODY))
                .desired_width(ui.available_width() - 88.0 - ui.spacing().item_spacing.x)
                .margin(vec2(8.0, 6.0));
            ui.add(edit).on_hover_text("Where the file goes. It is made if it is not there.");
            if button(ui, "Choose…", vec2(88.0, 28.0), false, "Choose the folder in a dialog.") {
                acts.push(Act::Choose(Purpose::Export));
            }
        });
        ui.add_space(4.0);
        let (line, _) = ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::hover());
        let name = file_name(&take.name, take.seed);
        text_in(ui.painter(), line, Align2::LEFT_CENTER, &name, theme::font(SMALL), theme::muted());
        ui.add_space(14.0);
        ui.horizontal(|ui| {
            ui.add_space(ui.available_width() - 2.0 * 96.0 - ui.spacing().item_spacing.x);
            closed = button(ui, "Cancel", vec2(96.0, 32.0), false, "Write nothing (Esc).");
            confirmed = button(ui, "Export", vec2(96.0, 32.0), true, "Write the file (Enter).");
        });
    });
    let enter = ui.input(|input| input.key_pressed(egui::Key::Enter));
    let folder = draft.folder.trim();
    if (confirmed || enter) && !folder.is_empty() {
        preferences.export_folder = Some(folder.into());
        desk.preferences = preferences.clone();
        write(desk, take, Path::new(folder), Then::Tell, acts);
        acts.push(Act::Prefer(preferences));
        desk.export = None;
        return;
    }
    if preferences != desk.preferences {
        desk.preferences = preferences.clone();
        acts.push(Act::Prefer(preferences));
    }
    desk.export = (!closed && !modal).then_some(draft);
}

fn row(ui: &mut Ui, name: &str) {
    ui.add_space(12.0);
    let (line, _) = ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::hover());
    let line: Rect = line;
    text_in(ui.painter(), line, Align2::LEFT_CENTER, name, theme::font(SMALL), theme::muted());
}
