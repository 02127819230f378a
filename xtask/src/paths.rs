//! Where things lie in the checkout, and what they are called on this platform.

use std::path::{Path, PathBuf};

/// The checkout.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where `bundle` leaves the CLAP and the VST3.
#[must_use]
pub fn bundled() -> PathBuf {
    target().join("bundled")
}

/// The bundled CLAP: a file, on macOS a folder.
#[must_use]
pub fn clap() -> PathBuf {
    bundled().join("Segue.clap")
}

/// The bundled VST3, a folder.
#[must_use]
pub fn vst3() -> PathBuf {
    bundled().join("Segue.vst3")
}

/// The packs of the checkout.
#[must_use]
pub fn packs() -> PathBuf {
    root().join("assets/packs")
}

/// The pack of random weights that tests use.
#[must_use]
pub fn test_pack() -> PathBuf {
    root().join("assets/test/tiny-pack")
}

/// The recording `demo` plays if it is given none.
#[must_use]
pub fn default_prompt() -> PathBuf {
    root().join("assets/prompts/chpn_op27_2.flac")
}

/// What a CLAP host loads: the library itself, also where the CLAP is a folder.
#[must_use]
pub fn clap_library(clap: &Path) -> PathBuf {
    if cfg!(target_os = "macos") { clap.join("Contents/MacOS/Segue") } else { clap.to_path_buf() }
}

/// The library in a VST3 bundle; a bare library stays what it is.
#[must_use]
pub fn vst3_library(vst3: &Path) -> PathBuf {
    if !vst3.is_dir() {
        return vst3.to_path_buf();
    }
    let machine = std::env::consts::ARCH;
    if cfg!(windows) {
        vst3.join(format!("Contents/{machine}-win/Segue.vst3"))
    } else if cfg!(target_os = "macos") {
        vst3.join("Contents/MacOS/Segue")
    } else {
        vst3.join(format!("Contents/{machine}-linux/Segue.so"))
    }
}

/// What cargo calls the plugin's library.
#[must_use]
pub fn plugin_library() -> &'static str {
    if cfg!(windows) {
        "segue.dll"
    } else if cfg!(target_os = "macos") {
        "libsegue.dylib"
    } else {
        "libsegue.so"
    }
}

/// Bytes in a file or folder.
#[must_use]
pub fn size(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|e| size(&e.path())).sum(),
        Err(_) => std::fs::metadata(path).map_or(0, |m| m.len()),
    }
}
