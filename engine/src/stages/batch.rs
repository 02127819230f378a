//! Several continuations of one prompt whose autoregressive stages go side by side: what such a stage waits for is its
//! weights, and those are read once for a few of them. Which lane is asked first makes no difference to any.

use super::autoregressive::Autoregressive;
use super::cached::takes_lanes;
use super::{Runner, Running, Stage, Streams, is_semantic};
use crate::error::Result;
use crate::models::Models;
use crate::pack::manifest::{Stage as Spec, StageKind, StreamId};
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
    specs: Vec<Spec>,
    /// Frames each stage has.
    frames: Vec<usize>,
}

impl Group {
    fn advance(&mut self, stage: usize, end: usize, sampling: &Sampling) -> Result<()> {
        if end > self.frames[stage] {
            self.stages[stage].advance_lanes(&mut self.lanes, end, sampling)?;
            self.frames[stage] = end;
        }
        Ok(())
    }

    /// All stages, so far that the acoustic frames up to `until` are there.
    fn advance_all(&mut self, until: usize, sampling: &Sampling) -> Result<()> {
        let on_semantic = |spec: &Spec| spec.condition.as_ref().is_some_and(|c| c.stream == StreamId::Semantic);
        let looking = self.stages.iter().zip(&self.specs).filter(|(_, spec)| on_semantic(spec));
        let reach = looking.map(|(stage, _)| stage.reach(until)).max().unwrap_or(0);
        for stage in 0..self.stages.len() {
            self.advance(stage, if is_semantic(&self.specs[stage]) { reach } else { until }, sampling)?;
        }
        Ok(())
    }
}

/// The lanes that go beside some, but not through the same runs.
#[derive(Debug, Clone)]
pub(crate) struct Others(Vec<Arc<Mutex<Group>>>);

impl Others {
    /// Makes of them what the acoustic frames up to `until` need; on a thread of its own, while the others do the same.
    pub(crate) fn advance(&self, until: usize, sampling: &Sampling) -> Result<()> {
        self.0.iter().try_for_each(|group| group.lock().advance_all(until, sampling))
    }
}

/// One stage of one lane.
#[derive(Debug)]
struct Lane {
    group: Arc<Mutex<Group>>,
    stage: usize,
    lane: usize,
    next: usize,
    spec: Spec,
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
        self.group.lock().stages[self.stage].reach(end)
    }

    fn at_hand(&self) -> usize {
        self.group.lock().frames[self.stage]
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        let mut group = self.group.lock();
        group.advance(self.stage, end, sampling)?;
        let made = group.lanes[self.lane].of(self.spec.writes);
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

/// One lane: the stages that go side by side, each with its place in the pack, the prompt taken in, and the lanes of other groups.
pub(crate) type Beside = (Vec<(usize, Running)>, Others);

/// A lane for each seed; see [`room`].
pub(crate) fn start(models: &Models, streams: &Streams, seeds: &[u64]) -> Result<Vec<Beside>> {
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
    let specs = &manifest.stages[..count];
    let frames: Vec<usize> = specs.iter().map(|spec| streams.of(spec.writes).frames()).collect();
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
        let lanes = vec![streams.clone(); seeds.len()];
        groups.push(Arc::new(Mutex::new(Group { lanes, stages, specs: specs.to_vec(), frames: frames.clone() })));
    }
    let lane = |number: usize| {
        let own = number / size;
        let stage = |place: usize| {
            let (spec, next) = (specs[place].clone(), frames[place]);
            let (group, lane) = (Arc::clone(&groups[own]), number % size);
            let stage = Box::new(Lane { group, stage: place, lane, next, spec: spec.clone() });
            (place, Running { spec, stage, prompt_frames: next, frames: next, busy: Duration::ZERO })
        };
        let others = groups.iter().enumerate().filter(|(group, _)| *group != own);
        ((0..count).map(stage).collect(), Others(others.map(|(_, group)| Arc::clone(group)).collect()))
    };
    Ok((0..seeds.len()).map(lane).collect())
}
