//! Audio to tokens and tokens to audio, streaming. Worker thread.

use crate::error::Result;
use crate::graph::{Graph, StateStream, output, tensor};
use crate::pack::manifest::{self, AnalysisSpec, Channel, SynthesisSpec};
use crate::signals::Signals;
use crate::spectral::{Analysis, Synthesis};
use crate::take::Tokens;
use ort::value::TensorElementType::{Float32, Int64};
use std::sync::Arc;

/// Frames per run of a tokenizer: bounds the memory of a long prompt.
const CHUNK: usize = 128;

/// Audio to tokens: the semantic tokenizer or the codec's encoder, whichever graph it is given.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    stream: StateStream,
    analyses: Vec<Input>,
    output: &'static str,
    codebooks: usize,
    /// Samples not yet forgotten; the first is sample `origin`.
    audio: Signals,
    origin: usize,
    frames: usize,
}

/// One of the graph's inputs.
#[derive(Debug)]
struct Input {
    name: String,
    analysis: Analysis,
    bins: usize,
    channel: Channel,
}

impl Tokenizer {
    /// `output` is `tokens` or `codes`, with `codebooks` ids per frame.
    pub(crate) fn new(
        graph: Arc<Graph>,
        specs: &[AnalysisSpec],
        hop: usize,
        output: &'static str,
        codebooks: usize,
    ) -> Result<Self> {
        let input = |(i, spec): (usize, &AnalysisSpec)| Input {
            name: format!("spectrum_{i}"),
            analysis: Analysis::new(*spec, hop),
            bins: spec.bins,
            channel: spec.channel,
        };
        let analyses = specs.iter().enumerate().map(input).collect();
        Ok(Self {
            stream: StateStream::new(graph)?,
            analyses,
            output,
            codebooks,
            audio: Signals::default(),
            origin: 0,
            frames: 0,
        })
    }

    /// Checks that the graph is what the manifest promises.
    pub(crate) fn check(graph: &Graph, specs: &[AnalysisSpec], output: &str, codebooks: Option<usize>) -> Result<()> {
        for (i, spec) in specs.iter().enumerate() {
            graph.expect_input(&format!("spectrum_{i}"), Float32, &[Some(1), None, Some(spec.bins), Some(2)])?;
        }
        match codebooks {
            Some(q) => graph.expect_output(output, Int64, &[Some(1), None, Some(q)])?,
            None => graph.expect_output(output, Int64, &[Some(1), None])?,
        }
        graph.states().map(|_| ())
    }

    /// Takes the next samples (the pack's rate and level); appends the tokens of every frame that is now known.
    pub(crate) fn push(&mut self, samples: &Signals, tokens: &mut Tokens) -> Result<()> {
        self.audio.mid.extend_from_slice(&samples.mid);
        self.audio.side.extend_from_slice(&samples.side);
        let end = self.origin + self.audio.len();
        let known = self.analyses.iter().map(|i| i.analysis.frames_known(end)).min().unwrap_or(0);
        while self.frames < known {
            let n = (known - self.frames).min(CHUNK);
            let mut inputs = Vec::with_capacity(self.analyses.len());
            let graph = Arc::clone(self.stream.graph());
            for input in &mut self.analyses {
                let mut spectrum = Vec::with_capacity(n * input.bins * 2);
                for t in self.frames..self.frames + n {
                    input.analysis.frame(self.audio.of(input.channel), self.origin, t, &mut spectrum);
                }
                inputs.push((input.name.as_str(), tensor(&graph, &[1, n, input.bins, 2], spectrum)?));
            }
            let (name, codebooks) = (self.output, self.codebooks);
            self.stream.run(inputs, |graph, outputs| {
                let ids: &[i64] = output(graph, outputs, name)?;
                if ids.len() != n * codebooks {
                    return Err(graph.failed(format!("{} ids for {n} frames", ids.len())));
                }
                tokens.ids.extend(ids.iter().map(|id| (*id).clamp(0, i64::from(u16::MAX)) as u16));
                Ok(())
            })?;
            self.frames += n;
        }
        let needed = self.analyses.iter().map(|i| i.analysis.first_sample(self.frames)).min().unwrap_or(end);
        let forget = needed.saturating_sub(self.origin).min(self.audio.len());
        self.audio.mid.drain(..forget);
        let side = forget.min(self.audio.side.len());
        self.audio.side.drain(..side);
        self.origin += forget;
        Ok(())
    }
}

/// Codes to audio.
#[derive(Debug)]
pub(crate) struct Decoder {
    stream: StateStream,
    /// Frames of past that the graph's output depends on.
    memory: usize,
    codebooks: usize,
    syntheses: Vec<Head>,
    /// Sum of the heads' output that is not given out yet; the first is sample `position`.
    mix: Signals,
    position: isize,
    stereo: bool,
}

