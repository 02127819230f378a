//! THE parameter table. The host, the editor, the documentation and the tests all read it; ids are for ever.

mod text;

use crate::editor::WindowShape;
use crate::state::{Project, Restore};
use nice_plug::params::internals::ParamPtr;
use nice_plug::plugin::ParamValue;
use nice_plug::prelude::*;
use parking_lot::RwLock;
use segue_engine::controls::{CaptureMode, Controls};
use segue_engine::sampler::Sampling;
use segue_engine::worker::TakeShelf;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use text::{BAR_COUNTS, ENDLESS_FROM, Words};

/// What the prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum Mode {
    /// The seconds before the trigger.
    #[id = "just_played"]
    #[name = "What I just played"]
    JustPlayed,
    /// The seconds after the trigger.
    #[id = "record"]
    #[name = "Record, then continue"]
    Record,
}

/// When the continuation comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum Start {
    /// As soon as it can.
    #[id = "at_once"]
    #[name = "At once, in time"]
    AtOnce,
    /// On the next beat.
    #[id = "next_beat"]
    #[name = "Next beat"]
    NextBeat,
    /// On the next bar line.
    #[id = "next_bar"]
    #[name = "Next bar"]
    NextBar,
    /// From its beginning, when the host's transport starts.
    #[id = "on_play"]
    #[name = "When I press Play"]
    OnPlay,
}

/// All parameters, and the project's takes beside them. What each is for is said in [`SegueParams::table`].
pub struct SegueParams {
    /// Trigger: a rising edge continues. Off again by itself does nothing.
    pub capture: BoolParam,
    /// What the prompt is.
    pub mode: EnumParam<Mode>,
    /// Seconds, 1–10.
    pub prompt: FloatParam,
    /// An index into the bars 0, 1, 2, 4, 8. See [`SegueParams::bars`].
    pub prompt_bars: IntParam,
    /// Whether the prompt ends on the last beat before the trigger.
    pub snap: BoolParam,
    /// −1: off; else a MIDI key.
    pub trigger_note: IntParam,
    /// Seconds, 2–60, without end at the top. See [`SegueParams::length_seconds`].
    pub length: FloatParam,
    /// Takes from one trigger, 1–8.
    pub variations: IntParam,
    /// Temperature of the semantic stage.
    pub t_semantic: FloatParam,
    /// Temperature of the coarse acoustic stage.
    pub t_coarse: FloatParam,
    /// Temperature of the fine acoustic stage.
    pub t_fine: FloatParam,
    /// Nucleus.
    pub top_p: FloatParam,
    /// How closely a continuation is held to its prompt, in times of what the pack says.
    pub hold: FloatParam,
    /// How dense it is to be, in times of its prompt.
    pub density: FloatParam,
    /// 0: a new one for each take.
    pub seed: IntParam,
    /// When the continuation comes in.
    pub start: EnumParam<Start>,
    /// A rising edge plays the selected take, a falling one stops.
    pub play: BoolParam,
    /// Whether the take starts over at its end.
    pub loop_take: BoolParam,
    /// The input's gain, linear.
    pub dry: FloatParam,
    /// The continuation's gain, linear.
    pub wet: FloatParam,
    /// Whether the input is muted while the continuation plays.
    pub duck: BoolParam,
    /// Whether Segue plays on by itself in the pianist's pauses.
    pub duet: BoolParam,
    /// Seconds of silence that are a pause, 0.3–5.
    pub duet_pause: FloatParam,
    /// Per cent of a core; see [`Controls::ahead`].
    pub ahead: IntParam,

    /// What a project file keeps beside the parameters.
    pub project: Project,
    /// How large the editor is.
    pub window: RwLock<WindowShape>,

    /// Rising edges of `capture` that the audio thread has not seen yet.
    presses: Arc<AtomicU32>,
}

/// What every kind of parameter has, for those who go through the whole table.
pub trait AnyParam {
    /// For people.
    fn name(&self) -> &str;
    /// Where the host has it, 0–1, without modulation.
    fn normalized(&self) -> f32;
    /// Its default, 0–1.
    fn default(&self) -> f32;
    /// Number of steps of a discrete one; one less than it has values.
    fn steps(&self) -> Option<usize>;
    /// Text of a normalized value, with its unit.
    fn text(&self, normalized: f32) -> String;
    /// Normalized value of a text.
    fn value(&self, text: &str) -> Option<f32>;
    /// Whether a host may automate and modulate it.
    fn automatable(&self) -> bool;
    /// What to make of a saved value.
    fn restored(&self, saved: Option<ParamValue>) -> ParamValue;
    /// For the framework.
    fn pointer(&self) -> ParamPtr;
}

