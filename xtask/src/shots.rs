//! `cargo xtask shots`: pictures of the editor as it is. The built CLAP in a host, in a real window, with the shipped pack
//! playing; nothing is painted for the picture.

use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::score::{Cue, Score};
use crate::host::window::Editor;
use crate::stage::RATE;
use crate::test::{display, packages};
use crate::{audio, bundle, paths, process, project, runtime};
use image::RgbImage;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Photograph the editor: empty, listening, continuing, playing, exporting, in trouble; dark and light, 100 % and 200 %.
///
/// Builds the plugin, starts a display and plays a piano into it. Where nothing has changed the pictures still differ a
/// little: a level is never the same twice.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to. Default: assets/screenshots.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Photograph this CLAP instead of building one.
    #[arg(long, value_name = "FILE")]
    clap: Option<PathBuf>,
    /// One session, by itself: its environment says the rest.
    #[arg(long, value_enum, hide = true)]
    session: Option<Session>,
    /// What the pictures' names begin with.
    #[arg(long, default_value = "", hide = true)]
    prefix: String,
}

/// What is done in front of the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Session {
    /// Nothing: opened for the first time.
    First,
    /// Opened where no ONNX Runtime is.
    Trouble,
    /// Listen, continue, several takes, one of them playing, export.
    Piece,
}

/// Looks and scales, in per cent.
const LOOKS: [(&str, u16); 4] = [("dark", 100), ("light", 100), ("dark", 200), ("light", 200)];
const BLOCK: usize = 256;

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| paths::root().join("assets/screenshots"));
    if let (Some(session), Some(clap)) = (args.session, &args.clap) {
        return perform(session, clap, &|name| out.join(format!("{}{name}.png", args.prefix)));
    }
    packages::install(false)?;
    let library = runtime::cpu()?;
    let clap = match &args.clap {
        Some(clap) => clap.clone(),
        None => {
            bundle::bundle()?;
            paths::clap()
        }
    };
    let display = display::Display::start()?;
    let program = std::env::current_exe().map_err(|e| Error::file(Path::new("xtask"), e))?;
    for (look, scale) in LOOKS {
        for session in [Session::First, Session::Trouble, Session::Piece] {
            // A user of its own, whose preferences these are.
            let user = tempfile::tempdir().map_err(|e| Error::file(&std::env::temp_dir(), e))?;
            let preferences = user.path().join("segue/editor.json");
            let folder = preferences.parent().unwrap_or(user.path());
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
            let text = format!(r#"{{"look":"{look}","scale":{scale},"export_folder":"/home/clara/Music/Segue"}}"#);
            std::fs::write(&preferences, text).map_err(|e| Error::file(&preferences, e))?;
            let name =
                clap::ValueEnum::to_possible_value(&session).map(|v| v.get_name().to_owned()).unwrap_or_default();
            let mut host = Command::new(&program);
            host.args(["shots", "--session", &name, "--prefix", &format!("{look}-{scale}-")]);
            host.arg("--clap").arg(&clap).arg("--out").arg(&out);
            host.env("DISPLAY", &display.name).env("XDG_DATA_HOME", user.path());
            let nowhere = Path::new("/usr/lib/segue/libonnxruntime.so");
            host.env("SEGUE_RUNTIME", if session == Session::Trouble { nowhere } else { &library });
            host.env("SEGUE_PACKS", paths::packs());
            print!("{}", process::quietly(&mut host)?);
        }
    }
    Ok(())
}

/// Plays one session and takes its pictures.
fn perform(session: Session, clap: &Path, file: &dyn Fn(&str) -> PathBuf) -> Result<()> {
    let mut host = Host::load(clap)?;
    let editor = Editor::open(&mut host)?;
    // Not in the picture.
    editor.point(i16::try_from(editor.size.0).unwrap_or(i16::MAX), i16::try_from(editor.size.1).unwrap_or(i16::MAX))?;
    let scenes: &[(When, Scene)] = match session {
        Session::First => &[(When::After(4.0), Scene::Picture("empty"))],
        Session::Trouble => &[(When::After(3.0), Scene::Picture("error"))],
        Session::Piece => &PIECE,
    };
    let score = score(&mut host, session)?;
    let (mut next, mut since, mut result) = (0, 0, Ok(()));
    host.perform_while(&score, |host, clock| {
        let Some((when, scene)) = scenes.get(next) else { return false };
        match when.has_come(host, clock - since) {
            Ok(false) => return true,
            Ok(true) => result = scene.act(&editor, file),
            Err(e) => result = Err(e),
        }
        (next, since) = (next + 1, clock);
        result.is_ok()
    })?;
    result?;
    if next < scenes.len() {
        return Err(Error::Check(format!("{session:?} ended before {:?}", scenes[next])));
    }
    editor.close(&mut host)
}

/// When the next thing happens.
#[derive(Debug, Clone, Copy)]
enum When {
    /// Seconds after the last.
    After(f64),
    /// When so many seconds of the first take are made.
    Making(f64),
    /// When so many takes are made, to their end.
    Takes(usize),
}

