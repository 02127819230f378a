//! A decoder-only transformer over frames, all codebooks of a frame in one run (temporal plus unrolled depth
//! transformer).

use super::cached;
use super::held::Held;
use super::runner::{Runner, Transformer};
use super::{Stage, Streams, sound};
use crate::error::Result;
use crate::graph::Graph;
use crate::pack::manifest::{Manifest, Stage as Spec};
use crate::sampler::{Draw, Noise, Sampling};

pub(super) fn check(manifest: &Manifest, spec: &Spec, graph: &Graph) -> Result<()> {
    cached::check(spec, graph, spec.codebooks, manifest.condition_window(spec))
}

/// Of one continuation, or of several in lanes that are always at the same frame.
#[derive(Debug)]
pub(super) struct Autoregressive {
    spec: Spec,
    /// Where the stage is in the pack.
    place: usize,
    runner: Runner,
    /// Of each lane.
    noise: Vec<Noise>,
    model: Transformer,
    /// See [`Manifest::condition_window`].
    window: Option<usize>,
    /// Samples per frame of its own and of the conditioning stream.
    hops: (usize, usize),
    unknown: i64,
    /// The frame that position 0 of the cache stands for.
    base: usize,
    /// The next frame to make, and the first that was not in the prompt.
    next: usize,
    first: usize,
    /// Of each lane, once it has begun; frames a second.
    held: Vec<Held>,
    rate: f32,
}

impl Autoregressive {
    pub(super) fn new(manifest: &Manifest, spec: Spec, place: usize, runner: Runner) -> Result<Self> {
        let window = manifest.condition_window(&spec);
        let model = Transformer::new(&spec, &runner, window, 1)?;
        let own = manifest.hop(spec.writes).unwrap_or(1);
        let (other, unknown) = match &spec.condition {
            Some(c) => (manifest.hop(c.stream).unwrap_or(1), manifest.cardinality(c.stream) as i64),
            None => (1, 0),
        };
        let noise = vec![Noise::new(0, place, spec.codebooks * spec.candidates)];
        let rate = manifest.audio.sample_rate as f32 / own as f32;
        let hops = (own, other);
        let held = Vec::new();
        let (base, next, first) = (0, 0, 0);
        Ok(Self { spec, place, runner, noise, model, window, hops, unknown, base, next, first, held, rate })
    }

    /// A lane for each seed, all of them where this one is; `runner` is its own or [`Models::second`](crate::models::Models).
    pub(super) fn in_lanes(&self, runner: Runner, seeds: &[u64]) -> Result<Self> {
        let spec = self.spec.clone();
        let mut model = Transformer::new(&spec, &runner, self.window, seeds.len())?;
        model.remember(&self.model);
        let noise = |seed: &u64| Noise::new(*seed, self.place, spec.codebooks * spec.candidates);
        let noise = seeds.iter().map(noise).collect();
        let Self { place, window, hops, unknown, base, next, first, rate, .. } = *self;
        let held = Vec::new();
        Ok(Self { spec, place, runner, noise, model, window, hops, unknown, base, next, first, held, rate })
    }

    /// The frame of the conditioning stream at the time of a frame of its own.
    fn at(&self, frame: usize) -> isize {
        (frame * self.hops.0 / self.hops.1) as isize
    }

    /// Runs the positions that sample frames `from..to` of every lane.
    fn run(&mut self, lanes: &[Streams], from: usize, to: usize) -> Result<()> {
        let mut codes = Vec::with_capacity(lanes.len() * (to - from) * self.spec.codebooks);
        let mut cond = Vec::new();
        for streams in lanes {
            self.look(streams, from, to, &mut codes, &mut cond);
        }
        self.model.run(&codes, &cond)
    }

    /// What the graph is given at the positions that sample frames `from..to` of one lane.
    fn look(&self, streams: &Streams, from: usize, to: usize, codes: &mut Vec<i64>, cond: &mut Vec<i64>) {
        let own = streams.of(self.spec.writes);
        let books = self.spec.first_codebook..self.spec.first_codebook + self.spec.codebooks;
        for frame in from..to {
            if frame == self.base {
                codes.extend(std::iter::repeat_n(self.spec.cardinality as i64, self.spec.codebooks));
            } else {
                codes.extend(own.frame(frame - 1)[books.clone()].iter().map(|id| i64::from(*id)));
            }
            if let Some(condition) = &self.spec.condition {
                let other = streams.of(condition.stream);
                let now = self.at(frame);
                for offset in &condition.offsets {
                    match usize::try_from(now + offset).ok().filter(|i| *i < other.frames()) {
                        Some(i) => cond.extend(other.frame(i).iter().map(|id| i64::from(*id))),
                        None => cond.extend(std::iter::repeat_n(self.unknown, other.codebooks)),
                    }
                }
            }
        }
    }

