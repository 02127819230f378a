//! The system's dialog for a folder or a file. It is opened from the editor's thread, as macOS wants it, and asked once a frame
//! whether it has an answer: nothing here waits.

use super::view::Purpose;
use egui::Context;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Wake};
use std::time::{Duration, Instant};

/// Nobody closes a dialog within this time: there was none.
const TOO_SOON: Duration = Duration::from_millis(300);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A folder, or a file.
    Path(PathBuf),
    /// It was closed.
    Nothing,
    /// It never opened.
    NoDialog,
}

/// An open dialog.
pub(super) struct Chooser {
    purpose: Purpose,
    answer: Pin<Box<dyn Future<Output = Option<rfd::FileHandle>> + Send>>,
    waker: std::task::Waker,
    since: Instant,
}

struct Frames(Context);

impl Wake for Frames {
    fn wake(self: Arc<Self>) {
        self.0.request_repaint();
    }
}

impl Chooser {
    /// Opens it.
    pub(super) fn open(purpose: Purpose, from: Option<PathBuf>, ctx: &Context) -> Self {
        let title = match purpose {
            Purpose::Export => "Where to export takes to",
            Purpose::Pack => "A model pack, or a folder of packs",
            Purpose::PackFile => "A model pack in one file",
        };
        let mut dialog = rfd::AsyncFileDialog::new().set_title(title);
        // The nearest folder that is there.
        let from = from.filter(|_| purpose == Purpose::Export);
        if let Some(folder) = from.as_deref().and_then(|folder| folder.ancestors().find(|folder| folder.is_dir())) {
            dialog = dialog.set_directory(folder);
        }
        let answer: Pin<Box<dyn Future<Output = _> + Send>> = match purpose {
            Purpose::Export | Purpose::Pack => Box::pin(dialog.pick_folder()),
            Purpose::PackFile => Box::pin(dialog.add_filter("Segue packs", &["seguepack"]).pick_file()),
        };
        Self { purpose, answer, waker: Arc::new(Frames(ctx.clone())).into(), since: Instant::now() }
    }

    /// What it is for.
    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The answer, once; `None` while the dialog is open.
    pub(super) fn poll(&mut self) -> Option<Answer> {
        match self.answer.as_mut().poll(&mut std::task::Context::from_waker(&self.waker)) {
            Poll::Pending => None,
            Poll::Ready(Some(chosen)) => Some(Answer::Path(chosen.path().to_path_buf())),
            Poll::Ready(None) if self.since.elapsed() < TOO_SOON => Some(Answer::NoDialog),
            Poll::Ready(None) => Some(Answer::Nothing),
        }
    }
}
