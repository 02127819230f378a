//! What one user's editors have in common: the look, the scale, where and how takes are exported. Kept in
//! `editor.json` in the user's data folder, never in a project: a project may be opened on another machine.

use super::theme::Look;
use segue_engine::platform;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The scales that are offered, per cent.
pub(super) const SCALES: [u16; 7] = [100, 125, 150, 175, 200, 250, 300];

/// How a take is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// 32-bit float WAV.
    #[default]
    Float,
    /// 24-bit WAV.
    Pcm24,
}

/// What of a take is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    /// What Segue played.
    #[default]
    Continuation,
    /// What was played and what Segue played, as one file.
    Joined,
    /// The same, as two files.
    Separate,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Preferences {
    /// Dark or light.
    pub(super) look: Look,
    /// Per cent; see [`Preferences::zoom`].
    pub(super) scale: u16,
    /// Where takes are exported to; `None`: [`platform::export_folder`].
    pub(super) export_folder: Option<PathBuf>,
    /// How they are written.
    pub(super) format: Format,
    /// What is written.
    pub(super) content: Content,
}

impl Preferences {
    /// Where they are kept.
    pub(super) fn path() -> Option<PathBuf> {
        Some(platform::user_data_folder()?.join("editor.json"))
    }

    /// Reads them; what is absent or makes no sense is as it comes.
    pub(super) fn read(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let fresh = path.with_extension("json.new");
        std::fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&fresh, path)
    }

    /// The scale as a factor, 1–3.
    pub(super) fn zoom(&self) -> f32 {
        if self.scale == 0 { 1.0 } else { f32::from(self.scale.clamp(SCALES[0], SCALES[SCALES.len() - 1])) / 100.0 }
    }

    /// Where takes are exported to.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.export_folder.clone().or_else(platform::export_folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_as_it_comes() {
        let folder = std::env::temp_dir().join(format!("segue-preferences-{}", std::process::id()));
        let path = folder.join("deeper").join("editor.json");
        assert_eq!(Preferences::read(&path), Preferences::default());
        let chosen = Preferences {
            look: Look::Light,
            scale: 150,
            export_folder: Some("/music/é".into()),
            format: Format::Pcm24,
            content: Content::Separate,
        };
        chosen.write(&path).expect("written");
        assert_eq!(Preferences::read(&path), chosen);
        std::fs::write(&path, "{\"look\":\"plaid\"}").expect("written");
        assert_eq!(Preferences::read(&path), Preferences::default());
        std::fs::write(&path, "{\"scale\":200}").expect("written");
        assert_eq!(Preferences::read(&path).zoom(), 2.0);
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_scale_is_never_out_of_range() {
        for (scale, zoom) in [(0, 1.0), (1, 1.0), (100, 1.0), (125, 1.25), (300, 3.0), (u16::MAX, 3.0)] {
            assert_eq!(Preferences { scale, ..Preferences::default() }.zoom(), zoom);
        }
    }
}
