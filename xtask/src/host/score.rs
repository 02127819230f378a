//! What the host plays into the plugin, when it moves which parameter, and what it hears.

use super::handlers::Handlers;
use super::song::Song;
use crate::error::{Error, Result};
use clack_host::events::event_types::{NoteOnEvent, ParamValueEvent};
use clack_host::prelude::*;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Something happens at a frame, wherever in a block that is.
#[derive(Debug, Clone, Copy)]
pub struct Cue {
    /// Frames since activation.
    pub frame: u64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// A parameter takes a value, in the host's range.
    Param(ClapId, f64),
    /// A key goes down.
    Note(u8),
}

impl Cue {
    /// A parameter takes a value.
    #[must_use]
    pub fn param(frame: u64, param: ClapId, value: f64) -> Self {
        Self { frame, what: What::Param(param, value) }
    }
}

/// When blocks come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// When a sound card would ask for them.
    #[default]
    RealTime,
    /// As fast as they can, which is not said to the plugin.
    Fast,
    /// As fast as they can; the plugin knows, and may wait.
    Offline,
}

/// One performance.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// Hz.
    pub rate: u32,
    /// Frames in the blocks, one after the other, over and over.
    pub blocks: Vec<usize>,
    /// When they come.
    pub pace: Pace,
    /// What is played; silence after its end.
    pub input: [Vec<f32>; 2],
    /// In order of their frames.
    pub cues: Vec<Cue>,
    /// `None`: the host has no transport.
    pub song: Option<Song>,
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
    /// How long nothing took, right after: arithmetic that takes about as long in the median and touches no memory. What it takes
    /// beyond that is the machine's doing. Only measured in real time.
    pub nothing: Duration,
}

/// Does nothing for about as long as something else takes.
#[derive(Debug)]
struct Nothing {
    turns: f32,
}

impl Nothing {
    /// How long it takes this time; next time nearer to `like`.
    fn for_as_long_as(&mut self, like: Duration) -> Duration {
        let begin = Instant::now();
        let mut x = black_box(1.0_f32);
        for _ in 0..self.turns as u32 {
            x = x * 0.999 + 0.001;
        }
        black_box(x);
        let took = begin.elapsed();
        // As often too short as too long: their medians are the same.
        self.turns = (self.turns * if took < like { 1.01 } else { 0.99 }).clamp(100.0, 1e6);
        took
    }
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
    /// Whether the system gave the audio thread the priority that hosts ask for; only asked for in real time.
    pub urgent: bool,
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
    let longest = score.blocks.iter().copied().max().unwrap_or(0);
    let total = usize::try_from(score.frames).map_err(Error::host)?;
    let mut input = [vec![0.0f32; longest], vec![0.0f32; longest]];
    let mut output = input.clone();
    let (mut in_ports, mut out_ports) = (AudioPorts::with_capacity(2, 1), AudioPorts::with_capacity(2, 1));
    let mut heard = Heard {
        planes: [Vec::with_capacity(total + longest), Vec::with_capacity(total + longest)],
        blocks: Vec::with_capacity(1024),
        late: 0,
        urgent: score.pace == Pace::RealTime && hurry(),
    };
    let mut cues = score.cues.iter().peekable();
    let mut events = EventBuffer::with_capacity(16);
    let mut sent_back = EventBuffer::new();
    let mut first = 0;
    let mut nothing = Nothing { turns: 1_000.0 };
    let begin = Instant::now();
    for size in score.blocks.iter().copied().cycle() {
        if first >= total {
            break;
        }
        if score.pace == Pace::RealTime {
            let due = begin + Duration::from_secs_f64(first as f64 / f64::from(score.rate));
            wait_until(due);
            heard.late += usize::from(due.elapsed().as_secs_f64() > size as f64 / f64::from(score.rate));
        }
        for (block, whole) in input.iter_mut().zip(&score.input) {
            for (k, sample) in block[..size].iter_mut().enumerate() {
                *sample = whole.get(first + k).copied().unwrap_or(0.0);
            }
        }
        events.clear();
        let mut change = score.song.as_ref().and_then(|song| {
            let frame = song.change(first as u64, (first + size) as u64, score.rate)?;
            Some(song.event(frame, score.rate).with_time(u32::try_from(frame - first as u64).ok()?))
        });
        while let Some(cue) = cues.next_if(|c| c.frame < (first + size) as u64) {
            let offset = u32::try_from(cue.frame.saturating_sub(first as u64)).map_err(Error::host)?;
            if let Some(event) = change.take_if(|event| event.time() <= offset) {
                events.push(&event);
            }
            match cue.what {
                What::Param(param, value) => {
                    events.push(&ParamValueEvent::new(offset, param, Pckn::match_all(), value));
                }
                What::Note(key) => events.push(&NoteOnEvent::new(offset, Pckn::new(0_u8, 0_u8, key, 0_u8), 0.8)),
            }
        }
        if let Some(event) = change {
            events.push(&event);
        }
        sent_back.clear();
        let ins = in_ports.with_input_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_input_only(
                input.iter_mut().map(|plane| InputChannel::variable(&mut plane[..size])),
            ),
        }]);
        let mut outs = out_ports.with_output_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_output_only(output.iter_mut().map(|plane| &mut plane[..size])),
        }]);
        let transport = score.song.as_ref().map(|song| song.event(first as u64, score.rate));
        let called = Instant::now();
        processor
            .process(
                &ins,
                &mut outs,
                &events.as_input(),
                &mut OutputEvents::from_buffer(&mut sent_back),
                Some(first as u64),
                transport.as_ref(),
            )
            .map_err(Error::host)?;
        let took = called.elapsed();
        let nothing = if score.pace == Pace::RealTime { nothing.for_as_long_as(took) } else { Duration::ZERO };
        heard.blocks.push(Block { called, took, nothing });
        for (plane, block) in heard.planes.iter_mut().zip(&output) {
            plane.extend_from_slice(&block[..size]);
        }
        first += size;
        progress.clock.store(first as u64, Relaxed);
        if progress.stop.load(Relaxed) {
            break;
        }
    }
    Ok(heard)
}

/// Asks for what a host's audio thread has: that no ordinary thread, a worker say, runs before it. Whether it was given; without
/// the right to it (root, or `rtprio` in limits.conf) it stays ordinary.
#[cfg(target_os = "linux")]
fn hurry() -> bool {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let urgent = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let priority = ThreadPriority::from_posix(thread_priority::ScheduleParams { sched_priority: 70 });
    set_thread_priority_and_policy(thread_native_id(), priority, urgent).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn hurry() -> bool {
    false
}

/// Sleeps until shortly before, as the scheduler is not exact, and then looks at the clock.
fn wait_until(due: Instant) {
    let margin = Duration::from_micros(100);
    while let Some(left) = due.checked_duration_since(Instant::now()) {
        if left > margin { std::thread::sleep(left - margin) } else { std::hint::spin_loop() }
    }
}