impl<P: Param + Restore> AnyParam for P {
    fn name(&self) -> &str {
        Param::name(self)
    }
    fn normalized(&self) -> f32 {
        self.unmodulated_normalized_value()
    }
    fn default(&self) -> f32 {
        self.default_normalized_value()
    }
    fn steps(&self) -> Option<usize> {
        self.step_count()
    }
    fn text(&self, normalized: f32) -> String {
        self.normalized_value_to_string(normalized, true)
    }
    fn value(&self, text: &str) -> Option<f32> {
        self.string_to_normalized_value(text)
    }
    fn automatable(&self) -> bool {
        !self.flags().contains(ParamFlags::NON_AUTOMATABLE)
    }
    fn restored(&self, saved: Option<ParamValue>) -> ParamValue {
        self.restore(saved)
    }
    fn pointer(&self) -> ParamPtr {
        self.as_ptr()
    }
}

/// A line of the table.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// For ever.
    pub id: &'static str,
    /// Group in the host, a path with slashes: CLAP's module, VST3's unit.
    pub group: &'static str,
    /// The parameter.
    pub param: &'a dyn AnyParam,
    /// What it does, for the documentation.
    pub about: &'static str,
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("id", &self.id).field("group", &self.group).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SegueParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegueParams").finish_non_exhaustive()
    }
}

impl SegueParams {
    /// Every parameter, in the order in which hosts list them.
    #[must_use]
    pub fn table(&self) -> [Row<'_>; 24] {
        let row = |id, group, param, about| Row { id, group, param, about };
        [
            row("capture", "Capture", &self.capture, "trigger: continue what was just played, from this very sample"),
            row("mode", "Capture", &self.mode, "the seconds before the trigger, or those after it"),
            row("prompt", "Capture", &self.prompt, "how much is listened to"),
            row("prompt_bars", "Capture", &self.prompt_bars, "the same in bars, while the host has a tempo"),
            row("snap", "Capture", &self.snap, "a trigger that comes a little late still ends the prompt on the beat"),
            row("trigger_note", "Capture", &self.trigger_note, "a MIDI note that triggers"),
            row("length", "Continuation", &self.length, "how long it goes on"),
            row("variations", "Continuation", &self.variations, "takes made by one trigger; the first is played"),
            row("t_semantic", TEMPERATURE, &self.t_semantic, "what is played: 0 is the likeliest, more is freer"),
            row("t_coarse", TEMPERATURE, &self.t_coarse, "how it is played"),
            row("t_fine", TEMPERATURE, &self.t_fine, "how it sounds"),
            row("top_p", "Continuation", &self.top_p, "leaves unlikely choices out"),
            row(
                "hold",
                "Continuation",
                &self.hold,
                "how closely the prompt's key, pulse, density and loudness are kept",
            ),
            row("density", "Continuation", &self.density, "sparser or denser than the prompt"),
            row("seed", "Continuation", &self.seed, "the same seed plays the same again; new is another one each time"),
            row("start", "Playback", &self.start, "when it becomes audible"),
            row("play", "Playback", &self.play, "plays the selected take from its beginning"),
            row("loop", "Playback", &self.loop_take, "starts over at its end"),
            row("dry", "Playback", &self.dry, "level of what comes in"),
            row("wet", "Playback", &self.wet, "level of what Segue plays"),
            row("duck", "Playback", &self.duck, "the input makes way for the continuation"),
            row("duet", "Duet", &self.duet, "plays on by itself when you pause, and listens when you play"),
            row("duet_pause", "Duet", &self.duet_pause, "how long a pause is"),
            row("ahead", "Capture", &self.ahead, "share of a core that what you play may take before you ask"),
        ]
    }

