//! The hot prompt: while the input sounds, what a trigger would continue is taken in already, within a share of a core. At
//! the trigger only the last moments are left.
//!
//! A prompt that goes on grows longer than asked for. So once it is long enough the next one is begun, [`HEAD_START`] later in
//! time, and takes over when that is long enough: between the two a prompt is as long as asked for or up to a second more.
//! All work is cut into pieces that a trigger can wait for.

use super::listen::is_silent;
use super::run::{Job, Worker};
use super::source::{Ahead, Music};
use crate::continuation::Sampling;
use crate::controls::CaptureMode;
use crate::error::Result;
use crate::prompt::Phase;
use crate::resample::StreamResampler;
use crate::signals::rms;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Seconds by which the next one begins after where it should begin now: by the time it has caught up it should.
const HEAD_START: f64 = 1.0;
/// Seconds by which the next one may be too long before it is given up: this machine is too slow for the budget.
const EXCESS: f64 = 3.0;
/// Seconds that are taken in at once, at most, and at least: a piece costs little more for being longer.
const PIECE: f64 = 1.0;
const LEAST: f64 = 0.25;
/// What a trigger may wait for while the next one hurries.
const MOST: f64 = 0.5;
/// Seconds between two looks at the input.
const LOOK: f64 = 0.05;
/// A trigger that comes longer than this after what was taken in last finds nothing of use.
const STALE: f64 = 1.0;
/// A prompt is brought to its level by how loud it was when it was begun. Where that is further off than this (3 dB) another
/// one is begun; a trigger that finds it further off than that (6 dB) takes the prompt in anew. Packs are trained on
/// pieces at a level, of which any few seconds may be as much softer or louder.
const LOUDER: f32 = 1.41;
const TOO_LOUD: f32 = 2.0;
/// Work on two threads for a while: counted as so much on one.
const THREADS: f64 = 1.5;

/// A prompt on its way in. Frames of the sample clock at the host's rate.
struct Hot {
    prompt: Box<dyn Ahead>,
    resampler: StreamResampler,
    start: u64,
    /// Where what is taken in ends.
    end: u64,
    /// Frames that were asked for.
    frames: u64,
    /// Root of the mean square when it was begun.
    loudness: f32,
}

impl Hot {
    /// Whether what it has become is so many times louder or softer than it was.
    fn is_off(&self, loudness: f32, by: f32) -> bool {
        let ratio = loudness / self.loudness.max(f32::MIN_POSITIVE);
        !(1.0 / by..=by).contains(&ratio)
    }
}

/// The one that a trigger would continue, and the one that will take over.
#[derive(Default)]
pub(super) struct HotPrompt {
    ready: Option<Hot>,
    next: Option<Hot>,
    /// No work before this: the budget.
    rest_until: Option<Instant>,
}

/// What a trigger found.
pub(super) struct Caught {
    prompt: Box<dyn Ahead>,
    /// What was not taken in yet, at the pack's rate.
    rest: Vec<Vec<f32>>,
    /// The whole prompt, at the host's rate.
    pub(super) heard: [Vec<f32>; 2],
}

impl Caught {
    /// Takes in the rest.
    pub(super) fn close(self, seed: u64, sampling: &Sampling) -> Result<Box<dyn Music>> {
        self.prompt.close(&self.rest, seed, sampling)
    }
}

impl HotPrompt {
    /// Forgets everything: the pack, the rate or the input is another one.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What a trigger asks for that continues the `frames` frames before `end`, if it has been taken in.
    fn catch(&mut self, end: u64, frames: u64, rate: u32) -> Option<Hot> {
        self.next = None;
        let stale = (STALE * f64::from(rate)) as u64;
        self.ready.take().filter(|hot| hot.frames == frames && hot.end <= end && end - hot.end <= stale)
    }
}

impl Worker {
    /// Whether a trigger would continue the last few seconds up to itself, whatever its seed. A chosen seed is a wish for the
    /// same again, and where the hot prompt begins is chance; bars and beats are cut exactly.
    fn may_run_ahead(&self) -> bool {
        let controls = &self.shared.config.controls;
        let Some(live) = &self.live else { return false };
        self.pack.is_some()
            && !live.offline
            && controls.ahead.get() > 0.0
            && controls.seed.load(Relaxed) == 0
            && controls.capture_mode() == CaptureMode::JustPlayed
            && !controls.snap_to_beat.load(Relaxed)
            && controls.prompt_bars.load(Relaxed) == 0
    }

    /// A piece of work on the hot prompt, if there is any and the budget allows it. Only when nothing else is to be done.
    pub(super) fn run_ahead(&mut self) {
        if !self.may_run_ahead() || !matches!(self.job, Job::Idle) {
            self.hot.clear();
            return;
        }
        let now = Instant::now();
        if self.hot.rest_until.is_some_and(|until| now < until) {
            return;
        }
        match self.piece_ahead() {
            Ok(true) => {
                self.worked = Some(now);
                let share = f64::from(self.shared.config.controls.ahead.get().clamp(0.01, 1.0));
                let worked = now.elapsed().as_secs_f64() * THREADS;
                self.hot.rest_until =
                    Some(Instant::now() + Duration::from_secs_f64((worked / share - worked).max(0.0)));
            }
            // Looking costs something too.
            Ok(false) => self.hot.rest_until = Some(now + Duration::from_secs_f64(LOOK)),
            // A trigger will find the same and tell it.
            Err(_) => {
                self.hot.clear();
                self.hot.rest_until = Some(now + Duration::from_secs(1));
            }
        }
    }

