"""Random clips of the rendered audio, for the trainings of the codec and the semantic tokenizer."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from .dataset import load_audio, renderings

RELOAD_SECONDS = 60.0


class Clips:
    """Draws clips from all renderings of a folder; notices new renderings while they are being made."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self.audio: dict[str, np.ndarray] = {}
        self.looked = 0.0
        self.refresh()

    def refresh(self) -> None:
        """Opens renderings that appeared since the last look, at most once a minute."""
        if time.monotonic() - self.looked < RELOAD_SECONDS and self.audio:
            return
        for rendering in renderings(self.folder):
            if rendering.id not in self.audio:
                self.audio[rendering.id] = load_audio(self.folder, rendering.id)
        self.ids = list(self.audio)
        self.looked = time.monotonic()
        if not self.ids:
            raise FileNotFoundError(f"no renderings in {self.folder}")

    def draw(self, batch: int, samples: int, gain_db: float) -> torch.Tensor:
        """Float clips [batch, samples], each with a random gain of up to ±`gain_db`."""
        self.refresh()
        clips = np.zeros((batch, samples), np.float32)
        for row in clips:
            audio = self.audio[self.ids[int(self.rng.integers(len(self.ids)))]]
            begin = int(self.rng.integers(max(1, len(audio) - samples)))
            clip = audio[begin : begin + samples]
            row[: len(clip)] = clip
        gains = 10.0 ** (self.rng.uniform(-gain_db, gain_db, (batch, 1)) / 20.0) / 32768.0
        return torch.from_numpy(clips * gains.astype(np.float32))


def evaluation_clips(
    folder: Path, begin_seconds: float, seconds: float, sample_rate: int, every: int = 1
) -> torch.Tensor:
    """One clip of each (`every`-th) rendering of a folder: float [N, samples]."""
    begin, samples = int(begin_seconds * sample_rate), int(seconds * sample_rate)
    clips = []
    for rendering in renderings(folder)[::every]:
        audio = load_audio(folder, rendering.id)[begin : begin + samples]
        if len(audio) == samples:
            clips.append(torch.from_numpy(audio.astype(np.float32) / 32768.0))
    return torch.stack(clips)
