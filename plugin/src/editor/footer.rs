//! What runs where, in one line.

use super::icons::Icon;
use super::packs;
use super::theme::{self, SMALL};
use super::view::{Acts, Desk, Key, View, seconds};
use super::widgets::{describe, focus_ring, text_in, width_of};
use egui::{Align2, CursorIcon, Id, Rect, Sense, Ui, pos2, vec2};
use segue_engine::status::{Activity, DuetState};

/// Draws the bottom line.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let painter = ui.painter().clone();
    let status = view.status;
    let (word, color) = match status.activity {
        Activity::Asleep => ("Asleep", theme::faint()),
        Activity::Loading => ("Loading", theme::slate()),
        Activity::Ready if status.playing.is_some() => ("Playing", theme::brass()),
        Activity::Ready => ("Ready", theme::good()),
        Activity::Recording => ("Recording", theme::alert()),
        Activity::Prefilling => ("Reading", theme::brass()),
        Activity::Generating => ("Continuing", theme::brass()),
        Activity::Unable => ("Not able to continue", theme::alert()),
    };
    let word = match status.duet {
        DuetState::Waiting { seconds_left } if view.ready() => {
            format!("Duet: {}", seconds(f64::from(seconds_left)))
        }
        DuetState::Listening if view.ready() && status.playing.is_none() && view.control(Key::Duet).on() => {
            "Duet: listening".to_owned()
        }
        _ if status.queued > 0 => format!("{word}, {} more", status.queued),
        _ => word.to_owned(),
    };
    painter.circle_filled(pos2(rect.left() + 4.0, rect.center().y), 3.5, color);
    let start = rect.with_min_x(rect.left() + 15.0);
    let (activity, _) = text_in(&painter, start, Align2::LEFT_CENTER, &word, theme::medium(SMALL), theme::text());
    let mut facts: Vec<String> = Vec::new();
    let mut hint = String::new();
    if let Some(pack) = &status.pack {
        let device = match pack.device.as_str() {
            "cpu" => "CPU".to_owned(),
            "cuda" => "CUDA".to_owned(),
            "directml" => "DirectML".to_owned(),
            other => other.to_owned(),
        };
        facts.push(match pack.threads {
            0 => device,
            1 => format!("{device}, 1 thread"),
            threads => format!("{device}, {threads} threads"),
        });
        hint = format!(
            "{} {} ({})\n{} Hz, {} channel{}\nLicence of the weights: {}\n\n",
            pack.title,
            pack.version,
            pack.name,
            pack.sample_rate,
            pack.channels,
            if pack.channels == 1 { "" } else { "s" },
            pack.license
        );
    }
    let live = status.progress.as_ref().map(|progress| progress.speed).filter(|speed| *speed > 0.0);
    if let Some(speed) = live.or(status.speed) {
        facts.push(format!("{speed:.1}× real time"));
    }
    if let Some(ttfa) = status.ttfa_ms {
        facts.push(format!("first sound {ttfa:.0} ms"));
    }
    if status.pack.is_some() {
        facts.push(match view.underruns {
            1 => "1 underrun".to_owned(),
            count => format!("{count} underruns"),
        });
    }
    hint.push_str(
        "Speed: seconds of music made per second. First sound: from the trigger to the first sample of the \
         continuation. Underruns: blocks in which the music was not ready in time.",
    );

    let left = chooser(ui, rect, activity.right() + 10.0, view, desk, acts) + 12.0;
    // The grip of the corner needs its room.
    let right = rect.right() - 10.0;
    let notice = status.notice.as_deref().unwrap_or_default();
    let least = if notice.is_empty() {
        0.0
    } else {
        width_of(&painter, notice, theme::font(SMALL)).min((right - left) * 0.4) + 24.0
    };
    let room = Rect::from_min_max(pos2(left, rect.top()), pos2(right - least, rect.bottom()));
    // Whole facts only; what does not fit is in the tooltip.
    let hint = format!("{}\n\n{hint}", facts.join("  ·  ")).trim_start().to_owned();
    let fits = |facts: &[String]| width_of(&painter, &facts.join("  ·  "), theme::font(SMALL)) <= room.width();
    while facts.len() > 1 && !fits(&facts) {
        facts.pop();
    }
    let facts = facts.join("  ·  ");
    let (place, _) = text_in(&painter, room, Align2::LEFT_CENTER, &facts, theme::font(SMALL), theme::muted());
    ui.interact(place, Id::unique("segue facts"), Sense::hover()).on_hover_text(hint);
    if !notice.is_empty() {
        let room = Rect::from_min_max(pos2(place.right() + 24.0, rect.top()), pos2(right, rect.bottom()));
        text_in(&painter, room, Align2::RIGHT_CENTER, notice, theme::font(SMALL), theme::text());
        ui.interact(room, Id::unique("segue notice"), Sense::hover()).on_hover_text(notice);
    }
}

/// The name of the pack, to press for others. Returns its right edge.
fn chooser(ui: &mut Ui, rect: Rect, left: f32, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) -> f32 {
    let painter = ui.painter().clone();
    let title = match &view.status.pack {
        Some(pack) => pack.title.clone(),
        None if view.status.activity == Activity::Loading => "Loading…".to_owned(),
        None => "No model pack".to_owned(),
    };
    let width = width_of(&painter, &title, theme::font(SMALL)).min(rect.width() * 0.3);
    let room = Rect::from_min_size(pos2(left, rect.center().y - 10.0), vec2(width + 30.0, 20.0));
    let response = ui.interact(room, Id::unique("segue packs"), Sense::click());
    if response.hovered() {
        painter.rect_filled(room, 5.0, theme::raised());
    }
    focus_ring(ui, &response, room, 5.0);
    let words = Rect::from_min_size(pos2(left + 7.0, room.top()), vec2(width + 1.0, room.height()));
    text_in(&painter, words, Align2::LEFT_CENTER, &title, theme::font(SMALL), theme::text());
    Icon::Chevron.paint(&painter, pos2(room.right() - 11.0, room.center().y), 3.5, theme::muted());
    describe(&response, true, "Model pack");
    let response = response.on_hover_cursor(CursorIcon::PointingHand);
    let popup = egui::Popup::menu(&response).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside);
    if popup.show(|ui| packs::menu(ui, view, desk, acts)).is_none() {
        desk.packs = None;
    }
    response.on_hover_text("Which model plays. Choose among the packs that are here, or give a folder.");
    room.right()
}
