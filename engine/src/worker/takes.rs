//! The takes as the worker has them: pictures of all, decoded audio of the few that are needed.

use super::shelf::{Shelf, TakeShelf};
use super::source::{Decode, Part, Source};
use crate::error::{Error, Result};
use crate::resample::StreamResampler;
use crate::spectrum::{Spectrum, SpectrumBuilder};
use crate::status::{TakeSummary, Waveform};
use crate::take::{Take, TakeId};
use crate::waveform::WaveformBuilder;
use std::collections::HashMap;
use std::sync::Arc;

/// Interleaved stereo at the host's rate, from the part's first frame.
pub(super) type Audio = Arc<Vec<f32>>;

/// A prompt as it is drawn, and enough of its end to draw on from there.
#[derive(Debug, Clone, Default)]
pub(super) struct PromptPicture {
    pub(super) waveform: Waveform,
    /// Its columns are the prompt's.
    pub(super) spectrum: Spectrum,
    /// The prompt's last samples, mono, at the pack's rate.
    pub(super) tail: Arc<[f32]>,
}

/// How a take is drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Pictures {
    pub(super) prompt: PromptPicture,
    pub(super) waveform: Waveform,
    pub(super) spectrum: Spectrum,
}

#[derive(Debug, Default)]
struct Record {
    pictures: Option<Pictures>,
    /// They are only nearly right and shall be drawn again.
    sketch: bool,
    playable: bool,
}

struct Decoding {
    id: TakeId,
    part: Part,
    decoder: Box<dyn Decode>,
    resampler: StreamResampler,
    audio: Vec<f32>,
    frames: usize,
    spectrum: Option<SpectrumBuilder>,
}

pub(super) struct Takes {
    pub(super) shelf: Arc<TakeShelf>,
    records: HashMap<TakeId, Record>,
    decoded: Vec<(TakeId, Part, Audio)>,
    decoding: Option<Decoding>,
    /// The highest number given so far: a deleted take's is not given again, for it may come back.
    last_id: u64,
}

impl Takes {
    pub(super) fn new(shelf: Arc<TakeShelf>) -> Self {
        Self { shelf, records: HashMap::new(), decoded: Vec::new(), decoding: None, last_id: 0 }
    }

