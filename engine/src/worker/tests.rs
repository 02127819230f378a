use super::source::{Ahead, Decode, Music, Part, Prompt};
use super::*;
use crate::command::{ExportContent, ExportFormat, ExportRequest};
use crate::continuation::Sampling;
use crate::error::{Error, Result};
use crate::playback::Mix;
use crate::prompt::Phase;
use crate::status::PackSummary;
use crate::take::{Provenance, Take, TakeId, Tokens};
use crate::transport::Transport;
use parking_lot::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

mod ahead;
mod duet;
mod takes;
mod time;

const PACK_RATE: u32 = 24_000;
const CHUNK: usize = 1_920;

/// What the pretended pack plays: exact, and never 0.
fn note(n: usize) -> f32 {
    0.25 + (n % 200_000) as f32 / 524_288.0
}

/// Makes [`note`]s at a chosen speed.
#[derive(Clone)]
struct Fake {
    /// Seconds of audio per second; infinite does not sleep.
    speed: f64,
    /// From this step on it has this speed.
    slows: Option<(usize, f64)>,
    /// Fails at this step.
    fails_at: Option<usize>,
    /// Loses its device at this step, and goes on without.
    loses_at: Option<u32>,
    told: bool,
    /// Refuses to load while this is not 0.
    missing: Arc<AtomicU32>,
    steps: Arc<AtomicU32>,
    /// Seeds that were asked for at once.
    together: Arc<Mutex<Vec<usize>>>,
    /// Prompts that were begun before they were asked for.
    opened: Arc<AtomicU32>,
    /// Samples of the one that a trigger would continue.
    taken: Arc<AtomicU32>,
    /// Samples that were there at the trigger, and that were still to be taken in.
    caught: Arc<Mutex<Vec<(usize, usize)>>>,
    /// Tempos that continuations were told when they began.
    tempos: Arc<Mutex<Vec<Option<f64>>>>,
    /// Takes in nothing before it is asked to.
    deaf: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            speed: f64::INFINITY,
            slows: None,
            fails_at: None,
            loses_at: None,
            told: false,
            missing: Arc::default(),
            steps: Arc::default(),
            together: Arc::default(),
            opened: Arc::default(),
            taken: Arc::default(),
            caught: Arc::default(),
            tempos: Arc::default(),
            deaf: false,
        }
    }
}

struct FakeMusic {
    fake: Fake,
    /// Samples before the continuation.
    prompt: usize,
    made: usize,
    step: usize,
    seed: u64,
}

struct FakeAhead {
    fake: Fake,
    samples: usize,
}

struct FakeDecode {
    next: usize,
    end: usize,
    seed: u64,
}

/// Seeds from 10 000 on play upside down, so that takes can be told apart.
fn chunk(seed: u64, from: usize, frames: usize) -> [Vec<f32>; 2] {
    let sign = if seed < 10_000 { 1.0 } else { -1.0 };
    let left: Vec<f32> = (from..from + frames).map(|n| note(n) * sign).collect();
    [left.clone(), left]
}

