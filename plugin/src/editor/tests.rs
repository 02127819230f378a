//! Every state is drawn at several sizes without a window; then it is looked at and pressed.

use super::export::file_name;
use super::view::{Act, Acts, Control, Desk, Key, Needle, View};
use super::{MIN_SIZE, SIZE, control, draw, page, theme};
use crate::params::SegueParams;
use egui::{Event, Modifiers, PointerButton, Pos2, RawInput, Rect, Shape, pos2, vec2};
use segue_engine::command::Command;
use segue_engine::status::{
    Activity, Mend, PackSummary, Problem, Progress, StageProgress, Status, TakeSummary, Waveform,
};
use segue_engine::take::TakeId;
use std::sync::Arc;

mod engine;
mod keys;

fn wave(columns: usize) -> Waveform {
    (0..columns).map(|i| (-((i % 37) as f32) / 50.0, (i % 41) as f32 / 50.0)).collect()
}

fn take(id: u64, name: &str) -> TakeSummary {
    TakeSummary {
        id: TakeId(id),
        name: name.into(),
        stars: if id.is_multiple_of(2) { 5 } else { 0 },
        seed: 1000 + id,
        temperatures: [0.6, 0.8, 0.6],
        seconds: 16.0,
        prompt: wave(400),
        continuation: wave(1024),
        playable: !id.is_multiple_of(5),
        pack: "nocturne 1.0".into(),
        ..TakeSummary::default()
    }
}

fn ready(stages: &[&str]) -> Status {
    let pack = PackSummary {
        name: "nocturne".into(),
        version: "1.0".into(),
        title: "Nocturne".into(),
        stages: stages.iter().map(|stage| (*stage).into()).collect(),
        held: stages.contains(&"semantic"),
        sample_rate: 24_000,
        channels: 1,
        device: "cpu".into(),
        threads: 2,
        license: "CC BY 4.0".into(),
    };
    Status { activity: Activity::Ready, pack: Some(pack), listening: wave(512), ..Status::default() }
}

const ALL: [&str; 3] = ["semantic", "coarse", "fine"];

fn with_takes() -> Status {
    let names = ["Take 9", "A name that is far too long for any card that could be drawn here", "", "第五", "Take 5"];
    let takes = names.iter().enumerate().map(|(i, name)| take(9 - i as u64, name)).collect();
    Status {
        takes,
        selected: Some(TakeId(9)),
        notice: Some(
            "Exported to /a/very/long/path/that/goes/on/and/on/and/on/Segue/Segue - Take 9 (seed 1009).wav".into(),
        ),
        speed: Some(3.1),
        ttfa_ms: Some(84.0),
        ..ready(&ALL)
    }
}

fn generating(total: Option<f64>) -> Status {
    let stage = |id: &str, done| StageProgress {
        id: id.into(),
        done,
        total: total.map(|seconds| (seconds * 50.0) as usize),
        tokens: Arc::default(),
    };
    Status {
        activity: Activity::Generating,
        generating: Some(TakeId(9)),
        progress: Some(Progress {
            stages: vec![stage("semantic", 300), stage("coarse", 200), stage("fine", 0)],
            seconds: 4.0,
            total_seconds: total,
            speed: 1.5,
            starts_in: 1.4,
        }),
        ..with_takes()
    }
}

fn broken() -> Status {
    let problem = Problem {
        mend: Mend::Pack,
        what: format!(
            "The pack “nocturne” cannot be used: coarse.onnx is {}.",
            "not what the manifest says ".repeat(6)
        ),
        remedy: "Copy the pack again.".into(),
    };
    Status { activity: Activity::Unable, problem: Some(problem), ..Status::default() }
}

