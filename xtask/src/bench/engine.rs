//! The engine alone.

use super::{Args, Figures, median, megabytes};
use crate::error::Result;
use crate::render;
use crate::report::Stage;
use crate::{audio, paths, runtime};
use segue_engine::continuation::{Continuation, Sampling};
use std::sync::Arc;
use std::time::Instant;

const PROMPT: f64 = 4.0;
const LENGTH: f64 = 16.0;

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
    for place in 0..manifest.stages.len() {
        let of: Vec<&Stage> = all.iter().filter_map(|r| r.report.stages.get(place)).collect();
        let Some(one) = of.first() else { continue };
        figures.stages.push(Stage {
            steps_per_second: median(of.iter().filter_map(|s| s.steps_per_second).collect()),
            ms_per_step: median(of.iter().filter_map(|s| s.ms_per_step).collect()),
            ..(*one).clone()
        });
    }
    let pack: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    figures.pack_mb = Some(megabytes(pack));
    figures.runtime_mb = Some(megabytes(paths::size(&runtime::cpu()?)));
    Ok(())
}
