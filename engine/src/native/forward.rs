//! The transformer over time, with its caches, and the one over the codebooks of a frame.

use super::WIDE;
use super::attention::mix;
use super::maths::{dot, exponentials, from_half, gelu, norm, to_half};
use super::matrix::{Isa, Quantised, multiply};
use super::weights::{Block, Weights};

/// Keys and values of one layer: [row, head, positions / 16, size, 16] and [row, head, positions, size], so that the positions
/// of 16 keys and the numbers of a value lie side by side. A row is a lane with its condition, or without. Of half precision:
/// those of eight lanes are more than the processor's own memory holds.
#[derive(Debug)]
pub(super) struct Cache {
    keys: Vec<u16>,
    values: Vec<u16>,
}

impl Cache {
    /// Of so many rows, with anything in it: one that was given back, or zeros, which take no memory before something is written.
    pub(super) fn new(weights: &Weights, rows: usize) -> Self {
        let size = rows * weights.kv_heads * weights.context * weights.head_dim;
        let found = {
            let mut spare = weights.spare.lock();
            spare.iter().position(|cache| cache.keys.len() == size).map(|place| spare.swap_remove(place))
        };
        found.unwrap_or_else(|| Self { keys: vec![0; size], values: vec![0; size] })
    }

    /// The rows of another into those of every lane, as far as it is filled.
    pub(super) fn remember(&mut self, one: &Self, weights: &Weights, filled: usize) {
        let head = weights.context * weights.head_dim;
        let filled = filled.next_multiple_of(WIDE) * weights.head_dim;
        for (to, from) in [(&mut self.keys, &one.keys), (&mut self.values, &one.values)] {
            for lane in to.chunks_exact_mut(from.len()) {
                for (to, from) in lane.chunks_exact_mut(head).zip(from.chunks_exact(head)) {
                    to[..filled].copy_from_slice(&from[..filled]);
                }
            }
        }
    }

    /// A key and a value of a row's head at a position.
    #[inline(always)]
    fn put(&mut self, weights: &Weights, place: usize, position: usize, key: &[f32], value: &[f32]) {
        let (head, size) = (place * weights.context * weights.head_dim, weights.head_dim);
        let tile = head + position / WIDE * WIDE * size + position % WIDE;
        for (to, from) in self.keys[tile..].iter_mut().step_by(WIDE).zip(key) {
            *to = to_half(*from);
        }
        for (to, from) in self.values[head + position * size..][..size].iter_mut().zip(value) {
            *to = to_half(*from);
        }
    }
}

/// What is needed on the way, kept from step to step.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) x: Vec<f32>,
    normed: Vec<f32>,
    quantised: Quantised,
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    inner: Vec<f32>,
    added: Vec<f32>,
    scores: Vec<f32>,
    /// The transformer over codebooks: of each layer the questions, keys and values of the codebooks so far.
    levels: Vec<Vec<f32>>,
}

/// x + added, into `x`.
#[inline(always)]
pub(super) fn add(x: &mut [f32], added: &[f32]) {
    for (x, added) in x.iter_mut().zip(added) {
        *x += added;
    }
}

/// The same of a table's row.
#[inline(always)]
pub(super) fn add_row(x: &mut [f32], row: &[u16]) {
    for (x, half) in x.iter_mut().zip(row) {
        *x += from_half(*half);
    }
}

/// As many values, whatever they are.
#[inline(always)]
pub(super) fn sized(values: &mut Vec<f32>, size: usize) -> &mut [f32] {
    values.resize(size, 0.0);
    values
}

impl Weights {
    /// What tokens are to it: the sum of their rows, into one row of `x`. `ids`: one a column.
    #[inline(always)]
    pub(super) fn embed(&self, ids: impl Iterator<Item = i64>, x: &mut [f32]) {
        x.fill(0.0);
        for (id, offset) in ids.zip(&self.offsets) {
            // A token is checked where it comes from; a row that is not there must not be asked for whatever it is.
            let row = usize::try_from(id + offset).unwrap_or(0).min(self.embedding.rows() - 1);
            add_row(x, self.embedding.row(row));
        }
    }

