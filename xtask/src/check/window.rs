//! The editor in a real window: that it draws, what it should, and that it moves.

use super::{hold, plan};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::host::score::Score;
use crate::host::window::Editor;
use crate::spectrogram;
use crate::stage::RATE;
use image::RgbImage;
use std::collections::HashMap;
use std::path::Path;

/// The colour of the one big button (`BRASS` of the editor's theme).
pub(super) const ACCENT: [u8; 3] = [0xe6, 0xab, 0x5c];
/// Columns and rows of the grid in which most cells must hold something.
const GRID: (u32, u32) = (4, 3);

/// Opens the editor, performs, and looks twice: while it listens and while it continues.
pub(super) fn draws(clap: &Path, shots: &Path) -> Result<()> {
    let mut host = Host::load(clap)?;
    let editor = Editor::open(&mut host)?;
    let mut plan = plan(6.0, 7)?;
    plan.lead = 4.0;
    plan.leave = Some(4.0);
    let listening_at = ((plan.lead + plan.prompt - 0.5) * f64::from(RATE)) as u64;
    let continuing_at = ((plan.lead + plan.prompt + 3.0) * f64::from(RATE)) as u64;
    let (mut listening, mut continuing) = (None, None);
    plan.perform(&mut host, |_, clock| {
        if clock >= listening_at && listening.is_none() {
            listening = Some(editor.picture());
        }
        if clock >= continuing_at && continuing.is_none() {
            continuing = Some(editor.picture());
        }
    })?;
    let missing = || Error::Check("no picture was taken".into());
    let (listening, continuing) = (listening.ok_or_else(missing)??, continuing.ok_or_else(missing)??);
    spectrogram::save(&listening, &shots.join("listening.png"))?;
    spectrogram::save(&continuing, &shots.join("continuing.png"))?;
    content("listening", &listening)?;
    content("continuing", &continuing)?;
    let accent = share(&listening, |p| near(p, ACCENT));
    hold(accent > 0.003, || format!("listening: the button's colour covers {:.2} % of the picture", accent * 100.0))?;
    let changed = listening.pixels().zip(continuing.pixels()).filter(|(a, b)| a != b).count();
    let changed = changed as f64 / f64::from(listening.width() * listening.height());
    hold(changed > 0.005, || format!("only {:.2} % of the picture changed while it continued", changed * 100.0))?;
    println!(
        "editor {}×{}: button {:.1} %, moved {:.1} %",
        editor.size.0,
        editor.size.1,
        accent * 100.0,
        changed * 100.0
    );
    editor.close(&mut host)
}

/// Prints two shares of a core: an active instance that hears silence, and what its open editor adds.
pub(super) fn idle(clap: &Path) -> Result<()> {
    const SECONDS: u64 = 20;
    let mut host = Host::load(clap)?;
    let silence = Score { rate: RATE, blocks: vec![512], frames: SECONDS * u64::from(RATE), ..Score::default() };
    let share = |host: &mut Host| -> Result<f64> {
        // Once for what happens only once: loading, the first picture.
        host.perform(&Score { frames: 4 * u64::from(RATE), ..silence.clone() }, |_, _| {})?;
        let before = process_seconds();
        host.perform(&silence, |_, _| {})?;
        Ok((process_seconds() - before) / SECONDS as f64)
    };
    let alone = share(&mut host)?;
    let editor = Editor::open(&mut host)?;
    let both = share(&mut host)?;
    editor.close(&mut host)?;
    println!("{alone:.5} {:.5}", both - alone);
    Ok(())
}

/// Processor time this process has used, in seconds.
fn process_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Not blank, not one colour, something in most parts.
pub(super) fn content(name: &str, picture: &RgbImage) -> Result<()> {
    let mut colours: HashMap<[u8; 3], usize> = HashMap::new();
    for pixel in picture.pixels() {
        *colours.entry(pixel.0).or_default() += 1;
    }
    let pixels = (picture.width() * picture.height()) as usize;
    let most = colours.values().copied().max().unwrap_or(0) as f64 / pixels.max(1) as f64;
    hold(colours.len() >= 64, || format!("{name}: only {} colours", colours.len()))?;
    hold(most < 0.95, || format!("{name}: one colour covers {:.0} %", most * 100.0))?;
    let filled = (0..GRID.0 * GRID.1).filter(|cell| colours_in(picture, cell % GRID.0, cell / GRID.0) >= 6).count();
    hold(filled >= 8, || format!("{name}: only {filled} of {} parts hold anything", GRID.0 * GRID.1))
}

fn colours_in(picture: &RgbImage, column: u32, row: u32) -> usize {
    let (width, height) = (picture.width() / GRID.0, picture.height() / GRID.1);
    let part = image::imageops::crop_imm(picture, column * width, row * height, width, height).to_image();
    part.pixels().map(|p| p.0).collect::<std::collections::HashSet<_>>().len()
}

pub(super) fn near(pixel: [u8; 3], colour: [u8; 3]) -> bool {
    pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 14)
}

pub(super) fn share(picture: &RgbImage, is: impl Fn([u8; 3]) -> bool) -> f64 {
    let count = picture.pixels().filter(|p| is(p.0)).count();
    count as f64 / f64::from((picture.width() * picture.height()).max(1))
}
