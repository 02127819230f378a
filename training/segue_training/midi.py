"""MIDI files as lists of sounding piano notes, and their musical augmentation."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import mido
import numpy as np

PEDAL_CONTROLLER = 64
PEDAL_DOWN = 64
DRUM_CHANNEL = 9
LOWEST_KEY, HIGHEST_KEY = 21, 108
FLAT_DISTINCT_VELOCITIES = 6


@dataclass(frozen=True, slots=True)
class Note:
    """One sounding note: `onset` and `end` in seconds (pedal included), MIDI `key`, `velocity` 1..127."""

    onset: float
    end: float
    key: int
    velocity: int


def read_notes(path: Path) -> list[Note]:
    """All notes of a file, every track played on the piano, in order of onset.

    The sustain pedal (CC 64 of any channel) holds notes until it is released; a key struck again ends its earlier
    note. Notes outside the piano's 88 keys and the drum channel are dropped.
    """
    midi = mido.MidiFile(str(path), clip=True)
    time = 0.0
    pressed: dict[int, list[tuple[float, int]]] = defaultdict(list)
    held: dict[int, list[tuple[float, int]]] = defaultdict(list)
    pedal = False
    notes: list[Note] = []

    def finish(key: int, starts: list[tuple[float, int]]) -> None:
        for onset, velocity in starts:
            notes.append(Note(onset, max(time, onset + 0.01), key, velocity))
        starts.clear()

    for message in midi:
        time += message.time
        if message.type == "control_change" and message.control == PEDAL_CONTROLLER:
            pedal = message.value >= PEDAL_DOWN
            if not pedal:
                for key, starts in held.items():
                    finish(key, starts)
        elif message.type in ("note_on", "note_off") and message.channel != DRUM_CHANNEL:
            key = message.note
            if not LOWEST_KEY <= key <= HIGHEST_KEY:
                continue
            if message.type == "note_on" and message.velocity > 0:
                finish(key, held[key])
                pressed[key].append((time, message.velocity))
            elif pressed[key]:
                start = pressed[key].pop(0)
                if pedal:
                    held[key].append(start)
                else:
                    finish(key, [start])
    for waiting in (pressed, held):
        for key, starts in waiting.items():
            finish(key, starts)
    return end_at_repetition(sorted(notes, key=lambda note: (note.onset, note.key)))


def end_at_repetition(notes: list[Note]) -> list[Note]:
    """Ends each note where its key is struck again; of two strikes of one key at one time the louder stays."""
    latest: dict[int, int] = {}
    result: list[Note] = []
    for note in notes:
        earlier = latest.get(note.key)
        if earlier is not None:
            before = result[earlier]
            if note.onset - before.onset < 0.02:
                result[earlier] = replace(
                    before, end=max(before.end, note.end), velocity=max(before.velocity, note.velocity)
                )
                continue
            if before.end > note.onset:
                result[earlier] = replace(before, end=note.onset)
        latest[note.key] = len(result)
        result.append(note)
    return result


def excerpt(notes: list[Note], start: float, seconds: float) -> list[Note]:
    """The notes that begin within `seconds` from `start`, their times relative to `start`."""
    return [
        replace(note, onset=note.onset - start, end=note.end - start)
        for note in notes
        if start <= note.onset < start + seconds
    ]


def augment(
    notes: list[Note], transpose: int, tempo: float, velocity_power: float, velocity_scale: float
) -> list[Note]:
    """Transposes by semitones (by an octave less where it leaves the keyboard), plays `tempo` times as fast and
    bends the touch: velocity becomes 127 · (velocity / 127)^power · scale."""
    changed = []
    for note in notes:
        key = note.key + transpose
        if key > HIGHEST_KEY:
            key -= 12
        elif key < LOWEST_KEY:
            key += 12
        velocity = round(127 * (note.velocity / 127) ** velocity_power * velocity_scale)
        changed.append(Note(note.onset / tempo, note.end / tempo, key, int(np.clip(velocity, 1, 127))))
    return changed


def is_flat(notes: list[Note]) -> bool:
    """Whether a score has no touch of its own: few distinct velocities."""
    return len({note.velocity for note in notes}) < FLAT_DISTINCT_VELOCITIES


def humanise(notes: list[Note], rng: np.random.Generator) -> list[Note]:
    """Gives an engraved score a player's touch: slow swells, a louder top voice, uneven velocities and onsets."""
    if not notes:
        return notes
    length = notes[-1].onset + 1.0
    knots = np.arange(0.0, length + 8.0, 4.0)
    swell = rng.normal(0.0, 9.0, len(knots))
    top: dict[int, int] = {}
    for note in notes:
        slot = round(note.onset * 20)
        top[slot] = max(top.get(slot, 0), note.key)
    played = []
    for note in notes:
        melody = 8.0 if note.key == top[round(note.onset * 20)] else -4.0
        velocity = 66 + np.interp(note.onset, knots, swell) + melody + rng.normal(0.0, 4.0)
        shift = float(rng.normal(0.0, 0.008))
        onset = max(0.0, note.onset + shift)
        end = max(onset + 0.03, note.end + shift + float(rng.normal(0.0, 0.02)))
        played.append(Note(onset, end, note.key, int(np.clip(round(velocity), 20, 120))))
    return end_at_repetition(sorted(played, key=lambda note: (note.onset, note.key)))