fn states() -> Vec<(&'static str, Status)> {
    let odd =
        Progress { stages: vec![], seconds: f64::NAN, total_seconds: Some(0.0), speed: f64::INFINITY, starts_in: -1.0 };
    vec![
        ("asleep", Status::default()),
        ("loading", Status { activity: Activity::Loading, ..Status::default() }),
        ("empty", ready(&ALL)),
        ("two stages", ready(&ALL[..2])),
        ("no stages", ready(&[])),
        ("recording", Status { activity: Activity::Recording, ..ready(&ALL) }),
        ("prefilling", Status { activity: Activity::Prefilling, ..with_takes() }),
        ("generating", generating(Some(16.0))),
        ("endless", generating(None)),
        ("takes", with_takes()),
        ("playing", Status { playing: Some(TakeId(9)), ..with_takes() }),
        ("unplayable", Status { selected: Some(TakeId(5)), ..with_takes() }),
        (
            "dangling",
            Status {
                selected: Some(TakeId(77)),
                generating: Some(TakeId(78)),
                playing: Some(TakeId(79)),
                ..with_takes()
            },
        ),
        ("broken", broken()),
        ("broken takes", Status { problem: broken().problem, ..with_takes() }),
        ("nonsense", Status { progress: Some(odd), ..generating(Some(0.0)) }),
    ]
}

/// The editor without a window.
struct Bench {
    ctx: egui::Context,
    controls: Vec<Control>,
    status: Status,
    desk: Desk,
    size: (f32, f32),
    time: f64,
    /// Linear.
    input_peak: f32,
    /// As the window draws it, not the page alone.
    whole_page: bool,
}

impl Bench {
    fn new(status: Status, size: (f32, f32), scale: f32) -> Self {
        let ctx = egui::Context::default();
        theme::install(&ctx);
        ctx.set_pixels_per_point(scale);
        let params = SegueParams::new(Arc::default());
        let controls = Key::ALL.map(|key| control(&params, key)).into();
        Self { ctx, controls, status, desk: Desk::default(), size, time: 0.0, input_peak: 0.5, whole_page: false }
    }

    fn frame(&mut self, events: Vec<Event>) -> (Vec<Act>, Vec<(Rect, Shape)>) {
        self.time += 0.1;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(self.size.0, self.size.1))),
            time: Some(self.time),
            events,
            focused: true,
            ..RawInput::default()
        };
        let (status, controls) = (&self.status, &self.controls[..]);
        let mut acts = Acts::default();
        let (desk, whole) = (&mut self.desk, self.whole_page);
        let mut output = self.ctx.run_ui(input, |ui| {
            let view = View {
                status,
                controls,
                input_peak: self.input_peak,
                prompt_position: None,
                position: status.playing.map(|_| 5.0),
                underruns: 0,
                prompt_seconds: 4.0,
                length_seconds: Some(16.0),
                duet_pause: 1.5,
            };
            acts = Acts::default();
            if whole { page(ui, &view, desk, &mut acts) } else { draw(ui, &view, desk, &mut acts) }
        });
        output.textures_delta.clear();
        let shapes =
            std::mem::take(&mut output.shapes).into_iter().map(|clipped| (clipped.clip_rect, clipped.shape)).collect();
        (acts.0, shapes)
    }

    fn texts(&mut self) -> Vec<String> {
        let (_, shapes) = self.frame(vec![]);
        let mut texts = Vec::new();
        for (_, shape) in shapes {
            each_text(&shape, &mut |text| texts.push(text.galley.text().to_owned()));
        }
        texts
    }

    fn press(&mut self, key: egui::Key) -> Vec<Act> {
        let event =
            |pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers: Modifiers::NONE };
        self.frame(vec![event(true), event(false)]).0
    }

    fn pointer(&mut self, at: Pos2, pressed: bool) -> Vec<Act> {
        let event =
            Event::PointerButton { pos: at, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE };
        self.frame(vec![Event::PointerMoved(at), event]).0
    }

    /// A click on a text on screen.
    fn click(&mut self, wanted: &str) -> Vec<Act> {
        let at = self.find(wanted);
        self.frame(vec![Event::PointerMoved(at)]);
        let mut acts = self.pointer(at, true);
        acts.extend(self.pointer(at, false));
        acts
    }

    /// The pointer over what has this id.
    fn hover(&mut self, id: egui::Id) -> Pos2 {
        self.frame(vec![]);
        let at = self.ctx.read_response(id).unwrap_or_else(|| panic!("{id:?} is not on screen")).rect.center();
        self.frame(vec![Event::PointerMoved(at)]);
        at
    }

    /// A click on what has this id.
    fn click_on(&mut self, id: egui::Id) -> Vec<Act> {
        let at = self.hover(id);
        let mut acts = self.pointer(at, true);
        acts.extend(self.pointer(at, false));
        acts
    }

    /// The middle of a text on screen.
    fn find(&mut self, wanted: &str) -> Pos2 {
        let (_, shapes) = self.frame(vec![]);
        let mut found = None;
        for (_, shape) in shapes {
            each_text(&shape, &mut |text| {
                if text.galley.text() == wanted {
                    found = Some(text.visual_bounding_rect().center());
                }
            });
        }
        found.unwrap_or_else(|| panic!("{wanted:?} is not on screen"))
    }
}

