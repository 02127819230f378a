//! What comes out for what goes in.

use super::hold;
use crate::error::Result;
use crate::validate::Setting;
use crate::validate::plug::{Block, Setup};
use crate::validate::session::{Session, all_finite, chords, difference, passes, sounds};
use std::time::Instant;

const RATES: [f64; 15] = [
    8_000.0, 11_025.0, 16_000.0, 22_050.0, 32_000.0, 44_100.0, 48_000.0, 88_200.0, 96_000.0, 176_400.0, 192_000.0,
    352_800.0, 384_000.0, 705_600.0, 768_000.0,
];

fn offline() -> Setup {
    Setup { offline: true, ..Setup::default() }
}

/// At every rate audio passes bit for bit, and a prompt is continued.
pub fn rates(setting: &Setting) -> Result<String> {
    let mut session = Session::open(setting)?;
    let every = setting.times(1, 3);
    let (mut dice, mut count) = (setting.dice(), 0);
    // In the quick run every third, and the highest.
    for rate in RATES.into_iter().rev().step_by(every) {
        session.activate(Setup { rate, max_block: 1024, ..offline() })?;
        let input = dice.noise(2, (rate / 4.0) as usize);
        let heard = session.play(&input, &[], |left| left.min(1024))?;
        passes(&input, &heard)?;
        let (input, heard) = session.make_take(count + 1, 1000)?;
        all_finite(&heard)?;
        let trigger = (rate * 1.5) as usize;
        hold(sounds(&input, &heard, trigger), || format!("no continuation at {rate} Hz"))?;
        count += 1;
    }
    hold(session.takes()?.len() as u64 == count, || "a take is missing".into())?;
    Ok(format!("{count} rates"))
}

/// Every block size from 1 to 16384, and a new one for each block.
pub fn blocks(setting: &Setting) -> Result<String> {
    let (mut dice, mut session) = (setting.dice(), Session::open(setting)?);
    let sizes = [1, 2, 3, 17, 31, 64, 127, 480, 512, 1000, 1023, 2048, 4096, 8191, 16_384];
    for size in sizes {
        session.activate(Setup { max_block: size, ..Setup::default() })?;
        let input = dice.noise(2, (size * 8).clamp(600, 40_000) + 1);
        let heard = session.play(&input, &[], |left| left.min(size))?;
        passes(&input, &heard)?;
    }
    session.activate(Setup { max_block: 16_384, ..Setup::default() })?;
    let input = dice.noise(2, setting.times(2_000_000, 300_000));
    let mut changing = setting.dice();
    let heard = session.play(&input, &[], |left| {
        let bound = *changing.pick(&[1, 64, 700, 16_384]);
        (1 + changing.below(bound)).min(left)
    })?;
    passes(&input, &heard)?;
    // The same continuation whatever the blocks are.
    let of = |block: usize| -> Result<Vec<Vec<f32>>> {
        let mut session = Session::active(setting, Setup { max_block: 4096, ..offline() })?;
        Ok(session.make_take(5, block)?.1)
    };
    let (one, other) = (of(64)?, of(1111)?);
    let step = difference(&one, &other);
    hold(step <= 1e-6, || format!("blocks of 64 and of 1111 frames differ by {step}"))?;
    Ok(format!("{} sizes and a changing one; a continuation at 64 and 1111 frames nulls to {step:e}", sizes.len()))
}

/// Blocks of no frames, with and without events, between others.
pub fn zero_length(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, Setup::default())?;
    let input = setting.dice().noise(2, 20_000);
    let mut turn = 0_usize;
    let heard = session.play(&input, &[], |left| {
        turn += 1;
        if turn.is_multiple_of(3) { 0 } else { left.min(100) }
    })?;
    passes(&input, &heard)?;
    // A parameter that moves in a block of no frames has moved.
    let seed = session.cue("Seed", "1234")?;
    let crate::validate::session::Cue::Param(id, value) = seed else { return Ok(String::new()) };
    let mut planes = [vec![0.0; 16], vec![0.0; 16]];
    let mut outs = planes.clone();
    let events = [crate::validate::plug::Event::Param { offset: 0, id, value }];
    let clock = session.clock;
    let mut call = Block {
        input: &mut planes,
        output: Some(&mut outs),
        frames: 0,
        constant: false,
        events: &events,
        transport: None,
        clock,
    };
    session.audio()?.process(&mut call)?;
    session.deactivate()?;
    let now = session.instance.value(id)?;
    let text = session.instance.value_to_text(id, now)?;
    hold(text == "1234", || format!("the seed set in a block of no frames reads {text:?}"))?;
    Ok(format!("{turn} blocks"))
}

/// The same buffers for input and output give what separate ones give.
pub fn in_place(setting: &Setting) -> Result<String> {
    let mut apart = Session::active(setting, offline())?;
    let (input, heard) = apart.make_take(9, 512)?;
    let mut session = Session::active(setting, offline())?;
    let mut cues = session.short(9)?;
    cues.extend(session.press((48_000.0 * 1.5) as u64 + 17)?);
    let (mut out, mut next) = (vec![Vec::new(), Vec::new()], 0);
    for at in (0..input[0].len()).step_by(512) {
        let length = 512.min(input[0].len() - at);
        let mut planes: Vec<Vec<f32>> = input.iter().map(|c| c[at..at + length].to_vec()).collect();
        let mut events = Vec::new();
        while let Some((frame, crate::validate::session::Cue::Param(id, value))) =
            cues.get(next).filter(|(f, _)| *f < (at + length) as u64)
        {
            let offset = (*frame - at as u64) as u32;
            events.push(crate::validate::plug::Event::Param { offset, id: *id, value: *value });
            next += 1;
        }
        let transport = Some(session.steady_transport());
        let clock = session.clock;
        let mut call = Block {
            input: &mut planes,
            output: None,
            frames: length,
            constant: false,
            events: &events,
            transport,
            clock,
        };
        session.audio()?.process(&mut call)?;
        session.clock += length as u64;
        for (out, plane) in out.iter_mut().zip(&planes) {
            out.extend_from_slice(plane);
        }
    }
    let step = difference(&heard, &out);
    hold(step == 0.0, || format!("in place differs from out of place by {step}"))?;
    hold(sounds(&input, &out, 0), || "no continuation".into())?;
    Ok("the same, bit for bit".into())
}

