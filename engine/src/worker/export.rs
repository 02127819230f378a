//! Takes as WAV files at the host's rate, with their provenance: a `bext` chunk (EBU Tech 3285, version 0) that any
//! editor shows, and `LIST/INFO` with all of it. Nothing is ever overwritten, and no half-written file is left behind.

use super::takes::{Audio, host_frames};
use crate::command::{ExportContent, ExportFormat, ExportRequest};
use crate::error::{Error, Result};
use crate::take::Take;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Names tried before giving up.
const NAMES: usize = 10_000;

/// Writes a take's audio (interleaved stereo; with the prompt first unless the continuation alone is asked for). Returns
/// the files, the continuation's first.
pub(super) fn write(request: &ExportRequest, take: &Take, audio: &Audio, sample_rate: u32) -> Result<Vec<PathBuf>> {
    let prompt = host_frames(take.prompt_samples, take.sample_rate, sample_rate) * 2;
    let file = |path: &Path, audio: &[f32], at: usize, what: &str| {
        let provenance = Provenance { take, what, begins: at as u64 / 2 };
        write_file(path, audio, sample_rate, request.format, &provenance)
    };
    match request.content {
        ExportContent::Continuation => Ok(vec![file(&request.path, audio, 0, "continuation")?]),
        ExportContent::PromptAndContinuation => Ok(vec![file(&request.path, audio, 0, "prompt and continuation")?]),
        ExportContent::TwoFiles => {
            let (before, after) = audio.split_at(prompt.min(audio.len()));
            let continuation = file(&request.path, after, prompt, "continuation")?;
            let stem = continuation.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let beside = continuation.with_file_name(format!("{stem} prompt.wav"));
            Ok(vec![continuation, file(&beside, before, 0, "prompt")?])
        }
    }
}

/// What a file says about itself.
struct Provenance<'a> {
    take: &'a Take,
    what: &'a str,
    /// Frames since the prompt's beginning (`TimeReference`): files of one take fall into place.
    begins: u64,
}

/// Writes to a temporary file in the same folder, and gives it the first free name.
fn write_file(
    path: &Path,
    audio: &[f32],
    sample_rate: u32,
    format: ExportFormat,
    provenance: &Provenance<'_>,
) -> Result<PathBuf> {
    let failed = |path: &Path, e: std::io::Error| Error::File { path: path.into(), reason: e.to_string() };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{stem}.{}.part", std::process::id()));
    let written = (|| {
        let mut out = BufWriter::new(OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?);
        write_wav(&mut out, audio, sample_rate, format, provenance)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    })();
    let named = written.and_then(|()| name(&temporary, path));
    if named.is_err() {
        // There is nothing to be done if that fails too.
        let _ = std::fs::remove_file(&temporary);
    }
    named.map_err(|e| failed(path, e))
}

