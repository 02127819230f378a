//! The codec's decoder: codes to levels by a causal network, levels to spectra by `phases`. Twin of
//! `tokenizer_graphs.decoder_graph`.

use super::dense::Dense;
use super::forward::{add, sized};
use super::maths::{gelu, layer_norm};
use super::matrix::Isa;
use super::phases::{Phases, Rules, State};
use super::{Complaint, Processor, Source, Work};
use crate::pack::manifest::Manifest;
use std::sync::Arc;

/// What the metadata says beyond the sizes of the tensors.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    sub_frames: usize,
    epsilon: f32,
    phases: Rules,
}

/// A scale and a shift of what has been brought to mean 0 and variance 1.
#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn read(from: &Source<'_>, name: &str) -> Result<Self, Complaint> {
        Ok(Self { weight: from.numbers(&format!("{name}.weight"))?, bias: from.numbers(&format!("{name}.bias"))? })
    }
}

/// A convolution over time of each channel by itself, then a network over each frame.
#[derive(Debug)]
struct Block {
    /// [kernel, width], the oldest frame's first.
    taps: Vec<f32>,
    bias: Vec<f32>,
    norm: Norm,
    expand: Dense,
    project: Dense,
}

impl Block {
    fn read(from: &Source<'_>, name: &str) -> Result<Self, Complaint> {
        let weight = format!("{name}.depthwise.weight");
        let (dims, values) = from.shaped(&weight)?;
        let [width, 1, kernel] = dims[..] else { return Err(Source::wrong(&weight, "[channels, 1, kernel]")) };
        let taps = (0..kernel).flat_map(|tap| (0..width).map(move |channel| channel * kernel + tap));
        Ok(Self {
            taps: taps.map(|at| values[at]).collect(),
            bias: from.numbers(&format!("{name}.depthwise.bias"))?,
            norm: Norm::read(from, &format!("{name}.norm"))?,
            expand: Dense::read(from, &format!("{name}.expand"), true)?,
            project: Dense::read(from, &format!("{name}.project"), true)?,
        })
    }
}

/// A layer, and beside it one with a hidden one.
#[derive(Debug)]
struct Widened {
    straight: Dense,
    into: Dense,
    out: Dense,
}

impl Widened {
    fn read(from: &Source<'_>, name: &str) -> Result<Self, Complaint> {
        Ok(Self {
            straight: Dense::read(from, &format!("{name}.straight"), true)?,
            into: Dense::read(from, &format!("{name}.into"), true)?,
            out: Dense::read(from, &format!("{name}.out"), false)?,
        })
    }

    #[inline(always)]
    fn run<I: Isa>(&self, x: &[f32], hidden: &mut Vec<f32>, y: &mut Vec<f32>) {
        self.straight.multiply::<I>(x, y, false);
        self.into.multiply::<I>(x, hidden, false);
        gelu::<I>(hidden);
        self.out.multiply::<I>(hidden, y, true);
    }
}

/// The decoder's weights; any number of continuations read them at once.
pub(crate) struct DecoderWeights {
    pub(super) processor: Processor,
    books: usize,
    rows: usize,
    latent: usize,
    recipe: Recipe,
    /// [books · (codes + 1), latent]; each book's last says that it is absent.
    codebooks: Vec<f32>,
    input: Dense,
    blocks: Vec<Block>,
    norm: Norm,
    mid: Widened,
    side: Widened,
    coherence: Dense,
    phases: Phases,
}

impl std::fmt::Debug for DecoderWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DecoderWeights({:?} on {:?})", self.recipe, self.processor)
    }
}

