//! One instance being played by a host that does as it is told: blocks of any length, events at frames of the whole.

use super::Setting;
use super::plug::{Audio, Block, Event, Instance, Library, Setup, Transport, find};
use crate::error::{Error, Result};
use crate::project;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use segue_engine::take::Take;

/// Reproducible chance.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// From the seed a report names.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
    /// 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }
    /// 0 to below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.below(of.len());
        &of[at]
    }
    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.0.next_u32() >> 24) as u8).collect()
    }
    /// White noise, −0.5 to 0.5.
    pub fn noise(&mut self, channels: usize, frames: usize) -> Vec<Vec<f32>> {
        (0..channels).map(|_| (0..frames).map(|_| (self.unit() - 0.5) as f32).collect()).collect()
    }
}

/// Samples, one vector per channel.
pub type Sound = Vec<Vec<f32>>;

/// Something that happens at a frame of the whole.
#[derive(Debug, Clone, Copy)]
pub enum Cue {
    /// A parameter by its number in the list.
    Param(u32, f64),
    /// A key goes down.
    Note(u8),
}

/// An instance and, while it is active, its audio side.
pub struct Session {
    // The audio side goes first: the instance may only be ended when nobody processes.
    audio: Option<Box<dyn Audio>>,
    /// The main thread's side.
    pub instance: Box<dyn Instance>,
    /// How it was activated.
    pub setup: Setup,
    /// Frames since activation.
    pub clock: u64,
    _library: Library,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("setup", &self.setup).field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A host that closes: it stops, deactivates, destroys.
        let _ = self.deactivate();
    }
}

impl Session {
    /// A new instance, inactive.
    pub fn open(setting: &Setting) -> Result<Self> {
        let library = setting.library()?;
        let instance = library.instance()?;
        Ok(Self { audio: None, instance, setup: Setup::default(), clock: 0, _library: library })
    }

    /// A new instance, active and processing.
    pub fn active(setting: &Setting, setup: Setup) -> Result<Self> {
        let mut session = Self::open(setting)?;
        session.activate(setup)?;
        Ok(session)
    }

    /// Activates and starts.
    pub fn activate(&mut self, setup: Setup) -> Result<()> {
        self.deactivate()?;
        let mut audio = self.instance.activate(setup)?;
        audio.start()?;
        self.audio = Some(audio);
        (self.setup, self.clock) = (setup, 0);
        Ok(())
    }

    /// Stops and deactivates, if it is active.
    pub fn deactivate(&mut self) -> Result<()> {
        match self.audio.take() {
            Some(mut audio) => {
                audio.stop();
                drop(audio);
                self.instance.deactivate()
            }
            None => Ok(()),
        }
    }

    /// The audio side, for another thread; [`Self::give_back`] returns it.
    pub fn lend_audio(&mut self) -> Result<Box<dyn Audio>> {
        self.audio.take().ok_or_else(|| Error::host("it is not active"))
    }

    /// Takes the audio side back.
    pub fn give_back(&mut self, audio: Box<dyn Audio>) {
        self.audio = Some(audio);
    }

    /// The audio side here.
    pub fn audio(&mut self) -> Result<&mut Box<dyn Audio>> {
        self.audio.as_mut().ok_or_else(|| Error::host("it is not active"))
    }

    /// The id of the parameter with this name.
    pub fn id(&self, name: &str) -> Result<u32> {
        Ok(find(self.instance.params(), name)?.id)
    }

    /// A cue that gives a parameter the value of a text.
    pub fn cue(&mut self, name: &str, text: &str) -> Result<Cue> {
        let id = self.id(name)?;
        let value = self.instance.text_to_value(id, text);
        value.map(|v| Cue::Param(id, v)).ok_or_else(|| Error::host(format!("{name} does not understand {text:?}")))
    }

    /// Plays `input` in blocks of `block(frames left)` frames, each event at its frame; what comes out.
    pub fn play(
        &mut self,
        input: &[Vec<f32>],
        cues: &[(u64, Cue)],
        mut block: impl FnMut(usize) -> usize,
    ) -> Result<Vec<Vec<f32>>> {
        let frames = input.first().map_or(0, Vec::len);
        let max = self.setup.max_block;
        let mut out: Vec<Vec<f32>> = input.iter().map(|_| Vec::with_capacity(frames)).collect();
        let mut ins: Vec<Vec<f32>> = input.iter().map(|_| vec![0.0; max.max(1)]).collect();
        let mut outs = ins.clone();
        let (mut at, mut next) = (0, 0);
        let mut events = Vec::new();
        while at < frames {
            let length = block(frames - at).min(frames - at).min(max);
            for (to, from) in ins.iter_mut().zip(input) {
                to[..length].copy_from_slice(&from[at..at + length]);
            }
            events.clear();
            while let Some((frame, cue)) = cues.get(next).filter(|(f, _)| *f < (at + length) as u64 || length == 0) {
                if *frame > at as u64 && length == 0 {
                    break;
                }
                let offset = frame.saturating_sub(at as u64) as u32;
                events.push(match *cue {
                    Cue::Param(id, value) => Event::Param { offset, id, value },
                    Cue::Note(key) => Event::NoteOn { offset, key },
                });
                next += 1;
            }
            let transport = Some(self.steady_transport());
            let clock = self.clock;
            let mut call = Block {
                input: &mut ins,
                output: Some(&mut outs),
                frames: length,
                constant: false,
                events: &events,
                transport,
                clock,
            };
            self.audio()?.process(&mut call)?;
            for (to, from) in out.iter_mut().zip(&outs) {
                to.extend_from_slice(&from[..length]);
            }
            at += length;
            self.clock += length as u64;
            self.instance.pump();
        }
        Ok(out)
    }

