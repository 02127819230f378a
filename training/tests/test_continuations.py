"""The whole command on hardly any material with a transcriber of its own, so that no package is needed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from segue_training import continuation_figures, continuations
from segue_training.continuation_figures import Amounts, grid, packed, unpacked
from segue_training.kept import Kept
from segue_training.midi import Note
from segue_training.onsets import Heard
from segue_training.playing import Player
from segue_training.runtime import Pack
from tests.material import make_data, make_tiny_pack

RATE = 48000


class Loud:
    """Hears a note wherever a tenth of a second is louder than the one before."""

    calls = 0

    def listen(self, audio: np.ndarray, rate: int) -> Heard:
        """As `onsets.Transcriber.listen`."""
        Loud.calls += 1
        tenths = np.abs(audio[: len(audio) // 4800 * 4800]).reshape(-1, 4800 * 2).mean(axis=1)
        louder = np.flatnonzero(np.diff(tenths, prepend=0) > 0)
        notes = tuple(Note(0.1 * i, 0.1 * i + 0.2, 60 + int(i) % 7, 64) for i in louder)
        seconds = audio[: len(audio) // rate * rate].reshape(-1, rate * 2)
        context = np.stack([np.abs(np.fft.rfft(row))[:48] for row in seconds]).astype(np.float32)
        return Heard(notes, ((0.0, 1.0),), context)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pack(tmp_path_factory.mktemp("packs") / "tiny")


def test_the_section_of_a_tiny_pack(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = make_data(tmp_path / "data"), tmp_path / "RESULTS.md"
    out.write_text("# What the tokens keep\n\nHow.\n\n## tiny\n\nbefore\n")
    monkeypatch.setattr(continuation_figures, "Transcriber", Loud)
    least = Amounts(1, 1, 2, 3.0, 3.0, 1, 8.0)
    monkeypatch.setattr(continuations, "QUICK", least)
    folders = ["--work", str(tmp_path / "work"), "--data", str(data), "--pack", str(pack), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["continuations", *folders, "--quick"])
    continuations.main()
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# What the tokens keep\n") and "before" in text
    assert "# How it plays on\n" in text and "**1 recordings + 1 cuts, 2 seed(s): 4 continuations**" in text
    for name in ("true continuation", "the same through the codec", "another piece", "loop of the prompt", "acoustic only", "all stages"):
        assert sum(line.startswith(f"| {name} |") for line in text.splitlines()) == 2, name
    assert "nan" not in text and str(tmp_path) not in text
    # Everything slow was kept: the same again without hearing anything.
    heard = Loud.calls
    continuations.main()
    assert Loud.calls == heard and out.read_text(encoding="utf-8") == text


def test_the_sweep_has_a_row_for_each_setting(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = make_data(tmp_path / "data"), tmp_path / "RESULTS.md"
    monkeypatch.setattr(continuation_figures, "Transcriber", Loud)
    monkeypatch.setattr(continuation_figures, "SWEEP", {"semantic": (0.5,), "coarse": (0.5, 1.0)})
    monkeypatch.setattr(continuations, "QUICK", Amounts(1, 1, 1, 3.0, 3.0, 0))
    folders = ["--work", str(tmp_path / "work"), "--data", str(data), "--pack", str(pack), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["continuations", *folders, "--quick", "--sweep"])
    continuations.main()
    text = out.read_text(encoding="utf-8")
    rows = ("as the pack has it", "semantic 0.5 · coarse 0.5", "semantic 0.5 · coarse 1.0", "fine 0.3", "top_p 0.9")
    assert "## tiny: sweep\n" in text
    assert all(sum(line.startswith(f"| {row} |") for line in text.splitlines()) == 2 for row in rows)


def test_the_grid_leaves_the_defaults_alone(pack: Path) -> None:
    defaults = Pack(pack).dials()
    found = grid(defaults)
    assert found["semantic 0.6 · coarse 1.1"]["semantic"].temperature == 0.6
    assert found["fine 0.3"]["fine"].temperature == 0.3 and found["fine 0.3"]["coarse"] == defaults["coarse"]
    assert {dial.top_p for dial in found["top_p 1.0"].values()} == {1.0}
    assert defaults == Pack(pack).dials()
    assert not any("fine" in name for name in grid({"coarse": defaults["coarse"]}))


def test_acoustic_only_differs_and_what_was_generated_is_kept(pack: Path, tmp_path: Path) -> None:
    time = np.arange(2 * RATE) / RATE
    prompt = (0.1 * np.sin(2 * np.pi * 220 * time) * np.exp(-4 * (time % 0.5)))[:, None].repeat(2, axis=1)
    player = Player(Pack(pack), Kept(tmp_path))
    dials = player.pack.dials()
    full = player.play_on(prompt, 2.0, dials, 1)
    acoustic = player.play_on(prompt, 2.0, dials, 1, acoustic_only=True)
    assert full.shape == acoustic.shape == (2 * RATE, 2) and np.isfinite(full).all()
    assert not np.array_equal(full, acoustic) and len(list(tmp_path.iterdir())) == 2
    assert np.array_equal(player.play_on(prompt, 2.0, dials, 1), full)
    assert len(list(tmp_path.iterdir())) == 2
    dials["coarse"].temperature = 0.5
    player.play_on(prompt, 2.0, dials, 1)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_was_heard_is_kept_as_it_was() -> None:
    heard = Heard((Note(0.5, 1.25, 60, 64),), ((0.0, 2.0),), np.ones((4, 6), np.float32))
    again = unpacked(packed(heard))
    assert again.notes == heard.notes and again.pedal == heard.pedal and np.array_equal(again.context, heard.context)
    nothing = unpacked(packed(Heard((), (), np.zeros((0, 6), np.float32))))
    assert nothing.notes == () and nothing.pedal == ()
