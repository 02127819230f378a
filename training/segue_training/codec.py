"""The acoustic codec: a Vocos-like network between two-window spectra, with a residual quantiser in the middle.

Sources: Vocos (Siuzdak 2023), SoundStream (Zeghidour 2021). Long windows resolve the partials, short ones the attacks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn

from .blocks import CausalConvNeXt, stream_blocks
from .quantizer import ResidualQuantizer
from .spectrum import Analysis, Synthesis, analyse, compress, synthesise

MAGNITUDE_CEILING = 4.0


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Everything that fixes the codec's shape. Times in samples at `sample_rate`."""

    sample_rate: int = 24000
    hop: int = 480
    books: int = 8
    cardinality: int = 1024
    dim: int = 256
    layers: int = 6
    kernel: int = 7
    latent: int = 64
    analyses: tuple[Analysis, ...] = (Analysis(2048, 1025, 960), Analysis(4096, 600, 960))
    syntheses: tuple[Synthesis, ...] = (Synthesis(3840, 480, -1680), Synthesis(480, 120, -180))
    magnitude_offsets: tuple[float, ...] = (3.0, 5.0)

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
        """Audio [B, T · hop] → one spectrum per analysis."""
        return [analyse(audio, analysis, self.config.hop) for analysis in self.config.analyses]

    def synthesise(self, spectra: list[torch.Tensor], samples: int) -> torch.Tensor:
        """One spectrum per synthesis → audio [B, samples], their sum."""
        parts = zip(spectra, self.config.syntheses, strict=True)
        return sum(synthesise(spectrum, synthesis, samples) for spectrum, synthesis in parts)

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        """Audio [B, T · hop] → codes [B, T, books]. Under autocast only the encoder computes in bf16."""
        with torch.autocast("cpu", enabled=False):
            spectra = self.analyse(audio.float())
        latents = self.encoder(spectra)
        with torch.autocast("cpu", enabled=False):
            return self.quantizer.encode(latents.float())

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes [B, T, books] → audio [B, T · hop]."""
        return self.synthesise(self.decoder(self.quantizer.decode(codes)), codes.shape[1] * self.config.hop)
