//! `cargo xtask bench --scale`: how time and memory grow.

use super::{Args, machine, median};
use crate::chart::{self, Chart};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::stage::{Plan, RATE};
use crate::{audio, paths, report};
use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::models::Models;
use segue_engine::prompt::{OpenPrompt, Phase};
use segue_engine::take::TakeId;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Seconds of prompt.
const PROMPTS: [f64; 6] = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
/// Seconds of continuation, and of the windows in which its speed is taken.
const LONGEST: f64 = 300.0;
const WINDOW: f64 = 20.0;
const VARIATIONS: [u64; 5] = [1, 2, 4, 6, 8];
const VARIATION: f64 = 8.0;
const INSTANCES: usize = 5;
/// Seconds that a hot prompt takes in at a time.
const PIECE: f64 = 0.1;

/// Points are pairs: what grows, and the figure.
#[derive(Debug, Default, Serialize)]
struct Growth {
    machine: String,
    pack: String,
    /// Seconds of prompt; milliseconds to the first sample, nothing taken in before.
    cold_ms: Vec<(f64, f64)>,
    /// The same, all but the last tenth of a second taken in before.
    hot_ms: Vec<(f64, f64)>,
    /// Seconds of prompt; what taking it in by tenths of a second costs, as a share of its length.
    ahead_share: Vec<(f64, f64)>,
    /// Seconds of continuation; seconds made per second.
    speed: Vec<(f64, f64)>,
    /// Seconds of continuation; MB of the whole process.
    length_mb: Vec<(f64, f64)>,
    /// Variations made together; how many times as long as one.
    variations: Vec<(f64, f64)>,
    /// Instances that have made a take; MB of the whole process.
    instances_mb: Vec<(f64, f64)>,
}

/// Measures, and writes `scale.json` and `scale.png` into the folder.
pub(super) fn run(args: &Args, folder: &Path) -> Result<()> {
    let models = args.place.load()?;
    let summary = models.summary();
    let pack = format!("{} {}", summary.name, summary.version);
    let mut growth = Growth { machine: machine::describe(), pack, ..Growth::default() };
    prompts(&mut growth, &models, args.runs)?;
    variations(&mut growth, &models, args.runs)?;
    length(&mut growth, &models)?;
    drop(models);
    instances(&mut growth)?;
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    report::write(&folder.join("scale.json"), &growth)?;
    chart::draw(&charts(&growth), &folder.join("scale.png"))?;
    println!("{}", serde_json::to_string_pretty(&growth).unwrap_or_default());
    Ok(())
}

/// As much of the demo's recording, over and over.
fn playing(models: &Models, seconds: f64) -> Result<Vec<Vec<f32>>> {
    let recording = audio::read(&paths::default_prompt())?.at(models.sample_rate())?;
    let samples = (seconds * f64::from(models.sample_rate())) as usize;
    Ok(recording.planes.iter().map(|plane| plane.iter().copied().cycle().take(samples).collect()).collect())
}

fn first_sample(mut continuation: Continuation, clock: Instant) -> Result<f64> {
    while continuation.samples() == 0 {
        continuation.step(&Sampling::DEFAULT)?;
    }
    Ok(clock.elapsed().as_secs_f64() * 1e3)
}

fn prompts(growth: &mut Growth, models: &Arc<Models>, runs: u32) -> Result<()> {
    for seconds in PROMPTS {
        eprintln!("prompt of {seconds} s");
        let prompt = playing(models, seconds)?;
        let piece = (PIECE * f64::from(models.sample_rate())) as usize;
        let (mut cold, mut hot, mut ahead) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..runs {
            let clock = Instant::now();
            cold.push(first_sample(Continuation::prefill(Arc::clone(models), &prompt, run.into())?, clock)?);
            let mut open = OpenPrompt::new(Arc::clone(models), &prompt)?;
            let cut = |from: usize, to: usize| prompt.iter().map(|plane| plane[from..to].to_vec()).collect::<Vec<_>>();
            let last = prompt[0].len() - piece;
            let clock = Instant::now();
            for from in (0..last).step_by(piece) {
                open.take_in(&cut(from, (from + piece).min(last)), Phase::Ready)?;
            }
            ahead.push(clock.elapsed().as_secs_f64() / seconds);
            let clock = Instant::now();
            hot.push(first_sample(
                open.close(&cut(last, prompt[0].len()), run.into(), Some(&Sampling::DEFAULT))?,
                clock,
            )?);
        }
        for (points, values) in
            [(&mut growth.cold_ms, cold), (&mut growth.hot_ms, hot), (&mut growth.ahead_share, ahead)]
        {
            points.extend(median(values).map(|value| (seconds, value)));
        }
    }
    Ok(())
}

