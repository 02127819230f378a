//! `cargo xtask render`: the engine alone, from a recording to a recording.

use crate::audio::{self, Audio};
use crate::engine::{self, Freedom, Place};
use crate::error::{Error, Result};
use crate::{report, wav};
use segue_engine::continuation::{Continuation, Sampling};
use segue_engine::models::Models;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Continue a recording with the engine alone, as fast as it goes.
///
/// Takes WAV, FLAC, OGG or MP3, any rate, mono or
/// stereo; the prompt is the first --prompt-seconds of it. Writes the continuation alone, at the recording's rate and
/// with its channels, as a WAV of 32-bit floats.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recording to continue.
    #[arg(long, value_name = "IN")]
    prompt: PathBuf,
    /// The WAV to write.
    #[arg(long, value_name = "OUT.wav")]
    out: PathBuf,
    /// Length of the continuation.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    seconds: String,
    /// How much of the recording's beginning is the prompt.
    #[arg(long, default_value = "4", value_name = "N", allow_hyphen_values = true)]
    prompt_seconds: String,
    /// Also write the figures and the tokens there.
    #[arg(long, value_name = "REPORT")]
    json: Option<PathBuf>,
    #[command(flatten)]
    freedom: Freedom,
    #[command(flatten)]
    place: Place,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let seconds = engine::seconds("--seconds", &args.seconds)?;
    let prompt_seconds = engine::seconds("--prompt-seconds", &args.prompt_seconds)?;
    let sampling = args.freedom.sampling()?;
    args.place.check()?;
    let recording = audio::read(&args.prompt)?;
    if same_file(&args.prompt, &args.out) {
        return Err(Error::Request(format!("{}: would overwrite the recording it continues", args.out.display())));
    }
    let prompt = recording.cut(0, (prompt_seconds * f64::from(recording.rate)).round() as usize);
    let models = args.place.load()?;
    let rendered = render(&models, &prompt, seconds, args.freedom.seed(), &sampling)?;
    if let Some(path) = &args.json {
        report::write(path, &rendered.report)?;
    }
    wav::write(&args.out, &rendered.audio.planes, rendered.audio.rate)?;
    let r = &rendered.report;
    let (out, pack) = (args.out.display(), &r.pack);
    println!(
        "{out}: {:.2} s, seed {}, first sound after {:.0} ms, {:.1} × real time, {pack}",
        r.seconds, r.seed, r.ttfa_ms, r.speed
    );
    Ok(())
}

fn same_file(a: &std::path::Path, b: &std::path::Path) -> bool {
    matches!((std::fs::canonicalize(a), std::fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// A continuation and its figures.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// At the prompt's rate, with its channels.
    pub audio: Audio,
    /// Its figures.
    pub report: report::Render,
    /// Milliseconds to decode one frame.
    pub decode_ms: Option<f64>,
}

/// Continues a prompt for so many seconds.
pub fn render(models: &Arc<Models>, prompt: &Audio, seconds: f64, seed: u64, sampling: &Sampling) -> Result<Rendered> {
    let rate = models.sample_rate();
    let heard = prompt.at(rate)?;
    // A little more than is wanted, so that the resampler has something to look ahead at.
    let wanted = ((seconds + 0.05) * f64::from(rate)).ceil() as usize;
    let bar = indicatif::ProgressBar::new(wanted as u64);
    if let Ok(style) = indicatif::ProgressStyle::with_template("continuing {wide_bar} {percent} %") {
        bar.set_style(style);
    }
    let begin = Instant::now();
    let mut continuation = Continuation::prefill(Arc::clone(models), &heard.planes, seed)?;
    let mut made = [Vec::new(), Vec::new()];
    let mut first: Option<(Instant, usize)> = None;
    while made[0].len() < wanted {
        let step = continuation.step(sampling)?;
        for (made, step) in made.iter_mut().zip(&step) {
            made.extend_from_slice(step);
        }
        if first.is_none() && !made[0].is_empty() {
            first = Some((Instant::now(), made[0].len()));
        }
        bar.set_position(made[0].len() as u64);
    }
    bar.finish_and_clear();
    let end = Instant::now();
    let (first_at, first_samples) = first.unwrap_or((end, 0));
    let later = (made[0].len() - first_samples, end - first_at);
    let all = (made[0].len(), end - begin);
    // A continuation of one chunk has no "after the first sound".
    let (samples, time) = if later.0 > 0 { later } else { all };
    let summary = models.summary();
    let (stages, decode_ms) = report::stages(&continuation);
    let report = report::Render {
        ttfa_ms: (first_at - begin).as_secs_f64() * 1e3,
        speed: samples as f64 / f64::from(rate) / time.as_secs_f64().max(1e-9),
        seconds,
        seed,
        pack: format!("{} {}", summary.name, summary.version),
        device: summary.device,
        threads: summary.threads,
        temperatures: sampling.temperatures,
        top_p: sampling.top_p,
        hold: sampling.hold,
        density: sampling.density,
        tempo: sampling.tempo,
        prompt_seconds: prompt.frames() as f64 / f64::from(prompt.rate),
        stages,
        tokens: continuation.stage_tokens().into_iter().collect(),
    };
    Ok(Rendered { audio: back(prompt, &heard, &made, seconds)?, report, decode_ms })
}

/// From the pack's rate to the prompt's. The resampler starts in the prompt: what it makes of the seam is what a host
/// hears there, not a start out of silence.
fn back(prompt: &Audio, heard: &Audio, made: &[Vec<f32>; 2], seconds: f64) -> Result<Audio> {
    // One whole second, so that it is a whole number of frames at both rates.
    let lead = heard.cut(heard.frames().saturating_sub(heard.rate as usize), heard.frames()).stereo();
    let pad = heard.rate as usize - lead[0].len();
    let joined: Vec<Vec<f32>> =
        lead.iter().zip(made).map(|(lead, made)| [vec![0.0; pad].as_slice(), lead, made].concat()).collect();
    let joined = Audio { planes: joined, rate: heard.rate }.at(prompt.rate)?;
    let from = prompt.rate as usize;
    let mut out = joined.cut(from, from + (seconds * f64::from(prompt.rate)).round() as usize);
    if let ([_], [left, right]) = (prompt.planes.as_slice(), out.planes.as_slice()) {
        out.planes = vec![left.iter().zip(right).map(|(l, r)| 0.5 * (l + r)).collect()];
    }
    Ok(out)
}