impl Source for Fake {
    fn load(&mut self, _request: &LoadRequest) -> Result<PackSummary> {
        if self.missing.load(Relaxed) > 0 {
            return Err(Error::PackMissing { looked: vec!["/nowhere".into()] });
        }
        Ok(PackSummary {
            name: "fake".into(),
            version: "1".into(),
            title: String::new(),
            stages: vec!["semantic".into()],
            held: false,
            sample_rate: PACK_RATE,
            channels: 1,
            device: if self.loses_at.is_some() { "cuda" } else { "cpu" }.into(),
            threads: 1,
            license: String::new(),
        })
    }
    fn lost(&mut self) -> Option<(PackSummary, Error)> {
        if self.told || self.loses_at.is_none_or(|at| self.steps.load(Relaxed) < at) {
            return None;
        }
        self.told = true;
        let pack = self.load(&LoadRequest::default()).ok()?;
        let error = Error::Device { device: "cuda".into(), reason: "it is gone".into() };
        Some((PackSummary { device: "cpu".into(), ..pack }, error))
    }
    fn made(&self, take: &Take) -> bool {
        self.missing.load(Relaxed) == 0 && take.provenance.pack_hash == "fake"
    }
    fn begin(&mut self, prompt: &Prompt, seed: u64) -> Result<Box<dyn Music>> {
        if let Prompt::Audio(prompt) = prompt {
            assert!(prompt.iter().flatten().all(|s| s.is_finite()));
        }
        let prompt = match prompt {
            Prompt::Audio(_) => 0,
            Prompt::Take(take) => take.prompt_samples,
            Prompt::Further(take) => take.prompt_samples + take.continuation_samples,
        };
        Ok(Box::new(FakeMusic { fake: self.clone(), prompt, made: 0, step: 0, seed }))
    }
    fn open(&mut self, beginning: &[Vec<f32>]) -> Result<Box<dyn Ahead>> {
        assert!(beginning.len() == 2 && !beginning[0].is_empty());
        if self.deaf {
            return Err(Error::Request("not now".into()));
        }
        self.opened.fetch_add(1, Relaxed);
        Ok(Box::new(FakeAhead { fake: self.clone(), samples: 0 }))
    }
    /// Three at a time.
    fn begin_together(&mut self, take: &Take, seeds: &[u64]) -> Result<Vec<Box<dyn Music>>> {
        self.together.lock().push(seeds.len());
        let prompt = Prompt::Take(Box::new(take.clone()));
        seeds.iter().take(3).map(|seed| self.begin(&prompt, *seed)).collect()
    }
    fn decode(&mut self, take: &Take, part: Part) -> Result<Box<dyn Decode>> {
        let whole = take.prompt_samples + take.continuation_samples;
        let (next, end) = match part {
            Part::Prompt => (0, take.prompt_samples),
            Part::Continuation => (take.prompt_samples, whole),
            Part::Whole => (0, whole),
        };
        Ok(Box::new(FakeDecode { next, end, seed: take.provenance.seed }))
    }
}

impl Ahead for FakeAhead {
    fn take_in(&mut self, audio: &[Vec<f32>], phase: Phase) -> Result<()> {
        self.samples += audio[0].len();
        if phase == Phase::Ready {
            self.fake.taken.store(self.samples as u32, Relaxed);
        }
        Ok(())
    }
    fn close(self: Box<Self>, audio: &[Vec<f32>], seed: u64, sampling: &Sampling) -> Result<Box<dyn Music>> {
        self.fake.tempos.lock().push(sampling.tempo);
        self.fake.caught.lock().push((self.samples, audio[0].len()));
        Ok(Box::new(FakeMusic { fake: self.fake, prompt: 0, made: 0, step: 0, seed }))
    }
}

impl Music for FakeMusic {
    fn step(&mut self, sampling: &Sampling) -> Result<[Vec<f32>; 2]> {
        self.fake.steps.fetch_add(1, Relaxed);
        self.step += 1;
        if self.step == 1 {
            self.fake.tempos.lock().push(sampling.tempo);
        }
        if self.fake.fails_at == Some(self.step) {
            return Err(Error::Inference {
                pack: "fake".into(),
                graph: "none.onnx".into(),
                reason: "NaN in output".into(),
            });
        }
        let speed = self.fake.slows.filter(|(at, _)| self.step >= *at).map_or(self.fake.speed, |(_, speed)| speed);
        if speed.is_finite() {
            std::thread::sleep(Duration::from_secs_f64(CHUNK as f64 / f64::from(PACK_RATE) / speed));
        }
        let chunk = chunk(self.seed, self.prompt + self.made, CHUNK);
        self.made += CHUNK;
        Ok(chunk)
    }
    fn ribbons(&self, _most: usize) -> Vec<(String, usize, Arc<[u16]>)> {
        vec![("semantic".into(), self.made / 960, Arc::default())]
    }
    fn take(&self, id: TakeId, name: String, sampling: &Sampling, samples: usize) -> Take {
        let provenance = Provenance {
            pack: "fake 1".into(),
            pack_hash: "fake".into(),
            seed: self.seed,
            temperatures: sampling.temperatures,
            ..Provenance::default()
        };
        Take {
            id,
            name,
            stars: 0,
            parent: None,
            provenance,
            semantic: Tokens::new(1),
            acoustic: Tokens::new(1),
            prompt_samples: self.prompt,
            continuation_samples: samples.min(self.made),
            sample_rate: PACK_RATE,
            gain: [1.0, 1.0],
            loudness: None,
        }
    }
}

