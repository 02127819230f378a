"""What is played stays about as loud as its prompt."""

import numpy as np
import pytest

from segue_training.evaluate import level
from segue_training.loudness import LoudnessConfig, held

RATE = 8000
DESCRIBED = LoudnessConfig().described()


def tone(seconds: int, db: float) -> np.ndarray:
    return 10 ** ((db + 3.01) / 20) * np.sin(np.arange(seconds * RATE) * 0.3)


@pytest.mark.parametrize(("db", "gain"), [(0.0, 0.0), (-6.0, 3.0), (4.0, -2.0), (-40.0, 6.0), (30.0, -6.0)])
def test_half_of_what_it_strays_is_taken_back_and_never_more_than_the_most(db: float, gain: float) -> None:
    # The same as in the engine's `loudness.rs`.
    sound = tone(20, db)
    found = held(sound, RATE, 0.0, DESCRIBED)
    assert level(found[-800:]) - level(sound[-800:]) == pytest.approx(gain, abs=0.1)


def test_it_begins_as_the_prompt_ends_and_nothing_steps() -> None:
    sound = tone(3, -12.0)
    # Two channels hold as much together as the one they are both of.
    both = held(np.stack([sound, sound], axis=1), RATE, 0.0, DESCRIBED)
    found = held(sound, RATE, 0.0, DESCRIBED)
    assert np.allclose(both[:, 1], found)
    gains = found[1:] / sound[1:]
    assert gains[0] == 1.0 and np.abs(np.diff(gains)).max() < 1e-4
