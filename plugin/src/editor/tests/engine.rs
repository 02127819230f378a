//! The editor and the real engine together, on the tests' pack: something is pressed, and then the takes are looked at,
//! as the worker shows them and as a project would save them.

use super::*;
use segue_engine::models::LoadRequest;
use segue_engine::platform::RUNTIME_LIBRARY;
use segue_engine::playback::Mix;
use segue_engine::take::Take;
use segue_engine::worker::{Activation, AudioEnds, Engine, EngineConfig};
use std::path::{Path, PathBuf};
use std::time::Duration;

const RATE: u32 = 48_000;
const BLOCK: usize = 480;

/// ONNX Runtime, as `cargo xtask runtime` leaves it, unless `SEGUE_RUNTIME` says otherwise.
fn runtime(root: &Path) -> Option<PathBuf> {
    if std::env::var_os("SEGUE_RUNTIME").is_some() {
        return None;
    }
    let library = root.join("target/runtime/cpu").join(RUNTIME_LIBRARY);
    assert!(library.exists(), "{} is missing: run `cargo xtask runtime` first", library.display());
    Some(library)
}

/// An editor, its engine, and a host that plays a chord twice a second.
struct Session {
    bench: Bench,
    engine: Engine,
    ends: AudioEnds,
    clock: u64,
}

impl Session {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let pack = Some(root.join("assets/test/tiny-pack"));
        let config = EngineConfig {
            load: LoadRequest { pack, runtime: runtime(&root), ..LoadRequest::default() },
            ..EngineConfig::default()
        };
        config.controls.length_seconds.set(2.0);
        config.controls.prompt_seconds.set(1.0);
        let engine = Engine::spawn(config);
        let ends = engine.activate(Activation { sample_rate: RATE, offline: false });
        let mut session = Self { bench: Bench::new(Status::default(), SIZE, 1.0), engine, ends, clock: 0 };
        session.until("it listens", |status| status.activity == Activity::Ready);
        for _ in 0..2 * RATE as usize / BLOCK {
            session.block();
        }
        session
    }

    /// A block of audio, and a frame of the editor.
    fn block(&mut self) {
        let chord: Vec<f32> = (0..BLOCK)
            .map(|n| {
                let t = (self.clock + n as u64) as f32 / RATE as f32;
                let decay = (-(t % 0.5) * 6.0).exp();
                [220.0, 277.2, 329.6].iter().map(|f| (std::f32::consts::TAU * f * t).sin()).sum::<f32>() * decay * 0.2
            })
            .collect();
        self.ends.push_block(&[&chord, &chord]);
        let (mut left, mut right) = (chord.clone(), chord);
        let mix = Mix { dry: 1.0, wet: 1.0, duck: false, looping: false };
        self.ends.playback.mix(&mut [&mut left, &mut right], self.clock, &mix);
        self.clock += BLOCK as u64;
        // Faster than a sound card would, and slow enough for the worker to keep up.
        std::thread::sleep(Duration::from_millis(2));
    }

    /// What the editor sees, as it is now.
    fn look(&mut self) {
        self.bench.status = self.engine.status().lock().clone();
        self.bench.frame(vec![]);
    }

    /// Plays on until it is so.
    fn until(&mut self, what: &str, so: impl Fn(&Status) -> bool) {
        for _ in 0..20_000 {
            self.block();
            self.look();
            assert!(self.bench.status.problem.is_none(), "{what}: {:?}", self.bench.status.problem);
            if so(&self.bench.status) {
                return;
            }
        }
        panic!("{what}: never; {:?}", self.bench.status);
    }

    /// Hands over what the editor asked for.
    fn perform(&mut self, acts: Vec<Act>) {
        assert!(!acts.is_empty(), "nothing was asked for");
        for act in acts {
            match act {
                Act::Send(command) => self.engine.commands().try_send(command).expect("there is room"),
                Act::Capture => assert!(self.ends.capture.trigger(100, Default::default())),
                Act::TogglePlay if self.bench.status.playing.is_some() => self.perform(vec![Act::Send(Command::Stop)]),
                Act::TogglePlay => self.perform(vec![Act::Send(Command::Play)]),
                other => panic!("{other:?} is for the host"),
            }
        }
    }

    /// A click on a word.
    fn click(&mut self, word: &str) {
        self.look();
        let acts = self.bench.click(word);
        self.perform(acts);
    }

    /// A click on what has no word.
    fn click_on(&mut self, id: egui::Id) {
        self.look();
        let acts = self.bench.click_on(id);
        self.perform(acts);
    }

    /// Waits for the n-th take to be whole and heard, and the engine to rest.
    fn made(&mut self, count: usize) -> Vec<Take> {
        self.until("a take is made", |status| status.takes.len() == count && status.activity == Activity::Ready);
        self.until("it has been heard", |status| status.playing.is_none());
        let saved = self.saved();
        assert_eq!(saved.len(), count, "what is shown is saved");
        saved
    }

    /// What a project would save.
    fn saved(&self) -> Vec<Take> {
        self.engine.shelf().snapshot().takes
    }

    fn selected(&self) -> Option<TakeId> {
        self.bench.status.selected
    }
}