/// Gives the finished file its name, or the next free one: `take.wav`, `take 2.wav`, …
fn name(temporary: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or_else(|| "wav".into(), |e| e.to_string_lossy());
    for n in 1..=NAMES {
        let number = if n == 1 { String::new() } else { format!(" {n}") };
        let wanted = path.with_file_name(format!("{stem}{number}.{extension}"));
        // Claims the name: a rename alone would overwrite what somebody else has put there meanwhile.
        match OpenOptions::new().write(true).create_new(true).open(&wanted) {
            Ok(_) => {
                let renamed = std::fs::rename(temporary, &wanted);
                if renamed.is_err() {
                    let _ = std::fs::remove_file(&wanted);
                }
                return renamed.map(|()| wanted);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, format!("so are {NAMES} names like it")))
}

fn write_wav(
    out: &mut impl Write,
    audio: &[f32],
    sample_rate: u32,
    format: ExportFormat,
    provenance: &Provenance<'_>,
) -> std::io::Result<()> {
    let (tag, bytes) = match format {
        ExportFormat::Float32 => (3_u16, 4_u16),
        ExportFormat::Pcm24 => (1, 3),
    };
    let mut fmt = Vec::new();
    for value in [tag, 2] {
        fmt.extend_from_slice(&value.to_le_bytes());
    }
    for value in [sample_rate, sample_rate * u32::from(bytes) * 2] {
        fmt.extend_from_slice(&value.to_le_bytes());
    }
    for value in [bytes * 2, bytes * 8] {
        fmt.extend_from_slice(&value.to_le_bytes());
    }
    if format == ExportFormat::Float32 {
        // Formats other than PCM tell the length of their extension, which is none.
        fmt.extend_from_slice(&0_u16.to_le_bytes());
    }
    let mut chunks: Vec<([u8; 4], Vec<u8>)> = vec![(*b"fmt ", fmt)];
    if format == ExportFormat::Float32 {
        chunks.push((*b"fact", (audio.len() as u32 / 2).to_le_bytes().to_vec()));
    }
    chunks.push((*b"bext", bext(provenance)));
    chunks.push((*b"LIST", info(provenance)));
    let data = audio.len() as u64 * u64::from(bytes);
    let size = 4 + chunks.iter().map(|(_, body)| 8 + padded(body.len() as u64)).sum::<u64>() + 8 + padded(data);
    // Six hours at 48 kHz: no take is as long.
    let size = u32::try_from(size).map_err(|_| std::io::Error::other("too long for a WAV file"))?;
    out.write_all(b"RIFF")?;
    out.write_all(&size.to_le_bytes())?;
    out.write_all(b"WAVE")?;
    for (id, body) in &chunks {
        out.write_all(id)?;
        out.write_all(&(body.len() as u32).to_le_bytes())?;
        out.write_all(body)?;
        if body.len() % 2 == 1 {
            out.write_all(&[0])?;
        }
    }
    out.write_all(b"data")?;
    out.write_all(&(data as u32).to_le_bytes())?;
    for sample in audio {
        match format {
            ExportFormat::Float32 => out.write_all(&sample.to_le_bytes())?,
            ExportFormat::Pcm24 => {
                let full = f64::from(1_u32 << 23);
                let value = (f64::from(*sample) * full).round().clamp(-full, full - 1.0) as i32;
                out.write_all(&value.to_le_bytes()[..3])?;
            }
        }
    }
    if data % 2 == 1 {
        out.write_all(&[0])?;
    }
    Ok(())
}

fn padded(length: u64) -> u64 {
    length + length % 2
}

/// Broadcast extension: description, originator, reference, date, time, time reference, version 0, coding history.
fn bext(provenance: &Provenance<'_>) -> Vec<u8> {
    let take = provenance.take;
    let p = &take.provenance;
    let [semantic, coarse, fine] = p.temperatures;
    let description = format!(
        "{}: {}; pack {} {:.12}; seed {}; temperatures {semantic} {coarse} {fine}; top-p {}; hold {}; density {}",
        take.name, provenance.what, p.pack, p.pack_hash, p.seed, p.top_p, p.hold, p.density
    );
    let (date, time) = date_and_time(p.made_at);
    let mut body = Vec::with_capacity(700);
    for (text, length) in [
        (description.as_str(), 256),
        (concat!("Segue ", env!("CARGO_PKG_VERSION")), 32),
        (&format!("SEGUE{:.12}{:08}", p.pack_hash, take.id.0), 32),
        (&date, 10),
        (&time, 8),
    ] {
        // The fields are ASCII.
        let ascii = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c as u8 } else { b'?' });
        let start = body.len();
        body.extend(ascii.take(length));
        body.resize(start + length, 0);
    }
    body.extend_from_slice(&provenance.begins.to_le_bytes());
    // Version, and 254 bytes that are reserved in it.
    body.extend_from_slice(&0_u16.to_le_bytes());
    body.resize(602, 0);
    let history = format!("A=PCM,T=Segue; {}", p.device);
    body.extend_from_slice(history.as_bytes());
    // Of even length: not every reader minds the padding of an odd chunk.
    body.extend_from_slice(if history.len() % 2 == 1 { b" \r\n" } else { b"\r\n" });
    body
}

fn info(provenance: &Provenance<'_>) -> Vec<u8> {
    let take = provenance.take;
    let p = &take.provenance;
    let [semantic, coarse, fine] = p.temperatures;
    let comment = format!(
        "{}; pack {} ({}), seed {}, temperatures {semantic} {coarse} {fine}, top-p {}, hold {}, density {}, device {}, tempo {}, prompt {:.3} s",
        provenance.what,
        p.pack,
        p.pack_hash,
        p.seed,
        p.top_p,
        p.hold,
        p.density,
        p.device,
        p.tempo.map_or_else(|| "unknown".into(), |t| format!("{t} bpm")),
        take.prompt_seconds(),
    );
    let (date, time) = date_and_time(p.made_at);
    let mut info = b"INFO".to_vec();
    for (id, text) in [
        (b"INAM", take.name.as_str()),
        (b"ICRD", &format!("{date}T{time}Z")),
        (b"ISFT", concat!("Segue ", env!("CARGO_PKG_VERSION"))),
        (b"ICMT", &comment),
    ] {
        let length = text.len() as u32 + 1;
        info.extend_from_slice(id);
        info.extend_from_slice(&length.to_le_bytes());
        info.extend_from_slice(text.as_bytes());
        // Terminated, and padded to an even length.
        info.extend_from_slice(if length % 2 == 1 { &[0, 0] } else { &[0] });
    }
    info
}

