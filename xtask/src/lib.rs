//! Everything a person runs: `cargo xtask demo`, `render`, `bench`, `shots`, `test`, `validate`, `fuzz`, `bundle`, `install`, `runtime`.
//! Built as a library too, so that the integration tests play the same host.

pub mod audio;
pub mod bench;
pub mod bundle;
pub mod chart;
pub mod check;
pub mod demo;
pub mod engine;
pub mod error;
pub mod fuzz;
pub mod host;
pub mod install;
pub mod listen;
pub mod pack;
pub mod paths;
pub mod process;
pub mod project;
pub mod render;
pub mod report;
pub mod runtime;
#[cfg(all(unix, not(target_os = "macos")))]
pub mod shots;
pub mod spectrogram;
pub mod stage;
pub mod test;
pub mod validate;
pub mod wav;
