//! The name, the selected take, what comes in; and, when something went wrong, what and what to do.

use super::icons::Icon;
use super::theme::{self, BODY, SMALL};
use super::timeline;
use super::view::{Acts, Desk, View, seconds};
use super::widgets::{meter, text_in, width_of};
use egui::text::{LayoutJob, TextFormat};
use egui::{Align2, Galley, Id, Rect, Sense, Stroke, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::Problem;
use std::sync::Arc;

/// Draws the top line.
pub(super) fn show(ui: &mut Ui, rect: Rect, view: &View<'_>, desk: &Desk, acts: &mut Acts) {
    let painter = ui.painter().clone();
    let (mark, _) = text_in(
        &painter,
        rect.translate(vec2(0.0, -3.0)),
        Align2::LEFT_CENTER,
        "Segue",
        theme::mark(31.0),
        theme::text(),
    );

    let narrow = rect.width() < 760.0;
    let input = Rect::from_min_max(pos2(rect.right() - if narrow { 250.0 } else { 300.0 }, rect.top()), rect.max);
    let title = Rect::from_min_max(pos2(mark.right() + 22.0, rect.top()), pos2(input.left() - 16.0, rect.bottom()));
    painter.vline(
        mark.right() + 11.0,
        title.center().y - 12.0..=title.center().y + 12.0,
        Stroke::new(1.0, theme::line()),
    );
    match view.shown() {
        Some(take) => {
            let mut title = title;
            if view.status.selected == Some(take.id) {
                let star = pos2(title.left() + 8.0, title.center().y);
<<<<<<< HEAD
                let (icon, color, hint) = if take.kept {
                    (Icon::StarFilled, theme::brass(), "Marked as worth keeping. Click to unmark.")
=======
                let (icon, color, hint) = if take.stars > 0 {
                    (Icon::StarFilled, theme::BRASS, "Marked as worth keeping. Click to unmark.")
>>>>>>> w-engine
                } else {
                    (Icon::Star, theme::muted(), "Mark this take as worth keeping.")
                };
                if super::widgets::icon_button(ui, Id::unique("segue header star"), star, icon, color, hint) {
                    acts.send(Command::Stars(take.id, if take.stars > 0 { 0 } else { 5 }));
                }
                title.min.x += 26.0;
            }
            let facts = format!("seed {}", take.seed);
            let room = title.width() - width_of(&painter, &facts, theme::font(SMALL)) - 12.0;
            let (name, _) = text_in(
                &painter,
                title.with_max_x(title.left() + room),
                Align2::LEFT_CENTER,
                &take.name,
                theme::medium(15.0),
                theme::text(),
            );
            let rest = title.with_min_x(name.right() + 10.0).translate(vec2(0.0, 1.0));
            text_in(&painter, rest, Align2::LEFT_CENTER, &facts, theme::font(SMALL), theme::muted());
            ui.interact(name.union(rest.with_max_x(name.right() + 90.0)), Id::unique("segue title"), Sense::hover())
                .on_hover_text(format!(
                    "{}\n{} of continuation, seed {}\nIdeas {:.2}, Touch {:.2}, Detail {:.2}\nMade with {}",
                    take.name,
                    seconds(take.seconds),
                    take.seed,
                    take.temperatures[0],
                    take.temperatures[1],
                    take.temperatures[2],
                    take.pack
                ));
        }
        None => {
            text_in(
                &painter,
                title,
                Align2::LEFT_CENTER,
                if view.busy() { "New take" } else { "No take yet" },
                theme::font(BODY),
                theme::muted(),
            );
        }
    }

    // What comes in: the last seconds as a strip, the level beside it.
    let level = Rect::from_min_size(pos2(input.right() - 150.0, input.center().y - 12.0), vec2(150.0, 24.0));
    let strip = Rect::from_min_max(pos2(input.left(), level.top()), pos2(level.left() - 12.0, level.bottom()));
    painter.rect_filled(strip, 5.0, theme::panel());
    if view.status.listening.is_empty() {
        text_in(&painter, strip, Align2::CENTER_CENTER, "not listening", theme::font(SMALL), theme::faint());
    } else {
        let gain = timeline::gain_of(&[&view.status.listening]);
        timeline::bars(&painter, strip.shrink2(vec2(5.0, 3.0)), &view.status.listening, gain, |_| {
            theme::dim(theme::slate(), 0.8)
        });
    }
    ui.interact(strip, Id::unique("segue strip"), Sense::hover()).on_hover_text(format!(
        "Segue is always listening. These are the last {} of your playing: what Capture & Continue would continue.",
        seconds(view.prompt_seconds)
    ));
    let words = level.with_max_y(level.center().y + 2.0);
    text_in(&painter, words, Align2::LEFT_CENTER, "Input", theme::font(SMALL), theme::muted());
    let hold = desk.input.hold;
    let text = if hold > 1e-3 {
        format!("{:.0} dB", 20.0 * hold.log10()).replace("-0 dB", "0 dB").replace('-', "−")
    } else {
        "−∞ dB".into()
    };
    let color = if hold > 1.0 { theme::alert() } else { theme::muted() };
    text_in(&painter, words, Align2::RIGHT_CENTER, &text, theme::font(SMALL), color);
    let bar = Rect::from_min_max(pos2(level.left(), level.bottom() - 7.0), pos2(level.right(), level.bottom() - 2.0));
    meter(&painter, bar, desk.input, theme::slate());
    ui.interact(level, Id::unique("segue level"), Sense::hover())
        .on_hover_text("Peak level of the input, −60 to +6 dB, before the input level control.");
}

/// A problem, laid out to a width.
pub(super) struct Banner {
    what: Arc<Galley>,
    remedy: Arc<Galley>,
    most: f32,
}

const BANNER_INSET: egui::Vec2 = vec2(44.0, 10.0);

impl Banner {
    /// Wraps the words of a problem. Taller than `most`, and it scrolls.
    pub(super) fn new(ui: &Ui, problem: &Problem, width: f32, most: f32) -> Self {
        let lay = |text: &str, font, color| {
            let mut job = LayoutJob::single_section(text.to_owned(), TextFormat::simple(font, color));
            job.wrap.max_width = (width - BANNER_INSET.x - 20.0).max(50.0);
            ui.painter().layout_job(job)
        };
        Self {
            what: lay(&problem.what, theme::medium(BODY), theme::text()),
            remedy: lay(&problem.remedy, theme::font(BODY), theme::alert_text()),
            most,
        }
    }

    fn content(&self) -> f32 {
        let gap = if self.remedy.is_empty() { 0.0 } else { 3.0 + self.remedy.size().y };
        self.what.size().y + gap
    }

    /// Points of height it wants.
    pub(super) fn height(&self) -> f32 {
        (self.content() + 2.0 * BANNER_INSET.y).min(self.most)
    }

    /// Draws it.
    pub(super) fn show(self, ui: &mut Ui, rect: Rect) {
        ui.painter().rect_filled(rect, 8.0, theme::alert_paper());
        let bar = Rect::from_min_size(rect.min, vec2(4.0, rect.height()));
        ui.painter().rect_filled(bar, egui::CornerRadius { nw: 8, sw: 8, ne: 0, se: 0 }, theme::alert());
        Icon::Alert.paint(ui.painter(), pos2(rect.left() + 24.0, rect.top() + BANNER_INSET.y + 9.0), 8.0, theme::alert());
        let inner = Rect::from_min_max(rect.min + BANNER_INSET, rect.max - vec2(10.0, BANNER_INSET.y));
        let mut child = ui.new_child(egui::UiBuilder::new().max_rect(inner).id_salt("segue banner"));
        egui::ScrollArea::vertical().auto_shrink(false).show(&mut child, |ui| {
            let (room, _) = ui.allocate_exact_size(vec2(inner.width() - 10.0, self.content()), Sense::hover());
            let below = room.min + vec2(0.0, self.what.size().y + 3.0);
            ui.painter().galley(room.min, self.what, theme::text());
            ui.painter().galley(below, self.remedy, theme::text());
        });
    }
}
