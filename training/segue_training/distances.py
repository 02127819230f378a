"""How far decoded audio is from its original: mel distance, multi-resolution STFT distance, SI-SDR. All at 48 kHz."""

from __future__ import annotations

import numpy as np
import torch

from .losses import mel_filters
from .runtime import channels_of
from .spectrum import hann

REFERENCE_LEVEL_DBFS = -24.0
"""Both signals are scaled by what brings the original to this RMS, so that floors mean the same for every clip."""
MEL_WINDOW, MEL_BANDS, MEL_FLOOR = 2048, 128, 1e-3
STFT_WINDOWS, STFT_FLOOR = (4096, 2048, 1024, 512), 1e-4


def magnitudes(audio: torch.Tensor, window: int) -> torch.Tensor:
    """Sounds [B, N] → STFT magnitudes [B, T, window / 2 + 1] of an orthonormal transform, hops of a quarter window."""
    spectrum = torch.stft(audio, window, window // 4, window=hann(window), center=True, return_complex=True)
    return (spectrum.abs() / window**0.5).transpose(1, 2)


def mel_distance(original: np.ndarray, decoded: np.ndarray, rate: int) -> float:
    """Mean absolute difference in dB of 128 mel bands, 2048-point windows, left and right: [N, 2] against [N, 2].

    Slaney's bands scaled as amplitudes of an orthonormal transform; what lies below −60 dB of that scale counts as −60.
    """
    filters = mel_filters(MEL_WINDOW, MEL_BANDS, sample_rate=rate) * MEL_WINDOW**0.5
    a, b = (torch.log10(magnitudes(x, MEL_WINDOW) @ filters + MEL_FLOOR) for x in _levelled(original, decoded))
    return float(20 * (a - b).abs().mean())


def stft_distance(original: np.ndarray, decoded: np.ndarray) -> float:
    """Spectral convergence plus mean difference of natural-log magnitudes, mean of windows of 4096 to 512 points, left
    and right (Yamamoto 2020): [N, 2] against [N, 2]."""
    x, y = _levelled(original, decoded)
    total = 0.0
    for window in STFT_WINDOWS:
        a, b = magnitudes(x, window), magnitudes(y, window)
        total += float((a - b).norm() / a.norm())
        total += float((torch.log(a + STFT_FLOOR) - torch.log(b + STFT_FLOOR)).abs().mean())
    return total / len(STFT_WINDOWS)


def si_sdr(original: np.ndarray, decoded: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux 2019), of whatever shape, as one signal."""
    x, y = original.astype(np.float64).ravel(), decoded.astype(np.float64).ravel()
    target = x * (x @ y) / (x @ x + 1e-20)
    return float(10 * np.log10(((target @ target) + 1e-20) / (((y - target) @ (y - target)) + 1e-20)))


def reconstruction(original: np.ndarray, decoded: np.ndarray, rate: int) -> dict[str, float]:
    """All figures of one clip, [N, 2] against [N, 2]."""
    mid, decoded_mid = channels_of(original, 1), channels_of(decoded, 1)
    return {
        "mel_db": mel_distance(original, decoded, rate),
        "stft": stft_distance(original, decoded),
        "si_sdr_db": si_sdr(original, decoded),
        "si_sdr_mid_db": si_sdr(mid, decoded_mid),
    }


def _levelled(original: np.ndarray, decoded: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    gain = 10 ** (REFERENCE_LEVEL_DBFS / 20) / np.sqrt(np.mean(original.astype(np.float64) ** 2) + 1e-20)
    return tuple(torch.from_numpy(np.ascontiguousarray(x.T * gain, np.float32)) for x in (original, decoded))
