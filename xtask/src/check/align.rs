//! To the sample: where the prompt ends, where the continuation belongs, where it comes in. Rendered offline, so that
//! the first line of the grid is the one, and compared with the take's own tokens, decoded here.

use super::{hold, newest};
use crate::engine::Place;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::score::{Cue, Pace, Score, What};
use crate::host::song::{Meter, Song};
use crate::{audio, listen, paths};
use clack_host::utils::ClapId;
use segue_engine::models::Models;
use segue_engine::resample::resample;
use segue_engine::take::Take;
use segue_engine::take_decoder::TakeDecoder;
use std::path::Path;

/// Seconds.
const PROMPT: f64 = 1.0;
/// Seconds.
const LENGTH: f64 = 3.0;
/// The key that triggers.
const KEY: u8 = 24;
/// Block sizes as hosts have them that split at loop points and tempo marks.
const UNEVEN: &[usize] = &[64, 1, 441, 1024, 7, 333];

/// One render.
#[derive(Debug)]
struct Render {
    take: Take,
    /// What came out from the trigger on, where nothing goes in any more.
    heard: [Vec<f32>; 2],
    rate: u32,
}

/// How one render differs from the next.
#[derive(Debug, Clone)]
struct Case<'a> {
    rate: u32,
    blocks: &'a [usize],
    song: Option<Song>,
    start: &'a str,
    /// Frame at which the prompt ends.
    trigger: u64,
    by: By,
    /// A lane that moves all the while, which makes blocks of blocks.
    lane: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Automation,
    Note,
}

/// At the usual rates and block sizes of every kind.
pub(super) fn aligns(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let models = Place { pack: None, device: "cpu".into(), threads: 1 }.load()?;
    for rate in [44_100, 48_000, 96_000] {
        for blocks in [&[256][..], &[997], UNEVEN] {
            // Half a second before a bar line, wherever in a block that is.
            let trigger = u64::from(rate) * 3 / 2 + 13;
            for tempo in [120.0, 97.3] {
                let song = Song::new(tempo, 400.0 - tempo / 60.0 * 2.0);
                let case = Case { song: Some(song), start: "Next bar", ..Case::plain(rate, blocks, trigger) };
                let bar = case.song.as_ref().map_or(0, |song| song.next_bar(trigger, rate));
                case.comes_in_at(bar, &mut host, &models)?;
            }
            Case::plain(rate, blocks, trigger).comes_in_at(trigger, &mut host, &models)?;
        }
    }
    captures(&mut host, &models)
}

/// A note and a parameter at the same frame end the prompt at the same sample; a frame later it is another.
fn captures(host: &mut Host, models: &Models) -> Result<()> {
    let trigger = 70_001;
    let automated = Case { blocks: &[512], ..Case::plain(48_000, UNEVEN, trigger) };
    let played = Case { by: By::Note, ..automated.clone() };
    let automated = automated.comes_in_at(trigger, host, models)?;
    let same = played.comes_in_at(trigger, host, models)?;
    hold(same.acoustic == automated.acoustic, || "a note and a parameter at one frame gave different takes".into())?;
    let later = Case { trigger: trigger + 1, ..played };
    later.comes_in_at(trigger + 1, host, models).map(|_| ())
}

/// Bars are where the song has them also after a change of meter and while other parameters are being automated.
pub(super) fn meters(clap: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let models = Place { pack: None, device: "cpu".into(), threads: 1 }.load()?;
    let rate = 48_000;
    let meters =
        vec![Meter { from: 0.0, numerator: 7, denominator: 8 }, Meter { from: 10.5, numerator: 4, denominator: 4 }];
    // From quarter 9.5 on; bars are at 10.5 and 14.5, not at 12.
    let song = Song { tempo: 120.0, from: 9.5, meters };
    let trigger = 55_555;
    let bar = song.next_bar(trigger, rate);
    hold(bar == 120_000, || format!("the bar is at {bar}"))?;
    for (blocks, lane) in [(&[8_192][..], false), (&[512], true), (&[8_192], true)] {
        let case = Case { song: Some(song.clone()), start: "Next bar", lane, ..Case::plain(rate, blocks, trigger) };
        case.comes_in_at(bar, &mut host, &models)?;
    }
    Ok(())
}

impl<'a> Case<'a> {
    /// At once, by automation, without a song.
    fn plain(rate: u32, blocks: &'a [usize], trigger: u64) -> Self {
        Self { rate, blocks, song: None, start: "At once, in time", trigger, by: By::Automation, lane: false }
    }

