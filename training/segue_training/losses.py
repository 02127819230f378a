"""The reconstruction loss and the figures by which codecs are compared."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .spectrum import hann, to_magnitude

SAMPLE_RATE = 48000
BANDS = 160
SILENT = 1e-7
PARTIALS_WEIGHT = 1.5
SHAPE_WEIGHT = 0.5
PARTIAL_FLOOR = 1e-6
SOFTEST_CLIP = 0.3
STEPS = (2, 4)
"""Sub-frames over which a level's movement is compared: what flickers within these is heard as struck again."""
MOVED_FROM = 10.0
"""Times the floor: noise that is softer moves as it likes."""


def mel_scale(hz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, float)
    return np.where(hz < 1000.0, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1.0) / 1000.0) * 27 / np.log(6.4))


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """The inverse of `mel_scale`."""
    return np.where(mel < 15, mel * 200 / 3, 1000.0 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=16)
def mel_filters(n_fft: int, bands: int, sample_rate: int = SAMPLE_RATE) -> torch.Tensor:
    """Triangular filters of unit area [n_fft/2 + 1, bands]."""
    edges = mel_to_hz(np.linspace(0.0, float(mel_scale(sample_rate / 2)), bands + 2))
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)[:, None]
    rising = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies) / np.diff(edges)[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy(filters.astype(np.float32))


def magnitudes(audio: torch.Tensor, n_fft: int, hop: int) -> torch.Tensor:
    """Audio [B, L] → STFT magnitudes [B, T, n_fft/2 + 1] over sqrt(n_fft)."""
    spectrum = torch.stft(audio, n_fft, hop, window=hann(n_fft), center=False, return_complex=True)
    power = (spectrum.real.square() + spectrum.imag.square()) / n_fft
    return (power + 1e-10).sqrt().transpose(1, 2)


def bin_weights(bins: int) -> torch.Tensor:
    """How much a bin of a linear spectrum counts [bins], as wide as it is on the mel scale; 1 on average."""
    edges = mel_scale(np.linspace(0.0, SAMPLE_RATE / 2, bins + 1))
    widths = np.diff(edges)
    return torch.from_numpy((widths / widths.mean()).astype(np.float32))


def level_distance(reference: torch.Tensor, decoded: torch.Tensor, floor: float) -> torch.Tensor:
    """How far levels ln(1 + magnitude / floor) [B, S, bins] are from the right ones: bin by bin as the ear spaces them, in
    mel bands (so that noise is as loud as it was, although no bin of it can be told), of how these bands rise and fall, of how
    bins differ from those beside and before them (which is what phases are made of), of what is loudest, and of what stands out in
    each clip, however soft: most bins are noise, and the middle of what a bin might be is
    too soft for a partial."""
    bins = reference.shape[-1]
    weights = bin_weights(bins)
    fine = ((reference - decoded).abs() * weights).mean()
    heard = to_magnitude(reference, floor).clamp(min=0.0).sqrt() * weights
    shape = sum(
        ((reference.diff(dim=axis) - decoded.diff(dim=axis)).abs() * h).sum() / (h.sum() + SILENT)
        for axis, h in ((1, heard[:, 1:]), (2, heard[..., 1:]))
    )
    a, b = (to_magnitude(levels, floor) for levels in (reference, decoded))
    # Of unit sum, so that the floor means the same as in a bin.
    filters = mel_filters(2 * (bins - 1), BANDS) * (SAMPLE_RATE / (2 * (bins - 1)))
    in_bands = a @ filters, (b @ filters).clamp(min=0.0)
    bands = _apart(*in_bands, floor).abs().mean()
    apart = _apart(*in_bands, MOVED_FROM * floor)
    moved = sum((apart[:, step:] - apart[:, :-step]).abs().mean() for step in STEPS) / len(STEPS)
    loud = (a - b).norm() / (a.norm() + 1e-3)
    # The root is steep at nothing.
    a, b = ((x.clamp(min=0.0) + PARTIAL_FLOOR).sqrt() * weights.sqrt() for x in (a, b))
    partials = ((a - b).flatten(1).norm(dim=1) / (a.flatten(1).norm(dim=1) + SOFTEST_CLIP)).mean()
    return fine + bands + moved + loud + SHAPE_WEIGHT * shape + PARTIALS_WEIGHT * partials


def _apart(a: torch.Tensor, b: torch.Tensor, floor: float) -> torch.Tensor:
    """How much louder a is than b, in nepers; what is softer than the floor hardly counts."""
    return torch.log(a + floor) - torch.log(b + floor)


def coherence_of(
    mid: torch.Tensor, side: torch.Tensor, band: torch.Tensor, bands: int, sub_frames: int
) -> torch.Tensor:
    """Complex spectra [B, S, bins] → how far the side goes with the mid [B, S, bands] in each band (`band` [bins]: which one
    a bin belongs to), the same for all sub-frames of a frame; 0 where one of them is silent."""
    together = mid.real * side.real + mid.imag * side.imag
    at_most = mid.abs() * side.abs()
    frames = [x.unflatten(1, (-1, sub_frames)).sum(2) for x in (together, at_most)]
    together, at_most = (x.new_zeros(*x.shape[:2], bands).index_add_(2, band, x) for x in frames)
    return (together / (at_most + SILENT)).repeat_interleave(sub_frames, dim=1)


@torch.no_grad()
def figures(reference: torch.Tensor, decoded: torch.Tensor) -> dict[str, float]:
    """Mel distance in dB (2048-point, 80 bands) of mid and side of one clip [2, L]."""
    filters = mel_filters(2048, 80) * 32.0
    a, b = (torch.log10(magnitudes(audio, 2048, 512) @ filters + 1e-3) for audio in (reference, decoded))
    mid, side = 20 * (a - b).abs().mean(dim=(1, 2))
    return {"mel_db": float(mid), "side_mel_db": float(side)}
