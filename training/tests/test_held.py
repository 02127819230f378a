"""What is played keeps to its prompt."""

from pathlib import Path

import numpy as np
import pytest

from segue_training.held import Density, Held, Pulse, tilt
from segue_training.runtime import Dials, Pack, Timing

DENSITY = {"notes": [1, 9], "codebooks": 2, "seconds": 2.0, "share": 0.5, "gain": 1.0, "most": 1.5}
KEYS = {"notes": [1, 25], "codebooks": 2, "seconds": 2.0, "share": 1.0, "gain": 1.0, "most": 1.5}
HARMONY = {"lowest": 60, "levels": 1, "gain": 0.5, "profile": 0.0, "floor": 0.01}
PULSE = {"gain": 2.0, "seconds": 4.0}
TINY = Path(__file__).parents[2] / "assets" / "test" / "tiny-pack"


def test_what_has_played_too_much_rests_more_and_the_other_way_round() -> None:
    # The same as in the engine's `stages/held/density.rs`.
    prompt = np.array([[3, 1, 5], [9, 0, 5]] * 25)
    density = Density(DENSITY, 25.0, prompt)
    assert density.calm == pytest.approx(0.0)
    for _ in range(300):
        density.hear(2)
    assert density.calm == pytest.approx(np.log(4.0), abs=0.05)
    for _ in range(300):
        density.hear(0)
    assert density.calm == -1.5
    assert np.isfinite(Density(DENSITY, 25.0, np.zeros((10, 3), int)).calm)


def test_a_beat_goes_on_where_the_prompt_leaves_it_and_follows_what_is_played() -> None:
    # The same as in the engine's `stages/held/pulse.rs`: struck every 10 frames, last in frame 90 of 100.
    struck = np.arange(100) % 10 == 0
    pulse = Pulse(PULSE, 25.0, struck)
    calm = []
    for t in range(100, 140):
        calm.append(pulse.calm)
        pulse.hear(int(t % 10 == 0))
    # On the beat 2 less, off it 2 more, and 0.82 more for what that lets through.
    assert calm[0] == pytest.approx(-1.18, abs=0.1) and calm[10] == pytest.approx(-1.18, abs=0.1)
    assert calm[5] == pytest.approx(2.82, abs=0.1)
    # Half a beat later from here on: after some seconds that is where the beat is.
    for t in range(140, 640):
        pulse.hear(int(t % 10 == 5))
    assert pulse.calm > 2.5
    assert Pulse(PULSE, 25.0, np.zeros(50, bool)).calm == 0.0


def test_notes_that_are_not_in_the_prompt_are_rarer_whatever_their_octave() -> None:
    # The same as in the engine's `stages/held/harmony.rs`: C twice, E once, in any octave.
    prompt = np.array([[1, 0, 0], [13, 5, 0], [25, 0, 0]])
    found = tilt(KEYS, HARMONY, prompt)
    assert found[0] == found[12] == 0.0
    assert found[4] == pytest.approx(0.5 * np.log((1 / 3 + 0.01) / (2 / 3 + 0.01)), abs=1e-6)
    assert found[1] == found[23] == pytest.approx(0.5 * np.log(0.01 / (2 / 3 + 0.01)), abs=1e-6)
    # A minor third above C and a fifth: what else C minor has is likelier than what it has not.
    minor = tilt(KEYS, HARMONY | {"profile": 0.5}, np.array([[1, 4, 0], [8, 0, 0]]))
    assert minor[8] > minor[9] and minor[10] > minor[11] and minor[3] > minor[4]
    assert not tilt(KEYS, HARMONY, np.zeros((10, 3), int)).any()


def test_a_stage_is_held_as_its_manifest_says() -> None:
    pack = Pack(TINY)
    first, end = pack.stages["semantic"]["density"]["notes"]
    prompt = np.zeros((50, pack.stages["semantic"]["codebooks"]), int)
    prompt[::4, 0], prompt[1::4, 0], prompt[2::4, 0], prompt[3::4, 0] = first + 40, end, end + 1, end + 2

    def made(density: dict[str, float] | None = None, harmony: dict[str, float] | None = None) -> np.ndarray:
        stage = pack.runner("semantic")
        # One thing at a time: the prompt's beat is so sure that nothing else would be heard.
        held = {"density": density or {}, "harmony": harmony or {}, "pulse": {"gain": 0.0}}
        stage.described = stage.described | {name: stage.described[name] | changed for name, changed in held.items()}
        tokens = stage.generate(prompt, 250, None, Dials(1.0, 1.0), np.random.default_rng(1), Timing())[50:, 0]
        return tokens[(tokens >= first) & (tokens < end)]

    few, alone, many = (len(made(density)) for density in ({"share": 0.2}, {"gain": 0.0}, {"share": 5.0}))
    assert few < alone < many

    def like(notes: np.ndarray) -> float:
        return np.mean((notes - first - 40) % 12 == 0)

    assert like(made(harmony={"gain": 1.0, "profile": 0.0})) > like(made(harmony={"gain": 0.0})) + 0.2


def test_a_prompt_too_short_to_have_a_beat_is_held_to_none() -> None:
    stage = {"density": DENSITY, "pulse": PULSE}
    assert Held(stage, 25.0, np.array([[3, 1, 5], [9, 0, 5]])).calm == pytest.approx(0.0)
