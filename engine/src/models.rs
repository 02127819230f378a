//! A pack loaded on a device: the weights, shared by every instance of the plugin in the process.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::pack::manifest::Manifest;
use crate::pack::{self, Pack};
pub use crate::runtime::Device;
use crate::runtime::How;
use crate::stages::Runner;
use crate::status::PackSummary;
use crate::tokenizers::{Decoder, DecoderModel, Tokenizer};
use crate::{device_check, platform, runtime, stages};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// What to load and where to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRequest {
    /// A pack's folder; `None` looks in the usual places.
    pub pack: Option<PathBuf>,
    /// ONNX Runtime's library; `None` looks in the usual places.
    pub runtime: Option<PathBuf>,
    /// Where to run.
    pub device: Device,
    /// Intra-op threads per session, at least 1.
    pub threads: usize,
    /// Folder in which ONNX Runtime leaves what each node of each graph took, `GRAPH_TIME.json`, once these models are
    /// dropped. They are then nobody else's, and slower.
    pub profile: Option<PathBuf>,
}

impl Default for LoadRequest {
    fn default() -> Self {
        Self { pack: None, runtime: None, device: Device::Cpu, threads: 1, profile: None }
    }
}

/// The loaded graphs of a pack.
#[derive(Debug)]
pub struct Models {
    pub(crate) pack: Pack,
    how: How,
    pub(crate) encoder: Arc<Graph>,
    pub(crate) decoder: DecoderModel,
    pub(crate) semantic: Option<Arc<Graph>>,
    pub(crate) stages: Vec<Runner>,
}

/// Beside what a pack itself takes.
const RUNTIME_MEGABYTES: u64 = 128;

type Key = (String, How);
static SHARED: Mutex<Vec<(Key, Weak<Models>)>> = Mutex::new(Vec::new());

/// What loading a pack takes: its files, the runtime's copies of them while it rearranges them, and its arenas.
fn megabytes(pack: &Pack) -> u64 {
    let bytes: u64 = pack.manifest.files.iter().map(|file| file.bytes).sum();
    RUNTIME_MEGABYTES + (bytes >> 20) * 4
}

impl Models {
    /// Finds the runtime and the pack, checks every hash and every graph's signature. Instances that ask for the same
    /// (pack, device, threads) get the same weights. Worker thread; takes up to seconds.
    ///
    /// # Errors
    /// Whatever is missing or wrong, see [`crate::error::Error`].
    pub fn load(request: &LoadRequest) -> Result<Arc<Self>> {
        // The pack first: its errors do not depend on the runtime being there.
        let pack = pack::find(request.pack.as_deref())?;
        let how = How { device: request.device, threads: request.threads.max(1), profile: request.profile.clone() };
        let key = (pack.hash.clone(), how.clone());
        // Held while loading, so that two instances that start together load once.
        let mut shared = SHARED.lock();
        shared.retain(|(_, models)| models.strong_count() > 0);
        let shareable = how.profile.is_none();
        if let Some(models) = shared.iter().find(|(k, _)| *k == key && shareable).and_then(|(_, m)| m.upgrade()) {
            return Ok(models);
        }
        let runtime = runtime::load(request.runtime.as_deref())?;
        let megabytes = megabytes(&pack);
        let short = || Error::Memory { pack: pack.label(), megabytes };
        // Out of memory the runtime may crash; so what it will ask for is asked for first, and given back untouched.
        let mut room = Vec::<u8>::new();
        room.try_reserve_exact((megabytes << 20) as usize).map_err(|_| short())?;
        // Or an optimiser may leave out what nobody looks at, and take it for granted.
        drop(std::hint::black_box(room));
        // Whoever profiles wants to see every node.
        let native = how.device == Device::Cpu && how.profile.is_none();
        let models = Arc::new(Self::load_graphs(pack, how, native)?);
        if request.device != Device::Cpu {
            // Another version of the runtime in the same place is another runtime.
            let bytes = std::fs::metadata(&runtime).map_or(0, |file| file.len());
            let key = format!("{} {} {} {bytes}", models.pack.hash, request.device, runtime.display());
            let memory = platform::user_data_folder().map(|folder| folder.join("devices.json"));
            device_check::check(&models.graphs().collect::<Vec<_>>(), &key, memory.as_deref())?;
        }
        shared.push((key, Arc::downgrade(&models)));
        Ok(models)
    }

    /// `native`: stages and a decoder that need no session get none.
    fn load_graphs(pack: Pack, how: How, native: bool) -> Result<Self> {
        let load = |name: &str| Graph::load(&pack, name, &how).map(Arc::new);
        let m = &pack.manifest;
        let encoder = load(&m.codec.encoder.graph)?;
        Tokenizer::check(&encoder, &m.codec.encoder.analysis, "codes", Some(m.codec.codebooks))?;
        let decoder = match if native { DecoderModel::native(&pack)? } else { None } {
            Some(decoder) => decoder,
            None => {
                let graph = load(&m.codec.decoder.graph)?;
                Decoder::check(&graph, &m.codec.decoder.synthesis, m.codec.codebooks)?;
                DecoderModel::Session(graph)
            }
        };
        let semantic = match &m.semantic {
            Some(semantic) => {
                let graph = load(&semantic.graph)?;
                Tokenizer::check(
                    &graph,
                    &semantic.analysis,
                    "tokens",
                    (semantic.codebooks > 1).then_some(semantic.codebooks),
                )?;
                Some(graph)
            }
            None => None,
        };
        let mut runners = Vec::with_capacity(m.stages.len());
        for spec in &m.stages {
            let native = if native { Runner::native(&pack, spec)? } else { None };
            runners.push(match native {
                Some(runner) => runner,
                None => {
                    let graph = load(&spec.graph)?;
                    stages::check(m, spec, &graph)?;
                    Runner::Session(graph)
                }
            });
        }
        Ok(Self { pack, how, encoder, decoder, semantic, stages: runners })
    }

