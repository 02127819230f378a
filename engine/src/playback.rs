//! Worker → audio thread: the continuation's samples, and when each of them is due on the sample clock.
//!
//! # Threading model
//! [`PlaybackOutput`] belongs to the audio thread: all its methods are real-time safe. [`PlaybackInput`] belongs to the
//! worker. Between them: two decks, each a wait-free ring of samples; one wait-free queue of cues; and a few atomics.
//!
//! # Alignment
//! A [`Segment`] says that its sample `position` is due at a frame of the clock. From then on sample `position + k` is
//! due `k` frames later, always: what comes late is discarded, never shifted. Beats and bar lines are found by the audio
//! thread in the very block they fall into, so that they are right whatever the host's tempo does meanwhile.
//!
//! # Two decks
//! What begins while something sounds goes to the other deck; at the frame on which it comes in the older one begins to
//! fade, and the powers of the two gains add up to one (A/B, moving the playhead, a new trigger).

mod deck;
mod voice;

use crate::controls::AtomicF32;
use crate::ring::{AtomicU32, AtomicU64, EventsIn, EventsOut, SamplesIn, events, ring};
use crate::seam::Smoothed;
use crate::status::Meters;
use crate::take::TakeId;
use crate::transport::{Grid, Transport};
use deck::Deck;
#[cfg(not(feature = "loom"))]
use ringbuf::traits::{Observer, Producer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Seconds of continuation a deck's ring holds.
pub const RING_SECONDS: usize = 4;
const EVENTS: usize = 64;

/// When a segment's first sample is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// At this frame; if that is past, its beginning is discarded.
    At(u64),
    /// As soon as the audio thread sees it, nothing discarded.
    Now,
    /// Such that it is where what plays now is: A/B at the playhead. If nothing plays, now.
    Beside,
    /// At the frame on which the host's transport starts, if that is not before `since`.
    OnTransport {
        /// The clock from which on a start counts.
        since: u64,
    },
    /// `offset` quarter notes after the next line of the grid, as soon as the audio thread sees it; now, if the transport
    /// stands or does not say where it is.
    OnLine {
        /// Beats or bars.
        grid: Grid,
        /// Quarter notes.
        offset: f64,
    },
}

/// What is to be played, and how it comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cue {
    /// What is played.
    pub take: TakeId,
    /// When.
    pub start: Start,
    /// Which frame of the take the first sample is.
    pub position: u64,
    /// Length of the take in frames, after which it ends or, if looping, starts over. `u64::MAX`: no end.
    pub period: u64,
    /// It becomes audible on the first line of this grid at or after its start (what is due before is discarded); at once
    /// if the transport stands.
    pub gate: Option<Grid>,
    /// It belongs to the running song: when the host's transport stops it fades, or if it waits, is not played.
    pub with_song: bool,
    /// It is the prompt before a take ([`Meters::prompt_position`] tells where).
    pub prompt: bool,
}

impl Cue {
    /// Without gate, on its own.
    #[must_use]
    pub fn new(take: TakeId, start: Start, position: u64, period: u64) -> Self {
        Self { take, start, position, period: period.max(1), gate: None, with_song: false, prompt: false }
    }
}

/// A stretch of audio in a deck's ring.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    cue: Cue,
    /// Counts segments from 1, over both decks.
    serial: u64,
    /// Where its samples begin, in frames ever written to the deck's ring.
    ring_index: u64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// On this deck.
    Begin(usize, Segment),
    /// Right after the segment under way on this deck.
    Follow(usize, Segment),
    Stop,
}