fn variations(growth: &mut Growth, models: &Arc<Models>, runs: u32) -> Result<()> {
    let take = Continuation::prefill(Arc::clone(models), &playing(models, 4.0)?, 1)?;
    let take = take.take(TakeId(1), String::new(), &Sampling::DEFAULT);
    let samples = (VARIATION * f64::from(models.sample_rate())) as usize;
    let mut one = None;
    for count in VARIATIONS {
        eprintln!("{count} variations");
        let mut times = Vec::new();
        for _ in 0..runs {
            times.push(super::engine::together(models, &take, &(1..=count).collect::<Vec<_>>(), samples)?);
        }
        let Some(time) = median(times) else { continue };
        growth.variations.push((count as f64, time / *one.get_or_insert(time)));
    }
    Ok(())
}

fn length(growth: &mut Growth, models: &Arc<Models>) -> Result<()> {
    eprintln!("{LONGEST} s of continuation");
    let mut continuation = Continuation::prefill(Arc::clone(models), &playing(models, 4.0)?, 1)?;
    let rate = f64::from(models.sample_rate());
    let (mut next, mut before, mut clock) = (WINDOW, 0.0, Instant::now());
    while next <= LONGEST {
        continuation.step(&Sampling::DEFAULT)?;
        let made = continuation.samples() as f64 / rate;
        if made >= next {
            growth.speed.push((made, (made - before) / clock.elapsed().as_secs_f64()));
            growth.length_mb.extend(machine::resident_mb().map(|mb| (made, mb)));
            (next, before, clock) = (next + WINDOW, made, Instant::now());
        }
    }
    Ok(())
}

fn instances(growth: &mut Growth) -> Result<()> {
    let playing = audio::read(&paths::default_prompt())?.at(RATE)?.stereo();
    let plan = Plan {
        playing,
        prompt: 4.0,
        lead: 3.0,
        length: 8.0,
        block: 512,
        variations: 1,
        seed: 1,
        real_time: false,
        leave: None,
    };
    let mut hosts = Vec::new();
    growth.instances_mb.extend(machine::resident_mb().map(|mb| (0.0, mb)));
    for count in 1..=INSTANCES {
        eprintln!("instance {count}");
        let mut host = Host::load(&paths::clap())?;
        plan.perform(&mut host, |_, _| {})?;
        hosts.push(host);
        growth.instances_mb.extend(machine::resident_mb().map(|mb| (count as f64, mb)));
    }
    Ok(())
}

fn charts(growth: &Growth) -> [Chart; 4] {
    [
        Chart {
            title: "Time to the first sample",
            axes: ["prompt (s)", "ms"],
            lines: vec![("cold", growth.cold_ms.clone()), ("hot", growth.hot_ms.clone())],
        },
        Chart {
            title: "Speed along a continuation",
            axes: ["continuation (s)", "seconds made per second"],
            lines: vec![("", growth.speed.clone())],
        },
        Chart {
            title: "Variations of 8 s, made together",
            axes: ["variations", "times as long as one"],
            lines: vec![
                ("together", growth.variations.clone()),
                ("one by one", growth.variations.iter().map(|(n, _)| (*n, *n)).collect()),
            ],
        },
        Chart {
            title: "Memory of the process",
            axes: ["instances", "MB"],
            lines: vec![("", growth.instances_mb.clone())],
        },
    ]
}