    /// How many continuations of one prompt can be made together: 1 if the pack's graphs take one at a time.
    #[must_use]
    pub fn lanes(&self) -> usize {
        stages::batch::room(self)
    }

    /// A stage once more, so that two threads can run it at the same time. Worker thread; where that needs a session it takes
    /// as long as loading it.
    ///
    /// # Errors
    /// As [`Self::load`], of the one file.
    pub(crate) fn second(&self, place: usize) -> Result<Runner> {
        match &self.stages[place] {
            Runner::Session(_) => {
                let graph = Graph::load(&self.pack, &self.manifest().stages[place].graph, &self.how)?;
                Ok(Runner::Session(Arc::new(graph)))
            }
            native => Ok(native.clone()),
        }
    }

    fn graphs(&self) -> impl Iterator<Item = &Arc<Graph>> {
        let stages = self.stages.iter().filter_map(Runner::session);
        std::iter::once(&self.encoder).chain(self.decoder.session()).chain(&self.semantic).chain(stages)
    }

    /// Where it runs: a device, or `cpu` once a graph had to leave it.
    #[must_use]
    pub fn device(&self) -> String {
        let device = if self.lost().is_some() { Device::Cpu } else { self.how.device };
        device.to_string()
    }

    /// Why it no longer runs where it was asked to. What a device was busy with goes on on the CPU, token for token.
    #[must_use]
    pub fn lost(&self) -> Option<Error> {
        if self.how.device == Device::Cpu {
            return None;
        }
        let reason = self.graphs().find_map(|graph| graph.moved())?;
        Some(Error::Device { device: self.how.device.to_string(), reason })
    }

    /// These models, alone, as if each graph ran on a device that is lost after so many runs of it: for tests.
    ///
    /// # Errors
    /// As [`Self::load`].
    #[doc(hidden)]
    pub fn on_a_device_that_fails(request: &LoadRequest, after: u32) -> Result<Arc<Self>> {
        let pack = pack::find(request.pack.as_deref())?;
        runtime::load(request.runtime.as_deref())?;
        let how = How { device: Device::Cpu, threads: 1, profile: None };
        let mut models = Self::load_graphs(pack, how, false)?;
        let Self { encoder, decoder, semantic, stages, .. } = &mut models;
        let stages = stages.iter_mut().filter_map(|runner| match runner {
            Runner::Session(graph) => Some(graph),
            Runner::Native { .. } | Runner::NativeParallel { .. } => None,
        });
        let decoder = match decoder {
            DecoderModel::Session(graph) => Some(graph),
            DecoderModel::Native(..) => None,
        };
        let graphs = std::iter::once(encoder).chain(decoder).chain(semantic).chain(stages);
        graphs.for_each(|graph| graph.lose_device(after));
        models.how.device = Device::Cuda;
        Ok(Arc::new(models))
    }

    /// Where its pack lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.pack.folder
    }

    /// The pack's manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.pack.manifest
    }

    /// The pack's rate in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.manifest().audio.sample_rate
    }

    /// What takes record: `name version` and the manifest's hash.
    #[must_use]
    pub fn provenance_pack(&self) -> (String, String) {
        (self.pack.label(), self.pack.hash.clone())
    }

    /// Whether a take made with the pack of this hash can be played and continued with this one.
    #[must_use]
    pub fn understands(&self, pack_hash: &str) -> bool {
        self.pack.hash == pack_hash || self.manifest().same_tokens.iter().any(|known| known == pack_hash)
    }

    /// What the editor shows.
    #[must_use]
    pub fn summary(&self) -> PackSummary {
        let m = self.manifest();
        PackSummary {
            name: m.name.clone(),
            version: m.version.clone(),
            title: m.title.clone(),
            stages: m.stages.iter().map(|s| s.id.clone()).collect(),
            held: m.stages.iter().any(|s| s.density.is_some()),
            sample_rate: m.audio.sample_rate,
            channels: m.audio.channels,
            device: self.device(),
            threads: self.how.threads,
            license: m.license.clone(),
        }
    }

    pub(crate) fn new_encoder(&self) -> Result<Tokenizer> {
        let c = &self.manifest().codec;
        Tokenizer::new(Arc::clone(&self.encoder), &c.encoder.analysis, c.hop, "codes", c.codebooks)
    }

    pub(crate) fn new_semantic(&self) -> Result<Option<Tokenizer>> {
        match (&self.manifest().semantic, &self.semantic) {
            (Some(s), Some(graph)) => {
                Ok(Some(Tokenizer::new(Arc::clone(graph), &s.analysis, s.hop, "tokens", s.codebooks)?))
            }
            _ => Ok(None),
        }
    }

    pub(crate) fn new_decoder(&self, frame: usize) -> Result<Decoder> {
        let c = &self.manifest().codec;
        Decoder::new(self.decoder.clone(), &c.decoder, c.hop, c.codebooks, frame)
    }
}
