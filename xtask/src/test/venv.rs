//! Python's part: hosts for the VST3, and the tests of training/.

use crate::error::{Error, Result};
use crate::{paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A JUCE host from PyPI.
const HOST: &[&str] = &["pedalboard==0.9.26", "numpy"];

/// Another, which opens editors; for `--daw`.
const EDITOR_HOST: &[&str] = &["dawdreamer==0.9.0", "numpy"];

/// Makes a virtual environment under target/ with these requirements, unless it is there already.
fn venv(name: &str, requirements: &[String]) -> Result<PathBuf> {
    let folder = paths::target().join(name);
    let python = if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") };
    let stamp = folder.join("segue-requirements.txt");
    let wanted = requirements.join("\n");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    process::quietly(Command::new(process::python()).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(requirements);
    process::openly(pip.current_dir(paths::root()))?;
    std::fs::write(&stamp, wanted).map_err(|e| Error::file(&stamp, e))?;
    Ok(python)
}

/// The bundled VST3 in pedalboard.
pub(super) fn vst3() -> Result<()> {
    let python = venv("venv-vst3", &HOST.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>())?;
    let script = paths::root().join("xtask/python/vst3_check.py");
    process::openly(Command::new(python).arg(script).arg(paths::vst3()).arg(paths::default_prompt()))
}

/// A Python with DawDreamer.
#[cfg(target_os = "linux")]
pub(super) fn dawdreamer() -> Result<PathBuf> {
    venv("venv-juce", &EDITOR_HOST.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>())
}

/// pytest in training/, PyTorch against ONNX Runtime among it.
pub(super) fn training(library: &Path) -> Result<()> {
    let requirements = paths::root().join("training/requirements.txt");
    let text = std::fs::read_to_string(&requirements).map_err(|e| Error::file(&requirements, e))?;
    // The text itself is part of the stamp: a changed file makes a new environment.
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut wanted: Vec<String> = lines.filter(|l| !l.starts_with('-')).map(str::to_owned).collect();
    wanted.push("pytest".into());
    let python = venv("venv-training", &wanted)?;
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "tests"]).current_dir(paths::root().join("training"));
    pytest.env("SEGUE_RUNTIME", library).env("SEGUE_PACKS", paths::packs());
    process::openly(&mut pytest)
}
