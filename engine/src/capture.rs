//! Audio thread → worker: every input sample, and every trigger stamped with the exact frame it fell on.
//!
//! # Threading model
//! [`CaptureInput`] belongs to the audio thread: all its methods are real-time safe. [`CaptureOutput`] belongs to the
//! worker. Between them: a wait-free ring of samples and a wait-free queue of events.
//!
//! # The clock
//! Frames since activation. If the worker is away for so long that the ring is full, samples are dropped, and counted
//! in a [`Event::Gap`] that is queued *before* any later sample: the worker puts silence there, so frame numbers never shift.

use crate::duet::Pause;
use crate::history::History;
use crate::ring::{EventsIn, EventsOut, SamplesIn, SamplesOut, events, ring};
use crate::transport::Transport;
#[cfg(not(feature = "loom"))]
use ringbuf::traits::{Consumer, Observer, Producer};
use std::collections::VecDeque;

/// Seconds of input the ring holds while the worker loads a pack or fills caches.
pub const RING_SECONDS: usize = 10;
const EVENTS: usize = 256;

/// Something that happened at a frame of the sample clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// Continue what was played up to this frame (or record from here).
    Trigger {
        /// The frame.
        clock: u64,
        /// The transport at that frame.
        transport: Transport,
    },
    /// The host's transport did something that could not be foreseen: it started, stopped, moved, changed its tempo or
    /// signature.
    Transport {
        /// The first frame for which this holds.
        clock: u64,
        /// The transport at that frame.
        transport: Transport,
    },
    /// Play the selected take.
    Play {
        /// The frame.
        clock: u64,
    },
    /// Stop playing.
    Stop {
        /// The frame.
        clock: u64,
    },
    /// A duet's pianist has paused.
    Paused {
        /// The frame at which that was known.
        clock: u64,
        /// The frame on which the prompt ends, before `clock`.
        end: u64,
        /// The transport at `clock`.
        transport: Transport,
    },
    /// A duet's pianist plays.
    Onset {
        /// The frame.
        clock: u64,
    },
    /// Samples that were dropped because the ring was full.
    Gap {
        /// The first frame lost.
        clock: u64,
        /// How many.
        frames: u64,
    },
}

/// Makes both ends for a host rate in Hz.
#[must_use]
pub fn capture(sample_rate: u32) -> (CaptureInput, CaptureOutput) {
    with_capacity(sample_rate, sample_rate.max(1) as usize * RING_SECONDS)
}

/// [`capture`] with a ring of `frames` frames.
#[must_use]
pub fn with_capacity(sample_rate: u32, frames: usize) -> (CaptureInput, CaptureOutput) {
    let (samples_in, samples_out) = ring(frames.max(1) * 2);
    let (events_in, events_out) = events(EVENTS);
    (
        CaptureInput {
            samples: samples_in,
            events: events_in,
            sample_rate,
            transport: None,
            clock: 0,
            gap: 0,
            sent: 0,
        },
        CaptureOutput {
            samples: samples_out,
            events: events_out,
            waiting: VecDeque::new(),
            gaps: VecDeque::new(),
            history: History::new(sample_rate),
            lost: 0,
        },
    )
}

/// The audio thread's end. Real-time safe throughout.
pub struct CaptureInput {
    samples: SamplesIn,
    events: EventsIn<Event>,
    sample_rate: u32,
    /// What the worker knows of the transport, and since which frame.
    transport: Option<(u64, Transport)>,
    clock: u64,
    /// Frames dropped that the worker has not been told about yet. While there are any, no sample is pushed.
    gap: u64,
    sent: u64,
}

impl std::fmt::Debug for CaptureInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureInput").field("clock", &self.clock).field("gap", &self.gap).finish_non_exhaustive()
    }
}

impl CaptureInput {
    /// Frames captured since activation: the frame number of the next block's first sample.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Events sent so far that the worker has to answer, see [`crate::playback::PlaybackOutput::ready`].
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether `frames` more frames fit without loss. Offline rendering waits for it; real time never asks.
    #[must_use]
    pub fn has_room(&self, frames: usize) -> bool {
        // A block longer than the whole ring never fits; it is not to be waited for.
        self.samples.vacant_len() / 2 >= frames.min(self.samples.capacity().get() / 2)
    }

    /// A trigger `frame` frames into the block that is pushed next. `false` if the queue is full and it was lost.
    pub fn trigger(&mut self, frame: usize, transport: Transport) -> bool {
        let clock = self.clock + frame as u64;
        self.send(Event::Trigger { clock, transport })
    }

    /// The host's transport at the first frame of the block that is pushed next. Say it before every block; the worker
    /// is told when it is not what was to be expected.
    pub fn transport(&mut self, transport: Transport) {
        let clock = self.clock;
        let expected = self.transport.map(|(at, before)| before.after(clock - at, self.sample_rate));
        // The news waits for a later block.
        if expected.is_none_or(|expected| !expected.agrees(&transport))
            && self.send_news(Event::Transport { clock, transport })
        {
            self.transport = Some((clock, transport));
        }
    }

