//! The takes of a project: what plugin state saves, at any moment, without asking the worker.

use crate::take::{Take, TakeId};
use parking_lot::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

/// All takes, newest first, and which one is selected. Any thread but the audio thread; locks are held for a copy at most.
#[derive(Debug, Default)]
pub struct TakeShelf {
    inner: Mutex<Shelf>,
    restored: AtomicBool,
    note: Mutex<Option<String>>,
}

/// What a [`TakeShelf`] holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shelf {
    /// Newest first.
    pub takes: Vec<Take>,
    /// The selected take.
    pub selected: Option<TakeId>,
    /// The pack the project has chosen; `None`: the usual lookup.
    pub pack: Option<std::path::PathBuf>,
}

impl TakeShelf {
    /// A copy, for saving.
    #[must_use]
    pub fn snapshot(&self) -> Shelf {
        self.inner.lock().clone()
    }

    /// Replaces everything: a project was loaded. Takes effect for [`Self::snapshot`] at once; the worker decodes the
    /// takes in its own time.
    pub fn restore(&self, shelf: Shelf) {
        let mut inner = self.inner.lock();
        *inner = shelf;
        // Under the lock, so that [`Self::change`] sees either neither or both.
        self.restored.store(true, Release);
    }

    /// A message for the user, shown as [`crate::status::Status::notice`].
    pub fn note(&self, message: String) {
        *self.note.lock() = Some(message);
    }

    /// The message, once. Worker.
    pub(super) fn take_note(&self) -> Option<String> {
        self.note.lock().take()
    }

    /// Whether [`Self::restore`] has been called since this was last asked. Worker.
    pub(super) fn take_restored(&self) -> bool {
        self.restored.swap(false, AcqRel)
    }

    /// Reads in place.
    pub(super) fn with<R>(&self, f: impl FnOnce(&Shelf) -> R) -> R {
        f(&self.inner.lock())
    }

    /// Changes in place, unless a project has been loaded that the worker has not seen yet.
    pub(super) fn change(&self, f: impl FnOnce(&mut Shelf)) {
        let mut inner = self.inner.lock();
        if !self.restored.load(Acquire) {
            f(&mut inner);
        }
    }

    /// A copy of one take.
    pub(super) fn get(&self, id: TakeId) -> Option<Take> {
        self.inner.lock().takes.iter().find(|t| t.id == id).cloned()
    }
}
