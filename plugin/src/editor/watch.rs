//! Draws only when something has changed. A small thread looks thirty times a second at what the editor shows, and asks
//! for a frame if it would look different; what the user does asks for its own.

use super::EditorContext;
use egui::Context;
use nice_plug::prelude::Param;
use segue_engine::status::{Meters, Status};
use std::hash::{DefaultHasher, Hash, Hasher};
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
    for (_, param, _) in context.params.shown() {
        param.hash(&mut hash);
    }
    hash.finish()
}

fn meters(meters: &Meters, hash: &mut impl Hasher) {
    meters.position.load(Relaxed).hash(hash);
    meters.underruns.load(Relaxed).hash(hash);
    for level in [&meters.input_peak, &meters.wet_peak] {
        // In steps of a tenth of a decibel, down to where the meter is empty.
        let level = level.get();
        let step = if level > 1e-3 { (level.log10() * 200.0) as i32 } else { i32::MIN };
        step.hash(hash);
    }
}

fn status(status: &Status, hash: &mut impl Hasher) {
}
