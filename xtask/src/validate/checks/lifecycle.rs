//! Loading, making, ending: what a host does to a plugin before and after it is heard.

use super::hold;
use crate::error::Result;
use crate::validate::plug::{Library, Setup};
use crate::validate::session::{Session, passes, sounds};
use crate::validate::{Setting, measure};
use std::time::{Duration, Instant};

/// Until the threads of instances that are gone have ended.
fn threads_back_to(before: usize) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        if measure::threads().is_none_or(|now| now <= before) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Opening, making and ending instances loads no runtime and leaves no thread.
pub fn scan(setting: &Setting) -> Result<String> {
    let begin = Instant::now();
    let library = setting.library()?;
    let scan = begin.elapsed().as_secs_f64() * 1e3;
    drop(library.instance()?);
    let before = measure::threads().unwrap_or(0);
    let mut made = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        let instance = library.instance()?;
        made.push(begin.elapsed().as_secs_f64() * 1e3);
        hold(instance.params().len() >= 10, || format!("only {} parameters", instance.params().len()))?;
    }
    hold(!measure::has_loaded("onnxruntime"), || "ONNX Runtime is loaded although nobody has activated".into())?;
    hold(threads_back_to(before), || format!("{:?} threads are left of {before} after closing", measure::threads()))?;
    made.sort_by(f64::total_cmp);
    Ok(format!("scan {scan:.1} ms, instantiate {:.1} ms", made[2]))
}

/// Any legal order of activate, start, process, reset, stop, deactivate, load, at changing rates and modes.
pub fn orders(setting: &Setting) -> Result<String> {
    let mut dice = setting.dice();
    let mut session = Session::open(setting)?;
    let state = session.instance.save(usize::MAX)?;
    let (mut active, mut started) = (false, false);
    let steps = setting.times(600, 120);
    for step in 0..steps {
        match dice.below(8) {
            0 | 1 if !active => {
                let rate = *dice.pick(&[44_100.0, 48_000.0, 96_000.0]);
                let offline = dice.below(4) == 0;
                let channels = 1 + dice.below(2);
                session.activate(Setup { rate, max_block: 1 + dice.below(2048), channels, offline })?;
                (active, started) = (true, true);
            }
            2 if active && started => {
                session.audio()?.stop();
                started = false;
            }
            3 if active && !started => {
                session.audio()?.start()?;
                started = true;
            }
            4 if active && !started => {
                session.deactivate()?;
                active = false;
            }
            5 if active => session.audio()?.reset(),
            6 => {
                let loaded = session.instance.load(&state, usize::MAX)?;
                hold(loaded, || format!("step {step}: its own state was refused"))?;
            }
            7 if !active && dice.below(4) == 0 => {
                drop(session);
                session = Session::open(setting)?;
            }
            _ if active && started => {
                let frames = 1 + dice.below(3000);
                let input = dice.noise(session.setup.channels, frames);
                let heard = session.play(&input, &[], |left| left)?;
                passes(&input, &heard)?;
            }
            _ => {}
        }
        session.instance.pump();
    }
    Ok(format!("{steps} steps"))
}

/// A thousand instances, each activated, played and ended: no thread and no memory stays behind.
pub fn thousand(setting: &Setting) -> Result<String> {
    // One instance stays, as in a project: the others share its weights.
    let mut keeper = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
    keeper.make_take(1, 512)?;
    let once = || -> Result<()> {
        let mut session = Session::active(setting, Setup::default())?;
        let silence = vec![vec![0.0; 512]; 2];
        session.play(&silence, &[], |left| left)?;
        session.deactivate()
    };
    let count = setting.times(1000, 60);
    for _ in 0..count / 2 {
        once()?;
    }
    let (threads, memory) = (measure::threads().unwrap_or(0), measure::resident_mb());
    for _ in 0..count / 2 {
        once()?;
    }
    hold(threads_back_to(threads), || format!("{:?} threads, {threads} half way", measure::threads()))?;
    let grown = measure::resident_mb().zip(memory).map_or(0.0, |(after, before)| after - before);
    let allowed = 4.0 + count as f64 * 0.02;
    hold(grown < allowed, || format!("{grown:.1} MB stay behind of {} instances", count / 2))?;
    Ok(format!("{count} instances, {grown:+.1} MB over the second half"))
}

