//! `cargo xtask install`: into the folders where this user's hosts look.

use crate::error::{Error, Result};
use crate::{bundle, paths};
use std::path::Path;

/// Build and install the CLAP and the VST3 for this user.
///
/// Each with ONNX Runtime and the packs, in the folders where hosts look: ~/.clap and ~/.vst3 on Linux, ~/Library/Audio/Plug-Ins on macOS, %LOCALAPPDATA%\Programs\Common on
/// Windows.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove what install put there. Takes in project files, packs elsewhere and settings stay.
    #[arg(long)]
    uninstall: bool,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let nowhere = || Error::Request("this user has no home folder".into());
    let (clap, vst3) = segue_engine::platform::plugin_folders().ok_or_else(nowhere)?;
    let mut pairs = vec![(paths::clap(), clap.join("Segue.clap")), (paths::vst3(), vst3.join("Segue.vst3"))];
    if !cfg!(target_os = "macos") {
        pairs.push((bundle::clap_resources(&paths::clap()), bundle::clap_resources(&clap.join("Segue.clap"))));
    }
    if !args.uninstall {
        bundle::bundle()?;
    }
    for (from, to) in &pairs {
        let was_there = remove(to)?;
        if args.uninstall {
            println!("{} {}", if was_there { "removed" } else { "not there:" }, to.display());
            continue;
        }
        if from.is_dir() {
            bundle::copy_folder(from, to)?;
        } else {
            let folder = to.parent().unwrap_or(to);
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
            bundle::replace(from, to)?;
        }
        println!("installed {}", to.display());
    }
    if !args.uninstall {
        println!("Let your host scan its plug-ins again; Segue is an audio effect.");
    }
    Ok(())
}

/// Removes a file or a folder and says whether there was one.
fn remove(path: &Path) -> Result<bool> {
    let gone = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match gone {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::file(path, e)),
    }
}
