//! The transformers. A stage advances its codebooks of its stream up to a frame; what kind it is, what conditions it
//! and how long it remembers is the pack's business.

mod autoregressive;
pub(crate) mod batch;
mod cached;
mod flattened;
mod held;
mod parallel;
pub(crate) mod runner;

pub(crate) use runner::Runner;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::models::Models;
use crate::pack::manifest::{Manifest, Stage as Spec, StageKind, StreamId};
use crate::sampler::Sampling;
use crate::take::Tokens;
use std::ops::RangeBounds;
use std::time::{Duration, Instant};

/// Both token streams, as far as they have been made. Acoustic frames may be incomplete at the end: books that no
/// stage has written yet hold the codec's cardinality ("absent").
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    pub(crate) semantic: Tokens,
    pub(crate) acoustic: Tokens,
}

impl Streams {
    pub(crate) fn of(&self, stream: StreamId) -> &Tokens {
        match stream {
            StreamId::Semantic => &self.semantic,
            StreamId::Acoustic => &self.acoustic,
        }
    }

    /// Writes a stage's books of one frame, adding the frame if it is new.
    fn write(&mut self, spec: &Spec, frame: usize, ids: &[i64]) {
        let tokens = match spec.writes {
            StreamId::Semantic => &mut self.semantic,
            StreamId::Acoustic => &mut self.acoustic,
        };
        let q = tokens.codebooks;
        if tokens.frames() <= frame {
            tokens.ids.resize((frame + 1) * q, spec.cardinality as u16);
        }
        let start = frame * q + spec.first_codebook;
        for (slot, id) in tokens.ids[start..start + spec.codebooks].iter_mut().zip(ids) {
            *slot = *id as u16;
        }
    }
}

/// One running stage. Implementations hold their caches; the weights are shared.
pub(crate) trait Stage: std::fmt::Debug + Send {
    /// Takes in the prompt: frames `0..end` of its own books and all of what conditions it are in `streams`. The prompt may go
    /// on: then it is called again with a later end, and once more with `closed`. Until then a stage may leave what does not
    /// pay or is not sure yet.
    fn prefill(&mut self, streams: &Streams, end: usize, closed: bool) -> Result<()>;

    /// The noise of everything it will make; before it has made anything.
    fn reseed(&mut self, seed: u64);

    /// How many frames of the stream that conditions it there should be when it makes its frames up to `end`: with fewer it
    /// is told that they are not known. 0 if there is none, or if it is the stream it writes itself.
    fn reach(&self, end: usize) -> usize;

    /// Makes its frames up to (not including) `end`.
    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()>;
}

/// A stage with what the engine keeps about it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) spec: Spec,
    pub(crate) stage: Box<dyn Stage>,
    /// Frames that came from the prompt.
    pub(crate) prompt_frames: usize,
    /// Frames there are.
    pub(crate) frames: usize,
    /// Time spent in `advance`.
    pub(crate) busy: Duration,
}

impl Running {
    /// The stage at `place` of the pack, of which nothing is made yet.
    pub(crate) fn start(models: &Models, place: usize) -> Result<Self> {
        let manifest = models.manifest();
        let stage = start(manifest, place, models.stages[place].clone())?;
        let spec = manifest.stages[place].clone();
        Ok(Self { spec, stage, prompt_frames: 0, frames: 0, busy: Duration::ZERO })
    }

    /// [`Stage::advance`], if it has fewer frames.
    pub(crate) fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        if end > self.frames {
            let clock = Instant::now();
            self.stage.advance(streams, end, sampling)?;
            self.busy += clock.elapsed();
            self.frames = end;
        }
        Ok(())
    }

    /// [`Stage::prefill`] with all there is of its own stream.
    pub(crate) fn prefill(&mut self, streams: &Streams, closed: bool) -> Result<()> {
        let own = streams.of(self.spec.writes).frames();
        self.stage.prefill(streams, own, closed)?;
        (self.prompt_frames, self.frames) = (own, own);
        Ok(())
    }
}

/// Whether a stage needs nothing but the semantic stream.
pub(crate) fn is_semantic(spec: &Spec) -> bool {
    let condition = spec.condition.as_ref().map(|condition| condition.stream);
    spec.writes == StreamId::Semantic && condition != Some(StreamId::Acoustic)
}

/// Semantic frames that there should be when acoustic frames up to `until` are made.
pub(crate) fn reach(stages: &[Running], until: usize) -> usize {
    let on_semantic = |s: &&Running| s.spec.condition.as_ref().is_some_and(|c| c.stream == StreamId::Semantic);
    stages.iter().filter(on_semantic).map(|s| s.stage.reach(until)).max().unwrap_or(0)
}

/// The stages at these places that have taken in the tokens of a prompt.
pub(crate) fn start_all(
    models: &Models,
    streams: &Streams,
    places: impl RangeBounds<usize>,
    seed: u64,
) -> Result<Vec<Running>> {
    let wanted = (0..models.stages.len()).filter(|place| places.contains(place));
    wanted
        .map(|place| {
            let mut running = Running::start(models, place)?;
            running.prefill(streams, true)?;
            running.stage.reseed(seed);
            Ok(running)
        })
        .collect()
}

/// Makes the stage at `place` of the pack ready to run; see [`Stage::reseed`].
fn start(manifest: &Manifest, place: usize, runner: Runner) -> Result<Box<dyn Stage>> {
    let spec = manifest.stages[place].clone();
    Ok(match (spec.kind, runner) {
        (StageKind::Flattened, Runner::Session(graph)) => {
            Box::new(flattened::Flattened::new(manifest, spec, place, graph)?)
        }
        (StageKind::Parallel, runner) => Box::new(parallel::Parallel::new(spec, place, runner)?),
        // A flattened stage is never run without a session.
        (_, runner) => Box::new(autoregressive::Autoregressive::new(manifest, spec, place, runner)?),
    })
}

/// Checks that the graph is what the manifest promises.
pub(crate) fn check(manifest: &Manifest, spec: &Spec, graph: &Graph) -> Result<()> {
    match spec.kind {
        StageKind::Autoregressive => autoregressive::check(manifest, spec, graph),
        StageKind::Flattened => flattened::check(spec, graph),
        StageKind::Parallel => parallel::check(spec, graph),
    }
}

/// Refuses ids and probabilities that a sound graph cannot give.
fn sound(failed: impl Fn(String) -> Error, spec: &Spec, ids: &[i64], log_prob: &[f32]) -> Result<()> {
    if !log_prob.iter().all(|p| p.is_finite()) {
        return Err(failed("NaN or infinity in its probabilities".into()));
    }
    match ids.iter().find(|id| !(0..spec.cardinality as i64).contains(*id)) {
        Some(id) => Err(failed(format!("token {id} of {}", spec.cardinality))),
        None => Ok(()),
    }
}
