//! What the tests need of a bare Debian.

use crate::error::{Error, Result};
use crate::process;
use std::path::Path;
use std::process::Command;

/// A package, and a file or program by which its absence is noticed.
const NEEDED: &[(&str, &[&str])] = &[
    ("xvfb", &["/usr/bin/Xvfb"]),
    // The editor opens these at run time; Mesa's software renderer draws into Xvfb.
    ("libgl1", &["/usr/lib/x86_64-linux-gnu/libGL.so.1", "/usr/lib/aarch64-linux-gnu/libGL.so.1"]),
    ("libglx-mesa0", &["/usr/lib/x86_64-linux-gnu/libGLX_mesa.so.0", "/usr/lib/aarch64-linux-gnu/libGLX_mesa.so.0"]),
    ("libgl1-mesa-dri", &["/usr/lib/x86_64-linux-gnu/dri/swrast_dri.so", "/usr/lib/aarch64-linux-gnu/dri/swrast_dri.so"]),
];

/// Installs what is missing, or says how.
pub(super) fn install() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let mut missing: Vec<&str> =
        NEEDED.iter().filter(|(_, signs)| !signs.iter().any(|sign| Path::new(sign).exists())).map(|(name, _)| *name).collect();
    // Debian's own Python has neither pip nor venv by itself.
    for (module, package) in [("pip", "python3-pip"), ("ensurepip", "python3-venv")] {
        let code = format!("import {module}");
        if process::quietly(Command::new(process::python()).args(["-c", &code])).is_err() {
            missing.push(package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get update && apt-get install -y --no-install-recommends {}", missing.join(" "));
    let root = process::quietly(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        return Err(Error::Missing { what: missing.join(", "), command: format!("sudo sh -c '{command}'") });
    }
    println!("installing {}", missing.join(" "));
    process::quietly(Command::new("sh").args(["-c", &command]).env("DEBIAN_FRONTEND", "noninteractive")).map(|_| ())
}