/// What the two sides tell each other outside the queues.
#[derive(Debug, Default)]
struct Shared {
    /// Serial of the last segment that is over, per deck. Audio thread.
    finished: [AtomicU64; 2],
    /// Serial of the segment that was heard last. Audio thread.
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
    let deck = || ring(sample_rate.max(1) as usize * RING_SECONDS * 2);
    let ((in_a, out_a), (in_b, out_b)) = (deck(), deck());
    let (events_in, events_out) = events(EVENTS);
    let shared = Arc::new(Shared { due_from: AtomicU64::new(u64::MAX), ..Shared::default() });
    let output = PlaybackOutput {
        decks: [Deck::new(out_a, sample_rate), Deck::new(out_b, sample_rate)],
        lead: 0,
        events: events_out,
        shared: Arc::clone(&shared),
        meters,
        sample_rate,
        dry: Smoothed::new(sample_rate),
        wet: Smoothed::new(sample_rate),
        duck: Smoothed::new(sample_rate),
        transport: None,
        transport_start: None,
    };
    output.meters.position.store(u64::MAX, Relaxed);
    output.meters.prompt_position.store(u64::MAX, Relaxed);
    output.meters.underruns.store(0, Relaxed);
    output.meters.clock.store(0, Relaxed);
    let feed = |samples| Feed { samples, written: 0, serial: 0 };
    let input = PlaybackInput {
        decks: [feed(in_a), feed(in_b)],
        current: 0,
        events: events_in,
        shared,
        serial: 0,
        begun: VecDeque::new(),
    };
    (input, output)
}

/// The worker's end of one deck.
struct Feed {
    samples: SamplesIn,
    written: u64,
    serial: u64,
}

/// The worker's end.
pub struct PlaybackInput {
    decks: [Feed; 2],
    /// The deck begun last.
    current: usize,
    events: EventsIn<Event>,
    shared: Arc<Shared>,
    serial: u64,
    /// Serial, deck and take of the latest segments.
    begun: VecDeque<(u64, usize, TakeId)>,
}

impl std::fmt::Debug for PlaybackInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlaybackInput").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl PlaybackInput {
    /// Begins a segment with its first interleaved stereo frames; returns how many of them were taken. The rest
    /// follows by [`Self::push`]. What sounds now fades when this one comes in. `None`, and nothing happens, while both
    /// decks are taken.
    pub fn begin(&mut self, cue: Cue, first: &[f32]) -> Option<usize> {
        let other = 1 - self.current;
        let deck = [self.current, other].into_iter().find(|deck| self.is_free(*deck))?;
        if self.events.is_full() {
            return None;
        }
        let segment = Segment { cue, serial: self.serial + 1, ring_index: self.decks[deck].written };
        // The samples first: whoever sees the segment finds them.
        self.current = deck;
        let pushed = self.push(first);
        self.events.push(Event::Begin(deck, segment)).ok()?;
        self.note(segment);
        Some(pushed)
    }

    /// A take that follows the segment begun last without a gap: what is pushed from now on is the new take from its
    /// beginning. All of the old one must have been pushed. `false` if it could not be said now: try again.
    pub fn follow(&mut self, take: TakeId, period: u64) -> bool {
        let cue = Cue::new(take, Start::Now, 0, period);
        let segment = Segment { cue, serial: self.serial + 1, ring_index: self.decks[self.current].written };
        // The segment first: whoever sees its samples knows whose they are.
        let said = self.events.push(Event::Follow(self.current, segment)).is_ok();
        if said {
            self.note(segment);
        }
        said
    }

    fn note(&mut self, segment: Segment) {
        self.serial = segment.serial;
        self.decks[self.current].serial = segment.serial;
        self.begun.push_back((segment.serial, self.current, segment.cue.take));
        if self.begun.len() > 16 {
            self.begun.pop_front();
        }
    }

    /// Gives interleaved stereo frames to the segment begun last; returns how many were taken.
    pub fn push(&mut self, interleaved: &[f32]) -> usize {
        let frames = (interleaved.len() / 2).min(self.room());
        let deck = &mut self.decks[self.current];
        let pushed = deck.samples.push_slice(&interleaved[..frames * 2]) / 2;
        deck.written += pushed as u64;
        pushed
    }

    /// Frames that fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.decks[self.current].samples.vacant_len() / 2
    }

    /// Fades everything under way out and ends it. `false` if it could not be said now: try again.
    pub fn stop(&mut self) -> bool {
        self.is_idle() || self.events.push(Event::Stop).is_ok()
    }

    fn is_free(&self, deck: usize) -> bool {
        self.shared.finished[deck].load(Acquire) >= self.decks[deck].serial
    }

    /// Whether nothing is, or is about to be, played.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_free(0) && self.is_free(1)
    }

    /// Whether the segment begun last is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_free(self.current)
    }

    /// Whether the segment begun last has been heard.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.serial > 0 && self.shared.heard.load(Relaxed) >= self.serial
    }

    /// What is being heard.
    #[must_use]
    pub fn sounding(&self) -> Option<TakeId> {
        let heard = self.shared.heard.load(Relaxed);
        let (serial, deck, take) = self.begun.iter().rev().find(|b| b.0 == heard)?;
        (self.shared.finished[*deck].load(Acquire) < *serial).then_some(*take)
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
    decks: [Deck; 2],
    /// The deck that was heard last.
    lead: usize,
    events: EventsOut<Event>,
    shared: Arc<Shared>,
    meters: Arc<Meters>,
    sample_rate: u32,
    dry: Smoothed,
    wet: Smoothed,
    duck: Smoothed,
    /// The host's transport, and the frame at which it was told.
    transport: Option<(u64, Transport)>,
    transport_start: Option<u64>,
}

