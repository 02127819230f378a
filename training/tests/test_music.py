"""The figures of continuations on made-up notes, sounds and clouds of points whose answer is known."""

import numpy as np
import pytest

from segue_training import faults, music
from segue_training.evaluate import drift
from segue_training.frechet import Projection, frechet
from segue_training.midi import Note
from segue_training.prompts import Prompt, another, cut, place

RATE = 48000


def melody(seconds: float, period: float = 0.25, seed: int = 0, begin: float = 0.0) -> list[Note]:
    """A note each `period`, its key by chance from a C major scale."""
    rng = np.random.default_rng(seed)
    scale = np.array([48, 50, 52, 53, 55, 57, 59, 60, 62, 64, 65, 67, 69, 71])
    onsets = np.arange(begin, seconds, period)
    return [Note(float(t), float(t) + 0.9 * period, int(rng.choice(scale)), 64) for t in onsets]


def shifted(notes: list[Note], seconds: float, keys: int = 0) -> list[Note]:
    return [Note(n.onset + seconds, n.end + seconds, n.key + keys, n.velocity) for n in notes]


PROMPT = melody(4.0)
LOOP = [note for turn in range(4) for note in shifted(PROMPT, 4.0 * turn)]


def figures(notes: list[Note], seconds: float = 16.0) -> dict[str, float | None]:
    return music.compared(PROMPT, [(0.0, 2.0)], 4.0, notes, [(0.0, seconds / 4)], seconds)


def test_a_loop_is_its_prompt_again() -> None:
    found = figures(LOOP)
    assert found["repeated"] == 1
    for name in ("pitch_class", "density", "velocity", "polyphony", "grid"):
        assert found[name] == pytest.approx(1, abs=0.03), name
    assert found["pedal"] == pytest.approx(0.5)


def test_a_loop_heard_a_little_late_and_with_gaps_is_still_one() -> None:
    rng = np.random.default_rng(1)
    heard = [shifted([note], float(rng.normal(0, 0.01)))[0] for note in LOOP if rng.random() > 0.05]
    assert music.repeated_share(PROMPT, heard) > 0.9


def test_other_notes_of_the_same_scale_repeat_nothing() -> None:
    assert music.repeated_share(PROMPT, melody(16.0, seed=7)) < 0.1
    assert music.repeated_share(PROMPT, melody(16.0, 0.125, seed=7)) < 0.1
    half = LOOP[: len(LOOP) // 2] + melody(16.0, seed=7, begin=8.0)
    assert music.repeated_share(PROMPT, half) == pytest.approx(0.5, abs=0.08)
    # The same keys at other times, and the same times with other keys.
    assert music.repeated_share(PROMPT, [Note(1.37 * n.onset, 1.37 * n.end, n.key, 64) for n in PROMPT]) < 0.5
    assert music.repeated_share(PROMPT, shifted(LOOP, 0.0, 1)) < 0.1


def test_another_key_agrees_less() -> None:
    def chords(root: int) -> list[Note]:
        return [Note(float(t), t + 1.0, root + key, 64) for t in range(4) for key in (0, 4, 7, 12)]

    def agreement(root: int) -> float:
        histograms = (music.pitch_classes(chords(base), 4.0) for base in (48, root))
        return music.pitch_class_agreement(*histograms)

    assert agreement(48) == agreement(60) == pytest.approx(1)
    assert agreement(54) < 0 and agreement(49) < 0
    # What sounds longer counts more, and nothing counts behind the end.
    assert music.pitch_classes([Note(0.0, 3.0, 60, 1), Note(3.0, 9.0, 61, 1)], 4.0)[:2].tolist() == [3, 1]
    assert music.pitch_class_agreement(np.zeros(12), np.ones(12)) == 0


def test_density_velocity_pedal_polyphony() -> None:
    twice = sorted([*LOOP, *shifted(LOOP, 0.125)], key=lambda note: note.onset)
    assert figures(twice)["density"] == pytest.approx(2)
    softer = [Note(n.onset, n.end, n.key, 32) for n in LOOP]
    assert figures(softer)["velocity"] == pytest.approx(0.5)
    third = [Note(n.onset, n.end, n.key + key, 64) for n in LOOP for key in (0, 4)]
    assert figures(third)["polyphony"] == pytest.approx(2)
    assert music.covered([(0, 2), (1, 3), (5, 9)], 6.0) == 4
    assert music.compared(PROMPT, [], 4.0, LOOP, [(0, 9)], 16.0)["pedal"] is None


def test_nothing_heard() -> None:
    found = figures([])
    assert found["pitch_class"] == found["density"] == found["grid"] == 0
    assert found["velocity"] is found["polyphony"] is found["repeated"] is None


def test_the_grid_is_found_and_kept_or_lost() -> None:
    rng = np.random.default_rng(2)
    prompt = music.moments(PROMPT)
    assert music.grid_period(prompt) == pytest.approx(0.25, rel=0.02)
    assert music.grid_period(prompt[:3]) is None
    for period in (0.25, 0.125, 0.5, 0.245):
        assert music.grid_agreement(prompt, np.arange(0.1, 16.0, period), 16.0) > 0.97, period
    # A player who bends the tempo stays on it; another tempo and no tempo at all are off it.
    bent = np.cumsum(0.25 + 0.006 * np.sin(np.arange(64) / 6))
    assert music.grid_agreement(prompt, bent, 16.0) > 0.8
    assert music.grid_agreement(prompt, np.arange(0.0, 16.0, 0.29), 16.0) < 0.4
    assert music.grid_agreement(prompt, np.sort(rng.uniform(0, 16, 64)), 16.0) < 0.45


def test_a_chord_is_one_moment() -> None:
    notes = [Note(t, 2.0, 60 + i, 64) for i, t in enumerate((0.0, 0.01, 0.02, 0.5, 0.9))]
    assert len(music.moments(notes)) == 3


def tone(seconds: float, decay: float) -> np.ndarray:
    """A chord struck once, falling by e^decay a second."""
    time = np.arange(int(seconds * RATE)) / RATE
    return 0.1 * sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6)) * np.exp(-decay * time)


