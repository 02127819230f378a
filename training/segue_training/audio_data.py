"""Random clips of the rendered stereo audio, for the trainings of the codec and the semantic tokenizer."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from .dataset import load_audio, renderings
from .spectrum import mid_side

RELOAD_SECONDS = 60.0
MONO_SHARE = 0.1
VARIED_SHARE = 0.6
SEMITONES = 3.0
TONE_DB = 4.0
TONE_KNOTS = 8


def varied(clip: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A clip [n, channels] as another piano might sound: played in the time of `samples` (so at another pitch) and with
    another tone, a smooth curve of `TONE_DB` at `TONE_KNOTS` frequencies. Four pianos are few: a codec knows by heart where
    their partials lie."""
    spectrum = torch.fft.rfft(torch.from_numpy(clip.T.astype(np.float32)))[:, : samples // 2 + 1]
    octaves = np.log2(np.maximum(np.arange(spectrum.shape[1]), 1) / spectrum.shape[1])
    tone = np.interp(octaves, np.linspace(-10.0, 0.0, TONE_KNOTS), rng.normal(0.0, TONE_DB, TONE_KNOTS))
    factors = torch.from_numpy(10.0 ** (tone / 20.0) * samples / len(clip)).float()
    return torch.fft.irfft(spectrum * factors, samples).T.numpy()


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
        """Mid and side [batch, 2, samples] of random clips, each with a gain of up to ±`gain_db` and a width of its own:
        some mono, half with the sides swapped (heard from the keys or from the hall). Most are `varied`."""
        self.refresh()
        clips = np.zeros((batch, samples, 2), np.float32)
        for row in clips:
            audio = self.audio[self.ids[int(self.rng.integers(len(self.ids)))]]
            varies = self.rng.random() < VARIED_SHARE
            speed = 2.0 ** (self.rng.uniform(-SEMITONES, SEMITONES) / 12.0) if varies else 1.0
            heard = round(samples * speed / 64) * 64 if varies else samples
            begin = int(self.rng.integers(max(1, len(audio) - heard)))
            clip = audio[begin : begin + heard]
            if varies and len(clip) == heard:
                clip = varied(clip, samples, self.rng)
            row[: min(len(clip), samples)] = clip[:samples]
        gains = 10.0 ** (self.rng.uniform(-gain_db, gain_db, (batch, 1, 1)) / 20.0) / 32768.0
        signals = mid_side(torch.from_numpy(clips * gains.astype(np.float32)).transpose(1, 2))
        width = self.rng.uniform(0.2, 1.2, batch) * self.rng.choice([-1.0, 1.0], batch)
        width[self.rng.random(batch) < MONO_SHARE] = 0.0
        signals[:, 1] *= torch.from_numpy(width.astype(np.float32))[:, None]
        return signals


def evaluation_clips(
    folder: Path, begin_seconds: float, seconds: float, sample_rate: int, every: int = 1
) -> torch.Tensor:
    """Mid and side of one clip of each (`every`-th) rendering of a folder: [N, 2, samples]."""
    begin, samples = int(begin_seconds * sample_rate), int(seconds * sample_rate)
    clips = []
    for rendering in renderings(folder)[::every]:
        audio = load_audio(folder, rendering.id)[begin : begin + samples]
        if len(audio) == samples:
            clips.append(mid_side(torch.from_numpy(audio.astype(np.float32).T / 32768.0)))
    return torch.stack(clips)
