"""The acoustic codec: magnitudes of short windows, a residual quantiser in the middle, and no phases.

A phase changes from frame to frame in a way that no transformer foretells; how loud each partial is hardly changes. So the
codes tell magnitudes only, and the phases are made of them where they are played (`phases`). Sources: SoundStream (Zeghidour
2021) for the quantiser, Vocos (Siuzdak 2023) for the network, spectral codecs (Langman 2024, arXiv:2406.05298) for tokens
that are easier to foretell. Stereo goes in and comes out as mid and side. The encoder sees 40 ms beyond its frame; a sample
is final once the frame 40 ms after it is decoded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import nn
import torch.nn.functional as F

from .blocks import CausalConvNeXt, stream_blocks
from .phases import DELAY, Phases
from .quantizer import ResidualQuantizer
from .spectrum import MID, SIDE, Analysis, Synthesis, analyse, synthesise, to_level

CHANNELS = 2
BEGINNING = 3.0
"""The levels that an untrained decoder gives."""
LEAST_SPREAD = 0.05


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Everything that fixes the codec's shape. Times in samples at `sample_rate`."""

    sample_rate: int = 48000
    hop: int = 960
    books: int = 12
    coarse_books: int = 4
    cardinality: int = 1024
    dim: int = 256
    layers: int = 6
    kernel: int = 7
    hidden: int = 768
    latent: int = 64
    analyses: tuple[Analysis, ...] = (
        Analysis(4096, 1024, 1920),
        Analysis(8192, 600, 1920),
        Analysis(1024, 513, 32),
        Analysis(4096, 512, 1920, SIDE),
        Analysis(1024, 257, 32, SIDE),
    )
    window: int = 2880
    sub_hop: int = 480
    stereo_bands: int = 32
    floor: float = 5e-5
    """The magnitude below which differences stop counting: a level is ln(1 + magnitude / floor)."""

    @property
    def bins(self) -> int:
        """Of a sub-frame."""
        return self.window // 2 + 1

    @property
    def sub_frames(self) -> int:
        """Of a frame."""
        return self.hop // self.sub_hop

    @property
    def placed(self) -> int:
        """Where the window of sub-frame 0 begins: its middle lies in the middle of the samples that the sub-frame owns."""
        return -(self.window - self.sub_hop) // 2

    @property
    def syntheses(self) -> tuple[Synthesis, ...]:
        """What the decoder's graph gives: mid and side, each sub-frame one later than its levels (see `phases`)."""
        offset = self.placed - DELAY * self.sub_hop
        return tuple(Synthesis(self.window, self.sub_hop, offset, 0, channel) for channel in (MID, SIDE))

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> CodecConfig:
        return cls(**{**values, "analyses": tuple(Analysis(**value) for value in values["analyses"])})


class Levels(NamedTuple):
    """What the codes tell of a sound, sub-frame by sub-frame."""

    mid: torch.Tensor
    """ln(1 + magnitude / floor) [B, S, bins]"""
    side: torch.Tensor
    """the same of the side"""
    coherence: torch.Tensor
    """How far the side goes with the mid, −1 (all of it on the right) to 1 (on the left), [B, S, stereo_bands]"""


