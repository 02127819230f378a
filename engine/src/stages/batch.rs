//! Several continuations of one prompt that go side by side: what an autoregressive stage waits for is its weights, and those
//! are read once for a few of them. Half of them go on each of two threads, through all stages and the decoder. Which lane is
//! asked first makes no difference to any.

use super::autoregressive::Autoregressive;
use super::cached::takes_lanes;
use super::{Runner, Running, Stage, Streams, is_semantic, reach};
use crate::both::both;
use crate::error::Result;
use crate::models::Models;
use crate::pack::manifest::{Stage as Spec, StageKind, StreamId};
use crate::sampler::Sampling;
use crate::voice::Voice;
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
    /// What goes through all of them at once, and the frames each has.
    stages: Vec<Autoregressive>,
    specs: Vec<Spec>,
    frames: Vec<usize>,
    /// What comes after that, of each lane.
    apart: Vec<Apart>,
}

/// The stages of one lane that do not go side by side with others', and its sound.
#[derive(Debug)]
struct Apart {
    stages: Vec<Running>,
    voice: Arc<Mutex<Voice>>,
}

impl Group {
    /// Makes the acoustic frames up to `until` of every lane, and what they sound like, unless enough of it waits: of the lane
    /// `played` at once, while the first is `leading` of the others many frames together.
    fn advance(&mut self, until: usize, sampling: &Sampling, leading: bool, played: usize) -> Result<()> {
        let on_semantic = |spec: &Spec| spec.condition.as_ref().is_some_and(|c| c.stream == StreamId::Semantic);
        let looking = self.stages.iter().zip(&self.specs).filter(|(_, spec)| on_semantic(spec));
        let apart = self.apart.first().map_or(0, |apart| reach(&apart.stages, until));
        let reach = looking.map(|(stage, _)| stage.reach(until)).max().unwrap_or(0).max(apart);
        for ((stage, spec), frames) in self.stages.iter_mut().zip(&self.specs).zip(&mut self.frames) {
            let end = if is_semantic(spec) { reach } else { until };
            if end > *frames {
                stage.advance_lanes(&mut self.lanes, end, sampling)?;
                *frames = end;
            }
        }
        for (lane, (streams, apart)) in self.lanes.iter_mut().zip(&mut self.apart).enumerate() {
            let mut voice = apart.voice.lock();
            if voice.wants(until, leading && lane != played) {
                apart.stages.iter_mut().try_for_each(|running| running.advance(streams, until, sampling))?;
                voice.play(&streams.acoustic, until)?;
            }
        }
        Ok(())
    }
}

/// All that go side by side, as one of them sees them.
#[derive(Debug, Clone)]
pub(crate) struct Choir {
    groups: Arc<[Mutex<Group>]>,
    /// Its own group, and its lane there.
    own: (usize, usize),
}

impl Choir {
    /// Makes the acoustic frames up to `until` of every lane, and the sound of its own at least.
    ///
    /// # Errors
    /// As the graphs say.
    pub(crate) fn advance(&self, until: usize, sampling: &Sampling) -> Result<()> {
        // In the other group one lane too is played at once, so that neither thread waits for the other.
        let (leading, played) = (self.own == (0, 0), self.own.1);
        let advance = |group: usize| self.groups[group].lock().advance(until, sampling, leading, played);
        if self.groups.len() == 1 {
            return advance(0);
        }
        let (one, other) = both(|| advance(0), || advance(1));
        one.and(other)
    }
}

/// One stage of one lane: what [`Choir::advance`] has made.
#[derive(Debug)]
struct Lane {
    choir: Choir,
    /// Its place in the pack.
    place: usize,
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
        let group = self.choir.groups[self.choir.own.0].lock();
        match self.place.checked_sub(group.stages.len()) {
            None => group.stages[self.place].reach(end),
            Some(apart) => group.apart[self.choir.own.1].stages[apart].stage.reach(end),
        }
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, _sampling: &Sampling) -> Result<()> {
        let (group, lane) = self.choir.own;
        let group = self.choir.groups[group].lock();
        let made = group.lanes[lane].of(self.spec.writes);
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

/// One lane: its stages, the prompt taken in, its sound, and what makes both.
pub(crate) type Beside = (Vec<Running>, Arc<Mutex<Voice>>, Choir);

/// A lane for each seed (see [`room`]), all of them with what `voice` has heard.
///
/// # Errors
/// As the graphs say.
pub(crate) fn start(
    models: &Models,
    streams: &Streams,
    seeds: &[u64],
    voice: impl FnOnce() -> Result<Voice> + Send,
) -> Result<Vec<Beside>> {
    let manifest = models.manifest();
    let count = leading(models);
    let prompt = |place: usize| -> Result<Autoregressive> {
        let spec = manifest.stages[place].clone();
        let own = streams.of(spec.writes).frames();
        let mut prompt = Autoregressive::new(manifest, spec, place, models.stages[place].clone())?;
        prompt.prefill(streams, own, true)?;
        Ok(prompt)
    };
    let (voice, prompts) = both(voice, || (0..count).map(prompt).collect::<Result<Vec<_>>>());
    let (voice, prompts) = (voice?, prompts?);
    let specs = &manifest.stages[..count];
    let frames: Vec<usize> = specs.iter().map(|spec| streams.of(spec.writes).frames()).collect();
    let mut groups = Vec::new();
    // Halves of equal size, so that neither thread waits for the other.
    let size = seeds.len().div_ceil(2).max(1);
    let mut voices = Vec::with_capacity(seeds.len());
    for (number, seeds) in seeds.chunks(size).enumerate() {
        let mut stages = Vec::with_capacity(count);
        for (place, prompt) in prompts.iter().enumerate() {
            let first = || models.stages[place].clone();
            // The pack's folder may be gone by now: then the two groups take turns.
            let runner = if number == 0 { first() } else { models.second(place).unwrap_or_else(|_| first()) };
            stages.push(prompt.in_lanes(runner, seeds)?);
        }
        let mut apart = Vec::with_capacity(seeds.len());
        for seed in seeds {
            let rest = super::start_all(models, streams, count.., *seed)?;
            // All of them have heard the same.
            let voice = Arc::new(Mutex::new(voice.another(manifest)?));
            voices.push(Arc::clone(&voice));
            apart.push(Apart { stages: rest, voice });
        }
        let lanes = vec![streams.clone(); seeds.len()];
        groups.push(Mutex::new(Group { lanes, stages, specs: specs.to_vec(), frames: frames.clone(), apart }));
    }
    let groups: Arc<[Mutex<Group>]> = groups.into();
    let lane = |(number, voice)| {
        let choir = Choir { groups: Arc::clone(&groups), own: (number / size, number % size) };
        let stage = |place: usize| {
            let spec = manifest.stages[place].clone();
            let next = streams.of(spec.writes).frames();
            let stage = Box::new(Lane { choir: choir.clone(), place, next, spec: spec.clone() });
            Running { spec, stage, prompt_frames: next, frames: next, busy: Duration::ZERO }
        };
        ((0..manifest.stages.len()).map(stage).collect(), voice, choir.clone())
    };
    Ok(voices.into_iter().enumerate().map(lane).collect())
}
