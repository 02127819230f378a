//! What the tests need of a bare Debian.

use crate::error::{Error, Result};
use crate::process;
use std::path::Path;
use std::process::Command;

/// A package, and the file by which its absence is noticed; `LIB` is the folder of the machine's libraries.
const NEEDED: &[(&str, &str)] = &[
    ("xvfb", "/usr/bin/Xvfb"),
    // The editor opens these at run time; Mesa's software renderer draws into Xvfb.
    ("libegl1", "LIB/libEGL.so.1"),
    ("libgl1", "LIB/libGL.so.1"),
    ("libgl1-mesa-dri", "LIB/dri/swrast_dri.so"),
    ("libx11-xcb1", "LIB/libX11-xcb.so.1"),
    ("libxkbcommon-x11-0", "LIB/libxkbcommon-x11.so.0"),
    // pedalboard, the VST3 host.
    ("libatomic1", "LIB/libatomic.so.1"),
];

/// What `--daw` needs besides.
const DAW: &[(&str, &str)] =
    &[("qtractor", "/usr/bin/qtractor"), ("jackd2", "/usr/bin/jack_rec"), ("xdotool", "/usr/bin/xdotool")];

/// Installs what is missing, or says how.
pub(crate) fn install(daw: bool) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let libraries = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let there = |sign: &str| Path::new(&sign.replace("LIB", &libraries)).exists();
    let mut missing: Vec<&str> = NEEDED
        .iter()
        .chain(if daw { DAW } else { &[] })
        .filter(|(_, sign)| !there(sign))
        .map(|(name, _)| *name)
        .collect();
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
