//! What the editor and the host's main thread ask for.

use super::export;
use super::performance::Performance;
use super::run::{Job, Worker};
use super::schedule::Place;
use super::shelf::Shelf;
use super::source::Prompt;
use crate::command::Command;
use crate::take::TakeId;
use std::path::PathBuf;
use std::time::Instant;

impl Worker {
    pub(super) fn command(&mut self, command: Command) {
        self.dirty = true;
        match command {
            Command::Cancel => self.cancel(),
            Command::Retry => self.retry(),
            Command::Select(id) => self.select(id),
            Command::Play => self.play_selected(0),
            Command::Stop => self.stop_playing(),
            Command::Delete(id) => self.delete(id),
            Command::Rename(id, name) => self.rename(id, name),
            Command::Stars(id, stars) => self.takes.change(id, |take| take.stars = stars.min(5)),
            Command::Further(_)
            | Command::Variations(..)
            | Command::Nudge { .. }
            | Command::TryIt
            | Command::Undo
            | Command::Redo
            | Command::Locate(_) => self.notice = Some("Not there yet.".into()),
            Command::Export(id, request) => self.export(id, request.path),
            Command::Restore(takes) => {
                let pack = self.takes.shelf.snapshot().pack;
                let selected = takes.first().map(|t| t.id);
                self.takes.shelf.restore(Shelf { takes, selected, pack });
            }
            Command::LoadPack(path) => self.choose_pack(path),
        }
    }

    fn cancel(&mut self) {
        let performing = self.performing().map(|p| p.id);
        self.finish_job();
        if let Some(id) = performing {
            self.stop_if_playing(id);
        }
    }

    fn performing(&self) -> Option<&Performance> {
        match &self.job {
            Job::Performing(performance) => Some(performance),
            _ => None,
        }
    }

    fn retry(&mut self) {
        // What is being made may be too short to be kept, and has a prompt all the same.
        let performing = self.performing().map(|p| (p.so_far(), p.prompt_picture.clone()));
        self.cancel();
        let selected = || {
            let id = self.takes.selected()?;
            Some((self.takes.shelf.get(id)?, self.takes.prompt_picture(id)))
        };
        let Some((take, picture)) = performing.or_else(selected) else {
            self.notice = Some("There is no take to try again.".into());
            return;
        };
        if let Some(live) = &mut self.live {
            self.player.stop(&mut live.playback);
        }
        let tempo = take.provenance.tempo;
        let prompt = Prompt::Take(Box::new(take));
        if let Err(error) = self.perform(&prompt, picture, Place::Free, tempo, (Instant::now(), 0.0)) {
            self.fail(&error);
        }
    }

    fn select(&mut self, id: TakeId) {
        self.takes.select(id);
        // A/B: what plays goes on with the other take, from its beginning.
        let playing = self.player.playing().or(self.player.requested());
        if playing.is_some_and(|playing| playing != id) && self.performing().is_none() {
            self.play_selected(0);
        }
    }

    fn delete(&mut self, id: TakeId) {
        if self.performing().is_some_and(|p| p.id == id) {
            self.cancel();
        }
        self.stop_if_playing(id);
        self.exports.retain(|e| e.0 != id);
        self.takes.delete(id);
    }

    fn rename(&mut self, id: TakeId, name: String) {
        if let Job::Performing(performance) = &mut self.job
            && performance.id == id
        {
            performance.name = name;
            return;
        }
        self.takes.change(id, |take| take.name = name);
    }

    fn export(&mut self, id: TakeId, path: PathBuf) {
        if self.performing().is_some_and(|p| p.id == id) {
            self.notice = Some("It can be exported when it is complete.".into());
        } else if self.live.is_none() || !self.takes.is_playable(id) {
            self.notice = Some("That take cannot be exported: its pack is not loaded.".into());
        } else {
            self.exports.push((id, path));
            self.export_waiting();
        }
    }

    /// Writes every waiting export whose audio is there.
    pub(super) fn export_waiting(&mut self) {
        let Some(sample_rate) = self.live.as_ref().map(|live| live.sample_rate) else { return };
        for (id, path) in std::mem::take(&mut self.exports) {
            match (self.takes.shelf.get(id), self.takes.audio(id)) {
                (Some(take), Some(audio)) => {
                    match export::write(&path, &take, &audio, sample_rate) {
                        Ok(()) => self.notice = Some(format!("Exported to {}", path.display())),
                        Err(error) => self.fail(&error),
                    }
                    self.dirty = true;
                }
                (Some(_), None) if self.takes.is_playable(id) => self.exports.push((id, path)),
                _ => {}
            }
        }
    }

    /// Another pack; if it cannot be loaded the last good one stays.
    fn choose_pack(&mut self, path: Option<PathBuf>) {
        let before = self.load.pack.clone();
        self.load.pack = path.clone().or_else(|| self.shared.config.load.pack.clone());
        // Before the first activation nothing is loaded; and what is being generated holds on to its own pack.
        if self.live.is_some() {
            self.cancel();
            if !self.load_pack() && self.pack.is_some() {
                self.load.pack = before;
                return;
            }
        }
        self.takes.shelf.change(|shelf| shelf.pack = path);
    }

    /// A project has been loaded into the shelf.
    pub(super) fn restored(&mut self) {
        self.dirty = true;
        self.notice = None;
        // What was being made belongs to the project before.
        self.job = Job::Idle;
        self.exports.clear();
        if let Some(live) = &mut self.live {
            live.playback.set_due_from(u64::MAX);
            self.player.stop(&mut live.playback);
        }
        self.takes.forget_all();
        let pack = self.takes.shelf.with(|s| s.pack.clone()).or_else(|| self.shared.config.load.pack.clone());
        let other = pack != self.load.pack;
        self.load.pack = pack;
        if self.live.is_some() && (other || self.pack.is_none()) {
            self.load_pack();
        }
        self.takes.reload(&*self.source);
    }
}
