//! `cargo xtask pack`: a pack's folder as one file.

use crate::error::{Error, Result};
use segue_engine::pack::Pack;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Put a pack into one file, to be given away: NAME-VERSION.seguepack.
///
/// Checks every hash first. The editor installs it: the pack's name at the bottom, then File….
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pack's folder.
    folder: PathBuf,
    /// The file to write. Default: target/NAME-VERSION.seguepack.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let pack = Pack::open(&args.folder)?;
    let name = format!("{}-{}.seguepack", pack.manifest.name, pack.manifest.version.replace(['/', '\\'], "-"));
    let out = args.out.clone().unwrap_or_else(|| crate::paths::target().join(name));
    let failed = |e: zip::result::ZipError| Error::file(&out, e);
    let mut zip = ZipWriter::new(File::create(&out).map_err(|e| Error::file(&out, e))?);
    let manifest = args.folder.join("manifest.toml");
    let text = std::fs::read(&manifest).map_err(|e| Error::file(&manifest, e))?;
    let mut put = |name: &str, bytes: &[u8]| -> Result<()> {
        // The same folder gives the same file.
        let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
        zip.start_file(name, options).map_err(failed)?;
        zip.write_all(bytes).map_err(|e| Error::file(&out, e))
    };
    put("manifest.toml", &text)?;
    for file in &pack.manifest.files {
        put(&file.name, &pack.read(&file.name)?)?;
    }
    zip.finish().map_err(failed)?;
    println!("{} ({:.1} MB)", out.display(), crate::paths::size(&out) as f64 / 1e6);
    Ok(())
}
