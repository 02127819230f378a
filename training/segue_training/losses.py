"""Reconstruction losses and the figures by which codecs are compared."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .spectrum import hann

SAMPLE_RATE = 48000
# Window length and number of mel bands; hops are half of the window, from a random sample on.
RESOLUTIONS = ((8192, 160), (2048, 80), (512, 24))
SIDE_RESOLUTIONS = ((4096, 128), (1024, 40))
SIDE_WEIGHT = 0.5
FLOOR = 2e-5
TRANSFORM_HOP = 960
TRANSFORM_BINS = 480
"""Phase is asked for below 12 kHz; above, the magnitudes alone matter."""


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


def spectral_distance(
    reference: torch.Tensor, decoded: torch.Tensor, resolutions: tuple[tuple[int, int], ...]
) -> torch.Tensor:
    """Log magnitude, log mel and spectral convergence of signals [B, L], averaged over the resolutions."""
    total = torch.zeros(())
    for n_fft, bands in resolutions:
        begin = int(torch.randint(n_fft // 2, ()))
        with torch.no_grad():
            a = magnitudes(reference[:, begin:], n_fft, n_fft // 2)
        b = magnitudes(decoded[:, begin:], n_fft, n_fft // 2)
        filters = mel_filters(n_fft, bands)
        total = total + (torch.log10(a + FLOOR) - torch.log10(b + FLOOR)).abs().mean()
        total = total + (torch.log10(a @ filters + FLOOR) - torch.log10(b @ filters + FLOOR)).abs().mean()
        total = total + 0.5 * (b - a).norm() / (a.norm() + 1e-3)
    return total / len(resolutions)


def spectral_loss(reference: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """`spectral_distance` of the mid, and at fewer resolutions and `SIDE_WEIGHT` of the side, if there is one, of signals
    [B, channels, L]."""
    total = spectral_distance(reference[:, 0], decoded[:, 0], RESOLUTIONS)
    if reference.shape[1] == 2:
        total = total + SIDE_WEIGHT * spectral_distance(reference[:, 1], decoded[:, 1], SIDE_RESOLUTIONS)
    return total


@lru_cache(maxsize=4)
def mdct_basis(hop: int) -> torch.Tensor:
    """The lowest `TRANSFORM_BINS` vectors of the orthonormal MDCT basis with a sine window [2 · hop, bins] (Princen and
    Bradley 1986)."""
    n = torch.arange(2 * hop, dtype=torch.float64)
    k = torch.arange(min(hop, TRANSFORM_BINS), dtype=torch.float64)
    window = torch.sin(torch.pi / (2 * hop) * (n + 0.5))
    cosines = torch.cos(torch.pi / hop * (n[:, None] + 0.5 + hop / 2) * (k[None] + 0.5))
    return (window[:, None] * cosines * (2 / hop) ** 0.5).float()


def transform_loss(reference: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """Mean difference of compressed MDCT coefficients of signals [B, channels, L]: the term that asks for the right phase."""
    basis = mdct_basis(TRANSFORM_HOP)
    with torch.no_grad():
        a = torch.asinh(30.0 * (reference.unfold(2, 2 * TRANSFORM_HOP, TRANSFORM_HOP) @ basis))
    b = torch.asinh(30.0 * (decoded.unfold(2, 2 * TRANSFORM_HOP, TRANSFORM_HOP) @ basis))
    distance = (a - b).abs().mean(dim=(0, 2, 3))
    return distance[0] + SIDE_WEIGHT * distance[1:].sum()


@torch.no_grad()
def figures(reference: torch.Tensor, decoded: torch.Tensor) -> dict[str, float]:
    """Mel distance in dB (2048-point, 80 bands) and SI-SDR in dB of one clip [channels, L]: of the mid, and the mel
    distance of the side."""
    filters = mel_filters(2048, 80) * 32.0
    a, b = (torch.log10(magnitudes(audio, 2048, 512) @ filters + 1e-3) for audio in (reference, decoded))
    mel = 20 * (a - b).abs().mean(dim=(1, 2))
    x, y = reference[0] - reference[0].mean(), decoded[0] - decoded[0].mean()
    target = x * ((x * y).sum() / x.square().sum())
    ratio = target.square().sum() / (y - target).square().sum()
    found = {"mel_db": float(mel[0]), "si_sdr_db": float(10 * torch.log10(ratio))}
    return found | ({"side_mel_db": float(mel[1])} if len(mel) == 2 else {})
