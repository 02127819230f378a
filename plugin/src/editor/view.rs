//! Everything the drawing code knows, as plain data, and everything it can ask for. No parameter, no host and no
//! channel is in sight here, so every state can be drawn by a test.

use super::export::{Draft, Files};
use super::packs::Found;
use super::pictures::Pictures;
use super::preferences::Preferences;
use super::ribbons::Ribbons;
use super::toast::Toast;
use segue_engine::command::Command;
use segue_engine::status::{Activity, Status, TakeSummary};
use segue_engine::take::TakeId;
use std::time::Instant;

/// The parameters, by the part they have in the editor. [`Key::ALL`] is in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Mode,
    Prompt,
    Length,
    Ideas,
    Touch,
    Detail,
    Focus,
    Hold,
    Density,
    Seed,
    Start,
    Play,
    Loop,
    Dry,
    Wet,
    Duck,
    TriggerNote,
    PromptBars,
    Snap,
    Variations,
    Duet,
    DuetPause,
}

impl Key {
    pub(super) const ALL: [Self; 22] = [
        Self::Mode,
        Self::Prompt,
        Self::Length,
        Self::Ideas,
        Self::Touch,
        Self::Detail,
        Self::Focus,
        Self::Hold,
        Self::Density,
        Self::Seed,
        Self::Start,
        Self::Play,
        Self::Loop,
        Self::Dry,
        Self::Wet,
        Self::Duck,
        Self::TriggerNote,
        Self::PromptBars,
        Self::Snap,
        Self::Variations,
        Self::Duet,
        Self::DuetPause,
    ];
}

/// A parameter as it is now.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub(super) key: Key,
    /// 0–1.
    pub(super) value: f32,
    /// 0–1.
    pub(super) default: f32,
    /// With its unit.
    pub(super) text: String,
    /// Number of steps between 0 and 1; `None` if continuous.
    pub(super) steps: Option<usize>,
    /// What each step is called, for the parameters that are a choice.
    pub(super) options: Vec<String>,
}

impl Control {
    /// The chosen step.
    pub(super) fn index(&self) -> usize {
        self.steps.map_or(0, |steps| (self.value * steps as f32).round() as usize)
    }
    /// Switched on.
    pub(super) fn on(&self) -> bool {
        self.value >= 0.5
    }
}

/// One frame's worth of facts.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) status: &'a Status,
    /// In the order of [`Key::ALL`].
    pub(super) controls: &'a [Control],
    pub(super) input_peak: f32,
    /// Seconds since the playing take's start.
    pub(super) position: Option<f64>,
    /// Seconds since the built-in prompt's start, while it is heard.
    pub(super) prompt_position: Option<f64>,
    pub(super) underruns: u64,
    /// The prompt length that a trigger would take.
    pub(super) prompt_seconds: f64,
    /// The continuation length that is set; `None` without end.
    pub(super) length_seconds: Option<f64>,
    /// Seconds of silence after which the duet plays on.
    pub(super) duet_pause: f32,
}

impl View<'_> {
    pub(super) fn control(&self, key: Key) -> &Control {
        &self.controls[key as usize]
    }
    /// The selected take.
    pub(super) fn selected(&self) -> Option<&TakeSummary> {
        self.take(self.status.selected?)
    }
    pub(super) fn take(&self, id: TakeId) -> Option<&TakeSummary> {
        self.status.takes.iter().find(|take| take.id == id)
    }
    /// The take that the timeline shows: the selected one, else the one being made; none yet while its prompt is still
    /// being recorded or read.
    pub(super) fn shown(&self) -> Option<&TakeSummary> {
        let before = matches!(self.status.activity, Activity::Recording | Activity::Prefilling);
        if before && self.status.generating.is_none() {
            return None;
        }
        self.selected().or_else(|| self.take(self.status.generating?))
    }
    /// Between the trigger and the end of the take.
    pub(super) fn busy(&self) -> bool {
        matches!(self.status.activity, Activity::Recording | Activity::Prefilling | Activity::Generating)
    }
    /// Whether this take is still growing. (When it is complete it may go on being performed for a while.)
    pub(super) fn growing(&self, id: TakeId) -> bool {
        self.status.generating == Some(id) && self.busy()
    }
    /// Whether a continuation could be asked for now.
    pub(super) fn ready(&self) -> bool {
        self.status.activity == Activity::Ready
    }
    /// The selected take, if it can be played and continued.
    pub(super) fn playable(&self) -> Option<&TakeSummary> {
        self.selected().filter(|take| take.playable)
    }
    /// Whether prompts are measured in bars now.
    pub(super) fn in_bars(&self) -> bool {
        self.control(Key::PromptBars).index() > 0 && self.status.host_time.bars
    }
}