    /// 120 bpm, 4/4, rolling since activation.
    #[must_use]
    pub fn steady_transport(&self) -> Transport {
        let beats = self.clock as f64 / self.setup.rate * 2.0;
        Transport {
            playing: true,
            tempo: Some(120.0),
            beats: Some(beats),
            bar_start: (beats / 4.0).floor() * 4.0,
            signature: Some((4, 4)),
        }
    }

    /// Cues for a short prompt and a short continuation of a given seed, at the first frame; nothing else is left of what
    /// the parameters were.
    pub fn short(&mut self, seed: u64) -> Result<Vec<(u64, Cue)>> {
        let wanted = [
            ("Prompt length", "1 s"),
            ("Continuation length", "2 s"),
            ("Seed", &seed.to_string()),
            ("Start", "At once, in time"),
            ("Capture mode", "What I just played"),
            ("Mute input", "off"),
            ("Capture & Continue", "off"),
            ("Play", "off"),
        ];
        wanted.iter().map(|(name, text)| Ok((0, self.cue(name, text)?))).collect()
    }

    /// Presses Capture & Continue at a frame and lets it go a tenth of a second later.
    pub fn press(&self, frame: u64) -> Result<[(u64, Cue); 2]> {
        let id = self.id("Capture & Continue")?;
        Ok([(frame, Cue::Param(id, 1.0)), (frame + (self.setup.rate / 10.0) as u64, Cue::Param(id, 0.0))])
    }

    /// The takes in the state.
    pub fn takes(&mut self) -> Result<Vec<Take>> {
        project::takes(&self.instance.save(usize::MAX)?)
    }

    /// Offline: a second and a half of chords, the trigger, two seconds of continuation: input and output. There is one
    /// more take in the state then.
    pub fn make_take(&mut self, seed: u64, block: usize) -> Result<(Sound, Sound)> {
        let rate = self.setup.rate;
        let trigger = (rate * 1.5) as usize + 17;
        let mut input = chords(rate, 1.5, self.setup.channels);
        for channel in &mut input {
            channel.resize(trigger + (rate * 2.6) as usize, 0.0);
        }
        let mut cues = self.short(seed)?;
        cues.extend(self.press(trigger as u64)?);
        let heard = self.play(&input, &cues, |_| block)?;
        Ok((input, heard))
    }
}

/// A chord struck twice a second, the right channel softer.
#[must_use]
pub fn chords(rate: f64, seconds: f64, channels: usize) -> Vec<Vec<f32>> {
    let sample = |i: usize| {
        let t = i as f64 / rate;
        let decay = (-(t % 0.5) * 6.0).exp();
        let tone: f64 = [220.0, 277.2, 329.6].iter().map(|f| (std::f64::consts::TAU * f * t).sin()).sum();
        tone * decay * 0.2
    };
    let frames = (rate * seconds) as usize;
    (0..channels).map(|c| (0..frames).map(|i| (sample(i) * if c == 0 { 1.0 } else { 0.5 }) as f32).collect()).collect()
}

/// The first frame at which two recordings differ.
#[must_use]
pub fn differs(a: &[Vec<f32>], b: &[Vec<f32>]) -> Option<usize> {
    let frames = a.first().map_or(0, Vec::len).max(b.first().map_or(0, Vec::len));
    (0..frames).find(|i| a.iter().zip(b).any(|(a, b)| a.get(*i) != b.get(*i)))
}

/// The largest difference of two recordings.
#[must_use]
pub fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.iter().zip(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Whether there is a sound that the input does not hold.
#[must_use]
pub fn sounds(input: &[Vec<f32>], heard: &[Vec<f32>], from: usize) -> bool {
    input.iter().zip(heard).any(|(i, h)| i.iter().zip(h).skip(from).any(|(i, h)| (i - h).abs() > 1e-6))
}

/// Ends the check unless every sample is a finite number.
pub fn all_finite(heard: &[Vec<f32>]) -> Result<()> {
    match heard.iter().flatten().position(|s| !s.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::Check(format!("sample {at} of the output is not a number"))),
    }
}

/// Ends the check unless what came out is what went in, bit for bit.
pub fn passes(input: &[Vec<f32>], heard: &[Vec<f32>]) -> Result<()> {
    match differs(input, heard) {
        None => Ok(()),
        Some(at) => Err(Error::Check(format!("the input does not come through: frame {at} differs"))),
    }
}