fn each_text(shape: &Shape, f: &mut impl FnMut(&egui::epaint::TextShape)) {
    match shape {
        Shape::Text(text) => f(text),
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| each_text(shape, f)),
        _ => {}
    }
}

/// Names of controls: there is always room for them.
const NEVER_CUT: [&str; 21] = [
    "Capture & Continue",
    "Cancel",
    "Prompt",
    "Continuation",
    "Loop",
    "Play",
    "Stop",
    "Retry",
    "Further",
    "Export",
    "Ideas",
    "Touch",
    "Detail",
    "Hold",
    "Density",
    "Variations",
    "MIDI note",
    "Duet",
    "Mute input",
    "Input",
    "nothing comes in",
];

#[test]
fn every_state_is_drawn_inside_the_window_and_large_enough_to_read() {
    for (name, status) in states() {
        for (size, scale) in [(SIZE, 1.0), (MIN_SIZE, 1.0), (SIZE, 2.0), (MIN_SIZE, 1.5), ((1600.0, 1000.0), 1.0)] {
            let mut bench = Bench::new(status.clone(), size, scale);
            bench.frame(vec![]);
            let window = Rect::from_min_size(Pos2::ZERO, vec2(size.0, size.1)).expand(0.5);
            let (_, shapes) = bench.frame(vec![]);
            assert!(shapes.len() > 50, "{name}: nothing was drawn");
            for (clip, shape) in shapes {
                each_text(&shape, &mut |text| {
                    let seen = text.visual_bounding_rect().intersect(clip);
                    let place = text.visual_bounding_rect();
                    assert!(
                        !seen.is_positive() || window.contains_rect(seen),
                        "{name} at {size:?}: {:?} at {place:?} leaves the window",
                        text.galley.text()
                    );
                    assert!(
                        !text.galley.elided || !NEVER_CUT.contains(&text.galley.text()),
                        "{name} at {size:?}: {:?} is cut",
                        text.galley.text()
                    );
                    for section in &text.galley.job.sections {
                        assert!(section.format.font_id.size >= 12.0, "{name}: {:?} is too small", text.galley.text());
                    }
                });
            }
        }
    }
}

#[test]
fn a_problem_is_told_in_full() {
    for size in [SIZE, MIN_SIZE] {
        let status = broken();
        let problem = status.problem.clone().expect("set above");
        let mut bench = Bench::new(status, size, 1.0);
        bench.frame(vec![]);
        let (_, shapes) = bench.frame(vec![]);
        for words in [problem.what, problem.remedy] {
            let whole = shapes.iter().any(|(clip, shape)| {
                let mut found = false;
                each_text(shape, &mut |text| {
                    found |= text.galley.text() == words
                        && !text.galley.elided
                        && clip.contains_rect(text.visual_bounding_rect());
                });
                found
            });
            assert!(whole, "{words:?} is cut at {size:?}");
        }
    }
}

#[test]
fn knobs_of_absent_stages_are_hidden() {
    let texts = Bench::new(ready(&ALL), SIZE, 1.0).texts();
    assert!(texts.iter().any(|text| text == "Detail"));
    let texts = Bench::new(ready(&ALL[..2]), SIZE, 1.0).texts();
    assert!(texts.iter().any(|text| text == "Touch") && !texts.iter().any(|text| text == "Detail"));
}

