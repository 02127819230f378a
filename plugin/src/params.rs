//! THE parameter table. The host, the editor, the documentation and the tests all read it; ids are for ever.

use crate::state::Project;
use nice_plug::prelude::*;
use segue_engine::controls::{CaptureMode, Controls};
use segue_engine::sampler::Sampling;
use segue_engine::worker::TakeShelf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// From here up to its end the length parameter means "without end". (60 s itself is just below.)
const ENDLESS_FROM: f32 = 59.97;
/// The value that stands for 60 s.
const SIXTY: f32 = 59.96;

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

/// All parameters, and the project's takes beside them.
#[derive(Params)]
pub struct SegueParams {
    /// Trigger: a rising edge continues. Off again by itself does nothing.
    #[id = "capture"]
    pub capture: BoolParam,
    /// What the prompt is.
    #[id = "mode"]
    pub mode: EnumParam<Mode>,
    /// Seconds, 1–10.
    #[id = "prompt"]
    pub prompt: FloatParam,
    /// Seconds, 2–60, without end at the top. See [`SegueParams::length_seconds`].
    #[id = "length"]
    pub length: FloatParam,
    /// Temperature of the semantic stage.
    #[id = "t_semantic"]
    pub t_semantic: FloatParam,
    /// Temperature of the coarse acoustic stage.
    #[id = "t_coarse"]
    pub t_coarse: FloatParam,
    /// Temperature of the fine acoustic stage.
    #[id = "t_fine"]
    pub t_fine: FloatParam,
    /// Nucleus.
    #[id = "top_p"]
    pub top_p: FloatParam,
    /// 0: a new one for each take.
    #[id = "seed"]
    pub seed: IntParam,
    /// When the continuation comes in.
    #[id = "start"]
    pub start: EnumParam<Start>,
    /// A rising edge plays the selected take, a falling one stops.
    #[id = "play"]
    pub play: BoolParam,
    /// Whether the take starts over at its end.
    #[id = "loop"]
    pub loop_take: BoolParam,
    /// The input's gain, linear.
    #[id = "dry"]
    pub dry: FloatParam,
    /// The continuation's gain, linear.
    #[id = "wet"]
    pub wet: FloatParam,
    /// Whether the input is muted while the continuation plays.
    #[id = "duck"]
    pub duck: BoolParam,
    /// −1: off; else a MIDI key.
    #[id = "trigger_note"]
    pub trigger_note: IntParam,

    /// What a project file keeps beside the parameters.
    #[persist = "takes"]
    pub project: Project,

    /// Rising edges of `capture` that the audio thread has not seen yet.
    presses: Arc<AtomicU32>,
}

impl std::fmt::Debug for SegueParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegueParams").finish_non_exhaustive()
    }
}

