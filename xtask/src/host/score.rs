//! What the host plays into the plugin, when it moves which parameter, and what it hears.

use super::handlers::Handlers;
use crate::error::{Error, Result};
use clack_host::events::event_types::ParamValueEvent;
use clack_host::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A parameter takes a value at a frame, wherever in a block that is.
#[derive(Debug, Clone, Copy)]
pub struct Cue {
    /// Frames since activation.
    pub frame: u64,
    /// The parameter.
    pub param: ClapId,
    /// Its new value, in the host's range.
    pub value: f64,
}

/// One performance.
#[derive(Debug, Clone)]
pub struct Score {
    /// Hz.
    pub rate: u32,
    /// Frames in a block.
    pub block: usize,
    /// Whether blocks come when a sound card would ask for them, or as fast as they can.
    pub real_time: bool,
    /// What is played; silence after its end.
    pub input: [Vec<f32>; 2],
    /// Parameter moves, in order of their frames.
    pub cues: Vec<Cue>,
    /// Length of the whole.
    pub frames: u64,
}

/// One call of `process`.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// When it was called.
    pub called: Instant,
    /// How long it took.
    pub took: Duration,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Heard {
    /// As long as the score, whole blocks.
    pub planes: [Vec<f32>; 2],
    /// Every call.
    pub blocks: Vec<Block>,
    /// Blocks that the host itself called later than a block after they were due: the machine was too busy to be a
    /// host. Nothing the plugin did.
    pub late: usize,
}

/// How far it is, and whether to go on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Frames played.
    pub(super) clock: AtomicU64,
    /// Set to end before the score does.
    pub(super) stop: AtomicBool,
}

/// Plays the score; runs on the audio thread.
pub(super) fn play(
    stopped: StoppedPluginAudioProcessor<Handlers>,
    score: &Score,
    progress: &Progress,
) -> (Result<Heard>, StoppedPluginAudioProcessor<Handlers>) {
    match stopped.start_processing() {
        Err(e) => {
            let reason = e.to_string();
            (Err(Error::host(reason)), e.into_stopped_processor())
        }
        Ok(mut processor) => {
            let heard = play_blocks(&mut processor, score, progress);
            (heard, processor.stop_processing())
        }
    }
}

fn play_blocks(
    processor: &mut StartedPluginAudioProcessor<Handlers>,
    score: &Score,
    progress: &Progress,
) -> Result<Heard> {
    let size = score.block;
    let count = usize::try_from(score.frames).map_err(Error::host)?.div_ceil(size);
    let mut input = [vec![0.0f32; size], vec![0.0f32; size]];
    let mut output = input.clone();
    let (mut in_ports, mut out_ports) = (AudioPorts::with_capacity(2, 1), AudioPorts::with_capacity(2, 1));
    let mut heard = Heard {
        planes: [Vec::with_capacity(count * size), Vec::with_capacity(count * size)],
        blocks: Vec::with_capacity(count),
        late: 0,
    };
    let mut cues = score.cues.iter().peekable();
    let mut events = Vec::with_capacity(16);
    let mut sent_back = EventBuffer::new();
    let begin = Instant::now();
    for index in 0..count {
        let first = index * size;
        if score.real_time {
            let due = begin + Duration::from_secs_f64(first as f64 / f64::from(score.rate));
            wait_until(due);
            heard.late += usize::from(due.elapsed().as_secs_f64() > size as f64 / f64::from(score.rate));
        }
        for (block, whole) in input.iter_mut().zip(&score.input) {
            for (k, sample) in block.iter_mut().enumerate() {
                *sample = whole.get(first + k).copied().unwrap_or(0.0);
            }
        }
        events.clear();
        while let Some(cue) = cues.next_if(|c| c.frame < (first + size) as u64) {
            let offset = u32::try_from(cue.frame.saturating_sub(first as u64)).map_err(Error::host)?;
            events.push(ParamValueEvent::new(offset, cue.param, Pckn::match_all(), cue.value));
        }
        sent_back.clear();
        let ins = in_ports.with_input_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_input_only(input.iter_mut().map(InputChannel::variable)),
        }]);
        let mut outs = out_ports.with_output_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_output_only(output.iter_mut().map(Vec::as_mut_slice)),
        }]);
        let called = Instant::now();
        processor
            .process(
                &ins,
                &mut outs,
                &InputEvents::from_buffer(&events),
                &mut OutputEvents::from_buffer(&mut sent_back),
                Some(first as u64),
                None,
            )
            .map_err(Error::host)?;
        heard.blocks.push(Block { called, took: called.elapsed() });
        for (plane, block) in heard.planes.iter_mut().zip(&output) {
            plane.extend_from_slice(block);
        }
        progress.clock.store((first + size) as u64, Relaxed);
        if progress.stop.load(Relaxed) {
            break;
        }
    }
    Ok(heard)
}

/// Sleeps until shortly before, as the scheduler is not exact, and then looks at the clock.
fn wait_until(due: Instant) {
    let margin = Duration::from_micros(100);
    while let Some(left) = due.checked_duration_since(Instant::now()) {
        if left > margin { std::thread::sleep(left - margin) } else { std::hint::spin_loop() }
    }
}
