//! A screen nobody looks at.

use crate::error::{Error, Result};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// An X server without a screen, until it is dropped.
#[derive(Debug)]
pub(crate) struct Display {
    server: Option<Child>,
    /// `:7`, for DISPLAY.
    pub(crate) name: String,
}

impl Display {
    /// Starts Xvfb on a display of its own choice. Where there is no X11, there is nothing to start.
    pub(crate) fn start() -> Result<Self> {
        if !cfg!(target_os = "linux") {
            return Ok(Self { server: None, name: String::new() });
        }
        let failed = |reason: String| Error::Program { program: "Xvfb".into(), reason };
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "2560x1600x24", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failed(e.to_string()))?;
        let mut number = String::new();
        let read = server.stdout.take().map(|out| BufReader::new(out).read_line(&mut number));
        // From here on the server ends with this value, whatever was read.
        let display = Self { server: Some(server), name: format!(":{}", number.trim()) };
        match read {
            Some(Ok(_)) if !number.trim().is_empty() => Ok(display),
            _ => Err(failed("it did not say which display it is".into())),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