/// One channel: passes, and continues.
pub fn mono(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, Setup { channels: 1, ..offline() })?;
    let input = setting.dice().noise(1, 30_000);
    let heard = session.play(&input, &[], |left| left.min(333))?;
    passes(&input, &heard)?;
    let (input, heard) = session.make_take(2, 480)?;
    all_finite(&heard)?;
    hold(sounds(&input, &heard, 0), || "no continuation in mono".into())?;
    // And back to two.
    session.activate(offline())?;
    let (input, heard) = session.make_take(2, 480)?;
    hold(sounds(&input, &heard, 0), || "no continuation in stereo after mono".into())?;
    Ok("1 and 2 channels".into())
}

/// Input announced as constant or silent is what it is.
pub fn constant(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, Setup::default())?;
    for level in [0.0_f32, 0.5, -1.0] {
        for _ in 0..50 {
            let mut ins = [vec![level; 512], vec![level; 512]];
            let mut outs = [vec![9.0; 512], vec![9.0; 512]];
            let clock = session.clock;
            let mut call = Block {
                input: &mut ins,
                output: Some(&mut outs),
                frames: 512,
                constant: true,
                events: &[],
                transport: None,
                clock,
            };
            session.audio()?.process(&mut call)?;
            session.clock += 512;
            let wrong = outs.iter().flatten().find(|s| **s != level);
            hold(wrong.is_none(), || format!("constant {level} came out as {wrong:?}"))?;
        }
    }
    Ok("3 levels".into())
}

/// Numbers too small to be normal: they do no harm, whatever the processor's mode.
pub fn denormals(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, offline())?;
    let mut dice = setting.dice();
    let tiny: Vec<Vec<f32>> =
        (0..2).map(|_| (0..200_000).map(|_| f32::from_bits(1 + dice.below(0x7f_ffff) as u32)).collect()).collect();
    let normal = dice.noise(2, 200_000);
    let mut time = |input: &[Vec<f32>]| -> Result<f64> {
        let begin = Instant::now();
        let heard = session.play(input, &[], |left| left.min(512))?;
        all_finite(&heard)?;
        hold(difference(input, &heard) < 1e-30, || "denormals come out as something else".into())?;
        Ok(begin.elapsed().as_secs_f64())
    };
    let (usual, slow) = (time(&normal)?, time(&tiny)?);
    // A prompt of them is silence, and is refused as such.
    let mut prompt = tiny;
    prompt.iter_mut().for_each(|c| c.resize(290_000, 1e-40));
    let mut cues = session.short(1)?;
    cues.extend(session.press(210_000)?);
    let heard = session.play(&prompt, &cues, |left| left.min(512))?;
    all_finite(&heard)?;
    Ok(format!("{:.1} × the time of normal input", slow / usual.max(1e-9)))
}

/// NaN and infinity never come out, and are gone as soon as they stop coming in.
pub fn not_a_number(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, offline())?;
    let mut dice = setting.dice();
    let mut bad = dice.noise(2, 50_000);
    for channel in &mut bad {
        for _ in 0..3000 {
            let at = dice.below(50_000);
            channel[at] = *dice.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX]);
        }
        channel[20_000..20_600].fill(f32::NAN);
    }
    let heard = session.play(&bad, &[], |left| left.min(512))?;
    all_finite(&heard)?;
    let good = dice.noise(2, 20_000);
    let after = session.play(&good, &[], |left| left.min(512))?;
    passes(&good, &after)?;
    // A prompt with holes of NaN in it, and one of nothing else.
    for only in [false, true] {
        session.activate(offline())?;
        let mut prompt = chords(48_000.0, 1.5, 2);
        for channel in &mut prompt {
            let frames = channel.len();
            for at in (0..frames).filter(|at| only || at % 97 == 0) {
                channel[at] = f32::NAN;
            }
            channel.resize(frames + 130_000, 0.0);
        }
        let mut cues = session.short(4)?;
        cues.extend(session.press(72_000)?);
        let heard = session.play(&prompt, &cues, |left| left.min(512))?;
        all_finite(&heard)?;
    }
    Ok("never out".into())
}

/// Reset silences what plays at once, and the input still passes.
pub fn reset(setting: &Setting) -> Result<String> {
    let mut session = Session::active(setting, offline())?;
    let mut input = chords(48_000.0, 1.5, 2);
    input.iter_mut().for_each(|c| c.resize(72_000 + 24_000, 0.0));
    let mut cues = session.short(6)?;
    cues.extend(session.press(72_000)?);
    let heard = session.play(&input, &cues, |left| left.min(480))?;
    hold(sounds(&input, &heard, 72_000), || "nothing plays that could be reset".into())?;
    session.audio()?.reset();
    let input = setting.dice().noise(2, 48_000);
    let heard = session.play(&input, &[], |left| left.min(480))?;
    passes(&input, &heard)?;
    Ok("silent from the next frame".into())
}
