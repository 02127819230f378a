"""MIDI reading: pedal, repetition, augmentation."""

from pathlib import Path

import mido
import numpy as np
import pytest

from segue_training.dataset import is_held_out
from segue_training.midi import Note, augment, excerpt, humanise, is_flat, read_notes

TICKS_PER_SECOND = 960


def write(path: Path, *tracks: list[tuple[float, mido.Message]]) -> Path:
    """A MIDI file of messages at absolute seconds (120 bpm, 480 ticks per beat)."""
    file = mido.MidiFile(ticks_per_beat=480)
    for messages in tracks:
        track, now = mido.MidiTrack(), 0
        for seconds, message in sorted(messages, key=lambda pair: pair[0]):
            tick = round(seconds * TICKS_PER_SECOND)
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(path)
    return path


def on(key: int, velocity: int = 64) -> mido.Message:
    return mido.Message("note_on", note=key, velocity=velocity)


def off(key: int) -> mido.Message:
    return mido.Message("note_off", note=key)


def pedal(value: int) -> mido.Message:
    return mido.Message("control_change", control=64, value=value)


def test_the_pedal_holds_released_notes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mid",
        [(0.0, on(60)), (0.2, pedal(127)), (0.5, off(60)), (0.6, on(64)), (2.0, pedal(0)), (3.0, off(64))],
    )
    assert [(n.key, round(n.end, 3)) for n in read_notes(path)] == [(60, 2.0), (64, 3.0)]


def test_a_key_struck_again_ends_its_earlier_note(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mid",
        [(0.0, pedal(127)), (0.0, on(60)), (0.3, off(60)), (1.0, on(60, 90)), (1.2, off(60)), (4.0, pedal(0))],
    )
    notes = read_notes(path)
    assert [(round(n.onset, 3), round(n.end, 3), n.velocity) for n in notes] == [(0.0, 1.0, 64), (1.0, 4.0, 90)]


def test_all_tracks_are_played_and_zero_velocity_releases(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mid", [(0.0, on(60)), (1.0, on(60, 0))], [(0.5, on(72)), (1.5, off(72))])
    assert [(n.key, round(n.end, 3)) for n in read_notes(path)] == [(60, 1.0), (72, 1.5)]


def test_excerpt_counts_from_its_start() -> None:
    notes = [Note(0.0, 1.0, 60, 64), Note(5.0, 6.0, 62, 64), Note(9.0, 9.5, 64, 64)]
    assert excerpt(notes, 4.0, 3.0) == [Note(1.0, 2.0, 62, 64)]


def test_augmentation_stays_on_the_keyboard() -> None:
    notes = augment([Note(0.0, 1.0, 107, 100), Note(2.0, 3.0, 22, 1)], 5, 2.0, 1.3, 1.1)
    assert [(n.key, n.onset) for n in notes] == [(100, 0.0), (27, 1.0)]
    assert all(1 <= n.velocity <= 127 for n in notes)


def test_humanised_scores_are_no_longer_flat() -> None:
    notes = [Note(i * 0.25, i * 0.25 + 0.2, 60 + i % 12, 80) for i in range(64)]
    played = humanise(notes, np.random.default_rng(0))
    assert is_flat(notes) and not is_flat(played)
    assert len(played) == len(notes) and all(n.end > n.onset >= 0 for n in played)


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("pop909/900-v2.mid", True),
        ("pop909/909.mid", True),
        ("pop909/899.mid", False),
        ("pop909/090.mid", False),
        ("piano_midi_de/Chopin__chpn_op27_2.mid", True),
        ("piano_midi_de/Chopin__chpn_op27_1.mid", False),
        ("giantmidi/Debussy_Suite_bergamasque_xAKeiyjjTKk_cut_no_1.mid", True),
        ("giantmidi/Debussy_Suite_bergamasque_xAKeiyjjTKk_cut_no_4.mid", False),
        ("mutopia/BachJS__BWV846__wtk1-fugue1__wtk1-fugue1.mid", True),
        ("mutopia/BachJS__BWV847__fuga2__fuga2.mid", False),
        ("validation_midi/900.mid", True),
    ],
)
def test_no_version_of_a_validation_piece_is_trained_on(name: str, held: bool) -> None:
    assert is_held_out(Path(name)) is held
