//! The autoregressive stages on a processor, without the runtime: a step of theirs is a few hundred operations on a few
//! hundred numbers each, and what the runtime needs to go from one to the next is more than what they take.
//!
//! The graph's file stays what a stage is. If it says that it is of the form this knows (`segue.stage` among its metadata:
//! docs/pack.md), the weights are read from it and the same is computed: `matrix` multiplies as `MatMulNBits` does, `forward`
//! is the transformer over time and the one over codebooks, `draw` the sampling. Any other graph, and any other device, is the
//! runtime's.

mod draw;
mod forward;
mod lanes;
mod maths;
mod matrix;
#[cfg(test)]
mod tests;

pub(super) use lanes::Lanes;

use crate::pack::manifest::Stage as Spec;
use crate::pack::onnx::{self, Constant, Constants};
use matrix::Matrix;
use std::ops::Range;

/// What the metadata says beyond the sizes of the tensors; written by `training/segue_training/stage_graph.py`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    /// Heads of questions, over time and over codebooks.
    heads: usize,
    depth_heads: usize,
    /// Of each draw.
    candidates: usize,
    /// How far beyond what is likely without the condition; 1 is no guidance.
    guidance: f32,
    /// What is added to the log odds of a note.
    eagerness: f32,
    /// Of the first codebook the tokens that are rests, if any: first, and behind the last.
    rests: Option<(usize, usize)>,
    epsilon: f32,
}

/// Under which key.
const RECIPE: &str = "segue.stage";

/// Behind the attention of one layer, and before it.
#[derive(Debug)]
struct Block {
    attention_norm: Vec<f32>,
    qkv: Matrix,
    out: Matrix,
    mlp_norm: Vec<f32>,
    up: Matrix,
    down: Matrix,
}

/// A table of half precision, [rows, width].
#[derive(Debug)]
struct Table {
    width: usize,
    halves: Vec<u16>,
}

impl Table {
    fn row(&self, row: usize) -> &[u16] {
        &self.halves[row * self.width..(row + 1) * self.width]
    }

    fn rows(&self) -> usize {
        self.halves.len() / self.width
    }
}

/// The weights of a stage; any number of continuations read them at once.
pub(crate) struct Weights {
    processor: Processor,
    columns: usize,
    window: usize,
    cardinality: usize,
    /// What the condition is where it is not known, if what it would be without it is computed as well.
    unknown: Option<i64>,
    candidates: usize,
    context: usize,
    head_dim: usize,
    kv_heads: usize,
    recipe: Recipe,
    offsets: Vec<i64>,
    embedding: Table,
    cos: Vec<f32>,
    sin: Vec<f32>,
    temporal: Vec<Block>,
    temporal_norm: Vec<f32>,
    depth_in: Matrix,
    depth_start: Vec<f32>,
    depth_tables: Vec<Table>,
    depth: Vec<Block>,
    depth_norm: Vec<f32>,
    heads: Vec<Matrix>,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({:?} on {:?})", self.recipe, self.processor)
    }
}

/// Heads that share keys; what `forward` is compiled for.
const SHARED: [usize; 4] = [1, 2, 4, 8];
/// Values that are computed together.
const WIDE: usize = 16;

