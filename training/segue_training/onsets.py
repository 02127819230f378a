"""Which notes a transcriber hears: Transkun 2 (Yan and Duan 2024) on decoded audio against the same on the original."""

from __future__ import annotations

import warnings
from importlib.resources import files

import numpy as np
import soxr
import torch

from .midi import Note

ONSET_TOLERANCE_SECONDS = 0.05
SEGMENT_SECONDS = 16.0


class Transcriber:
    """Transkun with the weights of its package."""

    def __init__(self) -> None:
        try:
            import moduleconf
            import transkun
        except ImportError as error:
            raise ImportError("transkun is missing: pip install -r requirements-figures.txt") from error
        folder = files(transkun) / "pretrained"
        described = moduleconf.parseFromFile(str(folder / "2.0.conf"))["Model"]
        self._model = described.module.TransKun(conf=described.config).eval()
        state = torch.load(str(folder / "2.0.pt"), map_location="cpu")["state_dict"]
        self._model.load_state_dict(state, strict=False)

    @torch.no_grad()
    def notes(self, audio: np.ndarray, rate: int) -> list[Note]:
        """The notes heard in audio [N, 2] of at most 16 s.

        It is heard in one segment of 16 s, silence behind it: the package's own overlapping segments hear notes that
        sound on from before as onsets at 0, and take four times as long.
        """
        heard = soxr.resample(audio.astype(np.float32), rate, self._model.fs)
        length = int(SEGMENT_SECONDS * self._model.fs)
        if len(heard) > length:
            raise ValueError(f"{len(heard) / self._model.fs:.1f} s do not fit a segment of {SEGMENT_SECONDS} s")
        heard = torch.from_numpy(np.pad(heard, ((0, length - len(heard)), (0, 0))))
        segment = {"stepInSecond": SEGMENT_SECONDS, "segmentSizeInSecond": SEGMENT_SECONDS}
        # Half the time where the processor multiplies bfloat16 matrices (AMX); the notes are the same.
        fast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=torch.cpu._is_amx_tile_supported())
        with warnings.catch_warnings(), fast:
            warnings.simplefilter("ignore")
            found = self._model.transcribe(heard, **segment)
        return [Note(float(n.start), float(n.end), int(n.pitch), int(n.velocity)) for n in found if n.pitch > 0]


def onset_f1(reference: list[Note], found: list[Note]) -> float:
    """F1 of notes matched one to one by key and onset within 50 ms, as in MIR's evaluations (Bay 2009). Two silences
    agree.

    One key's notes match in order of time, which loses nothing: all tolerances are equal.
    """
    if not reference and not found:
        return 1.0
    matched = 0
    for key in {note.key for note in reference}:
        a = sorted(note.onset for note in reference if note.key == key)
        b = sorted(note.onset for note in found if note.key == key)
        i = j = 0
        while i < len(a) and j < len(b):
            if abs(a[i] - b[j]) <= ONSET_TOLERANCE_SECONDS:
                matched += 1
                i, j = i + 1, j + 1
            elif a[i] < b[j]:
                i += 1
            else:
                j += 1
    return 2 * matched / (len(reference) + len(found))
