//! `cargo xtask runtime`: ONNX Runtime, out of the Python wheel that carries it.

use crate::error::{Error, Result};
use crate::{paths, process};
use segue_engine::platform::RUNTIME_LIBRARY;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fetch ONNX Runtime into target/runtime/DEVICE/.
///
/// By pip, from the Python wheel that carries the library. Does nothing if it is there already.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which build: cpu, cuda (Linux and Windows, about 2.5 GB with NVIDIA's libraries) or directml (Windows).
    #[arg(long, value_enum, default_value_t = Build::Cpu)]
    device: Build,
}

/// A build of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Build {
    /// For the processor.
    Cpu,
    /// With the CUDA provider; needs a driver for CUDA 13.
    Cuda,
    /// With the DirectML provider; Windows.
    #[value(name = "directml")]
    DirectMl,
}

impl Build {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::DirectMl => "directml",
        }
    }
    /// The wheel that carries the library. Versions: DirectML ends at 1.24.4, which is why Segue asks for API 24.
    fn wheel(self) -> &'static str {
        match self {
            Self::Cpu => "onnxruntime==1.31.1",
            Self::Cuda => "onnxruntime-gpu==1.31.1",
            Self::DirectMl => "onnxruntime-directml==1.24.4",
        }
    }
    /// Wheels of NVIDIA's libraries that the CUDA provider loads, with their sizes to download in MB.
    fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Cuda => &[
                "nvidia-cuda-runtime>=13,<14",
                "nvidia-cublas>=13,<14",
                "nvidia-cudnn-cu13>=9,<10",
                "nvidia-cufft>=12,<13",
                "nvidia-curand>=10,<11",
                "nvidia-cuda-nvrtc>=13,<14",
            ],
            _ => &[],
        }
    }
    fn folder(self) -> PathBuf {
        paths::target().join("runtime").join(self.name())
    }
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    println!("{}", fetch(args.device)?.display());
    Ok(())
}

/// The library of the CPU build, fetched if it is not there. `SEGUE_RUNTIME` wins, as it does in the plugin.
pub fn cpu() -> Result<PathBuf> {
    match std::env::var_os("SEGUE_RUNTIME") {
        Some(path) => Ok(path.into()),
        None => fetch(Build::Cpu),
    }
}

/// The library of this build, fetched if it is not there.
pub fn fetch(build: Build) -> Result<PathBuf> {
    let folder = build.folder();
    let name = if build == Build::DirectMl { "onnxruntime.dll" } else { RUNTIME_LIBRARY };
    let library = folder.join(name);
    let version = folder.join("VERSION");
    let there = fs::read_to_string(&version).is_ok_and(|v| v.trim() == build.wheel());
    if there && library.is_file() {
        return Ok(library);
    }
    let parent = paths::target().join("runtime");
    fs::create_dir_all(&parent).map_err(|e| Error::file(&parent, e))?;
    // Everything is prepared beside its place and moved there at the end: an interrupted fetch leaves nothing behind.
    let work = tempfile::tempdir_in(&parent).map_err(|e| Error::file(&parent, e))?;
    let fresh = work.path().join("new");
    fs::create_dir_all(&fresh).map_err(|e| Error::file(&fresh, e))?;
    for wheel in std::iter::once(&build.wheel()).chain(build.companions()) {
        for file in download(wheel, build, &work.path().join("wheels"))? {
            unpack(&file, &fresh)?;
            fs::remove_file(&file).map_err(|e| Error::file(&file, e))?;
        }
    }
    if !fresh.join(name).is_file() {
        return Err(Error::file(&fresh.join(name), format!("{} holds no such library", build.wheel())));
    }
    fs::write(fresh.join("VERSION"), build.wheel()).map_err(|e| Error::file(&version, e))?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
    }
    fs::rename(&fresh, &folder).map_err(|e| Error::file(&folder, e))?;
    Ok(library)
}

/// Downloads one wheel by pip and says where it is.
fn download(wheel: &str, build: Build, to: &Path) -> Result<Vec<PathBuf>> {
    eprintln!("Fetching {wheel} …");
    let mut pip = Command::new(process::python());
    pip.args(["-m", "pip", "download", wheel, "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]);
    if build == Build::DirectMl {
        pip.args(["--platform", "win_amd64"]);
    }
    pip.arg("--dest").arg(to);
    if build == Build::Cuda {
        // Hundreds of megabytes each: pip shows the size before it loads, and a bar.
        process::openly(&mut pip)?;
    } else {
        let spinner = indicatif::ProgressBar::new_spinner();
        spinner.enable_steady_tick(std::time::Duration::from_millis(120));
        let fetched = process::quietly(&mut pip);
        spinner.finish_and_clear();
        fetched?;
    }
    let entries = fs::read_dir(to).map_err(|e| Error::file(to, e))?;
    let wheels = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "whl"));
    Ok(wheels.collect())
}

/// Takes the libraries and the licences out of a wheel, flat: the runtime finds its providers beside itself.
fn unpack(wheel: &Path, to: &Path) -> Result<()> {
    let wrong = |e: zip::result::ZipError| Error::file(wheel, e);
    let file = fs::File::open(wheel).map_err(|e| Error::file(wheel, e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(wrong)?;
    let stem = wheel.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let package = stem.split('-').next().unwrap_or_default().to_owned();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(wrong)?;
        let name = entry.name().map_err(wrong)?.rsplit('/').next().and_then(|n| kept_as(n, &package));
        let Some(name) = name else { continue };
        let path = to.join(name);
        let mut out = fs::File::create(&path).map_err(|e| Error::file(&path, e))?;
        std::io::copy(&mut entry, &mut out).map_err(|e| Error::file(&path, e))?;
    }
    Ok(())
}

/// What a file of a wheel is called in the runtime's folder, if it belongs there. The runtime's own library loses its
/// version, so that its name is known.
fn kept_as(name: &str, package: &str) -> Option<String> {
    let library = name.contains(".so") || name.ends_with(".dll") || name.ends_with(".dylib");
    if name.starts_with("onnxruntime_pybind") || name.contains("tensorrt") {
        None
    } else if name.starts_with("libonnxruntime.") {
        Some(if name.ends_with(".dylib") { "libonnxruntime.dylib" } else { "libonnxruntime.so" }.into())
    } else if library {
        Some(name.into())
    } else {
        matches!(name, "ThirdPartyNotices.txt" | "LICENSE" | "License.txt").then(|| format!("{package}-{name}"))
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn only_libraries_and_licences_are_kept() {
        let kept_as = |name| super::kept_as(name, "onnxruntime");
        assert_eq!(kept_as("libonnxruntime.so.1.31.1").as_deref(), Some("libonnxruntime.so"));
        assert_eq!(kept_as("libonnxruntime.1.31.1.dylib").as_deref(), Some("libonnxruntime.dylib"));
        assert_eq!(kept_as("libonnxruntime_providers_cuda.so").as_deref(), Some("libonnxruntime_providers_cuda.so"));
        assert_eq!(kept_as("DirectML.dll").as_deref(), Some("DirectML.dll"));
        assert_eq!(kept_as("LICENSE").as_deref(), Some("onnxruntime-LICENSE"));
        assert_eq!(kept_as("onnxruntime_pybind11_state.so"), None);
        assert_eq!(kept_as("__init__.py"), None);
    }
}
