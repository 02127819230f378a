//! A pack in one file, `.seguepack`: a zip of its folder. It is unpacked once, into the user's packs.
//!
//! What is written is what the manifest names, under the names it gives and of the sizes and hashes it promises; what else
//! an archive holds, and where it says that belongs, is not looked at. A pack gets its name when all of it is there.

use super::{MAX_FILE_BYTES, MAX_MANIFEST_BYTES, Pack, hex, parse};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use zip::ZipArchive;
use zip::result::ZipError;

const EXTENSION: &str = "seguepack";
const MANIFEST: &str = "manifest.toml";
/// A pack has a dozen files.
const MAX_ENTRIES: usize = 4096;

/// Whether a path is called like a pack in one file.
#[must_use]
pub fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION))
}

/// Unpacks `archive` into a folder of its own in `packs`, unless it is there already, and opens it. Worker thread.
///
/// # Errors
/// [`Error::PackInvalid`] names what is wrong with the archive, [`Error::File`] what cannot be written; then nothing is left.
pub fn install(archive: &Path, packs: &Path) -> Result<Pack> {
    let reader = Archive::open(archive)?;
    let (mut reader, text, root) = reader.manifest()?;
    let manifest = parse(&text).map_err(|(found, expected)| reader.invalid(MANIFEST, found, &expected))?;
    let hash = hex(&Sha256::digest(text.as_bytes()));
    let folder = packs.join(format!("{}-{}", manifest.name, &hash[..12]));
    let there = |file: &super::manifest::File| {
        fs::symlink_metadata(folder.join(&file.name)).is_ok_and(|found| found.is_file() && found.len() == file.bytes)
    };
    if let Ok(pack) = Pack::open(&folder)
        && pack.hash == hash
        && manifest.files.iter().all(there)
    {
        return Ok(pack);
    }
    // Two instances may do this at once.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let part = packs.join(format!(".{}-{}-{}.part", manifest.name, std::process::id(), COUNT.fetch_add(1, Relaxed)));
    let failed = |path: &Path, e: std::io::Error| Error::File { path: path.into(), reason: e.to_string() };
    fs::create_dir_all(&part).map_err(|e| failed(&part, e))?;
    let written = (|| {
        for file in &manifest.files {
            reader.extract(&root, file, &part.join(&file.name))?;
        }
        let path = part.join(MANIFEST);
        fs::write(&path, &text).map_err(|e| failed(&path, e))?;
        if folder.exists()
            && Pack::open(&folder).is_ok_and(|pack| pack.hash == hash && manifest.files.iter().all(there))
        {
            return Ok(());
        }
        // What is there by this name is damaged.
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&part, &folder).map_err(|e| failed(&folder, e))
    })();
    // There is nothing to be done if that fails.
    let _ = fs::remove_dir_all(&part);
    written?;
    Pack::open(&folder)
}

struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::File { path: path.into(), reason: e.to_string() })?;
        let invalid = |found: String| Error::PackInvalid {
            pack: path.display().to_string(),
            file: "the archive itself".into(),
            found,
            expected: "a pack in one file (a zip of its folder)".into(),
        };
        let plain = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if !plain {
            return Err(invalid("not a plain file".into()));
        }
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| invalid(e.to_string()))?;
        if zip.len() > MAX_ENTRIES {
            return Err(invalid(format!("{} entries", zip.len())));
        }
        Ok(Self { path: path.into(), zip })
    }

    fn invalid(&self, file: &str, found: impl Into<String>, expected: &str) -> Error {
        Error::PackInvalid {
            pack: self.path.display().to_string(),
            file: file.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// The manifest's text, and what names begin with beside it: nothing, or the one folder that was zipped.
    fn manifest(mut self) -> Result<(Self, String, String)> {
        let ends =
            |name: &str| name.strip_suffix(MANIFEST).filter(|root| root.matches('/').count() <= 1).map(str::to_owned);
        let root = (0..self.zip.len()).find_map(|index| {
            let entry = self.zip.by_index_raw(index).ok()?;
            let name = entry.name().ok()?.to_string();
            ends(&name).filter(|root| root.is_empty() || root.ends_with('/'))
        });
        let Some(root) = root else { return Err(self.invalid(MANIFEST, "no such file in it", "a manifest")) };
        let mut bytes = Vec::new();
        let name = format!("{root}{MANIFEST}");
        self.read(&name, MANIFEST, MAX_MANIFEST_BYTES, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok((self, text, root)),
            Err(_) => Err(self.invalid(MANIFEST, "bytes that are not UTF-8", "TOML")),
        }
    }

    /// Reads at most `limit` bytes of an entry, whatever its header says of its size; how many there were.
    fn read(&mut self, entry: &str, file: &str, limit: u64, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
        let path = self.path.clone();
        let invalid = |found: String| Error::PackInvalid {
            pack: path.display().to_string(),
            file: file.into(),
            found,
            expected: format!("a file of at most {limit} bytes"),
        };
        let mut entry = match self.zip.by_name(entry) {
            Ok(entry) if entry.is_file() => entry,
            Ok(_) => return Err(invalid("not a plain file".into())),
            Err(ZipError::FileNotFound) => return Err(invalid("no such file in it".into())),
            Err(e) => return Err(invalid(e.to_string())),
        };
        let (mut part, mut total) = (vec![0; 1 << 16], 0);
        loop {
            let got = entry.read(&mut part).map_err(|e| invalid(e.to_string()))?;
            total += got as u64;
            if total > limit {
                return Err(invalid(format!("more than {limit} bytes")));
            }
            if got == 0 {
                return Ok(total);
            }
            take(&part[..got])?;
        }
    }

    fn extract(&mut self, root: &str, file: &super::manifest::File, to: &Path) -> Result<()> {
        let failed = |e: std::io::Error| Error::File { path: to.into(), reason: e.to_string() };
        let mut out = File::create_new(to).map_err(failed)?;
        let mut hash = Sha256::new();
        let entry = format!("{root}{}", file.name);
        let bytes = self.read(&entry, &file.name, file.bytes.min(MAX_FILE_BYTES), |part| {
            hash.update(part);
            out.write_all(part).map_err(failed)
        })?;
        let found = hex(&hash.finalize());
        if bytes != file.bytes || !found.eq_ignore_ascii_case(&file.sha256) {
            let expected = format!("{} bytes of sha256 {:.12}…", file.bytes, file.sha256);
            return Err(self.invalid(&file.name, format!("{bytes} bytes of sha256 {found:.12}…"), &expected));
        }
        out.sync_all().map_err(failed)
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
