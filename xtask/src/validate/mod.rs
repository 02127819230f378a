//! `cargo xtask validate`: tries to break the built plugin as hosts, users and damaged files would, one promise after
//! the other, each in a process of its own with a time limit and a seed that reproduces it. In the spirit of
//! clap-validator and pluginval; what it knows beyond them is what Segue promises.

pub mod checks;
pub mod defects;
pub mod measure;
pub mod plug;
pub mod promises;
pub mod run;
pub mod session;
pub mod syscalls;
pub mod table;

use crate::error::{Error, Result};
use crate::test::display::Display;
use crate::{bundle, paths};
use plug::{Format, Library};
use run::{Surroundings, Verdict};
use session::Dice;
use std::path::{Path, PathBuf};
use table::{CHECKS, Check, When};

/// Try to break the built plugin, promise by promise.
///
/// Each check runs in a process of its own, with a time limit and the seed given, and ends as held, did not hold (and
/// why), crashed, or timed out. Without PLUGIN, the bundled CLAP and VST3 are tried.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .clap or .vst3 (default: both of target/bundled, built if they are missing).
    plugin: Option<PathBuf>,
    /// The format, where the name does not say it.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The seed of everything random.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Write every verdict to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these checks (may be given several times).
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,
    /// Fewer rounds of everything, within a minute, as `cargo xtask test` runs it.
    #[arg(long)]
    quick: bool,
    /// The load of eight instances and hours of simulated use too.
    #[arg(long)]
    long: bool,
    /// Hours that --long simulates.
    #[arg(long, default_value_t = 8.0, value_name = "H")]
    hours: f64,
    /// Build the plugin with seeded defects and show that each is caught.
    #[arg(long)]
    defects: bool,
    /// Write docs/promises.md with the figures of this run.
    #[arg(long)]
    record: bool,
    /// List the checks.
    #[arg(long)]
    list: bool,
}

/// What a check is told.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The plugin's file or bundle.
    pub plugin: PathBuf,
    /// Its format.
    pub format: Format,
    /// Of everything random.
    pub seed: u64,
    /// All rounds, not only a few.
    pub full: bool,
    /// Hours of the soak.
    pub hours: f64,
}

impl Setting {
    /// Opens the plugin's library.
    pub fn library(&self) -> Result<Library> {
        Library::open(&self.plugin, self.format)
    }
    /// Reproducible chance, the same each time it is asked for.
    #[must_use]
    pub fn dice(&self) -> Dice {
        Dice::new(self.seed)
    }
    /// Rounds in a full run, in a quick run.
    #[must_use]
    pub fn times(&self, full: usize, quick: usize) -> usize {
        if self.full { full } else { quick }
    }
}

/// One line of the report.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    /// The check.
    pub id: &'static str,
    /// What it tries.
    pub promise: &'static str,
    /// In which format.
    pub format: Format,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        for check in CHECKS {
            println!("{:16} {}", check.id, check.promise);
        }
        return Ok(());
    }
    if let Some(unknown) = args.only.iter().find(|id| table::find(id).is_none()) {
        return Err(Error::Request(format!("no check {unknown:?}: cargo xtask validate --list names them")));
    }
    let display = display()?;
    let around = Surroundings::new(display.as_ref().map(|d| d.name.clone()).filter(|name| !name.is_empty()))?;
    if args.defects {
        return defects::run(args.seed, &around);
    }
    let mut outcomes = Vec::new();
    for (plugin, format) in plugins(args)? {
        let setting = Setting { plugin, format, seed: args.seed, full: !args.quick, hours: args.hours };
        outcomes.extend(validate(&setting, &around, |check| wanted(args, check))?);
    }
    if let Some(path) = &args.json {
        let report = serde_json::json!({ "seed": args.seed, "full": !args.quick, "checks": outcomes });
        let text = serde_json::to_string_pretty(&report).map_err(Error::host)?;
        std::fs::write(path, text + "\n").map_err(|e| Error::file(path, e))?;
    }
    if args.record {
        promises::record(&outcomes)?;
    }
    verdict(&outcomes)
}

fn wanted(args: &Args, check: &Check) -> bool {
    if !args.only.is_empty() {
        return args.only.iter().any(|id| id == check.id);
    }
    match check.when {
        When::Always => true,
        When::Full => !args.quick,
        When::Long => args.long,
    }
}

/// A screen for the editor: the one there is, else one of our own.
fn display() -> Result<Option<Display>> {
    let there = std::env::var_os("DISPLAY").is_some_and(|d| !d.is_empty());
    if there || !cfg!(target_os = "linux") { Ok(None) } else { Display::start().map(Some) }
}

fn plugins(args: &Args) -> Result<Vec<(PathBuf, Format)>> {
    let Some(plugin) = &args.plugin else {
        if !paths::clap().exists() || !paths::vst3().exists() {
            bundle::bundle()?;
        }
        let all = [(paths::clap(), Format::Clap), (paths::vst3(), Format::Vst3)];
        return Ok(all.into_iter().filter(|(_, format)| args.format.is_none_or(|wanted| wanted == *format)).collect());
    };
    if !plugin.exists() {
        return Err(Error::file(plugin, "there is no such plugin"));
    }
    let named = match plugin.extension().and_then(|e| e.to_str()) {
        Some("clap") => Some(Format::Clap),
        Some("vst3") => Some(Format::Vst3),
        _ => None,
    };
    let format = args.format.or(named);
    let format =
        format.ok_or_else(|| Error::Request(format!("{}: --format clap or vst3 is wanted", plugin.display())))?;
    let plugin = std::fs::canonicalize(plugin).map_err(|e| Error::file(plugin, e))?;
    Ok(vec![(plugin, format)])
}

/// Runs the checks that are wanted, saying each verdict as it comes.
pub fn validate(setting: &Setting, around: &Surroundings, wanted: impl Fn(&Check) -> bool) -> Result<Vec<Outcome>> {
    println!("{} ({}), seed {}", setting.plugin.display(), setting.format, setting.seed);
    let mut outcomes = Vec::new();
    for check in CHECKS.iter().filter(|c| c.formats.contains(&setting.format) && wanted(c)) {
        let (verdict, seconds) = run::check(check, setting, around)?;
        println!("  {:16} {verdict} ({seconds:.1} s)", check.id);
        outcomes.push(Outcome { id: check.id, promise: check.promise, format: setting.format, verdict, seconds });
    }
    Ok(outcomes)
}

/// The quick run of `cargo xtask test`.
pub fn quick(plugin: &Path, format: Format, display: &str) -> Result<()> {
    let around = Surroundings::new(Some(display.to_owned()).filter(|d| !d.is_empty()))?;
    let setting = Setting { plugin: plugin.to_path_buf(), format, seed: 1, full: false, hours: 0.0 };
    let outcomes = validate(&setting, &around, |check| check.when == When::Always)?;
    verdict(&outcomes)
}

fn verdict(outcomes: &[Outcome]) -> Result<()> {
    let failed: Vec<String> =
        outcomes.iter().filter(|o| !o.verdict.held()).map(|o| format!("{} ({})", o.id, o.format)).collect();
    let seconds: f64 = outcomes.iter().map(|o| o.seconds).sum();
    let count = format!("{} checks, {} held, in {seconds:.0} s", outcomes.len(), outcomes.len() - failed.len());
    if failed.is_empty() {
        println!("{count}");
        return Ok(());
    }
    Err(Error::Check(format!("{count}; these did not: {}", failed.join(", "))))
}
