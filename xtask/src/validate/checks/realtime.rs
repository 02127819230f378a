//! What the audio thread may not do: ask the kernel for anything, touch memory that is not there yet.

use super::hold;
use crate::error::{Error, Result};
use crate::validate::Setting;
use crate::validate::plug::{Audio, Block, Event, Setup, Transport};
use crate::validate::session::{Cue, Session, chords};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use crate::validate::syscalls;
use std::time::{Duration, Instant};

const RATE: f64 = 48_000.0;
const BLOCK: usize = 256;

/// What is played to it: silence, a prompt, a trigger, a take played again, looped, stopped, triggered by a note, by
/// recording, again while it generates; the transport rolling and stopping.
fn script(session: &mut Session) -> Result<Vec<(u64, Cue)>> {
    let second = |s: f64| (s * RATE) as u64;
    let mut cues = session.short(3)?;
    let capture = session.id("Capture & Continue")?;
    let mut press = |at: f64| {
        cues.push((second(at), Cue::Param(capture, 1.0)));
        cues.push((second(at + 0.1), Cue::Param(capture, 0.0)));
    };
    // Continues; again while that one plays; again while it generates.
    press(3.0);
    press(4.5);
    press(4.9);
    let named = [
        (6.8, "Play", "on"),
        (7.0, "Loop take", "on"),
        (7.5, "Play", "off"),
        (7.6, "Loop take", "off"),
        (7.7, "Capture mode", "Record, then continue"),
        (9.6, "Play", "on"),
        (9.7, "Mute input", "on"),
        (9.8, "Input level", "-20 dB"),
        (9.9, "Start", "Next bar"),
        (10.0, "MIDI trigger note", "60"),
        (10.1, "Capture mode", "What I just played"),
        // Its pause comes at 12 s, when the chords stop.
        (10.7, "Duet pause", "0.3 s"),
        (10.8, "Duet", "on"),
    ];
    for (at, name, text) in named {
        cues.push((second(at), session.cue(name, text)?));
    }
    cues.push((second(7.8), Cue::Param(capture, 1.0)));
    cues.push((second(7.9), Cue::Param(capture, 0.0)));
    cues.push((second(10.2), Cue::Note(60)));
    cues.sort_by_key(|c| c.0);
    Ok(cues)
}

/// Plays the script as a sound card would ask for it, each call watched.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn play(audio: &mut Box<dyn Audio>, cues: &[(u64, Cue)], seconds: f64) -> Result<()> {
    let sound = chords(RATE, 10.0, 2);
    let (mut ins, mut outs) = (vec![vec![0.0; BLOCK]; 2], vec![vec![0.0; BLOCK]; 2]);
    let (mut next, mut events) = (0, Vec::with_capacity(16));
    let begin = Instant::now();
    for index in 0..(seconds * RATE) as usize / BLOCK {
        let at = index * BLOCK;
        let due = begin + Duration::from_secs_f64(at as f64 / RATE);
        if let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
        for (to, from) in ins.iter_mut().zip(&sound) {
            for (k, sample) in to.iter_mut().enumerate() {
                // Silence, then two bars of chords in every four.
                let playing = (at + k) % 192_000 >= 48_000;
                *sample = if playing { from[(at + k) % from.len()] } else { 0.0 };
            }
        }
        events.clear();
        while let Some((frame, cue)) = cues.get(next).filter(|(f, _)| *f < (at + BLOCK) as u64) {
            let offset = frame.saturating_sub(at as u64) as u32;
            events.push(match *cue {
                Cue::Param(id, value) => Event::Param { offset, id, value },
                Cue::Note(key) => Event::NoteOn { offset, key },
            });
            next += 1;
        }
        let beats = at as f64 / RATE * 2.0;
        let transport = Some(Transport {
            playing: (at / 96_000) % 2 == 1,
            tempo: Some(120.0),
            beats: Some(beats),
            bar_start: (beats / 4.0).floor() * 4.0,
            signature: Some((4, 4)),
        });
        let mut call = Block {
            input: &mut ins,
            output: Some(&mut outs),
            frames: BLOCK,
            constant: false,
            events: &events,
            transport,
            clock: at as u64,
        };
        audio.process(&mut call)?;
        // The first second touches code and stack for the first time, as does any program.
        if at < 48_000 && at + BLOCK >= 48_000 {
            syscalls::forget_faults();
        }
    }
    Ok(())
}

/// No system call in any state, with a main thread that shows, saves, loads and switches packs meanwhile.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn syscalls(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, Setup { max_block: BLOCK, ..Setup::default() })?;
    let cues = script(&mut session)?;
    let mut audio = session.lend_audio()?;
    let mut looks = 0_u64;
    let begin = Instant::now();
    let mut loaded = false;
    let seconds = 13.0;
    let (audio, played) = std::thread::scope(|scope| -> Result<_> {
        let cues = &cues;
        let thread = scope.spawn(move || {
            let played = syscalls::arm().and_then(|()| play(&mut audio, cues, seconds));
            (audio, played)
        });
        while !thread.is_finished() {
            let params = session.instance.params().to_vec();
            for param in &params {
                let value = session.instance.value(param.id)?;
                session.instance.value_to_text(param.id, value)?;
            }
            let state = session.instance.save(usize::MAX)?;
            if begin.elapsed() > Duration::from_secs_f64(11.3) && !loaded {
                // Another pack (that is not there), while it plays: the worker tries, the audio thread does not notice.
                let bytes =
                    super::state::edited(setting.format, &state, "\\\"pack\\\":null", "\\\"pack\\\":\\\"/no/pack\\\"");
                hold(bytes != state, || "the state names no pack".into())?;
                session.instance.load(&bytes, usize::MAX)?;
                loaded = true;
            }
            session.instance.pump();
            looks += 1;
            std::thread::sleep(Duration::from_millis(3));
        }
        thread.join().map_err(|_| Error::host("the audio thread panicked"))
    })?;
    session.give_back(audio);
    played?;
    let takes = session.takes()?.len();
    hold(takes >= 3, || format!("only {takes} takes: not every state was reached"))?;
    let seen = syscalls::seen();
    let first = seen.first.clone().unwrap_or_default();
    hold(seen.calls == 0, || format!("{} of {} blocks made a system call, first {first}", seen.calls, seen.blocks))?;
    hold(seen.major_faults == 0, || format!("{} page faults that read from a disk", seen.major_faults))?;
    // Code that runs for the first time, late: tens of pages. A ring that was never touched would be a thousand.
    hold(seen.minor_faults < 128, || format!("{} page faults in {} blocks", seen.minor_faults, seen.blocks))?;
    Ok(format!(
        "{} blocks, 0 system calls, {} minor page faults, {takes} takes, {looks} looks of the main thread",
        seen.blocks, seen.minor_faults
    ))
}

/// Only Linux can be asked.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn syscalls(_: &Setting) -> Result<String> {
    Ok("not looked at: only Linux on x86-64 can be asked".into())
}
