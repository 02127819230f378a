//! Reads the prompts.
#![allow(dead_code, missing_docs, reason = "each test binary uses its part")]

use std::path::Path;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;

/// Planar samples and their rate.
pub fn read(path: &Path) -> (Vec<Vec<f32>>, u32) {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut format =
        symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default()).unwrap();
    let track = format.default_track(TrackType::Audio).unwrap();
    let parameters = track.codec_params.as_ref().unwrap().audio().unwrap();
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &Default::default()).unwrap();
    let (mut planes, mut part, mut rate) = (Vec::<Vec<f32>>::new(), Vec::<Vec<f32>>::new(), 0);
    while let Some(packet) = format.next_packet().unwrap() {
        let decoded = decoder.decode(&packet).unwrap();
        rate = decoded.spec().rate();
        decoded.copy_to_vecs_planar(&mut part);
        planes.resize(part.len(), Vec::new());
        for (plane, part) in planes.iter_mut().zip(&part) {
            plane.extend_from_slice(part);
        }
    }
    (planes, rate)
}