    fn piece_ahead(&mut self) -> Result<bool> {
        let Some(live) = &self.live else { return Ok(false) };
        let (history, rate) = (live.capture.history(), f64::from(live.sample_rate));
        let (end, frames) = (history.end(), self.prompt_frames(history.end()));
        let recent = |frames: f64| history.slice(end, (frames as usize).min(history.available(end)));
        let idle = self.hot.ready.is_none() && self.hot.next.is_none();
        if idle && recent(LEAST * rate).is_none_or(|last| is_silent(&last)) {
            // The whole is looked at only when there is something in it.
            return Ok(false);
        }
        let heard = recent(frames as f64);
        let Some(heard) = heard.filter(|heard| heard[0].len() >= live.sample_rate as usize && !is_silent(heard)) else {
            // A trigger would be refused.
            self.hot.clear();
            return Ok(false);
        };
        self.hot.ready =
            self.hot.ready.take().filter(|hot| hot.frames == frames && (end - hot.end) as f64 <= STALE * rate);
        let behind = |hot: &Hot| (end - hot.end) as f64 / rate;
        // What a trigger would wait for comes first.
        let patience = if self.hot.next.is_some() { MOST } else { LEAST };
        if let Some(ready) = self.hot.ready.as_ref().filter(|hot| behind(hot) >= patience) {
            let to = end.min(ready.end + (PIECE * rate) as u64);
            self.advance_ahead(true, to, Phase::Ready)?;
            return Ok(true);
        }
        if let Some(next) = &self.hot.next {
            if next.frames != frames || (end - next.start) as f64 > frames as f64 + EXCESS * rate {
                // It would never catch up.
                self.hot.next = None;
                return Ok(false);
            }
            let to = end.min(next.end + (PIECE * rate) as u64);
            // Nobody waits for the frames of a prompt that is not long enough yet.
            let takes_over = to == end && (self.hot.ready.is_none() || to - next.start >= frames);
            if !takes_over && behind(next) < LEAST {
                return Ok(false);
            }
            self.advance_ahead(false, to, if takes_over { Phase::Ready } else { Phase::Behind })?;
            if takes_over {
                self.hot.ready = self.hot.next.take();
            }
            return Ok(true);
        }
        match &self.hot.ready {
            Some(ready) if ready.end - ready.start < frames && !ready.is_off(loudness(&heard), LOUDER) => Ok(false),
            ready => {
                let head_start = if ready.is_some() { (HEAD_START * rate) as u64 } else { 0 };
                self.begin_ahead(&heard, end, frames, head_start)?;
                Ok(true)
            }
        }
    }

    /// `heard` is what would be continued now: its level is taken from this; samples come with the pieces.
    fn begin_ahead(&mut self, heard: &[Vec<f32>; 2], end: u64, frames: u64, head_start: u64) -> Result<()> {
        let (Some(live), Some(pack)) = (&self.live, &self.pack) else { return Ok(()) };
        let prompt = self.source.open(heard)?;
        let start = end - (heard[0].len() as u64).saturating_sub(head_start);
        let resampler = StreamResampler::new(2, live.sample_rate, pack.sample_rate)?;
        self.hot.next = Some(Hot { prompt, resampler, start, end: start, frames, loudness: loudness(heard) });
        Ok(())
    }

    fn advance_ahead(&mut self, ready: bool, to: u64, phase: Phase) -> Result<()> {
        let hot = if ready { &mut self.hot.ready } else { &mut self.hot.next };
        let (Some(hot), Some(live)) = (hot, &self.live) else { return Ok(()) };
        let Some(audio) = live.capture.history().slice(to, (to - hot.end) as usize) else { return Ok(()) };
        let audio = hot.resampler.push(&audio)?;
        hot.prompt.take_in(&audio, phase)?;
        hot.end = to;
        Ok(())
    }

    /// For a trigger that continues the `frames` frames before `end`: what has been taken in of them, if it is of use.
    pub(super) fn catch_ahead(&mut self, end: u64, frames: u64) -> Option<Caught> {
        let may = self.may_run_ahead();
        let live = self.live.as_ref()?;
        let hot = self.hot.catch(end, frames, live.sample_rate).filter(|_| may)?;
        let heard = live.capture.history().slice(end, (end - hot.start) as usize)?;
        if hot.is_off(loudness(&heard), TOO_LOUD) {
            return None;
        }
        let Hot { prompt, mut resampler, start, end: taken, .. } = hot;
        let new = heard.each_ref().map(|channel| channel[(taken - start) as usize..].to_vec());
        let mut rest = resampler.push(&new).ok()?;
        for (rest, more) in rest.iter_mut().zip(resampler.finish().ok()?) {
            rest.extend(more);
        }
        Some(Caught { prompt, rest, heard })
    }
}

/// Of both channels together.
fn loudness(planes: &[Vec<f32>; 2]) -> f32 {
    rms(&planes[0]).hypot(rms(&planes[1]))
}
