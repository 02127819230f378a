//! Every way a task can end badly, each as one line for the terminal.

use std::path::{Path, PathBuf};

/// `Display` is always one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
    /// Reading or writing a file failed.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system or the decoder said.
        reason: String,
    },
    /// The engine refused or failed.
    #[error("{0}. {remedy}", remedy = .0.remedy())]
    Engine(#[from] segue_engine::error::Error),
    /// Another program failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// The program as it was called.
        program: String,
        /// Its last words, or why it could not be started.
        reason: String,
    },
    /// Something this task needs is not installed and it may not install it.
    #[error("missing: {what}. Run: {command}")]
    Missing {
        /// What is not there.
        what: String,
        /// The one line that mends it.
        command: String,
    },
    /// The plugin or the host library refused.
    #[error("host: {0}")]
    Host(String),
    /// A check did not hold.
    #[error("{0}")]
    Check(String),
}

/// `Result` with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A file error with the reason in words.
    pub fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_path_buf(), reason: reason.to_string() }
    }
    /// A host error with the reason in words.
    pub fn host(reason: impl std::fmt::Display) -> Self {
        Self::Host(reason.to_string())
    }
    /// 1 if a check failed or another program did, 2 if the task could not be done as asked.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Check(_) | Self::Program { .. } | Self::Host(_) => 1,
            _ => 2,
        }
    }
}