    /// Renders it: silence up to the frame `entry`, and from it on, sample for sample, what belongs there.
    fn comes_in_at(&self, entry: u64, host: &mut Host, models: &Models) -> Result<Take> {
        let render = self.render(host)?;
        let what = |said: String| format!("{self:?}: {said}");
        let late = usize::try_from(entry - self.trigger).map_err(Error::host)?;
        let first = (0..render.heard[0].len()).find(|n| render.heard.iter().any(|plane| plane[*n] != 0.0));
        hold(first == Some(late), || {
            what(format!("the first sample that sounds is {first:?} frames after the prompt's end, not {late}"))
        })?;
        let likeness = |shift: usize| render.likeness(models, late, shift);
        let (here, beside) = (likeness(1)?, likeness(0)?.max(likeness(2)?));
        println!(
            "{} Hz, {:?}, {}: {here:.0} dB alike, {beside:.0} dB a sample beside",
            self.rate, self.blocks, self.start
        );
        hold(here > 60.0 && here > beside + 10.0, || {
            what(format!("{here:.1} dB alike where it belongs, {beside:.1} dB a sample beside it"))
        })?;
        Ok(render.take)
    }

    fn render(&self, host: &mut Host) -> Result<Render> {
        let mut cues = Vec::new();
        for (name, text) in [
            ("Seed", "7"),
            ("Continuation length", &format!("{LENGTH} s")),
            ("Prompt length", &format!("{PROMPT} s")),
            ("Start", self.start),
            ("MIDI trigger note", &KEY.to_string()),
            ("Capture & Continue", "off"),
        ] {
            cues.push(Cue::param(0, host.param(name)?.id, host.value_of(name, text)?));
        }
        if self.lane {
            cues.extend(lane(host.param("Detail")?.id, self.frames()));
        }
        cues.push(match self.by {
            By::Automation => Cue::param(self.trigger, host.param("Capture & Continue")?.id, 1.0),
            By::Note => Cue { frame: self.trigger, what: What::Note(KEY) },
        });
        cues.sort_by_key(|cue| cue.frame);
        let trigger = usize::try_from(self.trigger).map_err(Error::host)?;
        let mut input = audio::read(&paths::default_prompt())?.at(self.rate)?.stereo();
        input.iter_mut().for_each(|plane| plane.truncate(trigger));
        let score = Score {
            rate: self.rate,
            blocks: self.blocks.to_vec(),
            pace: Pace::Offline,
            input,
            cues,
            song: self.song.clone(),
            frames: self.frames(),
        };
        let heard = host.perform(&score, |_, _| {})?.planes;
        let heard = listen::cut(&heard, trigger, heard[0].len());
        Ok(Render { take: newest(host)?, heard, rate: self.rate })
    }

    fn frames(&self) -> u64 {
        self.trigger + ((LENGTH + 0.1) * f64::from(self.rate)) as u64
    }
}

/// A value every 700 frames.
fn lane(param: ClapId, frames: u64) -> impl Iterator<Item = Cue> {
    (0..frames / 700).map(move |n| Cue::param(350 + n * 700, param, 0.3 + 0.01 * (n % 20) as f64))
}

impl Render {
    /// How much what was heard from the frame `late` on (past the fade) is like the take decoded here, moved by one frame
    /// less than `shift`, in dB.
    fn likeness(&self, models: &Models, late: usize, shift: usize) -> Result<f64> {
        let mut decoder = TakeDecoder::new(models, &self.take)?;
        let mut planes = [Vec::new(), Vec::new()];
        while let Some(chunk) = decoder.next_chunk()? {
            for (plane, chunk) in planes.iter_mut().zip(chunk) {
                plane.extend(chunk);
            }
        }
        let made = resample(&planes, models.sample_rate(), self.rate)?;
        let margin = self.rate as usize / 20;
        let (from, to) = (late + margin, (LENGTH * f64::from(self.rate)) as usize - margin);
        let made: Vec<f32> = made[0].iter().zip(&made[1]).map(|(l, r)| 0.5 * (l + r)).collect();
        let heard = listen::mono(&listen::cut(&self.heard, from, to));
        let made = made.get(from + shift - 1..).ok_or_else(|| Error::Check("the take is too short".into()))?;
        Ok(listen::likeness(&heard, made, 0).0)
    }
}