    /// `s.x` [rows, positions, width] through all blocks, behind `filled` positions that the caches hold; the last position of
    /// each row goes through the last norm into `last` [rows, width].
    #[inline(always)]
    pub(super) fn over_time<I: Isa>(
        &self,
        s: &mut Scratch,
        caches: &mut [Cache],
        rows: usize,
        filled: usize,
        last: &mut Vec<f32>,
    ) {
        let width = self.temporal_norm.len();
        let count = s.x.len() / width;
        let positions = count / rows;
        for (block, cache) in self.temporal.iter().zip(caches) {
            norm::<I>(&s.x, &block.attention_norm, self.recipe.epsilon, sized(&mut s.normed, count * width));
            s.quantised.take::<I>(&s.normed, width);
            multiply::<I>(&block.qkv, &s.quantised, sized(&mut s.qkv, count * block.qkv.outputs));
            sized(&mut s.mixed, count * block.out.inputs);
            for row in 0..rows {
                for position in 0..positions {
                    let at = row * positions + position;
                    let qkv = &mut s.qkv[at * block.qkv.outputs..][..block.qkv.outputs];
                    let mixed = &mut s.mixed[at * block.out.inputs..][..block.out.inputs];
                    self.attend::<I>(qkv, cache, row, filled + position, &mut s.scores, mixed);
                }
            }
            self.behind::<I>(block, s);
        }
        let last = sized(last, rows * width);
        for (row, last) in last.chunks_exact_mut(width).enumerate() {
            let at = (row + 1) * positions - 1;
            norm::<I>(&s.x[at * width..][..width], &self.temporal_norm, self.recipe.epsilon, last);
        }
    }

    /// `s.mixed` through the rest of a block, added to `s.x`.
    #[inline(always)]
    fn behind<I: Isa>(&self, block: &Block, s: &mut Scratch) {
        let width = block.out.outputs;
        let size = s.x.len();
        s.quantised.take::<I>(&s.mixed, block.out.inputs);
        multiply::<I>(&block.out, &s.quantised, sized(&mut s.added, size));
        add(&mut s.x, &s.added);
        norm::<I>(&s.x, &block.mlp_norm, self.recipe.epsilon, sized(&mut s.normed, size));
        s.quantised.take::<I>(&s.normed, width);
        multiply::<I>(&block.up, &s.quantised, sized(&mut s.inner, size / width * block.up.outputs));
        gelu::<I>(&mut s.inner);
        s.quantised.take::<I>(&s.inner, block.down.inputs);
        multiply::<I>(&block.down, &s.quantised, sized(&mut s.added, size));
        add(&mut s.x, &s.added);
    }

