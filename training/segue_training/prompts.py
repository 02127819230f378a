"""What packs play on from: recordings and held-out pieces, cut into a prompt and what truly follows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .held_out import (
    HELD_OUT_PIANO,
    KNOWN_PIANO,
    RATE,
    Studio,
    recordings,
    validation_files,
)
from .midi import Note, excerpt, read_notes

LEAD_SECONDS = 4.0
"""Played before a cut and cut away, so that notes sound on into it."""
FIRST_CUT_SECONDS, CUT_STEP_SECONDS = 15.0, 30.0
EVERY_PIECE = 1000
LEAST_PROMPT_NOTES = 6
"""Fewer tell neither a key nor a grid."""


@dataclass(frozen=True)
class Prompt:
    """A prompt [N, 2] and what follows it [M, 2], at 48 kHz."""

    name: str
    piece: str
    piano: str
    prompt: np.ndarray
    truth: np.ndarray

    def loop(self) -> np.ndarray:
        """The prompt again and again, as long as the truth."""
        times = -(-len(self.truth) // len(self.prompt))
        return np.tile(self.prompt, (times, 1))[: len(self.truth)]


def cut(name: str, piece: str, piano: str, audio: np.ndarray, prompt_seconds: float, seconds: float) -> Prompt:
    """The beginning of a sound [N, 2] at 48 kHz, in two."""
    middle = int(prompt_seconds * RATE)
    return Prompt(name, piece, piano, audio[:middle], audio[middle : middle + int(seconds * RATE)])


def recorded(data: Path, count: int, prompt_seconds: float, seconds: float) -> list[Prompt]:
    """The first `count` of DATA/prompts."""
    clips = recordings(data / "prompts", prompt_seconds + seconds, count)
    return [cut(clip.name, clip.name, "recording", clip.audio, prompt_seconds, seconds) for clip in clips]


def place(notes: list[Note], wanted: float, prompt_seconds: float, seconds: float) -> float | None:
    """Where to cut a piece: from `wanted` seconds behind its first note on, or as late as it goes on for long enough,
    where enough is played in the prompt and behind it. None if there is no such place."""
    first, last = notes[0].onset, notes[-1].onset - prompt_seconds - seconds
    begin = first + min(wanted, max(0.0, last - first))
    while begin >= first:
        struck = np.array([note.onset for note in notes]) - begin
        in_prompt = int(((struck >= 0) & (struck < prompt_seconds)).sum())
        behind = int(((struck >= prompt_seconds) & (struck < prompt_seconds + seconds)).sum())
        if min(in_prompt, behind) >= LEAST_PROMPT_NOTES:
            return begin
        begin -= 1.0
    return None


def rendered(studio: Studio, data: Path, count: int, prompt_seconds: float, seconds: float) -> list[Prompt]:
    """Cuts of different pieces of validation_midi, then other places of the same; half on the held-out piano, half on a
    training piano, half of each dry, half in a hall."""
    files = validation_files(data, EVERY_PIECE)
    # A popular one first: the classical ones are those of the recordings.
    files = files[1:] + files[:1]
    found: list[Prompt] = []
    used: set[tuple[str, int]] = set()
    # A piece may have no place; nobody wants to look for ever.
    for index in range(4 * count):
        if len(found) == count:
            break
        turn, position = divmod(index, len(files))
        path = files[position]
        notes = read_notes(path)
        begin = place(notes, FIRST_CUT_SECONDS + turn * CUT_STEP_SECONDS, prompt_seconds, seconds)
        if begin is None or (path.stem, round(begin)) in used:
            continue
        used.add((path.stem, round(begin)))
        # Classical and popular pieces come by turns, so pairs share a piano, and pairs of pairs a room.
        piano = (HELD_OUT_PIANO, KNOWN_PIANO)[(position // 2 + turn) % 2]
        room = studio.hall() if (position // 4 + turn) % 2 else None
        lead = min(LEAD_SECONDS, begin)
        length = lead + prompt_seconds + seconds
        audio = studio.play(piano, excerpt(notes, begin - lead, length), length, room)[int(lead * RATE) :]
        name = f"{path.stem} from {begin:.0f} s ({piano}, {'dry' if room is None else 'hall'})"
        found.append(cut(name, path.stem.split("__")[-1], piano, audio, prompt_seconds, seconds))
    return found


def another(prompts: list[Prompt], index: int) -> np.ndarray:
    """What truly follows the next prompt of another piece, on the same piano if there is one."""
    own = prompts[index]
    later = [prompts[(index + step) % len(prompts)] for step in range(1, len(prompts))]
    others = [prompt for prompt in later if prompt.piece != own.piece]
    if not others:
        raise ValueError("another piece needs at least two pieces")
    return next((prompt for prompt in others if prompt.piano == own.piano), others[0]).truth
