"""Which notes a transcriber hears: Transkun 2 (Yan and Duan 2024) on decoded audio against the same on the original."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise

import numpy as np
import soxr
import torch

from .midi import Note

ONSET_TOLERANCE_SECONDS = 0.05
SEGMENT_SECONDS = 16.0
SUSTAIN_PEDAL = -64
"""The pitch by which Transkun calls the pedal."""
LOWEST_KEY = 21
REGISTERS = (21, 48, 72, 109)
"""Where bass, middle and treble begin, and the treble ends."""


@dataclass(frozen=True)
class Heard:
    """All that a transcriber tells of a sound."""

    notes: tuple[Note, ...]
    pedal: tuple[tuple[float, float], ...]
    """When the sustain pedal is down: begin and end in seconds"""
    context: np.ndarray
    """[seconds, 3 · 256]: what the network knows of each whole second before it decides on notes, averaged over the
    keys of each of `REGISTERS`"""


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

    def notes(self, audio: np.ndarray, rate: int) -> list[Note]:
        """The notes heard in audio [N, 2] of at most 16 s."""
        return list(self.listen(audio, rate).notes)

    @torch.no_grad()
    def listen(self, audio: np.ndarray, rate: int) -> Heard:
        """What is heard in audio [N, 2] of at most 16 s.

        It is heard in one segment of 16 s, silence behind it: the package's own overlapping segments hear notes that
        sound on from before as onsets at 0, and take four times as long. Shorter segments miss notes.
        """
        heard = soxr.resample(audio.astype(np.float32), rate, self._model.fs)
        length = int(SEGMENT_SECONDS * self._model.fs)
        if len(heard) > length:
            raise ValueError(f"{len(heard) / self._model.fs:.1f} s do not fit a segment of {SEGMENT_SECONDS} s")
        seconds = len(heard) / self._model.fs
        heard = torch.from_numpy(np.pad(heard, ((0, length - len(heard)), (0, 0))))
        segment = {"stepInSecond": SEGMENT_SECONDS, "segmentSizeInSecond": SEGMENT_SECONDS}
        contexts: list[torch.Tensor] = []
        hook = self._model.backbone.register_forward_hook(lambda _module, _inputs, output: contexts.append(output[0]))
        # Half the time where the processor multiplies bfloat16 matrices (AMX); the notes are the same.
        fast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=torch.cpu._is_amx_tile_supported())
        with warnings.catch_warnings(), fast:
            warnings.simplefilter("ignore")
            found = self._model.transcribe(heard, **segment)
        hook.remove()
        notes = [Note(float(n.start), float(n.end), int(n.pitch), int(n.velocity)) for n in found if n.pitch > 0]
        pedal = [(float(n.start), float(n.end)) for n in found if n.pitch == SUSTAIN_PEDAL]
        return Heard(tuple(notes), tuple(pedal), self._pooled(contexts[0], seconds))

    def _pooled(self, context: torch.Tensor, seconds: float) -> np.ndarray:
        """context [2 pedals + 88 keys, frames, 256] → [whole seconds, 3 · 256]."""
        keys = context[-88:].float()
        middle = [keys[low - LOWEST_KEY : high - LOWEST_KEY].mean(dim=0) for low, high in pairwise(REGISTERS)]
        frames = torch.cat(middle, dim=1)
        per_second = self._model.fs / self._model.hopSize
        edges = [round(index * per_second) for index in range(int(seconds) + 1)]
        rows = [frames[begin:end].mean(dim=0) for begin, end in pairwise(edges)]
        return torch.stack(rows).numpy() if rows else np.zeros((0, frames.shape[1]), np.float32)


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
