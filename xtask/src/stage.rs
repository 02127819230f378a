//! A whole performance with the plugin, as `demo`, `bench` and the checks give it: silence while it gets ready, a
//! pianist who plays and stops, the trigger, what follows.

use crate::error::Result;
use crate::host::Host;
use crate::host::score::{Cue, Heard, Pace, Score};
use crate::{listen, project};
use segue_engine::take::Take;
use std::time::{Duration, Instant};

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
    /// Takes made by the trigger; the first is heard.
    pub variations: usize,
    /// Seed; 0 for a new one.
    pub seed: u64,
    /// Paced as by a sound card.
    pub real_time: bool,
    /// Leave so many seconds after the trigger instead of hearing it to its end.
    pub leave: Option<f64>,
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
    /// Seconds of continuation per second, from the trigger until the whole take is in the saved state: it takes in the
    /// time to the first sound.
    pub speed: Option<f64>,
    /// When the last of its takes was.
    pub finished: Option<Instant>,
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
        let (length, variations) = (host.param("Continuation length")?.id, host.param("Variations")?.id);
        let seed_value = host.value_of("Seed", &self.seed.to_string())?;
        let length_value = host.value_of("Continuation length", &format!("{} s", self.length))?;
        let variations_value = host.value_of("Variations", &self.variations.to_string())?;
        let at = |frame: usize, param, value| Cue::param(frame as u64, param, value);
        let score = Score {
            rate: RATE,
            blocks: vec![self.block],
            pace: if self.real_time { Pace::RealTime } else { Pace::Fast },
            input: input.clone(),
            song: None,
            cues: vec![
                at(0, seed, seed_value),
                at(0, length, length_value),
                at(0, variations, variations_value),
                at(trigger, capture, 1.0),
                at(trigger + RATE as usize / 10, capture, 0.0),
            ],
            frames: trigger as u64 + (self.leave.unwrap_or(self.length + 1.5) * f64::from(RATE)) as u64,
        };
        let mut arrival = Arrival::new(host, self.length, self.variations);
        let heard = host.perform(&score, |host, clock| {
            if clock > trigger as u64 {
                arrival.look(host);
            }
            meanwhile(host, clock);
        })?;
        let pressed = heard.blocks[trigger / self.block].called;
        let speed = arrival.seen.map(|(at, seconds)| seconds / (at - pressed).as_secs_f64());
        let wet = listen::wet(&heard.planes, &input);
        let onset = listen::onset(&wet, trigger);
        let end = trigger + (self.length * f64::from(RATE)) as usize;
        // The last fade ends in silence; a hole is one before that.
        let underruns = onset.map_or(0, |onset| listen::holes(&wet, onset, end.saturating_sub(RATE as usize / 20)));
        let ttfa_ms = onset.map(|onset| {
            let (first, last) = (heard.blocks[trigger / self.block], heard.blocks[onset / self.block]);
            ((last.called + last.took) - first.called).as_secs_f64() * 1e3
        });
        let finished = arrival.seen.map(|(at, _)| at);
        Ok(Performance { input, wet, trigger, onset, ttfa_ms, underruns, speed, finished, heard })
    }
}

/// Watches for new takes in the saved state, where they grow while they are made, until all are as long as was asked for.
#[derive(Debug)]
struct Arrival {
    /// Whole takes there will be.
    whole: usize,
    /// Seconds asked for.
    length: f64,
    /// Between two looks: saving is the main thread's work, but it is work, and many takes are more of it.
    pause: Duration,
    looked: Instant,
    /// When, and how long the first of them is.
    seen: Option<(Instant, f64)>,
}

impl Arrival {
    fn new(host: &mut Host, length: f64, variations: usize) -> Self {
        let pause = Duration::from_millis(if variations > 1 { 250 } else { 20 });
        let mut arrival = Self { whole: 0, length, pause, looked: Instant::now(), seen: None };
        arrival.whole = arrival.takes(host).len() + variations;
        arrival
    }

    /// The seconds of those that are whole.
    fn takes(&self, host: &mut Host) -> Vec<f64> {
        let takes = host.save().and_then(|state| project::takes(&state)).unwrap_or_default();
        takes.iter().map(Take::seconds).filter(|seconds| *seconds > self.length - 0.1).collect()
    }

    fn look(&mut self, host: &mut Host) {
        if self.seen.is_some() || self.looked.elapsed() < self.pause {
            return;
        }
        self.looked = Instant::now();
        let takes = self.takes(host);
        if takes.len() >= self.whole {
            self.seen = takes.first().map(|seconds| (self.looked, *seconds));
        }
    }
}
