//! The weights of an autoregressive stage, and whether they fit each other.

use super::forward::Cache;
use super::matrix::Matrix;
use super::{Complaint, Processor, Source, Table, WIDE};
use crate::pack::manifest::{Density, Stage as Spec};
use parking_lot::Mutex;
use std::ops::Range;

/// What the metadata says beyond the sizes of the tensors; written by `training/segue_training/stage_graph.py`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    /// Heads of questions, over time and over codebooks.
    pub(super) heads: usize,
    pub(super) depth_heads: usize,
    /// Of each draw.
    pub(super) candidates: usize,
    /// How far beyond what is likely without the condition; 1 is no guidance.
    pub(super) guidance: f32,
    /// What is added to the log odds of a note.
    pub(super) eagerness: f32,
    /// Of the first codebook the tokens that are rests, if any: first, and behind the last.
    pub(super) rests: Option<(usize, usize)>,
    pub(super) epsilon: f32,
}

/// Behind the attention of one layer, and before it.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) attention_norm: Vec<f32>,
    pub(super) qkv: Matrix,
    pub(super) out: Matrix,
    pub(super) mlp_norm: Vec<f32>,
    pub(super) up: Matrix,
    pub(super) down: Matrix,
}

impl Block {
    fn read(from: &Source<'_>, name: &str) -> Result<Self, Complaint> {
        Ok(Self {
            attention_norm: from.floats(&format!("{name}.attention_norm.gain"))?,
            qkv: from.matrix(&format!("{name}.qkv"))?,
            out: from.matrix(&format!("{name}.out"))?,
            mlp_norm: from.floats(&format!("{name}.mlp_norm.gain"))?,
            up: from.matrix(&format!("{name}.up"))?,
            down: from.matrix(&format!("{name}.down"))?,
        })
    }
}

/// The weights of a stage; any number of continuations read them at once.
pub(crate) struct Weights {
    pub(super) processor: Processor,
    pub(super) columns: usize,
    pub(super) window: usize,
    pub(super) cardinality: usize,
    /// What the condition is where it is not known, if what it would be without it is computed as well.
    pub(super) unknown: Option<i64>,
    pub(super) candidates: usize,
    /// The tokens that are notes, and of how many codebooks they are tilted; empty where none are.
    pub(super) notes: Range<usize>,
    pub(super) tilted: usize,
    pub(super) context: usize,
    pub(super) head_dim: usize,
    pub(super) kv_heads: usize,
    pub(super) recipe: Recipe,
    pub(super) offsets: Vec<i64>,
    pub(super) embedding: Table,
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
    pub(super) temporal: Vec<Block>,
    pub(super) temporal_norm: Vec<f32>,
    pub(super) depth_in: Matrix,
    pub(super) depth_start: Vec<f32>,
    pub(super) depth_tables: Vec<Table>,
    pub(super) depth: Vec<Block>,
    pub(super) depth_norm: Vec<f32>,
    pub(super) heads: Vec<Matrix>,
    /// Caches that nobody needs at the moment. All instances share them: left to the allocator each worker's thread would keep some.
    pub(super) spare: Mutex<Vec<Cache>>,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({:?} on {:?})", self.recipe, self.processor)
    }
}

/// Heads that share keys; what `forward` is compiled for.
const SHARED: [usize; 4] = [1, 2, 4, 8];

