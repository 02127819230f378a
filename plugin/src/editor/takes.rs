//! The takes, newest first: click to select (while one plays: A/B), double-click to rename, right-click for everything.

use super::export::{self, Files, Then};
use super::icons::Icon;
use super::theme::{self, BODY, SMALL};
use super::toast::{Remedy, Toast};
use super::view::{Act, Acts, Desk, View, seconds};
use super::widgets::{STAR, describe, focus_ring, icon_button, select_all, stars, text_in, width_of};
use egui::{Align2, Color32, CursorIcon, Id, Rect, Sense, Stroke, StrokeKind, TextEdit, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::TakeSummary;

const WIDTH: f32 = 196.0;
const GAP: f32 = 8.0;
/// How far "more like this" and "further away" move a temperature.
pub(super) const NUDGE: f32 = 0.15;

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
    // The wheel has no use upwards here.
    let turned = if ui.rect_contains_pointer(area) { ui.input(|input| input.smooth_scroll_delta().y) } else { 0.0 };
    egui::ScrollArea::horizontal().auto_shrink(false).show(&mut child, |ui| {
        if turned != 0.0 {
            ui.scroll_with_delta(vec2(turned, 0.0));
        }
        let size = vec2((WIDTH + GAP) * takes.len() as f32 - GAP, rect.height());
        let (room, _) = ui.allocate_exact_size(size, Sense::hover());
        for (index, take) in takes.iter().enumerate() {
            let x = room.left() + index as f32 * (WIDTH + GAP);
            let card = Rect::from_min_size(pos2(x, room.top()), vec2(WIDTH, room.height()));
            if view.status.selected == Some(take.id) && desk.selected != Some(take.id) {
                // A take that was selected with the keys, or has just begun, is brought into view.
                ui.scroll_to_rect(card, None);
            }
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
        rename_begin(ui, desk, take);
    } else if response.clicked() && !selected {
        acts.send(Command::Select(take.id));
    }

    let painter = ui.painter().clone();
    painter.rect_filled(card, 8.0, if selected || over { theme::raised() } else { theme::panel() });
    let alive = |color| if take.playable { color } else { theme::faint() };
    let inner = card.shrink2(vec2(10.0, 0.0));
    let first = Rect::from_min_size(pos2(inner.left(), card.top() + 5.0), vec2(inner.width(), 20.0));
    let last = Rect::from_min_size(pos2(inner.left(), card.bottom() - 21.0), vec2(inner.width(), 16.0));
    let picture = Rect::from_min_max(pos2(inner.left(), first.bottom() + 2.0), pos2(inner.right(), last.top() - 3.0));
    if picture.height() > 8.0 {
        painter.rect_filled(picture, 2.0, theme::well());
        let made = match view.status.progress.as_ref().filter(|_| making) {
            Some(progress) => {
                progress.total_seconds.map_or(1.0, |total| (progress.seconds / total).clamp(0.0, 1.0)) as f32
            }
            None => 1.0,
        };
        let grown = picture.with_max_x(picture.left() + picture.width() * made);
        let shade = Color32::from_white_alpha(if selected || playing || over { 255 } else { 190 });
        desk.pictures.thumb(&painter, take, grown, shade);
        if let Some(position) = view.position.filter(|_| playing && take.seconds > 0.0) {
            let share = (position / take.seconds).clamp(0.0, 1.0) as f32;
            let x = grown.left() + grown.width() * share;
            painter.vline(x, picture.y_range(), Stroke::new(1.0, theme::text()));
        }
    }
    if selected {
        painter.rect_stroke(card, 8.0, Stroke::new(1.5, theme::brass()), StrokeKind::Inside);
    }
    focus_ring(ui, &response, card, 8.0);

    // Above: the name, and the stars where they are or could be.
    let open = over || selected;
    let stars_left = pos2(first.right() - 5.0 * STAR + 1.0, first.center().y);
    let cross = pos2(picture.right() - 9.0, picture.top() + 8.0);
    let renaming = desk.rename.as_ref().is_some_and(|(renamed, _)| *renamed == take.id);
    if renaming {
        rename(ui, first.expand2(vec2(4.0, 1.0)), id.with("name"), desk, acts);
    } else {
        let mut name = first.with_max_x(if open || take.stars > 0 { stars_left.x - 6.0 } else { first.right() });
        if playing {
            Icon::Play.paint(&painter, pos2(name.left() + 5.0, name.center().y), 5.0, theme::brass());
            name.min.x += 16.0;
        }
        text_in(&painter, name, Align2::LEFT_CENTER, &take.name, theme::medium(BODY), alive(theme::text()));
    }
    // Below: how long, from which seed, how free.
    let mut right = last.right();
    if take.playable {
        for (index, stage) in ["fine", "coarse", "semantic"].into_iter().enumerate() {
            let has = view.status.pack.as_ref().is_none_or(|pack| pack.stages.iter().any(|id| id == stage));
            if !has {
                continue;
            }
            let text = short(take.temperatures[2 - index]);
            let place = last.with_max_x(right);
            let color = theme::stage_color(stage);
            let (drawn, _) = text_in(&painter, place, Align2::RIGHT_CENTER, &text, theme::font(SMALL), color);
            right = drawn.left() - 6.0;
        }
    }
    let facts = match (take.playable, making) {
        (false, _) => format!("{} · pack missing", seconds(take.seconds)),
        (true, true) => format!("{} …", seconds(take.seconds)),
        (true, false) => format!("{} · #{}", seconds(take.seconds).replace(".0 s", " s"), take.seed),
    };
    let place = last.with_max_x(right - 4.0);
    text_in(&painter, place, Align2::LEFT_CENTER, &facts, theme::font(SMALL), alive(theme::muted()));

    describe(&response, true, &format!("Take {}", take.name));
    let response = response.on_hover_cursor(CursorIcon::PointingHand);
    if !renaming {
        let menu = egui::Popup::context_menu(&response).id(id.with("menu"));
        menu.show(|ui| context(ui, take, view, desk, acts));
    }
    response.on_hover_text(facts_of(take, making));

    if renaming {
        return;
    }
    if let Some(count) = stars(ui, id.with("stars"), stars_left, take.stars, open || take.stars > 0) {
        acts.send(Command::Stars(take.id, count));
    }
    if over {
        painter.circle_filled(cross, 8.0, theme::raised());
        let hint = "Delete this take (Del). It can be undone.";
        if icon_button(ui, id.with("delete"), cross, Icon::Cross, theme::muted(), hint) {
            delete(desk, take, making, acts);
        }
    }
}

/// A temperature in as few characters as say it.
fn short(temperature: f32) -> String {
    let text = format!("{temperature:.2}");
    text.strip_suffix('0').map_or_else(|| text.clone(), str::to_owned)
}

/// Everything about a take, in words.
pub(super) fn facts_of(take: &TakeSummary, making: bool) -> String {
    if !take.playable {
        return format!(
            "This take was made with “{}”, which is not here. It is kept as it is and can be played again once that pack \
             is installed.",
            take.pack
        );
    }
    if making {
        return "Being made. Click to watch it.".to_owned();
    }
    let tempo = take.tempo.map(|tempo| format!(" at {tempo:.0} bpm")).unwrap_or_default();
    format!(
        "{}\n{} of music on {} of prompt{tempo}, seed {}.\nTemperatures: Ideas {:.2}, Touch {:.2}, Detail {:.2}; hold \
         {:.0} %, density {:.0} %.\nMade with {}.\n\nClick to select (while a take plays: A/B). Double-click to rename. Right-click for more.",
        take.name,
        seconds(take.seconds),
        seconds(take.prompt_seconds),
        take.seed,
        take.temperatures[0],
        take.temperatures[1],
        take.temperatures[2],
        take.hold * 100.0,
        take.density * 100.0,
        take.pack
    )
}

/// Deletes a take and says how to have it back; one that is being made is stopped instead.
pub(super) fn delete(desk: &mut Desk, take: &TakeSummary, making: bool, acts: &mut Acts) {
    if making {
        acts.send(Command::Cancel);
        return;
    }
    acts.send(Command::Delete(take.id));
    desk.tell(Toast::new(format!("Deleted “{}”", take.name), vec![Remedy::Undo]));
}

/// What can be done with a take.
fn context(ui: &mut Ui, take: &TakeSummary, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    ui.set_min_width(190.0);
    let making = view.growing(take.id);
    let able = take.playable && view.ready();
    let selected = view.status.selected == Some(take.id);
    let choose = |acts: &mut Acts| {
        if !selected {
            acts.send(Command::Select(take.id));
        }
    };
    if item(ui, take.playable, "Play", "Space") {
        choose(acts);
        acts.send(Command::Play);
    }
    if item(ui, take.playable && !selected, "A/B: hear it at the same place", "A") {
        acts.send(Command::Select(take.id));
    }
    ui.separator();
    if item(ui, able, "Retry", "R") {
        choose(acts);
        acts.send(Command::Retry);
    }
    if item(ui, take.playable && !view.busy(), "Continue further", "F") {
        acts.send(Command::Further(take.id));
    }
    let stages: Vec<(usize, &str)> = ["semantic", "coarse", "fine"]
        .into_iter()
        .enumerate()
        .filter(|(_, stage)| view.status.pack.as_ref().is_none_or(|pack| pack.stages.iter().any(|id| id == stage)))
        .collect();
    for (word, delta) in [("More like this  (,)", -NUDGE), ("Further away  (.)", NUDGE)] {
        ui.add_enabled_ui(able, |ui| {
            ui.menu_button(word, |ui| {
                for (stage, id) in &stages {
                    let from = take.temperatures[*stage];
                    let to = (from + delta).clamp(0.0, 1.5);
                    let text = format!("{}  {from:.2} → {to:.2}", theme::stage_name(id));
                    if item(ui, (to - from).abs() > 1e-4, &text, "") {
                        acts.send(Command::Nudge { id: take.id, stage: *stage, delta });
                    }
                }
            });
        });
    }
    ui.add_enabled_ui(able, |ui| {
        ui.menu_button("Variations  (V)", |ui| {
            for count in [1_u8, 2, 4, 8] {
                if item(ui, true, &format!("× {count}"), "") {
                    acts.send(Command::Variations(take.id, count));
                }
            }
        });
    });
    ui.separator();
    ui.menu_button("Stars", |ui| {
        for count in (0..=5_u8).rev() {
            const STARS: [&str; 6] = ["", "1", "2", "3", "4", "5"];
            let text = if count == 0 { "None".to_owned() } else { "★".repeat(usize::from(count)) };
            if item(ui, take.stars != count, &text, STARS[usize::from(count)]) {
                acts.send(Command::Stars(take.id, count));
            }
        }
    });
    if item(ui, true, "Rename", "F2") {
        rename_begin(ui, desk, take);
    }
    ui.separator();
    let possible = export::possible(view, take);
    if item(ui, possible, "Export…", "E") {
        export::open(desk, take.id);
    }
    if item(ui, possible, "Copy file path", "Ctrl C") {
        Files::with(ui, desk, take, Then::Copy, acts);
    }
    if item(ui, possible, "Show in folder", "S") {
        Files::with(ui, desk, take, Then::Reveal, acts);
    }
    ui.separator();
    if item(ui, true, if making { "Cancel" } else { "Delete" }, "Del") {
        delete(desk, take, making, acts);
    }
}

/// A line of a menu, with its key at the right. Whether it was chosen.
fn item(ui: &mut Ui, enabled: bool, text: &str, key: &str) -> bool {
    let least =
        width_of(ui.painter(), text, theme::font(BODY)) + width_of(ui.painter(), key, theme::font(SMALL)) + 44.0;
    let button = egui::Button::new(text)
        .shortcut_text(egui::RichText::new(key).font(theme::font(SMALL)).color(theme::faint()))
        .min_size(vec2(least, 0.0));
    let chosen = ui.add_enabled(enabled, button).clicked();
    if chosen {
        ui.close();
    }
    chosen
}

/// Begins to rename a take.
pub(super) fn rename_begin(ui: &Ui, desk: &mut Desk, take: &TakeSummary) {
    desk.rename = Some((take.id, take.name.clone()));
    select_all(ui, Id::unique(("segue take", take.id)).with("name"), &take.name);
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

/// Selects the take that is `by` places older.
pub(super) fn step(view: &View<'_>, by: isize, acts: &mut Acts) {
    let takes = &view.status.takes;
    let at = view.status.selected.and_then(|id| takes.iter().position(|take| take.id == id));
    let next = match at {
        Some(at) => at.saturating_add_signed(by).min(takes.len().saturating_sub(1)),
        None => 0,
    };
    if let Some(take) = takes.get(next).filter(|_| at != Some(next)) {
        acts.push(Act::Send(Command::Select(take.id)));
    }
}

/// The other take of the pair that A/B goes between, if it is still there.
pub(super) fn other(view: &View<'_>, desk: &Desk) -> Option<(segue_engine::take::TakeId, bool)> {
    let (a, b) = desk.pair?;
    let selected = view.status.selected?;
    let (other, to_a) = if selected == b { (a, true) } else { (b, false) };
    let there = view.take(other).is_some_and(|take| take.playable);
    ((selected == a || selected == b) && there).then_some((other, to_a))
}
