//! `cargo xtask bench`: the figures of the design's section 6, measured here and now.

mod compare;
mod engine;
mod machine;
mod plugin;
mod profile;
mod scale;

use crate::engine::Place;
use crate::error::Result;
use crate::report::{self, Stage};
use crate::{bundle, paths};
use serde::Serialize;
use std::path::PathBuf;

/// Measure Segue on this machine.
///
/// The engine alone, the plugin in a host with blocks of 64 frames at 48 kHz, loading, memory and sizes. Medians over the
/// runs. What is not measured yet is null. Let the machine do nothing else meanwhile.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also write the figures there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print what has changed since the figures in this file.
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Instead, measure how time and memory grow, and write `scale.json` and `scale.png` into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["json", "compare"])]
    scale: Option<PathBuf>,
    /// Instead, time every node of every graph, and write `profile.json` and ONNX Runtime's profiles into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["json", "compare", "scale"])]
    profile: Option<PathBuf>,
    /// Runs to take medians over.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    #[command(flatten)]
    place: Place,
}

/// One flat object; the keys are the design's.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Processor, cores, system.
    machine: String,
    /// `cpu`, `cuda`, `directml`, `coreml`.
    device: String,
    /// Name and version.
    pack: String,
    /// Threads for one graph.
    threads: usize,
    /// Runs the medians are over.
    runs: u32,
    /// In a real-time-paced host: from calling the block with the trigger until the first block that sounds.
    ttfa_hot_ms: Option<f64>,
    /// The engine alone: from a recorded prompt of 4 s to the first sample, models loaded, nothing prefilled.
    ttfa_cold_ms: Option<f64>,
    /// Seconds of continuation per second, whole chain, after the first sample.
    speed: Option<f64>,
    /// The same as by a processor that has AVX2 and nothing beyond: the engine's own products so (`SEGUE_PROCESSOR`), AMX refused to
    /// ONNX Runtime, which encodes by whatever else there is.
    speed_avx2: Option<f64>,
    /// First sound of the engine alone, likewise.
    ttfa_cold_avx2_ms: Option<f64>,
    /// What one thread reads from memory.
    memory_gb_per_second: Option<f64>,
    /// Seconds of audio decoded per second.
    decode_x: Option<f64>,
    /// Seconds of prompt taken in per second, filling the stages' caches included.
    encode_x: Option<f64>,
    /// Blocks of 64 frames while the worker generates.
    callback_blocks: Option<usize>,
    /// Whether the thread that calls it had the priority of an audio thread (Linux, with the right to ask for it).
    callback_urgent: Option<bool>,
    /// Shares of such a block that `process` takes.
    callback_p50: Option<f64>,
    /// 99 %.
    callback_p99: Option<f64>,
    /// 99.99 %.
    callback_p9999: Option<f64>,
    /// Worst.
    callback_max: Option<f64>,
    /// The same of a loop that takes as long as `process` in the median and touches no memory, run after each of these blocks by the same
    /// thread: what the machine itself takes. 50 %.
    nothing_p50: Option<f64>,
    /// 99.99 %.
    nothing_p9999: Option<f64>,
    /// Worst.
    nothing_max: Option<f64>,
    /// Holes heard, all runs.
    underruns: Option<usize>,
    /// Not measured here: `cargo xtask test` aborts on the first one.
    allocations: Option<usize>,
    /// Opening the library and reading its descriptor.
    scan_ms: Option<f64>,
    /// Making an instance.
    instantiate_ms: Option<f64>,
    /// Loading runtime and pack, hashes checked, in a fresh process.
    ready_ms: Option<f64>,
    /// Memory of the first active instance.
    rss_first_mb: Option<f64>,
    /// Memory of one more, the mean of three.
    rss_next_mb: Option<f64>,
    /// Opening a project with a hundred takes.
    open_100_takes_ms: Option<f64>,
    /// An active instance that hears silence, as a share of a core.
    idle: Option<f64>,
    /// What its open editor adds, drawn by a software renderer.
    editor_idle: Option<f64>,
    /// Size of the CLAP.
    plugin_mb: Option<f64>,
    /// Size of ONNX Runtime.
    runtime_mb: Option<f64>,
    /// Size of the pack.
    pack_mb: Option<f64>,
    /// How many times as long eight variations of 8 s take together as one, prefill included.
    variations8_ratio: Option<f64>,
    /// Each stage's own speed.
    stages: Vec<Stage>,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    args.place.check()?;
    if let Some(folder) = &args.profile {
        return profile::run(args, folder);
    }
    bundle::bundle()?;
    if let Some(folder) = &args.scale {
        return scale::run(args, folder);
    }
    let mut figures = Figures { machine: machine::describe(), runs: args.runs, ..Figures::default() };
    // The plugin first: what it adds to this process's memory is its own.
    plugin::measure(&mut figures, args)?;
    engine::measure(&mut figures, args)?;
    figures.plugin_mb = Some(megabytes(paths::size(&paths::clap_library(&paths::clap()))));
    if let Some(path) = &args.json {
        report::write(path, &figures)?;
    }
    let text = serde_json::to_string_pretty(&figures).unwrap_or_default();
    println!("{text}");
    if let Some(old) = &args.compare {
        print!("{}", compare::table(old, &figures)?);
    }
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The middle one.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The value below which this share of the values lies.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median(vec![3.0, f64::NAN, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            (quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 0.9999)),
            (Some(50.0), Some(99.0), Some(100.0))
        );
        assert_eq!(quantile(&[], 0.5), None);
    }
}
