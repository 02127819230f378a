//! What a project file keeps, and what a damaged one may not do.

use super::hold;
use crate::error::Result;
use crate::project;
use crate::validate::Setting;
use crate::validate::plug::{Format, Param, Setup};
use crate::validate::session::{Session, passes, sounds};
use std::time::Instant;

/// Longest that saving, loading or activating may keep a host's main thread. Far above what it takes (milliseconds),
/// far below loading a model on a slow disk.
const PATIENCE: f64 = 1.0;

fn offline() -> Setup {
    Setup { offline: true, ..Setup::default() }
}

/// Every parameter somewhere, and a take.
fn filled(setting: &Setting) -> Result<Session> {
    let mut session = Session::active(setting, offline())?;
    session.make_take(21, 512)?;
    session.deactivate()?;
    let params: Vec<Param> = session.instance.params().to_vec();
    let mut dice = setting.dice();
    for param in &params {
        // Buttons are not kept: a project that is opened presses nothing.
        if param.name != "Capture & Continue" && param.name != "Play" {
            session.instance.set_inactive(param.id, param.at(dice.unit()))?;
        }
    }
    let takes = session.takes()?.len();
    hold(takes == 1, || format!("one take was made, the state holds {takes}"))?;
    Ok(session)
}

/// Saved, loaded, saved: byte for byte; every parameter and every take; through streams of any grain.
pub fn round_trip(setting: &Setting) -> Result<String> {
    let mut session = filled(setting)?;
    let params: Vec<Param> = session.instance.params().to_vec();
    let saved = session.instance.save(usize::MAX)?;
    hold(session.instance.save(usize::MAX)? == saved, || "saving twice gives two states".into())?;
    let grains: &[usize] = if setting.format == Format::Clap { &[usize::MAX, 1, 7] } else { &[usize::MAX] };
    for grain in grains {
        let mut other = Session::open(setting)?;
        hold(other.instance.load(&saved, *grain)?, || format!("refused, given {grain} bytes at a time"))?;
        let again = other.instance.save(*grain)?;
        hold(again == saved, || format!("changed by loading and saving, {grain} bytes at a time"))?;
        for param in &params {
            let (before, after) = (session.instance.value(param.id)?, other.instance.value(param.id)?);
            hold((before - after).abs() < 1e-6, || format!("{:?} was {before} and is {after}", param.name))?;
        }
        hold(other.takes()? == session.takes()?, || "the takes changed".into())?;
    }
    if setting.format == Format::Vst3 {
        // A stream that gives one byte a call: taken whole or refused, never half.
        let mut other = Session::open(setting)?;
        let before = other.instance.save(usize::MAX)?;
        let taken = other.instance.load(&saved, 1)?;
        let after = other.instance.save(usize::MAX)?;
        hold(after == if taken { &saved } else { &before }[..], || "half a state was taken".into())?;
    }
    // The take sounds again in a new instance, and in the one it was loaded into while active.
    let mut other = Session::open(setting)?;
    other.instance.load(&saved, usize::MAX)?;
    other.activate(offline())?;
    let on = other.cue("Play", "on")?;
    let level = other.cue("Continuation level", "0 dB")?;
    let silence = vec![vec![0.0; 60_000]; 2];
    let heard = other.play(&silence, &[(0, level), (600, on)], |left| left.min(512))?;
    hold(sounds(&silence, &heard, 0), || "the take does not sound in a reopened project".into())?;
    Ok(format!("{} bytes with one take", saved.len()))
}

