//! `cargo xtask test`: everything that must hold, one step after the other.

pub(crate) mod display;
pub(crate) mod packages;
mod venv;

use crate::error::{Error, Result};
use crate::validate::plug::Format;
use crate::{bundle, check, paths, process, runtime, validate};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Run every test.
///
/// Formatting, lints, unit and property tests, the engine on the shipped pack, the built CLAP in a CLAP host, the built
/// VST3 in a VST3 host, the editor in a real window, and a short run of `cargo xtask validate` on both. On Debian, missing
/// packages are installed if this is root; otherwise the one line to run is printed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tests of training/ too, and PyTorch against ONNX Runtime: a virtual environment with PyTorch, several GB.
    #[arg(long)]
    training: bool,
    /// The CLAP on a track of Qtractor, driven and recorded, and the VST3's editor in a JUCE host, as well: about two
    /// minutes. Linux.
    #[arg(long)]
    daw: bool,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let begin = Instant::now();
    packages::install(args.daw)?;
    let library = runtime::cpu()?;
    let clap = step("build the plugin so that it aborts if process() allocates", bundle::strict_clap)?;
    let display = display::Display::start()?;
    let shots = paths::target().join("shots");
    std::fs::create_dir_all(&shots).map_err(|e| Error::file(&shots, e))?;
    // One step's failure does not hide another's.
    let mut failed = Vec::new();
    let mut check = |name: &'static str, does: &dyn Fn() -> Result<()>| {
        if let Err(e) = step(name, does) {
            println!("── {name}: DID NOT HOLD: {e}");
            failed.push(name);
        }
    };
    check("format", &|| cargo(&["fmt", "--all", "--check"], &library, &[]));
    check("lints", &|| cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &library, &[]));
    check(
        "cargo tests: units, properties, the engine on the shipped pack, the CLAP in a CLAP host, the editor",
        &|| {
            let clap = clap.to_string_lossy();
            let shots = shots.to_string_lossy();
            let more = [
                ("SEGUE_TEST_CLAP", clap.as_ref()),
                ("SEGUE_TEST_SHOTS", shots.as_ref()),
                ("DISPLAY", display.name.as_str()),
            ];
            cargo(&["test", "--workspace", "--no-fail-fast"], &library, &more)
        },
    );
    check("every order of the steps of two threads", &|| {
        let steps = ["test", "--package", "segue-engine", "--features", "loom", "--lib", "interleavings"];
        cargo(&steps, &library, &[])
    });
    check("the VST3 in a VST3 host", &|| {
        bundle::bundle()?;
        venv::vst3()
    });
    // Short rounds of everything; `cargo xtask validate` runs the long ones.
    check("the CLAP, promise by promise", &|| validate::quick(&clap, Format::Clap, &display.name));
    check("the VST3, promise by promise", &|| validate::quick(&paths::vst3(), Format::Vst3, &display.name));
    #[cfg(target_os = "linux")]
    if args.daw {
        check("the CLAP in Qtractor", &|| {
            let mut host = Command::new(std::env::current_exe().map_err(|e| Error::file(Path::new("xtask"), e))?);
            host.args(["host-check", "daw", "--clap"]).arg(&clap).arg("--shots").arg(&shots);
            let packs = std::env::var_os("SEGUE_PACKS").unwrap_or_else(|| paths::packs().into());
            process::openly(host.env("SEGUE_RUNTIME", &library).env("SEGUE_PACKS", packs).env("DISPLAY", &display.name))
        });
    }
    #[cfg(target_os = "linux")]
    if args.daw {
        check("the VST3's editor in a JUCE host", &|| {
            bundle::bundle()?;
            check::juce::opens(&venv::dawdreamer()?, &display.name, &shots)
        });
    }
    if args.training {
        check("training", &|| venv::training(&library));
    }
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    if !failed.is_empty() {
        return Err(Error::Check(format!("after {minutes:.1} min, these did not hold: {}", failed.join("; "))));
    }
    let training = if args.training { ", training" } else { "" };
    let daw = if args.daw { ", DAW" } else { "" };
    println!(
        "all held in {minutes:.1} min: format, lints, cargo tests, CLAP host, editor window, VST3 host, promises{daw}{training}"
    );
    Ok(())
}

/// Says what begins and how long it took.
fn step<T>(name: &str, does: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("── {name}");
    let begin = Instant::now();
    let done = does()?;
    println!("── {name}: held ({:.0} s)", begin.elapsed().as_secs_f64());
    Ok(done)
}

/// Cargo in the checkout, with the runtime and the packs of the checkout.
fn cargo(args: &[&str], library: &Path, more: &[(&str, &str)]) -> Result<()> {
    let mut cargo = Command::new(process::cargo());
    cargo.current_dir(paths::root()).args(args).env("SEGUE_RUNTIME", library).envs(more.iter().copied());
    if std::env::var_os("SEGUE_PACKS").is_none() {
        cargo.env("SEGUE_PACKS", paths::packs());
    }
    process::openly(&mut cargo)
}
