//! What runs a stage: the runtime, or on a processor Segue itself.

use super::cached::Cached;
use crate::error::{Error, Result};
use crate::graph::{Graph, StateStream, output, tensor};
use crate::native::{Frames, Lanes, ParallelWeights, Weights};
use crate::pack::Pack;
use crate::pack::manifest::{Manifest, Stage as Spec, StageKind};
use crate::sampler::Draw;
use std::sync::Arc;

/// A stage's weights, shared by all that run it.
#[derive(Debug, Clone)]
pub(crate) enum Runner {
    /// A session of the runtime.
    Session(Arc<Graph>),
    /// An autoregressive stage read from the graph's file and run here.
    Native { weights: Arc<Weights>, label: Label },
    /// The same of one that makes all frames at once.
    NativeParallel { weights: Arc<ParallelWeights>, label: Label },
}

/// The names of a pack and of the graph's file.
type Label = (String, String);

impl Runner {
    /// One that needs no session, if the graph's file says that it is of a form that Segue knows; for a processor.
    ///
    /// # Errors
    /// [`Error::PackInvalid`] for a graph that says so and is not.
    pub(crate) fn native(pack: &Pack, spec: &Spec) -> Result<Option<Self>> {
        if spec.kind == StageKind::Flattened {
            return Ok(None);
        }
        let bytes = pack.read_graph(&spec.graph)?;
        let label = (pack.label(), spec.graph.clone());
        let invalid = |(found, expected)| {
            let (pack, file) = label.clone();
            Error::PackInvalid { pack, file, found, expected }
        };
        if spec.kind == StageKind::Parallel {
            let weights = ParallelWeights::read(&bytes, spec).map_err(invalid)?;
            return Ok(weights.map(|weights| Self::NativeParallel { weights: Arc::new(weights), label }));
        }
        let manifest: &Manifest = &pack.manifest;
        let window = manifest.condition_window(spec).unwrap_or(0);
        let unknown = spec.condition.as_ref().map_or(0, |condition| manifest.cardinality(condition.stream));
        let weights = Weights::read(&bytes, spec, window, unknown).map_err(invalid)?;
        Ok(weights.map(|weights| Self::Native { weights: Arc::new(weights), label }))
    }

    /// Its session, if that is what it is.
    pub(crate) fn session(&self) -> Option<&Arc<Graph>> {
        match self {
            Self::Session(graph) => Some(graph),
            Self::Native { .. } | Self::NativeParallel { .. } => None,
        }
    }

    pub(super) fn failed(&self, reason: String) -> Error {
        match self {
            Self::Session(graph) => graph.failed(reason),
            Self::Native { label, .. } | Self::NativeParallel { label, .. } => {
                let (pack, graph) = label.clone();
                Error::Inference { pack, graph, reason }
            }
        }
    }
}

/// The transformer of one continuation, or of several that go side by side (lanes), with its cache.
#[derive(Debug)]
pub(crate) enum Transformer {
    Session(Cached),
    Native(Lanes),
}

impl Transformer {
    /// With an empty cache.
    pub(crate) fn new(spec: &Spec, runner: &Runner, window: Option<usize>, lanes: usize) -> Result<Self> {
        Ok(match runner {
            Runner::Session(graph) => {
                Self::Session(Cached::new(spec, Arc::clone(graph), spec.codebooks, window, lanes)?)
            }
            Runner::Native { weights, .. } => Self::Native(Lanes::new(Arc::clone(weights), lanes)),
            Runner::NativeParallel { .. } => {
                return Err(runner.failed("a stage of frames side by side asked to make one after the other".into()));
            }
        })
    }

    /// Takes over another's cache, of one lane, into every lane. Both are run alike.
    pub(crate) fn remember(&mut self, one: &Self) {
        match (self, one) {
            (Self::Session(lanes), Self::Session(one)) => lanes.remember(one),
            (Self::Native(lanes), Self::Native(one)) => lanes.remember(one),
            _ => unreachable!("lanes are cut from a stage that is run like them"),
        }
    }

    /// Positions in the cache, the same in every lane.
    pub(crate) fn filled(&self) -> usize {
        match self {
            Self::Session(model) => model.filled(),
            Self::Native(model) => model.filled(),
        }
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Session(model) => model.clear(),
            Self::Native(model) => model.clear(),
        }
    }

    /// How the next positions are drawn; `fill` fills the noise, and the tilt of each lane's notes (empty of a stage without one).
    pub(crate) fn draw(&mut self, draw: Draw, fill: impl FnOnce(&mut [f32], &mut [f32])) {
        match self {
            Self::Session(model) => model.draw(draw, fill),
            Self::Native(model) => model.draw(draw, fill),
        }
    }

    /// Runs these positions (they extend the cache), lane after lane; what a single one of each samples is in
    /// [`Self::sampled`].
    pub(crate) fn run(&mut self, codes: &[i64], cond: &[i64]) -> Result<()> {
        match self {
            Self::Session(model) => model.run(codes, cond),
            Self::Native(model) => {
                model.run(codes, cond);
                Ok(())
            }
        }
    }

    /// The tokens sampled last, lane after lane, and their log-probabilities.
    pub(crate) fn sampled(&self) -> (&[i64], &[f32]) {
        match self {
            Self::Session(model) => model.sampled(),
            Self::Native(model) => model.sampled(),
        }
    }
}

/// A network that makes all frames of a chunk at once, with what it remembers.
#[derive(Debug)]
pub(crate) enum Network {
    Session(StateStream),
    Native(Box<Frames>),
}

impl Network {
    /// At the start of a stream.
    pub(crate) fn new(runner: &Runner) -> Result<Self> {
        match runner {
            Runner::Session(graph) => Ok(Self::Session(StateStream::new(Arc::clone(graph))?)),
            Runner::NativeParallel { weights, .. } => Ok(Self::Native(Box::new(Frames::new(Arc::clone(weights))))),
            Runner::Native { .. } => Err(runner.failed("a stage of one frame after the other asked for many".into())),
        }
    }

    /// Frames of past that it remembers at most.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Session(stream) => stream.memory(),
            Self::Native(frames) => frames.memory(),
        }
    }

    /// Given `codes` [frames, given] and `noise` [frames, codebooks, candidates], the tokens of the next frames and their
    /// log-probabilities, [frames, codebooks] both.
    pub(crate) fn run(
        &mut self,
        spec: &Spec,
        codes: Vec<i64>,
        noise: Vec<f32>,
        draw: Draw,
    ) -> Result<(Vec<i64>, Vec<f32>)> {
        let stream = match self {
            Self::Native(frames) => return Ok(frames.run(&codes, &noise, draw)),
            Self::Session(stream) => stream,
        };
        let graph = Arc::clone(stream.graph());
        let n = codes.len() / spec.first_codebook;
        let inputs = vec![
            ("codes", tensor(&graph, &[1, n, spec.first_codebook], codes)?),
            ("noise", tensor(&graph, &[1, n, spec.codebooks, spec.candidates], noise)?),
            ("inv_temperature", tensor(&graph, &[], vec![draw.inv_temperature])?),
            ("top_p", tensor(&graph, &[], vec![draw.top_p])?),
        ];
        stream.run(inputs, |graph, outputs| {
            let ids: &[i64] = output(graph, outputs, "sampled")?;
            if ids.len() != n * spec.codebooks {
                return Err(graph.failed(format!("{} ids for {n} frames", ids.len())));
            }
            Ok((ids.to_vec(), output(graph, outputs, "log_prob")?.to_vec()))
        })
    }
}
