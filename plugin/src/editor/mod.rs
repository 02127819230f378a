//! The editor: one screen, drawn with egui. It reads [`Status`] snapshots and [`Meters`], moves parameters through the
//! host and sends [`Command`]s. It owns no audio and waits for nobody.
//!
//! Drawing code (`header`, `timeline`, `takes`, `panel`, `footer`, …) sees only [`view::View`] and answers with
//! [`view::Acts`]; this file is what ties those to the plugin.

mod banner;
mod chooser;
mod export;
mod footer;
mod header;
mod help;
mod icons;
mod knob;
mod packs;
mod palette;
mod panel;
mod pictures;
mod preferences;
mod ribbons;
mod settings;
mod shortcuts;
mod takes;
#[cfg(test)]
mod tests;
mod theme;
mod timeline;
mod toast;
mod view;
mod watch;
mod widgets;
mod window;

#[cfg(test)]
pub(crate) use help::KEYS as SHORTCUTS;
pub use window::{EditorWindow, WindowShape};

use crate::params::SegueParams;
use chooser::Chooser;
use crossbeam::channel::{Sender, TrySendError};
use egui::{Rect, Ui, pos2, vec2};
use export::Files;
use nice_plug::context::gui::{GuiContext, ParamSetter};
use nice_plug::prelude::Param;
use nice_plug_egui::Frame;
use nice_plug_egui::resizable_window::ResizableWindow;
use parking_lot::Mutex;
use preferences::Preferences;
use segue_engine::command::Command;
use segue_engine::status::{Meters, Status};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use theme::Look;
use toast::Toast;
use view::{Act, Acts, Control, Desk, Key, Purpose, View};
use watch::Watch;

/// Width and height in points when first opened.
pub const SIZE: (f32, f32) = (960.0, 680.0);
/// The smallest width and height in points.
pub const MIN_SIZE: (f32, f32) = (800.0, 520.0);

/// What the editor may see and touch.
#[derive(Clone)]
pub struct EditorContext {
    /// The parameters.
    pub params: Arc<SegueParams>,
    /// What the worker shows.
    pub status: Arc<Mutex<Status>>,
    /// What the audio thread shows.
    pub meters: Arc<Meters>,
    /// To the worker. Never waited on.
    pub commands: Sender<Command>,
    /// The host's rate in Hz.
    pub sample_rate: Arc<AtomicU32>,
}

impl std::fmt::Debug for EditorContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EditorContext").finish_non_exhaustive()
    }
}

/// The editor while it is open, and what it remembers while it is not.
pub(crate) struct App {
    context: EditorContext,
    gui: Option<GuiContext>,
    snapshot: Status,
    desk: Desk,
    /// Where the preferences are kept.
    kept: Option<PathBuf>,
    look: Option<Look>,
    watch: Option<Watch>,
    chooser: Option<Chooser>,
    pulse: Option<Pulse>,
    outbox: VecDeque<Command>,
    last: Option<Instant>,
    /// Set by the first frame.
    drawn: Arc<AtomicBool>,
}

/// The `capture` parameter on its way up and down again. A host may apply everything that was set between two blocks
/// at once, so each level is held until the audio thread has had a whole block to see it.
struct Pulse {
    high: bool,
    since: Instant,
    clock: u64,
    blocks: u32,
}

impl Pulse {
    fn new(high: bool, clock: u64) -> Self {
        Self { high, since: Instant::now(), clock, blocks: 0 }
    }
    /// Whether the level has been seen, or nobody is there to see it.
    fn ripe(&mut self, clock: u64) -> bool {
        if clock != self.clock {
            (self.clock, self.blocks) = (clock, self.blocks + 1);
        }
        let held = self.since.elapsed();
        (self.blocks >= 2 && held > Duration::from_millis(40)) || held > Duration::from_millis(700)
    }
}

