//! `cargo xtask demo`: the whole of Segue as a host sees it, on a recording of a piano.

use crate::audio;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::score::{Cue, Score};
use crate::stage::{Performance, Plan, RATE};
use crate::{bundle, listen, paths, project, spectrogram, wav};
use std::path::{Path, PathBuf};

const BLOCK: usize = 256;
const PROMPT: f64 = 4.0;
const LENGTH: f64 = 16.0;

/// Build Segue, load it in a CLAP host, play a piano into it and let it go on.
///
/// Plays four seconds of a recording in real time, presses Capture & Continue and writes what the host hears: input.wav,
/// output.wav, continuation.wav and spectrogram.png. Then saves the project, closes it, opens it again, plays the take
/// and compares.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recording to play (WAV, FLAC, OGG or MP3; its first four seconds). Default: one of assets/prompts.
    #[arg(long, value_name = "FILE")]
    prompt: Option<PathBuf>,
    /// Folder to write to. Default: target/demo.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// 1–9999 plays the same again; 0 draws a new one.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=9999))]
    seed: u64,
    /// Silence before the prompt, while the plugin loads its models.
    #[arg(long, default_value_t = 3.0, hide = true)]
    lead: f64,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let path = args.prompt.clone().unwrap_or_else(paths::default_prompt);
    let path = std::path::absolute(&path).map_err(|e| Error::file(&path, e))?;
    let out = args.out.clone().unwrap_or_else(|| paths::target().join("demo"));
    let out = std::path::absolute(&out).map_err(|e| Error::file(&out, e))?;
    let recording = audio::read(&path)?.at(RATE)?;
    if recording.frames() < ((PROMPT + 0.3) * f64::from(RATE)) as usize {
        return Err(Error::file(
            &path,
            format!("only {:.1} s; {:.1} s are needed", recording.frames() as f64 / f64::from(RATE), PROMPT + 0.3),
        ));
    }
    bundle::bundle()?;
    let plan = Plan {
        playing: recording.stereo(),
        prompt: PROMPT,
        lead: args.lead,
        length: LENGTH,
        block: BLOCK,
        variations: 1,
        seed: args.seed,
        real_time: true,
        leave: None,
    };
    println!("playing {} into {}, in real time …", path.display(), paths::clap().display());
    let mut host = Host::load(&paths::clap())?;
    let bar = progress(&plan);
    let performance = plan.perform(&mut host, |_, clock| bar.set_position(clock))?;
    bar.finish_and_clear();
    let state = host.save()?;
    drop(host);
    write(&out, &performance)?;
    report(&performance, &state, &out)?;
    reopen(&performance, &state)
}

