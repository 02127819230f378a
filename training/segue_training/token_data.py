"""Token shards → random crops for the three stages.

A shard is an `.npz` of whole excerpts, written by `tokenize.py`; `Excerpt` is what one of them holds.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .objectives import PAD
from .stages import AutoregressiveConfig, StageConfig


@dataclass(frozen=True)
class Excerpt:
    """The tokens of one rendered excerpt, from its first sample on."""

    semantic: np.ndarray
    """[N, K] at the semantic rate"""
    acoustic: np.ndarray
    """[T, Q] at the codec's frame rate; nothing, if it was never rendered (`score_tokens`)"""


def condition_window(
    semantic: np.ndarray, positions: np.ndarray, ratio: int, offsets: tuple[int, ...], unknown: int
) -> np.ndarray:
    """The window of the conditioning stream [N, K] for each frame: index floor(p / ratio) + offset, `unknown` where the
    stream has no such frame. positions [S] → [S, W · K], all books of the first offset first."""
    index = positions[:, None] // ratio + np.array(offsets)
    known = (index >= 0) & (index < len(semantic))
    window = np.where(known[..., None], semantic[index.clip(0, len(semantic) - 1)], unknown)
    return window.reshape(len(positions), -1)


def _end(semantic: np.ndarray, rests_from: int) -> int:
    """The frames of an excerpt up to the last note struck. What follows it is mostly the end of a piece, and a stage that has learnt
    how pieces end takes its own pauses for one (RESULTS.md)."""
    struck = np.flatnonzero(semantic[:, 0] < rests_from)
    return int(struck[-1]) + 1 if len(struck) else 0


UNHEARD_SHARE = 0.6
"""Of the crops of the semantic stage, where there are excerpts that were never rendered."""


class Crops:
    """Draws batches of random crops: any start, each second of the cache equally likely, of what was rendered and what was not."""

    def __init__(self, excerpts: list[Excerpt], stage: str, config: StageConfig, seed: int) -> None:
        rests = getattr(config, "rests", None)
        if rests is not None:
            excerpts = [Excerpt(e.semantic[: _end(e.semantic, rests[0])], e.acoustic) for e in excerpts]
        self._excerpts = [e for e in excerpts if (len(e.semantic) if stage == "semantic" else len(e.acoustic))]
        self._stage = stage
        self._config = config
        self._random = np.random.default_rng(seed)
        weights = np.array([len(e.semantic) for e in self._excerpts], np.float64)
        unheard = np.array([len(e.acoustic) == 0 for e in self._excerpts])
        if unheard.any() and not unheard.all():
            weights[unheard] *= UNHEARD_SHARE / weights[unheard].sum()
            weights[~unheard] *= (1 - UNHEARD_SHARE) / weights[~unheard].sum()
        self._weights = weights / weights.sum()

    def batch(self, size: int, length: int) -> dict[str, Tensor]:
        """`frames` [size, length, C] (PAD behind the end of an excerpt) and, if conditioned, `cond`."""
        chosen = self._random.choice(len(self._excerpts), size, p=self._weights)
        return self._collate([self._crop(self._excerpts[i], length) for i in chosen])

    def fixed(self, count: int, length: int) -> list[dict[str, Tensor]]:
        """One batch of 4 crops at a time from evenly spread excerpts and fixed places: for validation."""
        rows = []
        for i in np.linspace(0, len(self._excerpts) - 1, count).astype(int):
            rows.append(self._crop(self._excerpts[i], length, place=0.5))
        return [self._collate(rows[i : i + 4]) for i in range(0, len(rows), 4)]

    def _crop(self, excerpt: Excerpt, length: int, place: float | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        stream = excerpt.semantic if self._stage == "semantic" else excerpt.acoustic
        spare = max(0, len(stream) - length)
        start = int(place * spare) if place is not None else int(self._random.integers(spare + 1))
        frames = stream[start : start + length].astype(np.int64)
        if len(frames) < length:
            frames = np.pad(frames, ((0, length - len(frames)), (0, 0)), constant_values=PAD)
        if not isinstance(self._config, AutoregressiveConfig):
            return frames, None
        frames = frames[:, : self._config.codebooks]
        if not self._config.condition_offsets:
            return frames, None
        ratio = round(len(excerpt.acoustic) / len(excerpt.semantic))
        positions = np.arange(start, start + length)
        return frames, condition_window(
            excerpt.semantic.astype(np.int64),
            positions,
            ratio,
            self._config.condition_offsets,
            self._config.condition_cardinality,
        )

    @staticmethod
    def _collate(rows: list[tuple[np.ndarray, np.ndarray | None]]) -> dict[str, Tensor]:
        batch = {"frames": torch.from_numpy(np.stack([frames for frames, _ in rows]))}
        if rows[0][1] is not None:
            batch["cond"] = torch.from_numpy(np.stack([cond for _, cond in rows]))
        return batch


class Shards:
    """The token cache of a split, re-read as new shards appear."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[Path] = set()
        self.excerpts: list[Excerpt] = []

    def refresh(self) -> bool:
        """Load shards that were not there before; true if there were any."""
        new = sorted(set(self._folder.glob("*.npz")) - self._seen)
        for path in new:
            self.excerpts += read_shard(path)
        self._seen.update(new)
        return bool(new)

    @property
    def hours(self) -> float:
        """Hours of audio, at 25 semantic tokens a second."""
        return sum(len(e.semantic) for e in self.excerpts) / 25 / 3600


def write_shard(path: Path, excerpts: list[Excerpt]) -> None:
    """All excerpts end to end, with their lengths; written beside the folder and moved into it, so that a reader never sees
    half a shard."""
    temporary = path.parent.parent / f"{path.parent.name}_{path.name}"
    np.savez(
        temporary,
        semantic=np.concatenate([e.semantic for e in excerpts]).astype(np.uint16),
        acoustic=np.concatenate([e.acoustic for e in excerpts]).astype(np.uint16),
        semantic_lengths=np.array([len(e.semantic) for e in excerpts]),
        acoustic_lengths=np.array([len(e.acoustic) for e in excerpts]),
    )
    temporary.rename(path)


def read_shard(path: Path) -> list[Excerpt]:
    """The inverse of `write_shard`."""
    with np.load(path) as shard:
        semantic = np.split(shard["semantic"], np.cumsum(shard["semantic_lengths"])[:-1])
        acoustic = np.split(shard["acoustic"], np.cumsum(shard["acoustic_lengths"])[:-1])
    return [Excerpt(s, a) for s, a in zip(semantic, acoustic, strict=True)]