/// Runs `$body` with the parameter behind a [`Key`], whatever its type.
macro_rules! with_param {
    ($params:expr, $key:expr, |$param:ident| $body:expr) => {{
        let params: &SegueParams = $params;
        match $key {
            Key::Mode => with_param!(@ &params.mode, $param, $body),
            Key::Prompt => with_param!(@ &params.prompt, $param, $body),
            Key::Length => with_param!(@ &params.length, $param, $body),
            Key::Ideas => with_param!(@ &params.t_semantic, $param, $body),
            Key::Touch => with_param!(@ &params.t_coarse, $param, $body),
            Key::Detail => with_param!(@ &params.t_fine, $param, $body),
            Key::Focus => with_param!(@ &params.top_p, $param, $body),
            Key::Hold => with_param!(@ &params.hold, $param, $body),
            Key::Density => with_param!(@ &params.density, $param, $body),
            Key::Seed => with_param!(@ &params.seed, $param, $body),
            Key::Start => with_param!(@ &params.start, $param, $body),
            Key::Play => with_param!(@ &params.play, $param, $body),
            Key::Loop => with_param!(@ &params.loop_take, $param, $body),
            Key::Dry => with_param!(@ &params.dry, $param, $body),
            Key::Wet => with_param!(@ &params.wet, $param, $body),
            Key::Duck => with_param!(@ &params.duck, $param, $body),
            Key::TriggerNote => with_param!(@ &params.trigger_note, $param, $body),
            Key::PromptBars => with_param!(@ &params.prompt_bars, $param, $body),
            Key::Snap => with_param!(@ &params.snap, $param, $body),
            Key::Variations => with_param!(@ &params.variations, $param, $body),
            Key::Duet => with_param!(@ &params.duet, $param, $body),
            Key::DuetPause => with_param!(@ &params.duet_pause, $param, $body),
        }
    }};
    (@ $field:expr, $param:ident, $body:expr) => {{
        let $param = $field;
        $body
    }};
}

fn control(params: &SegueParams, key: Key) -> Control {
    with_param!(params, key, |param| {
        let value = param.unmodulated_normalized_value();
        let steps = param.step_count();
        let options = match (key, steps) {
            (Key::Mode | Key::Start, Some(steps)) => (0..=steps)
                .map(|step| param.normalized_value_to_string(step as f32 / steps.max(1) as f32, false))
                .collect(),
            _ => Vec::new(),
        };
        Control {
            key,
            value,
            default: param.default_normalized_value(),
            text: param.normalized_value_to_string(value, true),
            steps,
            options,
        }
    })
}

fn set(setter: &ParamSetter<'_>, params: &SegueParams, key: Key, normalized: f32) {
    with_param!(params, key, |param| setter.set_parameter(param, param.preview_plain(normalized.clamp(0.0, 1.0))));
}

/// Where every parameter is, 0–1.
fn positions(params: &SegueParams) -> [f32; Key::ALL.len()] {
    Key::ALL.map(|key| with_param!(params, key, |param| param.unmodulated_normalized_value()))
}

impl App {
    fn new(context: EditorContext) -> Self {
        Self {
            context,
            gui: None,
            snapshot: Status::default(),
            desk: Desk::default(),
            kept: None,
            look: None,
            watch: None,
            chooser: None,
            pulse: None,
            outbox: VecDeque::new(),
            last: None,
            drawn: Arc::default(),
        }
    }

    /// The user's preferences, and where they are kept.
    fn prefer(&mut self, preferences: Preferences, kept: Option<PathBuf>) {
        (self.desk.preferences, self.kept) = (preferences, kept);
    }

    /// A window is there.
    fn opened(&mut self, ctx: &egui::Context, gui: GuiContext, frame: &mut Frame) {
        theme::wear(self.desk.preferences.look);
        theme::install(ctx);
        // The scale is ours: it is remembered.
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        frame.set_clear_color(theme::paper().into());
        self.look = Some(theme::worn());
        self.gui = Some(gui);
        self.last = None;
        self.drawn = Arc::default();
        self.watch = Some(Watch::start(self.context.clone(), ctx.clone(), Arc::clone(&self.drawn)));
    }

