//! The built-in prompt: four seconds of Bach, so that Segue can be tried with nothing connected. Embedded, because a
//! copied plugin may have nothing beside it. Where it comes from: `assets/prompts/CREDITS.md`.

use crate::error::{Error, Result};
use std::io::Cursor;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;

/// Ogg Vorbis, 48 kHz stereo, 4.1 s.
const FILE: &[u8] = include_bytes!("../../assets/prompts/try_it.ogg");
/// What of it is the prompt; the rest is for the fade into the continuation.
const PROMPT_SECONDS: usize = 4;

/// The recording, planar.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Two channels.
    pub(crate) planes: Vec<Vec<f32>>,
    /// Hz.
    pub(crate) sample_rate: u32,
}

impl Recording {
    /// What is continued.
    pub(crate) fn prompt(&self) -> Vec<Vec<f32>> {
        let length = PROMPT_SECONDS * self.sample_rate as usize;
        self.planes.iter().map(|plane| plane[..length.min(plane.len())].to_vec()).collect()
    }
}

/// Decodes it. Worker.
pub(crate) fn recording() -> Result<Recording> {
    decode().map_err(|e| Error::Request(format!("the built-in prompt cannot be read: {e}")))
}

fn decode() -> symphonia::core::errors::Result<Recording> {
    use symphonia::core::errors::Error::Unsupported;
    let stream = MediaSourceStream::new(Box::new(Cursor::new(FILE)), Default::default());
    let mut format =
        symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())?;
    let track = format.default_track(TrackType::Audio).ok_or(Unsupported("no audio track"))?;
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or(Unsupported("no codec"))?;
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &Default::default())?;
    let (mut planes, mut part, mut sample_rate) = (vec![Vec::new(); 2], Vec::<Vec<f32>>::new(), 0);
    while let Some(packet) = format.next_packet()? {
        let decoded = decoder.decode(&packet)?;
        sample_rate = decoded.spec().rate();
        decoded.copy_to_vecs_planar(&mut part);
        for (plane, part) in planes.iter_mut().zip(&part) {
            plane.extend_from_slice(part);
        }
    }
    Ok(Recording { planes, sample_rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_and_long_enough_and_no_silence() {
        let recording = recording().unwrap();
        assert_eq!((recording.planes.len(), recording.sample_rate), (2, 48_000));
        let prompt = recording.prompt();
        for (plane, prompt) in recording.planes.iter().zip(&prompt) {
            assert_eq!(prompt.len(), 4 * 48_000);
            assert!(plane.len() > prompt.len() + 1_200, "the fade needs 25 ms more");
            for second in prompt.chunks(48_000) {
                assert!(second.iter().map(|s| s * s).sum::<f32>() / 48_000.0 > 1e-4);
            }
        }
    }
}