#[test]
fn an_empty_editor_says_what_to_do() {
    let mut bench = Bench::new(ready(&ALL), SIZE, 1.0);
    bench.input_peak = 0.0;
    let texts = bench.texts();
    assert!(texts.iter().any(|text| text == "Play something, then press Capture & Continue"), "{texts:?}");
    assert!(texts.iter().any(|text| text == "nothing comes in"), "{texts:?}");
    bench.input_peak = 0.5;
    let texts = bench.texts();
    assert!(texts.iter().any(|text| text == "Press Capture & Continue when you like"), "{texts:?}");
    assert!(!texts.iter().any(|text| text == "nothing comes in"), "{texts:?}");
}

#[test]
fn keys_do_what_the_tooltips_say() {
    use egui::Key as K;
    let sent = |key| {
        let mut bench = Bench::new(with_takes(), SIZE, 1.0);
        bench.frame(vec![]);
        bench.press(key)
    };
    assert!(matches!(sent(K::C)[..], [Act::Capture]));
    assert!(matches!(sent(K::Enter)[..], [Act::Capture]));
    assert!(matches!(sent(K::Space)[..], [Act::TogglePlay]));
    assert!(matches!(sent(K::R)[..], [Act::Send(Command::Retry)]));
    assert!(matches!(sent(K::F)[..], [Act::Send(Command::Further(TakeId(9)))]));
    assert!(matches!(sent(K::V)[..], [Act::Send(Command::Variations(TakeId(9), 4))]));
    assert!(matches!(sent(K::T)[..], [Act::Send(Command::TryIt)]));
    assert!(matches!(sent(K::ArrowRight)[..], [Act::Send(Command::Select(TakeId(8)))]));
    assert!(sent(K::ArrowLeft).is_empty(), "there is none newer");
    assert!(matches!(sent(K::Num3)[..], [Act::Send(Command::Stars(TakeId(9), 3))]));
    assert!(matches!(sent(K::Delete)[..], [Act::Send(Command::Delete(TakeId(9)))]));
    assert!(matches!(sent(K::L)[..], [Act::Begin(Key::Loop), Act::Set(Key::Loop, 1.0), Act::End(Key::Loop)]));
    assert!(matches!(sent(K::D)[..], [Act::Begin(Key::Duet), Act::Set(Key::Duet, 1.0), Act::End(Key::Duet)]));
    assert!(sent(K::Escape).is_empty());
    let mut bench = Bench::new(generating(Some(16.0)), SIZE, 1.0);
    bench.frame(vec![]);
    assert!(matches!(bench.press(K::Escape)[..], [Act::Send(Command::Cancel)]));
    assert!(bench.press(K::C).is_empty() && bench.press(K::R).is_empty());
}

#[test]
fn undo_and_redo_are_sent_when_there_is_something_to_take_back() {
    let press = |bench: &mut Bench, key| {
        let modifiers = Modifiers { ctrl: true, command: true, ..Modifiers::NONE };
        bench.frame(vec![Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers }]).0
    };
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    bench.frame(vec![]);
    assert!(press(&mut bench, egui::Key::Z).is_empty() && press(&mut bench, egui::Key::Y).is_empty());
    (bench.status.undo, bench.status.redo) = (Some("delete “Take 3”".into()), Some("stars".into()));
    assert!(matches!(press(&mut bench, egui::Key::Z)[..], [Act::Send(Command::Undo)]));
    assert!(matches!(press(&mut bench, egui::Key::Y)[..], [Act::Send(Command::Redo)]));
}

#[test]
fn a_deleted_take_can_be_had_back_from_the_line_that_says_so() {
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    bench.frame(vec![]);
    bench.press(egui::Key::Delete);
    assert!(bench.texts().iter().any(|text| text == "Deleted “Take 9”"));
    assert!(matches!(bench.click("Undo")[..], [Act::Send(Command::Undo)]));
    assert!(!bench.texts().iter().any(|text| text.starts_with("Deleted")));
}

