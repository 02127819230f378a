//! Several threads, several instances.

use super::hold;
use crate::error::{Error, Result};
use crate::validate::Setting;
use crate::validate::plug::{Block, Event, Format, Param, Setup};
use crate::validate::session::{Session, all_finite, sounds};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The audio thread moves parameters by events and hands the plugin from thread to thread; the main thread reads, shows,
/// and saves meanwhile (and in VST3, sets).
pub fn parameters(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, Setup::default())?;
    let params: Vec<Param> = session.instance.params().to_vec();
    let blocks = setting.times(30_000, 4000);
    let mut audio = session.lend_audio()?;
    let mut looks = 0_u64;
    let mut dice = setting.dice();
    let (list, done) = (&params, AtomicBool::new(false));
    let played = std::thread::scope(|scope| -> Result<_> {
        let seed = setting.seed;
        let done = &done;
        let thread = scope.spawn(move || {
            let mut dice = crate::validate::session::Dice::new(seed + 1);
            let mut result = Ok(());
            // A pool of threads, as in some hosts: each plays a while, one after the other.
            for turn in 0..8 {
                let (given, dice) = (&mut audio, &mut dice);
                let part = std::thread::scope(|pool| {
                    pool.spawn(move || -> Result<()> {
                        for n in 0..blocks / 8 {
                            let mut ins = [vec![0.1; 64], vec![0.1; 64]];
                            let mut outs = ins.clone();
                            let events: Vec<Event> = (0..4)
                                .map(|k| {
                                    let param = dice.pick(list);
                                    Event::Param { offset: k * 16, id: param.id, value: param.at(dice.unit()) }
                                })
                                .collect();
                            let mut call = Block {
                                input: &mut ins,
                                output: Some(&mut outs),
                                frames: 64,
                                constant: false,
                                events: &events,
                                transport: None,
                                clock: (turn * blocks / 8 + n) as u64 * 64,
                            };
                            given.process(&mut call)?;
                            all_finite(&outs)?;
                        }
                        Ok(())
                    })
                    .join()
                    .map_err(|_| Error::host("an audio thread panicked"))
                });
                if let Err(e) | Ok(Err(e)) = part {
                    result = Err(e);
                    break;
                }
            }
            done.store(true, Relaxed);
            (audio, result)
        });
        while !done.load(Relaxed) {
            let param = dice.pick(list);
            let value = session.instance.value(param.id)?;
            hold((param.min - 1e-6..=param.max + 1e-6).contains(&value), || format!("{:?} is {value}", param.name))?;
            session.instance.value_to_text(param.id, value)?;
            if setting.format == Format::Vst3 {
                session.instance.set_inactive(param.id, param.at(dice.unit()))?;
            }
            if looks.is_multiple_of(64) {
                session.instance.save(usize::MAX)?;
            }
            session.instance.pump();
            looks += 1;
        }
        thread.join().map_err(|_| Error::host("the audio thread panicked"))
    })?;
    played.1?;
    session.give_back(played.0);
    Ok(format!("{} blocks on 8 threads, {looks} looks", blocks))
}

/// Sixteen instances at once, each on a thread of its own, each continuing: all share the weights, none disturbs another.
pub fn sixteen(setting: &Setting) -> Result<String> {
    let mut first = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
    let (_, alone) = first.make_take(3, 512)?;
    let count = setting.times(16, 16);
    let results: Vec<Result<bool>> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..count)
            .map(|n| {
                scope.spawn(move || -> Result<bool> {
                    // Each host thread has an instance of its own, made and ended on it.
                    let mut session = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
                    let same = n % 2 == 0;
                    let seed = if same { 3 } else { 100 + n as u64 };
                    let (input, heard) = session.make_take(seed, 64 << (n % 4))?;
                    all_finite(&heard)?;
                    hold(sounds(&input, &heard, 72_000), || format!("instance {n} does not continue"))?;
                    hold(session.takes()?.len() == 1, || format!("instance {n} has another number of takes"))?;
                    Ok(same)
                })
            })
            .collect();
        all.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(Error::host("a thread panicked")))).collect()
    });
    for result in results {
        result?;
    }
    // The first is as it was: the same seed plays the same.
    first.activate(Setup { offline: true, ..Setup::default() })?;
    let (_, again) = first.make_take(3, 512)?;
    let step = crate::validate::session::difference(&alone, &again);
    hold(step <= 1e-6, || format!("the same seed plays otherwise after {count} others have played, by {step}"))?;
    Ok(format!("{count} instances on {count} threads"))
}
