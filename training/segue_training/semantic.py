"""The semantic tokenizer: what is played, rather than how it sounds, at 25 tokens a second.

It has the role of w2v-BERT in AudioLM (Borsos 2022): a network trained by masked prediction on piano audio without
labels (BEST-RQ, Chiu 2022: the targets are random projections of the input, quantised), of which one middle layer's
features are quantised; the codes are the tokens. Unlike w2v-BERT it is causal, so that it can follow a player. Before them
come note tokens (`notes`), which tell what no cluster does: which keys are struck.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

from .blocks import CausalConvNeXt
from .notes import KEYS, NoteNetwork, note_vectors
from .quantizer import ResidualQuantizer
from .spectrum import Analysis, analyse

LOWEST_HZ = 27.5
LOG_FLOOR = 1e-5
FEATURE_MEAN, FEATURE_SCALE = -6.0, 2.5


@dataclass(frozen=True, slots=True)
class SemanticConfig:
    """Everything that fixes the tokenizer's shape. `layer` is the number of blocks before the
    quantiser, `projected` the dimensions that are quantised, `note_books` how many of the codebooks, the first ones, tell
    what is struck; those behind them tell what sounds."""

    sample_rate: int = 48000
    hop: int = 1920
    codebooks: int = 1
    note_books: int = 0
    cardinality: int = 1024
    dim: int = 256
    layers: int = 6
    layer: int = 6
    projected: int = 64
    kernel: int = 7
    bands_per_semitone: int = 2
    level_removed: float = 0.7
    note_dim: int = 256
    note_layers: int = 4
    note_levels: int = 8
    note_rests: int = 32
    analysis: Analysis = Analysis(8192, 1025, 3840)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> SemanticConfig:
        return cls(**{**values, "analysis": Analysis(**values["analysis"])})


def pitch_filters(config: SemanticConfig) -> torch.Tensor:
    """Triangular filters [bins, bands] on a logarithmic axis from A0 to the highest bin, `bands_per_semitone` apart and
    never narrower than the distance of two bins. Each has unit sum."""
    resolution = config.sample_rate / config.analysis.n_fft
    highest = resolution * (config.analysis.bins - 2)
    bands = int(12 * config.bands_per_semitone * np.log2(highest / LOWEST_HZ))
    centres = LOWEST_HZ * 2.0 ** (np.arange(bands) / (12 * config.bands_per_semitone))
    half_width = np.maximum(centres * (2.0 ** (1 / (12 * config.bands_per_semitone)) - 1.0), resolution)
    frequencies = resolution * np.arange(config.analysis.bins)[:, None]
    filters = np.maximum(0.0, 1.0 - np.abs(frequencies - centres) / half_width)
    return torch.from_numpy((filters / filters.sum(0)).astype(np.float32))


class SemanticNetwork(nn.Module):
    """Filterbank and causal blocks, up to the features that are quantised."""

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("filters", pitch_filters(config), persistent=False)
        self.input = nn.Linear(self.filters.shape[1], config.dim)
        self.blocks = nn.ModuleList(CausalConvNeXt(config.dim, config.kernel) for _ in range(config.layers))

    def bands(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Spectrum [B, T, bins, 2] → log energies [B, T, bands], most of the frame's own level taken out."""
        energy = torch.matmul(spectrum.square().sum(-1), self.filters)
        bands = (torch.log(energy + LOG_FLOOR) - FEATURE_MEAN) / FEATURE_SCALE
        return bands - self.config.level_removed * bands.mean(-1, keepdim=True)

    def forward(self, bands: torch.Tensor) -> list[torch.Tensor]:
        """Bands [B, T, bands] → the features [B, T, dim] after each block."""
        x, features = self.input(bands), []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return features


def rest_tokens(config: SemanticConfig) -> tuple[int, int]:
    """Of the first note book: the first token that is a rest, and the one behind the last."""
    first = 1 + KEYS * config.note_levels
    return first, first + config.note_rests


def note_network(config: SemanticConfig) -> NoteNetwork:
    """An untrained one of this shape."""
    bands = pitch_filters(config).shape[1]
    return NoteNetwork(bands, config.note_dim, config.note_layers, config.kernel, config.note_levels, config.note_rests)


class SemanticTokenizer(nn.Module):
    """The network up to its chosen layer, its features normalised and projected on the unit sphere, and a residual quantiser
    of them: clusters of one codebook, a product code of several. Where the configuration has `note_books`, a second network
    that names what is struck: features that tell chords apart hold while a chord sounds, and forget when it began."""

    def __init__(self, config: SemanticConfig = SemanticConfig()) -> None:
        super().__init__()
        self.config = config
        self.network = SemanticNetwork(config)
        self.norm = nn.LayerNorm(config.dim, elementwise_affine=False)
        self.project = nn.Linear(config.dim, config.projected)
        self.quantizer = ResidualQuantizer(config.codebooks - config.note_books, config.cardinality, config.projected)
        if config.note_books:
            self.notes = note_network(config)

    @property
    def codebooks(self) -> torch.Tensor:
        """What the tokens of all codebooks stand for, [K, cardinality, projected]."""
        config, own = self.config, self.quantizer.codebooks
        if not config.note_books:
            return own
        notes = note_vectors(config.note_levels, config.note_rests, config.cardinality, config.projected)
        return torch.cat([notes.expand(config.note_books, -1, -1), own])

    def features(self, bands: torch.Tensor) -> torch.Tensor:
        """Bands [B, T, bands] → the features that are quantised [B, T, projected]."""
        hidden = self.network(bands)[self.config.layer - 1]
        with torch.autocast("cpu", enabled=False):
            return F.normalize(self.project(self.norm(hidden.float())), dim=-1)

    def tokens(self, audio: torch.Tensor) -> torch.Tensor:
        """Mid [B, T · hop] → tokens [B, T, K]. Under autocast only the networks compute in bf16."""
        with torch.autocast("cpu", enabled=False):
            bands = self.network.bands(analyse(audio.float(), self.config.analysis, self.config.hop))
        features = self.features(bands)
        struck = [self.notes.tokens(bands, self.config.note_books)] if self.config.note_books else []
        with torch.autocast("cpu", enabled=False):
            return torch.cat([*struck, self.quantizer.encode(features)], dim=-1)
