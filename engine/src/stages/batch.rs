//! Several continuations of one prompt whose autoregressive stages go side by side: what such a stage waits for is its
//! weights, and those are read once for a few of them. Which lane is asked first makes no difference to any.

use super::autoregressive::Autoregressive;
use super::cached::takes_lanes;
use super::{Runner, Running, Stage, Streams};
use crate::both::both;
use crate::error::Result;
use crate::models::Models;
use crate::pack::manifest::StageKind;
use crate::sampler::Sampling;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Most lanes that go through one run. Each has caches of its own, and those of more are so much larger than the weights
/// that nothing is gained by it on a CPU.
const LANES: usize = 4;

/// Lanes that go through the same runs.
#[derive(Debug)]
struct Group {
    lanes: Vec<Streams>,
    stages: Vec<Autoregressive>,
}

impl Group {
    fn advance(&mut self, stage: usize, end: usize, sampling: &Sampling) -> Result<()> {
        self.stages[stage].advance_lanes(&mut self.lanes, end, sampling)
    }
}

/// All lanes: two groups at most, each on a thread of its own.
#[derive(Debug)]
struct Batch {
    groups: Vec<Group>,
    /// Frames each stage has.
    frames: Vec<usize>,
}

impl Batch {
    fn advance(&mut self, stage: usize, end: usize, sampling: &Sampling) -> Result<()> {
        if end <= self.frames[stage] {
            return Ok(());
        }
        match self.groups.as_mut_slice() {
            [one, other] => {
                let (one, other) = both(|| one.advance(stage, end, sampling), || other.advance(stage, end, sampling));
                one.and(other)?;
            }
            groups => groups.iter_mut().try_for_each(|group| group.advance(stage, end, sampling))?,
        }
        self.frames[stage] = end;
        Ok(())
    }
}

/// One stage of one lane.
#[derive(Debug)]
struct Lane {
    batch: Arc<Mutex<Batch>>,
    stage: usize,
    group: usize,
    lane: usize,
    next: usize,
    spec: crate::pack::manifest::Stage,
}

impl Stage for Lane {
    fn prefill(&mut self, _streams: &Streams, _end: usize, _closed: bool) -> Result<()> {
        // The lanes were cut from a stage that had taken the prompt in.
        Ok(())
    }

    fn reseed(&mut self, _seed: u64) {
        // Each lane got its own when it was cut.
    }

    fn reach(&self, end: usize) -> usize {
        self.batch.lock().groups[self.group].stages[self.stage].reach(end)
    }

    fn at_hand(&self) -> usize {
        self.batch.lock().frames[self.stage]
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        let mut batch = self.batch.lock();
        batch.advance(self.stage, end, sampling)?;
        let made = batch.groups[self.group].lanes[self.lane].of(self.spec.writes);
        let books = self.spec.first_codebook..self.spec.first_codebook + self.spec.codebooks;
        for frame in self.next..end {
            let ids: Vec<i64> = made.frame(frame)[books.clone()].iter().map(|id| i64::from(*id)).collect();
            streams.write(&self.spec, frame, &ids);
        }
        self.next = self.next.max(end);
        Ok(())
    }
}

/// How many continuations of one prompt can go together: 1 if the pack's graphs take one at a time.
pub(crate) fn room(models: &Models) -> usize {
    if leading(models) > 0 { 2 * LANES } else { 1 }
}

/// Stages from the first on that can go side by side; one that cannot ends the row, for it may be waited for.
fn leading(models: &Models) -> usize {
    let stages = models.manifest().stages.iter().zip(&models.stages);
    let side_by_side = |runner: &Runner| runner.session().is_none_or(|graph| takes_lanes(graph));
    stages.take_while(|(spec, runner)| spec.kind == StageKind::Autoregressive && side_by_side(runner)).count()
}

/// For each seed the stages that go side by side, each with its place in the pack, the prompt taken in; see [`room`].
pub(crate) fn start(models: &Models, streams: &Streams, seeds: &[u64]) -> Result<Vec<Vec<(usize, Running)>>> {
    let manifest = models.manifest();
    let count = leading(models);
    let mut prompts = Vec::with_capacity(count);
    for (place, runner) in models.stages.iter().enumerate().take(count) {
        let spec = manifest.stages[place].clone();
        let own = streams.of(spec.writes).frames();
        let mut prompt = Autoregressive::new(manifest, spec, place, runner.clone())?;
        prompt.prefill(streams, own, true)?;
        prompts.push(prompt);
    }
    let mut groups = Vec::new();
    // Halves of equal size, so that neither thread waits for the other.
    let size = seeds.len().div_ceil(2).max(1);
    for (number, seeds) in seeds.chunks(size).enumerate() {
        let mut stages = Vec::with_capacity(count);
        for (place, prompt) in prompts.iter().enumerate() {
            let first = || models.stages[place].clone();
            // The pack's folder may be gone by now: then the two groups take turns.
            let runner = if number == 0 { first() } else { models.second(place).unwrap_or_else(|_| first()) };
            stages.push(prompt.in_lanes(runner, seeds)?);
        }
        groups.push(Group { lanes: vec![streams.clone(); seeds.len()], stages });
    }
    let frames: Vec<usize> = (0..count).map(|place| streams.of(manifest.stages[place].writes).frames()).collect();
    let batch = Arc::new(Mutex::new(Batch { groups, frames: frames.clone() }));
    let lane = |number: usize| {
        let stage = |place: usize| {
            let (spec, next) = (manifest.stages[place].clone(), frames[place]);
            let stage = Box::new(Lane {
                batch: Arc::clone(&batch),
                stage: place,
                group: number / size,
                lane: number % size,
                next,
                spec: spec.clone(),
            });
            (place, Running { spec, stage, prompt_frames: next, frames: next, busy: Duration::ZERO })
        };
        (0..count).map(stage).collect()
    };
    Ok((0..seeds.len()).map(lane).collect())
}
