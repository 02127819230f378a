//! One deck: a ring of samples, the segment that plays from it, and how far in it is. Audio thread, real-time safe.

use super::Segment;
use super::voice::{Next, Ring, Voice};
use crate::ring::SamplesOut;
use crate::seam::Envelope;
#[cfg(not(feature = "loom"))]
use ringbuf::traits::{Consumer, Observer};

pub(super) struct Deck {
    samples: SamplesOut,
    /// Frames ever read.
    read: u64,
    pub(super) voice: Option<Voice>,
    pub(super) envelope: Envelope,
}

impl std::fmt::Debug for Deck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deck").field("read", &self.read).field("voice", &self.voice).finish_non_exhaustive()
    }
}

impl Deck {
    pub(super) fn new(samples: SamplesOut, sample_rate: u32) -> Self {
        Self { samples, read: 0, voice: None, envelope: Envelope::new(sample_rate) }
    }

    /// Forgets everything; the serial of what was under way.
    pub(super) fn reset(&mut self) -> Option<u64> {
        self.envelope.silence();
        self.read += self.samples.skip(usize::MAX) as u64 / 2;
        self.voice.take().map(|voice| voice.last_serial())
    }

    pub(super) fn begin(&mut self, segment: Segment, start: Option<i64>) {
        self.envelope.silence();
        // What was pushed for a segment that had ended by then.
        let stale = (segment.ring_index.saturating_sub(self.read) as usize).min(self.samples.occupied_len() / 2);
        self.discard(stale);
        self.voice = Some(Voice::new(segment, start));
    }

    /// `false` if there is nothing to follow.
    pub(super) fn follow(&mut self, segment: Segment) -> bool {
        let Some(voice) = self.voice.as_mut() else { return false };
        voice.next = Some(segment);
        true
    }

    /// Fades out.
    pub(super) fn stop(&mut self) {
        stop(&mut self.voice, self.envelope);
    }

    /// Whether everything due before the frame `end` is here.
    pub(super) fn is_ready(&self, end: u64, looping: bool) -> bool {
        let Some(voice) = &self.voice else { return true };
        let Some(position) = voice.position_at(end) else { return true };
        // The envelope must see past the block, or it would begin to fade out.
        let wanted = position + self.envelope.fade_frames();
        let endless = looping || voice.next.is_some();
        let wanted = if endless { wanted } else { wanted.min(voice.pass_end) };
        let held = voice.segment.cue.position
            + (self.read + self.samples.occupied_len() as u64 / 2).saturating_sub(voice.segment.ring_index);
        held >= wanted || voice.stop_in.is_some()
    }

    /// For one block.
    pub(super) fn open(&mut self) -> Open<'_> {
        let (head, tail) = self.samples.as_slices();
        Open {
            ring: Ring { head, tail, taken: 0, read: self.read },
            voice: &mut self.voice,
            envelope: &mut self.envelope,
            over: None,
        }
    }

    /// Gives back the room of `frames` frames.
    pub(super) fn discard(&mut self, frames: usize) {
        self.samples.skip(frames * 2);
        self.read += frames as u64;
    }
}

fn stop(voice: &mut Option<Voice>, envelope: Envelope) {
    let Some(voice) = voice else { return };
    let fade = envelope.frames_to_silence();
    voice.stop_in = Some(voice.stop_in.unwrap_or(fade).min(fade));
}

/// A deck while a block is mixed, with the ring as it was when the block began.
pub(super) struct Open<'a> {
    ring: Ring<'a>,
    voice: &'a mut Option<Voice>,
    envelope: &'a mut Envelope,
    over: Option<u64>,
}

/// One frame of a deck.
#[derive(Default)]
pub(super) struct Played {
    pub(super) frame: [f32; 2],
    /// Due, but not here, or faded because what follows has not arrived.
    pub(super) dry: bool,
    /// The segment, if this is its first frame that is heard.
    pub(super) entered: Option<u64>,
    /// It did not follow another one on the same deck.
    pub(super) fresh: bool,
}

impl Open<'_> {
    pub(super) fn envelope(&self) -> Envelope {
        *self.envelope
    }

    pub(super) fn stop(&mut self) {
        stop(self.voice, *self.envelope);
    }

    pub(super) fn next(&mut self, now: u64, looping: bool) -> Played {
        let Some(voice) = self.voice else { return Played::default() };
        let (was, had_entered) = (voice.segment.serial, voice.entered);
        match voice.next(now, looping, &mut self.ring, self.envelope) {
            Next::Sound { frame, thin } => {
                voice.entered = true;
                let entered = (!had_entered || voice.segment.serial != was).then_some(voice.segment.serial);
                Played { frame, dry: thin, entered, fresh: !had_entered }
            }
            Next::Wait => {
                self.envelope.silence();
                Played::default()
            }
            Next::Dry => {
                self.envelope.silence();
                Played { dry: true, ..Played::default() }
            }
            Next::Over => {
                self.envelope.silence();
                self.over = Some(voice.last_serial());
                *self.voice = None;
                Played::default()
            }
        }
    }

    /// How many frames of the ring can go, and the serial of what has ended.
    pub(super) fn close(self) -> (usize, Option<u64>) {
        // What an ended segment left behind is not wanted; what a new one brought has come after the block began, or its
        // cue would have been seen.
        (if self.over.is_some() && self.voice.is_none() { self.ring.all() } else { self.ring.taken }, self.over)
    }
}
