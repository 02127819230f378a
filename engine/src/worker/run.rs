//! The worker's loop: one turn takes in what has been played, answers commands, advances what is under way by one
//! step, and feeds playback.

use super::ahead::HotPrompt;
use super::edits::Edits;
use super::orders::Order;
use super::performance::{Finished, Performance};
use super::player::{Entry, Player};
use super::source::{Part, Source};
use super::takes::{Audio, Takes};
use super::timeline::Timeline;
use super::{Lifecycle, Live, Threads};
use crate::command::{ExportContent, ExportRequest};
use crate::error::Error;
use crate::models::LoadRequest;
use crate::platform;
use crate::playback::{Cue, Start};
use crate::status::{Activity, PackSummary, Problem};
use crate::take::TakeId;
use crate::transport::Transport;
use crossbeam::channel::Select;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

/// How long the worker sleeps when there is nothing to do. It is not woken by the audio thread, which makes no system
/// calls, so this is part of the time to first audio.
const NAP: Duration = Duration::from_millis(4);
const NAP_OFFLINE: Duration = Duration::from_millis(1);
const NAP_ASLEEP: Duration = Duration::from_millis(200);
/// So long after the last work the worker gives back the memory that it needed for it.
const REST: Duration = Duration::from_secs(1);
/// How often what a project saves of the take in the making is brought up to date.
const MAKING: Duration = Duration::from_millis(250);

/// What is under way.
pub(super) enum Job {
    Idle,
    /// Recording a prompt from `start` until `end`.
    Recording {
        start: u64,
        end: u64,
        transport: Transport,
    },
    Performing(Box<Performance>),
}

pub(super) struct Worker {
    pub(super) shared: Threads,
    pub(super) source: Box<dyn Source>,
    pub(super) load: LoadRequest,
    pub(super) pack: Option<PackSummary>,
    pub(super) live: Option<Live>,
    pub(super) takes: Takes,
    pub(super) player: Player,
    pub(super) job: Job,
    /// What is made when the job is done.
    pub(super) queue: VecDeque<Order>,
    pub(super) edits: Edits,
    /// The latest take that a duet made.
    pub(super) duet_take: Option<TakeId>,
    pub(super) timeline: Timeline,
    /// What a trigger would continue, as far as it has been taken in.
    pub(super) hot: HotPrompt,
    /// The built-in prompt at the host's rate, while it is heard.
    pub(super) prompt_audio: Option<Audio>,
    pub(super) exports: Vec<(TakeId, ExportRequest)>,
    pub(super) exported: Vec<PathBuf>,
    pub(super) problem: Option<Problem>,
    pub(super) notice: Option<String>,
    pub(super) ttfa_ms: Option<f64>,
    pub(super) speed: Option<f64>,
    pub(super) published: Instant,
    /// When what the project saves of the take in the making was last brought up to date.
    saved: Instant,
    /// When it last worked, until it has given its memory back.
    pub(super) worked: Option<Instant>,
    /// The next turn publishes even if little time has passed.
    pub(super) dirty: bool,
}

/// The thread.
pub(super) fn run(shared: Threads, source: Box<dyn Source>) {
    let mut worker = Worker {
        takes: Takes::new(shared.shelf.clone()),
        load: shared.config.load.clone(),
        shared,
        source,
        pack: None,
        live: None,
        player: Player::default(),
        job: Job::Idle,
        queue: VecDeque::new(),
        edits: Edits::default(),
        duet_take: None,
        timeline: Timeline::default(),
        hot: HotPrompt::default(),
        prompt_audio: None,
        exports: Vec::new(),
        exported: Vec::new(),
        saved: Instant::now(),
        worked: None,
        problem: None,
        notice: None,
        ttfa_ms: None,
        speed: None,
        published: Instant::now(),
        dirty: true,
    };
    // A panic in a host's process must not cross into it, and must not be silent.
    if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
        // Dropping the ends tells the audio thread that nothing will come.
        worker.live = None;
        let mut status = worker.shared.status.lock();
        status.activity = Activity::Unable;
        status.problem = Some(Problem {
            what: "Segue has met an error of its own and has stopped generating".into(),
            remedy: "Save the project and open it again; the takes are safe. Please report it.".into(),
            mend: crate::status::Mend::None,
        });
    }
}

