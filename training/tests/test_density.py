"""What is played keeps to its prompt's density."""

from pathlib import Path

import numpy as np
import pytest

from segue_training.density import Density
from segue_training.runtime import Dials, Pack, Timing

DESCRIBED = {"notes": [1, 9], "codebooks": 2, "seconds": 2.0, "share": 0.5, "gain": 1.0, "most": 1.5}
TINY = Path(__file__).parents[2] / "assets" / "test" / "tiny-pack"


def test_what_has_played_too_much_rests_more_and_the_other_way_round() -> None:
    # The same as in the engine's `stages/density.rs`.
    prompt = np.array([[3, 1, 5], [9, 0, 5]] * 25)
    density = Density(DESCRIBED, 25.0, prompt)
    assert density.calm == pytest.approx(0.0)
    for _ in range(300):
        density.hear(np.array([8, 2, 5]))
    assert density.calm == pytest.approx(np.log(4.0), abs=0.05)
    for _ in range(300):
        density.hear(np.array([10, 0, 5]))
    assert density.calm == -1.5
    assert np.isfinite(Density(DESCRIBED, 25.0, np.zeros((10, 3), int)).calm)


def test_a_stage_plays_as_densely_as_its_manifest_says() -> None:
    pack = Pack(TINY)
    first, end = pack.stages["semantic"]["density"]["notes"]
    prompt = np.zeros((50, pack.stages["semantic"]["codebooks"]), int)
    prompt[::4, 0], prompt[1::4, 0], prompt[2::4, 0], prompt[3::4, 0] = first + 40, end, end + 1, end + 2

    def notes(**changed: float) -> int:
        stage = pack.runner("semantic")
        stage.described = stage.described | {"density": stage.described["density"] | changed}
        made = stage.generate(prompt, 250, None, Dials(1.0, 1.0), np.random.default_rng(1), Timing())[50:]
        return int(((made[:, 0] >= first) & (made[:, 0] < end)).sum())

    few, alone, many = notes(share=0.2), notes(gain=0.0), notes(share=5.0)
    assert few < alone < many
