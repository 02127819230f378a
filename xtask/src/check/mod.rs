//! Checks of the built CLAP in a host, one process each: what a check may find is said by its environment, and a plugin
//! that aborts takes only its own check along.

mod align;
mod bare;
#[cfg(target_os = "linux")]
mod daw;
mod formats;
#[cfg(target_os = "linux")]
pub mod juce;
mod plays;
mod state;
#[cfg(all(unix, not(target_os = "macos")))]
mod window;

pub(crate) use formats::hundred_takes;

use crate::audio;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::stage::{Plan, RATE};
use crate::{paths, project};
use segue_engine::take::Take;
use std::path::PathBuf;

/// One check of the built CLAP; `cargo xtask test` runs them all.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which.
    #[arg(value_enum)]
    case: Case,
    /// The CLAP.
    #[arg(long, value_name = "FILE")]
    clap: PathBuf,
    /// Where pictures go (default: target/shots).
    #[arg(long, value_name = "DIR")]
    shots: Option<PathBuf>,
}

/// The checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Case {
    /// Without a runtime or a pack: loads, passes audio, saves.
    Bare,
    /// At every block size the same audio comes through.
    Blocks,
    /// Continues a prompt: heard, whole, as loud.
    Plays,
    /// The same seed plays the same, another one does not.
    Seeds,
    /// Comes in on the bar line, and where it belongs, to the sample.
    Aligns,
    /// The bar line is the song's, whatever its meters and whatever is automated.
    Meters,
    /// Save, close, open, play.
    State,
    /// A project saved by the CLAP is the same in the VST3, and the other way round.
    Formats,
    /// A project with a hundred takes.
    Hundred,
    /// Bytes that are no state change nothing.
    Garbage,
    /// Closed while it generates.
    Leaves,
    /// The editor in a window.
    Window,
    /// What an instance needs of a core that hears silence, and its open editor besides: a figure for `bench`.
    Idle,
    /// On a track of Qtractor, on the display that DISPLAY names. Linux.
    Daw,
}

/// Runs one check.
pub fn run(args: &Args) -> Result<()> {
    let shots = args.shots.clone().unwrap_or_else(|| paths::target().join("shots"));
    match args.case {
        Case::Bare => bare::passes(&args.clap),
        Case::Blocks => bare::blocks(&args.clap),
        Case::Plays => plays::plays(&args.clap),
        Case::Seeds => plays::seeds(&args.clap),
        Case::Aligns => align::aligns(&args.clap),
        Case::Meters => align::meters(&args.clap),
        Case::State => state::reopens(&args.clap),
        Case::Formats => formats::exchange(&args.clap),
        Case::Hundred => formats::hundred(&args.clap),
        Case::Garbage => state::garbage(&args.clap),
        Case::Leaves => plays::leaves(&args.clap),
        #[cfg(all(unix, not(target_os = "macos")))]
        Case::Window => window::draws(&args.clap, &shots),
        #[cfg(all(unix, not(target_os = "macos")))]
        Case::Idle => window::idle(&args.clap),
        #[cfg(not(all(unix, not(target_os = "macos"))))]
        Case::Window | Case::Idle => Ok(()),
        #[cfg(target_os = "linux")]
        Case::Daw => daw::continues(&args.clap, &std::env::var("DISPLAY").unwrap_or_default(), &shots),
        #[cfg(not(target_os = "linux"))]
        Case::Daw => Ok(()),
    }
}

/// Ends the check with these words unless it holds.
fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Check(otherwise())) }
}

/// The default prompt and a short continuation of it, in real time.
fn plan(length: f64, seed: u64) -> Result<Plan> {
    let recording = audio::read(&paths::default_prompt())?.at(RATE)?;
    Ok(Plan {
        playing: recording.stereo(),
        prompt: 4.0,
        lead: 3.0,
        length,
        block: 256,
        variations: 1,
        seed,
        real_time: true,
        leave: None,
    })
}

/// The take made last.
fn newest(host: &mut Host) -> Result<Take> {
    let takes = project::takes(&host.save()?)?;
    takes.into_iter().max_by_key(|t| t.id).ok_or_else(|| Error::Check("there is no take in the state".into()))
}