    /// Draws one frame.
    fn frame(&mut self, ui: &mut Ui, frame: &mut Frame) {
        let Some(gui) = self.gui.clone() else { return };
        let setter = gui.param_setter();
        let ctx = ui.ctx().clone();
        self.dress(&ctx, frame);
        if let Some(status) = self.context.status.try_lock() {
            self.snapshot.clone_from(&status);
        }
        let dt = self.last.replace(Instant::now()).map_or(0.0, |last| last.elapsed().as_secs_f32().min(0.5));
        let meters = &self.context.meters;
        self.desk.input.follow(meters.input_peak.get(), dt);
        self.desk.wet.follow(meters.wet_peak.get(), dt);
        let rate = f64::from(self.context.sample_rate.load(Relaxed).max(1));
        let position = |frames: &AtomicU64| {
            let frames = frames.load(Relaxed);
            (frames != u64::MAX).then(|| frames as f64 / rate)
        };
        let params = &self.context.params;
        let controls = Key::ALL.map(|key| control(params, key));
        let now = f64::from(self.snapshot.prompt_seconds_now);
        let view = View {
            status: &self.snapshot,
            controls: &controls,
            input_peak: meters.input_peak.get(),
            position: position(&meters.position),
            prompt_position: position(&meters.prompt_position),
            underruns: meters.underruns.load(Relaxed),
            prompt_seconds: if now > 0.0 { now } else { f64::from(params.prompt.value()) },
            length_seconds: Some(f64::from(params.length_seconds())).filter(|seconds| seconds.is_finite()),
            duet_pause: params.duet_pause.value(),
        };
        let mut acts = Acts::default();
        frame.set_key_capture(shortcuts::captured(&view, self.desk.writing()));
        let desk = &mut self.desk;
        ResizableWindow::new("segue").min_size(MIN_SIZE.into()).show(ui, |ui| page(ui, &view, desk, &mut acts));

        for act in acts.0 {
            self.perform(act, &setter, &ctx);
        }
        self.chosen(&ctx);
        self.pull(&setter);
        self.post();
        self.drawn.store(true, Relaxed);
        if self.pulse.is_some() || !self.outbox.is_empty() {
            ctx.request_repaint_after(Duration::from_millis(10));
        } else if self.desk.input.moves() || self.desk.wet.moves() || !self.watch.as_ref().is_some_and(Watch::runs) {
            ctx.request_repaint_after(Duration::from_millis(33));
        }
    }

    /// The window is gone.
    fn closed(&mut self) {
        self.watch = None;
        self.chooser = None;
        if let (Some(gui), Some(_)) = (&self.gui, self.pulse.take()) {
            let setter = gui.param_setter();
            setter.set_parameter(&self.context.params.capture, false);
            setter.end_set_parameter(&self.context.params.capture);
        }
        self.post();
        self.gui = None;
        // Textures belong to the window; what was being typed is not finished by closing it.
        let Desk { preferences, heard, pair, selected, files, ribbons, .. } = std::mem::take(&mut self.desk);
        self.desk = Desk { preferences, heard: heard.and(None), pair, selected, files, ribbons, ..Desk::default() };
    }

    /// Puts the preferred look and scale on.
    fn dress(&mut self, ctx: &egui::Context, frame: &mut Frame) {
        let preferences = &self.desk.preferences;
        theme::wear(preferences.look);
        if self.look != Some(preferences.look) {
            self.look = Some(preferences.look);
            theme::dress(ctx);
            frame.set_clear_color(theme::paper().into());
        }
        if ctx.zoom_factor() != preferences.zoom() {
            ctx.set_zoom_factor(preferences.zoom());
        }
    }