impl Weights {
    /// Reads them from a graph's bytes; `None` if it does not say that it is of this form, `window` what conditions it, `unknown`
    /// of that.
    ///
    /// # Errors
    /// (found, expected) of a graph that says so and is not.
    pub(crate) fn read(
        bytes: &[u8],
        spec: &Spec,
        window: usize,
        unknown: usize,
    ) -> Result<Option<Self>, (String, String)> {
        let Some(text) = onnx::metadata(bytes, RECIPE)? else { return Ok(None) };
        let recipe: Recipe = serde_json::from_str(text)
            .map_err(|e| (format!("metadata {RECIPE}: {e}"), "what docs/pack.md says of it".to_owned()))?;
        let from = Source(onnx::constants(bytes)?);
        let guided = recipe.guidance != 1.0 && window > 0;
        let kv_heads = spec.heads / if guided { 2 } else { 1 };
        let layers = |kind: &str, count: usize| -> Result<Vec<Block>, (String, String)> {
            (0..count).map(|i| from.block(&format!("{kind}.{i}"))).collect()
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
    fn fit(&self) -> Result<(), (String, String)> {
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
            ("the rests", rests.is_none_or(|(from, to)| 0 < from && from < to && to <= self.cardinality)),
        ];
        match checks.iter().find(|(_, good)| !good) {
            Some((what, _)) => Err((format!("sizes that do not agree: {what}"), "one transformer".into())),
            None => Ok(()),
        }
    }

    /// With the condition, and without if it is guided.
    fn halves(&self) -> usize {
        1 + usize::from(self.unknown.is_some())
    }

    fn rests(&self) -> Option<Range<usize>> {
        self.recipe.rests.map(|(from, to)| from..to)
    }
}

/// A graph's constants, by the names that the exporter gives.
struct Source<'a>(Constants<'a>);

impl Source<'_> {
    fn get(&self, name: &str) -> Result<&Constant<'_>, (String, String)> {
        self.0.get(name).ok_or_else(|| (format!("no constant {name}"), format!("it, as {RECIPE} promises")))
    }

    fn wrong(name: &str, expected: &str) -> (String, String) {
        (format!("constant {name}"), expected.to_owned())
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, (String, String)> {
        self.get(name)?.floats().ok_or_else(|| Self::wrong(name, "numbers of 32 bits"))
    }

    fn integers(&self, name: &str) -> Result<Vec<i64>, (String, String)> {
        self.get(name)?.integers().ok_or_else(|| Self::wrong(name, "integers of 64 bits"))
    }

    fn table(&self, name: &str) -> Result<Table, (String, String)> {
        let name = format!("{name}_half");
        let found = self.get(&name)?;
        match (found.dims.as_slice(), found.halves()) {
            ([_, width], Some(halves)) if *width > 0 => Ok(Table { width: *width, halves }),
            _ => Err(Self::wrong(&name, "a table of half precision")),
        }
    }

    fn matrix(&self, name: &str) -> Result<Matrix, (String, String)> {
        let found = self.get(&format!("{name}_Q8"))?;
        let scales = self.floats(&format!("{name}_scales"))?;
        let matrix = match found.dims.as_slice() {
            [outputs, blocks, matrix::BLOCK] => {
                found.bytes().and_then(|bytes| Matrix::new(*outputs, blocks * matrix::BLOCK, bytes, &scales))
            }
            _ => None,
        };
        matrix.ok_or_else(|| Self::wrong(name, "a matrix of 8 bits in blocks of 32, its outputs a multiple of 16"))
    }

    fn block(&self, name: &str) -> Result<Block, (String, String)> {
        Ok(Block {
            attention_norm: self.floats(&format!("{name}.attention_norm.gain"))?,
            qkv: self.matrix(&format!("{name}.qkv"))?,
            out: self.matrix(&format!("{name}.out"))?,
            mlp_norm: self.floats(&format!("{name}.mlp_norm.gain"))?,
            up: self.matrix(&format!("{name}.up"))?,
            down: self.matrix(&format!("{name}.down"))?,
        })
    }
}

/// What the processor here can do, found when weights are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processor {
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Any.
    Portable,
}

impl Processor {
    fn found() -> Self {
        Self::all()[0]
    }

    /// Those that run here, the fastest first.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let wide = [
                is_x86_feature_detected!("avx512f"),
                is_x86_feature_detected!("avx512bw"),
                is_x86_feature_detected!("avx512dq"),
                is_x86_feature_detected!("avx512vl"),
                is_x86_feature_detected!("avx512vnni"),
            ];
            let narrow = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if narrow && wide.iter().all(|has| *has) {
                all.push(Self::Avx512);
            }
            if narrow {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Portable);
        all
    }
}
