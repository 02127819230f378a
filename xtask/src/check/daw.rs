//! In a real DAW: Qtractor opens a session with Segue on a track, plays a recording through it, fires Capture & Continue
//! by automation, and what leaves its master bus is recorded. JACK with a driver that has no sound card runs beside it.

use super::hold;
use crate::error::{Error, Result};
use crate::host::window;
use crate::process::{self, Beside};
use crate::{audio, listen, paths, spectrogram, wav};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SESSION: &str = include_str!("../../daw/session.qtr");
const RATE: u32 = 48_000;
/// Seconds into the song.
const PLAYS_FROM: f64 = 2.0;
const TRIGGER: f64 = 8.0;
/// What the length lane says, of 127; and what that is in seconds (2–60).
const LENGTH_LANE: u8 = 9;
const LENGTH: f64 = 2.0 + 58.0 * LENGTH_LANE as f64 / 127.0;
/// A machine too slow to continue in time comes in this many seconds late at most.
const PATIENCE: f64 = 8.0;
/// Seconds within which a window or a port is there.
const OPENS: Duration = Duration::from_secs(60);
/// In the mixer's window: the plugin in the first track's strip.
const PLUGIN: (i32, i32) = (192, 47);

/// The programs' surroundings: a folder of their own, a JACK server of their own.
struct Desk<'a> {
    folder: PathBuf,
    display: &'a str,
    server: String,
}

