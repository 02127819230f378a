//! One check, one process: a plugin that crashes or hangs takes only its own check along.

use super::plug::Format;
use super::table::{Check, Finds};
use super::{Setting, table};
use crate::error::{Error, Result};
use crate::{paths, runtime};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What became of a check.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "detail")]
pub enum Verdict {
    /// It held; a figure.
    Held(String),
    /// It did not, and why.
    DidNotHold(String),
    /// The process ended in a way it should not, and its last words.
    Crashed(String),
    /// It had not ended after so many seconds.
    TimedOut(u64),
}

impl Verdict {
    /// Whether it held.
    #[must_use]
    pub fn held(&self) -> bool {
        matches!(self, Self::Held(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held(figure) => write!(f, "held: {figure}"),
            Self::DidNotHold(why) => write!(f, "DID NOT HOLD: {why}"),
            Self::Crashed(how) => write!(f, "CRASHED: {how}"),
            Self::TimedOut(limit) => write!(f, "TIMED OUT after {limit} s"),
        }
    }
}

/// The child's side: one check in this process.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Which.
    id: String,
    /// The plugin.
    plugin: PathBuf,
    #[arg(long, value_enum)]
    format: Format,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    full: bool,
    #[arg(long, default_value_t = 8.0)]
    hours: f64,
}

/// Runs one check here and says its figure.
pub fn one(args: &One) -> Result<()> {
    let check = table::find(&args.id).ok_or_else(|| Error::Request(format!("no check {:?}", args.id)))?;
    let setting = Setting {
        plugin: args.plugin.clone(),
        format: args.format,
        seed: args.seed,
        full: args.full,
        hours: args.hours,
    };
    println!("{}", (check.run)(&setting)?);
    Ok(())
}

/// What every child is told.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// ONNX Runtime.
    pub library: PathBuf,
    /// An X server, if there is one.
    pub display: Option<String>,
    /// More of the environment.
    pub environment: Vec<(String, String)>,
}

impl Surroundings {
    /// The runtime of the checkout.
    pub fn new(display: Option<String>) -> Result<Self> {
        Ok(Self { library: runtime::cpu()?, display, environment: Vec::new() })
    }
}

/// The parent's side.
pub fn check(check: &Check, setting: &Setting, around: &Surroundings) -> Result<(Verdict, f64)> {
    let this = std::env::current_exe().map_err(|e| Error::file(Path::new("segue-xtask"), e))?;
    let mut command = Command::new(this);
    command.arg("validate-one").arg(check.id).arg(&setting.plugin);
    command.args(["--format", &setting.format.to_string(), "--seed", &setting.seed.to_string()]);
    command.args(["--hours", &setting.hours.to_string()]);
    if setting.full {
        command.arg("--full");
    }
    let nowhere = "/nowhere/at/all";
    match check.finds {
        Finds::Nothing => command.env("SEGUE_RUNTIME", nowhere).env("SEGUE_PACKS", nowhere),
        Finds::TestPack | Finds::Window => {
            command.env("SEGUE_RUNTIME", &around.library).env("SEGUE_PACKS", paths::test_pack())
        }
    };
    if let Some(display) = &around.display {
        command.env("DISPLAY", display);
    }
    command.envs(around.environment.iter().cloned());
    // Its own log would fill the pipe; what it says last is what matters, and that is one line.
    let begin = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| Error::host(format!("the check's process could not be started: {e}")))?;
    let out = child.stdout.take().map(drain);
    let err = child.stderr.take().map(drain);
    let limit = if setting.full { check.limit * 4 } else { check.limit };
    let status = loop {
        match child.try_wait().map_err(Error::host)? {
            Some(status) => break Some(status),
            None if begin.elapsed() > Duration::from_secs(limit) => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    let text = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        let bytes = reader.and_then(|r| r.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (said, complained) = (text(out), text(err));
    let verdict = match status {
        None => Verdict::TimedOut(limit),
        Some(status) if status.success() => {
            Verdict::Held(said.lines().next_back().unwrap_or_default().trim().to_owned())
        }
        Some(status) => match (status.code(), complained.lines().rev().find_map(|l| l.strip_prefix("error: "))) {
            (Some(1 | 2), Some(why)) => Verdict::DidNotHold(why.to_owned()),
            _ => Verdict::Crashed(format!("{status}: {}", last_words(&complained))),
        },
    };
    Ok((verdict, seconds))
}

fn drain(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// The line that says what happened: a panic's, else the last one.
fn last_words(text: &str) -> String {
    let telling = text.lines().find(|l| l.contains("panicked") || l.contains("memory allocation"));
    let line = telling.or_else(|| text.lines().rev().find(|l| !l.trim().is_empty())).unwrap_or("no last words");
    line.trim().chars().take(240).collect()
}
