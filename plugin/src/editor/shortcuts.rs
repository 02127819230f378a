//! The keys. `help` lists them; none works while something is typed or a card is open.

use super::export::{self, Files, Then};
use super::panel;
use super::preferences::SCALES;
use super::takes;
use super::view::{Act, Acts, Desk, Key, View};
use egui::{Event, Id, Key as K, Modifiers, Rect, Sense, Ui, vec2};
use nice_plug_egui::KeyCapture;
use segue_engine::command::Command;

/// Which keys the host must not take for itself.
pub(super) fn captured(view: &View<'_>, writing: bool) -> KeyCapture {
    use nice_plug_egui::Key;
    if writing {
        return KeyCapture::CaptureAll;
    }
    let mut keys: Vec<Key> =
        " crfvadtles,.?12345".chars().map(|character| Key::Character(character.to_string())).collect();
    let named = ["Enter", "Escape", "ArrowLeft", "ArrowRight", "Home", "Delete", "F2"];
    keys.extend(named.iter().filter_map(|name| name.parse().ok()));
    // The host has an undo of its own.
    if view.status.undo.is_some() || view.status.redo.is_some() {
        keys.extend(["z", "Z", "y"].map(|character| Key::Character(character.into())));
    }
    KeyCapture::CaptureKeys(keys)
}

/// Does what the keys that were pressed in this frame mean.
pub(super) fn take(ui: &Ui, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    // The page itself holds the keyboard while nothing else does, so that the host knows that these keys are taken.
    let page = Id::unique("segue page");
    ui.interact(Rect::from_min_size(ui.max_rect().min, vec2(1.0, 1.0)), page, Sense::focusable_noninteractive());
    let focused = ui.memory(|memory| memory.focused());
    if focused.is_none() && ui.input(|input| input.focused) {
        ui.memory_mut(|memory| memory.request_focus(page));
    }
    let asked = ui.input(|input| input.events.iter().any(|event| matches!(event, Event::Text(text) if text == "?")));
    if desk.help && asked {
        desk.help = false;
        return;
    }
    if desk.occupied() || egui::Popup::is_any_open(ui.ctx()) {
        return;
    }
    if asked {
        desk.help = true;
    }
    let page_has_it = focused.is_none_or(|id| id == page);
    let events: Vec<Event> = ui.input(|input| input.events.clone());
    for event in events {
        match event {
            Event::Key { key, pressed: true, repeat, modifiers, .. } => {
                press(ui, key, modifiers, repeat, page_has_it, view, desk, acts);
            }
            Event::Copy => {
                if let Some(take) = view.selected().filter(|take| export::possible(view, take)) {
                    Files::with(ui, desk, take, Then::Copy, acts);
                }
            }
            _ => {}
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn press(
    ui: &Ui,
    key: K,
    modifiers: Modifiers,
    repeat: bool,
    page_has_it: bool,
    view: &View<'_>,
    desk: &mut Desk,
    acts: &mut Acts,
) {
    if modifiers.command && !modifiers.alt {
        match key {
            K::Z if modifiers.shift => redo(view, acts),
            K::Z if view.status.undo.is_some() => acts.send(Command::Undo),
            K::Y => redo(view, acts),
            K::Plus | K::Equals => scale(desk, 1, acts),
            K::Minus => scale(desk, -1, acts),
            _ => {}
        }
        return;
    }
    if modifiers.any() {
        return;
    }
    let take = view.selected();
    // A held key goes through the takes, and does nothing else again.
    match key {
        K::ArrowLeft if page_has_it => return takes::step(view, -1, acts),
        K::ArrowRight if page_has_it => return takes::step(view, 1, acts),
        _ if repeat => return,
        _ => {}
    }
    let ready = view.ready();
    match key {
        K::C if ready => panel::pull(desk, acts),
        K::Enter if page_has_it && ready => panel::pull(desk, acts),
        K::Escape if view.busy() => acts.send(Command::Cancel),
        K::Space if page_has_it && (view.status.playing.is_some() || view.playable().is_some()) => {
            acts.push(Act::TogglePlay);
        }
        K::Home if view.playable().is_some() => acts.send(Command::Play),
        K::L => toggle(view, Key::Loop, acts),
        K::D => toggle(view, Key::Duet, acts),
        K::R if ready && view.playable().is_some() => acts.send(Command::Retry),
        K::F => {
            if let Some(take) = panel::further(view) {
                acts.send(Command::Further(take));
            }
        }
        K::V if ready => {
            if let Some(take) = view.playable() {
                let count = (view.control(Key::Variations).index() as u8 + 1).clamp(1, 8);
                // One asked for by hand is several to choose from.
                acts.send(Command::Variations(take.id, if count == 1 { 4 } else { count }));
            }
        }
        K::Comma | K::Period if ready => {
            if let Some(take) = view.playable() {
                let delta = if key == K::Comma { -takes::NUDGE } else { takes::NUDGE };
                acts.send(Command::Nudge { id: take.id, stage: 0, delta });
            }
        }
        K::A => {
            if let Some((other, _)) = takes::other(view, desk) {
                acts.send(Command::Select(other));
            }
        }
        K::T if ready => acts.send(Command::TryIt),
        K::E => {
            if let Some(take) = take.filter(|take| export::possible(view, take)) {
                export::open(desk, take.id);
            }
        }
        K::S => {
            if let Some(take) = take.filter(|take| export::possible(view, take)) {
                Files::with(ui, desk, take, Then::Reveal, acts);
            }
        }
        K::F2 => {
            if let Some(take) = take {
                takes::rename_begin(ui, desk, take);
            }
        }
        K::Delete | K::Backspace if page_has_it => {
            if let Some(take) = take {
                takes::delete(desk, take, view.growing(take.id), acts);
            }
        }
        K::Num1 | K::Num2 | K::Num3 | K::Num4 | K::Num5 => {
            let count = match key {
                K::Num1 => 1,
                K::Num2 => 2,
                K::Num3 => 3,
                K::Num4 => 4,
                _ => 5,
            };
            if let Some(take) = take {
                acts.send(Command::Stars(take.id, if take.stars == count { 0 } else { count }));
            }
        }
        _ => {}
    }
}

fn redo(view: &View<'_>, acts: &mut Acts) {
    if view.status.redo.is_some() {
        acts.send(Command::Redo);
    }
}

fn toggle(view: &View<'_>, key: Key, acts: &mut Acts) {
    acts.set(key, if view.control(key).on() { 0.0 } else { 1.0 });
}

/// The next larger or smaller scale.
fn scale(desk: &mut Desk, by: isize, acts: &mut Acts) {
    let now = (desk.preferences.zoom() * 100.0).round() as u16;
    let at = SCALES.iter().position(|scale| *scale >= now).unwrap_or(SCALES.len() - 1);
    desk.preferences.scale = SCALES[at.saturating_add_signed(by).min(SCALES.len() - 1)];
    acts.push(Act::Prefer(desk.preferences.clone()));
}