impl std::fmt::Debug for PlaybackOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlaybackOutput").field("decks", &self.decks).finish_non_exhaustive()
    }
}

impl PlaybackOutput {
    /// The host has stopped and starts over: silence at once, and nothing of before.
    pub fn reset(&mut self) {
        while let Ok(event) = self.events.pop() {
            if let Event::Begin(deck, segment) | Event::Follow(deck, segment) = event {
                self.shared.finished[deck].store(segment.serial, Release);
            }
        }
        for gain in [&mut self.dry, &mut self.wet, &mut self.duck] {
            gain.reset();
        }
        for (deck, finished) in self.decks.iter_mut().zip(&self.shared.finished) {
            if let Some(serial) = deck.reset() {
                finished.fetch_max(serial, Release);
            }
        }
        self.meters.position.store(u64::MAX, Relaxed);
        self.meters.prompt_position.store(u64::MAX, Relaxed);
    }

    /// Stops with a fade, from the next block on.
    pub fn stop(&mut self) {
        for deck in &mut self.decks {
            deck.stop();
        }
    }

    /// The host's transport at the frame `clock`, the first one of the block that is mixed next. Say it before every
    /// block of a host that has one.
    pub fn transport(&mut self, clock: u64, transport: Transport) {
        let was_playing = self.transport.is_some_and(|(_, before)| before.playing);
        self.transport = Some((clock, transport));
        if transport.playing && !was_playing {
            self.transport_start = Some(clock);
            for voice in self.decks.iter_mut().filter_map(|deck| deck.voice.as_mut()) {
                voice.transport_started(clock);
            }
        }
        if was_playing && !transport.playing {
            for deck in self.decks.iter_mut().filter(|deck| deck.voice.is_some_and(|v| v.segment.cue.with_song)) {
                deck.stop();
            }
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
        self.resolve(clock, end);
        // Nothing can begin while both decks are taken: they end by being played.
        let taken = self.decks.iter().all(|deck| deck.voice.is_some());
        answered && (due_from >= end || taken) && self.decks.iter().all(|deck| deck.is_ready(end, looping))
    }

    /// Adds what is due to one block whose first frame is `clock`, and applies the gains. `channels` hold the input:
    /// mono gets both sides mixed, channels beyond two only the input's gain.
    pub fn mix(&mut self, channels: &mut [&mut [f32]], clock: u64, mix: &Mix) {
        let frames = channels.first().map_or(0, |c| c.len());
        self.receive(clock);
        self.resolve(clock, clock + frames as u64);
        let input_peak = channels.iter().flat_map(|c| c.iter()).fold(0.0_f32, |peak, s| peak.max(s.abs()));
        self.dry.begin(mix.dry);
        self.wet.begin(mix.wet);
        let duck = if mix.duck { 1.0 } else { 0.0 };
        self.duck.begin(duck);
        let Self { decks: [a, b], lead, .. } = self;
        // Samples that arrive while we mix belong to the next block.
        let mut decks = [a.open(), b.open()];
        let (mut wet_peak, mut ran_dry, mut heard) = (0.0_f32, false, 0);
        for n in 0..frames {
            let mut wet = [0.0_f32; 2];
            for deck in [1 - *lead, *lead] {
                let played = decks[deck].next(clock + n as u64, mix.looping);
                wet = [wet[0] + played.frame[0], wet[1] + played.frame[1]];
                ran_dry |= played.dry;
                if let Some(serial) = played.entered {
                    heard = serial;
                    // What comes in replaces what sounds.
                    if played.fresh {
                        decks[1 - deck].stop();
                        *lead = deck;
                    }
                }
            }
            let [first, second] = [&decks[0], &decks[1]].map(|deck| deck.envelope());
            let presence = match (first.wet(), second.wet()) {
                (0.0, _) => second.dry(),
                (_, 0.0) => first.dry(),
                (a, b) => (1.0 - a * a - b * b).max(0.0).sqrt(),
            };
            let (dry, gain) = (self.dry.next(mix.dry), self.wet.next(mix.wet));
            let dry = dry * (1.0 - self.duck.next(duck) * (1.0 - presence));
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
        let closed = decks.map(deck::Open::close);
        for ((deck, finished), (taken, over)) in self.decks.iter_mut().zip(&self.shared.finished).zip(closed) {
            deck.discard(taken);
            if let Some(serial) = over {
                finished.store(serial, Release);
            }
        }
        if heard > 0 {
            self.shared.heard.store(heard, Relaxed);
        }
        self.shared.block.store(frames as u32, Relaxed);
        self.report(clock + frames as u64, input_peak, wet_peak, ran_dry);
    }

    fn report(&self, clock: u64, input_peak: f32, wet_peak: f32, ran_dry: bool) {
        set(&self.meters.input_peak, input_peak);
        set(&self.meters.wet_peak, wet_peak);
        let sounding = |deck: &Deck| {
            deck.voice.filter(|v| v.entered).and_then(|v| Some((v.position(clock)?, v.segment.cue.prompt)))
        };
        // Where the lead has ended, the other one may still be fading in.
        let now = sounding(&self.decks[self.lead]).or_else(|| sounding(&self.decks[1 - self.lead]));
        let of = |prompt: bool| now.filter(|(_, p)| *p == prompt).map_or(u64::MAX, |(position, _)| position);
        self.meters.position.store(of(false), Relaxed);
        self.meters.prompt_position.store(of(true), Relaxed);
        if ran_dry {
            self.meters.underruns.fetch_add(1, Relaxed);
        }
        self.meters.clock.store(clock, Relaxed);
    }

    fn receive(&mut self, clock: u64) {
        while let Ok(event) = self.events.pop() {
            match event {
                Event::Stop => self.stop(),
                Event::Begin(deck, segment) => {
                    let start = match segment.cue.start {
                        Start::At(frame) => Some(frame as i64),
                        Start::Now => Some(clock as i64),
                        Start::Beside => Some(self.beside(clock, &segment)),
                        Start::OnTransport { since } => {
                            self.transport_start.filter(|started| *started >= since).map(|started| started as i64)
                        }
                        Start::OnLine { .. } => None,
                    };
                    self.decks[deck].begin(segment, start);
                }
                Event::Follow(deck, segment) => {
                    if !self.decks[deck].follow(segment) {
                        // Too late to follow: it plays all the same.
                        self.decks[deck].begin(segment, Some(clock as i64));
                    }
                }
            }
        }
    }

    /// The frame at which the segment's first sample is due if it is to be where the lead is.
    fn beside(&self, clock: u64, segment: &Segment) -> i64 {
        let lead = self.decks[self.lead].voice.and_then(|voice| voice.position(clock));
        let ahead = lead.map_or(0, |position| segment.cue.position as i64 - position as i64);
        // The lead has started over since: no use waiting for it to come round.
        let ahead = if ahead > i64::from(self.sample_rate) { 0 } else { ahead };
        clock as i64 + ahead
    }

    /// Finds the lines of the grid that fall into the block.
    fn resolve(&mut self, clock: u64, end: u64) {
        let transport = self.transport.filter(|(at, _)| *at == clock).map(|(_, transport)| transport);
        for voice in self.decks.iter_mut().filter_map(|deck| deck.voice.as_mut()) {
            voice.resolve(transport.as_ref(), clock, end, self.sample_rate);
        }
    }
}

fn set(meter: &AtomicF32, value: f32) {
    meter.set(if value.is_finite() { value } else { 0.0 });
}

#[cfg(test)]
#[path = "playback_tests.rs"]
mod tests;
