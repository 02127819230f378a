//! Reading recordings: WAV, FLAC, OGG and MP3, any rate, mono or stereo.

use crate::error::{Error, Result};
use std::path::Path;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Trouble;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Planar samples at a rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// One or two channels of equal length.
    pub planes: Vec<Vec<f32>>,
    /// Hz.
    pub rate: u32,
}

impl Audio {
    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.planes.first().map_or(0, Vec::len)
    }
    /// The frames of this range, as far as there are any.
    #[must_use]
    pub fn cut(&self, from: usize, to: usize) -> Self {
        let range = from.min(self.frames())..to.clamp(from, self.frames().max(from)).min(self.frames());
        Self { planes: self.planes.iter().map(|p| p[range.clone()].to_vec()).collect(), rate: self.rate }
    }
    /// At another rate.
    pub fn at(&self, rate: u32) -> Result<Self> {
        if rate == self.rate {
            return Ok(self.clone());
        }
        Ok(Self { planes: segue_engine::resample::resample(&self.planes, self.rate, rate)?, rate })
    }
    /// Two channels; a mono recording sounds from both sides.
    #[must_use]
    pub fn stereo(&self) -> [Vec<f32>; 2] {
        let left = self.planes.first().cloned().unwrap_or_default();
        let right = self.planes.get(1).cloned().unwrap_or_else(|| left.clone());
        [left, right]
    }
}

/// Reads a whole file. What it is is told by its contents, not by its name.
pub fn read(path: &Path) -> Result<Audio> {
    let file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
    let meta = file.metadata().map_err(|e| Error::file(path, e))?;
    if !meta.is_file() {
        return Err(Error::file(path, "not a file"));
    }
    if meta.len() == 0 {
        return Err(Error::file(path, "the file is empty"));
    }
    decode(file).map_err(|reason| Error::file(path, reason))
}

fn decode(file: std::fs::File) -> std::result::Result<Audio, String> {
    let unknown = |e: Trouble| match e {
        Trouble::DecodeError(what) | Trouble::LimitError(what) => format!("damaged recording ({what})"),
        _ => "not a WAV, FLAC, OGG or MP3 recording".to_owned(),
    };
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let (format_options, meta_options) = (FormatOptions::default(), MetadataOptions::default());
    let mut format =
        symphonia::default::get_probe().probe(&Hint::new(), stream, format_options, meta_options).map_err(unknown)?;
    let track = format.default_track(TrackType::Audio).ok_or("there is no sound in it")?;
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("there is no sound in it")?;
    let options = AudioDecoderOptions::default();
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &options).map_err(unknown)?;
    let id = track.id;
    let (mut planes, mut rate, mut part) = (Vec::<Vec<f32>>::new(), 0, Vec::<Vec<f32>>::new());
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A file that ends in the middle of a packet still holds what came before.
            Err(Trouble::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(unknown(e)),
        };
        if packet.track_id != id {
            continue;
        }
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(Trouble::DecodeError(_)) => continue,
            Err(e) => return Err(unknown(e)),
        };
        decoded.copy_to_vecs_planar(&mut part);
        if planes.is_empty() {
            rate = decoded.spec().rate();
            planes.resize(part.len(), Vec::new());
        }
        if part.len() != planes.len() || decoded.spec().rate() != rate {
            return Err("its channels or its rate change on the way".into());
        }
        for (plane, part) in planes.iter_mut().zip(&part) {
            plane.extend_from_slice(part);
        }
    }
    check(&planes)?;
    Ok(Audio { planes, rate })
}

fn check(planes: &[Vec<f32>]) -> std::result::Result<(), String> {
    if planes.first().is_none_or(Vec::is_empty) {
        return Err("there is no sound in it".into());
    }
    if planes.len() > 2 {
        return Err(format!("{} channels; mono or stereo is wanted", planes.len()));
    }
    if planes.iter().flatten().any(|x| !x.is_finite()) {
        return Err("there are samples in it that are not numbers".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompts_are_read() {
        let audio = read(&crate::paths::default_prompt()).expect("a prompt");
        assert_eq!((audio.planes.len(), audio.rate), (2, 48_000));
        assert!((audio.frames() as f64 / 48_000.0 - 24.0).abs() < 0.5);
        assert_eq!(audio.cut(10, 20).frames(), 10);
        assert_eq!(audio.cut(usize::MAX, usize::MAX).frames(), 0);
    }

    #[test]
    fn what_is_no_recording_is_refused_in_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = folder.path().join("text.wav");
        std::fs::write(&text, "dear diary, ".repeat(1000)).expect("writes");
        let empty = folder.path().join("empty.wav");
        std::fs::write(&empty, "").expect("writes");
        for path in [text, empty, folder.path().join("missing.wav"), folder.path().to_path_buf()] {
            let error = read(&path).expect_err("no recording").to_string();
            assert!(error.lines().count() == 1 && error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_wav_without_samples_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("nothing.wav");
        crate::wav::write(&path, &[vec![], vec![]], 48_000).expect("writes");
        assert!(read(&path).is_err());
    }
}
