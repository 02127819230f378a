"""Holds what is played to its prompt: as dense, in its key, on its pulse. docs/pack.md, "Held to the prompt"; twin of
`engine/src/stages/held`.

A transformer goes by what it hears of itself: one that has played a little too much, a note out of the key or off the beat plays on
like that. Of 48 continuations told from their semantic tokens half were as dense as their prompt within 0.7 to 1.4, of what truly
follows nine tenths (RESULTS.md, "Held to its prompt"). So what it draws from is leant against that, a little. Training knows nothing
of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .music import grid_period

LONGEST_SECONDS = 30.0
"""At the end of a prompt, that tell its pulse"""
LEAST = 0.01
"""Notes a frame that are added to what is compared, so that silence is a finite share of a prompt."""
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
"""How well each pitch class fits a key, from its tonic on (Krumhansl and Kessler 1982)"""


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


@dataclass(frozen=True)
class HarmonyConfig:
    """The manifest's `harmony` of a stage that has a `density`."""

    lowest: int
    """MIDI key of the first note token"""
    levels: int
    """Tokens of each key, one after the other"""
    gain: float = 0.25
    """By how much the logits of notes are lowered, for each unit of the logarithm of how much rarer their pitch class is"""
    profile: float = 0.5
    """The share of the prompt's key in what is wanted; the rest is the prompt's own notes"""
    floor: float = 0.02
    """Added to the share of each pitch class, so that what is not in the prompt is not forbidden"""


@dataclass(frozen=True)
class PulseConfig:
    """The manifest's `pulse` of a stage that has a `density`."""

    gain: float = 2.0
    """By how much the log odds of a rest are raised off the beat and lowered on it, where everything has been on it"""
    seconds: float = 4.0
    """Over which what has been struck tells where the beat is, and how sure"""


@dataclass(frozen=True)
class HeldConfig:
    """All that a stage may be held to."""

    density: DensityConfig
    harmony: HarmonyConfig | None = None
    pulse: PulseConfig | None = None


def notes_of(frames: np.ndarray, density: dict[str, Any]) -> np.ndarray:
    """Which tokens of frames [..., K] are notes: [..., codebooks]."""
    first, end = density["notes"]
    tokens = frames[..., : density["codebooks"]]
    return (tokens >= first) & (tokens < end)


class Density:
    """How densely one continuation plays."""

    def __init__(self, described: dict[str, Any], rate: float, prompt: np.ndarray) -> None:
        """At the end of a prompt [T, K] with `rate` frames a second; `described` is a manifest's `density`."""
        self._described = described
        self._frames = max(described["seconds"] * rate, 1.0)
        struck = notes_of(prompt, described).sum()
        self.target = self.average = max(struck / max(len(prompt), 1), LEAST) * described["share"]

    def hear(self, struck: int) -> None:
        """How many notes are struck in the next frame."""
        self.average += (struck - self.average) / self._frames

    @property
    def calm(self) -> float:
        """By how much the log odds of a rest are raised."""
        too_much = np.log((self.average + LEAST) / (self.target + LEAST))
        most = self._described["most"]
        return float(np.clip(self._described["gain"] * too_much, -most, most))


class Pulse:
    """Where one continuation is in its beat."""

    def __init__(self, described: dict[str, Any], rate: float, struck: np.ndarray) -> None:
        """At the end of a prompt of which `struck` [T] tells in which frames something is struck, `rate` a second;
        `described` is a manifest's `pulse`."""
        self._gain = described["gain"]
        period = grid_period(np.flatnonzero(struck) / rate)
        """Seconds; none of a prompt that has too few."""
        fade = np.exp(-1 / max(described["seconds"] * rate, 1.0))
        self._turn = fade * np.exp(2j * np.pi / (period * rate)) if period else 0.0
        self._fade = fade
        self._beats, self._all = 0j, 0.0
        for one in struck:
            self.hear(int(one))

    def hear(self, struck: int) -> None:
        """How many notes are struck in the next frame."""
        some = min(struck, 1)
        self._beats = (self._beats + some) * self._turn
        self._all = (self._all + some) * self._fade

    @property
    def calm(self) -> float:
        """By how much the log odds of a rest are raised."""
        if self._all <= 0:
            return 0.0
        # What is lowered on the beat lets more through than what is raised off it keeps back: by so much in the mean.
        sure = self._gain * abs(self._beats) / self._all
        return float(np.log(np.i0(sure))) - self._gain * self._beats.real / self._all


def tilt(density: dict[str, Any], harmony: dict[str, Any], prompt: np.ndarray) -> np.ndarray:
    """By how much the logit of each note token [notes] is raised behind a prompt [T, K]; manifests' `density` and `harmony`."""
    first, end = density["notes"]
    pitch_class = (harmony["lowest"] + np.arange(end - first) // harmony["levels"]) % 12
    tokens = prompt[:, : density["codebooks"]][notes_of(prompt, density)]
    heard = np.bincount(pitch_class[tokens - first], minlength=12).astype(float)
    if heard.max() == heard.min():
        return np.zeros(end - first, np.float32)
    heard /= heard.sum()
    profiles = [np.roll(profile / profile.sum(), tonic) for profile in (MAJOR, MINOR) for tonic in range(12)]
    key = max(profiles, key=lambda profile: np.corrcoef(profile, heard)[0, 1])
    wanted = (1 - harmony["profile"]) * heard + harmony["profile"] * key + harmony["floor"]
    return (harmony["gain"] * np.log(wanted / wanted.max()))[pitch_class].astype(np.float32)


class Held:
    """One continuation, held to its prompt."""

    def __init__(self, stage: dict[str, Any], rate: float, prompt: np.ndarray) -> None:
        """At the end of a prompt [T, K] of `rate` frames a second; `stage` is a manifest's."""
        self._described = stage["density"]
        struck = notes_of(prompt, self._described).sum(axis=1)
        self._parts: list[Density | Pulse] = [Density(self._described, rate, prompt)]
        if "pulse" in stage:
            self._parts.append(Pulse(stage["pulse"], rate, struck[-int(LONGEST_SECONDS * rate) :] > 0))
        self.tilt = tilt(self._described, stage["harmony"], prompt) if "harmony" in stage else None
        """What is added to the logits of notes [notes]"""

    def hear(self, frame: np.ndarray) -> None:
        """What is played next, [K]."""
        struck = int(notes_of(frame, self._described).sum())
        for part in self._parts:
            part.hear(struck)

    @property
    def calm(self) -> float:
        """By how much the log odds of a rest are raised."""
        return sum(part.calm for part in self._parts)