impl DecoderWeights {
    /// Reads them from a graph's bytes; `None` if it does not say that it is of this form.
    ///
    /// # Errors
    /// (found, expected) of a graph that says so and is not.
    pub(crate) fn read(bytes: &[u8], manifest: &Manifest) -> Result<Option<Self>, Complaint> {
        let Some((recipe, from)) = Source::of::<Recipe>(bytes)? else { return Ok(None) };
        let count = (0..).take_while(|i| from.0.contains_key(&format!("block_{i}.depthwise.bias"))).count();
        let (dims, codebooks) = from.shaped("codebooks")?;
        let weights = Self {
            processor: Processor::found(),
            books: manifest.codec.codebooks,
            rows: manifest.codec.cardinality + 1,
            latent: dims.last().copied().unwrap_or(0),
            codebooks,
            input: Dense::read(&from, "input", true)?,
            blocks: (0..count).map(|i| Block::read(&from, &format!("block_{i}"))).collect::<Result<_, _>>()?,
            norm: Norm::read(&from, "norm")?,
            mid: Widened::read(&from, "mid")?,
            side: Widened::read(&from, "side")?,
            coherence: Dense::read(&from, "coherence", true)?,
            phases: Phases::read(&from, recipe.phases.clone())?,
            recipe,
        };
        weights.fit(manifest)?;
        Ok(Some(weights))
    }

    /// Whether all sizes agree: nothing that is computed later may find otherwise.
    fn fit(&self, manifest: &Manifest) -> Result<(), Complaint> {
        let width = self.input.outputs;
        let norm = |norm: &Norm| (norm.weight.len(), norm.bias.len()) == (width, width);
        let sizes = |dense: &Dense| (dense.inputs, dense.outputs);
        let block = |b: &Block| {
            let kernel = b.taps.len() / width.max(1);
            let network = (b.expand.inputs, b.project.outputs, b.project.inputs) == (width, width, b.expand.outputs);
            kernel > 0 && b.taps.len() == kernel * width && b.bias.len() == width && norm(&b.norm) && network
        };
        let levels = self.recipe.sub_frames * self.phases.bins;
        let widened = |w: &Widened| {
            let hidden = w.into.outputs;
            sizes(&w.straight) == (width, levels)
                && sizes(&w.into) == (width, hidden)
                && sizes(&w.out) == (hidden, levels)
        };
        let heads = &manifest.codec.decoder.synthesis;
        let synthesis = |head: &crate::pack::manifest::SynthesisSpec| {
            head.bins() == self.phases.bins && head.hop * self.recipe.sub_frames == manifest.codec.hop
        };
        let checks = [
            ("the codebooks", self.latent > 0 && self.codebooks.len() == self.books * self.rows * self.latent),
            ("the input", self.input.inputs == self.latent && width > 0),
            ("the blocks", self.blocks.iter().all(block) && norm(&self.norm)),
            ("the levels", widened(&self.mid) && widened(&self.side)),
            ("the coherence", sizes(&self.coherence) == (width, self.phases.bands)),
            ("the synthesis, of mid and of side", heads.len() == 2 && heads.iter().all(synthesis)),
        ];
        match checks.iter().find(|(_, good)| !good) {
            Some((what, _)) => Err((format!("sizes that do not agree: {what}"), "one decoder".into())),
            None => Ok(()),
        }
    }

    fn past(&self, block: &Block) -> usize {
        block.taps.len() / self.input.outputs - 1
    }
}

/// The decoder at work on one stream.
#[derive(Debug, Clone)]
pub(crate) struct Decoding {
    weights: Arc<DecoderWeights>,
    /// Of each block the inputs before the next frame, [frames, width].
    before: Vec<Vec<f32>>,
    state: State,
    x: Vec<f32>,
    y: Vec<f32>,
    hidden: Vec<f32>,
    levels: [Vec<f32>; 2],
    coherence: Vec<f32>,
    spectra: [Vec<f32>; 2],
}

impl Work for (&mut Decoding, &[u16]) {
    #[inline(always)]
    fn on<I: Isa>(self) {
        self.0.run_on::<I>(self.1);
    }
}

