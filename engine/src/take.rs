//! A take: what was generated, as tokens with their provenance. About 1 KB per second; audio is decoded from it.

use crate::sampler::Sampling;
use serde::{Deserialize, Serialize};

/// Identifies a take within one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TakeId(pub u64);

/// Tokens of one stream: `frames × codebooks`, row-major (frame by frame).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Codebooks per frame.
    pub codebooks: usize,
    /// `frames · codebooks` ids.
    #[serde(with = "crate::token_text")]
    pub ids: Vec<u16>,
}

impl Tokens {
    /// No frames yet.
    #[must_use]
    pub fn new(codebooks: usize) -> Self {
        Self { codebooks, ids: Vec::new() }
    }
    /// Number of whole frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.ids.len().checked_div(self.codebooks).unwrap_or(0)
    }
    /// The ids of frame `t`, one per codebook.
    ///
    /// # Panics
    /// If there is no such frame.
    #[must_use]
    pub fn frame(&self, t: usize) -> &[u16] {
        &self.ids[t * self.codebooks..(t + 1) * self.codebooks]
    }
}

/// How a take came about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Pack name and version, `name version`.
    pub pack: String,
    /// SHA-256 of the pack's manifest, hexadecimal.
    pub pack_hash: String,
    /// The seed used, 1–9999 or any given.
    pub seed: u64,
    /// Semantic, coarse, fine, as they were when generation began.
    pub temperatures: [f32; 3],
    /// Nucleus when generation began.
    pub top_p: f32,
    /// How closely it was held to its prompt when generation began; see [`Sampling`].
    #[serde(default = "as_packs_say")]
    pub hold: f32,
    /// How dense it was to be, in times of its prompt.
    #[serde(default = "as_packs_say")]
    pub density: f32,
    /// `cpu`, `cuda`, `directml`, `coreml`.
    pub device: String,
    /// Host tempo in beats per minute, if it told one.
    pub tempo: Option<f64>,
    /// Seconds since 1970-01-01, UTC.
    pub made_at: u64,
}

/// Of takes that were made before there was a knob.
fn as_packs_say() -> f32 {
    1.0
}

impl Provenance {
    /// How its tokens were drawn.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        let Self { temperatures, top_p, hold, density, tempo, .. } = *self;
        Sampling { temperatures, top_p, hold, density, tempo }
    }
}

/// How a continuation's loudness is held to its prompt's (docs/pack.md, "Loudness"), as it was made: it is always played so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Over which the power of what is played is averaged.
    pub seconds: f32,
    /// Of what it has strayed, in dB, that is taken back; the *Hold* with which it began is in it.
    pub share: f32,
    /// Most dB that it is raised or lowered by.
    pub most: f32,
    /// The gain in dB at which it begins, its prompt's too; at most `most` of it is heard.
    pub before: f32,
    /// The gain in dB at which it ends; as above.
    pub after: f32,
}

impl Loudness {
    /// Whether it can be played so.
    pub(crate) fn is_sound(&self) -> bool {
        let finite = [self.seconds, self.share, self.before, self.after].iter().all(|x| x.is_finite());
        finite && self.seconds > 0.0 && self.share >= 0.0 && (0.0..=MOST_DB).contains(&self.most)
    }
}

/// No pack raises or lowers anything by more, in dB.
pub(crate) const MOST_DB: f32 = 40.0;

/// One continuation. Tokens hold the prompt's frames first, then the generated ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Take {
    /// Identity within the project.
    pub id: TakeId,
    /// What the user sees.
    pub name: String,
    /// 0–5.
    pub stars: u8,
    /// The take it goes on from. It may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TakeId>,
    /// Where it came from.
    pub provenance: Provenance,
    /// Semantic tokens (one codebook); empty if the pack has no semantic stage.
    pub semantic: Tokens,
    /// Acoustic tokens, all codebooks.
    pub acoustic: Tokens,
    /// Samples at the pack's rate from the first token's start to the prompt's end; the continuation begins there.
    pub prompt_samples: usize,
    /// Samples at the pack's rate of the continuation.
    pub continuation_samples: usize,
    /// The pack's rate in Hz.
    pub sample_rate: u32,
    /// Factor by which decoded audio is multiplied for each host channel (undoes the prompt's level normalisation
    /// and restores its balance).
    pub gain: [f32; 2],
    /// How its loudness is held; none of takes that were made without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudness: Option<Loudness>,
}

impl Take {
    /// Length of the prompt in seconds.
    #[must_use]
    pub fn prompt_seconds(&self) -> f64 {
        self.prompt_samples as f64 / f64::from(self.sample_rate.max(1))
    }

    /// Length of the continuation in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.continuation_samples as f64 / f64::from(self.sample_rate.max(1))
    }
}
