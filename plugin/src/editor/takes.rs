//! The takes, newest first: click to select, double-click to rename.

use super::icons::Icon;
use super::theme::{self, BODY, SMALL};
use super::timeline::{bars, gain_of};
use super::view::{Acts, Desk, View, seconds};
use super::widgets::{describe, focus_ring, icon_button, select_all, text_in};
use egui::{Align2, CursorIcon, Id, Rect, Sense, Stroke, StrokeKind, TextEdit, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::TakeSummary;

const WIDTH: f32 = 168.0;
const GAP: f32 = 8.0;

/// Draws the strip.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let takes = &view.status.takes;
    if takes.is_empty() {
        ui.painter().rect_stroke(rect, 8.0, Stroke::new(1.0, theme::raised()), StrokeKind::Inside);
        let words = "Takes appear here, newest first. They are kept with your project.";
        text_in(ui.painter(), rect.shrink(12.0), Align2::CENTER_CENTER, words, theme::font(BODY), theme::muted());
        return;
    }
    // The scroll bar comes below the cards, not over them.
    let area = rect.with_max_y(rect.bottom() + 9.0);
    let mut child = ui.new_child(egui::UiBuilder::new().max_rect(area).id_salt("segue takes"));
    egui::ScrollArea::horizontal().auto_shrink(false).show(&mut child, |ui| {
        let size = vec2((WIDTH + GAP) * takes.len() as f32 - GAP, rect.height());
        let (room, _) = ui.allocate_exact_size(size, Sense::hover());
        for (index, take) in takes.iter().enumerate() {
            let x = room.left() + index as f32 * (WIDTH + GAP);
            let card = Rect::from_min_size(pos2(x, room.top()), vec2(WIDTH, room.height()));
            if ui.clip_rect().intersects(card) {
                show_card(ui, card, take, view, desk, acts);
            }
        }
    });
}

fn show_card(ui: &mut Ui, card: Rect, take: &TakeSummary, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let id = Id::unique(("segue take", take.id));
    let response = ui.interact(card, id, Sense::click());
    let selected = view.status.selected == Some(take.id);
    let making = view.growing(take.id);
    let playing = view.status.playing == Some(take.id);
    // The pointer may be over one of the card's own buttons.
    let over = ui.rect_contains_pointer(card);
    if response.double_clicked() {
        desk.rename = Some((take.id, take.name.clone()));
        select_all(ui, id.with("name"), &take.name);
    } else if response.clicked() && !selected {
        acts.send(Command::Select(take.id));
    }

    let painter = ui.painter().clone();
    painter.rect_filled(card, 8.0, if selected || over { theme::raised() } else { theme::panel() });
    let alive = |color| if take.playable { color } else { theme::faint() };
    if !take.continuation.is_empty() && card.height() > 58.0 {
        let strip = Rect::from_min_max(pos2(card.left() + 10.0, card.bottom() - 18.0), card.max - vec2(10.0, 5.0));
        let made = match view.status.progress.as_ref().filter(|_| making) {
            Some(progress) => {
                progress.total_seconds.map_or(1.0, |total| (progress.seconds / total).clamp(0.0, 1.0)) as f32
            }
            None => 1.0,
        };
        let color = theme::dim(alive(theme::brass()), if selected || playing { 0.85 } else { 0.5 });
        let grown = strip.with_max_x(strip.left() + strip.width() * made);
        bars(&painter, grown, &take.continuation, gain_of(&[&take.continuation]), |_| color);
    }
    if selected {
        painter.rect_stroke(card, 8.0, Stroke::new(1.5, theme::brass()), StrokeKind::Inside);
    }
    focus_ring(ui, &response, card, 8.0);

    let row = |top: f32, height: f32| {
        Rect::from_min_size(pos2(card.left() + 10.0, card.top() + top), vec2(WIDTH - 20.0, height))
    };
    let first = row(5.0, 20.0);
    let star = pos2(first.right() - 5.0, first.center().y);
    let remove = pos2(first.right() - 27.0, first.center().y);
    let renaming = desk.rename.as_ref().is_some_and(|(renamed, _)| *renamed == take.id);
    if renaming {
        rename(ui, first.expand2(vec2(4.0, 1.0)), id.with("name"), desk, acts);
    } else {
        let mut name = first.with_max_x(if over || selected { remove.x - 12.0 } else { star.x - 12.0 });
        if playing {
            Icon::Play.paint(&painter, pos2(name.left() + 5.0, name.center().y), 5.0, theme::brass());
            name.min.x += 16.0;
        }
        text_in(&painter, name, Align2::LEFT_CENTER, &take.name, theme::medium(BODY), alive(theme::text()));
    }
    let facts = if making {
        format!("{} …", seconds(take.seconds))
    } else {
        format!("{} · seed {}", seconds(take.seconds), take.seed)
    };
    let facts = if take.playable { facts } else { format!("{} · pack missing", seconds(take.seconds)) };
    text_in(&painter, row(24.0, 16.0), Align2::LEFT_CENTER, &facts, theme::font(SMALL), alive(theme::muted()));

    describe(&response, true, &format!("Take {}", take.name));
    let hint = if !take.playable {
        format!(
            "This take was made with “{}”, which is not here. It is kept as it is and can be played again once that pack \
             is installed.",
            take.pack
        )
    } else if making {
        "Being made. Click to watch it.".to_owned()
    } else {
        format!(
            "{} of music from seed {}.\nIdeas {:.2}, Touch {:.2}, Detail {:.2}. Made with {}.\n\nClick to select, \
             double-click to rename.",
            seconds(take.seconds),
            take.seed,
            take.temperatures[0],
            take.temperatures[1],
            take.temperatures[2],
            take.pack
        )
    };
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(hint);

    if renaming {
        return;
    }
    let (icon, color, hint) = if take.kept {
        (Icon::StarFilled, theme::brass(), "Marked as worth keeping. Click to unmark.")
    } else {
        (Icon::Star, if over || selected { theme::muted() } else { theme::faint() }, "Mark as worth keeping.")
    };
    if icon_button(ui, id.with("star"), star, icon, color, hint) {
        acts.send(Command::Keep(take.id, !take.kept));
    }
    if (over || selected) && icon_button(ui, id.with("delete"), remove, Icon::Cross, theme::muted(), "Delete this take.")
    {
        acts.send(if making { Command::Cancel } else { Command::Delete(take.id) });
    }
}

fn rename(ui: &mut Ui, rect: Rect, id: Id, desk: &mut Desk, acts: &mut Acts) {
    let Some((take, name)) = desk.rename.as_mut() else { return };
    let edit = TextEdit::singleline(name).id(id).font(theme::font(BODY)).margin(vec2(4.0, 2.0)).char_limit(60);
    let response = ui.put(rect, edit);
    if response.lost_focus() {
        let name = name.trim();
        if !name.is_empty() && !ui.input(|input| input.key_pressed(egui::Key::Escape)) {
            acts.send(Command::Rename(*take, name.to_owned()));
        }
        desk.rename = None;
    } else if !response.has_focus() {
        response.request_focus();
    }
}