#[test]
fn a_b_goes_back_and_forth_between_the_last_two() {
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    bench.frame(vec![]);
    assert!(bench.press(egui::Key::A).is_empty(), "nothing to compare with yet");
    bench.status.selected = Some(TakeId(8));
    bench.frame(vec![]);
    for other in [9, 8, 9] {
        assert!(matches!(bench.press(egui::Key::A)[..], [Act::Send(Command::Select(TakeId(id)))] if id == other));
        bench.status.selected = Some(TakeId(other));
        bench.frame(vec![]);
    }
    bench.status.takes.retain(|take| take.id != TakeId(8));
    assert!(bench.press(egui::Key::A).is_empty(), "the other one is gone");
}

#[test]
fn tiles_do_what_they_say() {
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    assert!(matches!(bench.click("Retry")[..], [Act::Send(Command::Retry)]));
    assert!(matches!(bench.click("Further")[..], [Act::Send(Command::Further(TakeId(9)))]));
    assert!(matches!(bench.click("Play")[..], [Act::TogglePlay]));
    let mut bench = Bench::new(ready(&ALL), SIZE, 1.0);
    assert!(matches!(bench.click("Try it")[..], [Act::Send(Command::TryIt)]));
}

#[test]
fn an_export_goes_where_and_as_it_was_chosen_and_the_choice_is_kept() {
    use segue_engine::command::{ExportContent, ExportFormat};
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    bench.frame(vec![]);
    bench.press(egui::Key::E);
    bench.desk.export.as_mut().expect("the dialog is open").folder = "/music".into();
    bench.frame(vec![]);
    bench.click("WAV, 24-bit");
    bench.click("Two files");
    let acts = bench.press(egui::Key::Enter);
    let Some(Act::Send(Command::Export(TakeId(9), request))) = acts.first() else { panic!("{acts:?}") };
    assert_eq!(request.path, std::path::Path::new("/music").join("Segue - Take 9 (seed 1009).wav"));
    assert_eq!((request.format, request.content), (ExportFormat::Pcm24, ExportContent::TwoFiles));
    let Some(Act::Prefer(kept)) = acts.last() else { panic!("{acts:?}") };
    assert_eq!(kept.folder().as_deref(), Some(std::path::Path::new("/music")));
    assert!(bench.desk.export.is_none());
    // When it is written, its path is at hand.
    bench.status.exported = vec!["/music/it.wav".into(), "/music/it prompt.wav".into()];
    bench.frame(vec![]);
    assert!(bench.texts().iter().any(|text| text == "Exported it.wav and its prompt"));
    bench.find("Copy path");
    bench.find("Show in folder");
}

#[test]
fn the_card_of_keys_opens_and_closes_and_keeps_the_keys_to_itself() {
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    bench.frame(vec![]);
    bench.frame(vec![Event::Text("?".into())]);
    assert!(bench.texts().iter().any(|text| text == "Retry: the same prompt, another way"));
    assert!(bench.press(egui::Key::R).is_empty());
    bench.frame(vec![Event::Text("?".into())]);
    assert!(!bench.desk.help);
}

#[test]
fn a_window_that_is_too_small_is_scrolled_not_squeezed() {
    let mut bench = Bench::new(with_takes(), (480.0, 310.0), 2.0);
    bench.whole_page = true;
    bench.frame(vec![]);
    let capture = bench.find("Capture & Continue");
    assert!(capture.y > 310.0, "it is as far down as on a page of the smallest size: {capture:?}");
}

#[test]
fn typing_a_name_presses_nothing() {
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    bench.desk.rename = Some((TakeId(9), String::new()));
    bench.frame(vec![]);
    bench.frame(vec![]);
    for (key, text) in [(egui::Key::P, "p"), (egui::Key::Space, " "), (egui::Key::R, "r")] {
        let event = Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers: Modifiers::NONE };
        let (acts, _) = bench.frame(vec![event, Event::Text(text.into())]);
        assert!(acts.is_empty(), "{acts:?}");
    }
    let acts = bench.press(egui::Key::Enter);
    assert!(matches!(&acts[..], [Act::Send(Command::Rename(TakeId(9), name))] if name == "p r"), "{acts:?}");
    assert!(bench.desk.rename.is_none());
}

