//! The stage that adds codebooks to frames whose lower ones are there: causal convolutions over time, then one small network
//! after the other for the codebooks of a frame, each seeing those before it. Twin of `stage_graph._parallel`.

use super::draw::Candidates;
use super::forward::{add, add_row, sized};
use super::maths::{gelu, norm};
use super::matrix::{Isa, Matrix, Quantised, multiply};
use super::{Complaint, Processor, Source, Table, WIDE, Work};
use crate::pack::manifest::Stage as Spec;
use crate::sampler::Draw;
use std::sync::Arc;

/// Frames that go through the layers together.
const CHUNK: usize = 32;

/// What the metadata says beyond the sizes of the tensors.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    candidates: usize,
    epsilon: f32,
}

/// A convolution over time, then a network over each frame.
#[derive(Debug)]
struct Block {
    /// The oldest frame's first.
    taps: Vec<Vec<f32>>,
    norm: Vec<f32>,
    up: Matrix,
    down: Matrix,
}

/// Of one codebook.
#[derive(Debug)]
struct Level {
    norm: Vec<f32>,
    up: Matrix,
    down: Matrix,
    out_norm: Vec<f32>,
    head: Matrix,
    /// What its token is to the levels behind it; the last has none.
    table: Option<Table>,
}

/// The weights of a stage; any number of continuations read them at once.
pub(crate) struct ParallelWeights {
    pub(super) processor: Processor,
    given: usize,
    cardinality: usize,
    recipe: Recipe,
    offsets: Vec<i64>,
    embedding: Table,
    blocks: Vec<Block>,
    levels: Vec<Level>,
}

impl std::fmt::Debug for ParallelWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParallelWeights({:?} on {:?})", self.recipe, self.processor)
    }
}

impl ParallelWeights {
    /// Reads them from a graph's bytes; `None` if it does not say that it is of this form.
    ///
    /// # Errors
    /// (found, expected) of a graph that says so and is not.
    pub(crate) fn read(bytes: &[u8], spec: &Spec) -> Result<Option<Self>, Complaint> {
        let Some((recipe, from)) = Source::of::<Recipe>(bytes)? else { return Ok(None) };
        let there = |name: String| from.0.contains_key(&name);
        let block = |i: usize| {
            let taps = (0..).take_while(|tap| there(format!("block.{i}.tap.{tap}")));
            Ok(Block {
                taps: taps.map(|tap| from.floats(&format!("block.{i}.tap.{tap}"))).collect::<Result<_, _>>()?,
                norm: from.floats(&format!("block.{i}.norm.gain"))?,
                up: from.matrix(&format!("block.{i}.up"))?,
                down: from.matrix(&format!("block.{i}.down"))?,
            })
        };
        let level = |i: usize| {
            let table = (i + 1 < spec.codebooks).then(|| from.table(&format!("level.{i}.table"))).transpose()?;
            Ok(Level {
                norm: from.floats(&format!("level.{i}.norm.gain"))?,
                up: from.matrix(&format!("level.{i}.up"))?,
                down: from.matrix(&format!("level.{i}.down"))?,
                out_norm: from.floats(&format!("level.{i}.out_norm.gain"))?,
                head: from.matrix(&format!("level.{i}.head"))?,
                table,
            })
        };
        let blocks = (0..).take_while(|i| there(format!("block.{i}.up_Q8")));
        let weights = Self {
            processor: Processor::found(),
            given: spec.first_codebook,
            cardinality: spec.cardinality,
            recipe,
            offsets: from.integers("embedding.offset")?,
            embedding: from.table("embedding.table")?,
            blocks: blocks.map(block).collect::<Result<_, Complaint>>()?,
            levels: (0..spec.codebooks).map(level).collect::<Result<_, Complaint>>()?,
        };
        weights.fit(spec)?;
        Ok(Some(weights))
    }

    /// Whether all sizes agree: nothing that is computed later may find otherwise.
    fn fit(&self, spec: &Spec) -> Result<(), Complaint> {
        let width = self.embedding.width;
        let network = |norm: &[f32], up: &Matrix, down: &Matrix| {
            norm.len() == width && (up.inputs, down.outputs) == (width, width) && up.outputs == down.inputs
        };
        let block = |b: &Block| {
            network(&b.norm, &b.up, &b.down) && !b.taps.is_empty() && b.taps.iter().all(|t| t.len() == width)
        };
        let level = |l: &Level| {
            let table = l.table.as_ref().is_none_or(|t| (t.width, t.rows()) == (width, self.cardinality));
            let head = (l.head.inputs, l.head.outputs) == (width, self.cardinality) && l.out_norm.len() == width;
            network(&l.norm, &l.up, &l.down) && head && table
        };
        let rows = self.embedding.rows() as i64;
        let offsets = self.offsets.len() == self.given && self.offsets.iter().all(|o| (0..rows).contains(o));
        let candidates = self.recipe.candidates;
        let checks = [
            ("the width", width.is_multiple_of(WIDE)),
            ("the embedding's offsets", offsets),
            ("the blocks", self.blocks.iter().all(block)),
            ("the levels", self.levels.iter().all(level)),
            ("the number of candidates", candidates == spec.candidates && (1..=self.cardinality).contains(&candidates)),
        ];
        match checks.iter().find(|(_, good)| !good) {
            Some((what, _)) => Err((format!("sizes that do not agree: {what}"), "one network".into())),
            None => Ok(()),
        }
    }
}

/// The network at work on one continuation: what its convolutions remember.
#[derive(Debug)]
pub(crate) struct Frames {
    weights: Arc<ParallelWeights>,
    /// Of each block the inputs before the next frame, [frames, width].
    before: Vec<Vec<f32>>,
    candidates: Candidates,
    quantised: Quantised,
    x: Vec<f32>,
    normed: Vec<f32>,
    inner: Vec<f32>,
    added: Vec<f32>,
    logits: Vec<f32>,
}