    /// Play the selected take, from the block that is pushed next.
    pub fn play(&mut self) -> bool {
        self.send(Event::Play { clock: self.clock })
    }

    /// Stop playing.
    pub fn stop(&mut self) -> bool {
        self.send(Event::Stop { clock: self.clock })
    }

    /// A duet's pianist has paused within the block that is pushed next.
    pub fn paused(&mut self, pause: Pause) -> bool {
        let Pause { end, found: clock } = pause;
        let transport = self.transport.map(|(at, news)| news.after(clock.saturating_sub(at), self.sample_rate));
        self.send_news(Event::Paused { clock, end, transport: transport.unwrap_or_default() })
    }

    /// A duet's pianist has played a note within the block that is pushed next.
    pub fn onset(&mut self, clock: u64) -> bool {
        self.send_news(Event::Onset { clock })
    }

    /// Captures one block of any length: mono is duplicated, channels beyond two are ignored, and what is not a
    /// finite number becomes silence. Advances the clock by the block's length.
    pub fn push_block(&mut self, channels: &[&[f32]]) {
        let Some(&left) = channels.first() else { return };
        let right = channels.get(1).copied().unwrap_or(left);
        let frames = left.len().min(right.len());
        let fits = if self.tell_gap() { (self.samples.vacant_len() / 2).min(frames) } else { 0 };
        let interleaved = left.iter().zip(right).take(fits).flat_map(|(l, r)| [finite(*l), finite(*r)]);
        let pushed = self.samples.push_iter(interleaved) / 2;
        self.clock += frames as u64;
        self.gap += (frames - pushed) as u64;
        self.tell_gap();
    }

    /// Tells the worker of lost frames. `true` once it knows of all of them.
    fn tell_gap(&mut self) -> bool {
        if self.gap == 0 {
            return true;
        }
        let told = self.events.push(Event::Gap { clock: self.clock - self.gap, frames: self.gap }).is_ok();
        if told {
            self.gap = 0;
        }
        told
    }

    /// The last quarter of the queue is for what somebody has asked for.
    fn send_news(&mut self, event: Event) -> bool {
        self.events.slots() > EVENTS / 4 && self.send(event)
    }

    fn send(&mut self, event: Event) -> bool {
        let sent = self.events.push(event).is_ok();
        self.sent += u64::from(sent);
        sent
    }
}

/// Zero for NaN and infinity. Real-time safe.
#[must_use]
pub fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample } else { 0.0 }
}

/// The worker's end.
pub struct CaptureOutput {
    samples: SamplesOut,
    events: EventsOut<Event>,
    waiting: VecDeque<Event>,
    gaps: VecDeque<(u64, u64)>,
    history: History,
    lost: u64,
}

impl std::fmt::Debug for CaptureOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureOutput")
            .field("clock", &self.history.end())
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl CaptureOutput {
    /// Takes everything captured so far into the history.
    pub fn drain(&mut self) {
        // The order matters: a gap is queued before the samples that follow it, so whoever has seen the samples sees
        // the gap.
        let mut frames = self.samples.occupied_len() / 2;
        while let Ok(event) = self.events.pop() {
            match event {
                Event::Gap { clock, frames } => self.gaps.push_back((clock, frames)),
                other => self.waiting.push_back(other),
            }
        }
        let mut chunk = [0.0_f32; 4096];
        loop {
            if let Some(&(clock, lost)) = self.gaps.front().filter(|gap| gap.0 <= self.history.end()) {
                debug_assert_eq!(clock, self.history.end(), "gaps are queued in order");
                self.gaps.pop_front();
                self.history.push_silence(lost);
                self.lost += lost;
                continue;
            }
            let until_gap = self.gaps.front().map_or(usize::MAX, |gap| (gap.0 - self.history.end()) as usize);
            let n = frames.min(chunk.len() / 2).min(until_gap);
            if n == 0 {
                break;
            }
            let popped = self.samples.pop_slice(&mut chunk[..n * 2]);
            self.history.push(&chunk[..popped]);
            frames -= n;
        }
    }

    /// The next event whose frame has been captured completely, in order. Call [`Self::drain`] first.
    pub fn next_event(&mut self) -> Option<Event> {
        let clock = match self.waiting.front()? {
            Event::Trigger { clock, .. }
            | Event::Transport { clock, .. }
            | Event::Play { clock }
            | Event::Paused { clock, .. }
            | Event::Onset { clock }
            | Event::Stop { clock } => *clock,
            Event::Gap { .. } => 0,
        };
        if clock > self.history.end() { None } else { self.waiting.pop_front() }
    }

    /// What has been captured.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Frames lost because the ring was full.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
