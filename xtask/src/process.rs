//! Other programs: run quietly and say in one line what went wrong, or run in the open.

use crate::error::{Error, Result};
use std::io::Write;
use std::process::{Child, Command, Stdio};

/// The Python that is on the path.
#[must_use]
pub fn python() -> &'static str {
    if cfg!(windows) { "python" } else { "python3" }
}

/// The cargo that runs this, else the one on the path.
#[must_use]
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs to the end with the output kept; an error carries the program's last words.
pub fn quietly(command: &mut Command) -> Result<String> {
    let program = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::Program { program: program.clone(), reason: e.to_string() })?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Program { program, reason: last_words(&stderr, &stdout, &output.status.to_string()) })
}

/// Runs to the end with the output on the terminal.
pub fn openly(command: &mut Command) -> Result<()> {
    let program = describe(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|e| Error::Program { program: program.clone(), reason: e.to_string() })?;
    if status.success() { Ok(()) } else { Err(Error::Program { program, reason: status.to_string() }) }
}

/// Runs to the end with these words on its standard input; the output is dropped.
pub fn spoken_to(command: &mut Command, words: &str) -> Result<()> {
    let program = describe(command);
    let failed = |reason: String| Error::Program { program: program.clone(), reason };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    let said = child.stdin.take().map(|mut input| input.write_all(words.as_bytes()));
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    match said {
        Some(Ok(())) if status.success() => Ok(()),
        _ => Err(failed(status.to_string())),
    }
}

/// A program that runs beside this one, silently, and ends with this value.
#[derive(Debug)]
pub struct Beside {
    child: Child,
    program: String,
}

impl Beside {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = describe(command);
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match started {
            Ok(child) => Ok(Self { child, program }),
            Err(e) => Err(Error::Program { program, reason: e.to_string() }),
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<()> {
        let failed = |reason: String| Error::Program { program: self.program.clone(), reason };
        let status = self.child.wait().map_err(|e| failed(e.to_string()))?;
        if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line that says ERROR, else the last line of either stream, else the status.
fn last_words(stderr: &str, stdout: &str, status: &str) -> String {
    let error = stderr.lines().find(|l| l.to_lowercase().contains("error"));
    let last = |text: &str| text.lines().rev().find(|l| !l.trim().is_empty()).map(str::to_owned);
    error.map(str::to_owned).or_else(|| last(stderr)).or_else(|| last(stdout)).unwrap_or_else(|| status.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let error =
            quietly(Command::new(python()).args(["-c", "import sys; sys.exit('first\\nERROR: no such thing')"]));
        let text = error.expect_err("it fails").to_string();
        assert!(text.ends_with("ERROR: no such thing"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = quietly(&mut Command::new("no-such-program-as-this")).expect_err("it is not there");
        assert!(error.to_string().contains("no-such-program-as-this"));
    }
}