#[derive(Debug, Clone)]
struct Head {
    output: String,
    synthesis: Synthesis,
    channel: Channel,
    bins: usize,
    window: usize,
    per_frame: usize,
}

impl Decoder {
    /// Starts at token frame `frame`.
    pub(crate) fn new(
        graph: Arc<Graph>,
        described: &manifest::Decoder,
        hop: usize,
        codebooks: usize,
        frame: usize,
    ) -> Result<Self> {
        let specs = &described.synthesis;
        let head = |(i, spec): (usize, &SynthesisSpec)| Head {
            output: format!("spectrum_{i}"),
            synthesis: Synthesis::new(*spec, hop, frame),
            channel: spec.channel,
            bins: spec.bins(),
            window: spec.n_fft,
            per_frame: hop / spec.hop,
        };
        let syntheses: Vec<Head> = specs.iter().enumerate().map(head).collect();
        let position = syntheses.iter().map(|h| h.synthesis.position()).min().unwrap_or(0);
        let stereo = specs.iter().any(|s| s.channel == Channel::Side);
        let stream = StateStream::new(graph)?;
        let memory = described.memory.unwrap_or_else(|| stream.memory());
        Ok(Self { stream, memory, codebooks, syntheses, mix: Signals::default(), position, stereo })
    }

    /// Another that has been given the same.
    pub(crate) fn another(&self) -> Result<Self> {
        let Self { memory, codebooks, syntheses, mix, position, stereo, .. } = self;
        Ok(Self {
            stream: self.stream.another()?,
            memory: *memory,
            codebooks: *codebooks,
            syntheses: syntheses.clone(),
            mix: mix.clone(),
            position: *position,
            stereo: *stereo,
        })
    }

    /// Checks that the graph is what the manifest promises.
    pub(crate) fn check(graph: &Graph, specs: &[SynthesisSpec], codebooks: usize) -> Result<()> {
        graph.expect_input("codes", Int64, &[Some(1), None, Some(codebooks)])?;
        for (i, spec) in specs.iter().enumerate() {
            graph.expect_output(&format!("spectrum_{i}"), Float32, &[Some(1), None, Some(spec.bins()), Some(2)])?;
        }
        graph.states().map(|_| ())
    }

    /// Frames of past that matter to what is decoded next, its windows included.
    pub(crate) fn memory(&self, hop: usize) -> usize {
        let window = self.syntheses.iter().map(|h| h.window.div_ceil(hop)).max().unwrap_or(0);
        self.memory + window
    }

    /// The sample (prompt time) at which the next output starts.
    pub(crate) fn position(&self) -> isize {
        self.position
    }

    /// Decodes whole frames of codes and appends the samples that are final with them.
    pub(crate) fn push(&mut self, codes: &[u16], out: &mut Signals) -> Result<()> {
        let n = codes.len() / self.codebooks;
        if n == 0 {
            return Ok(());
        }
        let graph = Arc::clone(self.stream.graph());
        let ids = tensor(&graph, &[1, n, self.codebooks], codes.iter().map(|c| i64::from(*c)).collect())?;
        let (heads, mix, position) = (&mut self.syntheses, &mut self.mix, self.position);
        self.stream.run(vec![("codes", ids)], |graph, outputs| {
            for head in heads.iter_mut() {
                let spectrum: &[f32] = output(graph, outputs, &head.output)?;
                let row = head.bins * 2;
                if spectrum.len() != n * head.per_frame * row {
                    return Err(graph.failed(format!("{}: {} values for {n} frames", head.output, spectrum.len())));
                }
                if !spectrum.iter().all(|x| x.is_finite()) {
                    return Err(graph.failed("NaN or infinity in its output"));
                }
                let start = (head.synthesis.position() - position) as usize;
                let mut audio = Vec::new();
                for bins in spectrum.chunks_exact(row) {
                    head.synthesis.push(bins, &mut audio);
                }
                let mix = mix.of_mut(head.channel);
                mix.resize(mix.len().max(start + audio.len()), 0.0);
                for (m, a) in mix[start..].iter_mut().zip(audio) {
                    *m += a;
                }
            }
            Ok(())
        })?;
        // Final is what every head has reached.
        let reached = self.syntheses.iter().map(|h| h.synthesis.position()).min().unwrap_or(position);
        let ready = (reached - self.position).max(0) as usize;
        out.mid.extend(self.mix.mid.drain(..ready));
        if self.stereo {
            out.side.extend(self.mix.side.drain(..ready));
        }
        self.position = reached;
        Ok(())
    }
}
