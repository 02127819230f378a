//! A stage at work: one continuation, or several that go side by side (lanes).

use super::Work;
use super::draw::{Candidates, tilted};
use super::forward::{Cache, Scratch};
use super::matrix::Isa;
use super::weights::Weights;
use crate::sampler::Draw;
use std::sync::Arc;

/// Positions of a prompt that go through the layers together: more would not fit the processor's caches.
const CHUNK: usize = 32;

/// The caches of each lane, what is drawn next and what was drawn last; the twin of [`crate::stages::cached::Cached`].
#[derive(Debug)]
pub(crate) struct Lanes {
    weights: Arc<Weights>,
    lanes: usize,
    /// Positions in the caches, the same in every lane.
    filled: usize,
    caches: Vec<Cache>,
    scratch: Scratch,
    /// What the transformer over time says of the last position, with condition and without.
    last: Vec<f32>,
    begin: Vec<f32>,
    logits: Vec<f32>,
    candidates: Candidates,
    noise: Vec<f32>,
    /// Of each lane, what is added to the logits of notes.
    tilt: Vec<f32>,
    draw: Draw,
    sampled: Vec<i64>,
    log_prob: Vec<f32>,
}

/// Caches that are kept for whoever comes next, in sets of one continuation.
const SPARE: usize = 4;

impl Drop for Lanes {
    fn drop(&mut self) {
        let mut spare = self.weights.spare.lock();
        // Those of many lanes are rare, and large.
        if self.lanes == 1 && spare.len() < SPARE * self.weights.temporal.len() {
            spare.append(&mut self.caches);
        }
    }
}

impl Work for (&mut Lanes, &[i64], &[i64]) {
    #[inline(always)]
    fn on<I: Isa>(self) {
        self.0.run_on::<I>(self.1, self.2);
    }
}

impl Lanes {
    /// With empty caches.
    pub(crate) fn new(weights: Arc<Weights>, lanes: usize) -> Self {
        let rows = lanes * weights.halves();
        let tokens = lanes * weights.columns;
        Self {
            lanes,
            filled: 0,
            caches: weights.temporal.iter().map(|_| Cache::new(&weights, rows)).collect(),
            scratch: Scratch::default(),
            last: Vec::new(),
            begin: Vec::new(),
            logits: Vec::new(),
            candidates: Candidates::default(),
            noise: vec![0.0; tokens * weights.candidates],
            tilt: vec![0.0; lanes * weights.notes.len()],
            draw: Draw::new(0.0, 1.0),
            sampled: vec![0; tokens],
            log_prob: vec![0.0; tokens],
            weights,
        }
    }

    /// Takes over another's caches, of one lane, into every lane.
    pub(crate) fn remember(&mut self, one: &Self) {
        for (to, from) in self.caches.iter_mut().zip(&one.caches) {
            to.remember(from, &self.weights, one.filled);
        }
        self.filled = one.filled;
    }

    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// How the next positions are drawn; `fill` fills the noise and the tilt.
    pub(crate) fn draw(&mut self, draw: Draw, fill: impl FnOnce(&mut [f32], &mut [f32])) {
        fill(&mut self.noise, &mut self.tilt);
        self.draw = draw;
    }

    /// The tokens sampled last, lane after lane, and their log-probabilities.
    pub(crate) fn sampled(&self) -> (&[i64], &[f32]) {
        (&self.sampled, &self.log_prob)
    }

    /// Runs these positions (they extend the caches), lane after lane; the last one of each samples, if it is the only one.
    pub(crate) fn run(&mut self, codes: &[i64], cond: &[i64]) {
        self.weights.processor.run((self, codes, cond));
    }

    #[inline(always)]
    fn run_on<I: Isa>(&mut self, codes: &[i64], cond: &[i64]) {
        let columns = self.weights.columns;
        let positions = codes.len() / columns / self.lanes;
        let mut from = 0;
        while from < positions {
            let to = positions.min(from + CHUNK);
            self.look::<I>(codes, cond, positions, from, to);
            from = to;
        }
        if positions == 1 {
            self.sample::<I>(codes);
        }
    }

    /// Positions `from..to` of every lane through the transformer over time.
    #[inline(always)]
    fn look<I: Isa>(&mut self, codes: &[i64], cond: &[i64], positions: usize, from: usize, to: usize) {
        let Self { weights, scratch, caches, lanes, filled, last, .. } = self;
        let (columns, window, halves) = (weights.columns, weights.window, weights.halves());
        let width = weights.temporal_norm.len();
        let rows = *lanes * halves;
        scratch.x.resize(rows * (to - from) * width, 0.0);
        for (at, x) in scratch.x.chunks_exact_mut(width).enumerate() {
            let (row, position) = (at / (to - from), from + at % (to - from));
            let (lane, half) = (row / halves, row % halves);
            let place = lane * positions + position;
            let codes = &codes[place * columns..][..columns];
            let cond = &cond[place * window..][..window];
            let unknown = weights.unknown.filter(|_| half == 1);
            let cond = cond.iter().map(|id| unknown.unwrap_or(*id));
            weights.embed(codes.iter().copied().chain(cond), x);
        }
        weights.over_time::<I>(scratch, caches, rows, *filled, last);
        *filled += to - from;
    }

    /// A frame, codebook by codebook, of every lane.
    #[inline(always)]
    fn sample<I: Isa>(&mut self, codes: &[i64]) {
        let Self { weights, scratch, last, begin, logits, candidates, noise, tilt, draw, sampled, log_prob, .. } = self;
        let (columns, count, vocabulary) = (weights.columns, weights.candidates, weights.cardinality);
        let notes = weights.notes.clone();
        weights.begin_frame::<I>(scratch, last, begin);
        let mut before = vec![0; self.lanes];
        for level in 0..columns {
            weights.level::<I>(scratch, begin, level, &before, logits);
            for (lane, before) in before.iter_mut().enumerate() {
                let own = &mut logits[lane * weights.halves() * vocabulary..][..weights.halves() * vocabulary];
                let (told, untold) = own.split_at_mut(vocabulary);
                for (told, untold) in told.iter_mut().zip(untold) {
                    *told = *untold + (*told - *untold) * weights.recipe.guidance;
                }
                if level < weights.tilted {
                    tilted::<I>(&mut told[notes.clone()], &tilt[lane * notes.len()..][..notes.len()]);
                }
                let at = lane * columns + level;
                let noise = &noise[at * count..][..count];
                let (token, probable) = match weights.rests().filter(|_| level == 0) {
                    Some(rests) => {
                        candidates.or_rest::<I>(told, codes[at], &rests, weights.recipe.eagerness, noise, *draw)
                    }
                    None => candidates.or_hold::<I>(told, codes[at], noise, *draw),
                };
                (sampled[at], log_prob[at]) = (token, probable);
                *before = token;
            }
        }
    }
}
