//! The takes of a project: what plugin state saves, at any moment, without asking the worker.

use crate::take::{Take, TakeId};
use parking_lot::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

/// All takes, newest first, and which one is selected. Any thread but the audio thread; locks are held for a copy at most.
#[derive(Debug, Default)]
pub struct TakeShelf {
    inner: Mutex<Shelf>,
    /// The take in the making, as far as it has come, and whether it is the selected one. Locked after `inner`.
    making: Mutex<Option<(Take, bool)>>,
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
    /// A copy, for saving. A take in the making is part of it, as far as it has come.
    #[must_use]
    pub fn snapshot(&self) -> Shelf {
        let inner = self.inner.lock();
        let mut shelf = inner.clone();
        if let Some((take, selected)) = self.making.lock().clone() {
            if selected {
                shelf.selected = Some(take.id);
            }
            shelf.takes.insert(0, take);
        }
        shelf
    }

    /// Replaces everything: a project was loaded. Takes effect for [`Self::snapshot`] at once; the worker decodes the
    /// takes in its own time.
    pub fn restore(&self, shelf: Shelf) {
        let mut inner = self.inner.lock();
        *inner = shelf;
        *self.making.lock() = None;
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

    /// A new take is complete: the newest, and no longer in the making.
    pub(super) fn add(&self, take: Take, select: bool) {
        let mut inner = self.inner.lock();
        *self.making.lock() = None;
        if !self.restored.load(Acquire) {
            if select {
                inner.selected = Some(take.id);
            }
            inner.takes.insert(0, take);
        }
    }

    /// What there is of the take in the making, and whether it is the selected one; `None` if there is none.
    pub(super) fn set_making(&self, making: Option<(Take, bool)>) {
        let _inner = self.inner.lock();
        *self.making.lock() = making.filter(|_| !self.restored.load(Acquire));
    }

    /// A copy of one take.
    pub(super) fn get(&self, id: TakeId) -> Option<Take> {
        self.inner.lock().takes.iter().find(|t| t.id == id).cloned()
    }
}
