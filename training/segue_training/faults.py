"""What is wrong with a continuation as a sound: silence, noise, a chord that does not end, drift, a step at the seam.

Sounds are mono [N] unless said otherwise.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .evaluate import drift, level
from .losses import mel_filters

WINDOW_SECONDS = 0.1
SILENT_DB = -40.0
NOISE_WINDOW = 4096
NOISE_FLATNESS = 0.3
NOISE_BANDS_HZ = (100, 200, 400, 800, 1600, 3200, 6400)
LEAST_DECAY_DB = 1.0
"""A chord that nobody strikes again falls by more than this in a second."""
SEAM_WINDOW, SEAM_BANDS, SEAM_FLOOR_DB = 2048, 64, -60.0


def levels(audio: np.ndarray, rate: int) -> np.ndarray:
    """RMS in dB of each tenth of a second: [n]."""
    length = int(WINDOW_SECONDS * rate)
    windows = audio[: len(audio) // length * length].reshape(-1, length)
    return 10 * np.log10((windows.astype(np.float64) ** 2).mean(axis=1) + 1e-12)


def longest(flags: np.ndarray) -> float:
    """Seconds of the longest run of tenths of a second [n] that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return float((edges[1::2] - edges[::2]).max() * WINDOW_SECONDS) if len(edges) else 0.0


def silent(audio: np.ndarray, rate: int, reference_db: float) -> np.ndarray:
    """Which tenths of a second lie 40 dB below the reference, the prompt's level: [n]."""
    return levels(audio, rate) < reference_db + SILENT_DB


def noisy(audio: np.ndarray, rate: int) -> np.ndarray:
    """Which tenths of a second are noise: no partials stand out. [n]

    The spectral flatness (geometric over arithmetic mean of the power) of each octave, averaged by the octaves' power:
    0.56 for noise of any colour, below 0.1 for a piano.
    """
    hop = int(WINDOW_SECONDS * rate)
    count = len(audio) // hop
    window = int(NOISE_WINDOW * rate / 48000)
    padded = np.pad(audio, (0, window))
    places = (np.arange(count) * hop)[:, None] + np.arange(window)
    power = np.abs(np.fft.rfft(padded[places] * np.hanning(window))) ** 2 + 1e-12
    frequency = np.fft.rfftfreq(window, 1 / rate)
    flat, weight = [], []
    for low, high in pairwise(NOISE_BANDS_HZ):
        band = power[:, (frequency >= low) & (frequency < high)]
        weight.append(band.sum(axis=1))
        flat.append(np.exp(np.log(band).mean(axis=1)) / band.mean(axis=1))
    return np.average(flat, axis=0, weights=np.array(weight)) > NOISE_FLATNESS


def stuck_seconds(audio: np.ndarray, rate: int, onsets: np.ndarray, reference_db: float) -> float:
    """The longest time in which nothing is struck, at onsets [n] in seconds, yet the sound goes on undiminished."""
    heard = levels(audio, rate)
    seconds = len(audio) / rate
    edges = np.concatenate([[0.0], np.sort(onsets), [seconds]])
    worst = 0.0
    for begin, end in pairwise(edges):
        part = heard[int(np.ceil(begin / WINDOW_SECONDS)) : int(end / WINDOW_SECONDS)]
        part = part[part >= reference_db + SILENT_DB]
        # A line through fewer tenths says nothing.
        if len(part) < 10:
            continue
        slope = np.polyfit(np.arange(len(part)) * WINDOW_SECONDS, part, 1)[0]
        if slope > -LEAST_DECAY_DB:
            worst = max(worst, len(part) * WINDOW_SECONDS)
    return worst


def seam_step_db(before: np.ndarray, after: np.ndarray, rate: int) -> float:
    """How much the spectrum changes at the seam: mean difference in dB between the last 43 ms before it and the first
    43 ms after it, of those of 64 mel bands that come within 60 dB of the loudest; what lies below counts as that."""
    window = int(SEAM_WINDOW * rate / 48000)
    filters = mel_filters(window, SEAM_BANDS, sample_rate=rate).numpy()
    sounds = before[-window:], after[:window]
    spectra = np.stack([np.abs(np.fft.rfft(sound * np.hanning(window))) @ filters for sound in sounds])
    both = 20 * np.log10(spectra + 1e-9)
    floor = both.max() + SEAM_FLOOR_DB
    heard = both[:, (both > floor).any(axis=0)]
    first, second = np.maximum(heard, floor)
    return float(np.abs(first - second).mean()) if heard.size else 0.0


def found_in(prompt: np.ndarray, audio: np.ndarray, rate: int, onsets: np.ndarray) -> dict[str, float]:
    """All figures of one continuation [N] of a prompt [M]; `onsets` are its notes' in seconds."""
    reference = level(prompt)
    quiet = silent(audio, rate, reference)
    noise = noisy(audio, rate) & ~quiet
    return {
        "drift_db": drift(audio),
        "silent_share": float(quiet.mean()),
        "silence_s": longest(quiet),
        "noise_s": longest(noise),
        "stuck_s": stuck_seconds(audio, rate, onsets, reference),
        "seam_db": seam_step_db(prompt, audio, rate),
    }