impl Desk<'_> {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let here = |name: &str| self.folder.join(name);
        command.current_dir(&self.folder).env("HOME", here("home")).env("XDG_CONFIG_HOME", here("home/.config"));
        command.env("XDG_RUNTIME_DIR", here("home")).env("DISPLAY", self.display).env("QT_QPA_PLATFORM", "xcb");
        command.env("JACK_DEFAULT_SERVER", &self.server).env("JACK_NO_AUDIO_RESERVATION", "1").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Asks until there is an answer that holds these words.
    fn wait(&self, program: &str, args: &[&str], words: &str) -> Result<String> {
        let begin = Instant::now();
        loop {
            let said = process::quietly(self.command(program).args(args)).unwrap_or_default();
            if said.contains(words) && !said.is_empty() {
                return Ok(said);
            }
            if begin.elapsed() > OPENS {
                return Err(Error::Check(format!("{program} {} says nothing of {words:?}", args.join(" "))));
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        std::fs::write(&path, bytes).map_err(|e| Error::file(&path, e))
    }
}

/// Plays the session and listens. Pictures of the DAW with the editor open go to `shots`.
pub(super) fn continues(clap: &Path, display: &str, shots: &Path) -> Result<()> {
    let folder = paths::target().join("daw");
    let desk = Desk { folder, display, server: format!("segue-{}", std::process::id()) };
    let prompt = audio::read(&paths::default_prompt())?.at(RATE)?.cut(0, ((TRIGGER - PLAYS_FROM) * 48e3) as usize);
    prepare(&desk, clap, &prompt)?;
    let mut jack = desk.command("jackd");
    // Synchronous: what a busy machine is late with is waited for, as by a sound card with a long buffer.
    let jack = Beside::start(jack.args([
        "--no-realtime",
        "--sync",
        "--name",
        &desk.server,
        "-d",
        "dummy",
        "-r",
        "48000",
        "-p",
        "2048",
    ]))?;
    desk.wait("jack_lsp", &[], "system:playback_1")?;
    let mut qtractor = desk.command("qtractor");
    if !Path::new("/dev/snd/seq").exists() {
        qtractor.env("LD_PRELOAD", desk.folder.join("sequencer.so"));
    }
    let qtractor = Beside::start(qtractor.arg("segue.qtr"))?;
    desk.wait("jack_lsp", &[], "Master/out_2")?;
    let mixer = desk.wait("xdotool", &["search", "--name", "^Mixer"], "")?;
    let (x, y) = (PLUGIN.0.to_string(), PLUGIN.1.to_string());
    let mixer = mixer.lines().next().unwrap_or_default();
    let double =
        ["mousemove", "--window", mixer, &x, &y, "click", "--repeat", "2", "--delay", "80", "1", "mousemove", "2", "2"];
    process::quietly(desk.command("xdotool").args(double))?;
    desk.wait("xdotool", &["search", "--name", "^Segue - Piano"], "")?;

    let seconds = (TRIGGER + PATIENCE + LENGTH + 2.0).ceil();
    let mut recorder = desk.command("jack_rec");
    recorder.args(["-f", "heard.wav", "-d", &seconds.to_string(), "-b", "24"]);
    let mut recorder = Beside::start(recorder.args(["Qtractor:Master/out_1", "Qtractor:Master/out_2"]))?;
    std::thread::sleep(Duration::from_secs(1));
    let begin = Instant::now();
    process::spoken_to(&mut desk.command("jack_transport"), "play\nquit\n")?;
    for (at, name) in [(TRIGGER - 2.0, "daw-listening.png"), (TRIGGER + 4.0, "daw-continuing.png")] {
        std::thread::sleep(Duration::from_secs_f64(at).saturating_sub(begin.elapsed()));
        spectrogram::save(&window::Screen::open(display)?.whole()?, &shots.join(name))?;
    }
    recorder.wait()?;
    drop((qtractor, jack));
    judge(&audio::read(&desk.folder.join("heard.wav"))?.stereo(), &prompt.stereo())
}

/// The session, what it plays, what it automates.
fn prepare(desk: &Desk<'_>, clap: &Path, prompt: &audio::Audio) -> Result<()> {
    if desk.folder.exists() {
        std::fs::remove_dir_all(&desk.folder).map_err(|e| Error::file(&desk.folder, e))?;
    }
    wav::write(&desk.folder.join("prompt.wav"), &prompt.planes, RATE)?;
    let clap = std::path::absolute(clap).map_err(|e| Error::file(clap, e))?;
    let session = SESSION
        .replace("{FOLDER}", &desk.folder.to_string_lossy())
        .replace("{CLAP}", &clap.to_string_lossy())
        .replace("{START}", &((PLAYS_FROM * f64::from(RATE)) as u64).to_string())
        .replace("{PROMPT}", &prompt.frames().to_string());
    desk.file("segue.qtr", session.as_bytes())?;
    desk.file("automation.mid", &automation())?;
    desk.file("home/.config/rncbc.org/Qtractor.conf", b"[Geometry]\nqtractorMixer\\visible=true\n")?;
    let stub = paths::root().join("xtask/daw/sequencer.c");
    let mut cc = desk.command("cc");
    process::quietly(cc.args(["-shared", "-fPIC", "-o", "sequencer.so"]).arg(stub)).map(|_| ())
}

/// Qtractor keeps automation in a MIDI file, a track for each parameter in the session's order: controllers 20 and 21.
fn automation() -> Vec<u8> {
    // 960 ticks a quarter at 120 quarters a minute.
    let tick = |seconds: f64| (seconds * 1920.0) as u32;
    let track = |moves: &[(u32, u8)], controller: u8| {
        let (mut body, mut now) = (Vec::new(), 0);
        for (at, value) in moves {
            let mut delta = at - now;
            let mut bytes = vec![(delta & 0x7f) as u8];
            while delta > 0x7f {
                delta >>= 7;
                bytes.insert(0, (delta & 0x7f) as u8 | 0x80);
            }
            body.extend(bytes);
            body.extend([0xb0, controller, *value]);
            now = *at;
        }
        body.extend([0, 0xff, 0x2f, 0]);
        [b"MTrk", &(body.len() as u32).to_be_bytes()[..], &body].concat()
    };
    let header = [&b"MThd\0\0\0\x06\0\x01\0\x02"[..], &960_u16.to_be_bytes()].concat();
    let press = track(&[(0, 0), (tick(TRIGGER), 127), (tick(TRIGGER + 0.5), 0)], 20);
    [header, press, track(&[(0, 0), (tick(0.5), LENGTH_LANE)], 21)].concat()
}

/// The recording comes through as it is; after it, and not before, the continuation: as long and about as loud as it should be.
fn judge(heard: &[Vec<f32>; 2], prompt: &[Vec<f32>; 2]) -> Result<()> {
    let silent = || Error::Check("nothing was heard".into());
    let begin = listen::onset(heard, 0).ok_or_else(silent)?;
    let first = listen::onset(prompt, 0).ok_or_else(silent)?;
    let end = prompt[0].len();
    // Up to a little before the trigger: automation takes effect at the block in which it falls.
    let sure = end - RATE as usize / 5;
    let was = listen::mono(&listen::cut(prompt, first + 64, sure));
    let (db, _) = listen::likeness(&was, &listen::mono(&listen::cut(heard, begin, begin + sure)), 128);
    hold(db > 60.0, || format!("the recording does not come through as it is: {db:.0} dB alike"))?;
    let trigger = begin + end - first;
    let onset = listen::onset(heard, trigger + RATE as usize / 10);
    let onset = onset.ok_or_else(|| Error::Check("no continuation was heard".into()))?;
    let last = listen::end(heard).unwrap_or(0);
    let seconds = |from: usize, to: usize| (to as f64 - from as f64) / f64::from(RATE);
    let level = listen::level(&listen::cut(heard, onset, last)) - listen::level(prompt);
    let holes = listen::holes(heard, onset, last);
    println!(
        "Qtractor: recording {db:.0} dB alike, continuation from {:.2} s to {:.2} s after the trigger, {level:+.1} dB, {holes} holes",
        seconds(trigger, onset),
        seconds(trigger, last)
    );
    hold(seconds(trigger, onset) < PATIENCE, || format!("it came in {:.1} s late", seconds(trigger, onset)))?;
    // In time it ends with the take; too slow for that, the whole of it is heard.
    let length = seconds(trigger, last).min(seconds(onset, last).max(LENGTH));
    hold((length - LENGTH).abs() < 0.3, || format!("it is {length:.2} s long, not {LENGTH:.2} s"))?;
    hold(level.abs() < 12.0, || format!("it is {level:+.1} dB against the prompt"))?;
    hold(holes == 0, || format!("{holes} holes"))
}
