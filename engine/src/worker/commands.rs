//! What the editor and the host's main thread ask for.

use super::edits::Edit;
use super::export;
use super::performance::Performance;
use super::player::Entry;
use super::run::{Job, Worker, exported_part};
use super::shelf::Shelf;
use crate::command::{Command, ExportRequest};
use crate::take::{Take, TakeId};
use std::path::PathBuf;

impl Worker {
    pub(super) fn command(&mut self, command: Command) {
        self.dirty = true;
        match command {
            Command::Cancel => self.cancel(),
            Command::Retry => self.retry(),
            Command::Further(id) => self.further(id),
            Command::Variations(id, count) => self.variations(id, count),
            Command::Nudge { id, stage, delta } => self.nudge(id, stage, delta),
            Command::TryIt => self.try_it(),
            Command::Undo => self.undo(),
            Command::Redo => self.redo(),
            Command::Select(id) => self.select(id),
            Command::Play => self.play_selected(None),
            Command::Locate(seconds) => self.locate(seconds),
            Command::Stop => self.stop_playing(),
            Command::Delete(id) => self.delete(id),
            Command::Rename(id, name) => self.rename(id, name),
            Command::Stars(id, stars) => self.stars(id, stars),
            Command::Export(id, request) => self.export(id, request),
            Command::Restore(takes) => {
                let pack = self.takes.shelf.snapshot().pack;
                let selected = takes.first().map(|t| t.id);
                self.takes.shelf.restore(Shelf { takes, selected, pack });
            }
            Command::LoadPack(path) => self.choose_pack(path),
        }
    }

    /// Ends what is being made and forgets what was to be.
    pub(super) fn cancel(&mut self) {
        let performing = self.performing().map(|p| p.id);
        self.queue.clear();
        self.finish_job();
        if let Some(id) = performing {
            self.stop_if_playing(id);
        }
        if let Some(live) = &mut self.live
            && self.player.plays_prompt()
        {
            self.player.stop(&mut live.playback);
        }
    }

    fn performing(&self) -> Option<&Performance> {
        match &self.job {
            Job::Performing(performance) => Some(performance),
            _ => None,
        }
    }

    fn select(&mut self, id: TakeId) {
        let performing = self.performing().is_some_and(|p| p.id == id);
        if let Job::Performing(performance) = &mut self.job {
            performance.select = performing;
        }
        if !performing && !self.takes.select(id) {
            return;
        }
        // A/B: what plays goes on with the other take, at the same place.
        let playing = self.player.requested().or(self.player.playing());
        if playing.is_some_and(|playing| playing != id) && (performing || self.takes.is_playable(id)) {
            self.player.request(id, Entry::Beside);
        }
    }

    fn locate(&mut self, seconds: f64) {
        let Some(live) = &self.live else { return };
        if let Some(id) = self.player.requested().or(self.player.playing())
            && seconds.is_finite()
        {
            let position = (seconds.max(0.0) * f64::from(live.sample_rate)).round() as u64;
            self.player.request(id, Entry::Position(position));
        }
    }

    fn delete(&mut self, id: TakeId) {
        if let Some((take, at, selected)) = self.take_off(id) {
            self.edits.push(Edit::Delete { take: Box::new(take), at, selected });
        }
    }

    /// Takes a take off the shelf, whatever is being done with it.
    fn take_off(&mut self, id: TakeId) -> Option<(Take, usize, bool)> {
        if self.performing().is_some_and(|p| p.id == id) {
            // Variations of its prompt go on.
            self.finish_job();
        }
        self.stop_if_playing(id);
        self.exports.retain(|e| e.0 != id);
        self.takes.delete(id)
    }

    /// A take's name and stars.
    fn entry(&self, id: TakeId) -> Option<(String, u8)> {
        match self.performing().filter(|p| p.id == id) {
            Some(performance) => Some((performance.name.clone(), performance.stars)),
            None => self.takes.shelf.with(|s| s.takes.iter().find(|t| t.id == id).map(|t| (t.name.clone(), t.stars))),
        }
    }