fn progress(plan: &Plan) -> indicatif::ProgressBar {
    let total = (plan.lead + plan.prompt + plan.length + 1.5) * f64::from(RATE);
    let bar = indicatif::ProgressBar::new(total as u64);
    if let Ok(style) = indicatif::ProgressStyle::with_template("performing {wide_bar} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn write(out: &Path, p: &Performance) -> Result<()> {
    let frames = p.heard.planes[0].len();
    let mut input = p.input.clone();
    input.iter_mut().for_each(|plane| plane.resize(frames, 0.0));
    wav::write(&out.join("input.wav"), &input, RATE)?;
    wav::write(&out.join("output.wav"), &p.heard.planes, RATE)?;
    // From the prompt's end on, without the pianist's letting go: sample n is n frames after the trigger.
    let end = p.trigger + (LENGTH * f64::from(RATE)) as usize;
    wav::write(&out.join("continuation.wav"), &listen::cut(&p.wet, p.trigger, end), RATE)?;
    let begin = p.trigger - (PROMPT * f64::from(RATE)) as usize;
    let shown = listen::mono(&listen::cut(&p.heard.planes, begin, end));
    spectrogram::write(&out.join("spectrogram.png"), &shown, RATE, p.trigger - begin)
}

fn report(p: &Performance, state: &[u8], out: &Path) -> Result<()> {
    let takes = project::takes(state)?;
    let take = takes.first().filter(|_| p.onset.is_some());
    let take = take.ok_or_else(|| Error::Check("nothing was heard after the trigger: no continuation".into()))?;
    let onset = p.onset.unwrap_or(p.trigger);
    let prompt = listen::level(&listen::cut(&p.input, p.trigger - (PROMPT * f64::from(RATE)) as usize, p.trigger));
    let made = listen::level(&listen::cut(&p.wet, onset, onset + ((LENGTH - 1.0) * f64::from(RATE)) as usize));
    println!("wrote       {}: input.wav output.wav continuation.wav spectrogram.png", out.display());
    println!(
        "TTFA        {:.0} ms (continuation enters {:.0} ms in, in time)",
        p.ttfa_ms.unwrap_or(f64::NAN),
        (onset - p.trigger) as f64 * 1e3 / f64::from(RATE)
    );
    match p.speed {
        Some(speed) => println!("speed       {speed:.1} × real time (from the trigger to the finished take)"),
        None => println!("speed       not seen"),
    }
    println!("underruns   {}", p.underruns);
    println!("seed        {}", take.provenance.seed);
    println!("pack        {} on {}", take.provenance.pack, take.provenance.device);
    println!("level       prompt {prompt:.1} dBFS, continuation {made:.1} dBFS");
    if p.heard.late > 0 {
        println!("note        {} blocks were called late: this machine was busy with other things", p.heard.late);
    }
    if p.underruns > 0 {
        return Err(Error::Check(format!("{} underruns", p.underruns)));
    }
    Ok(())
}

/// Opens the saved project in a new instance and plays the take: it must sound the same, and nothing may be generated.
fn reopen(p: &Performance, state: &[u8]) -> Result<()> {
    let mut host = Host::load(&paths::clap())?;
    host.restore(state)?;
    let heard = replay(&mut host, LENGTH)?;
    let db = alike(p, &heard, LENGTH)?;
    let takes = project::takes(&host.save()?)?.len();
    println!("reopened    the take plays again, {db:.0} dB alike, {takes} take(s), nothing generated");
    if db < 40.0 || takes != project::takes(state)?.len() {
        return Err(Error::Check("the reopened project does not sound as it did".into()));
    }
    Ok(())
}

/// How much a take that is played again is like what was heard when it was made, in dB. Then it came in late, where it
/// belonged; now it is played from its beginning.
pub fn alike(p: &Performance, heard: &[Vec<f32>; 2], length: f64) -> Result<f64> {
    let onset = listen::onset(heard, 0).ok_or_else(|| Error::Check("the reopened project's take is silent".into()))?;
    let margin = RATE as usize / 10;
    let entry = p.onset.unwrap_or(p.trigger);
    let like = |begin: usize| {
        let skip = entry - begin + margin;
        let frames = ((length * f64::from(RATE)) as usize).saturating_sub(skip + margin);
        let was = listen::mono(&listen::cut(&p.wet, begin + skip, begin + skip + frames));
        let is = listen::mono(&listen::cut(heard, onset + skip, onset + skip + frames));
        listen::likeness(&was, &is, 64).0
    };
    // On a machine too slow to catch up it began late, from its beginning.
    Ok(like(p.trigger).max(like(entry)))
}

/// Presses Play after the models have had time to load, and listens to the whole take.
pub fn replay(host: &mut Host, length: f64) -> Result<[Vec<f32>; 2]> {
    let play = host.param("Play")?.id;
    let press = u64::from(RATE) * 5;
    let score = Score {
        rate: RATE,
        blocks: vec![BLOCK],
        cues: vec![Cue::param(press, play, 1.0)],
        frames: press + ((length + 2.0) * f64::from(RATE)) as u64,
        ..Score::default()
    };
    Ok(host.perform(&score, |_, _| {})?.planes)
}
