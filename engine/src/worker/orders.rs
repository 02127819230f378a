//! More from what there is already: again, further, several, close by, and the built-in prompt.

use super::listen::random_seed;
use super::performance::{Drawn, DrawnSpectrum, Role};
use super::player::Entry;
use super::run::{Job, Worker};
use super::schedule::Place;
use super::source::{Music, Prompt};
use super::takes::{PromptPicture, host_frames, interleave};
use crate::continuation::Sampling;
use crate::controls::StartMode;
use crate::error::Result;
use crate::playback::{Cue, Start};
use crate::seam::FADE_SECONDS;
use crate::status::Activity;
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

/// A continuation that waits for its turn.
pub(super) struct Begun(Box<dyn Music>);

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Begun")
    }
}

/// What is made when nothing else is.
#[derive(Debug)]
pub(super) enum Order {
    /// Another take from this one's prompt, silently.
    Variation { of: Arc<Take>, seed: Option<u64> },
    /// The same, its prompt taken in beside another's.
    Begun { of: Arc<Take>, music: Begun, role: Role },
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
            Order::Variation { of, seed } => self.begin_variations(of, seed),
            Order::Begun { of, music, role } => self.perform_beside(&of, music.0, role),
            Order::Further(parent) => self.begin_further(parent),
        };
        if let Err(error) = begun {
            self.queue.clear();
            self.fail(&error);
        }
        true
    }

    /// A variation, and beside it as many of those that wait for the same prompt as go together. They sound as the knobs
    /// stand now; without an end they go one by one, for the first would never make way.
    fn begin_variations(&mut self, of: Arc<Take>, seed: Option<u64>) -> Result<()> {
        let controls = &self.shared.config.controls;
        let sampling = self.sampling();
        let mut seeds = vec![seed.unwrap_or_else(random_seed)];
        if controls.length_seconds.get().is_finite() {
            for order in &mut self.queue {
                match order {
                    Order::Variation { of: other, seed } if Arc::ptr_eq(other, &of) => {
                        // It keeps the one it is given, whether or not it fits in.
                        seeds.push(*seed.get_or_insert_with(random_seed));
                    }
                    _ => break,
                }
            }
        }
        self.publish(Some(Activity::Prefilling));
        let together = self.source.begin_together(&of, &seeds)?;
        // The first is not in the queue any more.
        self.queue.drain(..together.len().saturating_sub(1).min(self.queue.len()));
        let mut begun = together.into_iter().zip(seeds).map(|(music, seed)| {
            let role = Role::heard(Place::Free, of.provenance.tempo);
            let role = Role { select: false, silent: true, seed: Some(seed), sampling: Some(sampling), ..role };
            (music, role)
        });
        let first = begun.next();
        for (music, role) in begun.collect::<Vec<_>>().into_iter().rev() {
            self.queue.push_front(Order::Begun { of: Arc::clone(&of), music: Begun(music), role });
        }
        match first {
            Some((music, role)) => self.perform_beside(&of, music, role),
            None => Ok(()),
        }
    }

    /// A take's prompt, drawn again.
    fn drawn_again(picture: Option<PromptPicture>) -> Drawn {
        let known = picture.is_some();
        let PromptPicture { waveform, spectrum, tail } = picture.unwrap_or_default();
        let sketch = !known || spectrum.len() < spectrum.seam();
        let columns = spectrum.seam();
        Drawn { waveform, spectrum: DrawnSpectrum::Before { spectrum, columns, tail }, sketch }
    }

    /// A continuation of a take's prompt that has taken it in.
    fn perform_beside(&mut self, of: &Take, music: Box<dyn Music>, role: Role) -> Result<()> {
        let drawn = Self::drawn_again(self.takes.prompt_picture(of.id));
        let id = self.takes.next_id();
        self.perform_music(id, of.prompt_samples, role, (Instant::now(), 0.0), |_, _| Ok((music, drawn)))
    }

    /// The take's prompt once more.
    fn perform_again(&mut self, take: Take, picture: Option<PromptPicture>, role: Role) -> Result<()> {
        let drawn = Self::drawn_again(picture);
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
            sampling: Some(Sampling { temperatures, ..take.provenance.sampling() }),
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
        let of = Arc::new(take.clone());
        for n in 1..=count {
            // A chosen seed is the first of a row.
            let seed = (chosen > 0).then(|| u64::from((chosen - 1 + n) % 9999 + 1));
            self.queue.push_back(Order::Variation { of: Arc::clone(&of), seed });
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
        let drawn = Drawn::of(&prompt, pack.sample_rate);
        self.perform(id, &Prompt::Audio(prompt), drawn, role, (Instant::now(), 0.0))
    }

    fn job_is(&self, id: TakeId) -> bool {
        matches!(&self.job, Job::Performing(p) if p.id == id)
    }

    fn no_such_take(&mut self) {
        self.notice = Some("That take is gone.".into());
    }
}
