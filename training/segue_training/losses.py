"""Reconstruction losses and the figures by which codecs are compared."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .spectrum import hann

# Window length and number of mel bands; hops are a quarter of the window.
RESOLUTIONS = ((4096, 128), (1024, 80), (256, 20))
FLOOR = 1e-4
TRANSFORM_HOP = 480


def mel_scale(hz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, float)
    return np.where(hz < 1000.0, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1.0) / 1000.0) * 27 / np.log(6.4))


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """The inverse of `mel_scale`."""
    return np.where(mel < 15, mel * 200 / 3, 1000.0 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=16)
def mel_filters(n_fft: int, bands: int, sample_rate: int = 24000) -> torch.Tensor:
    """Triangular filters of unit area [n_fft/2 + 1, bands]."""
    edges = mel_to_hz(np.linspace(0.0, float(mel_scale(sample_rate / 2)), bands + 2))
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)[:, None]
    rising = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies) / np.diff(edges)[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy(filters.astype(np.float32))


def magnitudes(audio: torch.Tensor, n_fft: int) -> torch.Tensor:
    """Audio [B, L] → STFT magnitudes [B, T, n_fft/2 + 1] over sqrt(n_fft)."""
    spectrum = torch.stft(audio, n_fft, n_fft // 4, window=hann(n_fft), center=True, return_complex=True)
    power = torch.view_as_real(spectrum).square().sum(-1) / n_fft
    return (power + 1e-10).sqrt().transpose(1, 2)


def spectral_loss(reference: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """Log magnitude, log mel and spectral convergence, averaged over `RESOLUTIONS`."""
    total = torch.zeros(())
    for n_fft, bands in RESOLUTIONS:
        with torch.no_grad():
            a = magnitudes(reference, n_fft)
        b = magnitudes(decoded, n_fft)
        filters = mel_filters(n_fft, bands)
        total = total + (torch.log10(a + FLOOR) - torch.log10(b + FLOOR)).abs().mean()
        total = total + (torch.log10(a @ filters + FLOOR) - torch.log10(b @ filters + FLOOR)).abs().mean()
        total = total + 0.5 * (b - a).norm() / (a.norm() + 1e-3)
    return total / len(RESOLUTIONS)


@lru_cache(maxsize=4)
def mdct_basis(hop: int) -> torch.Tensor:
    """Orthonormal MDCT basis with a sine window [2 · hop, hop] (Princen and Bradley 1986)."""
    n = torch.arange(2 * hop, dtype=torch.float64)
    k = torch.arange(hop, dtype=torch.float64)
    window = torch.sin(torch.pi / (2 * hop) * (n + 0.5))
    cosines = torch.cos(torch.pi / hop * (n[:, None] + 0.5 + hop / 2) * (k[None] + 0.5))
    return (window[:, None] * cosines * (2 / hop) ** 0.5).float()


def transform_loss(reference: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """Mean difference of compressed MDCT coefficients: the term that asks for the right phase."""
    basis = mdct_basis(TRANSFORM_HOP)
    with torch.no_grad():
        a = torch.asinh(30.0 * (reference.unfold(1, 2 * TRANSFORM_HOP, TRANSFORM_HOP) @ basis))
    b = torch.asinh(30.0 * (decoded.unfold(1, 2 * TRANSFORM_HOP, TRANSFORM_HOP) @ basis))
    return (a - b).abs().mean()


@torch.no_grad()
def figures(reference: torch.Tensor, decoded: torch.Tensor) -> dict[str, float]:
    """Mel distance in dB (1024-point, 80 bands) and SI-SDR in dB of one clip [1, L]."""
    filters = mel_filters(1024, 80) * 32.0
    a, b = (torch.log10(magnitudes(audio, 1024) @ filters + 1e-3) for audio in (reference, decoded))
    x, y = reference - reference.mean(), decoded - decoded.mean()
    target = x * ((x * y).sum() / x.square().sum())
    ratio = target.square().sum() / (y - target).square().sum()
    return {"mel_db": float(20 * (a - b).abs().mean()), "si_sdr_db": float(10 * torch.log10(ratio))}
