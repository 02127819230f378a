//! Everything that is Segue and knows no host: capture, packs, ONNX Runtime, tokenizers, stages, continuation,
//! takes, playback and the worker that ties them together.
//!
//! # Threading model
//! Three threads meet here, and each boundary is one constructor that returns both ends:
//!
//! | boundary | constructor | audio thread holds | worker holds |
//! |---|---|---|---|
//! | host audio → worker | [`capture::capture`] | [`capture::CaptureInput`] | [`capture::CaptureOutput`] |
//! | worker → host audio | [`playback::playback`] | [`playback::PlaybackOutput`] | [`playback::PlaybackInput`] |
//! | editor / main thread ↔ worker | [`worker::Engine::spawn`] | – | everything else |
//!
//! The audio thread never allocates, locks, logs, waits or calls the runtime. The worker is the one thread that
//! loads and runs models. The editor reads [`status::Status`] snapshots and sends [`command::Command`]s.

mod both;
pub mod capture;
pub mod command;
pub mod continuation;
pub mod controls;
mod device_check;
pub mod duet;
pub mod error;
mod graph;
pub mod history;
#[cfg(all(test, feature = "loom"))]
mod interleavings;
mod loudness;
pub mod models;
mod native;
pub mod pack;
pub mod platform;
pub mod playback;
pub mod prompt;
mod recall;
pub mod resample;
mod ring;
pub mod runtime;
pub mod sampler;
pub mod seam;
mod signals;
pub mod spectral;
pub mod spectrum;
mod stages;
pub mod status;
pub mod take;
pub mod take_decoder;
mod token_text;
mod tokenizers;
pub mod transport;
mod try_it;
mod voice;
pub mod waveform;
pub mod worker;
