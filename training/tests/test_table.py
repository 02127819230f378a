"""The whole command on hardly any material, without the packages of requirements-figures.txt."""

import sys
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from segue_training import figures, held_out, table
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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A DATA folder with one sample for a piano, one room, one recording and three pieces."""
    folder = tmp_path / "data"
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


def test_the_table_of_a_tiny_pack(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack, preset = tmp_path / "tiny", PRESETS["tiny"]
    write_pack(pack, preset, random_stages(preset, 1), export_random("tiny", 1), "card", None, random=True)
    out = tmp_path / "RESULTS.md"
    monkeypatch.setattr(held_out, "CLIP_BEGIN_SECONDS", 5.0)
    least = figures.Amounts(1, 3.0, 2, 20.0, 10, 2, 8.0, 20, 1)
    monkeypatch.setattr(table, "QUICK", least)
    folders = ["--work", str(tmp_path / "work"), "--data", str(data), "--packs", str(pack), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["table", *folders, "--quick", "--without", "visqol", "onsets", "opus"])
    table.main()
    text = out.read_text(encoding="utf-8")
    assert f"## {preset.name}\n" in text and str(tmp_path) not in text
    rows = [line for line in text.splitlines() if line.startswith("| semantic |")]
    assert len(rows) == 1 and rows[0].count("±") == 4
    assert sum(line.startswith("| original |") for line in text.splitlines()) == 2
    assert "nan" not in text