/// What happens then.
#[derive(Debug, Clone, Copy)]
enum Scene {
    Picture(&'static str),
    Key(char),
    /// The pointer there, in shares of the window.
    Point(f64, f64),
    /// A click there, in shares of the window.
    Click(f64, f64),
}

/// The first prompt ends here, in seconds.
const TRIGGER: f64 = 8.0;
// On the scene, and on the second card under it.
const SCENE: (f64, f64) = (0.5, 0.3);
const CARD: (f64, f64) = (0.33, 0.63);

/// Seconds of continuation.
const LENGTH: f64 = 16.0;

/// A pianist's minute: three takes, stars, A/B, one of them playing, export.
const PIECE: [(When, Scene); 11] = [
    (When::After(TRIGGER - 0.3), Scene::Picture("listening")),
    (When::Making(5.0), Scene::Picture("generating")),
    (When::Takes(3), Scene::Key('4')),
    (When::After(1.0), Scene::Click(CARD.0, CARD.1)),
    (When::After(1.0), Scene::Key('2')),
    (When::After(1.0), Scene::Key('a')),
    (When::After(1.0), Scene::Click(SCENE.0, SCENE.1)),
    (When::After(1.0), Scene::Point(1.0, 1.0)),
    (When::After(2.0), Scene::Picture("playing")),
    (When::After(0.2), Scene::Key('e')),
    (When::After(1.5), Scene::Picture("export")),
];

impl When {
    /// Whether it is now, so many frames after the last.
    fn has_come(self, host: &mut Host, frames: u64) -> Result<bool> {
        match self {
            Self::After(seconds) => Ok(frames as f64 >= seconds * f64::from(RATE)),
            Self::Making(seconds) => Ok(project::takes(&host.save()?)?.iter().any(|take| take.seconds() >= seconds)),
            Self::Takes(count) => {
                let takes = project::takes(&host.save()?)?;
                Ok(takes.len() >= count && takes.iter().all(|take| take.seconds() > LENGTH - 0.1))
            }
        }
    }
}

impl Scene {
    fn act(self, editor: &Editor, file: &dyn Fn(&str) -> PathBuf) -> Result<()> {
        let pixel = |share: f64, whole: u16| (share * f64::from(whole)) as i16;
        match self {
            Self::Picture(name) => {
                let path = file(name);
                save(&editor.picture()?, &path)?;
                println!("{} ({:.0} KB)", path.display(), paths::size(&path) as f64 / 1e3);
                Ok(())
            }
            Self::Key(character) => editor.key(character),
            Self::Point(x, y) => editor.point(pixel(x, editor.size.0), pixel(y, editor.size.1)),
            Self::Click(x, y) => {
                Self::Point(x, y).act(editor, file)?;
                editor.click()
            }
        }
    }
}

/// Writes a picture in 256 colours: the most frequent as they are, the others near enough. A third of the size.
fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    const COLOURS: usize = 256;
    const EXACT: usize = 48;
    let failed = |e: png::EncodingError| Error::file(path, e);
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    picture.pixels().for_each(|pixel| *counts.entry(pixel.0).or_default() += 1);
    let mut colours: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    colours.sort_unstable_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
    let mut palette: Vec<u8> = colours.iter().take(EXACT).flat_map(|(colour, _)| *colour).collect();
    // Every other colour counts once: a green dot is not lost beside a spectrum.
    let rare: Vec<u8> = colours.iter().skip(EXACT).flat_map(|([r, g, b], _)| [*r, *g, *b, u8::MAX]).collect();
    if !rare.is_empty() {
        palette.extend(color_quant::NeuQuant::new(1, COLOURS - EXACT, &rare).color_map_rgb());
    }
    let nearest = |colour: &[u8; 3]| {
        let distance =
            |entry: &[u8]| -> u32 { entry.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum() };
        palette.chunks_exact(3).enumerate().min_by_key(|(_, entry)| distance(entry)).map_or(0, |(index, _)| index as u8)
    };
    let index: HashMap<[u8; 3], u8> = colours.iter().map(|(colour, _)| (*colour, nearest(colour))).collect();
    let indices: Vec<u8> = picture.pixels().map(|pixel| index[&pixel.0]).collect();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    }
    let file = std::fs::File::create(path).map_err(|e| Error::file(path, e))?;
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), picture.width(), picture.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_compression(png::Compression::High);
    encoder.write_header().map_err(failed)?.write_image_data(&indices).map_err(failed)
}

/// What is played and pressed.
fn score(host: &mut Host, session: Session) -> Result<Score> {
    let frame = |seconds: f64| (seconds * f64::from(RATE)) as u64;
    let mut score = Score {
        rate: RATE,
        blocks: vec![BLOCK],
        // Long enough for any machine; it is left when the last picture is taken.
        frames: frame(180.0),
        ..Score::default()
    };
    if session != Session::Piece {
        return Ok(score);
    }
    let recording = audio::read(&paths::default_prompt())?.at(RATE)?.stereo();
    let silence = frame(TRIGGER - 4.5) as usize;
    score.input = recording.map(|plane| {
        let playing = plane.into_iter().take(frame(4.6) as usize);
        std::iter::repeat_n(0.0, silence).chain(playing).collect()
    });
    for (name, text) in [("Seed", "1857"), ("Continuation length", &format!("{LENGTH} s")), ("Variations", "3")] {
        let value = host.value_of(name, text)?;
        score.cues.push(Cue::param(0, host.param(name)?.id, value));
    }
    let capture = host.param("Capture & Continue")?.id;
    for (at, value) in [(TRIGGER, 1.0), (TRIGGER + 0.1, 0.0)] {
        score.cues.push(Cue::param(frame(at), capture, value));
    }
    Ok(score)
}