class Widened(nn.Module):
    """A linear layer and beside it one with a hidden layer, which begins as nothing: a spectrum of several notes is no sum of
    as many patterns as the network has channels."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.straight = nn.Linear(inputs, outputs)
        self.into, self.out = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.straight(x) + self.out(F.gelu(self.into(x)))


class Encoder(nn.Module):
    """Spectra → latents [B, T, latent]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.floor = config.floor
        heard = sum(analysis.bins for analysis in config.analyses)
        self.register_buffer("centre", torch.zeros(heard))
        self.register_buffer("spread", torch.ones(heard))
        self.input = Widened(heard, config.hidden, config.dim)
        self.blocks = nn.ModuleList(CausalConvNeXt(config.dim, config.kernel) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.output = nn.Linear(config.dim, config.latent)

    def heard(self, spectra: list[torch.Tensor]) -> torch.Tensor:
        """Spectra [B, T, bins, 2] of each analysis → the levels of all [B, T, all bins]."""
        return torch.cat([to_level(spectrum.norm(dim=-1), self.floor) for spectrum in spectra], dim=-1)

    def accustom(self, spectra: list[torch.Tensor]) -> None:
        """Takes the levels of these clips as what is usual: the network hears how far a level is from there, since levels that
        all rise and fall together are slow to learn from."""
        levels = self.heard(spectra).flatten(0, 1)
        self.centre.copy_(levels.mean(0))
        self.spread.copy_(levels.std(0) + LEAST_SPREAD)

    def features(self, spectra: list[torch.Tensor]) -> torch.Tensor:
        """Spectra [B, T, bins, 2] of each analysis → [B, T, dim]; only their magnitudes count."""
        return self.input((self.heard(spectra) - self.centre) / self.spread)

    def forward(self, spectra: list[torch.Tensor]) -> torch.Tensor:
        x = self.features(spectra)
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x))

    def stream(
        self, spectra: list[torch.Tensor], states: list[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """As `forward`, continuing from the blocks' states; returns the next states too."""
        x, following = stream_blocks(self.blocks, self.features(spectra), states)
        return self.output(self.norm(x)), following


class Decoder(nn.Module):
    """Latents → levels."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.bins, self.sub_frames = config.bins, config.sub_frames
        self.input = nn.Linear(config.latent, config.dim)
        self.blocks = nn.ModuleList(CausalConvNeXt(config.dim, config.kernel) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.mid, self.side = (Widened(config.dim, config.hidden, config.sub_frames * config.bins) for _ in range(2))
        self.coherence = nn.Linear(config.dim, config.stereo_bands)
        for head in (self.mid, self.side):
            nn.init.normal_(head.straight.weight, std=0.02)
            nn.init.constant_(head.straight.bias, BEGINNING)

    def forward(self, latents: torch.Tensor) -> Levels:
        """Latents [B, T, latent] → levels of all frames."""
        x = self.input(latents)
        for block in self.blocks:
            x = block(x)
        return self.levels(x)

    def stream(self, latents: torch.Tensor, states: list[torch.Tensor]) -> tuple[Levels, list[torch.Tensor]]:
        """As `forward`, continuing from the blocks' states; returns the next states too."""
        x, following = stream_blocks(self.blocks, self.input(latents), states)
        return self.levels(x), following

    def levels(self, x: torch.Tensor) -> Levels:
        """[B, T, dim] → levels of T · sub_frames sub-frames."""
        x = self.norm(x)
        mid, side = (head(x).float().reshape(len(x), -1, self.bins) for head in (self.mid, self.side))
        coherence = torch.tanh(self.coherence(x).float()).repeat_interleave(self.sub_frames, dim=1)
        return Levels(mid, side, coherence)


class Codec(nn.Module):
    """Encoder, quantiser and decoder with the analysis and synthesis around them."""

    def __init__(self, config: CodecConfig = CodecConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = ResidualQuantizer(config.books, config.cardinality, config.latent)
        self.decoder = Decoder(config)

    @property
    def edge(self) -> int:
        """Samples at either end of a clip that fewer windows cover than in the middle of a stream."""
        return self.config.window

    def analyse(self, audio: torch.Tensor) -> list[torch.Tensor]:
        """Mid and side [B, 2, T · hop] → one spectrum per analysis."""
        signals = dict(zip((MID, SIDE), audio.unbind(1), strict=True))
        return [analyse(signals[analysis.channel], analysis, self.config.hop) for analysis in self.config.analyses]

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        """Mid and side [B, 2, T · hop] → codes [B, T, books]. Under autocast only the encoder computes in bf16."""
        with torch.autocast("cpu", enabled=False):
            spectra = self.analyse(audio.float())
        latents = self.encoder(spectra)
        with torch.autocast("cpu", enabled=False):
            return self.quantizer.encode(latents.float())

    def synthesise(self, levels: Levels, samples: int) -> torch.Tensor:
        """Levels → mid and side [B, 2, samples]."""
        spectra = Phases(self.config).stream(levels, None)[0]
        syntheses = self.config.syntheses
        return torch.stack([synthesise(s, synthesis, samples) for s, synthesis in zip(spectra, syntheses, strict=True)], 1)

    def played_mid(self, mid: torch.Tensor) -> torch.Tensor:
        """Levels of mid [B, S, bins] → mid as it is heard [B, S · sub_hop], for losses: the gradient reaches the magnitudes,
        not the phases that are made of them."""
        synthesis = self.config.syntheses[0]
        return synthesise(Phases(self.config).mid(mid), synthesis, mid.shape[1] * self.config.sub_hop)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes [B, T, books] → mid and side [B, 2, T · hop]."""
        return self.synthesise(self.decoder(self.quantizer.decode(codes)), codes.shape[1] * self.config.hop)