    /// The table at its defaults, over the takes of an engine.
    #[must_use]
    pub fn new(shelf: Arc<TakeShelf>) -> Self {
        let [ideas, touch, detail] = Sampling::DEFAULT.temperatures;
        let presses = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&presses);
        let switch = |name, on| BoolParam::new(name, on).words(text::SWITCH);
        Self {
            // Counted as they happen: a press and a release between two blocks must not cancel out.
            capture: switch("Capture & Continue", false).with_callback(Arc::new(move |pressed| {
                if pressed {
                    counted.fetch_add(1, Relaxed);
                }
            })),
            mode: EnumParam::new("Capture mode", Mode::JustPlayed),
            prompt: float("Prompt length", 4.0, 1.0, 10.0).words(text::SECONDS),
            prompt_bars: int("Prompt in bars", 0, 0, BAR_COUNTS.len() as i32 - 1).words(text::BARS),
            snap: switch("End prompt on the beat", false),
            // A lane that moves the note by which one triggers would trigger nothing, or surprises.
            trigger_note: int("MIDI trigger note", -1, -1, 127).words(text::NOTE).non_automatable(),
            length: float("Continuation length", 16.0, 2.0, 60.0).words(text::LENGTH),
            variations: int("Variations", 1, 1, 8).words(text::TAKES),
            t_semantic: float("Ideas", ideas, 0.0, 1.5).words(text::NUMBER),
            t_coarse: float("Touch", touch, 0.0, 1.5).words(text::NUMBER),
            t_fine: float("Detail", detail, 0.0, 1.5).words(text::NUMBER),
            top_p: float("Focus", Sampling::DEFAULT.top_p, 0.5, 1.0).words(text::NUMBER),
            hold: float("Hold", Sampling::DEFAULT.hold, 0.0, 2.0).words(text::PERCENT),
            density: float("Density", Sampling::DEFAULT.density, 0.5, 2.0).words(text::PERCENT),
            seed: int("Seed", 0, 0, 9999).words(text::SEED),
            start: EnumParam::new("Start", Start::AtOnce),
            play: switch("Play", false),
            loop_take: switch("Loop take", false),
            dry: gain("Input level"),
            wet: gain("Continuation level"),
            duck: switch("Mute input while playing", false),
            duet: switch("Duet", false),
            duet_pause: float("Duet pause", 1.5, 0.3, 5.0).words(text::SECONDS),
            ahead: int("Listen ahead", 25, 0, 50).words(text::SHARE).non_automatable(),
            project: Project::new(shelf),
            window: RwLock::default(),
            presses,
        }
    }

    /// Seconds; infinite at the top of the range.
    #[must_use]
    pub fn length_seconds(&self) -> f32 {
        match self.length.value() {
            endless if endless >= ENDLESS_FROM => f32::INFINITY,
            seconds => seconds,
        }
    }

    /// Bars of prompt; 0 if [`SegueParams::prompt`] says how long it is.
    #[must_use]
    pub fn bars(&self) -> u32 {
        usize::try_from(self.prompt_bars.value()).ok().and_then(|index| BAR_COUNTS.get(index)).copied().unwrap_or(0)
    }

    /// How often `capture` has risen since this was last asked. Audio thread, real-time safe.
    pub fn take_presses(&self) -> u32 {
        self.presses.swap(0, Relaxed)
    }

    /// Hands the settings to the worker, as the host modulates them. Audio thread, real-time safe.
    pub fn store(&self, controls: &Controls) {
        for (to, from) in controls.temperature.iter().zip([&self.t_semantic, &self.t_coarse, &self.t_fine]) {
            to.set(from.value());
        }
        controls.top_p.set(self.top_p.value());
        controls.hold.set(self.hold.value());
        controls.density.set(self.density.value());
        controls.seed.store(self.seed.value().unsigned_abs(), Relaxed);
        controls.prompt_seconds.set(self.prompt.value());
        controls.ahead.set(self.ahead.value() as f32 / 100.0);
        controls.prompt_bars.store(self.bars(), Relaxed);
        controls.snap_to_beat.store(self.snap.value(), Relaxed);
        controls.variations.store(self.variations.value().unsigned_abs(), Relaxed);
        controls.duet.store(self.duet.value(), Relaxed);
        controls.duet_pause_seconds.set(self.duet_pause.value());
        controls.length_seconds.set(self.length_seconds());
        controls.record.store(CaptureMode::from(self.mode.value()) == CaptureMode::Record, Relaxed);
        controls.start.store(self.start.value() as u32, Relaxed);
        controls.loop_take.store(self.loop_take.value(), Relaxed);
    }
}

const TEMPERATURE: &str = "Continuation/Temperature";

/// The field of the state that says how large the editor is.
const WINDOW: &str = "editor";

// SAFETY: the pointers are those of this object's own fields; the framework keeps the `Arc` it lives in.
unsafe impl Params for SegueParams {
    fn param_map(&self) -> Vec<(String, ParamPtr, String)> {
        self.table().iter().map(|row| (row.id.to_owned(), row.param.pointer(), row.group.to_owned())).collect()
    }

    fn serialize_fields(&self) -> BTreeMap<String, String> {
        let mut fields = self.project.save();
        if let Ok(shape) = serde_json::to_string(&*self.window.read()) {
            fields.insert(WINDOW.into(), shape);
        }
        fields
    }

    fn deserialize_fields(&self, fields: &BTreeMap<String, String>) {
        if let Some(shape) = fields.get(WINDOW).and_then(|text| serde_json::from_str(text).ok()) {
            *self.window.write() = shape;
        }
        self.project.load(fields);
    }
}

impl From<Mode> for CaptureMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::JustPlayed => Self::JustPlayed,
            Mode::Record => Self::Record,
        }
    }
}

fn float(name: &str, default: f32, min: f32, max: f32) -> FloatParam {
    FloatParam::new(name, default, FloatRange::Linear { min, max })
}

fn int(name: &str, default: i32, min: i32, max: i32) -> IntParam {
    IntParam::new(name, default, IntRange::Linear { min, max })
}

fn gain(name: &str) -> FloatParam {
    let range =
        FloatRange::Skewed { min: 0.0, max: util::db_to_gain(6.0), factor: FloatRange::gain_skew_factor(-60.0, 6.0) };
    FloatParam::new(name, 1.0, range).words(text::DECIBELS)
}

#[cfg(test)]
mod readme;
#[cfg(test)]
mod tests;
