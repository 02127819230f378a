"""The acoustic codec: a Vocos-like network between spectra of long and short windows, a residual quantiser in the middle.

Sources: Vocos (Siuzdak 2023), SoundStream (Zeghidour 2021). Long windows resolve the partials, short ones the attacks.
Stereo goes in and comes out as mid and side. The encoder sees 40 ms beyond its frame; a sample is final once the frame
40 ms after it is decoded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn

from .blocks import CausalConvNeXt, stream_blocks
from .quantizer import ResidualQuantizer
from .spectrum import MID, SIDE, Analysis, Synthesis, analyse, compress, synthesise

MAGNITUDE_CEILING = 4.0


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Everything that fixes the codec's shape. Times in samples at `sample_rate`."""

    sample_rate: int = 48000
    channels: int = 2
    hop: int = 960
    books: int = 12
    coarse_books: int = 4
    cardinality: int = 1024
    dim: int = 256
    layers: int = 6
    kernel: int = 7
    latent: int = 64
    analyses: tuple[Analysis, ...] = (
        Analysis(4096, 1024, 1920),
        Analysis(8192, 600, 1920),
        Analysis(1024, 513, 32),
        Analysis(4096, 512, 1920, SIDE),
        Analysis(1024, 257, 32, SIDE),
    )
    syntheses: tuple[Synthesis, ...] = (
        Synthesis(7680, 960, -1920, 1281),
        Synthesis(960, 240, -360),
        Synthesis(3840, 960, -1440, 641, SIDE),
        Synthesis(960, 240, -360, 257, SIDE),
    )
    magnitude_offsets: tuple[float, ...] = (3.0, 5.0, 4.0, 6.0)

    @property
    def signals(self) -> tuple[str, ...]:
        """The channels as they are coded."""
        return (MID, SIDE)[: self.channels]

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> CodecConfig:
        analyses = tuple(Analysis(**value) for value in values["analyses"])
        syntheses = tuple(Synthesis(**value) for value in values["syntheses"])
        offsets = tuple(values["magnitude_offsets"])
        return cls(**{**values, "analyses": analyses, "syntheses": syntheses, "magnitude_offsets": offsets})


class Encoder(nn.Module):
    """Spectra → latents [B, T, latent]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.input = nn.Linear(sum(2 * analysis.bins for analysis in config.analyses), config.dim)
        self.blocks = nn.ModuleList(CausalConvNeXt(config.dim, config.kernel) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.output = nn.Linear(config.dim, config.latent)

    def features(self, spectra: list[torch.Tensor]) -> torch.Tensor:
        """Spectra [B, T, bins, 2] of each analysis → [B, T, dim]."""
        return self.input(torch.cat([compress(spectrum) for spectrum in spectra], dim=-1))

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


class SpectrumHead(nn.Module):
    """[B, T, dim] → [B, T · sub-frames, bins, 2]: bounded magnitude and a phase given by its cosine and sine."""

    def __init__(self, dim: int, synthesis: Synthesis, sub_frames: int, magnitude_offset: float) -> None:
        super().__init__()
        self.sub_frames, self.bins, self.offset = sub_frames, synthesis.bins, magnitude_offset
        self.linear = nn.Linear(dim, sub_frames * 3 * synthesis.bins)
        nn.init.normal_(self.linear.weight, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = self.linear(x).float().reshape(x.shape[0], -1, 3, self.bins)
        log_magnitude, cosine, sine = values.unbind(2)
        magnitude = torch.exp((log_magnitude - self.offset).clamp(max=MAGNITUDE_CEILING))
        scale = magnitude * torch.rsqrt(cosine.square() + sine.square() + 1e-6)
        return torch.stack([cosine * scale, sine * scale], dim=-1)


class Decoder(nn.Module):
    """Latents → the spectra of each synthesis."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.latent, config.dim)
        self.blocks = nn.ModuleList(CausalConvNeXt(config.dim, config.kernel) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.heads = nn.ModuleList(
            SpectrumHead(config.dim, synthesis, config.hop // synthesis.hop, offset)
            for synthesis, offset in zip(config.syntheses, config.magnitude_offsets, strict=True)
        )

    def forward(self, latents: torch.Tensor) -> list[torch.Tensor]:
        x = self.input(latents)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return [head(x) for head in self.heads]

    def stream(
        self, latents: torch.Tensor, states: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """As `forward`, continuing from the blocks' states; returns the next states too."""
        x, following = stream_blocks(self.blocks, self.input(latents), states)
        x = self.norm(x)
        return [head(x) for head in self.heads], following


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
        return max(-synthesis.offset for synthesis in self.config.syntheses)

    def analyse(self, audio: torch.Tensor) -> list[torch.Tensor]:
        """Mid and side [B, channels, T · hop] → one spectrum per analysis."""
        signals = dict(zip(self.config.signals, audio.unbind(1), strict=True))
        return [analyse(signals[analysis.channel], analysis, self.config.hop) for analysis in self.config.analyses]

    def synthesise(self, spectra: list[torch.Tensor], samples: int) -> torch.Tensor:
        """One spectrum per synthesis → mid and side [B, channels, samples], sums of their parts."""
        signals: dict[str, torch.Tensor | float] = dict.fromkeys(self.config.signals, 0.0)
        for spectrum, synthesis in zip(spectra, self.config.syntheses, strict=True):
            signals[synthesis.channel] = signals[synthesis.channel] + synthesise(spectrum, synthesis, samples)
        return torch.stack([signals[name] for name in self.config.signals], dim=1)

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        """Mid and side [B, channels, T · hop] → codes [B, T, books]. Under autocast only the encoder computes in bf16."""
        with torch.autocast("cpu", enabled=False):
            spectra = self.analyse(audio.float())
        latents = self.encoder(spectra)
        with torch.autocast("cpu", enabled=False):
            return self.quantizer.encode(latents.float())

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes [B, T, books] → mid and side [B, channels, T · hop]."""
        return self.synthesise(self.decoder(self.quantizer.decode(codes)), codes.shape[1] * self.config.hop)