impl Worker {
    fn run(&mut self) {
        while !self.shared.stop.load(Acquire) {
            if self.turn() {
                self.worked = Some(Instant::now());
                continue;
            }
            if self.worked.is_some_and(|at| at.elapsed() > REST) {
                self.worked = None;
                platform::give_memory_back();
            }
            self.nap();
        }
    }

    /// Sleeps until something is sent or the next look at the rings is due.
    fn nap(&self) {
        let nap = match &self.live {
            None => NAP_ASLEEP,
            Some(live) if live.offline => NAP_OFFLINE,
            Some(_) => NAP,
        };
        let mut select = Select::new();
        select.recv(&self.shared.lifecycle);
        select.recv(&self.shared.commands);
        let _ = select.ready_timeout(nap);
    }

    fn turn(&mut self) -> bool {
        let mut busy = false;
        while let Ok(event) = self.shared.lifecycle.try_recv() {
            busy = true;
            self.lifecycle(event);
        }
        if self.takes.shelf.take_restored() {
            self.restored();
        }
        if let Some(note) = self.takes.shelf.take_note() {
            self.notice = Some(note);
            self.dirty = true;
        }
        while let Ok(command) = self.shared.commands.try_recv() {
            busy = true;
            self.command(command);
        }
        if self.live.is_some() {
            self.listen();
            busy |= self.next_order();
            busy |= self.advance();
            busy |= self.decode();
            self.play();
            if !busy {
                self.run_ahead();
            }
        }
        self.publish_sometimes();
        busy
    }

    fn lifecycle(&mut self, event: Lifecycle) {
        // Whatever is under way belongs to ends that are gone.
        self.queue.clear();
        self.finish_job();
        self.player = Player::default();
        self.prompt_audio = None;
        self.timeline = Timeline::default();
        self.hot.clear();
        self.dirty = true;
        let rate = self.live.take().map(|live| live.sample_rate);
        if let Lifecycle::Activate(live) = event {
            if self.shared.stop.load(Acquire) {
                return;
            }
            if rate.is_some_and(|rate| rate != live.sample_rate) {
                self.takes.forget_audio();
            }
            self.live = Some(*live);
            if self.pack.is_none() {
                self.load_pack();
            }
        } else {
            // Nobody knows at which rate it will be wanted next.
            self.takes.forget_audio();
        }
    }

