//! Audio to tokens and tokens to audio, streaming. Worker thread.

use crate::error::{Error, Result};
use crate::graph::{Graph, StateStream, output, tensor};
use crate::native::{DecoderWeights, Decoding};
use crate::pack::Pack;
use crate::pack::manifest::{self, AnalysisSpec, Channel, SynthesisSpec};
use crate::signals::Signals;
use crate::spectral::{Analysis, Synthesis};
use crate::take::Tokens;
use ort::value::TensorElementType::{Float32, Int64};
use std::sync::Arc;

/// Frames per run of a tokenizer and of the decoder: bounds the memory of a long prompt. What a thread needs at its worst stays
/// with it (glibc gives the top of its arena back to nobody), in every instance.
const CHUNK: usize = 64;
const DECODED: usize = 32;

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

/// What runs the codec's decoder.
#[derive(Debug, Clone)]
pub(crate) enum DecoderModel {
    /// A session of the runtime.
    Session(Arc<Graph>),
    /// Read from the graph's file and run here; the names of the pack and of that file.
    Native(Arc<DecoderWeights>, (String, String)),
}

impl DecoderModel {
    /// One that needs no session, if the graph's file says that it is of a form that Segue knows; for a processor.
    ///
    /// # Errors
    /// [`Error::PackInvalid`] for a graph that says so and is not.
    pub(crate) fn native(pack: &Pack) -> Result<Option<Self>> {
        let name = &pack.manifest.codec.decoder.graph;
        let bytes = pack.read_graph(name)?;
        let label = (pack.label(), name.clone());
        let weights = DecoderWeights::read(&bytes, &pack.manifest).map_err(|(found, expected)| {
            let (pack, file) = label.clone();
            Error::PackInvalid { pack, file, found, expected }
        })?;
        Ok(weights.map(|weights| Self::Native(Arc::new(weights), label)))
    }

    /// Its session, if that is what it is.
    pub(crate) fn session(&self) -> Option<&Arc<Graph>> {
        match self {
            Self::Session(graph) => Some(graph),
            Self::Native(..) => None,
        }
    }

    fn failed(&self, reason: String) -> Error {
        match self {
            Self::Session(graph) => graph.failed(reason),
            Self::Native(_, (pack, graph)) => Error::Inference { pack: pack.clone(), graph: graph.clone(), reason },
        }
    }
}

/// A stream of codes, with what has been before.
#[derive(Debug)]
enum Stream {
    Session(StateStream),
    Native(Box<Decoding>),
}

/// Codes to audio.
#[derive(Debug)]
pub(crate) struct Decoder {
    model: DecoderModel,
    stream: Stream,
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

impl Head {
    /// Adds what the spectra of `n` frames sound like to `mix`, whose first sample is sample `position`.
    fn take(
        &mut self,
        spectrum: &[f32],
        n: usize,
        position: isize,
        mix: &mut Signals,
    ) -> std::result::Result<(), String> {
        let row = self.bins * 2;
        if spectrum.len() != n * self.per_frame * row {
            return Err(format!("{}: {} values for {n} frames", self.output, spectrum.len()));
        }
        if !spectrum.iter().all(|x| x.is_finite()) {
            return Err("NaN or infinity in its output".into());
        }
        let start = (self.synthesis.position() - position) as usize;
        let mut audio = Vec::new();
        for bins in spectrum.chunks_exact(row) {
            self.synthesis.push(bins, &mut audio);
        }
        let mix = mix.of_mut(self.channel);
        mix.resize(mix.len().max(start + audio.len()), 0.0);
        for (m, a) in mix[start..].iter_mut().zip(audio) {
            *m += a;
        }
        Ok(())
    }
}

impl Decoder {
    /// Starts at token frame `frame`.
    pub(crate) fn new(
        model: DecoderModel,
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
        let (stream, remembered) = match &model {
            DecoderModel::Session(graph) => {
                let stream = StateStream::new(Arc::clone(graph))?;
                let memory = stream.memory();
                (Stream::Session(stream), memory)
            }
            DecoderModel::Native(weights, _) => {
                let stream = Decoding::new(Arc::clone(weights));
                let memory = stream.memory();
                (Stream::Native(Box::new(stream)), memory)
            }
        };
        let memory = described.memory.unwrap_or(remembered);
        Ok(Self { model, stream, memory, codebooks, syntheses, mix: Signals::default(), position, stereo })
    }

    /// Another that has been given the same.
    pub(crate) fn another(&self) -> Result<Self> {
        let Self { memory, codebooks, syntheses, mix, position, stereo, .. } = self;
        let stream = match &self.stream {
            Stream::Session(stream) => Stream::Session(stream.another()?),
            Stream::Native(stream) => Stream::Native(stream.clone()),
        };
        Ok(Self {
            model: self.model.clone(),
            stream,
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
        let whole = codes.len() / self.codebooks * self.codebooks;
        codes[..whole].chunks(DECODED * self.codebooks).try_for_each(|codes| self.push_chunk(codes, out))
    }

    fn push_chunk(&mut self, codes: &[u16], out: &mut Signals) -> Result<()> {
        let n = codes.len() / self.codebooks;
        let Self { model, stream, syntheses: heads, mix, position, .. } = self;
        match stream {
            Stream::Session(stream) => {
                let graph = Arc::clone(stream.graph());
                let ids = tensor(&graph, &[1, n, self.codebooks], codes.iter().map(|c| i64::from(*c)).collect())?;
                stream.run(vec![("codes", ids)], |graph, outputs| {
                    for head in heads.iter_mut() {
                        let spectrum: &[f32] = output(graph, outputs, &head.output)?;
                        head.take(spectrum, n, *position, mix).map_err(|reason| graph.failed(reason))?;
                    }
                    Ok(())
                })?;
            }
            Stream::Native(stream) => {
                let [mid, side] = stream.run(codes);
                for head in heads.iter_mut() {
                    let spectrum = if head.channel == Channel::Mid { mid } else { side };
                    head.take(spectrum, n, *position, mix).map_err(|reason| model.failed(reason))?;
                }
            }
        }
        // Final is what every head has reached.
        let reached = self.syntheses.iter().map(|h| h.synthesis.position()).min().unwrap_or(self.position);
        let ready = (reached - self.position).max(0) as usize;
        out.mid.extend(self.mix.mid.drain(..ready));
        if self.stereo {
            out.side.extend(self.mix.side.drain(..ready));
        }
        self.position = reached;
        Ok(())
    }
}
