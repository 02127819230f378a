//! `cargo xtask bundle`: the plugin as hosts want it, with everything it needs beside it.

use crate::error::{Error, Result};
use crate::{paths, process, runtime};
use segue_engine::platform;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Build the plugin and lay it out in target/bundled, with ONNX Runtime and the packs.
///
/// Segue.clap and Segue.resources/ beside it, Segue.vst3/ with its Contents/Resources.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the task.
pub fn run(_: &Args) -> Result<()> {
    bundle()?;
    for path in [paths::clap(), clap_resources(&paths::clap()), paths::vst3()] {
        println!("{} ({:.1} MB)", path.display(), paths::size(&path) as f64 / 1e6);
    }
    Ok(())
}

/// Builds and lays out; says nothing at the end.
pub fn bundle() -> Result<()> {
    let library = runtime::cpu()?;
    let root = paths::root();
    std::env::set_current_dir(&root).map_err(|e| Error::file(&root, e))?;
    let words = ["bundle", "segue", "--release"].map(String::from);
    nice_plug_xtask::main_with_args("cargo xtask", words)
        .map_err(|e| Error::Program { program: "nice-plug-xtask bundle segue".into(), reason: one_line(&e) })?;
    for resources in [clap_resources(&paths::clap()), paths::vst3().join("Contents/Resources")] {
        fill(&resources, &library, &paths::packs())?;
    }
    Ok(())
}

/// Where a CLAP keeps what it needs: beside it, or inside it where it is a folder.
#[must_use]
pub fn clap_resources(clap: &Path) -> PathBuf {
    if cfg!(target_os = "macos") { clap.join("Contents/Resources") } else { clap.with_file_name(platform::RESOURCES) }
}

/// The CLAP as the tests want it: a debug build that aborts if `process` allocates. No resources beside it: the tests
/// say by `SEGUE_RUNTIME` and `SEGUE_PACKS` what it may find.
pub fn strict_clap() -> Result<PathBuf> {
    debug_clap("strict", "assert-allocs")
}

/// The same with the seeded defects in it, each asleep until `SEGUE_DEFECT` names it.
pub fn defective_clap() -> Result<PathBuf> {
    debug_clap("defects", "assert-allocs,defects")
}

fn debug_clap(name: &str, features: &str) -> Result<PathBuf> {
    let mut cargo = Command::new(process::cargo());
    cargo.current_dir(paths::root()).args(["build", "--quiet", "-p", "segue", "--lib", "--features", features]);
    process::openly(&mut cargo)?;
    let built = paths::target().join("debug").join(paths::plugin_library());
    let clap = paths::target().join(name).join("Segue.clap");
    let library = paths::clap_library(&clap);
    let folder = library.parent().unwrap_or(&clap);
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    replace(&built, &library)?;
    Ok(clap)
}

/// Lays the runtime's files and the packs into a resources folder.
fn fill(resources: &Path, library: &Path, packs: &Path) -> Result<()> {
    if resources.exists() {
        std::fs::remove_dir_all(resources).map_err(|e| Error::file(resources, e))?;
    }
    let beside = library.parent().unwrap_or(Path::new("."));
    let own = beside.starts_with(paths::target());
    if own {
        copy_folder(beside, resources)?;
    } else {
        // SEGUE_RUNTIME points into somebody else's folder: only the library itself is ours to take.
        std::fs::create_dir_all(resources).map_err(|e| Error::file(resources, e))?;
        replace(library, &resources.join(platform::RUNTIME_LIBRARY))?;
    }
    if packs.is_dir() { copy_folder(packs, &resources.join("packs")) } else { Ok(()) }
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(|e| Error::file(to, e))?;
    for entry in std::fs::read_dir(from).map_err(|e| Error::file(from, e))? {
        let source = entry.map_err(|e| Error::file(from, e))?.path();
        let Some(name) = source.file_name() else { continue };
        if source.is_dir() { copy_folder(&source, &to.join(name))? } else { replace(&source, &to.join(name))? }
    }
    Ok(())
}

/// Copies a file over another one. The old one is unlinked first: a host that has it loaded keeps its copy instead of
/// crashing on changed pages.
pub fn replace(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_file(to).map_err(|e| Error::file(to, e))?;
    }
    std::fs::copy(from, to).map(|_| ()).map_err(|e| Error::file(from, e))
}

fn one_line(error: &impl std::fmt::Display) -> String {
    let text = format!("{error:#}");
    // With RUST_BACKTRACE set, cargo's own backtrace is part of what it said.
    let said = text.split("Stack backtrace").next().unwrap_or_default();
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}