/// `2026-11-21` and `12:34:56`, UTC. Days to a date as in Howard Hinnant's `civil_from_days`.
fn date_and_time(unix: u64) -> (String, String) {
    let (days, seconds) = ((unix / 86_400) as i64 + 719_468, unix % 86_400);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = (year_of_era + era * 400 + i64::from(month <= 2)).min(9999);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::take::{Provenance, TakeId, Tokens};
    use std::sync::Arc;

    fn take() -> Take {
        Take {
            id: TakeId(3),
            name: "Täke 3".into(),
            stars: 0,
            parent: None,
            provenance: Provenance {
                pack: "first 0.1.0".into(),
                pack_hash: "0123456789abcdef".into(),
                seed: 4711,
                temperatures: [0.6, 0.8, 0.6],
                made_at: 1_795_264_496,
                ..Provenance::default()
            },
            semantic: Tokens::new(1),
            acoustic: Tokens::new(8),
            prompt_samples: 2,
            continuation_samples: 1,
            sample_rate: 24_000,
            gain: [1.0, 1.0],
            loudness: None,
        }
    }

    /// Chunk ids and bodies; the sizes have to add up.
    fn chunks(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let length = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four")) as usize;
        assert_eq!((&bytes[..4], &bytes[8..12], length(4)), (&b"RIFF"[..], &b"WAVE"[..], bytes.len() - 8));
        let (mut at, mut all) = (12, Vec::new());
        while at < bytes.len() {
            let size = length(at + 4);
            all.push((String::from_utf8_lossy(&bytes[at..at + 4]).into_owned(), bytes[at + 8..at + 8 + size].to_vec()));
            at += 8 + size + size % 2;
        }
        assert_eq!(at, bytes.len());
        all
    }

    #[test]
    fn samples_and_provenance_are_in_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let audio: Audio = Arc::new(vec![0.1, -0.2, 0.3, -0.4, 1.5, -1.5]);
        for format in [ExportFormat::Float32, ExportFormat::Pcm24] {
            let path = folder.path().join("new").join(format!("{format:?}.wav"));
            let request = ExportRequest { path, format, content: ExportContent::PromptAndContinuation };
            let files = write(&request, &take(), &audio, 44_056).expect("written");
            let mut reader = hound::WavReader::open(&files[0]).expect("readable");
            let spec = reader.spec();
            assert_eq!((spec.sample_rate, spec.channels), (44_056, 2));
            if format == ExportFormat::Float32 {
                let read: Vec<f32> = reader.samples::<f32>().map(|s| s.expect("a sample")).collect();
                assert_eq!(read, *audio);
            } else {
                assert_eq!(spec.bits_per_sample, 24);
                let read: Vec<i32> = reader.samples::<i32>().map(|s| s.expect("a sample")).collect();
                assert_eq!(read, [838_861, -1_677_722, 2_516_583, -3_355_443, 8_388_607, -8_388_608]);
            }
            let chunks = chunks(&std::fs::read(&files[0]).expect("bytes"));
            let body = |id: &str| &chunks.iter().find(|c| c.0 == id).unwrap_or_else(|| panic!("no {id}")).1;
            let bext = body("bext");
            let text =
                |from: usize, to: usize| String::from_utf8_lossy(&bext[from..to]).trim_end_matches('\0').to_owned();
            assert!(text(0, 256).contains("T?ke 3") && text(0, 256).contains("seed 4711; temperatures 0.6 0.8 0.6"));
            assert!(text(256, 288).starts_with("Segue "));
            assert_eq!((text(320, 330).as_str(), text(330, 338).as_str()), ("2026-11-21", "12:34:56"));
            assert!(bext.len() > 602 && bext.ends_with(b"\r\n"));
            let info = String::from_utf8_lossy(body("LIST")).into_owned();
            assert!(
                info.contains("Täke 3") && info.contains("0123456789abcdef") && info.contains("2026-11-21T12:34:56Z")
            );
        }
    }

    #[test]
    fn two_files_fit_together_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.take.wav");
        std::fs::write(&path, "mine").expect("written");
        let request =
            ExportRequest { path: path.clone(), format: ExportFormat::Float32, content: ExportContent::TwoFiles };
        let audio: Audio = Arc::new(vec![0.1, 0.1, 0.2, 0.2, 0.3, 0.3]);
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            files.iter().map(|f| f.file_name().expect("a name").to_string_lossy().into_owned()).collect()
        };
        let files = write(&request, &take(), &audio, 24_000).expect("written");
        let lengths: Vec<u32> = files.iter().map(|f| hound::WavReader::open(f).expect("readable").duration()).collect();
        assert_eq!(lengths, [1, 2]);
        let chunks = chunks(&std::fs::read(&files[0]).expect("bytes"));
        let bext = &chunks.iter().find(|c| c.0 == "bext").expect("bext").1;
        assert_eq!(u64::from_le_bytes(bext[338..346].try_into().expect("eight")), 2, "it begins where the prompt ends");
        assert_eq!(names(files), ["a.take 2.wav", "a.take 2 prompt.wav"]);
        let again = write(&request, &take(), &audio, 24_000).expect("written");
        assert_eq!(names(again), ["a.take 3.wav", "a.take 3 prompt.wav"]);
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "mine");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 5, "no temporary file is left");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        let request = ExportRequest {
            path: file.join("take.wav"),
            format: ExportFormat::Float32,
            content: ExportContent::Continuation,
        };
        let error = write(&request, &take(), &Arc::new(vec![0.0, 0.0]), 48_000).expect_err("it is no folder");
        assert!(matches!(&error, Error::File { .. }) && error.to_string().contains("file"), "{error}");
    }
}
