//! The VST3's editor in a JUCE host: DawDreamer opens its window, which is looked at, and closed as by a window manager.

use super::hold;
use super::window::{ACCENT, content, near, share};
use crate::error::{Error, Result};
use crate::host::window::Screen;
use crate::{paths, spectrogram};
use image::RgbImage;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A host in Python starts slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens, looks, closes; `python` has DawDreamer. The picture goes to `shots`.
pub fn opens(python: &Path, display: &str, shots: &Path) -> Result<()> {
    let screen = Screen::open(display)?;
    // JUCE takes for granted what a window manager would have named, and there is none.
    screen.name_atoms(ATOMS)?;
    let script = paths::root().join("xtask/python/juce_editor.py");
    let mut command = Command::new(python);
    command.arg(script).arg(paths::vst3()).env("DISPLAY", display).stdin(Stdio::null()).stdout(Stdio::null());
    let mut host = command.spawn().map_err(|e| Error::file(python, e))?;
    let looked = look(&mut host, &screen, shots);
    if looked.is_err() {
        // It may have ended by itself.
        let _ = host.kill();
    }
    let ended = host.wait().map_err(|e| Error::file(python, e))?;
    let picture = looked?;
    hold(ended.success(), || format!("the host ended with {ended} after its window was closed"))?;
    println!("JUCE: the editor drew {}×{}, and closed", picture.width(), picture.height());
    Ok(())
}

/// Names of the window manager's conventions that JUCE looks up, and does not expect to be missing.
const ATOMS: &[&str] = &[
    "UTF8_STRING",
    "WM_DELETE_WINDOW",
    "WM_PROTOCOLS",
    "WM_TAKE_FOCUS",
    "XdndAware",
    "_MOTIF_WM_HINTS",
    "_NET_WM_ALLOWED_ACTIONS",
    "_NET_WM_ICON",
    "_NET_WM_PID",
    "_NET_WM_PING",
    "_NET_WM_STATE",
    "_NET_WM_USER_TIME",
    "_NET_WM_WINDOW_TYPE",
    "_NET_WM_WINDOW_TYPE_COMBO",
    "_NET_WM_WINDOW_TYPE_NORMAL",
    "_KDE_NET_WM_WINDOW_TYPE_OVERRIDE",
    "_XEMBED",
    "_XEMBED_INFO",
];

/// Waits until the editor has drawn, looks, closes the window and waits for the host's end.
fn look(host: &mut Child, screen: &Screen, shots: &Path) -> Result<RgbImage> {
    let begin = Instant::now();
    let mut ended = |what: &str| -> Result<bool> {
        std::thread::sleep(Duration::from_millis(100));
        hold(begin.elapsed() < PATIENCE, || format!("the JUCE host {what}"))?;
        host.try_wait().map(|status| status.is_some()).map_err(Error::host)
    };
    let (window, picture) = loop {
        hold(!ended("shows no editor")?, || "the JUCE host ended before it showed the editor".into())?;
        if let Some(window) = screen.window("DawDreamer")? {
            let picture = screen.picture(window)?;
            if share(&picture, |p| near(p, ACCENT)) > 0.003 {
                break (window, picture);
            }
        }
    };
    spectrogram::save(&picture, &shots.join("juce-editor.png"))?;
    content("in JUCE", &picture)?;
    screen.close(window)?;
    while !ended("does not end after its window was closed")? {}
    Ok(picture)
}
