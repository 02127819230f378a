//! `manifest.toml` as data. The format is specified in `docs/pack.md`.

use serde::Deserialize;

/// The format this engine reads.
pub const FORMAT: u32 = 1;

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: u32,
    /// Short name, `[a-z0-9-]+`.
    pub name: String,
    /// Version of the pack.
    pub version: String,
    /// Title for people.
    pub title: String,
    /// SPDX id of the weights' licence.
    pub license: String,
    /// Who is to be credited.
    #[serde(default)]
    pub credits: Vec<String>,
    /// What it was trained on.
    #[serde(default)]
    pub training_data: Vec<String>,
    /// Hashes of packs whose tokens mean the same: earlier versions with the same tokenizers. Their takes play with this one.
    #[serde(default)]
    pub same_tokens: Vec<String>,
    /// Audio at the codec.
    pub audio: Audio,
    /// Acoustic tokens.
    pub codec: Codec,
    /// Semantic tokens, if the pack has them.
    pub semantic: Option<Semantic>,
    /// Transformers in the order in which they run.
    #[serde(rename = "stage", default)]
    pub stages: Vec<Stage>,
    /// Every other file of the pack.
    #[serde(rename = "file", default)]
    pub files: Vec<File>,
}

/// `[audio]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Audio {
    /// Hz.
    pub sample_rate: u32,
    /// 1, or 2: coded as mid and side.
    pub channels: usize,
    /// RMS in dBFS to which a prompt is brought before encoding.
    pub level_dbfs: f32,
    /// How a continuation's loudness is held to its prompt's.
    pub loudness: Option<Loudness>,
}

/// `[audio.loudness]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Loudness {
    /// Over which the power of what is played is averaged.
    pub seconds: f32,
    /// Of what it has strayed, in dB, that is taken back.
    pub share: f32,
    /// Most dB that it is raised or lowered by.
    pub most: f32,
}

/// A channel as packs code it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// (L + R) / 2.
    #[default]
    Mid,
    /// (L − R) / 2; packs of two channels only.
    Side,
}

/// One analysis of audio into spectra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct AnalysisSpec {
    /// Window and transform length in samples.
    pub n_fft: usize,
    /// How many of the lowest bins the graph takes.
    pub bins: usize,
    /// Samples after the end of the frame's own hop that the window reaches.
    pub look_ahead: usize,
    /// What is analysed.
    #[serde(default)]
    pub channel: Channel,
}

/// One synthesis of audio from spectra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct SynthesisSpec {
    /// Window and transform length in samples.
    pub n_fft: usize,
    /// Samples between sub-frames; divides the codec's hop.
    pub hop: usize,
    /// Start of sub-frame 0's window in samples (usually negative).
    pub offset: isize,
    /// How many of the lowest bins the graph gives, the rest is zero; 0 stands for all. See [`Self::bins`].
    #[serde(default, rename = "bins")]
    pub given_bins: usize,
    /// What it adds to.
    #[serde(default)]
    pub channel: Channel,
}

impl SynthesisSpec {
    /// How many bins the graph gives.
    #[must_use]
    pub fn bins(&self) -> usize {
        if self.given_bins == 0 { self.n_fft / 2 + 1 } else { self.given_bins }
    }
}

/// `[codec]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Codec {
    /// Samples a frame owns.
    pub hop: usize,
    /// Codebooks per frame.
    pub codebooks: usize,
    /// Entries per codebook.
    pub cardinality: usize,
    /// Audio to codes.
    pub encoder: Encoder,
    /// Codes to audio.
    pub decoder: Decoder,
}

/// `[codec.encoder]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Encoder {
    /// File name.
    pub graph: String,
    /// One per graph input `spectrum_i`.
    pub analysis: Vec<AnalysisSpec>,
}

/// `[codec.decoder]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Decoder {
    /// File name.
    pub graph: String,
    /// One per graph output `spectrum_i`.
    pub synthesis: Vec<SynthesisSpec>,
    /// Frames of past that its output depends on, if its states do not tell.
    pub memory: Option<usize>,
}

/// `[semantic]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Semantic {
    /// Samples a frame owns.
    pub hop: usize,
    /// Codebooks per frame: more than one is a product code.
    #[serde(default = "one")]
    pub codebooks: usize,
    /// Number of clusters of each.
    pub cardinality: usize,
    /// File name.
    pub graph: String,
    /// One per graph input `spectrum_i`.
    pub analysis: Vec<AnalysisSpec>,
}

fn one() -> usize {
    1
}

/// A token stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamId {
    /// The semantic tokens.
    Semantic,
    /// The codec's tokens.
    Acoustic,
}

/// How a stage makes its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// Frame by frame, with a KV cache.
    Autoregressive,
    /// All frames of a chunk at once, from the codebooks below.
    Parallel,
    /// Token by token, codebook after codebook and frame after frame, as in the paper.
    Flattened,
}

/// What conditions a stage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Condition {
    /// The stream that is looked at.
    pub stream: StreamId,
    /// Frames of that stream relative to the one at the same time (autoregressive).
    #[serde(default)]
    pub offsets: Vec<isize>,
}

