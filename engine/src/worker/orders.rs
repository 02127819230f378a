//! More from what there is already: again, further, several, close by, and the built-in prompt.

use super::performance::{Drawn, DrawnSpectrum, Role};
use super::player::Entry;
use super::run::{Job, Worker};
use super::schedule::Place;
use super::source::Prompt;
use super::takes::{PromptPicture, host_frames, interleave};
use crate::continuation::Sampling;
use crate::controls::StartMode;
use crate::error::Result;
use crate::playback::{Cue, Start};
use crate::seam::FADE_SECONDS;
use crate::spectrum::SpectrumBuilder;
use crate::take::{Take, TakeId};
use crate::transport::Transport;
use crate::{try_it, waveform};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Most takes from one request.
const MOST: u32 = 8;
/// The range of a temperature.
const TEMPERATURES: std::ops::RangeInclusive<f32> = 0.0..=1.5;

/// What is made when nothing else is.
#[derive(Debug)]
pub(super) enum Order {
    /// Another take from this one's prompt, silently.
    Variation { of: Box<Take>, seed: Option<u64> },
    /// On from a take's end.
    Further(TakeId),
}

impl Worker {
    /// Begins what waits, if nothing is being made. `true` if it did.
    pub(super) fn next_order(&mut self) -> bool {
        if !matches!(self.job, Job::Idle) || self.live.is_none() {
            return false;
        }
        let Some(order) = self.queue.pop_front() else { return false };
        let begun = match order {
            Order::Variation { of, seed } => {
                let role = Role { select: false, silent: true, seed, ..Role::heard(Place::Free, of.provenance.tempo) };
                let picture = self.takes.prompt_picture(of.id);
                self.perform_again(*of, picture, role)
            }
            Order::Further(parent) => self.begin_further(parent),
        };
        if let Err(error) = begun {
            self.queue.clear();
            self.fail(&error);
        }
        true
    }

    /// The take's prompt once more.
    fn perform_again(&mut self, take: Take, picture: Option<PromptPicture>, role: Role) -> Result<()> {
        let known = picture.is_some();
        let picture = picture.unwrap_or_default();
        let PromptPicture { waveform, spectrum, tail } = picture;
        let sketch = !known || spectrum.len() < spectrum.seam();
        let columns = spectrum.seam();
        let drawn = Drawn { waveform, spectrum: DrawnSpectrum::Before { spectrum, columns, tail }, sketch };
        let id = self.takes.next_id();
        self.perform(id, &Prompt::Take(Box::new(take)), drawn, role, (Instant::now(), 0.0))
    }

    /// The selected take, or the one in the making, and how its prompt is drawn.
    fn model(&self, id: Option<TakeId>) -> Option<(Take, Option<PromptPicture>)> {
        // What is being made may be too short to be kept, and has a prompt all the same.
        if let Job::Performing(p) = &self.job
            && id.is_none_or(|id| id == p.id)
            && (id.is_some() || p.select)
        {
            return Some((p.so_far(), Some(p.prompt_picture())));
        }
        let id = id.or(self.takes.selected())?;
        Some((self.takes.shelf.get(id)?, self.takes.prompt_picture(id)))
    }

    /// Makes way for something that is to be heard now.
    fn make_way(&mut self) {
        self.cancel();
        if let Some(live) = &mut self.live {
            self.player.stop(&mut live.playback);
        }
    }

    pub(super) fn retry(&mut self) {
        let model = self.model(None);
        self.cancel();
        let Some((take, picture)) = model else {
            self.notice = Some("There is no take to try again.".into());
            return;
        };
        self.make_way();
        let role = Role::heard(Place::Free, take.provenance.tempo);
        if let Err(error) = self.perform_again(take, picture, role) {
            self.fail(&error);
        }
    }

    pub(super) fn nudge(&mut self, id: TakeId, stage: usize, delta: f32) {
        let Some((take, picture)) = self.model(Some(id)) else { return self.no_such_take() };
        let mut temperatures = take.provenance.temperatures;
        let Some(temperature) = temperatures.get_mut(stage).filter(|_| delta.is_finite()) else {
            self.notice = Some("There is no such stage.".into());
            return;
        };
        *temperature = (*temperature + delta).clamp(*TEMPERATURES.start(), *TEMPERATURES.end());
        self.make_way();
        let role = Role {
            seed: Some(take.provenance.seed),
            sampling: Some(Sampling { temperatures, top_p: take.provenance.top_p }),
            ..Role::heard(Place::Free, take.provenance.tempo)
        };
        if let Err(error) = self.perform_again(take, picture, role) {
            self.fail(&error);
        }
    }

    pub(super) fn variations(&mut self, id: TakeId, count: u8) {
        let Some((take, _)) = self.model(Some(id)) else { return self.no_such_take() };
        let made = self.job_is(id) || self.takes.is_playable(id);
        if !made {
            self.notice = Some("That take cannot be varied: its pack is not loaded.".into());
            return;
        }
        self.notice = None;
        self.order(&take, u32::from(count).clamp(1, MOST));
    }

    /// A trigger has begun a take: the others that were asked for with it.
    pub(super) fn order_variations(&mut self) {
        let more = self.shared.config.controls.variations.load(Relaxed).clamp(1, MOST) - 1;
        if let Job::Performing(performance) = &self.job
            && more > 0
        {
            let take = performance.so_far();
            self.order(&take, more);
        }
    }

