"""Keeps what is played as dense as its prompt: docs/pack.md, "Density"; twin of `engine/src/stages/density.rs`.

A transformer that has played a little too much plays on like that, for it goes by what it hears of itself: of 48 continuations
told from their semantic tokens half were as dense as their prompt within 0.7 to 1.4, of what truly follows nine tenths (RESULTS.md,
"As dense as its prompt"). So the log odds of a rest are raised by how much too dense it has been. Training knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST = 0.01
"""Notes a frame that are added to what is compared, so that silence is a finite share of a prompt."""


@dataclass(frozen=True)
class DensityConfig:
    """The manifest's `density` of a stage."""

    notes: tuple[int, int]
    """The first token that is a note, and the one behind the last"""
    codebooks: int
    """Of notes, the first ones"""
    seconds: float = 2.0
    """Over which what is played is averaged"""
    share: float = 1.0
    """How dense it is to be, of its prompt"""
    gain: float = 2.0
    """By how much the log odds of a rest are raised, for each unit of the logarithm of how much too dense it is"""
    most: float = 2.0
    """Most by which they are raised or lowered"""


class Density:
    """How densely one continuation plays."""

    def __init__(self, described: dict[str, Any], rate: float, prompt: np.ndarray) -> None:
        """At the end of a prompt [T, K] with `rate` frames a second; `described` is a manifest's `density`."""
        self._described = described
        self._frames = max(described["seconds"] * rate, 1.0)
        struck = sum(self._struck(frame) for frame in prompt)
        self.target = self.average = max(struck / max(len(prompt), 1), LEAST) * described["share"]

    def _struck(self, frame: np.ndarray) -> int:
        """Notes of a frame [K]."""
        first, end = self._described["notes"]
        tokens = frame[: self._described["codebooks"]]
        return int(((tokens >= first) & (tokens < end)).sum())

    def hear(self, frame: np.ndarray) -> None:
        """What is played next, [K]."""
        self.average += (self._struck(frame) - self.average) / self._frames

    @property
    def calm(self) -> float:
        """By how much the log odds of a rest are raised."""
        too_much = np.log((self.average + LEAST) / (self.target + LEAST))
        most = self._described["most"]
        return float(np.clip(self._described["gain"] * too_much, -most, most))
