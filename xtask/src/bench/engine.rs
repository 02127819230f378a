//! The engine alone.

use super::{Args, Figures, machine, median, megabytes};
use crate::error::{Error, Result};
use crate::render;
use crate::report::Stage;
use crate::{audio, paths, process, runtime};
use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::models::Models;
use segue_engine::take::{Take, TakeId};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

const PROMPT: f64 = 4.0;
const LENGTH: f64 = 16.0;
const VARIATION: f64 = 8.0;

pub(super) fn measure(figures: &mut Figures, args: &Args) -> Result<()> {
    let begin = Instant::now();
    let models = args.place.load()?;
    figures.ready_ms = Some(begin.elapsed().as_secs_f64() * 1e3);
    let summary = models.summary();
    figures.pack = format!("{} {}", summary.name, summary.version);
    figures.device = summary.device;
    figures.threads = summary.threads;
    let recording = audio::read(&paths::default_prompt())?;
    let prompt = recording.cut(0, (PROMPT * f64::from(recording.rate)) as usize);
    let sampling = Sampling::DEFAULT;
    let heard = prompt.at(models.sample_rate())?;
    let (mut encode, mut all) = (Vec::new(), Vec::new());
    for run in 0..args.runs {
        eprintln!("engine, run {} of {}", run + 1, args.runs);
        let begin = Instant::now();
        Continuation::prefill(Arc::clone(&models), &heard.planes, 1)?;
        encode.push(PROMPT / begin.elapsed().as_secs_f64());
        all.push(render::render(&models, &prompt, LENGTH, u64::from(run) + 1, &sampling)?);
    }
    figures.encode_x = median(encode);
    figures.ttfa_cold_ms = median(all.iter().map(|r| r.report.ttfa_ms).collect());
    figures.speed = median(all.iter().map(|r| r.report.speed).collect());
    let manifest = models.manifest();
    let frame_ms = manifest.codec.hop as f64 * 1e3 / f64::from(manifest.audio.sample_rate);
    figures.decode_x = median(all.iter().filter_map(|r| r.decode_ms).map(|ms| frame_ms / ms).collect());
    let bandwidth = machine::bytes_per_second();
    figures.memory_gb_per_second = Some(bandwidth * 1e-9);
    for place in 0..manifest.stages.len() {
        let of: Vec<&Stage> = all.iter().filter_map(|r| r.report.stages.get(place)).collect();
        let Some(one) = of.first() else { continue };
        let ms_per_step = median(of.iter().filter_map(|s| s.ms_per_step).collect());
        let graph = models.folder().join(&manifest.stages[place].graph);
        let graph = std::fs::read(&graph).map_err(|e| Error::file(&graph, e))?;
        let bytes = segue_engine::pack::onnx::matrices_read(&graph).ok().map(|bytes| bytes as f64);
        let roofline = bytes.zip(ms_per_step).map(|(bytes, ms)| bytes / bandwidth / (ms * 1e-3));
        figures.stages.push(Stage {
            steps_per_second: median(of.iter().filter_map(|s| s.steps_per_second).collect()),
            ms_per_step,
            roofline,
            ..(*one).clone()
        });
    }
    figures.variations8_ratio = variations(&models, &heard.planes, args.runs)?;
    (figures.speed_avx2, figures.ttfa_cold_avx2_ms) = as_a_laptop(args)?;
    let pack: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    figures.pack_mb = Some(megabytes(pack));
    figures.runtime_mb = Some(megabytes(paths::size(&runtime::cpu()?)));
    Ok(())
}

/// Eight variations of one prompt against one.
fn variations(models: &Arc<Models>, prompt: &[Vec<f32>], runs: u32) -> Result<Option<f64>> {
    let sampling = Sampling::DEFAULT;
    let take = Continuation::prefill(Arc::clone(models), prompt, 1)?.take(TakeId(1), String::new(), &sampling);
    let samples = (VARIATION * f64::from(models.sample_rate())) as usize;
    let seeds: Vec<u64> = (1..=8).collect();
    let mut ratios = Vec::new();
    for run in 0..runs {
        eprintln!("variations, run {} of {runs}", run + 1);
        ratios.push(together(models, &take, &seeds, samples)? / together(models, &take, &seeds[..1], samples)?);
    }
    Ok(median(ratios))
}

/// Seconds that variations of a take with these seeds need, each as many samples long.
pub(super) fn together(models: &Arc<Models>, take: &Take, seeds: &[u64], samples: usize) -> Result<f64> {
    let clock = Instant::now();
    let mut waiting = seeds;
    while !waiting.is_empty() {
        let together = Continuation::prefill_together(models, take, waiting)?;
        waiting = &waiting[together.len()..];
        for mut one in together {
            while one.samples() < samples {
                one.step(&Sampling::DEFAULT)?;
            }
        }
    }
    Ok(clock.elapsed().as_secs_f64())
}

/// Speed and first sound of a processor that has AVX2 and nothing beyond.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn as_a_laptop(args: &Args) -> Result<(Option<f64>, Option<f64>)> {
    let folder = paths::target().join("bench");
    std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
    let report = folder.join("avx2.json");
    let (mut speeds, mut first) = (Vec::new(), Vec::new());
    for run in 0..args.runs {
        eprintln!("engine by AVX2, run {} of {}", run + 1, args.runs);
        let program = std::env::current_exe().map_err(|e| Error::file(Path::new("xtask"), e))?;
        let mut child = Command::new(program);
        child.arg("render").arg("--prompt").arg(paths::default_prompt()).arg("--out").arg(folder.join("avx2.wav"));
        child.args(["--seconds", &LENGTH.to_string(), "--seed", &(run + 1).to_string(), "--json"]).arg(&report);
        args.place.pass_on(&mut child);
        machine::without_amx(&mut child);
        process::quietly(child.env("SEGUE_PROCESSOR", "avx2"))?;
        let text = std::fs::read_to_string(&report).map_err(|e| Error::file(&report, e))?;
        let figures: serde_json::Value = serde_json::from_str(&text).map_err(|e| Error::file(&report, e))?;
        speeds.extend(figures["speed"].as_f64());
        first.extend(figures["ttfa_ms"].as_f64());
    }
    Ok((median(speeds), median(first)))
}

/// Nothing can be withheld here.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn as_a_laptop(_args: &Args) -> Result<(Option<f64>, Option<f64>)> {
    Ok((None, None))
}
