//! The one thread that listens, loads, generates, decodes and feeds playback.
//!
//! # Threading model
//! [`Engine`] belongs to the host's main thread (and lends handles to the editor). The audio thread holds
//! [`AudioEnds`]. The worker's thread starts with the engine, sleeps until the first activation, loads nothing before
//! it, and is joined when the engine is dropped, in the middle of a generation too: it looks at its stop flag between
//! any two steps.

mod ahead;
mod commands;
mod duet;
mod edits;
mod export;
mod listen;
mod orders;
mod performance;
mod player;
mod publish;
mod run;
mod schedule;
mod shelf;
mod source;
mod takes;
mod timeline;

pub use shelf::{Shelf, TakeShelf};

use crate::capture::{CaptureInput, CaptureOutput};
use crate::command::Command;
use crate::controls::Controls;
use crate::models::LoadRequest;
use crate::playback::{PlaybackInput, PlaybackOutput};
use crate::status::{Activity, Meters, Problem, Status};
use crate::transport::Transport;
use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use duet::Ear;
use parking_lot::Mutex;
use source::{ModelSource, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::thread::JoinHandle;

/// Commands that may wait.
const COMMANDS: usize = 64;

/// What an engine needs to know from the start.
#[derive(Debug, Clone, Default)]
pub struct EngineConfig {
    /// Written by the audio thread, read before every step.
    pub controls: Arc<Controls>,
    /// Written by the audio thread.
    pub meters: Arc<Meters>,
    /// Which runtime, pack and device; its pack is the default of projects that name none.
    pub load: LoadRequest,
}

/// How the host will call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    /// Hz.
    pub sample_rate: u32,
    /// The host renders faster than real time and does not mind waiting.
    pub offline: bool,
}

/// What the audio thread holds while active.
#[derive(Debug)]
pub struct AudioEnds {
    /// Takes the input in.
    pub capture: CaptureInput,
    /// Gives the continuation out.
    pub playback: PlaybackOutput,
    ear: Ear,
}

/// What the audio thread says through both of its ends. Real-time safe throughout. Once a block, in this order:
/// [`Self::transport`], triggers and pedals at their frames, [`Self::push_block`], then
/// [`PlaybackOutput::mix`](crate::playback::PlaybackOutput::mix).
impl AudioEnds {
    /// The host's transport at the first frame of the block that is pushed next. Say it before every block: starts,
    /// stops, relocations and changes of tempo are noticed here.
    pub fn transport(&mut self, transport: Transport) {
        self.playback.transport(self.capture.clock(), transport);
        self.capture.transport(transport);
    }

    /// The sustain pedal (MIDI CC 64) moved `frame` frames into the block that is pushed next; down is 64–127. A
    /// duet whose host never says this goes by sound alone.
    pub fn pedal(&mut self, frame: usize, down: bool) {
        if !down {
            self.ear.lifted(self.capture.clock() + frame as u64);
        }
    }

    /// Captures one block of input, as [`CaptureInput::push_block`] does, and listens to it for the duet.
    pub fn push_block(&mut self, channels: &[&[f32]]) {
        self.ear.listen(&mut self.capture, channels);
        self.capture.push_block(channels);
    }
}

/// The worker's ends of one activation.
struct Live {
    capture: CaptureOutput,
    playback: PlaybackInput,
    sample_rate: u32,
    offline: bool,
}

enum Lifecycle {
    Activate(Box<Live>),
    Deactivate,
}

/// One instance's engine. Main thread.
#[derive(Debug)]
pub struct Engine {
    controls: Arc<Controls>,
    meters: Arc<Meters>,
    status: Arc<Mutex<Status>>,
    shelf: Arc<TakeShelf>,
    commands: Sender<Command>,
    lifecycle: Sender<Lifecycle>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Activate(_) => "Activate",
            Self::Deactivate => "Deactivate",
        })
    }
}

/// What the thread is started with.
struct Threads {
    config: EngineConfig,
    status: Arc<Mutex<Status>>,
    shelf: Arc<TakeShelf>,
    commands: Receiver<Command>,
    lifecycle: Receiver<Lifecycle>,
    stop: Arc<AtomicBool>,
}

impl Engine {
    /// Starts the worker; returns at once. If no thread can be started, [`Status::problem`] says so and audio passes.
    #[must_use]
    pub fn spawn(config: EngineConfig) -> Self {
        Self::spawn_with(config, || Box::new(ModelSource::default()))
    }

    fn spawn_with(config: EngineConfig, source: impl FnOnce() -> Box<dyn Source> + Send + 'static) -> Self {
        let (commands, commands_out) = bounded(COMMANDS);
        let (lifecycle, lifecycle_out) = unbounded();
        let status = Arc::new(Mutex::new(Status::default()));
        let shelf = Arc::new(TakeShelf::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (controls, meters) = (Arc::clone(&config.controls), Arc::clone(&config.meters));
        let threads = Threads {
            config,
            status: Arc::clone(&status),
            shelf: Arc::clone(&shelf),
            commands: commands_out,
            lifecycle: lifecycle_out,
            stop: Arc::clone(&stop),
        };
        let spawned =
            std::thread::Builder::new().name("segue worker".into()).spawn(move || run::run(threads, source()));
        if let Err(e) = &spawned {
            let mut status = status.lock();
            status.activity = Activity::Unable;
            status.problem = Some(Problem {
                what: format!("no thread could be started: {e}"),
                remedy: "Close other programs and insert Segue again.".into(),
                mend: crate::status::Mend::None,
            });
        }
        Self { controls, meters, status, shelf, commands, lifecycle, stop, thread: spawned.ok() }
    }

    /// The host is about to process. What an earlier activation still generated is kept as a take.
    #[must_use]
    pub fn activate(&self, activation: Activation) -> AudioEnds {
        let Activation { sample_rate, offline } = activation;
        crate::platform::bring_into_memory();
        let (capture_in, capture) = crate::capture::capture(sample_rate);
        let (playback, playback_out) = crate::playback::playback(sample_rate, Arc::clone(&self.meters));
        let live = Box::new(Live { capture, playback, sample_rate, offline });
        // A worker that is gone drops its ends, and the audio thread notices by getting nothing.
        let _ = self.lifecycle.send(Lifecycle::Activate(live));
        let ear = Ear::new(sample_rate, Arc::clone(&self.controls), Arc::clone(&self.meters));
        AudioEnds { capture: capture_in, playback: playback_out, ear }
    }

    /// The host has stopped processing.
    pub fn deactivate(&self) {
        let _ = self.lifecycle.send(Lifecycle::Deactivate);
    }

    /// Where to send commands. `try_send`: a full queue refuses.
    #[must_use]
    pub fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }

    /// The worker's snapshot.
    #[must_use]
    pub fn status(&self) -> Arc<Mutex<Status>> {
        Arc::clone(&self.status)
    }

    /// The takes, for saving and loading.
    #[must_use]
    pub fn shelf(&self) -> Arc<TakeShelf> {
        Arc::clone(&self.shelf)
    }

    /// The settings.
    #[must_use]
    pub fn controls(&self) -> Arc<Controls> {
        Arc::clone(&self.controls)
    }

    /// The audio thread's meters.
    #[must_use]
    pub fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.meters)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        // Wakes it if it sleeps.
        let _ = self.lifecycle.send(Lifecycle::Deactivate);
        if let Some(thread) = self.thread.take() {
            // A panic has been reported already; there is nothing to be done about it here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
