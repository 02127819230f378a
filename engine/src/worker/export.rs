//! Takes as WAV files: 32-bit float at the host's rate, with their provenance in a LIST/INFO chunk.

use crate::error::{Error, Result};
use crate::take::Take;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Writes interleaved stereo.
pub(super) fn write(path: &Path, take: &Take, audio: &[f32], sample_rate: u32) -> Result<()> {
    let failed = |reason: String| Error::File { path: path.into(), reason };
    let spec =
        hound::WavSpec { channels: 2, sample_rate, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let mut writer = hound::WavWriter::create(path, spec).map_err(|e| failed(e.to_string()))?;
    for sample in audio {
        writer.write_sample(*sample).map_err(|e| failed(e.to_string()))?;
    }
    writer.finalize().map_err(|e| failed(e.to_string()))?;
    append_info(path, take).map_err(|e| failed(e.to_string()))
}

/// hound writes no metadata: the chunk is appended, and the length in the header corrected.
fn append_info(path: &Path, take: &Take) -> std::io::Result<()> {
    let p = &take.provenance;
    let [semantic, coarse, fine] = p.temperatures;
    let comment = format!(
        "pack {} ({}), seed {}, temperatures {semantic} {coarse} {fine}, top-p {}, device {}, tempo {}, made at {} (Unix time)",
        p.pack,
        p.pack_hash,
        p.seed,
        p.top_p,
        p.device,
        p.tempo.map_or_else(|| "unknown".into(), |t| format!("{t} bpm")),
        p.made_at,
    );
    let mut info = b"INFO".to_vec();
    for (id, text) in
        [(b"INAM", take.name.as_str()), (b"ISFT", concat!("Segue ", env!("CARGO_PKG_VERSION"))), (b"ICMT", &comment)]
    {
        let length = text.len() as u32 + 1;
        info.extend_from_slice(id);
        info.extend_from_slice(&length.to_le_bytes());
        info.extend_from_slice(text.as_bytes());
        // Terminated, and padded to an even length.
        info.extend_from_slice(if length % 2 == 1 { &[0, 0] } else { &[0] });
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(b"LIST")?;
    file.write_all(&(info.len() as u32).to_le_bytes())?;
    file.write_all(&info)?;
    let riff = file.stream_position()?.saturating_sub(8) as u32;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(&riff.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::take::{Provenance, TakeId, Tokens};

    #[test]
    fn samples_and_provenance_are_in_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("take.wav");
        let take = Take {
            id: TakeId(1),
            name: "Take 1".into(),
            stars: 0,
            parent: None,
            provenance: Provenance { pack: "first 0.1.0".into(), seed: 4711, ..Provenance::default() },
            semantic: Tokens::new(1),
            acoustic: Tokens::new(8),
            prompt_samples: 0,
            continuation_samples: 2,
            sample_rate: 24_000,
            gain: [1.0, 1.0],
        };
        write(&path, &take, &[0.1, -0.2, 0.3, -0.4], 44_056).expect("written");
        let mut reader = hound::WavReader::open(&path).expect("readable");
        assert_eq!(reader.spec().sample_rate, 44_056);
        assert_eq!(
            reader.samples::<f32>().collect::<std::result::Result<Vec<_>, _>>().expect("samples"),
            [0.1, -0.2, 0.3, -0.4]
        );
        let bytes = std::fs::read(&path).expect("bytes");
        assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().expect("four")) as usize, bytes.len() - 8);
        assert!(String::from_utf8_lossy(&bytes).contains("seed 4711"));
        assert!(matches!(write(Path::new("/nowhere/at/all.wav"), &take, &[], 48_000), Err(Error::File { .. })));
    }
}
