//! The checks, by what they are about. Each is a function from a [`super::Setting`] to a figure in words, or to what
//! did not hold.

pub mod audio;
pub mod bounce;
#[cfg(all(unix, not(target_os = "macos")))]
pub mod editor;
pub mod lifecycle;
pub mod params;
pub mod realtime;
pub mod state;
pub mod stress;
pub mod threads;
pub mod transport;

use crate::error::{Error, Result};

/// Ends the check with these words unless it holds.
pub(crate) fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Check(otherwise())) }
}
