//! The editor: one screen, drawn with egui. It reads [`Status`] snapshots and [`Meters`], moves parameters through the
//! host and sends [`Command`]s. It owns no audio, opens no file and waits for nobody.
//!
//! Drawing code (`header`, `timeline`, `takes`, `panel`, `footer`) sees only [`view::View`] and answers with
//! [`view::Acts`]; this file is what ties those to the plugin.

mod footer;
mod header;
mod icons;
mod knob;
mod panel;
mod takes;
#[cfg(test)]
mod tests;
mod theme;
mod timeline;
mod view;
mod widgets;

use crate::params::SegueParams;
use crossbeam::channel::{Sender, TrySendError};
use egui::{Id, Rect, Sense, Ui, pos2, vec2};
use nice_plug::context::gui::{GuiContext, ParamSetter};
use nice_plug::editor::ResizeHint;
use nice_plug::editor::dpi::LogicalSize;
use nice_plug::prelude::Param;
use nice_plug_egui::resizable_window::ResizableWindow;
use nice_plug_egui::{
    EguiEditor, EguiEditorState, EguiNiceSettings, Frame, KeyCapture, NiceEguiApp, RepaintNotifier, baseview,
    create_egui_editor,
};
use parking_lot::Mutex;
use segue_engine::command::Command;
use segue_engine::status::{Activity, Meters, Status};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use view::{Act, Acts, Control, Desk, Key, View};

/// Width and height in points when first opened.
pub const SIZE: (f32, f32) = (900.0, 560.0);
/// The smallest width and height in points.
pub const MIN_SIZE: (f32, f32) = (720.0, 460.0);

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

/// A state for the editor's window, at its default size.
#[must_use]
pub fn default_state() -> Arc<EguiEditorState> {
    EguiEditorState::from_size(LogicalSize::new(f64::from(SIZE.0), f64::from(SIZE.1)), 1.0)
}

/// Makes the editor. The window is made later, when the host asks for one.
pub fn create(
    context: EditorContext,
    state: Arc<EguiEditorState>,
    repaint: RepaintNotifier,
) -> Option<EguiEditor<App>> {
    let settings = EguiNiceSettings::new()
        .with_tile("Segue")
        .with_resize_hint(ResizeHint::resizable().with_min_logical_size(LogicalSize::new(MIN_SIZE.0, MIN_SIZE.1)))
        // baseview 0.4.2 on X11: a repaint asked for before the window is mapped stops drawing for good, and the
        // notifier starts raised. So it is not polled; `ui` asks for each next frame itself.
        .with_repaint_poll_interval(Duration::from_secs(3600));
    create_egui_editor(state, repaint, settings, App::new(context))
}

/// The editor while it is open, and what it remembers while it is not.
pub struct App {
    context: EditorContext,
    gui: Option<GuiContext>,
    snapshot: Status,
    desk: Desk,
    pulse: Option<Pulse>,
    outbox: VecDeque<Command>,
    drawn: Option<Instant>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
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
            Key::Seed => with_param!(@ &params.seed, $param, $body),
            Key::Start => with_param!(@ &params.start, $param, $body),
            Key::Play => with_param!(@ &params.play, $param, $body),
            Key::Loop => with_param!(@ &params.loop_take, $param, $body),
            Key::Dry => with_param!(@ &params.dry, $param, $body),
            Key::Wet => with_param!(@ &params.wet, $param, $body),
            Key::Duck => with_param!(@ &params.duck, $param, $body),
            Key::TriggerNote => with_param!(@ &params.trigger_note, $param, $body),
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

impl App {
    fn new(context: EditorContext) -> Self {
        Self {
            context,
            gui: None,
            snapshot: Status::default(),
            desk: Desk::default(),
            pulse: None,
            outbox: VecDeque::new(),
            drawn: None,
        }
    }

