"""What tokenizers are measured on: recordings of an unseen piano, and held-out pieces played on pianos that are known.

Everything is 48 kHz stereo, float [N, 2]; whatever tokenizer is measured brings it to its own rate and channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .dataset import training_files
from .midi import Note, excerpt, humanise, is_flat, read_notes
from .piano import Piano
from .render import LEVEL_DBFS
from .room import add_room, load_rooms, set_level
from .runtime import channels_of

RATE = 48000
HELD_OUT_PIANO, KNOWN_PIANO = "upright", "splendid"
PIANOS = {
    "upright": "pianos/upright_kw_cc0/UprightPianoKW-20220221.sfz",
    "splendid": "pianos/splendid_grand_akai_pd/Splendid Grand Piano.sfz",
}
HALL_WET = 0.25
CLIP_BEGIN_SECONDS = 15.0
"""Where the clips of rendered pieces begin: in the middle of the music."""


@dataclass(frozen=True)
class Clip:
    """A sound and, where they are known, its notes, in seconds from its beginning."""

    name: str
    audio: np.ndarray
    notes: tuple[Note, ...] | None = None


class Studio:
    """Plays notes on a sampled piano, dry or in a room."""

    def __init__(self, data: Path, work: Path) -> None:
        self._data, self._work = data, work
        self._pianos: dict[str, Piano] = {}
        self._rooms: dict[str, np.ndarray] | None = None

    def rooms(self) -> list[str]:
        """Names of the rooms."""
        if self._rooms is None:
            self._rooms = load_rooms(self._data / "rir", RATE)
        return sorted(self._rooms)

    def hall(self) -> str:
        """The room of everything that is measured in a room."""
        return next(name for name in self.rooms() if "Hall" in name)

    def play(self, piano: str, notes: list[Note], seconds: float, room: str | None, wet: float = HALL_WET) -> np.ndarray:
        """float32 [N, 2] at `render.LEVEL_DBFS`."""
        if piano not in self._pianos:
            self._pianos[piano] = Piano.open(self._data / PIANOS[piano], self._work / "pianos", piano, RATE)
        audio = stereo(self._pianos[piano].play(notes, seconds))
        if room is not None:
            self.rooms()
            response = stereo(self._rooms[room])
            wetted = [add_room(audio[:, c], np.ascontiguousarray(response[:, c]), wet) for c in (0, 1)]
            audio = np.stack(wetted, axis=1)
        return set_level(audio, LEVEL_DBFS).astype(np.float32)


def stereo(audio: np.ndarray) -> np.ndarray:
    """audio [N], [N, 1], [N, 2] or [2, N] → [N, 2]."""
    if audio.ndim == 2 and audio.shape[0] < audio.shape[1]:
        audio = audio.T
    return channels_of(np.asarray(audio), 2)


def recordings(folder: Path, seconds: float, count: int) -> list[Clip]:
    """The beginning of each recording of a folder."""
    clips = []
    for path in sorted(folder.glob("*.flac"))[:count]:
        audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
        clips.append(Clip(path.stem, stereo(soxr.resample(audio, rate, RATE)[: int(seconds * RATE)])))
    return clips


def validation_files(data: Path, count: int) -> list[Path]:
    """Different pieces of validation_midi, classical and popular by turns (no second version of a song)."""
    files = sorted((data / "validation_midi").glob("*.mid"))
    popular = [path for path in files if path.stem[:2].isdigit() and "-" not in path.stem]
    classical = [path for path in files if not path.stem[:2].isdigit()]
    longest = max(len(popular), len(classical))
    turns = [group[i] for i in range(longest) for group in (classical, popular) if i < len(group)]
    return turns[:count]


def opening(path: Path, seconds: float) -> list[Note]:
    """The notes of the first seconds of a piece."""
    notes = read_notes(path)
    return excerpt(notes, notes[0].onset, seconds)


def rendered_clips(studio: Studio, data: Path, seconds: float, count: int) -> list[Clip]:
    """Held-out pieces on the held-out piano: every other one dry, the rest in a hall."""
    clips = []
    for index, path in enumerate(validation_files(data, count)):
        end = CLIP_BEGIN_SECONDS + seconds
        notes = opening(path, end)
        # Classical and popular pieces come by turns: pairs of both are dry, pairs of both are in the hall.
        room = None if index // 2 % 2 == 0 else studio.hall()
        audio = studio.play(HELD_OUT_PIANO, notes, end, room)[int(CLIP_BEGIN_SECONDS * RATE) :]
        kept = tuple(excerpt(notes, CLIP_BEGIN_SECONDS, seconds))
        clips.append(Clip(f"{path.stem} ({'dry' if room is None else 'hall'})", audio, kept))
    return clips


def probe_clips(studio: Studio, data: Path, seconds: float, count: int, seed: int) -> list[Clip]:
    """Training pieces on a training piano, half of them in some room: what the probes learn from."""
    rng = np.random.default_rng(seed)
    files = [path for group in training_files(data / "midi").values() for path in group]
    clips: list[Clip] = []
    while len(clips) < count:
        notes = read_notes(files[int(rng.integers(len(files)))])
        if len(notes) < 20:
            continue
        start = notes[0].onset + float(rng.uniform(0.0, max(1e-3, notes[-1].onset - notes[0].onset - seconds)))
        chosen = excerpt(notes, start, seconds)
        if is_flat(chosen):
            chosen = humanise(chosen, rng)
        if len(chosen) < seconds:
            continue
        room = str(rng.choice(studio.rooms())) if rng.random() < 0.5 else None
        audio = studio.play(KNOWN_PIANO, chosen, seconds, room, float(rng.uniform(0.1, 0.5)))
        clips.append(Clip(f"training {len(clips)}", audio, tuple(chosen)))
    return clips
