"""A pack that plays on, its tokens kept: what was generated once is only decoded again."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import numpy as np
import soxr

from .figures import through_pack
from .held_out import RATE, stereo
from .kept import Kept
from .manifest import MANIFEST
from .runtime import Dials, Pack, channels_of


class Player:
    """Plays on at 48 kHz stereo, whatever the pack's form."""

    def __init__(self, pack: Pack, kept: Kept) -> None:
        self.pack = pack
        self._kept = kept
        # The manifest holds the hashes of all graphs.
        self._identity = hashlib.sha256((pack.folder / MANIFEST).read_bytes()).hexdigest()

    def play_on(
        self, prompt: np.ndarray, seconds: float, dials: dict[str, Dials], seed: int, acoustic_only: bool = False
    ) -> np.ndarray:
        """prompt [N, 2] → what follows it, [seconds · 48000, 2]."""
        pack = self.pack
        heard = channels_of(soxr.resample(prompt, RATE, pack.sample_rate), pack.channels)
        heard = heard[:, 0] if pack.channels == 1 else heard
        described = {name: asdict(dial) for name, dial in dials.items()}
        kind = f"continuation {self._identity} {described} {seed} {seconds} {acoustic_only}"
        codes = self._kept.arrays(
            kind,
            [prompt],
            lambda: {"codes": pack.continue_prompt(heard, seconds, dials, seed, acoustic_only).codes.astype(np.int32)},
        )["codes"]
        audio = stereo(pack.audible(heard, codes.astype(np.int64), seconds))
        audio = soxr.resample(audio, pack.sample_rate, RATE)[: int(seconds * RATE)]
        return np.pad(audio, ((0, int(seconds * RATE) - len(audio)), (0, 0))).astype(np.float32)

    def coded(self, prompt: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """What truly follows a prompt, both [N, 2], as the pack's codec decodes it: all books, no stage."""
        books = self.pack.manifest["codec"]["codebooks"]
        return through_pack(self.pack, np.concatenate([prompt, truth]), books)[len(prompt) :]
