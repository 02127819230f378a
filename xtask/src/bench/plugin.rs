//! The plugin in a host.

use super::{Args, Figures, machine, median, quantile};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::stage::{Performance, Plan, RATE};
use crate::test::display::Display;
use crate::{audio, check, paths, process};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const BLOCK: usize = 64;
const LENGTH: f64 = 8.0;
/// What is made while `process` is measured: long enough for ten thousand blocks, of which one may be slow.
const LONG: f64 = 60.0;
const TAKES: usize = 8;
/// Seconds after which it is broken off.
const LEAVE: f64 = 16.0;
/// Instances beside the first: what one takes is often the allocator's, which takes and gives back many pages at once.
const FURTHER: usize = 3;
const REST: Duration = Duration::from_secs(3);

pub(super) fn measure(figures: &mut Figures, args: &Args) -> Result<()> {
    let playing = audio::read(&paths::default_prompt())?.at(RATE)?.stereo();
    let plan = Plan {
        playing,
        prompt: 4.0,
        lead: 3.0,
        length: LENGTH,
        block: BLOCK,
        variations: 1,
        seed: 0,
        real_time: true,
        leave: None,
    };
    let before = machine::resident_mb();
    let mut first = Host::load(&paths::clap())?;
    figures.scan_ms = Some(first.scan_seconds * 1e3);
    let (mut ttfa, mut holes, mut shares) = (Vec::new(), 0, Vec::new());
    for run in 0..args.runs {
        eprintln!("plugin, run {} of {}: {:.0} s", run + 1, args.runs, plan.lead + plan.prompt + plan.length);
        let p = plan.perform(&mut first, |_, _| {})?;
        ttfa.extend(p.ttfa_ms);
        holes += p.underruns;
        shares.extend(while_generating(&p));
    }
    let alone = at_rest();
    let mut further = Vec::new();
    for one in 0..FURTHER {
        eprintln!("plugin, further instance {} of {FURTHER}", one + 1);
        let mut host = Host::load(&paths::clap())?;
        plan.perform(&mut host, |_, _| {})?;
        further.push(host);
    }
    let all = at_rest();
    figures.rss_first_mb = alone.zip(before).map(|(after, before)| after - before);
    figures.rss_next_mb = all.zip(alone).map(|(after, before)| (after - before) / FURTHER as f64);
    let mut second = further.swap_remove(0);
    drop(further);
    let (project, _) = check::hundred_takes(&first.save()?)?;
    let begin = Instant::now();
    second.restore(&project)?;
    figures.open_100_takes_ms = Some(begin.elapsed().as_secs_f64() * 1e3);
    let instances: Vec<f64> = [first.instantiate_seconds, second.instantiate_seconds].map(|s| s * 1e3).into();
    figures.instantiate_ms = median(instances);
    figures.ttfa_hot_ms = median(ttfa);
    figures.underruns = Some(holes);
    let long = Plan { length: LONG, variations: TAKES, leave: Some(LEAVE), ..plan };
    for run in 0..args.runs {
        let seconds = long.lead + long.prompt + LEAVE;
        eprintln!("plugin, {TAKES} takes, run {} of {}: {seconds:.0} s", run + 1, args.runs);
        let performance = long.perform(&mut first, |_, _| {})?;
        shares.extend(while_generating(&performance));
        figures.callback_urgent = Some(performance.heard.urgent);
    }
    let [process, nothing] = [|b: &Shares| b.process, |b: &Shares| b.nothing].map(|of| sorted(shares.iter().map(of)));
    figures.callback_blocks = Some(shares.len());
    figures.callback_p50 = quantile(&process, 0.5);
    figures.callback_p99 = quantile(&process, 0.99);
    figures.callback_p9999 = quantile(&process, 0.9999);
    figures.callback_max = process.last().copied();
    figures.nothing_p50 = quantile(&nothing, 0.5);
    figures.nothing_p9999 = quantile(&nothing, 0.9999);
    figures.nothing_max = nothing.last().copied();
    idle(figures)?;
    Ok(())
}

/// What is resident once the workers have given back what they no longer need.
fn at_rest() -> Option<f64> {
    std::thread::sleep(REST);
    machine::resident_mb()
}

/// What an instance and its editor need while nothing happens; nothing is known where no display can be had.
fn idle(figures: &mut Figures) -> Result<()> {
    let Ok(display) = Display::start() else { return Ok(()) };
    let program = std::env::current_exe().map_err(|e| Error::file(Path::new("xtask"), e))?;
    let mut host = Command::new(program);
    host.args(["host-check", "idle", "--clap"]).arg(paths::clap()).env("DISPLAY", &display.name);
    let said = process::quietly(&mut host)?;
    let mut shares = said.split_whitespace().map(|share| share.parse().ok());
    (figures.idle, figures.editor_idle) = (shares.next().flatten(), shares.next().flatten());
    Ok(())
}

/// Shares of a block.
struct Shares {
    process: f64,
    nothing: f64,
}

fn sorted(shares: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut shares: Vec<f64> = shares.collect();
    shares.sort_by(f64::total_cmp);
    shares
}

/// What `process`, and nothing, took of each block between the trigger and the finished take.
fn while_generating(p: &Performance) -> Vec<Shares> {
    let block = BLOCK as f64 / f64::from(RATE);
    let until = |called| p.finished.is_none_or(|end| called < end);
    let blocks = p.heard.blocks.iter().skip(p.trigger / BLOCK).take_while(|b| until(b.called));
    blocks.map(|b| Shares { process: b.took.as_secs_f64() / block, nothing: b.nothing.as_secs_f64() / block }).collect()
}