    fn perform(&mut self, act: Act, setter: &ParamSetter<'_>) {
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
            Act::Export(id) => {
                if let Some(take) = self.snapshot.takes.iter().find(|take| take.id == id)
                    && let Some(path) = export_path(&take.name, take.seed)
                {
                    self.outbox.push_back(Command::Export(id, path));
                }
            }
            Act::Send(command) => self.outbox.push_back(command),
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

impl NiceEguiApp for App {
    fn build(&mut self, ctx: egui::Context, gui: GuiContext, frame: &mut Frame) -> Result<(), baseview::HandlerError> {
        #[cfg(feature = "defects")]
        crate::defects::open();
        theme::install(&ctx);
        frame.set_clear_color(theme::PAPER.into());
        self.gui = Some(gui);
        self.drawn = None;
        Ok(())
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut Frame) {
        let Some(gui) = self.gui.clone() else { return };
        let setter = gui.param_setter();
        if let Some(status) = self.context.status.try_lock() {
            self.snapshot.clone_from(&status);
        }
        let dt = self.drawn.replace(Instant::now()).map_or(0.0, |last| last.elapsed().as_secs_f32().min(0.5));
        let meters = &self.context.meters;
        self.desk.input.follow(meters.input_peak.get(), dt);
        self.desk.wet.follow(meters.wet_peak.get(), dt);
        let position = meters.position.load(Relaxed);
        let rate = f64::from(self.context.sample_rate.load(Relaxed).max(1));
        let params = &self.context.params;
        let controls = Key::ALL.map(|key| control(params, key));
        let view = View {
            status: &self.snapshot,
            controls: &controls,
            input_peak: meters.input_peak.get(),
            wet_peak: meters.wet_peak.get(),
            position: (position != u64::MAX).then(|| position as f64 / rate),
            underruns: meters.underruns.load(Relaxed),
            prompt_seconds: f64::from(params.prompt.value()),
            length_seconds: Some(f64::from(params.length_seconds())).filter(|seconds| seconds.is_finite()),
        };
        remember(&mut self.desk, &view);
        let mut acts = Acts::default();
        let typing = self.desk.entry.is_some() || self.desk.rename.is_some();
        frame.set_key_capture(keys(typing));
        let desk = &mut self.desk;
        ResizableWindow::new("segue").min_size(MIN_SIZE.into()).show(ui, |ui| draw(ui, &view, desk, &mut acts));
        let moving = view.moving() || self.desk.input.moves() || self.desk.wet.moves();

        for act in acts.0 {
            self.perform(act, &setter);
        }
        self.pull(&setter);
        self.post();
        let wait = match (self.pulse.is_some(), moving) {
            (true, _) => 10,
            (false, true) => 33,
            (false, false) => 250,
        };
        ui.ctx().request_repaint_after(Duration::from_millis(wait));
    }

    fn editor_closed(&mut self) {
        if let (Some(gui), Some(_)) = (&self.gui, self.pulse.take()) {
            let setter = gui.param_setter();
            setter.set_parameter(&self.context.params.capture, false);
            setter.end_set_parameter(&self.context.params.capture);
        }
        self.post();
        self.gui = None;
        self.desk.entry = None;
        self.desk.rename = None;
    }
}

/// Notes what a take was made from while that is still known.
fn remember(desk: &mut Desk, view: &View<'_>) {
    if let Some(id) = view.status.generating {
        desk.prompts.entry(id).or_insert(view.prompt_seconds);
    }
    if desk.prompts.len() > view.status.takes.len() + 16 {
        desk.prompts.retain(|id, _| view.take(*id).is_some());
    }
}

/// Which keys the host must not take for itself.
fn keys(typing: bool) -> KeyCapture {
    use nice_plug_egui::Key as K;
    if typing {
        return KeyCapture::CaptureAll;
    }
    let characters = [" ", "p", "P", "r", "R"].map(|text| K::Character(text.into()));
    KeyCapture::CaptureKeys(characters.into())
}

/// Where a take is exported to.
fn export_path(name: &str, seed: u64) -> Option<PathBuf> {
    Some(segue_engine::platform::export_folder()?.join(export_name(name, seed)))
}

/// A file name that every system takes.
fn export_name(name: &str, seed: u64) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_control() || "<>:\"/\\|?*".contains(c) { '_' } else { c }).take(60).collect();
    let safe = safe.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let safe = if safe.is_empty() { "Take" } else { safe };
    format!("Segue - {safe} (seed {seed}).wav")
}

/// Draws the whole editor.
fn draw(ui: &mut Ui, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    let all = ui.max_rect();
    ui.painter().rect_filled(all, 0.0, theme::PAPER);
    shortcuts(ui, view, desk, acts);

    let margin = if all.width() < 780.0 { 16.0 } else { 20.0 };
    let inner = all.shrink2(vec2(margin, 0.0));
    let roomy = inner.height() >= 520.0;
    let (header_height, panel_height, gap) = if roomy { (54.0, 158.0, 16.0) } else { (48.0, 136.0, 11.0) };
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
        (false, true) => 64.0,
        (false, false) => 48.0,
    };
    let takes = Rect::from_min_max(
        pos2(inner.left(), panel.top() - gap - takes_height),
        pos2(inner.right(), panel.top() - gap),
    );
    let above = if takes_height > 0.0 { takes.top() - 8.0 } else { takes.top() };
    let mut timeline = Rect::from_min_max(header.left_bottom(), pos2(inner.right(), above));