    /// The frame from which on more of the stream that conditions it would change what it sees.
    fn sure(&self, streams: &Streams) -> usize {
        let Some(condition) = &self.spec.condition else { return usize::MAX };
        let furthest = condition.offsets.iter().max().copied().unwrap_or(0);
        let known = streams.of(condition.stream).frames() as isize - furthest;
        // Frame t looks at t·hop / other's hop.
        usize::try_from(known).unwrap_or(0) * self.hops.1 / self.hops.0.max(1)
    }

    /// Leaves the cache such that one more position samples frame `next`.
    fn refill(&mut self, lanes: &[Streams], next: usize, keep: usize) -> Result<()> {
        self.base = next - keep.min(next);
        self.model.clear();
        if next > self.base { self.run(lanes, self.base, next) } else { Ok(()) }
    }

    fn draw(&mut self, draw: Draw, sampling: &Sampling, frame: usize) {
        let Self { noise, model, held, spec, .. } = self;
        model.draw(draw, |out, tilt| {
            let each = out.len() / noise.len();
            for (lane, out) in noise.iter_mut().zip(out.chunks_exact_mut(each)) {
                lane.fill(frame, draw.greedy, out);
            }
            tilt.fill(0.0);
            if !draw.greedy {
                for (held, out) in held.iter().zip(out.chunks_exact_mut(each)) {
                    // The first codebook's last candidate is the rest; what is added to its noise is added to its log-probability.
                    out[spec.candidates - 1] += held.calm(sampling);
                }
                for (held, out) in held.iter().zip(tilt.chunks_exact_mut(spec.tilts().max(1))) {
                    held.tilt(sampling, out);
                }
            }
        });
    }

    /// [`Stage::advance`] of every lane.
    pub(super) fn advance_lanes(&mut self, lanes: &mut [Streams], end: usize, sampling: &Sampling) -> Result<()> {
        let draw = Draw::new(sampling.temperature(&self.spec.id, 0), sampling.top_p);
        if self.held.is_empty() {
            // All lanes have the same prompt.
            let prompt = lanes[0].of(self.spec.writes);
            self.held = Held::new(&self.spec, self.rate, prompt, self.first, sampling.tempo)
                .map_or_else(Vec::new, |one| vec![one; lanes.len()]);
        }
        while self.next < end {
            if self.model.filled() + 1 > self.spec.context {
                self.refill(lanes, self.next, self.spec.context / 2)?;
            }
            self.draw(draw, sampling, self.next - self.first);
            self.run(lanes, self.next, self.next + 1)?;
            let (ids, log_prob) = self.model.sampled();
            sound(|reason| self.runner.failed(reason), &self.spec, ids, log_prob)?;
            for (streams, ids) in lanes.iter_mut().zip(ids.chunks_exact(self.spec.codebooks)) {
                streams.write(&self.spec, self.next, ids);
            }
            for (held, streams) in self.held.iter_mut().zip(lanes.iter()) {
                held.hear(streams.of(self.spec.writes).frame(self.next));
            }
            self.next += 1;
        }
        Ok(())
    }
}

impl Stage for Autoregressive {
    fn prefill(&mut self, streams: &Streams, end: usize, closed: bool) -> Result<()> {
        let end = if closed { end } else { end.min(self.sure(streams)).max(self.next) };
        self.draw(Draw::new(0.0, 1.0), &Sampling::DEFAULT, 0);
        let lanes = std::slice::from_ref(streams);
        // One position less than fits, so that the first step still has room.
        if self.model.filled() > 0 && end - self.base < self.spec.context {
            if end > self.next {
                self.run(lanes, self.next, end)?;
            }
        } else {
            let keep = if end < self.spec.context { end } else { self.spec.context / 2 };
            self.refill(lanes, end, keep)?;
        }
        self.next = end;
        self.first = end;
        self.held.clear();
        Ok(())
    }

    fn reseed(&mut self, seed: u64) {
        self.noise = vec![Noise::new(seed, self.place, self.spec.codebooks * self.spec.candidates)];
    }

    fn reach(&self, end: usize) -> usize {
        let furthest = self.spec.condition.as_ref().and_then(|condition| condition.offsets.iter().max());
        let reach = furthest.map_or(0, |offset| self.at(end.saturating_sub(1)) + offset + 1);
        usize::try_from(reach).unwrap_or(0)
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        self.advance_lanes(std::slice::from_mut(streams), end, sampling)
    }
}