/// `[[stage]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Stage {
    /// `semantic`, `coarse`, `fine` or any other id.
    pub id: String,
    /// How it runs.
    pub kind: StageKind,
    /// File name.
    pub graph: String,
    /// The stream it writes.
    pub writes: StreamId,
    /// First codebook it writes.
    pub first_codebook: usize,
    /// How many codebooks it writes.
    pub codebooks: usize,
    /// Entries per codebook.
    pub cardinality: usize,
    /// What conditions it.
    pub condition: Option<Condition>,
    /// Frames of its own in one row (flattened).
    #[serde(default)]
    pub window: usize,
    /// Positions the KV cache holds (autoregressive, flattened).
    #[serde(default)]
    pub context: usize,
    /// Layers with a cache (the same).
    #[serde(default)]
    pub layers: usize,
    /// Key/value heads (the same).
    #[serde(default)]
    pub heads: usize,
    /// Width of a head (the same).
    #[serde(default)]
    pub head_dim: usize,
    /// Most likely tokens that are sampled from (top-k).
    pub candidates: usize,
    /// Default temperature.
    pub temperature: f32,
    /// Default nucleus.
    pub top_p: f32,
    /// How it keeps to its prompt's density (autoregressive, of the semantic stream, with rests).
    pub density: Option<Density>,
    /// How it keeps to its prompt's key (with a density).
    pub harmony: Option<Harmony>,
    /// How it keeps to its prompt's pulse (with a density).
    pub pulse: Option<Pulse>,
}

impl Stage {
    /// The notes whose logits are tilted from outside; none of a stage without `harmony`.
    #[must_use]
    pub fn tilted(&self) -> Option<&Density> {
        self.density.as_ref().filter(|_| self.harmony.is_some())
    }
    /// How many tokens these are.
    #[must_use]
    pub fn tilts(&self) -> usize {
        self.tilted().map_or(0, |density| density.tokens().len())
    }
}

impl Density {
    /// The tokens that are notes.
    #[must_use]
    pub fn tokens(&self) -> std::ops::Range<usize> {
        usize::from(self.notes[0])..usize::from(self.notes[1])
    }
}

/// `[stage.density]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Density {
    /// The first token that is a note, and the one behind the last.
    pub notes: [u16; 2],
    /// Codebooks that tell notes, the first ones.
    pub codebooks: usize,
    /// Seconds over which what is played is averaged.
    pub seconds: f32,
    /// How dense it is to be, of its prompt.
    pub share: f32,
    /// By how much the log odds of a rest are raised, for each unit of the logarithm of how much too dense it is.
    pub gain: f32,
    /// Most by which they are raised or lowered.
    pub most: f32,
}

/// `[stage.harmony]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Harmony {
    /// MIDI key of the first note token.
    pub lowest: u8,
    /// Tokens of each key, one after the other.
    pub levels: usize,
    /// By how much the logits of notes are lowered, for each unit of the logarithm of how much rarer their pitch class is.
    pub gain: f32,
    /// The share of the prompt's key in what is wanted; the rest is the prompt's own notes.
    pub profile: f32,
    /// Added to the share of each pitch class, so that what is not in the prompt is not forbidden.
    pub floor: f32,
}

/// `[stage.pulse]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pulse {
    /// By how much the log odds of a rest are raised off the beat and lowered on it, where everything has been on it.
    pub gain: f32,
    /// Seconds over which what has been struck tells where the beat is, and how sure.
    pub seconds: f32,
}

/// `[[file]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct File {
    /// Name within the pack's folder.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Samples per frame of a stream, `None` if the pack lacks it.
    #[must_use]
    pub fn hop(&self, stream: StreamId) -> Option<usize> {
        match stream {
            StreamId::Semantic => self.semantic.as_ref().map(|s| s.hop),
            StreamId::Acoustic => Some(self.codec.hop),
        }
    }
    /// Frames of the conditioning stream that stand before a flattened stage's row.
    #[must_use]
    pub fn prefix(&self, stage: &Stage) -> usize {
        let hops = stage.condition.as_ref().and_then(|c| Some((self.hop(stage.writes)?, self.hop(c.stream)?)));
        // One more, for a window that does not begin with a frame of it.
        hops.map_or(0, |(own, other)| (stage.window.saturating_mul(own)).div_ceil(other.max(1)) + 1)
    }
    /// Tokens that an autoregressive stage sees of what conditions it: the codebooks of each offset; `None` if nothing does.
    #[must_use]
    pub fn condition_window(&self, stage: &Stage) -> Option<usize> {
        stage.condition.as_ref().map(|c| c.offsets.len() * self.codebooks(c.stream))
    }
    /// Codebooks of a stream.
    #[must_use]
    pub fn codebooks(&self, stream: StreamId) -> usize {
        match stream {
            StreamId::Semantic => self.semantic.as_ref().map_or(1, |s| s.codebooks),
            StreamId::Acoustic => self.codec.codebooks,
        }
    }
    /// Entries per codebook of a stream; also the id that stands for "unknown" or "begin of stream".
    #[must_use]
    pub fn cardinality(&self, stream: StreamId) -> usize {
        match stream {
            StreamId::Semantic => self.semantic.as_ref().map_or(0, |s| s.cardinality),
            StreamId::Acoustic => self.codec.cardinality,
        }
    }
}