def test_silence_noise_and_a_stuck_chord_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    prompt, struck = tone(4.0, 1.0), np.array([0.0])
    good = np.concatenate([tone(1.0, 1.0)] * 8)
    found = faults.found_in(prompt, good, RATE, np.arange(8.0))
    assert found["silence_s"] == found["noise_s"] == found["stuck_s"] == found["silent_share"] == 0

    gap = good.copy()
    gap[2 * RATE : 5 * RATE] = 0
    found = faults.found_in(prompt, gap, RATE, np.arange(8.0))
    assert found["silence_s"] == pytest.approx(3) and found["silent_share"] == pytest.approx(3 / 8)
    assert found["noise_s"] == 0

    noise = good.copy()
    noise[2 * RATE : 5 * RATE] = 0.05 * rng.standard_normal(3 * RATE)
    # Brown noise is noise too.
    brown = good.copy()
    brown[2 * RATE : 5 * RATE] = np.diff(np.cumsum(rng.standard_normal(3 * RATE + 1)) * 0.99)
    for sound in (noise, brown):
        found = faults.found_in(prompt, sound, RATE, np.arange(8.0))
        assert found["noise_s"] == pytest.approx(3, abs=0.3) and found["silence_s"] == 0

    stays, falls = tone(5.0, 0.0), tone(5.0, 0.5)
    assert faults.found_in(prompt, stays, RATE, struck)["stuck_s"] == pytest.approx(5, abs=0.2)
    assert faults.found_in(prompt, falls, RATE, struck)["stuck_s"] == 0
    # Struck again in time.
    assert faults.found_in(prompt, stays, RATE, np.arange(0.0, 5.0, 0.5))["stuck_s"] < 2


def test_drift() -> None:
    sound = np.concatenate([tone(1.0, 1.0)] * 8)
    assert abs(drift(sound)) < 1e-6
    sound[6 * RATE :] /= 2
    assert drift(sound) == pytest.approx(-6.02, abs=0.01)


def test_a_seam_that_goes_on_and_one_that_jumps() -> None:
    sound = tone(2.0, 1.0)
    before, after = sound[:RATE], sound[RATE:]
    smooth = faults.seam_step_db(before, after, RATE)
    noise = 0.1 * np.random.default_rng(4).standard_normal(RATE)
    assert smooth < 3
    # Twenty decibels, less what then lies below the floor.
    assert 15 < faults.seam_step_db(before, 0.1 * after, RATE) < 20.5
    assert faults.seam_step_db(before, noise, RATE) > 15


def test_frechet_of_known_gaussians() -> None:
    rng = np.random.default_rng(5)
    cloud = rng.standard_normal((20000, 4))
    assert frechet(cloud, cloud) == pytest.approx(0, abs=1e-9)
    assert frechet(cloud, cloud + np.array([3.0, 0, 0, 4.0])) == pytest.approx(25)
    # Deviations of 1 and 2 in four dimensions: 4 · (2 − 1)².
    assert frechet(cloud, 2 * rng.standard_normal((20000, 4))) == pytest.approx(4, abs=0.2)


def test_the_projection_keeps_what_varies() -> None:
    rng = np.random.default_rng(6)
    hidden = rng.standard_normal((200, 3))
    embeddings = hidden @ rng.standard_normal((3, 50)) + 7
    projection = Projection.of(embeddings, 3)
    assert projection.kept == pytest.approx(1)
    projected = projection(embeddings)
    assert projected.var(axis=0, ddof=1).sum() == pytest.approx(1)
    # Distances stay what they were but for one scale.
    near, far = (np.linalg.norm(x[0] - x[1:], axis=1) for x in (projected, embeddings))
    assert np.allclose(near / far, near[0] / far[0])


def test_a_cut_is_where_music_is() -> None:
    notes = melody(30.0) + melody(60.0, begin=45.0)
    assert place(notes, 10.0, 4.0, 8.0) == pytest.approx(10)
    # 31 s is in a rest: earlier. Too late a wish: as late as it goes on long enough.
    assert place(notes, 31.0, 4.0, 8.0) < 30
    assert place(notes, 1000.0, 4.0, 8.0) == pytest.approx(notes[-1].onset - 12)
    assert place(melody(1.0), 10.0, 4.0, 8.0) is None


def test_another_piece_is_another_and_of_the_same_piano_if_possible() -> None:
    def prompt(piece: str, piano: str, value: float) -> Prompt:
        return cut(piece, piece, piano, np.full((3 * RATE, 2), value, np.float32), 1.0, 2.0)

    prompts = [prompt("a", "x", 0.1), prompt("a", "y", 0.2), prompt("b", "y", 0.3), prompt("c", "x", 0.4)]
    assert another(prompts, 0)[0, 0] == np.float32(0.4)
    assert another(prompts, 1)[0, 0] == np.float32(0.3)
    assert another(prompts, 2)[0, 0] == np.float32(0.2)
    with pytest.raises(ValueError, match="two pieces"):
        another(prompts[:2], 0)


def test_a_loop_fills_the_time_of_the_truth() -> None:
    sound = np.arange(5 * RATE, dtype=np.float32)[:, None].repeat(2, axis=1)
    made = cut("a", "a", "x", sound, 2.0, 3.0)
    assert made.loop().shape == made.truth.shape
    assert np.array_equal(made.loop()[2 * RATE :], made.prompt[:RATE])
