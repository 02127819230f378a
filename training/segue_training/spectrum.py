"""Analysis (audio to spectrum) and synthesis (spectrum to audio) exactly as docs/pack.md defines them.

A stream of hop h owns the samples [t·h, (t+1)·h) with frame t; sample 0 is the first of the audio given and everything
before it is zero. The engine does the same in Rust; the graphs in between see only spectra.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F


MID, SIDE = "mid", "side"


HIGHEST_LEVEL = 14.0
"""A level beyond full scale, which no piano reaches: its exponential must stay finite."""


def to_level(magnitude: torch.Tensor, floor: float) -> torch.Tensor:
    """ln(1 + magnitude / floor)"""
    return torch.log1p(magnitude / floor)


def to_magnitude(level: torch.Tensor, floor: float) -> torch.Tensor:
    """The inverse of `to_level`, for levels up to `HIGHEST_LEVEL`."""
    # `expm1` takes ten times as long, and below a millionth of the floor nothing counts.
    return floor * (torch.exp(level.clamp(max=HIGHEST_LEVEL)) - 1)


def mid_side(stereo: torch.Tensor) -> torch.Tensor:
    """Left and right [..., 2, L] → mid (L + R) / 2 and side (L − R) / 2 [..., 2, L]; one channel stays as it is."""
    if stereo.shape[-2] == 1:
        return stereo
    left, right = stereo.unbind(-2)
    return torch.stack([(left + right) / 2, (left - right) / 2], dim=-2)


def left_right(signals: torch.Tensor) -> torch.Tensor:
    """The inverse of `mid_side`."""
    if signals.shape[-2] == 1:
        return signals
    mid, side = signals.unbind(-2)
    return torch.stack([mid + side, mid - side], dim=-2)


@dataclass(frozen=True, slots=True)
class Analysis:
    """How a graph's input is analysed: window length, bins kept, samples seen beyond the frame's own (`look_ahead`), of
    which channel (`mid` or `side`)."""

    n_fft: int
    bins: int
    look_ahead: int
    channel: str = MID


@dataclass(frozen=True, slots=True)
class Synthesis:
    """How a decoder's output is synthesised: window length, hop of a sub-frame, offset of sub-frame 0, in samples, the
    bins that are given (the rest is zero; 0 stands for all), into which channel (`mid` or `side`)."""

    n_fft: int
    hop: int
    offset: int
    bins: int = 0
    channel: str = MID

    def __post_init__(self) -> None:
        if self.bins == 0:
            object.__setattr__(self, "bins", self.n_fft // 2 + 1)


@lru_cache(maxsize=32)
def hann(length: int) -> torch.Tensor:
    """Periodic Hann window [length]."""
    return torch.hann_window(length, periodic=True)


def analyse(audio: torch.Tensor, analysis: Analysis, hop: int) -> torch.Tensor:
    """Audio [B, T·hop] → spectrum [B, T, bins, 2] (re, im).

    Frame t looks at [(t+1)·hop + look_ahead − n_fft, (t+1)·hop + look_ahead); what lies after the end is zero.
    """
    start = hop + analysis.look_ahead - analysis.n_fft
    padded = F.pad(audio, (-start, analysis.look_ahead))
    window = hann(analysis.n_fft).to(audio)
    spectrum = torch.stft(padded, analysis.n_fft, hop, window=window, center=False, return_complex=True)
    spectrum = spectrum[:, : analysis.bins].transpose(1, 2) / analysis.n_fft**0.5
    return torch.view_as_real(spectrum)


def window_sum(synthesis: Synthesis) -> torch.Tensor:
    """Steady-state sum of squared windows at each phase of the hop: [hop]."""
    return hann(synthesis.n_fft).square().view(-1, synthesis.hop).sum(0)


def synthesise(spectrum: torch.Tensor, synthesis: Synthesis, samples: int) -> torch.Tensor:
    """Spectrum [B, S, bins, 2] of sub-frames → audio [B, samples] from sample 0 on. Differentiable."""
    n_fft, hop = synthesis.n_fft, synthesis.hop
    if n_fft % hop or synthesis.offset > 0:
        raise ValueError("synthesis needs n_fft to be a multiple of hop, and offset ≤ 0")
    frames = torch.fft.irfft(torch.view_as_complex(spectrum.contiguous()), n=n_fft) * n_fft**0.5
    frames = frames * hann(n_fft).to(frames)
    length = (frames.shape[1] - 1) * hop + n_fft
    added = F.fold(frames.transpose(1, 2), (1, length), (1, n_fft), stride=(1, hop))[:, 0, 0]
    repeats = -(-length // hop)
    added = added / window_sum(synthesis).to(frames).repeat(repeats)[:length]
    audio = added[:, -synthesis.offset :][:, :samples]
    return F.pad(audio, (0, samples - audio.shape[1]))


