//! Worker → audio thread: the continuation's samples, and when each of them is due on the sample clock.
//!
//! # Threading model
//! [`PlaybackOutput`] belongs to the audio thread: all its methods are real-time safe. [`PlaybackInput`] belongs to the
//! worker. Between them: a wait-free ring of samples, a wait-free queue of segments, and a few atomics.
//!
//! # Alignment
//! A [`Segment`] says that its sample `position` is due at the frame `start`. From then on sample `position + k` is
//! due at `start + k`, always: what comes late is discarded, never shifted. At most one segment is under way; the worker
//! begins another one only when [`PlaybackInput::is_idle`].

mod voice;

use crate::controls::AtomicF32;
use crate::ring::ring;
use crate::seam::{Envelope, Smoothed};
use crate::status::Meters;
use crate::take::TakeId;
use ringbuf::traits::{Consumer, Observer, Producer};
use ringbuf::{HeapCons, HeapProd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use voice::{Feed, Next, Voice};

/// Seconds of continuation the ring holds.
pub const RING_SECONDS: usize = 4;
const EVENTS: usize = 64;

/// When a segment's first sample is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this frame; if that is past, its beginning is discarded.
    At(u64),
    /// As soon as the audio thread sees it, nothing discarded.
    Now,
    /// At the frame on which the host's transport starts, if that is not before `since`.
    OnTransport {
        /// The clock from which on a start counts.
        since: u64,
    },
}

/// A stretch of audio to be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Counts segments from 1.
    pub serial: u64,
    /// What is played.
    pub take: TakeId,
    /// When.
    pub start: Start,
    /// Where its samples begin, in frames ever written to the ring.
    pub ring_index: u64,
    /// Which frame of the take the first of them is.
    pub position: u64,
    /// Length of the take in frames, after which it ends or, if looping, starts over. `u64::MAX`: no end.
    pub period: u64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Begin(Segment),
    Stop,
}

/// What the two sides tell each other outside the queues.
#[derive(Debug, Default)]
struct Shared {
    /// Serial of the last segment that is over. Audio thread.
    finished: AtomicU64,
    /// Serial of the last segment that has been heard. Audio thread.
    heard: AtomicU64,
    /// Length of the last block. Audio thread.
    block: AtomicU32,
    /// How many capture events the worker has answered. Worker.
    answered: AtomicU64,
    /// The first frame that a continuation in the making covers; `u64::MAX` if there is none. Worker.
    due_from: AtomicU64,
}

/// Gains for one block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Input, linear.
    pub dry: f32,
    /// Continuation, linear.
    pub wet: f32,
    /// Whether the input makes way while the continuation sounds.
    pub duck: bool,
    /// Whether the take starts over at its end.
    pub looping: bool,
}

/// Makes both ends for a host rate in Hz.
#[must_use]
pub fn playback(sample_rate: u32, meters: Arc<Meters>) -> (PlaybackInput, PlaybackOutput) {
    let (samples_in, samples_out) = ring(sample_rate.max(1) as usize * RING_SECONDS * 2);
    let (events_in, events_out) = rtrb::RingBuffer::new(EVENTS);
    let shared = Arc::new(Shared { due_from: AtomicU64::new(u64::MAX), ..Shared::default() });
    let output = PlaybackOutput {
        samples: samples_out,
        events: events_out,
        shared: Arc::clone(&shared),
        meters,
        read: 0,
        voice: None,
        envelope: Envelope::new(sample_rate),
        dry: Smoothed::new(sample_rate),
        wet: Smoothed::new(sample_rate),
        duck: Smoothed::new(sample_rate),
        transport_start: None,
    };
    output.meters.position.store(u64::MAX, Relaxed);
    output.meters.underruns.store(0, Relaxed);
    output.meters.clock.store(0, Relaxed);
    (PlaybackInput { samples: samples_in, events: events_in, shared, written: 0, serial: 0 }, output)
}

/// The worker's end.
pub struct PlaybackInput {
    samples: HeapProd<f32>,
    events: rtrb::Producer<Event>,
    shared: Arc<Shared>,
    written: u64,
    serial: u64,
}

impl std::fmt::Debug for PlaybackInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlaybackInput")
            .field("written", &self.written)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

impl PlaybackInput {
    /// Begins a segment with its first interleaved stereo frames; returns how many of them were taken. The rest
    /// follows by [`Self::push`]. `None`, and nothing happens, while another segment is under way.
    pub fn begin(&mut self, take: TakeId, start: Start, position: u64, period: u64, first: &[f32]) -> Option<usize> {
        if !self.is_idle() || self.events.is_full() {
            return None;
        }
        let segment =
            Segment { serial: self.serial + 1, take, start, ring_index: self.written, position, period: period.max(1) };
        // The samples first: whoever sees the segment finds them.
        let pushed = self.push(first);
        self.events.push(Event::Begin(segment)).ok()?;
        self.serial += 1;
        Some(pushed)
    }