/// What [`Frames::run`] does at once.
struct Chunk<'a> {
    frames: &'a mut Frames,
    codes: &'a [i64],
    noise: &'a [f32],
    draw: Draw,
    ids: &'a mut Vec<i64>,
    log_prob: &'a mut Vec<f32>,
}

impl Work for Chunk<'_> {
    #[inline(always)]
    fn on<I: Isa>(self) {
        self.frames.run_on::<I>(self.codes, self.noise, self.draw, self.ids, self.log_prob);
    }
}

impl Frames {
    /// At the start of a stream: nothing has been before.
    pub(crate) fn new(weights: Arc<ParallelWeights>) -> Self {
        let width = weights.embedding.width;
        Self {
            before: weights.blocks.iter().map(|block| vec![0.0; (block.taps.len() - 1) * width]).collect(),
            candidates: Candidates::default(),
            quantised: Quantised::default(),
            x: Vec::new(),
            normed: Vec::new(),
            inner: Vec::new(),
            added: Vec::new(),
            logits: Vec::new(),
            weights,
        }
    }

    /// Frames that it remembers: begun so many earlier it gives the same.
    pub(crate) fn memory(&self) -> usize {
        self.weights.blocks.iter().map(|block| block.taps.len() - 1).sum()
    }

    /// Given `codes` [frames, given] and `noise` [frames, codebooks, candidates], the tokens of the next frames and their
    /// log-probabilities, [frames, codebooks] both.
    pub(crate) fn run(&mut self, codes: &[i64], noise: &[f32], draw: Draw) -> (Vec<i64>, Vec<f32>) {
        let (mut ids, mut log_prob) = (Vec::new(), Vec::new());
        let per_frame = self.weights.levels.len() * self.weights.recipe.candidates;
        let given = self.weights.given;
        for (codes, noise) in codes.chunks(CHUNK * given).zip(noise.chunks(CHUNK * per_frame)) {
            self.weights.processor.run(Chunk {
                frames: self,
                codes,
                noise,
                draw,
                ids: &mut ids,
                log_prob: &mut log_prob,
            });
        }
        (ids, log_prob)
    }

    #[inline(always)]
    fn run_on<I: Isa>(
        &mut self,
        codes: &[i64],
        noise: &[f32],
        draw: Draw,
        ids: &mut Vec<i64>,
        log_prob: &mut Vec<f32>,
    ) {
        let Self { weights, before, candidates, quantised, x, normed, inner, added, logits } = self;
        let (width, epsilon) = (weights.embedding.width, weights.recipe.epsilon);
        let frames = codes.len() / weights.given;
        let x = sized(x, frames * width);
        x.fill(0.0);
        for (codes, x) in codes.chunks_exact(weights.given).zip(x.chunks_exact_mut(width)) {
            for (id, offset) in codes.iter().zip(&weights.offsets) {
                let row = usize::try_from(id + offset).unwrap_or(0).min(weights.embedding.rows() - 1);
                add_row(x, weights.embedding.row(row));
            }
        }
        for (block, before) in weights.blocks.iter().zip(before) {
            // Behind what it remembers come these frames.
            before.extend_from_slice(x);
            let added = sized(added, frames * width);
            added.fill(0.0);
            for (tap, by) in block.taps.iter().enumerate() {
                for (to, from) in added.chunks_exact_mut(width).zip(before[tap * width..].chunks_exact(width)) {
                    for ((to, from), by) in to.iter_mut().zip(from).zip(by) {
                        *to = I::fma(*from, *by, *to);
                    }
                }
            }
            before.drain(..frames * width);
            norm::<I>(added, &block.norm, epsilon, sized(normed, frames * width));
            network::<I>(normed, &block.up, &block.down, quantised, inner, added);
            add(x, added);
        }
        let start = ids.len();
        let books = weights.levels.len();
        ids.resize(start + frames * books, 0);
        log_prob.resize(start + frames * books, 0.0);
        for (book, level) in weights.levels.iter().enumerate() {
            norm::<I>(x, &level.norm, epsilon, sized(normed, frames * width));
            let added = sized(added, frames * width);
            network::<I>(normed, &level.up, &level.down, quantised, inner, added);
            add(added, x);
            norm::<I>(added, &level.out_norm, epsilon, normed);
            quantised.take::<I>(normed, width);
            multiply::<I>(&level.head, quantised, sized(logits, frames * weights.cardinality));
            for (frame, logits) in logits.chunks_exact(weights.cardinality).enumerate() {
                let count = weights.recipe.candidates;
                let noise = &noise[(frame * books + book) * count..][..count];
                let (token, probable) = candidates.any::<I>(logits, noise, draw);
                let at = start + frame * books + book;
                (ids[at], log_prob[at]) = (token, probable);
                if let Some(table) = &level.table {
                    add_row(&mut x[frame * width..][..width], table.row(token as usize));
                }
            }
        }
    }
}

/// down(GELU(up(x))), into `y`.
#[inline(always)]
fn network<I: Isa>(
    x: &[f32],
    up: &Matrix,
    down: &Matrix,
    quantised: &mut Quantised,
    inner: &mut Vec<f32>,
    y: &mut [f32],
) {
    quantised.take::<I>(x, up.inputs);
    let inner = sized(inner, x.len() / up.inputs * up.outputs);
    multiply::<I>(up, quantised, inner);
    gelu::<I>(inner);
    quantised.take::<I>(inner, down.inputs);
    multiply::<I>(down, quantised, y);
}