    /// An identity no take has or had.
    pub(super) fn next_id(&mut self) -> TakeId {
        let highest = self.shelf.with(|s| s.takes.iter().map(|t| t.id.0).max().unwrap_or(0));
        self.last_id = self.last_id.max(highest).saturating_add(1);
        TakeId(self.last_id)
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

    /// Another project: pictures and prompts belong to the old one, and its numbers begin where it says.
    pub(super) fn forget_all(&mut self) {
        self.forget_audio();
        self.records.clear();
        self.last_id = 0;
    }

    /// A new take, complete with its audio. It becomes the selected one if it is to be.
    pub(super) fn add(&mut self, take: Take, audio: Audio, pictures: Pictures, sketch: bool, select: bool) {
        let id = take.id;
        self.records.insert(id, Record { pictures: Some(pictures), sketch, playable: true });
        self.decoded.retain(|d| d.0 != id);
        self.decoded.push((id, Part::Continuation, audio));
        self.shelf.add(take, select);
    }

    /// A take that was deleted, back in its place.
    pub(super) fn put_back(&mut self, take: Take, at: usize, selected: bool, source: &dyn Source) {
        let id = take.id;
        self.records.insert(id, Record { pictures: None, sketch: false, playable: source.made(&take) });
        self.shelf.change(|shelf| {
            shelf.takes.insert(at.min(shelf.takes.len()), take);
            if selected || shelf.selected.is_none() {
                shelf.selected = Some(id);
            }
        });
    }

    /// Takes it off the shelf: the take, its place, and whether it was the selected one.
    pub(super) fn delete(&mut self, id: TakeId) -> Option<(Take, usize, bool)> {
        self.records.remove(&id);
        self.decoded.retain(|d| d.0 != id);
        if self.decoding.as_ref().is_some_and(|d| d.id == id) {
            self.decoding = None;
        }
        let mut deleted = None;
        self.shelf.change(|shelf| {
            let Some(at) = shelf.takes.iter().position(|t| t.id == id) else { return };
            let was_selected = shelf.selected == Some(id);
            deleted = Some((shelf.takes.remove(at), at, was_selected));
            if was_selected {
                // The one that moves into its place, or the last.
                shelf.selected = shelf.takes.get(at).or(shelf.takes.last()).map(|t| t.id);
            }
        });
        deleted
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

    /// `false` if there is no such take.
    pub(super) fn select(&mut self, id: TakeId) -> bool {
        let mut found = false;
        self.shelf.change(|s: &mut Shelf| {
            found = s.takes.iter().any(|t| t.id == id);
            if found {
                s.selected = Some(id);
            }
        });
        found
    }

    /// How a take's prompt is drawn, if that is known yet.
    pub(super) fn prompt_picture(&self, id: TakeId) -> Option<PromptPicture> {
        self.records.get(&id).and_then(|r| r.pictures.as_ref()).map(|p| p.prompt.clone())
    }

    /// How a take is drawn, if that is known yet.
    pub(super) fn pictures(&self, id: TakeId) -> Option<Pictures> {
        self.records.get(&id).and_then(|r| r.pictures.clone())
    }

    pub(super) fn is_playable(&self, id: TakeId) -> bool {
        self.records.get(&id).is_some_and(|r| r.playable)
    }

    /// Decoded audio of a take's continuation, or of prompt and continuation.
    pub(super) fn audio(&self, id: TakeId, part: Part) -> Option<Audio> {
        self.decoded.iter().find(|d| (d.0, d.1) == (id, part)).map(|d| Arc::clone(&d.2))
    }

    /// Drops decoded audio that nobody needs.
    pub(super) fn keep_only(&mut self, needed: &[(TakeId, Part)]) {
        self.decoded.retain(|d| needed.contains(&(d.0, d.1)));
    }

    /// Decodes a little of the first of `needed` that lacks audio, or else of one that lacks pictures. `Ok(false)`
    /// if there is nothing to do.
    pub(super) fn work(
        &mut self,
        source: &mut dyn Source,
        sample_rate: u32,
        needed: &[(TakeId, Part)],
    ) -> Result<bool> {
        let lacks_audio =
            needed.iter().copied().find(|(id, part)| self.is_playable(*id) && self.audio(*id, *part).is_none());
        let decoding = self.decoding.as_ref().map(|d| (d.id, d.part));
        let target = lacks_audio.or(decoding).or_else(|| self.unpictured());
        let Some((id, part)) = target else { return Ok(false) };
        let keep = needed.contains(&(id, part));
        let result = self.work_on(id, part, keep, source, sample_rate);
        if result.is_err() {
            self.decoding = None;
            if let Some(record) = self.records.get_mut(&id) {
                record.playable = false;
            }
        }
        result.map(|()| true)
    }

    fn unpictured(&self) -> Option<(TakeId, Part)> {
        let lacks =
            |id: TakeId| self.records.get(&id).is_some_and(|r| r.playable && (r.pictures.is_none() || r.sketch));
        self.shelf.with(|s| {
            let first = s.selected.filter(|id| lacks(*id));
            first.or_else(|| s.takes.iter().map(|t| t.id).find(|id| lacks(*id))).map(|id| (id, Part::Whole))
        })
    }

    fn work_on(&mut self, id: TakeId, part: Part, keep: bool, source: &mut dyn Source, sample_rate: u32) -> Result<()> {
        if self.decoding.as_ref().is_none_or(|d| (d.id, d.part) != (id, part)) {
            let take = self.shelf.get(id).ok_or_else(|| Error::Request("that take is gone".into()))?;
            let frames = part_frames(&take, part, sample_rate);
            let resampler = StreamResampler::new(2, take.sample_rate, sample_rate)?;
            let decoder = source.decode(&take, part)?;
            let spectrum = (part == Part::Whole).then(|| SpectrumBuilder::new(take.sample_rate, take.prompt_samples));
            self.decoding = Some(Decoding { id, part, decoder, resampler, audio: Vec::new(), frames, spectrum });
        }
        let Some(decoding) = &mut self.decoding else { return Ok(()) };
        let ended = match decoding.decoder.next_chunk()? {
            Some(chunk) => {
                if let Some(spectrum) = &mut decoding.spectrum {
                    spectrum.push(&chunk);
                }
                interleave(&decoding.resampler.push(&chunk)?, &mut decoding.audio);
                false
            }
            None => {
                interleave(&decoding.resampler.finish()?, &mut decoding.audio);
                true
            }
        };
        if ended && let Some(done) = self.decoding.take() {
            self.decoded_whole(done, keep, sample_rate);
        }
        Ok(())
    }

    fn decoded_whole(&mut self, mut done: Decoding, keep: bool, sample_rate: u32) {
        done.audio.resize(done.frames * 2, 0.0);
        if let Some(mut spectrum) = done.spectrum.take()
            && let Some(take) = self.shelf.get(done.id)
            && let Some(record) = self.records.get_mut(&done.id)
        {
            spectrum.finish();
            let tail = spectrum.tail().into();
            let seam = part_frames(&take, Part::Prompt, sample_rate).min(done.frames) * 2;
            let picture = |audio: &[f32]| {
                let mut builder = WaveformBuilder::default();
                builder.push_interleaved(audio);
                builder.picture()
            };
            let spectrum = spectrum.spectrum();
            record.sketch = false;
            record.pictures = Some(Pictures {
                prompt: PromptPicture { waveform: picture(&done.audio[..seam]), spectrum: spectrum.clone(), tail },
                waveform: picture(&done.audio[seam..]),
                spectrum,
            });
        }
        if keep {
            self.decoded.push((done.id, done.part, Arc::new(done.audio)));
        }
    }

    /// What the editor sees.
    pub(super) fn summaries(&self) -> Vec<TakeSummary> {
        self.shelf.with(|shelf| shelf.takes.iter().map(|take| self.summary(take)).collect())
    }

    fn summary(&self, take: &Take) -> TakeSummary {
        let record = self.records.get(&take.id);
        let pictures = record.and_then(|r| r.pictures.as_ref());
        TakeSummary {
            id: take.id,
            name: take.name.clone(),
            stars: take.stars,
            seed: take.provenance.seed,
            temperatures: take.provenance.temperatures,
            hold: take.provenance.hold,
            density: take.provenance.density,
            seconds: take.seconds(),
            prompt_seconds: take.prompt_seconds(),
            prompt: pictures.map(|p| p.prompt.waveform.clone()).unwrap_or_default(),
            continuation: pictures.map(|p| p.waveform.clone()).unwrap_or_default(),
            playable: record.is_some_and(|r| r.playable),
            spectrum: pictures.map(|p| p.spectrum.clone()).unwrap_or_default(),
            pack: take.provenance.pack.clone(),
            tempo: take.provenance.tempo,
            parent: take.parent,
        }
    }
}

/// Length of a part of a take at the host's rate. The seam is where the prompt's length says, so that the parts add up.
pub(super) fn part_frames(take: &Take, part: Part, sample_rate: u32) -> usize {
    let frames = |samples| host_frames(samples, take.sample_rate, sample_rate);
    match part {
        Part::Prompt => frames(take.prompt_samples),
        Part::Continuation => frames(take.continuation_samples),
        Part::Whole => frames(take.prompt_samples) + frames(take.continuation_samples),
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
