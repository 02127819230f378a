//! ONNX Runtime: where it is, loading it once, making sessions. Worker thread only: loading it from a thread that holds the
//! loader's lock (a host's scan) can deadlock, so scanning and instantiating never come here.

use crate::error::{Error, Result};
use crate::platform;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// Where a graph runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// The processor. Same seed, same tokens.
    #[default]
    Cpu,
    /// An NVIDIA GPU through ONNX Runtime's CUDA provider.
    Cuda,
    /// A Windows GPU through DirectML.
    DirectMl,
    /// An Apple GPU or neural engine through CoreML.
    CoreMl,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::DirectMl => "directml",
            Self::CoreMl => "coreml",
        })
    }
}

impl std::str::FromStr for Device {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        [Self::Cpu, Self::Cuda, Self::DirectMl, Self::CoreMl]
            .into_iter()
            .find(|d| d.to_string() == text)
            .ok_or_else(|| Error::Request(format!("unknown device {text:?}: cpu, cuda, directml or coreml")))
    }
}

/// The loaded library: one per process, since ONNX Runtime's own state is.
struct Loaded {
    path: PathBuf,
    environment: Environment,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The library to load: `chosen`, else `SEGUE_RUNTIME`, else the first found beside the binary, in the bundle's
/// resources, in the user's data folder.
fn locate(chosen: Option<&Path>) -> Result<PathBuf> {
    let named = chosen.map(Path::to_path_buf).or_else(|| std::env::var_os("SEGUE_RUNTIME").map(PathBuf::from));
    let looked: Vec<PathBuf> = match named {
        // Named on purpose: nothing else is tried.
        Some(path) => vec![path],
        None => platform::resource_folders().into_iter().map(|f| f.join(platform::RUNTIME_LIBRARY)).collect(),
    };
    match looked.iter().find(|path| path.is_file()) {
        // An absolute path, so that two plugins with two runtimes each get their own.
        Some(path) => {
            std::fs::canonicalize(path).map_err(|e| Error::File { path: path.clone(), reason: e.to_string() })
        }
        None => Err(Error::RuntimeMissing { looked }),
    }
}

/// Makes sure that ONNX Runtime is loaded and returns the path of its library. A process keeps the first one it loads.
///
/// # Errors
/// [`Error::RuntimeMissing`] or [`Error::RuntimeUnusable`]; another try may succeed once the library is there.
pub fn load(chosen: Option<&Path>) -> Result<PathBuf> {
    let mut loaded = LOADED.lock();
    if let Some(loaded) = &*loaded {
        return Ok(loaded.path.clone());
    }
    let path = locate(chosen)?;
    let unusable = |reason: String| Error::RuntimeUnusable { path: path.clone(), reason };
    let environment = ort::init_from(&path)
        .map_err(|e| unusable(e.to_string()))?
        .with_name("segue")
        .with_telemetry(false)
        .build()
        .map_err(|e| unusable(e.to_string()))?;
    *loaded = Some(Loaded { path: path.clone(), environment });
    Ok(path)
}

/// How graphs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) device: Device,
    /// Of one graph, at least 1.
    pub(crate) threads: usize,
    /// See [`crate::models::LoadRequest::profile`].
    pub(crate) profile: Option<PathBuf>,
}

/// Makes a session of a graph held in memory (its hash has been checked).
///
/// # Errors
/// What ONNX Runtime says, in words; [`load`] must have succeeded before.
pub(crate) fn session(graph: &[u8], name: &str, how: &How) -> std::result::Result<Session, String> {
    let loaded = LOADED.lock();
    let environment = &loaded.as_ref().ok_or("ONNX Runtime is not loaded")?.environment;
    let builder = Session::builder(environment).map_err(|e| e.to_string())?;
    configure(builder, name, how).map_err(|e| e.to_string())?.commit_from_memory(graph).map_err(|e| e.to_string())
}

fn configure(builder: SessionBuilder, name: &str, how: &How) -> ort::Result<SessionBuilder> {
    // Set explicitly: by default this ort chooses a device by itself.
    let provider = match how.device {
        Device::Cpu => ort::ep::CPU::default().with_arena_allocator(true).build(),
        Device::Cuda => ort::ep::CUDA::default().build().error_on_failure(),
        Device::DirectMl => ort::ep::DirectML::default().build().error_on_failure(),
        Device::CoreMl => ort::ep::CoreML::default().build().error_on_failure(),
    };
    let builder = builder
        .with_execution_providers([provider])?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(how.threads.max(1))?
        .with_inter_threads(1)?
        // Spinning workers would take the cores the host's audio threads need.
        .with_intra_op_spinning(false)?;
    match &how.profile {
        Some(folder) => Ok(builder.with_profiling(folder.join(name))?),
        None => Ok(builder),
    }
}