    header::show(ui, header, view, desk, acts);
    if let Some(problem) = problem {
        let banner =
            header::Banner::new(ui, problem, inner.width(), if roomy || takes_height == 0.0 { 132.0 } else { 96.0 });
        let room = Rect::from_min_size(timeline.min, vec2(timeline.width(), banner.height()));
        timeline.min.y = room.bottom() + 8.0;
        banner.show(ui, room);
    }
    timeline::show(ui, timeline, view, desk, acts);
    if takes_height > 0.0 {
        takes::show(ui, takes, view, desk, acts);
    }
    panel::show(ui, panel, view, desk, acts);
    footer::show(ui, footer, view, acts);
}

/// Space: Capture & Continue. P: play or stop. R: retry. Esc: cancel. Not while typing.
fn shortcuts(ui: &Ui, view: &View<'_>, desk: &mut Desk, acts: &mut Acts) {
    // The page itself holds the keyboard while nothing else does, so that the host knows that these keys are taken.
    let page = Id::unique("segue page");
    ui.interact(Rect::from_min_size(ui.max_rect().min, vec2(1.0, 1.0)), page, Sense::focusable_noninteractive());
    let focused = ui.memory(|memory| memory.focused());
    if focused.is_none() && ui.input(|input| input.focused) {
        ui.memory_mut(|memory| memory.request_focus(page));
    }
    if desk.entry.is_some() || desk.rename.is_some() || egui::Popup::is_any_open(ui.ctx()) {
        return;
    }
    let page_has_it = focused.is_none_or(|id| id == page);
    let pressed: Vec<egui::Key> = ui.input(|input| {
        let plain = |event: &egui::Event| match event {
            egui::Event::Key { key, pressed: true, repeat: false, modifiers, .. } if !modifiers.any() => Some(*key),
            _ => None,
        };
        input.events.iter().filter_map(plain).collect()
    });
    let ready = view.status.activity == Activity::Ready;
    for key in pressed {
        match key {
            egui::Key::Space | egui::Key::Enter if page_has_it && ready => panel::pull(desk, acts),
            egui::Key::P if view.status.playing.is_some() || view.selected().is_some_and(|take| take.playable) => {
                acts.push(Act::TogglePlay);
            }
            egui::Key::R if ready && view.selected().is_some_and(|take| take.playable) => acts.send(Command::Retry),
            egui::Key::Escape if view.busy() => acts.send(Command::Cancel),
            _ => {}
        }
    }
}