    /// Gives interleaved stereo frames; returns how many were taken.
    pub fn push(&mut self, interleaved: &[f32]) -> usize {
        let frames = (interleaved.len() / 2).min(self.room());
        let pushed = self.samples.push_slice(&interleaved[..frames * 2]) / 2;
        self.written += pushed as u64;
        pushed
    }

    /// Frames that fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.samples.vacant_len() / 2
    }

    /// Fades the segment under way out and ends it. `false` if it could not be said now: try again.
    pub fn stop(&mut self) -> bool {
        self.is_idle() || self.events.push(Event::Stop).is_ok()
    }

    /// Whether nothing is, or is about to be, played.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.finished.load(Acquire) >= self.serial
    }

    /// Whether the segment begun last has been heard.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.serial > 0 && self.shared.heard.load(Relaxed) >= self.serial
    }

    /// Length in frames of the audio thread's last block.
    #[must_use]
    pub fn block(&self) -> u64 {
        u64::from(self.shared.block.load(Relaxed))
    }

    /// One more capture event has been answered. Say [`Self::set_due_from`] first.
    pub fn answer(&mut self) {
        self.shared.answered.fetch_add(1, Release);
    }

    /// An offline render must not pass this frame until a segment has begun; `u64::MAX`: it may.
    pub fn set_due_from(&mut self, clock: u64) {
        self.shared.due_from.store(clock, Release);
    }

    /// Nothing will come any more: nobody need wait.
    fn abandon(&mut self) {
        self.set_due_from(u64::MAX);
        self.shared.answered.store(u64::MAX, Release);
    }
}

impl Drop for PlaybackInput {
    /// The worker is gone: nobody need wait for it.
    fn drop(&mut self) {
        self.abandon();
    }
}

/// The audio thread's end. Real-time safe throughout.
pub struct PlaybackOutput {
    samples: HeapCons<f32>,
    events: rtrb::Consumer<Event>,
    shared: Arc<Shared>,
    meters: Arc<Meters>,
    /// Frames ever read from the ring.
    read: u64,
    voice: Option<Voice>,
    envelope: Envelope,
    dry: Smoothed,
    wet: Smoothed,
    duck: Smoothed,
    transport_start: Option<u64>,
}

impl std::fmt::Debug for PlaybackOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlaybackOutput").field("read", &self.read).field("voice", &self.voice).finish_non_exhaustive()
    }
}

impl PlaybackOutput {
    /// Silences playback at once and forgets what was to come.
    pub fn reset(&mut self) {
        self.receive(0);
        self.envelope.silence();
        for gain in [&mut self.dry, &mut self.wet, &mut self.duck] {
            gain.reset();
        }
        if let Some(voice) = self.voice.take() {
            self.read += self.samples.skip(usize::MAX) as u64 / 2;
            self.shared.finished.store(voice.segment.serial, Release);
        }
        self.meters.position.store(u64::MAX, Relaxed);
    }

    /// Stops with a fade, from the next block on.
    pub fn stop(&mut self) {
        if let Some(voice) = &mut self.voice {
            let fade = self.envelope.frames_to_silence();
            voice.stop_in = Some(voice.stop_in.unwrap_or(fade).min(fade));
        }
    }

    /// The host's transport starts at this frame of the clock.
    pub fn transport_started(&mut self, clock: u64) {
        self.transport_start = Some(clock);
        if let Some(voice) = &mut self.voice
            && let Start::OnTransport { since } = voice.segment.start
            && voice.start.is_none()
            && clock >= since
        {
            voice.start = Some(clock);
        }
    }

    /// For offline rendering, where the host does not mind waiting: whether the block of `frames` frames at `clock`
    /// would get everything that is due in it. `sent` is [`crate::capture::CaptureInput::sent`].
    pub fn ready(&mut self, sent: u64, clock: u64, frames: usize, looping: bool) -> bool {
        // In this order: the worker begins the segment, then withdraws `due_from`, then answers.
        let answered = self.shared.answered.load(Acquire) >= sent;
        let due_from = self.shared.due_from.load(Acquire);
        self.receive(clock);
        let end = clock + frames as u64;
        let Some(voice) = self.voice else { return answered && due_from >= end };
        let Some(start) = voice.start.filter(|start| *start < end) else { return answered };
        let position = |at: u64| voice.segment.position + (at - start);
        // The envelope must see past the block, or it would begin to fade out.
        let wanted = position(end) + self.envelope.fade_frames();
        let wanted = if looping { wanted } else { wanted.min(voice.pass_end) };
        let held = voice.segment.position
            + (self.read + self.samples.occupied_len() as u64 / 2).saturating_sub(voice.segment.ring_index);
        answered && (held >= wanted || voice.stop_in.is_some())
    }

