//! From the host's terms to the engine's: transport, triggers, environment, and the patience of an offline render.

use crate::Segue;
use crate::params::SegueParams;
use nice_plug::prelude::*;
use segue_engine::capture::finite;
use segue_engine::models::LoadRequest;
use segue_engine::transport::Transport as Snapshot;
use segue_engine::worker::AudioEnds;
use std::time::{Duration, Instant};

/// An offline render waits this long for one block, then goes on without.
const PATIENCE: Duration = Duration::from_secs(120);
/// The MIDI controller of the sustain pedal, and the value from which it is down.
const SUSTAIN: u8 = 64;
const PEDAL_DOWN: f32 = 0.5;

/// Turns levels and notes into events on the sample clock. Audio thread, real-time safe.
#[derive(Debug, Default)]
pub struct Cues {
    play: bool,
    pedal: bool,
}

impl Cues {
    /// Sends what happens in the block that begins now. Automation is exact because the framework splits blocks at it.
    pub fn send(
        &mut self,
        params: &SegueParams,
        ends: &mut AudioEnds,
        sample_rate: u32,
        context: &mut impl ProcessContext<Segue>,
    ) {
        let now = snapshot(context.transport());
        ends.transport(now);
        if params.take_presses() > 0 {
            ends.capture.trigger(0, now);
        }
        let play = params.play.value();
        if play != self.play {
            self.play = play;
            if play {
                ends.capture.play()
            } else {
                ends.capture.stop()
            };
        }
        let trigger_note = params.trigger_note.value();
        while let Some(event) = context.next_event() {
            match event {
                NoteEvent::NoteOn { timing, key, .. }
                    if key.number().is_some_and(|key| i32::from(key) == trigger_note) =>
                {
                    #[cfg(feature = "defects")]
                    let timing = crate::defects::timing(timing);
                    ends.capture.trigger(timing as usize, now.after(u64::from(timing), sample_rate));
                }
                NoteEvent::MidiCC { timing, cc: SUSTAIN, value, .. } => {
                    let down = value >= PEDAL_DOWN;
                    if down != self.pedal {
                        self.pedal = down;
                        ends.pedal(timing as usize, down);
                    }
                }
                _ => {}
            }
        }
    }
}

fn snapshot(transport: &Transport) -> Snapshot {
    let positive = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    Snapshot {
        playing: transport.playing,
        tempo: transport.tempo,
        beat: transport.pos_beats(),
        bar_start: transport.bar_start_pos_beats(),
        signature: positive(transport.time_sig_numerator).zip(positive(transport.time_sig_denominator)),
    }
}

/// Silence for what is not a number: neither the history nor the rest of the host's chain should get it.
pub fn sanitize(channels: &mut [&mut [f32]]) {
    #[cfg(feature = "defects")]
    if crate::defects::is("lets-nan-pass") {
        return;
    }
    for sample in channels.iter_mut().flat_map(|channel| channel.iter_mut()) {
        *sample = finite(*sample);
    }
}

/// Offline only: sleeps until this block can get everything that is due in it, so that a bounce is complete.
pub fn wait(ends: &mut AudioEnds, clock: u64, frames: usize, looping: bool) {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let sent = ends.capture.sent();
        if ends.playback.ready(sent, clock, frames, looping) && ends.capture.has_room(frames) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What the environment says about device and threads: `SEGUE_DEVICE` (cpu, cuda, directml, coreml) and `SEGUE_THREADS`.
pub fn load_request() -> LoadRequest {
    let device = std::env::var("SEGUE_DEVICE").ok().and_then(|d| d.parse().ok());
    let threads = std::env::var("SEGUE_THREADS").ok().and_then(|t| t.parse().ok());
    let default = LoadRequest::default();
    LoadRequest { device: device.unwrap_or(default.device), threads: threads.unwrap_or(default.threads), ..default }
}