impl Decode for FakeDecode {
    fn next_chunk(&mut self) -> Result<Option<[Vec<f32>; 2]>> {
        let frames = CHUNK.min(self.end - self.next);
        self.next += frames;
        Ok((frames > 0).then(|| chunk(self.seed, self.next - frames, frames)))
    }
}

/// A host with one instance.
struct Host {
    engine: Engine,
    ends: AudioEnds,
    rate: u32,
    offline: bool,
    out: Vec<f32>,
    /// What is played into it.
    input: fn(u64) -> f32,
    realtime: Option<(Instant, u64)>,
    /// What the host's transport says at a frame.
    song: Option<fn(u64, u32) -> Transport>,
}

const PLAY: fn(u64) -> f32 = |n| ((n as f32) * 0.05).sin() * 0.5;
const SILENCE: fn(u64) -> f32 = |_| 0.0;

impl Host {
    fn new(fake: &Fake, rate: u32, offline: bool) -> Self {
        let config = EngineConfig::default();
        config.controls.length_seconds.set(1.0);
        config.controls.prompt_seconds.set(2.0);
        let fake = fake.clone();
        let engine = Engine::spawn_with(config, move || Box::new(fake));
        let ends = engine.activate(Activation { sample_rate: rate, offline });
        Self { engine, ends, rate, offline, out: Vec::new(), input: PLAY, realtime: None, song: None }
    }