    fn set_entry(&mut self, id: TakeId, name: Option<&str>, stars: Option<u8>) {
        if let Job::Performing(performance) = &mut self.job
            && performance.id == id
        {
            performance.name = name.map_or_else(|| performance.name.clone(), str::to_owned);
            performance.stars = stars.unwrap_or(performance.stars);
            return;
        }
        self.takes.change(id, |take| {
            take.name = name.map_or_else(|| take.name.clone(), str::to_owned);
            take.stars = stars.unwrap_or(take.stars);
        });
    }

    fn rename(&mut self, id: TakeId, to: String) {
        if let Some((from, _)) = self.entry(id)
            && from != to
        {
            self.set_entry(id, Some(&to), None);
            self.edits.push(Edit::Rename { id, from, to });
        }
    }

    fn stars(&mut self, id: TakeId, stars: u8) {
        let to = stars.min(5);
        if let Some((name, from)) = self.entry(id)
            && from != to
        {
            self.set_entry(id, None, Some(to));
            self.edits.push(Edit::Stars { id, name, from, to });
        }
    }

    fn undo(&mut self) {
        match self.edits.undo() {
            Some(Edit::Delete { take, at, selected }) => self.takes.put_back(*take, at, selected, &*self.source),
            Some(Edit::Rename { id, from, .. }) => self.set_entry(id, Some(&from), None),
            Some(Edit::Stars { id, from, .. }) => self.set_entry(id, None, Some(from)),
            None => self.notice = Some("There is nothing to undo.".into()),
        }
    }

    fn redo(&mut self) {
        match self.edits.redo() {
            Some(Edit::Delete { take, .. }) => drop(self.take_off(take.id)),
            Some(Edit::Rename { id, to, .. }) => self.set_entry(id, Some(&to), None),
            Some(Edit::Stars { id, to, .. }) => self.set_entry(id, None, Some(to)),
            None => self.notice = Some("There is nothing to do again.".into()),
        }
    }

    fn export(&mut self, id: TakeId, request: ExportRequest) {
        if self.performing().is_some_and(|p| p.id == id) {
            self.notice = Some("It can be exported when it is complete.".into());
        } else if self.live.is_none() || !self.takes.is_playable(id) {
            self.notice = Some("That take cannot be exported: its pack is not loaded.".into());
        } else {
            self.exports.push((id, request));
            self.export_waiting();
        }
    }

    /// Writes every waiting export whose audio is there.
    pub(super) fn export_waiting(&mut self) {
        let Some(sample_rate) = self.live.as_ref().map(|live| live.sample_rate) else { return };
        for (id, request) in std::mem::take(&mut self.exports) {
            match (self.takes.shelf.get(id), self.takes.audio(id, exported_part(&request))) {
                (Some(take), Some(audio)) => {
                    match export::write(&request, &take, &audio, sample_rate) {
                        Ok(files) => {
                            let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
                            self.notice = Some(format!("Exported to {}", names.join(" and ")));
                            self.exported = files;
                        }
                        Err(error) => self.fail(&error),
                    }
                    self.dirty = true;
                }
                (Some(_), None) if self.takes.is_playable(id) => self.exports.push((id, request)),
                _ => {}
            }
        }
    }

    /// Another pack; if it cannot be loaded the last good one stays.
    fn choose_pack(&mut self, path: Option<PathBuf>) {
        // A project remembers where a pack was unpacked to; the archive may be deleted.
        let path = match path
            .as_deref()
            .filter(|path| crate::pack::archive::is_archive(path))
            .map(|path| crate::pack::find(Some(path)))
        {
            Some(Ok(pack)) => Some(pack.folder),
            Some(Err(error)) => return self.fail(&error),
            None => path,
        };
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
        self.queue.clear();
        self.edits.clear();
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