impl Weights {
    /// Reads them from a graph's bytes; `None` if it does not say that it is of this form, `window` what conditions it, `unknown`
    /// of that.
    ///
    /// # Errors
    /// (found, expected) of a graph that says so and is not.
    pub(crate) fn read(bytes: &[u8], spec: &Spec, window: usize, unknown: usize) -> Result<Option<Self>, Complaint> {
        let Some((recipe, from)) = Source::of::<Recipe>(bytes)? else { return Ok(None) };
        let guided = recipe.guidance != 1.0 && window > 0;
        let kv_heads = spec.heads / if guided { 2 } else { 1 };
        let layers = |kind: &str, count: usize| -> Result<Vec<Block>, Complaint> {
            (0..count).map(|i| Block::read(&from, &format!("{kind}.{i}"))).collect()
        };
        let temporal = layers("temporal", spec.layers)?;
        let depth_layers = (0..).take_while(|i| from.0.contains_key(format!("depth.{i}.qkv_Q8").as_str())).count();
        let depth = layers("depth", depth_layers)?;
        let depth_norm = from.floats("depth.norm.gain")?;
        let weights = Self {
            processor: Processor::found(),
            columns: spec.codebooks,
            window,
            cardinality: spec.cardinality,
            unknown: guided.then_some(unknown as i64),
            candidates: spec.candidates,
            notes: spec.tilted().map_or(0..0, Density::tokens),
            tilted: spec.tilted().map_or(0, |notes| notes.codebooks),
            context: spec.context,
            head_dim: spec.head_dim,
            kv_heads,
            recipe,
            offsets: from.integers("embedding.offset")?,
            embedding: from.table("embedding.table")?,
            cos: from.floats("cos")?,
            sin: from.floats("sin")?,
            temporal,
            temporal_norm: from.floats("temporal.norm.gain")?,
            depth_in: from.matrix("depth_in")?,
            depth_start: from.floats("depth.start")?,
            depth_tables: (1..spec.codebooks)
                .map(|i| from.table(&format!("depth.table.{i}")))
                .collect::<Result<_, _>>()?,
            depth,
            depth_norm,
            heads: (0..spec.codebooks).map(|i| from.matrix(&format!("head.{i}"))).collect::<Result<_, _>>()?,
            spare: Mutex::default(),
        };
        if weights.kv_heads * weights.halves() != spec.heads {
            return Err((
                format!("caches of {} heads", spec.heads),
                "two for each, with the condition and without".into(),
            ));
        }
        weights.fit()?;
        Ok(Some(weights))
    }

    /// Whether all sizes agree: nothing that is computed later may find otherwise.
    fn fit(&self) -> Result<(), Complaint> {
        let width = self.temporal_norm.len();
        let inner = self.depth_norm.len();
        let blocks = |blocks: &[Block], width: usize, heads: usize, kv_heads: usize, head_dim: usize| {
            blocks.iter().all(|b| {
                (b.attention_norm.len(), b.mlp_norm.len()) == (width, width)
                    && (b.qkv.inputs, b.qkv.outputs) == (width, (heads + 2 * kv_heads) * head_dim)
                    && (b.out.inputs, b.out.outputs) == (heads * head_dim, width)
                    && (b.up.inputs, b.down.outputs, b.down.inputs) == (width, width, b.up.outputs)
            })
        };
        let Recipe { heads, depth_heads, rests, .. } = self.recipe;
        let columns = self.columns + self.window;
        let rows = self.embedding.rows() as i64;
        let shared = heads.checked_div(self.kv_heads).unwrap_or(0);
        let checks = [
            ("the numbers of heads", self.kv_heads > 0 && shared * self.kv_heads == heads && SHARED.contains(&shared)),
            (
                "the size of heads",
                self.head_dim.is_multiple_of(WIDE) && depth_heads > 0 && inner.is_multiple_of(depth_heads),
            ),
            ("the length of the context", self.context.is_multiple_of(WIDE) && self.context > 1),
            ("the blocks over time", blocks(&self.temporal, width, heads, self.kv_heads, self.head_dim)),
            (
                "the blocks over codebooks",
                blocks(&self.depth, inner, depth_heads, depth_heads, inner / depth_heads.max(1)),
            ),
            ("the table of turns", [&self.cos, &self.sin].iter().all(|t| t.len() == self.context * self.head_dim / 2)),
            (
                "the embedding's offsets",
                self.offsets.len() == columns && self.offsets.iter().all(|o| (0..rows).contains(o)),
            ),
            ("the embedding's width", self.embedding.width == width && width.is_multiple_of(WIDE)),
            ("depth_in", (self.depth_in.inputs, self.depth_in.outputs) == (width, inner)),
            ("depth.start", self.depth_start.len() == inner && inner.is_multiple_of(WIDE)),
            ("depth.table", self.depth_tables.iter().all(|t| (t.width, t.rows()) == (inner, self.cardinality))),
            ("head", self.heads.iter().all(|h| (h.inputs, h.outputs) == (inner, self.cardinality))),
            (
                "the number of candidates",
                self.candidates == self.recipe.candidates && (2..=self.cardinality).contains(&self.candidates),
            ),
            ("the notes", self.notes.end <= self.cardinality && self.tilted <= self.columns),
            ("the rests", rests.is_none_or(|(from, to)| 0 < from && from < to && to <= self.cardinality)),
        ];
        match checks.iter().find(|(_, good)| !good) {
            Some((what, _)) => Err((format!("sizes that do not agree: {what}"), "one transformer".into())),
            None => Ok(()),
        }
    }

    /// With the condition, and without if it is guided.
    pub(super) fn halves(&self) -> usize {
        1 + usize::from(self.unknown.is_some())
    }

    pub(super) fn rests(&self) -> Option<Range<usize>> {
        self.recipe.rests.map(|(from, to)| from..to)
    }
}