#[test]
fn retry_and_a_b_by_clicks() {
    let mut session = Session::new();
    session.click("Capture & Continue");
    let first = session.made(1).remove(0);
    session.click("Retry");
    let takes = session.made(2);
    let second = &takes[0];
    assert_eq!(takes[1], first, "the first take is as it was");
    assert_eq!(second.prompt_samples, first.prompt_samples);
    let prompt = |take: &Take| (0..20).map(|frame| take.acoustic.frame(frame).to_vec()).collect::<Vec<_>>();
    assert_eq!(prompt(second), prompt(&first), "the same prompt");
    assert_ne!(second.acoustic, first.acoustic, "another continuation");
    assert_ne!(second.provenance.seed, first.provenance.seed, "another seed");
    assert_eq!(session.selected(), Some(second.id));

    // A/B while it rests, and while it plays.
    session.click("A/B");
    session.until("the first one is selected", |status| status.selected == Some(first.id));
    session.click("Play");
    session.until("the first one plays", |status| status.playing == Some(first.id));
    session.click("A/B");
    session.until("the second one plays on", |status| status.playing == Some(second.id));
    assert_eq!(session.selected(), Some(second.id));
    session.click("Stop");
    session.until("nothing plays", |status| status.playing.is_none());
    assert_eq!(session.saved(), takes, "listening changes nothing");
}

#[test]
fn delete_undo_and_redo_by_clicks() {
    let mut session = Session::new();
    session.click("Capture & Continue");
    session.made(1);
    session.click("Retry");
    let takes = session.made(2);
    let gone = takes[0].id;
    let tool = |name: &'static str| egui::Id::unique(("segue tool", name));

    // The card's cross is there while the pointer is over the card.
    let card = egui::Id::unique(("segue take", gone));
    session.bench.hover(card);
    session.click_on(card.with("delete"));
    session.until("it is gone", |status| status.takes.len() == 1);
    assert_eq!(session.saved(), takes[1..]);
    session.click("Undo");
    session.until("it is back", |status| status.takes.len() == 2);
    assert_eq!(session.saved(), takes, "as it was, where it was");
    session.click_on(tool("redo"));
    session.until("it is gone again", |status| status.takes.len() == 1);
    session.click_on(tool("undo"));
    session.until("it is back again", |status| status.takes.len() == 2);
    assert_eq!(session.saved(), takes);

    // Stars are taken back too, and a take that came back can be played.
    session.click_on(egui::Id::unique("segue title stars").with(("star", 3_u8)));
    let selected = session.selected();
    let stars = |status: &Status| status.takes.iter().find(|take| Some(take.id) == selected).map(|take| take.stars);
    session.until("three stars", |status| stars(status) == Some(3));
    session.click_on(tool("undo"));
    session.until("no stars", |status| stars(status) == Some(0));
    session.click("Play");
    session.until("it plays", |status| status.playing.is_some());
}

#[test]
fn a_first_visitor_hears_something_and_can_stop_it() {
    let mut session = Session::new();
    session.engine.controls().length_seconds.set(f32::INFINITY);
    session.click("Try it");
    session.until("it goes on with the built-in prompt", |status| {
        status.activity == Activity::Generating && status.takes.first().is_some_and(|take| take.seconds > 0.3)
    });
    session.click("Cancel");
    let takes = session.made(1);
    assert!(
        takes[0].seconds() > 0.3 && takes[0].prompt_seconds() > 0.9,
        "what was made stays: {:?}",
        takes[0].seconds()
    );
}
