//! The takes as the worker has them: pictures of all, decoded audio of the few that are needed.

use super::shelf::{Shelf, TakeShelf};
use super::source::{Decode, Part, Source};
use crate::error::{Error, Result};
use crate::resample::StreamResampler;
use crate::status::{TakeSummary, Waveform};
use crate::take::{Take, TakeId};
use crate::waveform::WaveformBuilder;
use std::collections::HashMap;
use std::sync::Arc;

/// Interleaved stereo at the host's rate, from the continuation's first frame.
pub(super) type Audio = Arc<Vec<f32>>;

#[derive(Debug, Default)]
struct Record {
    prompt_picture: Option<Waveform>,
    picture: Option<Waveform>,
    playable: bool,
}

struct Decoding {
    id: TakeId,
    part: Part,
    decoder: Box<dyn Decode>,
    resampler: StreamResampler,
    audio: Vec<f32>,
    frames: usize,
}

pub(super) struct Takes {
    pub(super) shelf: Arc<TakeShelf>,
    records: HashMap<TakeId, Record>,
    decoded: Vec<(TakeId, Audio)>,
    decoding: Option<Decoding>,
}

impl Takes {
    pub(super) fn new(shelf: Arc<TakeShelf>) -> Self {
        Self { shelf, records: HashMap::new(), decoded: Vec::new(), decoding: None }
    }

    /// An identity no take has.
    pub(super) fn next_id(&self) -> TakeId {
        TakeId(self.shelf.with(|s| s.takes.iter().map(|t| t.id.0).max().unwrap_or(0)).saturating_add(1))
    }

    /// The shelf holds another project, or another pack is loaded: which takes can be played is asked again.
    pub(super) fn reload(&mut self, source: &dyn Source) {
        self.decoding = None;
        let mut old = std::mem::take(&mut self.records);
        self.shelf.with(|shelf| {
            for take in &shelf.takes {
                let mut record = old.remove(&take.id).unwrap_or_default();
                record.playable = source.made(take);
                self.records.insert(take.id, record);
            }
        });
    }

    /// Forgets everything decoded: another project, or another rate.
    pub(super) fn forget_audio(&mut self) {
        self.decoding = None;
        self.decoded.clear();
    }

    /// Another project: pictures and prompts belong to the old one.
    pub(super) fn forget_all(&mut self) {
        self.forget_audio();
        self.records.clear();
    }

    /// A new take, complete with its audio. It becomes the selected one.
    pub(super) fn add(&mut self, take: Take, audio: Audio, picture: Waveform, prompt_picture: Waveform) {
        let id = take.id;
        self.records
            .insert(id, Record { prompt_picture: Some(prompt_picture), picture: Some(picture), playable: true });
        self.decoded.retain(|d| d.0 != id);
        self.decoded.push((id, audio));
        self.shelf.change(|shelf| {
            shelf.takes.insert(0, take);
            shelf.selected = Some(id);
        });
    }

    pub(super) fn delete(&mut self, id: TakeId) {
        self.records.remove(&id);
        self.decoded.retain(|d| d.0 != id);
        if self.decoding.as_ref().is_some_and(|d| d.id == id) {
            self.decoding = None;
        }
        self.shelf.change(|shelf| {
            let at = shelf.takes.iter().position(|t| t.id == id);
            shelf.takes.retain(|t| t.id != id);
            if shelf.selected == Some(id) {
                // The one that moves into its place, or the last.
                shelf.selected = at.and_then(|at| shelf.takes.get(at).or(shelf.takes.last())).map(|t| t.id);
            }
        });
    }

    pub(super) fn change(&mut self, id: TakeId, f: impl FnOnce(&mut Take)) {
        self.shelf.change(|shelf| {
            if let Some(take) = shelf.takes.iter_mut().find(|t| t.id == id) {
                f(take);
            }
        });
    }

    pub(super) fn selected(&self) -> Option<TakeId> {
        self.shelf.with(|s| s.selected)
    }

    pub(super) fn select(&mut self, id: TakeId) {
        self.shelf.change(|s: &mut Shelf| {
            if s.takes.iter().any(|t| t.id == id) {
                s.selected = Some(id);
            }
        });
    }

    pub(super) fn prompt_picture(&self, id: TakeId) -> Waveform {
        self.records.get(&id).and_then(|r| r.prompt_picture.clone()).unwrap_or_default()
    }

    pub(super) fn is_playable(&self, id: TakeId) -> bool {
        self.records.get(&id).is_some_and(|r| r.playable)
    }

    pub(super) fn audio(&self, id: TakeId) -> Option<Audio> {
        self.decoded.iter().find(|d| d.0 == id).map(|d| Arc::clone(&d.1))
    }