/// A state with other words in its text; CLAP's framework puts the length in front.
pub(super) fn edited(format: Format, state: &[u8], from: &str, to: &str) -> Vec<u8> {
    let head = if format == Format::Clap { 8 } else { 0 };
    let text = String::from_utf8_lossy(&state[head..]).replace(from, to);
    let mut bytes = if head > 0 { (text.len() as u64).to_le_bytes().to_vec() } else { Vec::new() };
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Empty, cut at every length, one bit wrong, random, huge claims, from a later version: nothing crashes, what is
/// refused changes nothing, and audio still passes.
pub fn damage(setting: &Setting) -> Result<String> {
    let mut session = filled(setting)?;
    let good = session.instance.save(usize::MAX)?;
    let mut dice = setting.dice();
    let mut tried = 0;
    // Refused, whole or nothing.
    for length in (0..good.len()).step_by(setting.times(1, 37)) {
        session.instance.load(&good[..length], usize::MAX)?;
        hold(session.instance.save(usize::MAX)? == good, || format!("cut to {length} bytes, it changed something"))?;
        tried += 1;
    }
    for _ in 0..3 {
        let random = dice.bytes(1 << 20);
        hold(!session.instance.load(&random, usize::MAX)?, || "a random megabyte was taken for a state".into())?;
        hold(session.instance.save(usize::MAX)? == good, || "a random megabyte changed something".into())?;
        tried += 1;
    }
    for wrapped in [b"\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(), (10_u64 << 30).to_le_bytes().to_vec(), nested()] {
        session.instance.load(&wrapped, usize::MAX)?;
        hold(session.instance.save(usize::MAX)? == good, || "a claim of a huge length changed something".into())?;
        tried += 1;
    }
    let takes = project::takes(&good)?;
    let later = edited(setting.format, &good, "\\\"version\\\":", "\\\"version\\\":99");
    hold(later != good, || "the state names no version".into())?;
    session.instance.load(&later, usize::MAX)?;
    hold(session.takes()? == takes, || "takes of a later version replaced the ones there".into())?;
    // A wrong bit may give another good state; it may not give a bad one.
    let params: Vec<Param> = session.instance.params().to_vec();
    for n in 0..setting.times(4000, 300) {
        let mut wrong = good.clone();
        let bit = dice.below(wrong.len() * 8);
        wrong[bit / 8] ^= 1 << (bit % 8);
        session.instance.load(&wrong, usize::MAX)?;
        let came = session.instance.save(usize::MAX)?;
        for param in &params {
            let value = session.instance.value(param.id)?;
            let inside = (param.min - 1e-6..=param.max + 1e-6).contains(&value);
            hold(inside, || format!("bit {bit} wrong: {:?} is {value}", param.name))?;
        }
        // What could not be read is kept beside the take that was there.
        hold(!project::takes(&came)?.is_empty(), || format!("bit {bit} wrong: the take is gone"))?;
        if n % 50 == 0 {
            hold(session.instance.load(&came, usize::MAX)?, || format!("bit {bit} wrong: gave a state it refuses"))?;
            hold(session.instance.save(usize::MAX)? == came, || format!("bit {bit} wrong: an unstable state"))?;
        }
        session.instance.load(&good, usize::MAX)?;
        tried += 1;
    }
    // Nothing of that has hurt it.
    let mut other = Session::open(setting)?;
    for length in [0, 7, 8, good.len() / 2] {
        other.instance.load(&good[..length], usize::MAX)?;
    }
    other.activate(offline())?;
    let input = dice.noise(2, 20_000);
    let heard = other.play(&input, &[], |left| left.min(512))?;
    passes(&input, &heard)?;
    Ok(format!("{tried} damaged states of {} bytes", good.len()))
}

/// Brackets without end, with the length CLAP's framework puts in front.
fn nested() -> Vec<u8> {
    let mut bytes = 200_000_u64.to_le_bytes().to_vec();
    bytes.resize(200_008, b'[');
    bytes
}

/// Saving, loading, activating never wait for a model: not for one that loads, not for one that generates.
pub fn never_waits(setting: &Setting) -> Result<String> {
    let mut session = filled(setting)?;
    let saved = session.instance.save(usize::MAX)?;
    drop(session);
    let mut slowest = 0.0_f64;
    let mut within = |what: &str, does: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        let begin = Instant::now();
        does()?;
        let took = begin.elapsed().as_secs_f64();
        slowest = slowest.max(took);
        hold(took < PATIENCE, || format!("{what} kept the main thread {took:.2} s"))
    };
    let mut session = Session::open(setting)?;
    within("loading before activation", &mut || session.instance.load(&saved, usize::MAX).map(|_| ()))?;
    within("activating", &mut || session.activate(Setup::default()))?;
    // The pack loads now.
    within("saving while a pack loads", &mut || session.instance.save(usize::MAX).map(|_| ()))?;
    within("loading while a pack loads", &mut || session.instance.load(&saved, usize::MAX).map(|_| ()))?;
    session.activate(offline())?;
    let mut cues = session.short(2)?;
    cues.push((0, session.cue("Continuation length", "∞")?));
    cues.extend(session.press(72_000)?);
    let mut input = crate::validate::session::chords(48_000.0, 1.5, 2);
    input.iter_mut().for_each(|c| c.resize(80_000, 0.0));
    session.play(&input, &cues, |left| left.min(512))?;
    within("saving while it generates", &mut || session.instance.save(usize::MAX).map(|_| ()))?;
    within("loading while it generates", &mut || session.instance.load(&saved, usize::MAX).map(|_| ()))?;
    hold(session.instance.save(usize::MAX)? == saved, || {
        "a state loaded while it generates is not what is saved".into()
    })?;
    Ok(format!("the slowest {:.1} ms", slowest * 1e3))
}
