//! A plugin as the checks see it, whichever format it came in: what a host's main thread may do ([`Instance`]) and
//! what its audio thread may do ([`Audio`]).

mod clap_host;
mod vst3_host;
mod vst3_objects;

use crate::error::{Error, Result};
use crate::paths;
use std::path::Path;

/// A plugin format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CLAP, through clack-host.
    Clap,
    /// VST3, through the `vst3` crate's bindings.
    Vst3,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Clap { "clap" } else { "vst3" })
    }
}

/// A parameter as the host sees it. Values are the host's: 0–1 in VST3, `min`–`max` in CLAP.
#[derive(Debug, Clone)]
pub struct Param {
    /// Identity.
    pub id: u32,
    /// Name for people.
    pub name: String,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Default.
    pub default: f64,
}

impl Param {
    /// The value at a share (0–1) of the range.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        self.min + (self.max - self.min) * share
    }
}

/// How the host will call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// Hz.
    pub rate: f64,
    /// No block is longer.
    pub max_block: usize,
    /// 1 or 2.
    pub channels: usize,
    /// Faster than real time, and waiting is allowed.
    pub offline: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { rate: 48_000.0, max_block: 512, channels: 2, offline: false }
    }
}

/// Something that happens in a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// A parameter takes a value.
    Param {
        /// Frame in the block.
        offset: u32,
        /// Which.
        id: u32,
        /// The host's value.
        value: f64,
    },
    /// A key goes down.
    NoteOn {
        /// Frame in the block.
        offset: u32,
        /// MIDI key.
        key: u8,
    },
}

/// Where the host's playhead is at a block's first frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Transport {
    /// Whether it moves.
    pub playing: bool,
    /// Beats per minute.
    pub tempo: Option<f64>,
    /// Quarter notes since the project's start.
    pub beats: Option<f64>,
    /// Quarter notes at the bar's start.
    pub bar_start: f64,
    /// Numerator and denominator.
    pub signature: Option<(u16, u16)>,
}

/// One call of `process`.
#[derive(Debug)]
pub struct Block<'a> {
    /// One slice per channel; in-place blocks are both input and output.
    pub input: &'a mut [Vec<f32>],
    /// `None`: in place.
    pub output: Option<&'a mut [Vec<f32>]>,
    /// At most every channel's length.
    pub frames: usize,
    /// The input is announced as constant (CLAP's constant mask, VST3's silence flags).
    pub constant: bool,
    /// In order of their offsets.
    pub events: &'a [Event],
    /// `None`: the host has none.
    pub transport: Option<Transport>,
    /// Frames since activation.
    pub clock: u64,
}

/// What the main thread may do.
pub trait Instance {
    /// All parameters that a host shows.
    fn params(&self) -> &[Param];
    /// Those that it does not show: in VST3 MIDI controllers come as parameters, which have values but no texts.
    fn hidden(&self) -> &[Param] {
        &[]
    }
    /// The parameter's value now.
    fn value(&mut self, id: u32) -> Result<f64>;
    /// A value as text.
    fn value_to_text(&mut self, id: u32, value: f64) -> Result<String>;
    /// A text as value; `None`: not understood.
    fn text_to_value(&mut self, id: u32, text: &str) -> Option<f64>;
    /// Moves parameters while inactive.
    fn set_inactive(&mut self, id: u32, value: f64) -> Result<()>;
    /// The state, through a stream that takes at most `grain` bytes a call.
    fn save(&mut self, grain: usize) -> Result<Vec<u8>>;
    /// Loads a state through a stream that gives at most `grain` bytes a call. `false`: refused.
    fn load(&mut self, bytes: &[u8], grain: usize) -> Result<bool>;
    /// Ready to process.
    fn activate(&mut self, setup: Setup) -> Result<Box<dyn Audio>>;
    /// The [`Audio`] must have been dropped.
    fn deactivate(&mut self) -> Result<()>;
    /// Calls `process` although it is not active.
    fn process_inactive(&mut self) -> Result<()>;
    /// Does what the plugin asked the main thread to do.
    fn pump(&mut self);
    /// Opens the editor in a window of the host; its size.
    fn open_editor(&mut self, parent: u32) -> Result<(u32, u32)>;
    /// Asks the open editor for a size. `false`: refused.
    fn resize_editor(&mut self, width: u32, height: u32) -> bool;
    /// Closes it.
    fn close_editor(&mut self);
}

/// What the audio thread may do while active.
pub trait Audio: Send {
    /// Processing begins.
    fn start(&mut self) -> Result<()>;
    /// Processing ends.
    fn stop(&mut self);
    /// Forget what sounded.
    fn reset(&mut self);
    /// One block.
    fn process(&mut self, block: &mut Block<'_>) -> Result<()>;
}

/// An opened library.
#[derive(Debug)]
pub enum Library {
    /// A CLAP.
    Clap(clap_host::ClapLibrary),
    /// A VST3.
    Vst3(vst3_host::Vst3Library),
}

impl Library {
    /// Opens a CLAP or a VST3 (a bundle, or the bare library in it) and reads its factory.
    pub fn open(path: &Path, format: Format) -> Result<Self> {
        Ok(match format {
            Format::Clap => Self::Clap(clap_host::ClapLibrary::open(&paths::clap_library(path))?),
            Format::Vst3 => Self::Vst3(vst3_host::Vst3Library::open(&paths::vst3_library(path))?),
        })
    }

    /// A new instance.
    pub fn instance(&self) -> Result<Box<dyn Instance>> {
        match self {
            Self::Clap(library) => library.instance(),
            Self::Vst3(library) => library.instance(),
        }
    }
}

/// The parameter whose name begins so, without regard to case.
pub fn find<'a>(params: &'a [Param], name: &str) -> Result<&'a Param> {
    let starts = |p: &&Param| p.name.to_lowercase().starts_with(&name.to_lowercase());
    params.iter().find(starts).ok_or_else(|| Error::host(format!("no parameter {name:?}")))
}
