//! The paper's own form of a stage (AudioLM, Borsos et al. 2022, section III-B): a decoder-only transformer over one row
//! of tokens, frame by frame and codebook by codebook, one token a run. What conditions it stands before them, a window at
//! a time.
//!
//! The row of a window that begins at frame `b`, for `Q` codebooks of `N` entries: the tokens of the conditioning stream
//! from the same time on, as `Q·N + 1 + token`; a begin of stream, `Q·N`; then the tokens of its own, as `q·N + token`. At a
//! window's end the row begins anew half a window before.

use super::cached::{self, Cached};
use super::{Stage, Streams, sound};
use crate::error::Result;
use crate::graph::Graph;
use crate::pack::manifest::{Manifest, Stage as Spec};
use crate::sampler::{Draw, Noise, Sampling};
use std::sync::Arc;

pub(super) fn check(spec: &Spec, graph: &Graph) -> Result<()> {
    cached::check(spec, graph, 1, None)
}

#[derive(Debug)]
pub(super) struct Flattened {
    spec: Spec,
    /// Where the stage is in the pack.
    place: usize,
    graph: Arc<Graph>,
    noise: Noise,
    model: Cached,
    /// Samples per frame of its own and of the conditioning stream.
    hops: (usize, usize),
    /// Tokens before the begin of stream, and what stands for one that is not known.
    prefix: usize,
    unknown: i64,
    /// The frame that the row begins with.
    base: usize,
    /// The row's last token, which is not in the cache yet.
    last: i64,
    /// The next frame to make, and the first that was not in the prompt.
    next: usize,
    first: usize,
}

impl Flattened {
    pub(super) fn new(manifest: &Manifest, spec: Spec, place: usize, graph: Arc<Graph>) -> Result<Self> {
        let model = Cached::new(&spec, Arc::clone(&graph), 1, None, 1)?;
        let own = manifest.hop(spec.writes).unwrap_or(1);
        let (other, unknown) = match &spec.condition {
            Some(c) => (manifest.hop(c.stream).unwrap_or(1), manifest.cardinality(c.stream) as i64),
            None => (1, 0),
        };
        let noise = Noise::new(0, place, spec.codebooks * spec.candidates);
        let prefix = manifest.prefix(&spec);
        Ok(Self {
            spec,
            place,
            graph,
            noise,
            model,
            hops: (own, other),
            prefix,
            unknown,
            base: 0,
            last: 0,
            next: 0,
            first: 0,
        })
    }

    /// The id of the begin of stream.
    fn begin(&self) -> i64 {
        (self.spec.codebooks * self.spec.cardinality) as i64
    }

    fn id(&self, book: usize, token: i64) -> i64 {
        (book * self.spec.cardinality) as i64 + token
    }

    /// The row from frame `base` to `next`, all but its last token in the cache.
    fn refill(&mut self, streams: &Streams, base: usize, next: usize) -> Result<()> {
        self.base = base;
        self.model.clear();
        let mut row = Vec::with_capacity(self.prefix + 1 + (next - base) * self.spec.codebooks);
        if let Some(condition) = &self.spec.condition {
            let other = streams.of(condition.stream);
            let from = base * self.hops.0 / self.hops.1;
            let known =
                |frame: usize| if frame < other.frames() { i64::from(other.frame(frame)[0]) } else { self.unknown };
            row.extend((from..from + self.prefix).map(|frame| self.begin() + 1 + known(frame)));
        }
        row.push(self.begin());
        let own = streams.of(self.spec.writes);
        for frame in base..next {
            let books = &own.frame(frame)[self.spec.first_codebook..];
            let books = books.iter().take(self.spec.codebooks).enumerate();
            row.extend(books.map(|(book, token)| self.id(book, i64::from(*token))));
        }
        self.last = row.pop().unwrap_or(self.begin());
        if row.is_empty() { Ok(()) } else { self.model.run(&row, &[]) }
    }

    /// Where the window begins that frame `frame` is made in.
    fn window_of(&self, frame: usize) -> usize {
        let (window, mut base) = (self.spec.window, self.base);
        while frame - base >= window {
            base += window - window / 2;
        }
        base
    }
}

impl Stage for Flattened {
    fn reseed(&mut self, seed: u64) {
        self.noise = Noise::new(seed, self.place, self.spec.codebooks * self.spec.candidates);
    }

    fn prefill(&mut self, _streams: &Streams, end: usize, _closed: bool) -> Result<()> {
        self.next = end;
        self.first = end;
        // The row is filled when it is known what conditions all of its window.
        self.base = if end < self.spec.window { 0 } else { end - self.spec.window / 2 };
        self.model.clear();
        Ok(())
    }

    fn reach(&self, end: usize) -> usize {
        match &self.spec.condition {
            Some(_) => self.window_of(end.saturating_sub(1).max(self.base)) * self.hops.0 / self.hops.1 + self.prefix,
            None => 0,
        }
    }

    fn advance(&mut self, streams: &mut Streams, end: usize, sampling: &Sampling) -> Result<()> {
        let draw = Draw::new(sampling.temperature(&self.spec.id, 1), sampling.top_p);
        let (books, candidates) = (self.spec.codebooks, self.spec.candidates);
        let mut noise = vec![0.0; books * candidates];
        while self.next < end {
            let base = self.window_of(self.next);
            if base != self.base || self.model.filled() == 0 {
                self.model.draw(Draw::new(0.0, 1.0), |noise, _| noise.fill(0.0));
                self.refill(streams, base, self.next)?;
            }
            self.noise.fill(self.next - self.first, draw.greedy, &mut noise);
            let mut frame = Vec::with_capacity(books);
            for book in 0..books {
                let part = &noise[book * candidates..(book + 1) * candidates];
                self.model.draw(draw, |noise, _| noise.copy_from_slice(part));
                self.model.run(&[self.last], &[])?;
                let (ids, log_prob) = self.model.sampled();
                sound(|reason| self.graph.failed(reason), &self.spec, ids, log_prob)?;
                frame.extend_from_slice(ids);
                self.last = self.id(book, frame[book]);
            }
            streams.write(&self.spec, self.next, &frame);
            self.next += 1;
        }
        Ok(())
    }
}
