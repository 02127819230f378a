//! What runs an autoregressive stage: the runtime, or on a processor Segue itself.

use super::cached::Cached;
use super::native::{Lanes, Weights};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::pack::Pack;
use crate::pack::manifest::{Manifest, Stage as Spec, StageKind};
use crate::sampler::Draw;
use std::sync::Arc;

/// A stage's weights, shared by all that run it.
#[derive(Debug, Clone)]
pub(crate) enum Runner {
    /// A session of the runtime.
    Session(Arc<Graph>),
    /// Read from the graph's file and run here.
    Native {
        weights: Arc<Weights>,
        /// Of the pack, and of the file.
        label: (String, String),
    },
}

impl Runner {
    /// One that needs no session, if the graph's file says that it is of a form that Segue knows; for a processor.
    ///
    /// # Errors
    /// [`Error::PackInvalid`] for a graph that says so and is not.
    pub(crate) fn native(pack: &Pack, spec: &Spec) -> Result<Option<Self>> {
        if spec.kind != StageKind::Autoregressive {
            return Ok(None);
        }
        let manifest: &Manifest = &pack.manifest;
        let bytes = pack.read_graph(&spec.graph)?;
        let window = manifest.condition_window(spec).unwrap_or(0);
        let unknown = spec.condition.as_ref().map_or(0, |condition| manifest.cardinality(condition.stream));
        let label = (pack.label(), spec.graph.clone());
        let weights = Weights::read(&bytes, spec, window, unknown).map_err(|(found, expected)| {
            let (pack, file) = label.clone();
            Error::PackInvalid { pack, file, found, expected }
        })?;
        Ok(weights.map(|weights| Self::Native { weights: Arc::new(weights), label }))
    }

    /// Its session, if that is what it is.
    pub(crate) fn session(&self) -> Option<&Arc<Graph>> {
        match self {
            Self::Session(graph) => Some(graph),
            Self::Native { .. } => None,
        }
    }

    pub(super) fn failed(&self, reason: String) -> Error {
        match self {
            Self::Session(graph) => graph.failed(reason),
            Self::Native { label, .. } => {
                let (pack, graph) = label.clone();
                Error::Inference { pack, graph, reason }
            }
        }
    }
}

/// The transformer of one continuation, or of several that go side by side (lanes), with its cache.
#[derive(Debug)]
pub(super) enum Transformer {
    Session(Cached),
    Native(Lanes),
}

impl Transformer {
    /// With an empty cache.
    pub(super) fn new(spec: &Spec, runner: &Runner, window: Option<usize>, lanes: usize) -> Result<Self> {
        Ok(match runner {
            Runner::Session(graph) => {
                Self::Session(Cached::new(spec, Arc::clone(graph), spec.codebooks, window, lanes)?)
            }
            Runner::Native { weights, .. } => Self::Native(Lanes::new(Arc::clone(weights), lanes)),
        })
    }

    /// Takes over another's cache, of one lane, into every lane. Both are run alike.
    pub(super) fn remember(&mut self, one: &Self) {
        match (self, one) {
            (Self::Session(lanes), Self::Session(one)) => lanes.remember(one),
            (Self::Native(lanes), Self::Native(one)) => lanes.remember(one),
            _ => unreachable!("lanes are cut from a stage that is run like them"),
        }
    }

    /// Positions in the cache, the same in every lane.
    pub(super) fn filled(&self) -> usize {
        match self {
            Self::Session(model) => model.filled(),
            Self::Native(model) => model.filled(),
        }
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Session(model) => model.clear(),
            Self::Native(model) => model.clear(),
        }
    }

    /// How the next positions are drawn; `noise` fills what it is given of it.
    pub(super) fn draw(&mut self, draw: Draw, noise: impl FnOnce(&mut [f32])) {
        match self {
            Self::Session(model) => model.draw(draw, noise),
            Self::Native(model) => model.draw(draw, noise),
        }
    }

    /// Runs these positions (they extend the cache), lane after lane; what a single one of each samples is in
    /// [`Self::sampled`].
    pub(super) fn run(&mut self, codes: &[i64], cond: &[i64]) -> Result<()> {
        match self {
            Self::Session(model) => model.run(codes, cond),
            Self::Native(model) => {
                model.run(codes, cond);
                Ok(())
            }
        }
    }

    /// The tokens sampled last, lane after lane, and their log-probabilities.
    pub(super) fn sampled(&self) -> (&[i64], &[f32]) {
        match self {
            Self::Session(model) => model.sampled(),
            Self::Native(model) => model.sampled(),
        }
    }
}
