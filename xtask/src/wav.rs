//! Writing WAV files: 32-bit float, whole or not at all.

use crate::error::{Error, Result};
use std::path::Path;

/// Writes planar samples. The file appears at its place when it is complete.
pub fn write(path: &Path, planes: &[Vec<f32>], rate: u32) -> Result<()> {
    let wrong = |e: hound::Error| Error::file(path, e);
    let spec = hound::WavSpec {
        channels: u16::try_from(planes.len()).map_err(|e| Error::file(path, e))?,
        sample_rate: rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let file = beside(path)?;
    let mut writer = hound::WavWriter::new(std::io::BufWriter::new(file.as_file()), spec).map_err(wrong)?;
    for frame in 0..planes.iter().map(Vec::len).min().unwrap_or(0) {
        for plane in planes {
            writer.write_sample(plane[frame]).map_err(wrong)?;
        }
    }
    writer.finalize().map_err(wrong)?;
    place(file, path)
}

/// A temporary file in the folder of `path`, which is made if it is missing.
pub fn beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    tempfile::Builder::new().prefix(".segue-").tempfile_in(folder).map_err(|e| Error::file(path, e))
}

/// Moves a temporary file to its place, readable as any other file.
pub fn place(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(open).map_err(|e| Error::file(path, e))?;
    }
    file.persist(path).map(|_| ()).map_err(|e| Error::file(path, e.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/er/a.wav");
        let planes = [vec![0.0, 0.5, -1.5], vec![0.25, -0.25, 0.0]];
        write(&path, &planes, 44_100).expect("writes");
        let audio = crate::audio::read(&path).expect("reads");
        assert_eq!((audio.rate, audio.planes.as_slice()), (44_100, planes.as_slice()));
        assert_eq!(
            std::fs::read_dir(path.parent().expect("a parent")).expect("a folder").count(),
            1,
            "nothing is left over"
        );
    }
}