#[test]
fn the_big_button_acts_at_the_press_and_once() {
    let mut bench = Bench::new(ready(&ALL), SIZE, 1.0);
    let at = bench.find("Capture & Continue");
    bench.frame(vec![Event::PointerMoved(at)]);
    assert!(matches!(bench.pointer(at, true)[..], [Act::Capture]));
    // What was under the finger is now Cancel; letting go must not press it.
    bench.status = generating(Some(16.0));
    bench.frame(vec![]);
    assert!(bench.pointer(at, false).is_empty());
}

#[test]
fn a_press_and_release_within_one_frame_count() {
    let mut bench = Bench::new(ready(&ALL), SIZE, 1.0);
    let at = bench.find("Capture & Continue");
    bench.frame(vec![Event::PointerMoved(at)]);
    let button =
        |pressed| Event::PointerButton { pos: at, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE };
    let (acts, _) = bench.frame(vec![button(true), button(false)]);
    assert!(matches!(acts[..], [Act::Capture]), "{acts:?}");
}

#[test]
fn a_knob_turns_up_when_dragged_up_and_tells_the_host_when_it_is_held() {
    let mut bench = Bench::new(ready(&ALL), SIZE, 1.0);
    let at = bench.find("Touch") + vec2(0.0, 40.0);
    bench.frame(vec![Event::PointerMoved(at)]);
    let mut acts = bench.pointer(at, true);
    for step in 1..=4 {
        acts.extend(bench.frame(vec![Event::PointerMoved(pos2(at.x, at.y - 12.0 * step as f32))]).0);
    }
    acts.extend(bench.pointer(pos2(at.x, at.y - 48.0), false));
    assert!(matches!(acts.first(), Some(Act::Begin(Key::Touch))), "{acts:?}");
    assert!(matches!(acts.last(), Some(Act::End(Key::Touch))), "{acts:?}");
    let values: Vec<f32> =
        acts.iter().filter_map(|act| if let Act::Set(Key::Touch, value) = act { Some(*value) } else { None }).collect();
    assert!(
        values.len() >= 2 && values.is_sorted() && values[0] > bench.controls[Key::Touch as usize].value,
        "{values:?}"
    );
}

#[test]
fn the_seed_of_a_take_is_one_click_away() {
    let mut bench = Bench::new(with_takes(), SIZE, 1.0);
    let at = bench.find("seed 1009");
    bench.frame(vec![Event::PointerMoved(at)]);
    bench.pointer(at, true);
    let acts = bench.pointer(at, false);
    let wanted = 1009.0 / 9999.0;
    assert!(
        matches!(acts[..], [Act::Begin(Key::Seed), Act::Set(Key::Seed, value), Act::End(Key::Seed)] if value == wanted),
        "{acts:?}"
    );
}

#[test]
fn keys_and_controls_are_in_the_same_order() {
    for (index, key) in Key::ALL.into_iter().enumerate() {
        assert_eq!(key as usize, index);
    }
}

#[test]
fn an_export_has_a_name_that_every_system_takes() {
    assert_eq!(file_name("Take 3", 42), "Segue - Take 3 (seed 42).wav");
    assert_eq!(file_name("../a:b\\c\u{7}", 1), "Segue - _a_b_c_ (seed 1).wav");
    assert_eq!(file_name(" . ", 1), "Segue - Take (seed 1).wav");
    assert!(file_name(&"long ".repeat(100), 1).len() < 100);
}

#[test]
fn a_needle_rises_at_once_and_falls_slowly() {
    let mut needle = Needle::default();
    needle.follow(1.0, 0.03);
    assert_eq!(needle.level, 1.0);
    needle.follow(0.0, 0.5);
    assert!((needle.level - 10f32.powf(-12.0 / 20.0)).abs() < 1e-4);
    assert_eq!(needle.hold, 1.0);
    needle.follow(f32::NAN, 60.0);
    needle.follow(0.0, 60.0);
    assert!(!needle.moves());
}
