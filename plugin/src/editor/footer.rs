//! What runs where, in one line.

use super::theme::{self, SMALL};
use super::view::{Acts, View};
use super::widgets::{link, text_in, width_of};
use egui::{Align2, Color32, Id, Rect, Sense, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::Activity;

/// Draws the bottom line.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, acts: &mut Acts) {
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
    painter.circle_filled(pos2(rect.left() + 4.0, rect.center().y), 3.5, color);
    let start = rect.with_min_x(rect.left() + 15.0);
    let (activity, _) = text_in(&painter, start, Align2::LEFT_CENTER, word, theme::medium(SMALL), theme::text());
    let mut facts: Vec<String> = Vec::new();
    let mut hint = String::new();
    if let Some(pack) = &status.pack {
        facts.push(pack.title.clone());
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

    let mut left = activity.right() + 14.0;
    if status.activity == Activity::Unable || (status.pack.is_none() && status.activity == Activity::Ready) {
        let words = "Look again";
        let room = Rect::from_min_size(
            pos2(left, rect.top()),
            vec2(width_of(&painter, words, theme::font(SMALL)) + 2.0, rect.height()),
        );
        if link(ui, room, Align2::LEFT_CENTER, Id::unique("segue look again"), words, "Look for a model pack again.") {
            acts.send(Command::LoadPack(None));
        }
        left = room.right() + 14.0;
    }
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
