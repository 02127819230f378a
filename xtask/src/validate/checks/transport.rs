//! A playhead that does what playheads do, and what they should not.

use super::hold;
use crate::error::Result;
use crate::validate::Setting;
use crate::validate::plug::{Block, Event, Setup, Transport};
use crate::validate::session::{Dice, Session, all_finite, chords};

fn anything(dice: &mut Dice) -> Transport {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e-300, 1e300, -1e18, 4.0, 960.0];
    let number = |dice: &mut Dice, usual: f64| if dice.below(3) == 0 { *dice.pick(&odd) } else { usual * dice.unit() };
    Transport {
        playing: dice.below(3) > 0,
        tempo: (dice.below(5) > 0).then(|| number(dice, 300.0)),
        beats: (dice.below(5) > 0).then(|| number(dice, 1000.0)),
        bar_start: number(dice, 1000.0),
        signature: (dice.below(5) > 0).then(|| (dice.below(40) as u16, *dice.pick(&[0, 1, 3, 4, 8, 65_535]))),
    }
}

/// Tempo, meter and position at random, impossible ones among them, with triggers in every start mode.
pub fn fuzz(setting: &Setting) -> Result<String> {
    let mut dice = setting.dice();
    let mut session = Session::active(setting, Setup { max_block: 2048, ..Setup::default() })?;
    let capture = session.id("Capture & Continue")?;
    let (start, play) = (session.id("Start")?, session.id("Play")?);
    let (starts, mode) = (session.instance.params().to_vec(), session.id("Capture mode")?);
    let start_param = starts.iter().find(|p| p.id == start).cloned();
    let mode_param = starts.iter().find(|p| p.id == mode).cloned();
    let sound = chords(48_000.0, 1.0, 2);
    for (_, cue) in session.short(0)? {
        if let crate::validate::session::Cue::Param(id, value) = cue {
            step(&mut session, &mut dice, &sound, &[Event::Param { offset: 0, id, value }], None)?;
        }
    }
    let blocks = setting.times(30_000, 3000);
    for _ in 0..blocks {
        let mut events = Vec::new();
        match dice.below(30) {
            0 => events.push(Event::Param { offset: 3, id: capture, value: 1.0 }),
            1 => events.push(Event::Param { offset: 0, id: capture, value: 0.0 }),
            2 => events.push(Event::Param { offset: 0, id: play, value: dice.below(2) as f64 }),
            3 => {
                let share = dice.unit();
                events.extend(start_param.as_ref().map(|p| Event::Param {
                    offset: 0,
                    id: start,
                    value: p.at(share).round(),
                }));
            }
            4 => {
                let share = dice.unit();
                events.extend(mode_param.as_ref().map(|p| Event::Param {
                    offset: 0,
                    id: mode,
                    value: p.at(share).round(),
                }));
            }
            _ => {}
        }
        let transport = (dice.below(6) > 0).then(|| anything(&mut dice));
        step(&mut session, &mut dice, &sound, &events, transport)?;
    }
    // Still alive: an honest transport is followed.
    session.activate(Setup { offline: true, ..Setup::default() })?;
    let (input, heard) = session.make_take(5, 512)?;
    hold(crate::validate::session::sounds(&input, &heard, 72_000), || "it does not continue afterwards".into())?;
    Ok(format!("{blocks} blocks"))
}

fn step(
    session: &mut Session,
    dice: &mut Dice,
    sound: &[Vec<f32>],
    events: &[Event],
    transport: Option<Transport>,
) -> Result<()> {
    let frames = 4 + dice.below(1500);
    let at = session.clock as usize % 40_000;
    let mut ins: Vec<Vec<f32>> = sound.iter().map(|c| c[at..at + frames.min(8000)].to_vec()).collect();
    let mut outs = ins.clone();
    let clock = session.clock;
    let mut call =
        Block { input: &mut ins, output: Some(&mut outs), frames, constant: false, events, transport, clock };
    session.audio()?.process(&mut call)?;
    session.clock += frames as u64;
    session.instance.pump();
    all_finite(&outs)
}
