//! Load and time: for `--long`.

use super::hold;
use crate::error::{Error, Result};
use crate::validate::plug::{Block, Event, Setup};
use crate::validate::session::{Cue, Session, all_finite, chords};
use crate::validate::{Setting, measure};
use std::time::{Duration, Instant};

/// Work that is always the same and touches nothing, longer than what is measured: what it needs beyond its usual time is
/// the machine's doing (interrupts, a hypervisor).
fn spin() -> f64 {
    let before = measure::thread_seconds();
    let mut x = std::hint::black_box(1_u64);
    for _ in 0..200_000 {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    }
    std::hint::black_box(x);
    measure::thread_seconds() - before
}

/// Eight instances in one audio thread at 64 frames, all continuing at once: what the thread needs, in processor time,
/// stays below what a block lasts.
pub fn eight(setting: &Setting) -> Result<String> {
    const FRAMES: usize = 64;
    let mut sessions: Vec<Session> = (0..8)
        .map(|_| Session::active(setting, Setup { max_block: FRAMES, ..Setup::default() }))
        .collect::<Result<_>>()?;
    let mut scripts: Vec<Vec<(u64, Cue)>> = Vec::new();
    for session in &mut sessions {
        let mut cues = session.short(5)?;
        cues.push((0, session.cue("Continuation length", "10 s")?));
        cues.extend(session.press(120_000)?);
        scripts.push(cues);
    }
    let mut audio: Vec<_> = sessions.iter_mut().map(Session::lend_audio).collect::<Result<_>>()?;
    let sound = chords(48_000.0, 2.5, 2);
    let seconds = setting.times(25, 16);
    let length = FRAMES as f64 / 48_000.0;
    let played = std::thread::scope(|scope| {
        let scripts = &scripts;
        let thread = scope.spawn(move || -> Result<_> {
            let mut shares = Vec::new();
            let usual = (0..100).map(|_| spin()).fold(f64::INFINITY, f64::min);
            let mut disturbed = 0_usize;
            let mut next = [0; 8];
            let begin = Instant::now();
            for index in 0..seconds * 48_000 / FRAMES {
                let at = index * FRAMES;
                let due = begin + Duration::from_secs_f64(at as f64 / 48_000.0);
                if let Some(left) = due.checked_duration_since(Instant::now()) {
                    std::thread::sleep(left);
                }
                let mut needed = 0.0;
                for (n, audio) in audio.iter_mut().enumerate() {
                    let mut ins: Vec<Vec<f32>> = sound
                        .iter()
                        .map(|c| (at..at + FRAMES).map(|i| c.get(i).copied().unwrap_or(0.0)).collect())
                        .collect();
                    let mut outs = ins.clone();
                    let mut events = Vec::new();
                    while let Some((frame, Cue::Param(id, value))) =
                        scripts[n].get(next[n]).filter(|(f, _)| *f < (at + FRAMES) as u64)
                    {
                        events.push(Event::Param { offset: (*frame - at as u64) as u32, id: *id, value: *value });
                        next[n] += 1;
                    }
                    let mut call = Block {
                        input: &mut ins,
                        output: Some(&mut outs),
                        frames: FRAMES,
                        constant: false,
                        events: &events,
                        transport: None,
                        clock: at as u64,
                    };
                    // The host's own work is not the plugin's.
                    let before = measure::thread_seconds();
                    let done = audio.process(&mut call);
                    needed += measure::thread_seconds() - before;
                    done?;
                    all_finite(&outs)?;
                }
                shares.push(needed / length);
                disturbed += usize::from(spin() > usual + length);
            }
            Ok((audio, shares, disturbed))
        });
        thread.join().map_err(|_| Error::host("the audio thread panicked"))
    })?;
    let (audio, mut shares, disturbed) = played?;
    for (session, audio) in sessions.iter_mut().zip(audio) {
        session.give_back(audio);
    }
    shares.sort_by(f64::total_cmp);
    let worst = shares.last().copied().unwrap_or(0.0);
    let [median, rare] = [shares.len() / 2, shares.len() - 1 - shares.len() / 1000].map(|at| shares[at]);
    let above = shares.iter().filter(|share| **share >= 1.0).count();
    // On a disturbed machine what does nothing is as late.
    hold(above <= disturbed, || {
        format!(
            "{above} blocks of 8 instances needed more than their time, the worst {worst:.2} of it; of the host's own work {disturbed}"
        )
    })?;
    let takes = sessions.iter_mut().map(|s| s.takes().map(|t| t.len())).collect::<Result<Vec<_>>>()?;
    hold(takes.iter().all(|t| *t == 1), || format!("takes of the eight: {takes:?}"))?;
    Ok(format!(
        "median {:.1} %, 99.9 % of them below {:.1} %, worst {:.1} % of a block; {above} blocks above their time, {disturbed} of work without a plugin",
        median * 100.0,
        rare * 100.0,
        worst * 100.0
    ))
}

/// Hours of use as fast as they go: prompts, takes, playing, a new project now and then. Memory stays where it is.
pub fn soak(setting: &Setting) -> Result<String> {
    let hours = setting.hours;
    let mut session = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
    let empty = session.instance.save(usize::MAX)?;
    let (mut simulated, mut samples, mut takes) = (0.0, Vec::new(), 0_usize);
    let mut since_new = 0.0;
    let silence = vec![vec![0.0; 48_000 * 20]; 2];
    while simulated < hours * 3600.0 {
        session.make_take(0, 512)?;
        let on = session.cue("Play", "on")?;
        let off = session.cue("Play", "off")?;
        session.play(&silence, &[(10, on), (400_000, off)], |left| left.min(512))?;
        let played = 4.1 + 20.0;
        (simulated, since_new, takes) = (simulated + played, since_new + played, takes + 1);
        if since_new > 600.0 {
            since_new = 0.0;
            hold(session.takes()?.len() >= 20, || "takes were lost".into())?;
            // The project is closed, another one is begun.
            session.instance.load(&empty, usize::MAX)?;
            session.activate(Setup { offline: true, ..Setup::default() })?;
            samples.extend(measure::resident_mb());
        }
    }
    hold(samples.len() >= 4, || "too short to say anything".into())?;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let quarter = samples.len() / 4;
    let grown = mean(&samples[samples.len() - quarter..]) - mean(&samples[quarter..2 * quarter]);
    hold(grown < 8.0, || format!("{grown:.1} MB more in the last quarter than in the second: {samples:.0?}"))?;
    Ok(format!(
        "{:.1} h, {takes} takes, {grown:+.1} MB from the second to the last quarter, {:.0} MB at the end",
        simulated / 3600.0,
        samples.last().copied().unwrap_or(0.0)
    ))
}
