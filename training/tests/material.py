"""A DATA folder and a pack for tests of whole commands."""

from pathlib import Path

import mido
import numpy as np
import soundfile

from segue_training import held_out
from segue_training.export_tokenizers import export_random
from segue_training.pack import random_stages, write_pack
from segue_training.presets import PRESETS

RATE = 48000


def write_midi(path: Path) -> None:
    """Two chords by turns for 24 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    track = mido.MidiTrack()
    for index in range(24):
        keys = (60, 64, 67) if index % 2 else (55, 62, 71)
        track += [mido.Message("note_on", note=key, velocity=60 + index, time=0) for key in keys]
        track += [mido.Message("note_off", note=key, time=960 if key == keys[0] else 0) for key in keys]
    file = mido.MidiFile()
    file.tracks.append(track)
    file.save(path)


def make_data(folder: Path) -> Path:
    """A DATA folder with one sample for a piano, one room, one recording and three pieces."""
    time = np.arange(2 * RATE) / RATE
    sound = 0.5 * np.sin(2 * np.pi * 261.6 * time) * np.exp(-2 * time)
    for name in held_out.PIANOS.values():
        (folder / name).parent.mkdir(parents=True)
        soundfile.write((folder / name).parent / "c4.wav", np.stack([sound, 0.8 * sound], axis=1), RATE)
        (folder / name).write_text("<region> lokey=21 hikey=108 pitch_keycenter=60 sample=c4.wav\n")
    (folder / "rir").mkdir()
    response = np.zeros((4000, 1))
    response[[0, 700, 2000], 0] = (1, 0.5, 0.3)
    soundfile.write(folder / "rir/Small Hall.wav", response, RATE)
    (folder / "prompts").mkdir()
    soundfile.write(folder / "prompts/c.flac", np.stack([np.tile(sound, 3)] * 2, axis=1), RATE)
    for name in ("validation_midi/Anon__one.mid", "validation_midi/900.mid", "midi/pop909/001.mid"):
        write_midi(folder / name)
    return folder


def make_tiny_pack(folder: Path) -> Path:
    """The random pack `tiny`."""
    preset = PRESETS["tiny"]
    write_pack(folder, preset, random_stages(preset, 1), export_random("tiny", 1), "card", None, random=True)
    return folder
