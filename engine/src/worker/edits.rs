//! Undo and redo: what has been done to the takes that someone may want back.

use crate::take::{Take, TakeId};

/// Edits remembered.
const KEPT: usize = 200;

/// One thing that was done.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    /// A take left the shelf.
    Delete {
        take: Box<Take>,
        at: usize,
        selected: bool,
    },
    Rename {
        id: TakeId,
        from: String,
        to: String,
    },
    Stars {
        id: TakeId,
        name: String,
        from: u8,
        to: u8,
    },
}

impl Edit {
    /// In words that go on from "Undo" or "Redo".
    fn words(&self) -> String {
        match self {
            Self::Delete { take, .. } => format!("delete “{}”", take.name),
            Self::Rename { from, to, .. } => format!("rename “{from}” to “{to}”"),
            Self::Stars { name, to: 0, .. } => format!("no stars for “{name}”"),
            Self::Stars { name, to: 1, .. } => format!("1 star for “{name}”"),
            Self::Stars { name, to, .. } => format!("{to} stars for “{name}”"),
        }
    }
}

/// What has been done, and what has been taken back. Belongs to a session, not to the project file.
#[derive(Debug, Default)]
pub(super) struct Edits {
    done: Vec<Edit>,
    undone: Vec<Edit>,
}

impl Edits {
    /// Something new has been done: what was taken back before is gone.
    pub(super) fn push(&mut self, edit: Edit) {
        self.undone.clear();
        if self.done.len() == KEPT {
            self.done.remove(0);
        }
        self.done.push(edit);
    }

    pub(super) fn undo_words(&self) -> Option<String> {
        self.done.last().map(Edit::words)
    }

    pub(super) fn redo_words(&self) -> Option<String> {
        self.undone.last().map(Edit::words)
    }

    /// The last thing done, to be taken back by the caller, who may be playing or making what it is about.
    pub(super) fn undo(&mut self) -> Option<Edit> {
        let edit = self.done.pop()?;
        self.undone.push(edit.clone());
        Some(edit)
    }

    /// The last thing taken back, to be done again by the caller.
    pub(super) fn redo(&mut self) -> Option<Edit> {
        let edit = self.undone.pop()?;
        self.done.push(edit.clone());
        Some(edit)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