    /// Loads what [`Self::load`] asks for. On failure the last good pack, if any, stays.
    pub(super) fn load_pack(&mut self) -> bool {
        self.publish(Some(Activity::Loading));
        self.dirty = true;
        match self.source.load(&self.load) {
            Ok(pack) => {
                self.hot.clear();
                self.pack = Some(pack);
                self.problem = None;
                self.takes.reload(&*self.source);
                self.tell_of_a_lost_device();
                true
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    /// A device that failed costs speed and no token: said, not more.
    fn tell_of_a_lost_device(&mut self) {
        if let Some((pack, error)) = self.source.lost() {
            self.pack = Some(pack);
            self.fail(&error);
        }
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.problem = Some(error.into());
        self.dirty = true;
    }

    /// One step of the running continuation, and its entry once it is due.
    fn advance(&mut self) -> bool {
        self.tell_of_a_lost_device();
        // What plays now may have to be fed on from another take's audio once this one begins.
        self.feed();
        let (Some(live), Job::Performing(performance)) = (&mut self.live, &mut self.job) else { return false };
        let controls = &self.shared.config.controls;
        let stepping = !performance.done;
        if stepping {
            let sampling = controls.sampling();
            if let Err(error) = performance.step(&sampling) {
                let id = performance.id;
                self.queue.clear();
                self.fail(&error);
                self.finish_job();
                self.stop_if_playing(id);
                return true;
            }
            if performance.frames() == 0 && !performance.begun {
                performance.starts_in = performance.seen.0.elapsed().as_secs_f64();
            }
            if performance.is_worth_keeping() && (self.saved.elapsed() >= MAKING || performance.done) {
                self.takes.shelf.set_making(Some((performance.so_far(), performance.select)));
                self.saved = Instant::now();
            }
        }
        let meters = &self.shared.config.meters;
        let now = meters.clock.load(Relaxed);
        let position = meters.position.load(Relaxed);
        if performance.begun
            && !live.offline
            && position != u64::MAX
            && self.player.playing() == Some(performance.id)
            && performance.breaks(position, meters.underruns.load(Relaxed))
        {
            // Better one pause than a hole after every step.
            self.player.stop(&mut live.playback);
            self.notice =
                Some("This computer has become too slow to make it while it plays: it waits, then goes on.".into());
            self.dirty = true;
        }
        if performance.ttfa_ms.is_none() && !performance.begun {
            performance.measure(now);
            self.ttfa_ms = performance.ttfa_ms.or(self.ttfa_ms);
        }
        // A prompt that is heard before it must have been handed over whole.
        if !performance.begun && (!self.player.plays_prompt() || self.player.is_handed_over()) {
            // The segment must be seen a block before it is due.
            let margin = live.playback.block() + u64::from(live.sample_rate) / 200;
            let mode = controls.start_mode();
            let situation = performance.situation(mode, self.timeline.latest(), now, margin, live.offline);
            match situation.decide() {
                super::schedule::Decision::Wait { seconds } => performance.starts_in = seconds,
                super::schedule::Decision::Begin { start, position, gate } => {
                    let cue = Cue {
                        gate,
                        with_song: performance.with_song(mode),
                        ..Cue::new(performance.id, start, position, performance.period())
                    };
                    if self.player.begin(&mut live.playback, cue, performance.audio()) {
                        performance.begins(self.shared.config.meters.underruns.load(Relaxed));
                        live.playback.set_due_from(u64::MAX);
                    }
                }
            }
        }
        if performance.done && performance.begun {
            let (id, endless) = (performance.id, performance.is_endless());
            self.finish_job();
            if endless {
                self.notice = Some(format!(
                    "Stopped after {} minutes: that is as long as a take can be.",
                    super::performance::MAX_SECONDS / 60
                ));
                self.stop_if_playing(id);
            }
        }
        stepping
    }

    /// Ends what is under way; what has been generated is kept as a take.
    pub(super) fn finish_job(&mut self) {
        if let Some(live) = &mut self.live {
            live.playback.set_due_from(u64::MAX);
        }
        let Job::Performing(performance) = std::mem::replace(&mut self.job, Job::Idle) else { return };
        self.dirty = true;
        let speed = performance.speed();
        match performance.finish() {
            Some(Finished { take, audio, pictures, sketch, select }) => {
                // Those that were made beside the one that is heard were nearly done when their turn came.
                if select && speed > 0.0 {
                    self.speed = Some(speed);
                }
                self.takes.add(take, audio, pictures, sketch, select);
            }
            None => self.takes.shelf.set_making(None),
        }
    }

    pub(super) fn stop_if_playing(&mut self, id: TakeId) {
        if let Some(live) = &mut self.live
            && (self.player.playing() == Some(id) || self.player.requested() == Some(id))
        {
            self.player.stop(&mut live.playback);
        }
    }

    /// Decodes takes whose audio or picture is missing, a chunk at a time, while nothing is generated.
    fn decode(&mut self) -> bool {
        let Some(live) = &self.live else { return false };
        let mut needed: Vec<(TakeId, Part)> = self.player.needed().map(|id| (id, Part::Continuation)).collect();
        needed.extend(self.exports.iter().map(|(id, request)| (*id, exported_part(request))));
        let urgent =
            needed.iter().any(|(id, part)| self.takes.is_playable(*id) && self.takes.audio(*id, *part).is_none());
        needed.extend(self.takes.selected().map(|id| (id, Part::Continuation)));
        self.takes.keep_only(&needed);
        if matches!(self.job, Job::Performing(_)) && !urgent {
            return false;
        }
        let sample_rate = live.sample_rate;
        let busy = match self.takes.work(&mut *self.source, sample_rate, &needed) {
            Ok(busy) => busy,
            Err(error) => {
                self.fail(&error);
                true
            }
        };
        self.export_waiting();
        busy
    }

    /// Begins what was asked to play and keeps the ring full.
    fn play(&mut self) {
        let Some(live) = &mut self.live else { return };
        if let Some((id, entry)) = self.player.turn(&mut live.playback)
            && self.begin_request(id, entry)
        {
            self.player.granted();
            if let Some(live) = &mut self.live {
                live.playback.set_due_from(u64::MAX);
            }
            self.dirty = true;
        }
        self.feed();
        if let Some(child) = self.player.follower_due()
            && let Some((audio, period)) = self.playable_audio(child, 0)
            && let Some(live) = &mut self.live
            && self.player.begin_follower(&mut live.playback, child, period)
        {
            drop(audio);
            self.takes.select(child);
            self.dirty = true;
            self.feed();
        }
    }

    /// Whether a take can be played from `position` on now: whether there is audio, and its length if it has one.
    fn playable_audio(&self, id: TakeId, position: u64) -> Option<(Option<Audio>, u64)> {
        match &self.job {
            Job::Performing(p) if p.id == id => (p.outlasts(position)).then(|| (None, p.period())),
            _ => self.takes.audio(id, Part::Continuation).map(|audio| {
                let period = audio.len() as u64 / 2;
                (Some(audio), period)
            }),
        }
    }

    /// `true` once the request has been begun, or never can be.
    fn begin_request(&mut self, id: TakeId, entry: Entry) -> bool {
        let performing = matches!(&self.job, Job::Performing(p) if p.id == id);
        let Some(live) = &self.live else { return false };
        let meters = &self.shared.config.meters;
        let position = match entry {
            Entry::Beginning(_) => 0,
            Entry::Position(position) => position,
            // What passes until the audio thread sees it.
            Entry::Beside => match meters.position.load(Relaxed) {
                u64::MAX => 0,
                position => position + live.playback.block() + u64::from(live.sample_rate) / 100,
            },
        };
        let Some((audio, period)) = self.playable_audio(id, position) else {
            // Not decoded yet: wait, unless it never will be.
            return !performing && !self.takes.is_playable(id);
        };
        let exists = match (&audio, &self.job) {
            (None, Job::Performing(p)) => p.frames(),
            _ => period,
        };
        let start = match entry {
            Entry::Beginning(start) => start,
            Entry::Beside if position > 0 => Start::Beside,
            _ => Start::Now,
        };
        // Past its end there is nothing: from the beginning.
        let (start, position) = if position < exists { (start, position) } else { (Start::Now, 0) };
        let cue = Cue::new(id, start, position, period);
        let Some(live) = &mut self.live else { return false };
        match (audio, &mut self.job) {
            (Some(audio), _) => self.player.begin(&mut live.playback, cue, &audio),
            (None, Job::Performing(p)) => {
                let begun = self.player.begin(&mut live.playback, cue, p.audio());
                if begun {
                    p.begins(meters.underruns.load(Relaxed));
                }
                begun
            }
            _ => false,
        }
    }

    /// Hands over as much of what plays as there is room for.
    fn feed(&mut self) {
        let Some(live) = &mut self.live else { return };
        if live.playback.is_over() {
            return;
        }
        let looping = self.shared.config.controls.loop_take.load(Relaxed);
        if self.player.plays_prompt() {
            if let Some(audio) = &self.prompt_audio {
                self.player.feed(&mut live.playback, audio, false);
            }
            return;
        }
        let Some(id) = self.player.playing() else { return };
        match &self.job {
            Job::Performing(p) if p.id == id => self.player.feed(&mut live.playback, p.audio(), looping),
            _ => {
                if let Some(audio) = self.takes.audio(id, Part::Continuation) {
                    self.player.feed(&mut live.playback, &audio, looping);
                }
            }
        }
    }
}

/// What has to be decoded for it.
pub(super) fn exported_part(request: &ExportRequest) -> Part {
    match request.content {
        ExportContent::Continuation => Part::Continuation,
        ExportContent::PromptAndContinuation | ExportContent::TwoFiles => Part::Whole,
    }
}
