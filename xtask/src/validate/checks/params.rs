//! Parameters: their texts, their ranges, and that a change takes effect on the frame it was meant for.

use super::hold;
use crate::error::{Error, Result};
use crate::validate::Setting;
use crate::validate::plug::{Param, Setup};
use crate::validate::session::{Cue, Session, all_finite, chords, difference, differs};
use std::collections::HashSet;

/// What goes to text comes back, and a text that is none changes nothing.
pub fn texts(setting: &Setting) -> Result<String> {
    let mut session = Session::open(setting)?;
    let params: Vec<Param> = session.instance.params().to_vec();
    let mut dice = setting.dice();
    let ids: HashSet<u32> = params.iter().map(|p| p.id).collect();
    hold(ids.len() == params.len(), || "two parameters have the same id".into())?;
    let mut count = 0;
    for param in &params {
        let named = |what: &str| format!("{:?}: {what}", param.name);
        hold(!param.name.trim().is_empty(), || "a parameter has no name".into())?;
        hold((param.min..=param.max).contains(&param.default), || named("its default is outside its range"))?;
        let begun = session.instance.value(param.id)?;
        hold((begun - param.default).abs() < 1e-6, || named("it does not begin at its default"))?;
        for n in 0..setting.times(1000, 120) {
            let share = if n < 5 { n as f64 / 4.0 } else { dice.unit() };
            let value = param.at(share);
            let text = session.instance.value_to_text(param.id, value)?;
            let back = session.instance.text_to_value(param.id, &text);
            let back = back.ok_or_else(|| Error::Check(named(&format!("does not understand its own {text:?}"))))?;
            let again = session.instance.value_to_text(param.id, back)?;
            hold(again == text, || named(&format!("{value} is {text:?}, which comes back as {again:?}")))?;
            hold((param.min - 1e-6..=param.max + 1e-6).contains(&back), || named(&format!("{text:?} gives {back}")))?;
            count += 1;
        }
        for _ in 0..setting.times(300, 40) {
            let length = dice.below(40);
            let garbage: String = (0..length).filter_map(|_| char::from_u32(1 + dice.below(0x2fff) as u32)).collect();
            if let Some(value) = session.instance.text_to_value(param.id, &garbage) {
                hold((param.min - 1e-6..=param.max + 1e-6).contains(&value), || {
                    named(&format!("{garbage:?} is taken for {value}"))
                })?;
            }
        }
        for nonsense in ["", "NaN", "inf", "-1e99", "1e99", "9999999999999999999999", "%s%n", " "] {
            if let Some(value) = session.instance.text_to_value(param.id, nonsense) {
                hold((param.min - 1e-6..=param.max + 1e-6).contains(&value), || {
                    named(&format!("{nonsense:?} is taken for {value}"))
                })?;
            }
        }
    }
    Ok(format!("{} parameters, {count} values", params.len()))
}

/// Parameters moved at random, also to where they cannot go, while audio passes and takes are made.
pub fn fuzz(setting: &Setting) -> Result<String> {
    let mut dice = setting.dice();
    let mut session = Session::active(setting, Setup { offline: true, ..Setup::default() })?;
    let params: Vec<Param> = session.instance.params().to_vec();
    let hidden: Vec<Param> = session.instance.hidden().to_vec();
    let length = session.id("Continuation length")?;
    let mut moves = 0;
    for _ in 0..setting.times(40, 6) {
        let mut input = chords(48_000.0, 0.5, 2);
        let noise = dice.noise(2, 24_000);
        input.iter_mut().zip(noise).for_each(|(c, n)| c.extend(n));
        let mut cues: Vec<(u64, Cue)> = (0..200)
            .map(|_| {
                let all = if !hidden.is_empty() && dice.below(4) == 0 { &hidden } else { &params };
                let param = dice.pick(all);
                let share = match dice.below(12) {
                    0 => 0.0,
                    1 => 1.0,
                    2 => -3.0,
                    3 => 1e9,
                    4 => f64::NAN,
                    5 => f64::INFINITY,
                    _ => dice.unit(),
                };
                // Short takes: it is moves that are tried here, not patience.
                let share = if param.id == length { 0.0 } else { share };
                (dice.below(48_000) as u64, Cue::Param(param.id, param.at(share)))
            })
            .collect();
        cues.sort_by_key(|c| c.0);
        moves += cues.len();
        let heard = session.play(&input, &cues, |left| left.min(512))?;
        all_finite(&heard)?;
        for param in &params {
            let value = session.instance.value(param.id)?;
            hold((param.min - 1e-6..=param.max + 1e-6).contains(&value), || format!("{:?} is {value}", param.name))?;
            session.instance.value_to_text(param.id, value)?;
        }
    }
    // What it has come to can be kept.
    let state = session.instance.save(usize::MAX)?;
    let mut other = Session::open(setting)?;
    hold(other.instance.load(&state, usize::MAX)?, || "the state it has come to is refused".into())?;
    Ok(format!("{moves} moves"))
}

/// A change takes effect on its frame, wherever the blocks are cut.
pub fn exact(setting: &Setting) -> Result<String> {
    let frames = 6000;
    let level = vec![vec![0.5_f32; frames]; 2];
    for at in [0_u64, 1, 63, 64, 100, 777, 1023, 3000] {
        let mut first: Option<Vec<Vec<f32>>> = None;
        for block in [64, 1000, 4096] {
            let mut session = Session::active(setting, Setup { max_block: 4096, ..Setup::default() })?;
            // The gain settles before it is moved.
            let settle = vec![vec![0.5_f32; 4096]; 2];
            session.play(&settle, &[], |left| left)?;
            let off = session.cue("Input level", "-inf dB")?;
            let heard = session.play(&level, &[(at, off)], |left| left.min(block))?;
            let from = differs(&level, &heard);
            hold(from == Some(at as usize), || {
                format!("a gain moved at frame {at} changes at frame {from:?} (blocks of {block})")
            })?;
            match &first {
                None => first = Some(heard),
                Some(first) => {
                    let step = difference(first, &heard);
                    hold(step < 1e-6, || format!("blocks of {block} give another curve, by {step}"))?;
                }
            }
        }
    }
    notes(setting)?;
    Ok("parameters and notes, to the frame".into())
}

/// A note that triggers: the prompt ends, and the continuation comes in, on its frame.
fn notes(setting: &Setting) -> Result<()> {
    for trigger in [72_000_u64, 72_001, 72_100, 72_479, 72_480] {
        let mut session = Session::active(setting, Setup { offline: true, max_block: 480, ..Setup::default() })?;
        let mut input = chords(48_000.0, 1.5, 2);
        // Constant from before the trigger on: the seam's first frame shows.
        input.iter_mut().for_each(|c| c.resize(90_000, 0.25));
        input.iter_mut().for_each(|c| c[71_000..].fill(0.25));
        let mut cues = session.short(8)?;
        cues.push((0, session.cue("Mute input", "on")?));
        cues.push((0, session.cue("MIDI trigger note", "60")?));
        cues.push((trigger - 5000, Cue::Note(61)));
        cues.push((trigger, Cue::Note(60)));
        let heard = session.play(&input, &cues, |left| left.min(480))?;
        let from = differs(&input, &heard);
        hold(from == Some(trigger as usize), || format!("a note at frame {trigger} is answered at frame {from:?}"))?;
    }
    Ok(())
}