    fn order(&mut self, take: &Take, count: u32) {
        let chosen = self.shared.config.controls.seed.load(Relaxed);
        for n in 1..=count {
            // A chosen seed is the first of a row.
            let seed = (chosen > 0).then(|| u64::from((chosen - 1 + n) % 9999 + 1));
            self.queue.push_back(Order::Variation { of: Box::new(take.clone()), seed });
        }
    }

    pub(super) fn further(&mut self, id: TakeId) {
        if self.job_is(id) {
            if matches!(&self.job, Job::Performing(p) if p.is_endless()) {
                self.notice = Some("It goes on already, without end.".into());
                return;
            }
        } else if !self.takes.is_playable(id) {
            self.notice = Some("That take cannot be continued: its pack is not loaded.".into());
            return;
        }
        self.notice = None;
        // Before the variations: somebody may be listening to it.
        self.queue.push_front(Order::Further(id));
    }

    fn begin_further(&mut self, parent: TakeId) -> Result<()> {
        let Some(take) = self.takes.shelf.get(parent) else { return Ok(()) };
        let tempo = take.provenance.tempo;
        let id = self.takes.next_id();
        let busy = self.player.playing().or(self.player.requested()).is_some_and(|playing| playing != parent);
        let role = Role { parent: Some(parent), silent: true, select: !busy, ..Role::heard(Place::Free, tempo) };
        let drawn = self.drawn_further(&take);
        self.perform(id, &Prompt::Further(Box::new(take)), drawn, role, (Instant::now(), 0.0))?;
        if !busy && !self.player.follow(parent, id) {
            self.player.request(id, Entry::Beginning(Start::Now));
        }
        Ok(())
    }

    /// A whole take as a prompt: nearly right, until it is drawn again from its tokens.
    fn drawn_further(&self, take: &Take) -> Drawn {
        let mut waveform = Vec::new();
        let pictures = self.takes.pictures(take.id).unwrap_or_default();
        for (part, samples) in
            [(&pictures.prompt.waveform, take.prompt_samples), (&pictures.waveform, take.continuation_samples)]
        {
            // Columns of equal length in both parts.
            let total = (take.prompt_samples + take.continuation_samples).max(1);
            let wanted = waveform::MAX_COLUMNS * samples / total;
            waveform.extend((0..wanted).filter_map(|n| part.get(n * part.len() / wanted.max(1))).copied());
        }
        let spectrum = pictures.spectrum;
        let before = DrawnSpectrum::Before { columns: spectrum.len(), spectrum, tail: Arc::default() };
        Drawn { waveform: waveform.into(), spectrum: before, sketch: true }
    }

    pub(super) fn try_it(&mut self) {
        self.make_way();
        if let Err(error) = self.begin_try_it() {
            if let Some(live) = &mut self.live {
                self.player.stop(&mut live.playback);
            }
            self.fail(&error);
        }
    }

    fn begin_try_it(&mut self) -> Result<()> {
        let (Some(live), Some(pack)) = (&mut self.live, &self.pack) else {
            self.notice = Some("There is nothing to try yet: no pack is loaded, or the host is not running.".into());
            return Ok(());
        };
        let rate = live.sample_rate;
        let recording = try_it::recording()?;
        let prompt = recording.prompt();
        let at_host = crate::resample::resample(&recording.planes, recording.sample_rate, rate)?;
        let length = host_frames(prompt[0].len(), recording.sample_rate, rate);
        // A fade longer than the prompt, so that its end and the continuation's beginning overlap.
        let heard = length + (f64::from(rate) * f64::from(FADE_SECONDS)).ceil() as usize;
        let mut audio = Vec::new();
        interleave(&at_host, &mut audio);
        audio.resize(heard * 2, 0.0);
        let now = self.shared.config.meters.clock.load(Relaxed);
        let begin = now + live.playback.block() + u64::from(rate) / 100;
        let id = self.takes.next_id();
        let cue = Cue { prompt: true, ..Cue::new(id, Start::At(begin), 0, heard as u64) };
        let audio = Arc::new(audio);
        // Both decks may still be fading; then it is heard from the continuation on.
        self.player.begin(&mut live.playback, cue, &audio);
        self.prompt_audio = Some(audio);
        let prompt = crate::resample::resample(&prompt, recording.sample_rate, pack.sample_rate)?;
        let place = Place::InTime { origin: begin + length as u64, transport: Transport::default() };
        let role = Role { mode: Some(StartMode::AtOnce), ..Role::heard(place, None) };
        let drawn = {
            let mut spectrum = SpectrumBuilder::new(pack.sample_rate, prompt[0].len());
            spectrum.push(&prompt);
            Drawn {
                waveform: waveform::picture(&prompt),
                spectrum: DrawnSpectrum::Pushed(Box::new(spectrum)),
                sketch: false,
            }
        };
        self.perform(id, &Prompt::Audio(prompt), drawn, role, (Instant::now(), 0.0))
    }

    fn job_is(&self, id: TakeId) -> bool {
        matches!(&self.job, Job::Performing(p) if p.id == id)
    }

    fn no_such_take(&mut self) {
        self.notice = Some("That take is gone.".into());
    }
}
