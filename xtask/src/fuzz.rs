//! `cargo xtask fuzz`: random bytes for everything Segue parses itself, by libFuzzer, with the stable compiler.
//!
//! `fuzz/` has the layout of cargo-fuzz, which builds the same targets with the address sanitizer where there is a
//! nightly compiler.

use crate::error::{Error, Result};
use crate::{paths, process};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What cargo-fuzz asks of the compiler, without a sanitizer: all of it stable.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What is tried, and the longest input worth trying.
const TARGETS: [(&str, usize); 3] = [("state", 4096), ("manifest", 8192), ("graph", 1024)];

/// Feed random bytes to everything that Segue parses itself: projects, manifests, graphs.
///
/// Begins with fuzz/corpus/ and keeps what it finds in target/fuzz/, so that a later run goes on from there. An input
/// that panics, hangs or exhausts memory is left in target/fuzz/found/ and named.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these targets: state, manifest, graph.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// The seed of everything random.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u32,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let known = |name: &String| TARGETS.iter().any(|(target, _)| target == name);
    if let Some(unknown) = args.targets.iter().find(|name| !known(name)) {
        return Err(Error::Request(format!("no target {unknown:?}: there are state, manifest and graph")));
    }
    let programs = build()?;
    let found = paths::target().join("fuzz/found");
    std::fs::create_dir_all(&found).map_err(|e| Error::file(&found, e))?;
    for (target, longest) in TARGETS {
        if args.targets.is_empty() || args.targets.iter().any(|name| name == target) {
            println!("  {target:10} {}", fuzz(&programs, target, longest, args, &found)?);
        }
    }
    Ok(())
}

/// Builds the targets; the folder with the programs.
fn build() -> Result<PathBuf> {
    let target = paths::target().join("fuzz/build");
    let manifest = paths::root().join("fuzz/Cargo.toml");
    let mut cargo = Command::new(process::cargo());
    // A target triple keeps these flags from build scripts and macros.
    let triple = host()?;
    cargo.args(["build", "--release", "--quiet", "--target", &triple, "--manifest-path"]).arg(&manifest);
    cargo.arg("--target-dir").arg(&target).env("RUSTFLAGS", FLAGS);
    process::openly(&mut cargo)?;
    Ok(target.join(triple).join("release"))
}

/// The triple of this machine, as the compiler calls it.
fn host() -> Result<String> {
    let text = process::quietly(Command::new("rustc").arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_string).ok_or_else(|| Error::Check(format!("rustc does not say where it runs: {text}")))
}

/// Runs one target; what libFuzzer says at its end.
fn fuzz(programs: &Path, target: &str, longest: usize, args: &Args, found: &Path) -> Result<String> {
    let grown = paths::target().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&grown).map_err(|e| Error::file(&grown, e))?;
    let program = programs.join(format!("{target}{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(&program);
    command.arg(&grown).arg(paths::root().join("fuzz/corpus").join(target));
    command.args([
        format!("-max_total_time={}", args.seconds),
        format!("-seed={}", args.seed),
        format!("-max_len={longest}"),
        "-timeout=5".into(),
        "-rss_limit_mb=1024".into(),
        "-print_final_stats=1".into(),
        format!("-artifact_prefix={}/{target}-", found.display()),
    ]);
    let output = command.stdin(Stdio::null()).output().map_err(|e| Error::file(&program, e))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let words: Vec<&str> = text.lines().filter(|l| l.contains("panicked") || l.contains("written to")).collect();
        let words = if words.is_empty() { text.lines().rev().take(3).collect() } else { words };
        return Err(Error::Check(format!("{target}: {}", words.join("; "))));
    }
    let figure = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(&format!("stat::{name}:"))).map_or("?", str::trim).to_string()
    };
    let coverage = text.lines().rev().find_map(|l| l.split_once("cov: ")?.1.split_whitespace().next());
    Ok(format!(
        "held: {} inputs in {} s, {} branches",
        figure("number_of_executed_units"),
        args.seconds,
        coverage.unwrap_or("?")
    ))
}
