//! A whole performance with the plugin, as `demo`, `bench` and the checks give it: silence while it gets ready, a
//! pianist who plays and stops, the trigger, what follows.

use crate::error::Result;
use crate::host::Host;
use crate::host::score::{Cue, Heard, Score};
use crate::{listen, project};
use std::time::Instant;

/// Hz.
pub const RATE: u32 = 48_000;
/// Seconds over which the pianist lets go after the trigger.
const LETS_GO: f64 = 0.25;

/// What is to be performed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The prompt's recording at [`RATE`], at least as long as the prompt and a little more.
    pub playing: [Vec<f32>; 2],
    /// Seconds of it before the trigger.
    pub prompt: f64,
    /// Silence before it: the plugin loads its models meanwhile.
    pub lead: f64,
    /// Seconds of continuation.
    pub length: f64,
    /// Frames in a block.
    pub block: usize,
    /// Seed; 0 for a new one.
    pub seed: u64,
    /// Paced as by a sound card.
    pub real_time: bool,
}

/// What became of it.
#[derive(Debug)]
pub struct Performance {
    /// What went in, as long as the whole.
    pub input: [Vec<f32>; 2],
    /// What came out, and when.
    pub heard: Heard,
    /// What the plugin added.
    pub wet: [Vec<f32>; 2],
    /// Frame of the trigger.
    pub trigger: usize,
    /// First frame of the continuation that sounds.
    pub onset: Option<usize>,
    /// Milliseconds from calling the block with the trigger until the block with the first sound had returned.
    pub ttfa_ms: Option<f64>,
    /// Holes in the continuation.
    pub underruns: usize,
    /// Seconds of continuation made per second, seen from the growth of the take in the saved state.
    pub speed: Option<f64>,
}

impl Plan {
    /// The frame of the trigger: never at a block's beginning, as automation in a host is not either.
    fn trigger(&self) -> usize {
        let about = ((self.lead + self.prompt) * f64::from(RATE)) as usize;
        about / self.block * self.block + self.block * 2 / 5
    }

    fn input(&self, trigger: usize) -> [Vec<f32>; 2] {
        let begin = trigger.saturating_sub((self.prompt * f64::from(RATE)) as usize);
        let fade = (LETS_GO * f64::from(RATE)) as usize;
        self.playing.clone().map(|plane| {
            let mut input = vec![0.0; begin];
            input.extend(plane.iter().take(trigger - begin + fade));
            input.resize(trigger + fade, 0.0);
            for (i, sample) in input[trigger..].iter_mut().enumerate() {
                *sample *= (i as f32 / fade as f32 * std::f32::consts::FRAC_PI_2).cos();
            }
            input
        })
    }

    /// Performs it.
    pub fn perform(&self, host: &mut Host, mut meanwhile: impl FnMut(&mut Host, u64)) -> Result<Performance> {
        let trigger = self.trigger();
        let input = self.input(trigger);
        let (capture, seed) = (host.param("Capture & Continue")?.id, host.param("Seed")?.id);
        let length = host.param("Continuation length")?.id;
        let seed_value = host.value_of("Seed", &self.seed.to_string())?;
        let length_value = host.value_of("Continuation length", &format!("{} s", self.length))?;
        let at = |frame: usize, param, value| Cue { frame: frame as u64, param, value };
        let score = Score {
            rate: RATE,
            block: self.block,
            real_time: self.real_time,
            input: input.clone(),
            cues: vec![
                at(0, seed, seed_value),
                at(0, length, length_value),
                at(trigger, capture, 1.0),
                at(trigger + RATE as usize / 10, capture, 0.0),
            ],
            frames: trigger as u64 + ((self.length + 1.5) * f64::from(RATE)) as u64,
        };
        let mut growth = Growth::default();
        let heard = host.perform(&score, |host, clock| {
            if clock > trigger as u64 {
                growth.look(host);
            }
            meanwhile(host, clock);
        })?;
        let wet = listen::wet(&heard.planes, &input);
        let onset = listen::onset(&wet, trigger);
        let end = trigger + (self.length * f64::from(RATE)) as usize;
        // The last fade ends in silence; a hole is one before that.
        let underruns = onset.map_or(0, |onset| listen::holes(&wet, onset, end.saturating_sub(RATE as usize / 20)));
        let ttfa_ms = onset.map(|onset| {
            let (first, last) = (heard.blocks[trigger / self.block], heard.blocks[onset / self.block]);
            ((last.called + last.took) - first.called).as_secs_f64() * 1e3
        });
        Ok(Performance { input, wet, trigger, onset, ttfa_ms, underruns, speed: growth.speed(), heard })
    }
}

/// Watches the newest take grow in the saved state.
#[derive(Debug, Default)]
struct Growth {
    seen: Vec<(Instant, f64)>,
    looked: Option<Instant>,
}

impl Growth {
    fn look(&mut self, host: &mut Host) {
        let often = std::time::Duration::from_millis(50);
        if self.looked.is_some_and(|at| at.elapsed() < often) {
            return;
        }
        let now = Instant::now();
        self.looked = Some(now);
        let takes = host.save().and_then(|state| project::takes(&state)).unwrap_or_default();
        let Some(seconds) = takes.first().map(segue_engine::take::Take::seconds) else { return };
        if seconds > 0.0 && self.seen.last().is_none_or(|(_, before)| seconds > *before) {
            self.seen.push((now, seconds));
        }
    }

    /// Between the first and the last growth: the first chunk is warm-up.
    fn speed(&self) -> Option<f64> {
        let ((from, few), (to, many)) = (self.seen.first()?, self.seen.last()?);
        let seconds = (*to - *from).as_secs_f64();
        (seconds > 0.0).then(|| (many - few) / seconds)
    }
}