    fn perform(&mut self, act: Act, setter: &ParamSetter<'_>, ctx: &egui::Context) {
        let params = &*self.context.params;
        match act {
            Act::Begin(key) => with_param!(params, key, |param| setter.begin_set_parameter(param)),
            Act::End(key) => with_param!(params, key, |param| setter.end_set_parameter(param)),
            Act::Set(key, value) => set(setter, params, key, value),
            Act::Type(key, text) => {
                if let Some(value) = with_param!(params, key, |param| param.string_to_normalized_value(&text)) {
                    set(setter, params, key, value);
                }
            }
            Act::Capture if self.pulse.is_none() => {
                let high = !params.capture.value();
                setter.begin_set_parameter(&params.capture);
                setter.set_parameter(&params.capture, high);
                self.pulse = Some(Pulse::new(high, self.context.meters.clock.load(Relaxed)));
            }
            Act::Capture => {}
            Act::TogglePlay => {
                let playing = self.snapshot.playing.is_some();
                self.outbox.push_back(if playing { Command::Stop } else { Command::Play });
                // The parameter follows a stop, or its next rise would not be one.
                if playing && params.play.value() {
                    setter.begin_set_parameter(&params.play);
                    setter.set_parameter(&params.play, false);
                    setter.end_set_parameter(&params.play);
                }
            }
            Act::Prefer(preferences) => {
                if let Some(Err(e)) = self.kept.as_deref().map(|path| preferences.write(path)) {
                    self.desk.tell(Toast::new(format!("The preferences could not be kept: {e}"), vec![]));
                }
                self.desk.preferences = preferences;
                ctx.request_repaint();
            }
            Act::Choose(purpose) if self.chooser.is_none() => {
                self.chooser = Some(Chooser::open(purpose, self.desk.preferences.folder(), ctx));
            }
            Act::Choose(_) => {}
            Act::Send(command) => self.outbox.push_back(command),
        }
    }

    /// Takes up the folder that was chosen, if one was by now.
    fn chosen(&mut self, ctx: &egui::Context) {
        let Some(chooser) = &mut self.chooser else { return };
        let Some(answer) = chooser.poll() else { return };
        let purpose = chooser.purpose();
        self.chooser = None;
        ctx.request_repaint();
        match (purpose, answer) {
            (_, chooser::Answer::Nothing) => {}
            (_, chooser::Answer::NoDialog) => {
                self.desk.tell(Toast::new("This system shows no dialog: type the path instead", vec![]));
            }
            (Purpose::Export, chooser::Answer::Path(folder)) => {
                if let Some(draft) = &mut self.desk.export {
                    draft.folder = folder.display().to_string();
                }
            }
            (Purpose::Pack | Purpose::PackFile, chooser::Answer::Path(folder)) => {
                self.outbox.push_back(Command::LoadPack(Some(folder)));
            }
        }
    }

    /// Moves the trigger on.
    fn pull(&mut self, setter: &ParamSetter<'_>) {
        let clock = self.context.meters.clock.load(Relaxed);
        let Some(pulse) = self.pulse.as_mut() else { return };
        if !pulse.ripe(clock) {
            return;
        }
        let capture = &self.context.params.capture;
        if pulse.high {
            setter.set_parameter(capture, false);
            setter.end_set_parameter(capture);
            self.pulse = None;
        } else {
            setter.set_parameter(capture, true);
            self.pulse = Some(Pulse::new(true, clock));
        }
    }

    /// Hands over what the worker has room for.
    fn post(&mut self) {
        while let Some(command) = self.outbox.pop_front() {
            if let Err(TrySendError::Full(command)) = self.context.commands.try_send(command) {
                self.outbox.push_front(command);
                return;
            }
        }
    }
}

/// The page, in bars to scroll if the host has made the window smaller than it can be.
fn page(ui: &mut Ui, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let room = ui.max_rect().size();
    let least = vec2(MIN_SIZE.0, MIN_SIZE.1);
    if room.x + 1.0 >= least.x && room.y + 1.0 >= least.y {
        draw(ui, view, desk, acts);
        return;
    }
    egui::ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        let (rect, _) = ui.allocate_exact_size(room.max(least), egui::Sense::hover());
        let mut child = ui.new_child(egui::UiBuilder::new().max_rect(rect));
        draw(&mut child, view, desk, acts);
    });
}

