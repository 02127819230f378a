"""Holds the loudness of what is played to its prompt's (docs/pack.md, "Loudness"); twin of `engine/src/loudness.rs`.

A continuation slides away: it is 2.8 dB softer than its prompt in the mean, and of every ten three are 3 dB softer or louder in their
last quarter than in their first (RESULTS.md, "As loud as its prompt"). So half of what it has strayed is taken back, slowly.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.signal import lfilter

BLOCK_SECONDS = 0.01
"""The gain is found for the beginning of each block and goes in a straight line from one to the next."""
LEAST = 1e-9
"""Power, of the prompt's, below which nothing is told apart."""


@dataclass(frozen=True)
class LoudnessConfig:
    """The manifest's `audio.loudness`."""

    seconds: float = 2.0
    """Over which the power of what is played is averaged"""
    share: float = 0.5
    """Of what it has strayed, in dB, that is taken back"""
    most: float = 6.0
    """Most dB"""

    def described(self) -> dict[str, Any]:
        """As the manifest has it."""
        return asdict(self)


def gains(power: np.ndarray, described: dict[str, Any]) -> np.ndarray:
    """The gain in dB at the beginning of each block and at the end [N + 1] of a continuation, from the power of its blocks [N], in
    times of the prompt's."""
    fade = min(BLOCK_SECONDS / described["seconds"], 1.0)
    # Before the first block it was as loud as its prompt.
    heard = 1 + lfilter([fade], [1, fade - 1], power - 1)
    heard = np.concatenate([[1.0], heard])
    strayed = 10 * np.log10(np.maximum(heard, LEAST))
    return np.clip(-described["share"] * strayed, -described["most"], described["most"])


def held(audio: np.ndarray, rate: int, level_dbfs: float, described: dict[str, Any]) -> np.ndarray:
    """What a decoder gives behind a prompt, [N] or [N, 2] at the pack's level, as loud as it is to be."""
    block = round(BLOCK_SECONDS * rate)
    # Of two channels what mid and side hold together.
    power = np.mean(np.atleast_2d(audio.T).astype(np.float64) ** 2, axis=0) / 10 ** (level_dbfs / 10)
    whole = len(power) // block * block
    found = 10 ** (gains(power[:whole].reshape(-1, block).mean(axis=1), described) / 20)
    # A block's gain is known when it begins: it is reached where it ends.
    ramp = np.interp(np.arange(len(power)) / block, np.arange(len(found) + 1), np.concatenate([[1.0], found]))
    return audio * (ramp if audio.ndim == 1 else ramp[:, None]).astype(audio.dtype)