impl SegueParams {
    /// The table at its defaults, over the takes of an engine.
    #[must_use]
    pub fn new(shelf: Arc<TakeShelf>) -> Self {
        let [ideas, touch, detail] = Sampling::DEFAULT.temperatures;
        let presses = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&presses);
        Self {
            // Counted as they happen: a press and a release between two blocks must not cancel out.
            capture: BoolParam::new("Capture & Continue", false).with_callback(Arc::new(move |pressed| {
                if pressed {
                    counted.fetch_add(1, Relaxed);
                }
            })),
            mode: EnumParam::new("Capture mode", Mode::JustPlayed),
            prompt: seconds("Prompt length", 4.0, 1.0, 10.0),
            length: seconds("Continuation length", 16.0, 2.0, 60.0)
                .with_value_to_string(Arc::new(length_text))
                .with_string_to_value(Arc::new(length_value)),
            t_semantic: knob("Ideas", ideas, 0.0, 1.5),
            t_coarse: knob("Touch", touch, 0.0, 1.5),
            t_fine: knob("Detail", detail, 0.0, 1.5),
            top_p: knob("Focus", Sampling::DEFAULT.top_p, 0.5, 1.0),
            seed: IntParam::new("Seed", 0, IntRange::Linear { min: 0, max: 9999 })
                .with_value_to_string(Arc::new(seed_text))
                .with_string_to_value(Arc::new(|s| {
                    if s.trim().eq_ignore_ascii_case("new") { Some(0) } else { s.trim().parse().ok() }
                })),
            start: EnumParam::new("Start", Start::AtOnce),
            play: BoolParam::new("Play", false),
            loop_take: BoolParam::new("Loop take", false),
            dry: gain("Input level"),
            wet: gain("Continuation level"),
            duck: BoolParam::new("Mute input while playing", false),
            trigger_note: IntParam::new("MIDI trigger note", -1, IntRange::Linear { min: -1, max: 127 })
                .with_value_to_string(Arc::new(note_text))
                .with_string_to_value(Arc::new(note_value)),
            project: Project::new(shelf),
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

    /// How often `capture` has risen since this was last asked. Audio thread, real-time safe.
    pub fn take_presses(&self) -> u32 {
        self.presses.swap(0, Relaxed)
    }

    /// Hands the settings to the worker. Audio thread, real-time safe.
    pub fn store(&self, controls: &Controls) {
        for (to, from) in controls.temperature.iter().zip([&self.t_semantic, &self.t_coarse, &self.t_fine]) {
            to.set(from.value());
        }
        controls.top_p.set(self.top_p.value());
        controls.seed.store(self.seed.value().unsigned_abs(), Relaxed);
        controls.prompt_seconds.set(self.prompt.value());
        controls.length_seconds.set(self.length_seconds());
        controls.record.store(CaptureMode::from(self.mode.value()) == CaptureMode::Record, Relaxed);
        controls.start.store(self.start.value() as u32, Relaxed);
        controls.loop_take.store(self.loop_take.value(), Relaxed);
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

fn seconds(name: &str, default: f32, min: f32, max: f32) -> FloatParam {
    FloatParam::new(name, default, FloatRange::Linear { min, max })
        .with_value_to_string(Arc::new(|v| format!("{v:.1} s")))
        .with_string_to_value(Arc::new(parse_seconds))
}

fn knob(name: &str, default: f32, min: f32, max: f32) -> FloatParam {
    FloatParam::new(name, default, FloatRange::Linear { min, max })
        .with_value_to_string(formatters::v2s_f32_rounded(2))
        .with_string_to_value(Arc::new(number))
}

fn gain(name: &str) -> FloatParam {
    let range =
        FloatRange::Skewed { min: 0.0, max: util::db_to_gain(6.0), factor: FloatRange::gain_skew_factor(-60.0, 6.0) };
    FloatParam::new(name, 1.0, range)
        .with_unit(" dB")
        .with_value_to_string(formatters::v2s_f32_gain_to_db(1))
        .with_string_to_value(Arc::new(decibels))
}

fn decibels(text: &str) -> Option<f32> {
    let text = text.trim().to_lowercase().replace('−', "-");
    let text = text.trim_end_matches("fs").trim_end_matches("db").trim();
    match text {
        "-inf" | "-∞" | "off" => Some(0.0),
        _ => number(text).map(util::db_to_gain),
    }
}

/// A finite number.
fn number(text: &str) -> Option<f32> {
    text.trim().parse().ok().filter(|v: &f32| v.is_finite())
}

fn parse_seconds(text: &str) -> Option<f32> {
    number(text.trim().trim_end_matches("seconds").trim_end_matches('s'))
}

fn length_text(value: f32) -> String {
    if value >= ENDLESS_FROM { "∞".into() } else { format!("{value:.1} s") }
}

fn length_value(text: &str) -> Option<f32> {
    match text.trim().to_lowercase().as_str() {
        "∞" | "inf" | "infinite" | "infinity" | "endless" => Some(60.0),
        other => parse_seconds(other).map(|v| v.min(SIXTY)),
    }
}

fn seed_text(value: i32) -> String {
    #[cfg(feature = "defects")]
    let value = crate::defects::seed(value);
    if value == 0 { "new".into() } else { value.to_string() }
}

fn note_text(value: i32) -> String {
    if value < 0 { "off".into() } else { format!("{value} ({})", formatters::v2s_i32_key_formatter()(value)) }
}

fn note_value(text: &str) -> Option<i32> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("off") {
        return Some(-1);
    }
    let digits = text.split_whitespace().next()?;
    // The framework's parser cuts between bytes, which panics in the middle of a character.
    let name = || text.is_ascii().then(|| formatters::s2v_i32_key_formatter()(text)).flatten();
    digits.parse().ok().or_else(name).filter(|n| (-1..=127).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SegueParams {
        SegueParams::new(Arc::default())
    }

    #[test]
    fn ids_are_for_ever() {
        let ids: Vec<String> = table().param_map().into_iter().map(|(id, _, _)| id).collect();
        let expected = [
            "capture",
            "mode",
            "prompt",
            "length",
            "t_semantic",
            "t_coarse",
            "t_fine",
            "top_p",
            "seed",
            "start",
            "play",
            "loop",
            "dry",
            "wet",
            "duck",
            "trigger_note",
        ];
        assert_eq!(ids, expected);
    }

    #[test]
    fn defaults_are_the_engine_s() {
        let (params, controls) = (table(), Controls::default());
        let fresh = Controls::default();
        params.store(&controls);
        assert_eq!(controls.temperatures(), fresh.temperatures());
        assert_eq!(controls.top_p.get(), fresh.top_p.get());
        assert_eq!(controls.prompt_seconds.get(), fresh.prompt_seconds.get());
        assert_eq!(controls.length_seconds.get(), fresh.length_seconds.get());
        assert_eq!(controls.start_mode(), fresh.start_mode());
        assert_eq!(controls.capture_mode(), fresh.capture_mode());
    }

    #[test]
    fn every_value_goes_to_text_and_back() {
        fn check(param: &impl Param) {
            for step in 0..=200 {
                let value = step as f32 / 200.0;
                let text = param.normalized_value_to_string(value, true);
                let back = param
                    .string_to_normalized_value(&text)
                    .unwrap_or_else(|| panic!("{}: {text:?} is not understood", param.name()));
                assert_eq!(param.normalized_value_to_string(back, true), text, "{}", param.name());
            }
        }
        let p = table();
        check(&p.mode);
        check(&p.prompt);
        check(&p.length);
        check(&p.t_semantic);
        check(&p.top_p);
        check(&p.seed);
        check(&p.start);
        check(&p.loop_take);
        check(&p.dry);
        check(&p.trigger_note);
    }

    #[test]
    fn words_are_understood() {
        let p = table();
        let plain =
            |param: &FloatParam, text: &str| param.string_to_normalized_value(text).map(|n| param.preview_plain(n));
        assert_eq!(plain(&p.t_coarse, "0.6").map(|v| (v * 1000.0).round()), Some(600.0));
        assert_eq!(plain(&p.dry, "-inf dB"), Some(0.0));
        assert!((plain(&p.dry, "-6 dB").expect("understood") - util::db_to_gain(-6.0)).abs() < 1e-4);
        assert!((plain(&p.wet, "0").expect("understood") - 1.0).abs() < 1e-4);
        assert_eq!(plain(&p.length, "∞"), Some(60.0));
        assert!((plain(&p.length, "16 s").expect("understood") - 16.0).abs() < 1e-3);
        assert!(plain(&p.length, "60").expect("understood") < ENDLESS_FROM);
        assert_eq!(plain(&p.t_coarse, "loud"), None);
        assert_eq!(plain(&p.t_coarse, "NaN"), None);
        let note =
            |text: &str| p.trigger_note.string_to_normalized_value(text).map(|n| p.trigger_note.preview_plain(n));
        assert_eq!(note("off"), Some(-1));
        assert_eq!(note("60"), Some(60));
        assert_eq!(note("C4"), Some(60));
        assert_eq!(note("300"), None);
        assert_eq!(note("ሳC4"), None);
    }

    #[test]
    fn the_top_of_the_length_has_no_end() {
        assert_eq!(length_text(60.0), "∞");
        assert_eq!(length_text(SIXTY), "60.0 s");
    }
}
