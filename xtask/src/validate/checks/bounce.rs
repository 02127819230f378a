//! A render holds what was heard.

use super::hold;
use crate::error::Result;
use crate::validate::Setting;
use crate::validate::plug::Setup;
use crate::validate::session::{Cue, Session, Sound, chords, difference, sounds};
use std::time::{Duration, Instant};

const BLOCK: usize = 256;
const BAR: u64 = 96_000;

/// −120 dB.
const NULL: f32 = 1e-6;

/// A project: a bar of silence, a prompt, the trigger, the continuation from the next bar on.
fn project(session: &mut Session) -> Result<(Sound, Vec<(u64, Cue)>)> {
    let trigger = BAR + 60_000;
    let mut input: Vec<Vec<f32>> = vec![vec![0.0; BAR as usize]; 2];
    for (channel, sound) in input.iter_mut().zip(chords(48_000.0, 1.25, 2)) {
        channel.extend(sound);
        channel.resize(3 * BAR as usize + 24_000, 0.0);
    }
    let mut cues = session.short(77)?;
    cues.push((0, session.cue("Start", "Next bar")?));
    cues.extend(session.press(trigger)?);
    Ok((input, cues))
}

fn render(setting: &Setting, offline: bool) -> Result<(Sound, Sound)> {
    let mut session = Session::open(setting)?;
    // A host that bounces has played before, in real time.
    session.activate(Setup::default())?;
    session.activate(Setup { offline, max_block: BLOCK, ..Setup::default() })?;
    let (input, cues) = project(&mut session)?;
    let begin = Instant::now();
    let mut frames = 0;
    let heard = session.play(&input, &cues, |left| {
        if !offline {
            let due = begin + Duration::from_secs_f64(frames as f64 / 48_000.0);
            if let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(left);
            }
        }
        let length = left.min(BLOCK);
        frames += length;
        length
    })?;
    Ok((input, heard))
}

/// An offline render of a session with a trigger is what real time played: to −120 dB.
pub fn continuation(setting: &Setting) -> Result<String> {
    let (input, live) = render(setting, false)?;
    hold(sounds(&input, &live, 2 * BAR as usize), || "nothing was heard in real time".into())?;
    let (_, bounced) = render(setting, true)?;
    hold(sounds(&input, &bounced, 2 * BAR as usize), || "nothing is in the bounce".into())?;
    let step = difference(&live, &bounced);
    let db = 20.0 * step.max(1e-12).log10();
    hold(step <= NULL, || format!("the bounce differs from real time by {db:.0} dB"))?;
    Ok(format!("nulls to {db:.0} dB"))
}

/// A bounce that begins while nothing has been generated waits for it: as fast as it can be called, it is complete.
pub fn complete(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
    let mut first = None;
    for block in [64, 512] {
        session.activate(Setup { offline: true, ..Setup::default() })?;
        let begin = Instant::now();
        let (input, heard) = session.make_take(12, block)?;
        let (from, until) = (72_017, 72_017 + 96_000);
        // It enters on the trigger's frame, goes on without a hole, and ends when it should.
        let wet: Vec<f32> = input[0].iter().zip(&heard[0]).map(|(i, h)| (h - i).abs()).collect();
        hold(wet[..from].iter().all(|s| *s == 0.0), || "it enters before the trigger".into())?;
        let hole = longest_silence(&wet[from + 2400..until - 4800]);
        hold(hole < 480, || format!("a hole of {hole} frames in the bounce"))?;
        hold(wet[until + 4800..].iter().all(|s| *s < 1e-6), || "it does not end".into())?;
        first.get_or_insert(begin.elapsed());
    }
    Ok(format!("{:.1} s for 4.1 s of audio", first.map_or(0.0, |t| t.as_secs_f64())))
}

fn longest_silence(wet: &[f32]) -> usize {
    let (mut longest, mut run) = (0, 0);
    for sample in wet {
        run = if *sample < 1e-9 { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}
