//! Draws only when something has changed. A small thread looks thirty times a second at what the editor shows, and asks
//! for a frame if it would look different; what the user does asks for its own.

use super::EditorContext;
use egui::Context;
use segue_engine::status::{DuetState, Meters, Status};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(33);

/// The thread; gone when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins. Until `drawn` is set nothing is asked for: baseview 0.4.2 on X11 stops drawing for good when a frame is
    /// asked for before the window is mapped.
    pub(super) fn start(context: EditorContext, egui: Context, drawn: Arc<AtomicBool>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watch = move || {
            let mut last = 0;
            while !stopped.load(Relaxed) {
                std::thread::park_timeout(INTERVAL);
                if !drawn.load(Relaxed) {
                    continue;
                }
                let now = look(&context);
                if now != last {
                    last = now;
                    egui.request_repaint();
                }
            }
        };
        let thread = Builder::new().name("segue-editor".into()).spawn(watch).ok();
        Self { stop, thread }
    }

    /// Whether it runs. (A system may be out of threads: then the editor draws at a steady pace.)
    pub(super) fn runs(&self) -> bool {
        self.thread.is_some()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It must be gone before the host can unload the library. It waits for nothing that this thread holds.
            let _ = thread.join();
        }
    }
}

/// A number that is another one when the editor would look different.
fn look(context: &EditorContext) -> u64 {
    let mut hash = DefaultHasher::new();
    status(&context.status.lock(), &mut hash);
    meters(&context.meters, &mut hash);
    for position in super::positions(&context.params) {
        position.to_bits().hash(&mut hash);
    }
    hash.finish()
}

fn meters(meters: &Meters, hash: &mut impl Hasher) {
    meters.position.load(Relaxed).hash(hash);
    meters.prompt_position.load(Relaxed).hash(hash);
    meters.underruns.load(Relaxed).hash(hash);
    for level in [&meters.input_peak, &meters.wet_peak] {
        // In steps of a tenth of a decibel, down to where the meter is empty.
        let level = level.get();
        let step = if level > 1e-3 { (level.log10() * 200.0) as i32 } else { i32::MIN };
        step.hash(hash);
    }
}

fn status(status: &Status, hash: &mut impl Hasher) {
    discriminant(&status.activity).hash(hash);
    if let Some(problem) = &status.problem {
        (&problem.what, &problem.remedy).hash(hash);
    }
    (&status.notice, &status.undo, &status.redo, &status.exported).hash(hash);
    if let Some(pack) = &status.pack {
        (&pack.name, &pack.version, &pack.device, pack.threads).hash(hash);
    }
    if let Some(progress) = &status.progress {
        (progress.seconds.to_bits(), tenths(progress.starts_in)).hash(hash);
        for stage in &progress.stages {
            stage.done.hash(hash);
        }
    }
    // The picture of what comes in moves in steps that can be seen; silence is a line, however long.
    for (age, (low, high)) in status.listening.iter().rev().enumerate() {
        let column = ((low * 256.0) as i16, (high * 256.0) as i16);
        if column != (0, 0) {
            (age, column).hash(hash);
        }
    }
    for take in &status.takes {
        (take.id, &take.name, take.stars, take.playable, take.seconds.to_bits()).hash(hash);
        (take.spectrum.len(), take.spectrum.version(), take.continuation.len()).hash(hash);
    }
    (status.selected, status.generating, status.playing, status.queued).hash(hash);
    discriminant(&status.duet).hash(hash);
    if let DuetState::Waiting { seconds_left } = status.duet {
        tenths(f64::from(seconds_left)).hash(hash);
    }
    (status.prompt_seconds_now.to_bits(), status.host_time.bars).hash(hash);
    for figure in [status.ttfa_ms, status.speed] {
        figure.map(f64::to_bits).hash(hash);
    }
}

/// In tenths of a second, as they are shown.
fn tenths(seconds: f64) -> i64 {
    (seconds * 10.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_engine::status::TakeSummary;

    fn seen(edit: impl FnOnce(&mut Status)) -> u64 {
        let mut shown = Status { listening: vec![(0.0, 0.0); 64].into(), ..Status::default() };
        shown.takes.push(TakeSummary::default());
        edit(&mut shown);
        let mut hash = DefaultHasher::new();
        status(&shown, &mut hash);
        hash.finish()
    }

    #[test]
    fn what_looks_the_same_is_not_drawn_again_and_what_does_not_is() {
        let still = seen(|_| {});
        assert_eq!(seen(|s| s.listening = vec![(0.0, 0.0); 64].into()), still, "silence is silence");
        assert_eq!(seen(|s| s.listening = vec![(-1e-5, 1e-5); 64].into()), still, "nobody sees −100 dB");
        assert_eq!(seen(|s| s.listening = vec![(0.0, 0.0); 65].into()), still, "and goes on being silence");
        let mut once = vec![(0.0, 0.0); 64];
        once[60] = (-0.1, 0.1);
        let sound = seen(|s| s.listening = once.clone().into());
        once.push((0.0, 0.0));
        let moved = seen(|s| s.listening = once.into());
        assert_ne!(sound, moved, "what sounded moves on");
        let changes: [(&str, u64); 8] = [
            ("a sound", seen(|s| s.listening = vec![(-0.1, 0.1); 64].into())),
            ("a name", seen(|s| s.takes[0].name = "x".into())),
            ("stars", seen(|s| s.takes[0].stars = 1)),
            ("the selection", seen(|s| s.selected = Some(TakeSummary::default().id))),
            ("an undo", seen(|s| s.undo = Some("delete".into()))),
            ("a duet", seen(|s| s.duet = DuetState::Waiting { seconds_left: 1.0 })),
            ("its countdown", seen(|s| s.duet = DuetState::Waiting { seconds_left: 0.9 })),
            ("a file", seen(|s| s.exported = vec!["a".into()])),
        ];
        for (index, (what, hash)) in changes.iter().enumerate() {
            assert_ne!(*hash, still, "{what}");
            assert!(changes[..index].iter().all(|(_, other)| other != hash), "{what}");
        }
    }
}