/// Closing in the middle of loading, prefill, generation, and decoding: nothing crashes, hangs or stays behind.
pub fn destroy_while(setting: &Setting) -> Result<String> {
    let mut dice = setting.dice();
    let mut keeper = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
    keeper.make_take(1, 512)?;
    let with_take = keeper.instance.save(usize::MAX)?;
    // Without this the next ones would find the weights loaded.
    let library = setting.library()?;
    drop(keeper);
    let before = measure::threads().unwrap_or(0);
    let rounds = setting.times(40, 6);
    let mut slowest = 0.0_f64;
    for _ in 0..rounds {
        // Loading: any moment of it.
        let loading = Session::active(setting, Setup::default())?;
        std::thread::sleep(Duration::from_millis(dice.below(120) as u64));
        slowest = slowest.max(close(loading));
        // Decoding: the state brings a take, which the worker decodes as soon as its pack is there.
        let mut decoding = Session::open(setting)?;
        decoding.instance.load(&with_take, usize::MAX)?;
        decoding.activate(Setup::default())?;
        std::thread::sleep(Duration::from_millis(dice.below(200) as u64));
        slowest = slowest.max(close(decoding));
        // Prefill and generation: the length has no end.
        let mut generating = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
        let mut cues = generating.short(3)?;
        cues.push((0, generating.cue("Continuation length", "∞")?));
        cues.extend(generating.press(60_000)?);
        let mut input = crate::validate::session::chords(48_000.0, 1.25, 2);
        let frames = 60_000 + 512 * (1 + dice.below(20));
        input.iter_mut().for_each(|c| c.resize(frames, 0.0));
        generating.play(&input, &cues, |_| 512)?;
        std::thread::sleep(Duration::from_millis(dice.below(40) as u64));
        slowest = slowest.max(close(generating));
    }
    drop(library);
    hold(threads_back_to(before), || format!("{:?} threads are left of {before}", measure::threads()))?;
    hold(slowest < 10.0, || format!("closing took {slowest:.1} s"))?;
    Ok(format!("{} closings, the slowest {:.0} ms", rounds * 3, slowest * 1e3))
}

fn close(session: Session) -> f64 {
    let begin = Instant::now();
    drop(session);
    begin.elapsed().as_secs_f64()
}

/// `process` although nobody has activated, and after deactivation, as a host's audio thread that is a block late does:
/// no crash.
pub fn unactivated(setting: &Setting) -> Result<String> {
    let mut session = Session::open(setting)?;
    session.instance.process_inactive()?;
    session.activate(Setup { max_block: 64, ..Setup::default() })?;
    session.deactivate()?;
    session.instance.process_inactive()?;
    // And it is none the worse for it.
    session.activate(Setup { offline: true, ..Setup::default() })?;
    let (input, heard) = session.make_take(1, 256)?;
    hold(sounds(&input, &heard, 0), || "it does not continue afterwards".into())?;
    Ok("no crash, and works afterwards".into())
}

/// With no runtime and no pack to be found: it loads, passes audio, takes triggers, saves.
pub fn nothing_there(setting: &Setting) -> Result<String> {
    let library = Library::open(&setting.plugin, setting.format)?;
    drop(library);
    let mut session = Session::active(setting, Setup::default())?;
    let press = session.press(20_000)?;
    let input = setting.dice().noise(2, 96_000);
    let heard = session.play(&input, &press, |left| left.min(256))?;
    passes(&input, &heard)?;
    hold(!session.instance.save(usize::MAX)?.is_empty(), || "the state is empty".into())?;
    hold(session.takes()?.is_empty(), || "there is a take, out of nothing".into())?;
    Ok("passes audio bit for bit".into())
}