    fn block(&mut self, frames: usize) {
        let clock = self.ends.capture.clock();
        let mut left: Vec<f32> = (clock..clock + frames as u64).map(self.input).collect();
        let mut right = left.clone();
        if let Some(song) = self.song {
            self.ends.transport(song(clock, self.rate));
        }
        self.ends.push_block(&[&left, &right]);
        if self.offline {
            let began = Instant::now();
            while !self.ends.playback.ready(self.ends.capture.sent(), clock, frames, false) {
                assert!(began.elapsed() < Duration::from_secs(20), "waits in vain at {clock}");
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        let looping = self.engine.controls.loop_take.load(Relaxed);
        self.ends.playback.mix(&mut [&mut left, &mut right], clock, &Mix { dry: 0.0, wet: 1.0, duck: false, looping });
        self.out.extend(left);
        if let Some((began, from)) = self.realtime {
            let due = Duration::from_secs_f64((clock + frames as u64 - from) as f64 / f64::from(self.rate));
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }

    fn seconds(&mut self, seconds: f64) {
        let end = self.ends.capture.clock() + (seconds * f64::from(self.rate)) as u64;
        while self.ends.capture.clock() < end {
            self.block(480.min((end - self.ends.capture.clock()) as usize));
        }
    }

    /// From here on, blocks take as long as they last.
    fn pace(&mut self) {
        self.realtime = Some((Instant::now(), self.ends.capture.clock()));
    }

    fn trigger(&mut self, frame: usize) -> usize {
        let clock = self.ends.capture.clock() + frame as u64;
        let transport = self.song.map(|song| song(clock, self.rate)).unwrap_or_default();
        self.ends.capture.trigger(frame, transport);
        clock as usize
    }

    fn send(&self, command: Command) {
        self.engine.commands.try_send(command).expect("room");
    }

    fn status(&self) -> Status {
        self.engine.status.lock().clone()
    }

    fn wait(&self, what: &str, mut until: impl FnMut(&Status) -> bool) -> Status {
        let began = Instant::now();
        loop {
            let status = self.status();
            if until(&status) {
                return status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{what}: {:.1500}",
                format!("{:?}", Status { listening: Default::default(), takes: Vec::new(), ..status })
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Runs on, faster than real time, until something is so.
    fn until(&mut self, what: &str, mut until: impl FnMut(&Status) -> bool) -> Status {
        let began = Instant::now();
        loop {
            let status = self.status();
            if until(&status) {
                return status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{what}: {:.1500}",
                format!("{:?}", Status { listening: Default::default(), takes: Vec::new(), ..status })
            );
            self.block(480);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A take of this seed and length, made and stopped.
    fn take(&mut self, seed: u32, seconds: f32) -> TakeId {
        let before = self.status().takes.len();
        self.engine.controls.seed.store(seed, Relaxed);
        self.engine.controls.length_seconds.set(seconds);
        self.trigger(0);
        let status = self.until("made", |s| s.takes.len() == before + 1 && s.generating.is_none());
        self.send(Command::Stop);
        self.until("stopped", |s| s.playing.is_none());
        for _ in 0..5 {
            self.block(480);
            std::thread::sleep(Duration::from_millis(2));
        }
        self.out.fill(0.0);
        status.takes[0].id
    }

    /// The first frame that is heard from `from` on.
    fn first(&self, from: usize) -> usize {
        from + self.out[from..].iter().position(|s| *s != 0.0).expect("heard")
    }

    fn ready(&self) {
        self.wait("ready", |s| s.activity == Activity::Ready);
    }
}

#[test]
fn a_bounce_is_complete_and_exact() {
    // At the pack's own rate nothing is resampled, so every sample can be named.
    let mut host = Host::new(&Fake { speed: 40.0, ..Fake::default() }, PACK_RATE, true);
    host.seconds(3.0);
    let origin = host.trigger(123);
    host.seconds(2.0);
    let (fade, length) = (600, PACK_RATE as usize);
    assert!(host.out[..origin].iter().all(|s| *s == 0.0));
    for n in fade..length - fade {
        assert_eq!(host.out[origin + n], note(n), "sample {n}");
    }
    assert!(host.out[origin + length..].iter().all(|s| *s == 0.0));
    assert_eq!(host.engine.meters.underruns.load(Relaxed), 0);
    let status = host.wait("done", |s| s.activity == Activity::Ready && s.takes.len() == 1);
    assert_eq!(status.takes[0].name, "Take 1");
    assert!((status.takes[0].seconds - 1.0).abs() < 1e-6);
    assert!((1..=9999).contains(&status.takes[0].seed));
    assert_eq!(host.engine.shelf.snapshot().takes.len(), 1);
}

#[test]
fn in_real_time_it_comes_in_where_time_is() {
    let mut host = Host::new(&Fake { speed: 20.0, ..Fake::default() }, PACK_RATE, false);
    host.ready();
    host.seconds(3.0);
    host.pace();
    let origin = host.trigger(100);
    host.seconds(1.3);
    let first = host.out.iter().position(|s| *s != 0.0).expect("heard");
    assert!(first > origin && first < origin + PACK_RATE as usize / 2, "entered at {first}, {origin} is its beginning");
    for n in first - origin + 700..PACK_RATE as usize - 700 {
        assert_eq!(host.out[origin + n], note(n), "sample {n}");
    }
    assert_eq!(host.engine.meters.underruns.load(Relaxed), 0);
    let status = host.status();
    assert!(status.ttfa_ms.is_some_and(|ms| ms > 0.0 && ms < 500.0), "{:?}", status.ttfa_ms);
    assert!(status.speed.is_some_and(|speed| speed > 5.0), "{:?}", status.speed);
}

#[test]
fn slower_than_real_time_is_heard_whole_and_without_gaps() {
    let mut host = Host::new(&Fake { speed: 0.7, ..Fake::default() }, PACK_RATE, false);
    host.ready();
    host.seconds(3.0);
    host.pace();
    host.trigger(0);
    host.seconds(0.5);
    assert!(host.status().progress.is_some_and(|p| p.starts_in > 0.0));
    host.seconds(2.4);
    assert_eq!(host.engine.meters.underruns.load(Relaxed), 0);
    let first = host.out.iter().position(|s| *s != 0.0).expect("heard");
    for n in 700..PACK_RATE as usize - 700 {
        assert_eq!(host.out[first + n], note(n), "sample {n}");
    }
}

#[test]
fn a_machine_that_becomes_too_slow_pauses_once_and_leaves_nothing_out() {
    let mut host = Host::new(&Fake { speed: 4.0, slows: Some((12, 0.5)), ..Fake::default() }, PACK_RATE, false);
    host.engine.controls.length_seconds.set(4.0);
    host.ready();
    host.seconds(3.0);
    host.pace();
    let origin = host.trigger(0);
    host.seconds(2.5);
    host.wait("told", |s| s.notice.as_deref().is_some_and(|notice| notice.contains("goes on")));
    assert!(host.status().progress.is_some_and(|p| p.starts_in > 0.0), "an honest estimate");
    let began = host.out.len();
    while host.engine.meters.position.load(Relaxed) != u64::MAX || host.out[began..].iter().all(|s| *s == 0.0) {
        host.block(480);
        assert!(host.out.len() < began + 12 * PACK_RATE as usize, "it goes on");
    }
    // Which notes are heard, but for fades: no three of their samples are a sample apart.
    let index = |s: f32| (s - 0.25) * 524_288.0;
    let heard =
        host.out[origin..].windows(3).filter(|w| index(w[1]) == index(w[0]) + 1.0 && index(w[2]) == index(w[1]) + 1.0);
    let heard: Vec<usize> = heard.map(|w| index(w[1]) as usize).collect();
    let jumps: Vec<(usize, usize)> = heard.windows(2).map(|w| (w[0], w[1])).filter(|(a, b)| *b != a + 1).collect();
    assert!(!jumps.is_empty() && jumps.len() < 8, "one pause and not a hole after every step: {jumps:?}");
    assert!(jumps.iter().all(|(a, b)| b > a), "nothing twice: {jumps:?}");
    // Fades, and what was due in a hole. Half of the three seconds would be, without the pause.
    let left_out: usize = jumps.iter().map(|(a, b)| b - a).sum();
    assert!(left_out < PACK_RATE as usize / 2, "{left_out} frames: {jumps:?}");
    assert!(heard.last().is_some_and(|last| *last > 4 * PACK_RATE as usize - 1_000), "to its end");
}

#[test]
fn any_rate_will_do() {
    for rate in [8_000, 44_056, 96_000] {
        let mut host = Host::new(&Fake::default(), rate, true);
        host.seconds(2.5);
        let origin = host.trigger(0);
        host.seconds(1.5);
        let middle = origin + rate as usize / 2;
        let expected = note(PACK_RATE as usize / 2);
        assert!((host.out[middle] - expected).abs() < 0.01, "{rate} Hz: {} instead of {expected}", host.out[middle]);
        assert!(host.out[origin + rate as usize..].iter().all(|s| *s == 0.0), "{rate} Hz");
    }
}

#[test]
fn silence_and_too_little_are_refused_in_words() {
    let mut host = Host::new(&Fake::default(), 48_000, true);
    host.seconds(0.5);
    host.trigger(0);
    host.block(480);
    host.wait("too short", |s| s.notice.as_deref().is_some_and(|n| n.contains("at least a second")));
    host.input = SILENCE;
    host.seconds(3.0);
    host.trigger(0);
    host.block(480);
    host.wait("silent", |s| s.notice.as_deref() == Some("Nothing to continue: the input was silent."));
    assert!(host.status().takes.is_empty());
    host.input = |_| f32::NAN;
    host.seconds(3.0);
    host.trigger(0);
    host.block(480);
    host.wait("not a number is silence", |s| s.notice.as_deref().is_some_and(|n| n.contains("silent")));
}

#[test]
fn recording_takes_what_comes_after() {
    let mut host = Host::new(&Fake::default(), PACK_RATE, true);
    host.engine.controls.record.store(true, Relaxed);
    host.input = SILENCE;
    host.seconds(2.0);
    host.input = PLAY;
    let trigger = host.trigger(50);
    host.block(480);
    host.wait("recording", |s| s.activity == Activity::Recording);
    host.seconds(3.5);
    let origin = trigger + 2 * PACK_RATE as usize;
    assert!(host.out[..origin].iter().all(|s| *s == 0.0));
    assert_eq!(host.out[origin + 5_000], note(5_000));
}

#[test]
fn a_failure_is_told_and_the_next_attempt_works() {
    let mut host = Host::new(&Fake { fails_at: Some(4), speed: 50.0, ..Fake::default() }, PACK_RATE, false);
    host.ready();
    host.seconds(3.0);
    for attempt in 1..=2 {
        host.trigger(0);
        host.seconds(0.5);
        // What was made before the failure is kept.
        let status = host.wait("failed", |s| s.takes.len() == attempt && s.generating.is_none());
        assert!(status.problem.is_some_and(|p| p.what.contains("NaN in output")));
        assert_eq!(status.activity, Activity::Ready);
        host.seconds(1.0);
    }
}

#[test]
fn a_lost_device_is_told_and_the_take_goes_on() {
    let mut host = Host::new(&Fake { loses_at: Some(4), speed: 50.0, ..Fake::default() }, PACK_RATE, false);
    host.engine.controls.length_seconds.set(2.0);
    host.ready();
    host.seconds(3.0);
    let device = |s: &Status| s.pack.as_ref().map(|p| p.device.clone());
    assert_eq!(device(&host.engine.status.lock()).as_deref(), Some("cuda"));
    host.trigger(0);
    host.seconds(3.0);
    let status = host.wait("made", |s| s.takes.len() == 1 && s.generating.is_none());
    assert!(status.problem.as_ref().is_some_and(|p| p.what.contains("it is gone")), "{:?}", status.problem);
    assert_eq!(device(&status).as_deref(), Some("cpu"));
    assert!(status.takes[0].seconds > 1.9, "all of it: {} s", status.takes[0].seconds);
}

#[test]
fn cancel_takes_effect_within_a_step() {
    let fake = Fake { speed: 1.6, ..Fake::default() };
    let mut host = Host::new(&fake, PACK_RATE, false);
    host.engine.controls.length_seconds.set(f32::INFINITY);
    host.ready();
    host.seconds(3.0);
    host.pace();
    host.trigger(0);
    host.seconds(0.4);
    let before = fake.steps.load(Relaxed);
    host.send(Command::Cancel);
    let status = host.wait("cancelled", |s| s.generating.is_none() && s.activity == Activity::Ready);
    assert!(fake.steps.load(Relaxed) <= before + 1);
    assert_eq!(status.takes.len(), 1, "what there is stays");
    host.seconds(0.1);
    assert_eq!(host.out.last(), Some(&0.0));
}

#[test]
fn a_worker_that_is_away_for_twelve_seconds_loses_no_take_and_does_not_lose_count() {
    // One step takes a second of the machine's time, in which the host plays more than the ring holds.
    let fake = Fake { speed: 0.08, slows: Some((2, f64::INFINITY)), ..Fake::default() };
    let mut host = Host::new(&fake, PACK_RATE, false);
    host.ready();
    host.seconds(3.0);
    host.trigger(0);
    while fake.steps.load(Relaxed) == 0 {
        host.block(64);
        std::thread::sleep(Duration::from_millis(1));
    }
    host.seconds(12.0);
    let status = host.wait("back again", |s| s.takes.len() == 1 && s.generating.is_none());
    assert!((status.takes[0].seconds - 1.0).abs() < 1e-6);
    assert_eq!(host.engine.shelf.snapshot().takes.len(), 1);
    host.send(Command::Stop);
    host.seconds(2.5);
    let origin = host.trigger(7);
    host.block(480);
    host.wait("the next one", |s| s.takes.len() == 2 && s.generating.is_none());
    host.seconds(1.0);
    assert_eq!(host.out[origin + 20_000], note(20_000), "on the frame it belongs to");
}

#[test]
fn closing_in_the_middle_is_clean_and_quick() {
    let mut host = Host::new(&Fake { speed: 0.5, ..Fake::default() }, PACK_RATE, false);
    host.engine.controls.length_seconds.set(f32::INFINITY);
    host.ready();
    host.seconds(3.0);
    host.trigger(0);
    host.wait("generating", |s| s.activity == Activity::Generating);
    let began = Instant::now();
    drop(host);
    assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
}

#[test]
fn takes_are_restored_without_generating() {
    let fake = Fake::default();
    let mut host = Host::new(&fake, PACK_RATE, false);
    let music = |id, hash: &str| {
        let mut take = FakeMusic { fake: fake.clone(), prompt: 0, made: 48_000, step: 0, seed: 5 }.take(
            TakeId(id),
            format!("Take {id}"),
            &Sampling::default(),
            48_000,
        );
        take.provenance.pack_hash = hash.into();
        take
    };
    let takes = vec![music(9, "fake"), music(4, "another")];
    host.engine.shelf.restore(Shelf { takes: takes.clone(), selected: Some(TakeId(9)), pack: None });
    let status = host.wait("restored", |s| s.takes.len() == 2 && !s.takes[0].continuation.is_empty());
    assert!(status.takes[0].playable && !status.takes[1].playable);
    assert_eq!(host.engine.shelf.snapshot().takes, takes, "untouched");
    host.send(Command::Play);
    let began = Instant::now();
    while host.out.iter().filter(|s| **s != 0.0).count() < 30_000 {
        host.block(480);
        std::thread::sleep(Duration::from_millis(1));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(fake.steps.load(Relaxed), 0);
    let first = host.out.iter().position(|s| *s != 0.0).expect("heard");
    assert_eq!(host.out[first + 10_000], note(10_000), "from its beginning");
    host.send(Command::Select(TakeId(4)));
    host.send(Command::Play);
    host.wait("refused", |s| s.notice.as_deref().is_some_and(|n| n.contains("not loaded")));
    host.send(Command::Delete(TakeId(4)));
    host.send(Command::Rename(TakeId(9), "Good one".into()));
    host.send(Command::Stars(TakeId(9), 4));
    let status = host.wait("tidied", |s| s.takes.len() == 1 && s.takes[0].stars == 4);
    assert_eq!((status.takes[0].name.as_str(), status.selected), ("Good one", Some(TakeId(9))));
    // Its prompt was played in another session; its tokens are enough to go on from it.
    host.send(Command::Retry);
    for _ in 0..200 {
        host.block(480);
        std::thread::sleep(Duration::from_millis(1));
    }
    let status = host.wait("tried again", |s| s.takes.len() == 2 && s.generating.is_none());
    assert_eq!(status.selected, Some(TakeId(10)));
}

#[test]
fn retry_export_and_another_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = Host::new(&Fake::default(), PACK_RATE, false);
    host.ready();
    host.seconds(3.0);
    host.trigger(0);
    host.block(480);
    host.wait("first", |s| s.takes.len() == 1 && s.generating.is_none());
    host.send(Command::Retry);
    for _ in 0..200 {
        host.block(480);
        std::thread::sleep(Duration::from_millis(1));
    }
    let status = host.wait("second", |s| s.takes.len() == 2 && s.generating.is_none());
    assert_eq!(status.selected, Some(TakeId(2)));
    // Another rate: the ends are new, the takes stay and are decoded for it.
    host.engine.deactivate();
    host.ends = host.engine.activate(Activation { sample_rate: 48_000, offline: false });
    let path = folder.path().join("take.wav");
    host.wait("listening again", |s| s.activity == Activity::Ready);
    host.send(Command::Export(
        TakeId(1),
        ExportRequest { path: path.clone(), format: ExportFormat::Float32, content: ExportContent::Continuation },
    ));
    host.wait("exported", |s| s.notice.as_deref().is_some_and(|n| n.contains("Exported")));
    let reader = hound::WavReader::open(&path).expect("a file");
    assert_eq!((reader.spec().sample_rate, reader.duration()), (48_000, 48_000));
}

#[test]
fn without_a_pack_audio_passes_and_the_way_out_is_told() {
    let fake = Fake::default();
    fake.missing.store(1, Relaxed);
    let mut host = Host::new(&fake, 48_000, true);
    let status = host.wait("unable", |s| s.activity == Activity::Unable);
    assert!(status.problem.is_some_and(|p| p.what.contains("/nowhere") && !p.remedy.is_empty()));
    host.seconds(2.0);
    host.trigger(0);
    host.seconds(1.0);
    fake.missing.store(0, Relaxed);
    host.send(Command::LoadPack(None));
    let status = host.wait("loaded", |s| s.activity == Activity::Ready);
    assert_eq!((status.problem, status.pack.map(|p| p.name)), (None, Some("fake".into())));
    fake.missing.store(1, Relaxed);
    host.send(Command::LoadPack(Some("/bad".into())));
    let status = host.wait("refused", |s| s.problem.is_some());
    assert_eq!(status.pack.map(|p| p.name), Some("fake".into()), "the last good one stays");
}

#[test]
fn an_armed_continuation_waits_for_the_transport() {
    let mut host = Host::new(&Fake::default(), PACK_RATE, true);
    host.engine.controls.start.store(3, Relaxed);
    host.seconds(3.0);
    host.trigger(0);
    host.seconds(1.0);
    assert!(host.out.iter().all(|s| *s == 0.0));
    let start = host.ends.capture.clock();
    host.ends.transport(Transport { playing: true, ..Transport::default() });
    host.seconds(1.0);
    assert_eq!(host.out[start as usize + 10_000], note(10_000));
}

#[test]
fn the_play_parameter_plays_loops_and_stops() {
    let mut host = Host::new(&Fake::default(), PACK_RATE, true);
    host.seconds(3.0);
    host.trigger(0);
    host.seconds(2.0);
    host.engine.controls.loop_take.store(true, Relaxed);
    let start = host.ends.capture.clock() as usize;
    host.ends.capture.play();
    host.seconds(2.5);
    assert_eq!(host.out[start + 10_000], note(10_000));
    assert_eq!(host.out[start + PACK_RATE as usize + 10_000], note(10_000), "the second pass");
    host.ends.capture.stop();
    host.seconds(0.5);
    assert_eq!(host.out.last(), Some(&0.0));
}

#[test]
fn instances_do_not_disturb_each_other() {
    let hosts: Vec<Host> = (0..8).map(|_| Host::new(&Fake::default(), PACK_RATE, true)).collect();
    for mut host in hosts {
        host.seconds(2.0);
        let origin = host.trigger(7);
        host.seconds(1.0);
        assert_eq!(host.out[origin + 5_000], note(5_000));
    }
}