/// Draws the whole editor.
fn draw(ui: &mut Ui, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let all = ui.max_rect();
    ui.painter().rect_filled(all, 0.0, theme::paper());
    follow(ui, view, desk);
    shortcuts::take(ui, view, desk, acts);

    let margin = if all.width() < 840.0 { 16.0 } else { 20.0 };
    let inner = all.shrink2(vec2(margin, 0.0));
    let roomy = inner.height() >= 580.0;
    let (header_height, panel_height, gap) = if roomy { (54.0, 158.0, 16.0) } else { (46.0, 138.0, 12.0) };
    let header = Rect::from_min_size(inner.min, vec2(inner.width(), header_height));
    let footer = Rect::from_min_max(pos2(inner.left(), inner.bottom() - 30.0), inner.max);
    let panel = Rect::from_min_max(
        pos2(inner.left(), footer.top() - 4.0 - panel_height),
        pos2(inner.right(), footer.top() - 4.0),
    );
    let problem = view.status.problem.as_ref();
    let takes_height = match (view.status.takes.is_empty(), roomy) {
        // Words about an error need the room more than words about nothing.
        (true, _) if problem.is_some() => 0.0,
        (true, _) => 44.0,
        (false, true) => 82.0,
        (false, false) => 68.0,
    };
    let takes = Rect::from_min_max(
        pos2(inner.left(), panel.top() - gap - takes_height),
        pos2(inner.right(), panel.top() - gap),
    );
    let above = if takes_height > 0.0 { takes.top() - 8.0 } else { takes.top() };
    let mut timeline = Rect::from_min_max(header.left_bottom(), pos2(inner.right(), above));

    header::show(ui, header, view, desk, acts);
    if let Some(problem) = problem {
        let most = if roomy || takes_height == 0.0 { 132.0 } else { 96.0 };
        let banner = banner::Banner::new(ui, problem, view, inner.width(), most);
        let room = Rect::from_min_size(timeline.min, vec2(timeline.width(), banner.height()));
        timeline.min.y = room.bottom() + 8.0;
        banner.show(ui, room, acts);
    }
    timeline::show(ui, timeline, view, desk, acts);
    if takes_height > 0.0 {
        takes::show(ui, takes, view, desk, acts);
    }
    panel::show(ui, panel, view, desk, acts);
    footer::show(ui, footer, view, desk, acts);
    toast::show(ui, footer, desk, acts);
    help::show(ui, desk);
    export::show(ui, view, desk, acts);
    desk.selected = view.status.selected;
}

/// Notes what has happened since the last frame.
fn follow(ui: &Ui, view: &View<'_>, desk: &mut Desk) {
    let now = ui.input(|input| input.time);
    if view.input_peak > header::SILENCE {
        desk.heard = Some(now);
    } else if let Some(heard) = desk.heard
        && now - heard < header::QUIET_AFTER
    {
        ui.ctx().request_repaint_after(Duration::from_secs_f64(header::QUIET_AFTER - (now - heard) + 0.02));
    }
    if let (Some(take), Some(progress)) = (view.status.generating, &view.status.progress) {
        desk.ribbons.follow(take, progress);
    }
    if let (Some(was), Some(is)) = (desk.selected, view.status.selected)
        && was != is
    {
        let both = desk.pair.is_some_and(|(a, b)| (was, is) == (a, b) || (was, is) == (b, a));
        if !both {
            desk.pair = Some((was, is));
        }
    }
    desk.pictures.turn();
    Files::follow(ui, desk, view.status);
}

/// A card over everything else. Whether it is to go.
fn dialog(ui: &Ui, name: &str, width: f32, content: impl FnOnce(&mut Ui)) -> bool {
    let frame = egui::Frame::new()
        .fill(theme::raised())
        .stroke(egui::Stroke::new(1.0, theme::line()))
        .corner_radius(12.0)
        .inner_margin(egui::Margin::symmetric(22, 18));
    let modal = egui::Modal::new(egui::Id::unique(("segue dialog", name)))
        .frame(frame)
        .backdrop_color(egui::Color32::from_black_alpha(if theme::worn() == Look::Dark { 130 } else { 80 }));
    let shown = modal.show(ui.ctx(), |ui| {
        ui.set_width(width.min(ui.ctx().content_rect().width() - 80.0));
        content(ui);
    });
    shown.should_close()
}

/// The first line of a card.
fn title(ui: &mut Ui, text: &str) {
    ui.label(egui::RichText::new(text).font(theme::medium(16.0)).color(theme::text()));
}
