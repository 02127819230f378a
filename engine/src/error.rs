//! Every way Segue can fail, in words: what happened, where, and the way out.

use std::path::PathBuf;

/// What the engine reports. `Display` says what happened and names the file; [`Error::remedy`] says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No ONNX Runtime library in any of the places that were looked at.
    #[error("no ONNX Runtime found (looked in {})", list(.looked))]
    RuntimeMissing {
        /// Every path tried, in order.
        looked: Vec<PathBuf>,
    },
    /// A library was found but could not be loaded, or is of a version that does not fit.
    #[error("{path}: not a usable ONNX Runtime: {reason}", path = .path.display())]
    RuntimeUnusable {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// No pack in any of the places that were looked at.
    #[error("no pack found (looked in {})", list(.looked))]
    PackMissing {
        /// Every path tried, in order.
        looked: Vec<PathBuf>,
    },
    /// A pack is damaged or not for this version.
    #[error("pack {pack}: {file}: found {found}, expected {expected}")]
    PackInvalid {
        /// The pack's folder.
        pack: String,
        /// The file (or manifest key) at fault.
        file: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// ONNX Runtime refused or failed to run a graph.
    #[error("pack {pack}: {graph}: {reason}")]
    Inference {
        /// The pack's name.
        pack: String,
        /// The graph's file name.
        graph: String,
        /// What the runtime said, or "NaN in output".
        reason: String,
    },
    /// There is not enough memory to load a pack.
    #[error("pack {pack}: not enough memory: it needs about {megabytes} MB")]
    Memory {
        /// The pack's name and version.
        pack: String,
        /// What was asked for in vain.
        megabytes: u64,
    },
    /// The requested device cannot be used here.
    #[error("device {device} cannot be used: {reason}")]
    Device {
        /// `cpu`, `cuda`, `directml` or `coreml`.
        device: String,
        /// Why.
        reason: String,
    },
    /// A request that makes no sense (zero seconds, a NaN temperature, a prompt that is too short …).
    #[error("{0}")]
    Request(String),
    /// Reading or writing a file failed.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// A take cannot be decoded because its pack is not the loaded one.
    #[error("take \"{take}\" was made with pack {pack}, which is not loaded")]
    TakePackMissing {
        /// The take's name.
        take: String,
        /// The pack's name and version.
        pack: String,
    },
}

/// `Result` with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What the user can do about it, as one sentence for the editor and the command line.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::RuntimeMissing { .. } => {
                "Put ONNX Runtime 1.24 or newer there (“cargo xtask install” does), or set SEGUE_RUNTIME to the path of the \
                 library; then look again."
            }
            Self::RuntimeUnusable { .. } => {
                "Replace it with ONNX Runtime 1.24 or newer for this machine, or point SEGUE_RUNTIME at one."
            }
            Self::PackMissing { .. } => {
                "Choose a pack folder in the editor, or set SEGUE_PACKS to the folder that holds packs."
            }
            Self::PackInvalid { .. } => "Install the pack again, or choose another one.",
            Self::Inference { .. } => "Try again; if it happens again, choose another pack or the CPU.",
            Self::Memory { .. } => {
                "Free some memory (close other programs or projects) or choose a smaller pack; then load it again."
            }
            Self::Device { .. } => "Choose the CPU.",
            Self::Request(_) => "Change the setting and try again.",
            Self::File { .. } => {
                "Check that the file is there, that its folder can be written and that the disk is not full."
            }
            Self::TakePackMissing { .. } => "Install that pack to hear the take; it stays in the project until then.",
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    if shown.is_empty() { "no place at all".into() } else { shown.join(", ") }
}