    /// One position of one row: turns its questions and keys, keeps its keys and values, and attends to all up to it.
    #[inline(always)]
    fn attend<I: Isa>(
        &self,
        qkv: &mut [f32],
        cache: &mut Cache,
        row: usize,
        position: usize,
        scores: &mut Vec<f32>,
        mixed: &mut [f32],
    ) {
        let (size, half) = (self.head_dim, self.head_dim / 2);
        let (q, kv) = qkv.split_at_mut(self.recipe.heads * size);
        let (k, v) = kv.split_at_mut(self.kv_heads * size);
        let (cos, sin) = (&self.cos[position * half..][..half], &self.sin[position * half..][..half]);
        let scale = 1.0 / (size as f32).sqrt();
        for (head, by) in q.chunks_exact_mut(size).map(|q| (q, scale)).chain(k.chunks_exact_mut(size).map(|k| (k, 1.0)))
        {
            let (first, second) = head.split_at_mut(half);
            for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                (*a, *b) = ((*a * cos - *b * sin) * by, (*b * cos + *a * sin) * by);
            }
        }
        let shared = self.recipe.heads / self.kv_heads;
        for head in 0..self.kv_heads {
            let place = row * self.kv_heads + head;
            cache.put(self, place, position, &k[head * size..][..size], &v[head * size..][..size]);
            let all = self.context * size;
            let (keys, values) = (&cache.keys[place * all..][..all], &cache.values[place * all..][..all]);
            let q = &q[head * shared * size..][..shared * size];
            let mixed = &mut mixed[head * shared * size..][..shared * size];
            let total = position + 1;
            match shared {
                1 => mix::<I, 1>(q, keys, values, size, total, scores, mixed),
                2 => mix::<I, 2>(q, keys, values, size, total, scores, mixed),
                4 => mix::<I, 4>(q, keys, values, size, total, scores, mixed),
                _ => mix::<I, 8>(q, keys, values, size, total, scores, mixed),
            }
        }
    }

    /// Begins a frame: what the transformer over time says, `last` [rows, width], as what each codebook begins with.
    #[inline(always)]
    pub(super) fn begin_frame<I: Isa>(&self, s: &mut Scratch, last: &[f32], begin: &mut Vec<f32>) {
        let rows = last.len() / self.depth_in.inputs;
        s.quantised.take::<I>(last, self.depth_in.inputs);
        multiply::<I>(&self.depth_in, &s.quantised, sized(begin, rows * self.depth_in.outputs));
        s.levels.resize_with(self.depth.len(), Vec::new);
        s.levels.iter_mut().for_each(Vec::clear);
    }

    /// The logits of the next codebook, [rows, cardinality]; `before`: the token of the codebook before it, of each lane.
    #[inline(always)]
    pub(super) fn level<I: Isa>(
        &self,
        s: &mut Scratch,
        begin: &[f32],
        level: usize,
        before: &[i64],
        logits: &mut Vec<f32>,
    ) {
        let width = self.depth_norm.len();
        let rows = begin.len() / width;
        sized(&mut s.x, begin.len()).copy_from_slice(begin);
        for (row, x) in s.x.chunks_exact_mut(width).enumerate() {
            if level == 0 {
                add(x, &self.depth_start);
            } else {
                let token = before[row / self.halves()] as usize;
                let table = self.depth_tables[level - 1].row(token);
                add_row(x, table);
            }
        }
        let size = width / self.recipe.depth_heads;
        for (layer, block) in self.depth.iter().enumerate() {
            norm::<I>(&s.x, &block.attention_norm, self.recipe.epsilon, sized(&mut s.normed, rows * width));
            s.quantised.take::<I>(&s.normed, width);
            multiply::<I>(&block.qkv, &s.quantised, sized(&mut s.qkv, rows * 3 * width));
            // Questions are scaled in the weights.
            s.levels[layer].extend_from_slice(&s.qkv);
            sized(&mut s.mixed, rows * width);
            let all = &s.levels[layer];
            for row in 0..rows {
                for head in 0..self.recipe.depth_heads {
                    let mixed = &mut s.mixed[row * width + head * size..][..size];
                    // Questions, keys, values: each `width` numbers of a codebook's row.
                    let of = |level: usize, kind: usize| ((level * rows + row) * 3 + kind) * width + head * size;
                    let q = &all[of(level, 0)..][..size];
                    let scores = sized(&mut s.scores, level + 1);
                    for (earlier, score) in scores.iter_mut().enumerate() {
                        *score = dot::<I>(q, &all[of(earlier, 1)..][..size]);
                    }
                    let sum = exponentials::<I>(scores);
                    mixed.fill(0.0);
                    for (earlier, score) in scores.iter().enumerate() {
                        let weight = score / sum;
                        for (to, value) in mixed.iter_mut().zip(&all[of(earlier, 2)..][..size]) {
                            *to = I::fma(weight, *value, *to);
                        }
                    }
                }
            }
            self.behind::<I>(block, s);
        }
        norm::<I>(&s.x, &self.depth_norm, self.recipe.epsilon, sized(&mut s.normed, rows * width));
        s.quantised.take::<I>(&s.normed, width);
        multiply::<I>(&self.heads[level], &s.quantised, sized(logits, rows * self.cardinality));
    }
}

/// values · by, added to `sums`.
#[inline(always)]
pub(super) fn add_times<I: Isa>(sums: &mut [f32; WIDE], values: &[f32; WIDE], by: f32) {
    for i in 0..WIDE {
        sums[i] = I::fma(by, values[i], sums[i]);
    }
}
