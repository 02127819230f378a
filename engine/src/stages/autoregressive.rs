//! A decoder-only transformer over frames, all codebooks of a frame in one run (temporal plus unrolled depth
//! transformer).

use super::cached::{self, Cached};
use super::{Stage, Streams, sound};
use crate::error::Result;
use crate::graph::Graph;
use crate::pack::manifest::{Manifest, Stage as Spec};
use crate::sampler::{Draw, Noise, Sampling};
use std::sync::Arc;

fn window(spec: &Spec) -> Option<usize> {
    spec.condition.as_ref().map(|condition| condition.offsets.len())
}

pub(super) fn check(spec: &Spec, graph: &Graph) -> Result<()> {
    cached::check(spec, graph, spec.codebooks, window(spec))
}

#[derive(Debug)]
pub(super) struct Autoregressive {
    spec: Spec,
    graph: Arc<Graph>,
    noise: Noise,
    model: Cached,
    /// Samples per frame of its own and of the conditioning stream.
    hops: (usize, usize),
    unknown: i64,
    /// The frame that position 0 of the cache stands for.
    base: usize,
    /// The next frame to make, and the first that was not in the prompt.
    next: usize,
    first: usize,
}

impl Autoregressive {
    pub(super) fn new(manifest: &Manifest, spec: Spec, place: usize, graph: Arc<Graph>, seed: u64) -> Result<Self> {
        let model = Cached::new(&spec, Arc::clone(&graph), spec.codebooks, window(&spec))?;
        let own = manifest.hop(spec.writes).unwrap_or(1);
        let (other, unknown) = match &spec.condition {
            Some(c) => (manifest.hop(c.stream).unwrap_or(1), manifest.cardinality(c.stream) as i64),
            None => (1, 0),
        };
        let noise = Noise::new(seed, place, spec.codebooks * spec.candidates);
        Ok(Self { spec, graph, noise, model, hops: (own, other), unknown, base: 0, next: 0, first: 0 })
    }

    /// The frame of the conditioning stream at the time of a frame of its own.
    fn at(&self, frame: usize) -> isize {
        (frame * self.hops.0 / self.hops.1) as isize
    }

    /// Runs the positions that sample frames `from..to`.
    fn run(&mut self, streams: &Streams, from: usize, to: usize) -> Result<()> {
        let own = streams.of(self.spec.writes);
        let books = self.spec.first_codebook..self.spec.first_codebook + self.spec.codebooks;
        let mut codes = Vec::with_capacity((to - from) * self.spec.codebooks);
        let mut cond = Vec::new();
        for frame in from..to {
            if frame == self.base {
                codes.extend(std::iter::repeat_n(self.spec.cardinality as i64, self.spec.codebooks));
            } else {
                codes.extend(own.frame(frame - 1)[books.clone()].iter().map(|id| i64::from(*id)));
            }
            if let Some(condition) = &self.spec.condition {
                let other = streams.of(condition.stream);
                let now = self.at(frame);
                cond.extend(condition.offsets.iter().map(|offset| {
                    let index = usize::try_from(now + offset).ok().filter(|i| *i < other.frames());
                    index.map_or(self.unknown, |i| i64::from(other.frame(i)[0]))
                }));
            }
        }
        self.model.run(&codes, &cond)
    }

    /// Leaves the cache such that one more position samples frame `next`.
    fn refill(&mut self, streams: &Streams, next: usize, keep: usize) -> Result<()> {
        self.base = next - keep.min(next);
        self.model.clear();
        if next > self.base { self.run(streams, self.base, next) } else { Ok(()) }
    }

    fn draw(&mut self, draw: Draw, frame: usize) {
        let Self { noise, model, .. } = self;
        model.draw(draw, |out| noise.fill(frame, draw.greedy, out));
    }
}

impl Stage for Autoregressive {
    fn prefill(&mut self, streams: &Streams, end: usize) -> Result<()> {
        self.next = end;
        self.first = end;
        self.draw(Draw::new(0.0, 1.0), 0);
        // One position less than fits, so that the first step still has room.
        let keep = if end < self.spec.context { end } else { self.spec.context / 2 };
        self.refill(streams, end, keep)
    }

    fn reach(&self, end: usize) -> usize {
        let furthest = self.spec.condition.as_ref().and_then(|condition| condition.offsets.iter().max());
        let reach = furthest.map_or(0, |offset| self.at(end.saturating_sub(1)) + offset + 1);
        usize::try_from(reach).unwrap_or(0)
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        let draw = Draw::new(sampling.temperature(&self.spec.id, 0), sampling.top_p);
        while self.next < end {
            if self.model.filled() + 1 > self.spec.context {
                self.refill(streams, self.next, self.spec.context / 2)?;
            }
            self.draw(draw, self.next - self.first);
            self.run(streams, self.next, self.next + 1)?;
            let (ids, log_prob) = self.model.sampled();
            sound(&self.graph, &self.spec, ids, log_prob)?;
            streams.write(&self.spec, self.next, ids);
            self.next += 1;
        }
        Ok(())
    }
}