/// What the drawing code asks for.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// The user takes hold of a parameter.
    Begin(Key),
    /// And moves it, 0–1.
    Set(Key, f32),
    /// Or types a value.
    Type(Key, String),
    /// And lets go.
    End(Key),
    /// Pull the `capture` trigger.
    Capture,
    /// Play or stop the selected take.
    TogglePlay,
    /// Ask for a folder, in the system's own dialog.
    Choose(Purpose),
    /// Remember other preferences.
    Prefer(Preferences),
    /// Anything else.
    Send(Command),
}

/// What a folder or a file is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Exports go there.
    Export,
    /// A pack is there.
    Pack,
    /// It is a pack in one file.
    PackFile,
}

/// What the user asks for in this frame.
#[derive(Debug, Default)]
pub(super) struct Acts(pub(super) Vec<Act>);

impl Acts {
    pub(super) fn push(&mut self, act: Act) {
        self.0.push(act);
    }
    pub(super) fn send(&mut self, command: Command) {
        self.0.push(Act::Send(command));
    }
    /// A whole gesture.
    pub(super) fn set(&mut self, key: Key, value: f32) {
        self.0.extend([Act::Begin(key), Act::Set(key, value), Act::End(key)]);
    }
    /// A whole gesture, in words.
    pub(super) fn write(&mut self, key: Key, text: String) {
        self.0.extend([Act::Begin(key), Act::Type(key, text), Act::End(key)]);
    }
}

/// A level meter's needle.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needle {
    /// Linear, falling about 24 dB a second.
    pub(super) level: f32,
    /// Highest of the last moments, linear.
    pub(super) hold: f32,
    held_for: f32,
}

impl Needle {
    /// Moves to a new peak after `dt` seconds.
    pub(super) fn follow(&mut self, peak: f32, dt: f32) {
        let peak = if peak.is_finite() { peak.max(0.0) } else { 0.0 };
        self.level = peak.max(self.level * 10f32.powf(-24.0 * dt / 20.0));
        self.held_for += dt;
        if peak >= self.hold {
            (self.hold, self.held_for) = (peak, 0.0);
        } else if self.held_for > 1.2 {
            self.hold = self.level;
        }
    }
    /// Still visibly falling.
    pub(super) fn moves(&self) -> bool {
        self.level > 1e-3 || self.hold > 1e-3
    }
}

/// What the editor itself remembers between frames.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) preferences: Preferences,
    pub(super) input: Needle,
    pub(super) wet: Needle,
    /// When something was last coming in, egui's time.
    pub(super) heard: Option<f64>,
    /// A value being typed.
    pub(super) entry: Option<(Key, String)>,
    /// A take being renamed.
    pub(super) rename: Option<(TakeId, String)>,
    /// The pointer is still down from pulling the trigger.
    pub(super) pressed: bool,
    /// When the trigger was last pulled here, so that a double-click is not a cancel.
    pub(super) pulled: Option<Instant>,
    /// The list of shortcuts is shown.
    pub(super) help: bool,
    /// An export being prepared.
    pub(super) export: Option<Draft>,
    /// The folder of a pack, being typed.
    pub(super) pack_folder: String,
    /// The packs that were found when the list was opened.
    pub(super) packs: Option<Vec<Found>>,
    /// What has just happened, and what can be done about it.
    pub(super) toast: Option<Toast>,
    /// The two takes that A/B goes between.
    pub(super) pair: Option<(TakeId, TakeId)>,
    /// The selected take of the last frame.
    pub(super) selected: Option<TakeId>,
    /// The files takes were exported to from here.
    pub(super) files: Files,
    /// The pictures of sound.
    pub(super) pictures: Pictures,
    /// The tokens of the takes that were made while this editor was open.
    pub(super) ribbons: Ribbons,
}

impl Desk {
    /// Whether the keyboard is writing something, or looking at something else than the page.
    pub(super) fn occupied(&self) -> bool {
        self.writing() || self.help || self.export.is_some()
    }
    /// Whether something is being typed.
    pub(super) fn writing(&self) -> bool {
        self.entry.is_some() || self.rename.is_some()
    }
    /// Says what has happened, for a while.
    pub(super) fn tell(&mut self, toast: Toast) {
        self.toast = Some(toast);
    }
}

/// `3.2 s`
pub(super) fn seconds(value: f64) -> String {
    if value >= 99.95 { format!("{value:.0} s") } else { format!("{value:.1} s") }
}

/// Position of a linear level on a scale from −60 to +6 dB, 0–1.
pub(super) fn on_scale(linear: f32) -> f32 {
    if linear <= 1e-6 { 0.0 } else { ((20.0 * linear.log10() + 60.0) / 66.0).clamp(0.0, 1.0) }
}
