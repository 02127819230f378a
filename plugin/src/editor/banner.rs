//! When something went wrong: what, what to do, and the one step that mends it.

use super::icons::Icon;
use super::theme::{self, BODY};
use super::toast::open_folder;
use super::view::{Act, Acts, Purpose, View};
use super::widgets::button;
use egui::text::{LayoutJob, TextFormat};
use egui::{Galley, Rect, Sense, Ui, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::platform::RUNTIME_LIBRARY;
use segue_engine::status::{Activity, Mend, Problem};
use std::sync::Arc;

/// A problem, laid out to a width.
pub(super) struct Banner {
    what: Arc<Galley>,
    remedy: Arc<Galley>,
    /// Whether buttons go with it.
    steps: bool,
    mend: Mend,
    most: f32,
}

const INSET: egui::Vec2 = vec2(44.0, 10.0);
/// Width and height of the buttons.
const STEP: egui::Vec2 = vec2(132.0, 28.0);

impl Banner {
    /// Wraps the words of a problem. Taller than `most`, and it scrolls.
    pub(super) fn new(ui: &Ui, problem: &Problem, view: &View<'_>, width: f32, most: f32) -> Self {
        let steps = view.status.activity == Activity::Unable;
        let beside = if steps { STEP.x + 16.0 } else { 0.0 };
        let lay = |text: &str, font, color| {
            let mut job = LayoutJob::single_section(text.to_owned(), TextFormat::simple(font, color));
            job.wrap.max_width = (width - INSET.x - 20.0 - beside).max(50.0);
            ui.painter().layout_job(job)
        };
        Self {
            what: lay(&sentence(&problem.what), theme::medium(BODY), theme::text()),
            remedy: lay(&problem.remedy, theme::font(BODY), theme::alert_text()),
            steps,
            mend: problem.mend.clone(),
            most,
        }
    }

    fn content(&self) -> f32 {
        let gap = if self.remedy.is_empty() { 0.0 } else { 4.0 + self.remedy.size().y };
        self.what.size().y + gap
    }

    /// Points of height it wants.
    pub(super) fn height(&self) -> f32 {
        let least = if self.steps { 2.0 * STEP.y + 6.0 } else { 0.0 };
        (self.content().max(least) + 2.0 * INSET.y).min(self.most)
    }

    /// Draws it.
    pub(super) fn show(self, ui: &mut Ui, rect: Rect, acts: &mut Acts) {
        ui.painter().rect_filled(rect, 8.0, theme::alert_paper());
        let bar = Rect::from_min_size(rect.min, vec2(4.0, rect.height()));
        ui.painter().rect_filled(bar, egui::CornerRadius { nw: 8, sw: 8, ne: 0, se: 0 }, theme::alert());
        Icon::Alert.paint(ui.painter(), pos2(rect.left() + 24.0, rect.top() + INSET.y + 9.0), 8.0, theme::alert());
        let mut inner = Rect::from_min_max(rect.min + INSET, rect.max - vec2(12.0, INSET.y));
        if self.steps {
            let top = (rect.height() - 2.0 * STEP.y - 6.0) / 2.0;
            let place =
                Rect::from_min_size(pos2(inner.right() - STEP.x, rect.top() + top), vec2(STEP.x, 2.0 * STEP.y + 6.0));
            inner.max.x = place.left() - 14.0;
            let mut child = ui.new_child(egui::UiBuilder::new().max_rect(place).id_salt("segue steps"));
            child.spacing_mut().item_spacing.y = 6.0;
            if let Mend::Runtime(folder) = &self.mend {
                let hint = format!("{RUNTIME_LIBRARY} belongs into {}. Opens that folder.", folder.display());
                if button(&mut child, "Open its folder", STEP, true, &hint) {
                    open_folder(&child, folder);
                }
            } else if button(&mut child, "Choose a pack…", STEP, true, "Choose the folder of a model pack.") {
                acts.push(Act::Choose(Purpose::Pack));
            }
            if button(&mut child, "Look again", STEP, false, "Look for the runtime and a pack again.") {
                acts.send(Command::LoadPack(None));
            }
        }
        let mut child = ui.new_child(egui::UiBuilder::new().max_rect(inner).id_salt("segue banner"));
        egui::ScrollArea::vertical().auto_shrink(false).show(&mut child, |ui| {
            let (room, _) = ui.allocate_exact_size(vec2(inner.width() - 10.0, self.content()), Sense::hover());
            let below = room.min + vec2(0.0, self.what.size().y + 4.0);
            ui.painter().galley(room.min, self.what, theme::text());
            ui.painter().galley(below, self.remedy, theme::text());
        });
    }
}

/// With a capital, as sentences have: the engine's errors begin without, as parts of longer lines do.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
