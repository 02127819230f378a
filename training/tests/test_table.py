"""The whole command on hardly any material, without the packages of requirements-figures.txt."""

import sys
from pathlib import Path

import pytest

from segue_training import figures, held_out, table
from tests.material import make_data, make_tiny_pack


def test_the_table_of_a_tiny_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, pack = make_data(tmp_path / "data"), make_tiny_pack(tmp_path / "tiny")
    out = tmp_path / "RESULTS.md"
    monkeypatch.setattr(held_out, "CLIP_BEGIN_SECONDS", 5.0)
    least = figures.Amounts(1, 3.0, 2, 20.0, 10, 2, 8.0, 20, 1)
    monkeypatch.setattr(table, "QUICK", least)
    folders = ["--work", str(tmp_path / "work"), "--data", str(data), "--packs", str(pack), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["table", *folders, "--quick", "--without", "visqol", "onsets", "opus"])
    table.main()
    text = out.read_text(encoding="utf-8")
    assert "## tiny\n" in text and str(tmp_path) not in text
    rows = [line for line in text.splitlines() if line.startswith("| semantic |")]
    assert len(rows) == 1 and rows[0].count("±") == 4
    assert sum(line.startswith("| original |") for line in text.splitlines()) == 2
    assert "nan" not in text