    /// Drops decoded audio that nobody needs.
    pub(super) fn keep_only(&mut self, needed: &[TakeId]) {
        self.decoded.retain(|d| needed.contains(&d.0));
    }

    /// Decodes a little of the first of `needed` that lacks audio, or else of one that lacks a picture. `Ok(false)`
    /// if there is nothing to do.
    pub(super) fn work(&mut self, source: &mut dyn Source, sample_rate: u32, needed: &[TakeId]) -> Result<bool> {
        let lacks_audio = needed.iter().copied().find(|id| self.is_playable(*id) && self.audio(*id).is_none());
        let decoding = self.decoding.as_ref().map(|d| (d.id, d.part));
        let target = lacks_audio.map(|id| (id, Part::Continuation)).or(decoding).or_else(|| self.unpictured());
        let Some((id, part)) = target else { return Ok(false) };
        let result = self.work_on(id, part, source, sample_rate);
        if result.is_err() {
            self.decoding = None;
            if let Some(record) = self.records.get_mut(&id) {
                record.playable = false;
            }
        }
        result.map(|()| true)
    }

    fn unpictured(&self) -> Option<(TakeId, Part)> {
        let lacks = |id: TakeId| {
            let record = self.records.get(&id).filter(|r| r.playable)?;
            let part = if record.picture.is_none() { Part::Continuation } else { Part::Prompt };
            (record.picture.is_none() || record.prompt_picture.is_none()).then_some((id, part))
        };
        self.shelf.with(|s| s.takes.iter().find_map(|t| lacks(t.id)))
    }

    fn work_on(&mut self, id: TakeId, part: Part, source: &mut dyn Source, sample_rate: u32) -> Result<()> {
        if self.decoding.as_ref().is_none_or(|d| (d.id, d.part) != (id, part)) {
            let take = self.shelf.get(id).ok_or_else(|| Error::Request("that take is gone".into()))?;
            let samples = if part == Part::Prompt { take.prompt_samples } else { take.continuation_samples };
            let frames = host_frames(samples, take.sample_rate, sample_rate);
            let resampler = StreamResampler::new(2, take.sample_rate, sample_rate)?;
            let decoder = source.decode(&take, part)?;
            self.decoding = Some(Decoding { id, part, decoder, resampler, audio: Vec::new(), frames });
        }
        let Some(decoding) = &mut self.decoding else { return Ok(()) };
        let (chunk, ended) = match decoding.decoder.next_chunk()? {
            Some(chunk) => (decoding.resampler.push(&chunk)?, false),
            None => (decoding.resampler.finish()?, true),
        };
        interleave(&chunk, &mut decoding.audio);
        if ended && let Some(mut done) = self.decoding.take() {
            done.audio.resize(done.frames * 2, 0.0);
            let mut picture = WaveformBuilder::default();
            picture.push_interleaved(&done.audio);
            let Some(record) = self.records.get_mut(&id) else { return Ok(()) };
            match part {
                Part::Prompt => record.prompt_picture = Some(picture.picture()),
                Part::Continuation => {
                    record.picture = Some(picture.picture());
                    self.decoded.push((id, Arc::new(done.audio)));
                }
            }
        }
        Ok(())
    }

    /// What the editor sees.
    pub(super) fn summaries(&self) -> Vec<TakeSummary> {
        self.shelf.with(|shelf| shelf.takes.iter().map(|take| self.summary(take)).collect())
    }

    fn summary(&self, take: &Take) -> TakeSummary {
        let record = self.records.get(&take.id);
        TakeSummary {
            id: take.id,
            name: take.name.clone(),
            stars: take.stars,
            seed: take.provenance.seed,
            temperatures: take.provenance.temperatures,
            seconds: take.seconds(),
            prompt: record.and_then(|r| r.prompt_picture.clone()).unwrap_or_default(),
            continuation: record.and_then(|r| r.picture.clone()).unwrap_or_default(),
            playable: record.is_some_and(|r| r.playable),
            prompt_seconds: take.prompt_seconds(),
            spectrum: crate::status::Spectrum::default(),
            tempo: take.provenance.tempo,
            parent: take.parent,
            pack: take.provenance.pack.clone(),
        }
    }
}

/// Appends planar stereo as interleaved; what is not a finite number becomes silence.
pub(super) fn interleave(planar: &[Vec<f32>], out: &mut Vec<f32>) {
    if let [left, right, ..] = planar {
        out.extend(left.iter().zip(right).flat_map(|(l, r)| [crate::capture::finite(*l), crate::capture::finite(*r)]));
    }
}

/// `samples` at the rate `from`, in frames at the rate `to`, rounded.
pub(super) fn host_frames(samples: usize, from: u32, to: u32) -> usize {
    let from = u64::from(from.max(1));
    ((samples as u64).saturating_mul(u64::from(to)).saturating_add(from / 2) / from) as usize
}