    /// Adds what is due to one block whose first frame is `clock`, and applies the gains. `channels` hold the input:
    /// mono gets both sides mixed, channels beyond two only the input's gain.
    pub fn mix(&mut self, channels: &mut [&mut [f32]], clock: u64, mix: &Mix) {
        self.receive(clock);
        let frames = channels.first().map_or(0, |c| c.len());
        let input_peak = channels.iter().flat_map(|c| c.iter()).fold(0.0_f32, |peak, s| peak.max(s.abs()));
        self.dry.begin(mix.dry);
        self.wet.begin(mix.wet);
        let duck = if mix.duck { 1.0 } else { 0.0 };
        self.duck.begin(duck);
        // Samples that arrive while we mix belong to the next block; whatever a stale segment left is behind `taken`.
        let (head, tail) = self.samples.as_slices();
        let mut feed = Feed { head, tail, taken: 0, read: self.read };
        let (mut wet_peak, mut ran_dry, mut heard, mut finished) = (0.0_f32, false, 0, 0);
        for n in 0..frames {
            let mut wet = [0.0_f32; 2];
            if let Some(voice) = &mut self.voice {
                match voice.next(clock + n as u64, mix.looping, &mut feed, &mut self.envelope) {
                    Next::Sound { frame, thin } => {
                        wet = frame;
                        heard = voice.segment.serial;
                        ran_dry |= thin;
                    }
                    Next::Wait => self.envelope.silence(),
                    Next::Dry => {
                        self.envelope.silence();
                        ran_dry = true;
                    }
                    Next::Over => {
                        self.envelope.silence();
                        finished = voice.segment.serial;
                        self.voice = None;
                    }
                }
            }
            let (dry, gain) = (self.dry.next(mix.dry), self.wet.next(mix.wet));
            let dry = dry * (1.0 - self.duck.next(duck) * (1.0 - self.envelope.dry()));
            let wet = wet.map(|s| s * gain);
            wet_peak = wet_peak.max(wet[0].abs()).max(wet[1].abs());
            match channels {
                [only] => only[n] = only[n] * dry + (wet[0] + wet[1]) * 0.5,
                [left, right, others @ ..] => {
                    left[n] = left[n] * dry + wet[0];
                    right[n] = right[n] * dry + wet[1];
                    for other in others {
                        other[n] *= dry;
                    }
                }
                [] => {}
            }
        }
        let taken = if finished > 0 { feed.all() } else { feed.taken };
        self.samples.skip(taken * 2);
        self.read += taken as u64;
        if heard > 0 {
            self.shared.heard.store(heard, Relaxed);
        }
        if finished > 0 {
            self.shared.finished.store(finished, Release);
        }
        self.shared.block.store(frames as u32, Relaxed);
        self.report(clock + frames as u64, input_peak, wet_peak, ran_dry);
    }

    fn report(&self, clock: u64, input_peak: f32, wet_peak: f32, ran_dry: bool) {
        set(&self.meters.input_peak, input_peak);
        set(&self.meters.wet_peak, wet_peak);
        let position = self.voice.and_then(|voice| voice.position(clock)).unwrap_or(u64::MAX);
        self.meters.position.store(position, Relaxed);
        if ran_dry {
            self.meters.underruns.fetch_add(1, Relaxed);
        }
        self.meters.clock.store(clock, Relaxed);
    }

    fn receive(&mut self, clock: u64) {
        while let Ok(event) = self.events.pop() {
            match event {
                Event::Stop => self.stop(),
                Event::Begin(segment) => {
                    let start = match segment.start {
                        Start::At(frame) => Some(frame),
                        Start::Now => Some(clock),
                        Start::OnTransport { since } => self.transport_start.filter(|started| *started >= since),
                    };
                    self.envelope.silence();
                    let pass_end = (segment.position / segment.period + 1).saturating_mul(segment.period);
                    self.voice = Some(Voice { segment, start, pass_end, stop_in: None, dry: false });
                }
            }
        }
    }
}

fn set(meter: &AtomicF32, value: f32) {
    meter.set(if value.is_finite() { value } else { 0.0 });
}

#[cfg(test)]
#[path = "playback_tests.rs"]
mod tests;
