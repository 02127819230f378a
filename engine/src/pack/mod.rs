//! Packs: finding them, reading the manifest, checking what it promises. Runs on the worker, touches no runtime.

pub mod archive;
mod check;
pub mod manifest;
pub mod onnx;

use crate::error::{Error, Result};
use crate::platform;
use manifest::{FORMAT, Manifest};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// No file of a pack may be larger than this, whatever its manifest says.
pub const MAX_FILE_BYTES: u64 = 2 << 30;
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// A pack whose manifest has been read and checked; its graphs are read (and their hashes checked) when they load.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Its folder.
    pub folder: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of `manifest.toml`, hexadecimal: since that holds the hash of every file, it identifies the pack.
    pub hash: String,
}

impl Pack {
    /// Reads and checks `folder/manifest.toml`.
    ///
    /// # Errors
    /// [`Error::PackInvalid`] names the file or key, what was found and what was expected.
    pub fn open(folder: &Path) -> Result<Self> {
        let invalid = |found: String, expected: &str| Error::PackInvalid {
            pack: folder.display().to_string(),
            file: "manifest.toml".into(),
            found,
            expected: expected.into(),
        };
        let text = read_limited(&folder.join("manifest.toml"), MAX_MANIFEST_BYTES)
            .map_err(|e| invalid(e, "a readable file"))?;
        let text = String::from_utf8(text).map_err(|_| invalid("bytes that are not UTF-8".into(), "TOML"))?;
        let manifest = parse(&text).map_err(|(found, expected)| invalid(found, &expected))?;
        Ok(Self { folder: folder.to_path_buf(), manifest, hash: hex(&Sha256::digest(text.as_bytes())) })
    }

    /// `name version`, as takes record it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.manifest.name, self.manifest.version)
    }

    /// Reads one of the pack's files whole and checks its size and hash, before anything else sees a byte of it.
    ///
    /// # Errors
    /// [`Error::PackInvalid`] if it is missing, of another size or of another hash.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let invalid = |found: String, expected: String| Error::PackInvalid {
            pack: self.label(),
            file: name.into(),
            found,
            expected,
        };
        let Some(file) = self.manifest.files.iter().find(|f| f.name == name) else {
            return Err(invalid("no [[file]] entry".into(), "its size and sha256 in manifest.toml".into()));
        };
        let path = self.folder.join(name);
        let metadata = std::fs::symlink_metadata(&path)
            .map_err(|e| invalid(e.to_string(), format!("a file of {} bytes", file.bytes)))?;
        if !metadata.is_file() || metadata.len() != file.bytes {
            let found =
                if metadata.is_file() { format!("{} bytes", metadata.len()) } else { "not a plain file".into() };
            return Err(invalid(found, format!("a file of {} bytes", file.bytes)));
        }
        let bytes = read_limited(&path, file.bytes).map_err(|e| invalid(e, "a readable file".into()))?;
        let found = hex(&Sha256::digest(&bytes));
        if !found.eq_ignore_ascii_case(&file.sha256) {
            return Err(invalid(
                format!("sha256 {}…", &found[..12]),
                format!("sha256 {}…", file.sha256.get(..12).unwrap_or_default()),
            ));
        }
        Ok(bytes)
    }

    /// [`Self::read`] of a graph, which must be whole in itself (see [`onnx`]).
    ///
    /// # Errors
    /// Those of [`Self::read`], and what [`onnx::check`] complains of.
    pub fn read_graph(&self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.read(name)?;
        match onnx::check(&bytes) {
            Ok(()) => Ok(bytes),
            Err((found, expected)) => {
                Err(Error::PackInvalid { pack: self.label(), file: name.into(), found, expected })
            }
        }
    }
}

/// Reads the text of a manifest and checks what it promises of itself; the error is (found, expected).
///
/// # Errors
/// Text that is no TOML, of another format, or with keys, numbers or names that cannot be.
pub fn parse(text: &str) -> std::result::Result<Manifest, (String, String)> {
    let refuse = |found: &str, expected: &str| Err((found.to_string(), expected.to_string()));
    let table: toml::Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(e) => return refuse(e.message(), "TOML"),
    };
    // The format first: a later format may differ in every other key.
    match table.get("format").and_then(toml::Value::as_integer) {
        Some(format) if format == i64::from(FORMAT) => {}
        Some(format) => return refuse(&format!("format {format}"), "format 1 (a newer Segue may read it)"),
        None => return refuse("no format", "format = 1"),
    }
    let manifest: Manifest = match table.try_into() {
        Ok(manifest) => manifest,
        Err(e) => return refuse(e.message(), "a manifest of format 1"),
    };
    check::check(&manifest)?;
    Ok(manifest)
}

/// The pack to use: `chosen` if given, else the first folder that holds one, in the order of `docs/pack.md`:
/// `SEGUE_PACKS`, beside the binary, the user's data folder.
///
/// # Errors
/// [`Error::PackMissing`] with every place that was looked at; [`Error::PackInvalid`] for the first one found, if it is bad.
pub fn find(chosen: Option<&Path>) -> Result<Pack> {
    if let Some(folder) = chosen {
        if !folder.exists() {
            return Err(Error::PackMissing { looked: vec![folder.to_path_buf()] });
        }
        if archive::is_archive(folder) {
            let none = || Error::Request("this system has no folder for a user's packs: unpack it yourself".into());
            return archive::install(folder, &platform::user_data_folder().ok_or_else(none)?.join("packs"));
        }
        // A folder of packs will do as well as a pack.
        return first_pack_in(folder).map_or_else(|| Pack::open(folder), |pack| Pack::open(&pack));
    }
    let looked = places();
    match looked.iter().find_map(|folder| first_pack_in(folder)) {
        Some(pack) => Pack::open(&pack),
        None => Err(Error::PackMissing { looked }),
    }
}

/// Every pack that [`find`] would look at without a choice, in its order, bad ones left out. Reads only manifests.
#[must_use]
pub fn list() -> Vec<Pack> {
    places().iter().flat_map(|folder| packs_in(folder)).filter_map(|folder| Pack::open(&folder).ok()).collect()
}

/// Where packs are.
fn places() -> Vec<PathBuf> {
    match std::env::var_os("SEGUE_PACKS") {
        // Named on purpose, so nothing else is tried: a typing error must not end in another pack.
        Some(folder) => vec![folder.into()],
        None => platform::resource_folders().into_iter().map(|f| f.join("packs")).collect(),
    }
}

fn first_pack_in(folder: &Path) -> Option<PathBuf> {
    packs_in(folder).into_iter().next()
}

/// The folder itself if it is a pack, else those in it that are.
fn packs_in(folder: &Path) -> Vec<PathBuf> {
    if folder.join("manifest.toml").exists() {
        return vec![folder.to_path_buf()];
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut packs: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("manifest.toml").exists())
        .collect();
    packs.sort();
    packs
}

fn read_limited(path: &Path, limit: u64) -> std::result::Result<Vec<u8>, String> {
    // A named pipe would keep whoever opens it; a device has no end; a link may lead anywhere.
    let metadata = std::fs::symlink_metadata(path).map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("not a plain file".into());
    }
    // Room for one byte more than there are: what reads to the end looks for it.
    let mut bytes = Vec::with_capacity(metadata.len().min(limit) as usize + 1);
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > limit { Err(format!("more than {limit} bytes")) } else { Ok(bytes) }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