impl Decoding {
    /// At the start of a stream: nothing has been before.
    pub(crate) fn new(weights: Arc<DecoderWeights>) -> Self {
        let width = weights.input.outputs;
        Self {
            before: weights.blocks.iter().map(|block| vec![0.0; weights.past(block) * width]).collect(),
            state: State::new(&weights.phases),
            x: Vec::new(),
            y: Vec::new(),
            hidden: Vec::new(),
            levels: Default::default(),
            coherence: Vec::new(),
            spectra: Default::default(),
            weights,
        }
    }

    /// Frames of past that its layers remember, and its phases as they begin; what those carry on is the manifest's to tell.
    pub(crate) fn memory(&self) -> usize {
        let layers: usize = self.weights.blocks.iter().map(|block| self.weights.past(block)).sum();
        // As many as the graph's states of levels, coherence and phases hold.
        layers + 6
    }

    /// The spectra of mid and side, [sub-frames, bins, 2] each, of the next frames of codes.
    pub(crate) fn run(&mut self, codes: &[u16]) -> [&[f32]; 2] {
        self.weights.processor.run((&mut *self, codes));
        let [mid, side] = &self.spectra;
        [mid, side]
    }

    #[inline(always)]
    fn run_on<I: Isa>(&mut self, codes: &[u16]) {
        let Self { weights, before, state, x, y, hidden, levels, coherence, spectra } = self;
        let (width, latent) = (weights.input.outputs, weights.latent);
        let frames = codes.len() / weights.books;
        let sums = sized(y, frames * latent);
        sums.fill(0.0);
        for (codes, sum) in codes.chunks_exact(weights.books).zip(sums.chunks_exact_mut(latent)) {
            for (book, code) in codes.iter().enumerate() {
                let row = book * weights.rows + usize::from(*code).min(weights.rows - 1);
                add(sum, &weights.codebooks[row * latent..][..latent]);
            }
        }
        weights.input.multiply::<I>(sums, x, false);
        for (block, before) in weights.blocks.iter().zip(before) {
            before.extend_from_slice(x);
            let mixed = sized(y, frames * width);
            for mixed in mixed.chunks_exact_mut(width) {
                mixed.copy_from_slice(&block.bias);
            }
            for (tap, by) in block.taps.chunks_exact(width).enumerate() {
                for (to, from) in mixed.chunks_exact_mut(width).zip(before[tap * width..].chunks_exact(width)) {
                    for ((to, from), by) in to.iter_mut().zip(from).zip(by) {
                        *to = I::fma(*from, *by, *to);
                    }
                }
            }
            before.drain(..frames * width);
            layer_norm::<I>(mixed, &block.norm.weight, &block.norm.bias, weights.recipe.epsilon);
            block.expand.multiply::<I>(mixed, hidden, false);
            gelu::<I>(hidden);
            block.project.multiply::<I>(hidden, x, true);
        }
        layer_norm::<I>(x, &weights.norm.weight, &weights.norm.bias, weights.recipe.epsilon);
        let [mid, side] = levels;
        weights.mid.run::<I>(x, hidden, mid);
        weights.side.run::<I>(x, hidden, side);
        weights.coherence.multiply::<I>(x, coherence, false);
        for value in coherence.iter_mut() {
            *value = value.tanh();
        }
        let phases = &weights.phases;
        let (bins, sub_frames) = (phases.bins, weights.recipe.sub_frames);
        let [of_mid, of_side] = spectra;
        let [of_mid, of_side] = [of_mid, of_side].map(|spectrum| sized(spectrum, frames * sub_frames * bins * 2));
        for sub_frame in 0..frames * sub_frames {
            let at = sub_frame * bins;
            let coherence = &coherence[sub_frame / sub_frames * phases.bands..][..phases.bands];
            let to = at * 2..(at + bins) * 2;
            let spectra = [&mut of_mid[to.clone()], &mut of_side[to]];
            phases.step::<I>(state, &mid[at..at + bins], &side[at..at + bins], coherence, spectra);
        }
    }
}
