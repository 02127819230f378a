"""ViSQOL in audio mode (Chinen 2020) by PyPI's visqol-python, a port of Google's C++: 1 (bad) to about 4.73 (the same)."""

from __future__ import annotations

import numpy as np

from .runtime import channels_of

RATE = 48000


class Visqol:
    """Compares 48 kHz sounds, folded to mono as ViSQOL does."""

    def __init__(self) -> None:
        try:
            from visqol import VisqolApi
        except ImportError as error:
            raise ImportError("visqol-python is missing: pip install -r requirements-figures.txt") from error
        self._api = VisqolApi()
        self._api.create(mode="audio")

    def score(self, original: np.ndarray, decoded: np.ndarray) -> float:
        """MOS-LQO of decoded [N] or [N, C] against original."""
        a, b = (channels_of(audio.astype(np.float64), 1)[:, 0] for audio in (original, decoded))
        return float(self._api.measure_from_arrays(a, b, RATE).moslqo)
