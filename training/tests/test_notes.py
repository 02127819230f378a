"""Note tokens: what they say, what is learnt for them, and how it is measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segue_training import train_notes
from segue_training.checkpoint import write
from segue_training.export_tokenizers import TINY_SEMANTIC
from segue_training.notes import DELAY, KEYS, NOTHING, NoteNetwork, note_vectors
from segue_training.optimiser import Optimiser
from segue_training.semantic import SemanticNetwork, note_network

CONFIG = replace(TINY_SEMANTIC, cardinality=1024, note_books=2, note_levels=8)
REST = KEYS * 8
BANDS = SemanticNetwork(CONFIG).filters.shape[1]


class Given(NoteNetwork):
    """One that names what it is told to."""

    def __init__(self, odds: torch.Tensor, velocity: torch.Tensor) -> None:
        super().__init__(4, 8, 1, 3, levels=8, rests=3)
        self.given = (odds, velocity)

    def forward(self, bands: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.given


def named(struck: dict[tuple[int, int], tuple[float, float]], frames: int, books: int) -> torch.Tensor:
    """Tokens [frames, books] where (frame, key) has such (log odds, velocity)."""
    odds, velocity = torch.full((1, frames, KEYS), -6.0), torch.full((1, frames, KEYS), 0.5)
    for (frame, key), (odd, hard) in struck.items():
        odds[0, frame, key], velocity[0, frame, key] = odd, hard
    network = Given(odds, velocity)
    return network.tokens(torch.zeros(1, frames, 4), books)[0]


def test_a_key_is_named_once_the_highest_first_and_the_surest_of_too_many() -> None:
    tokens = named({(1, 40): (2.0, 0.0), (2, 40): (3.0, 0.9), (1, 52): (1.0, 0.99), (4, 40): (1.0, 0.3)}, 6, 2)
    assert tokens.tolist() == [
        [REST + 1, NOTHING],
        [1 + 52 * 8 + 7, 1 + 40 * 8],
        [REST + 1, NOTHING],
        [REST + 2, NOTHING],
        [1 + 40 * 8 + 2, NOTHING],
        [REST + 1, NOTHING],
    ]
    assert named({}, 5, 1)[:, 0].tolist() == [REST + 1, REST + 2, REST + 3, REST + 3, REST + 3], "the last is for all longer ones"
    crowded = named({(0, 10): (3.0, 0.5), (0, 20): (1.0, 0.5), (0, 30): (2.0, 0.5)}, 1, 2)
    assert [(token - 1) // 8 for token in crowded[0].tolist()] == [30, 10]


def test_notes_that_are_alike_have_vectors_that_are_near() -> None:
    vectors = note_vectors(8, 100, 1024, 64)

    def apart(a: int, b: int) -> float:
        return float((vectors[a] - vectors[b]).norm())

    middle = 1 + 39 * 8 + 4
    assert apart(middle, middle + 1) < apart(middle, middle + 8) < apart(middle, middle + 20 * 8)
    assert apart(middle, middle + 12 * 8) < apart(middle, middle + 13 * 8), "an octave is nearer than a ninth"
    assert not vectors[1 + REST + 100 :].any()
    assert apart(REST + 6, REST + 7) < apart(REST + 6, REST + 12) < apart(REST + 6, REST + 40) < apart(REST + 6, middle)
    with pytest.raises(ValueError, match="805 tokens"):
        note_vectors(8, 100, 512, 64)


def test_what_is_played_higher_is_named_higher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = make_work(tmp_path, performances=1, frames=400)
    played = train_notes.Played(work, CONFIG, seed=1)
    monkeypatch.setattr(played.pairs, "tone", lambda count, bands: torch.zeros(count, 1, bands))
    true = played.rolls[0]
    for by in (-3, 2):
        played.rng = Fixed(by)
        bands, struck = played.draw(1, 400)
        assert struck.shape == (1, 400, KEYS)
        keys = np.argwhere(struck[0].numpy() > 0)[:, 1]
        assert sorted(keys) == sorted(key + by for key in np.argwhere(true)[:, 1] if key + by >= 0)
        plain = torch.from_numpy(played.pairs.items[0][0].astype(np.float32))
        inside = slice(4, BANDS - 4)
        assert torch.allclose(bands[0].roll(-by, 1)[:, inside], plain[:, inside], atol=1e-2)


def test_it_learns_to_name_what_is_struck_goes_on_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    for name, value in {"BATCH": 4, "CLIP_FRAMES": 60, "SEMITONES": 0, "DETUNED": 0.0, "NOISE_SHARE": 0.0}.items():
        monkeypatch.setattr(train_notes, name, value)
    work = make_work(tmp_path, performances=3, frames=400)
    played = train_notes.Played(work, CONFIG, seed=1)
    held_out = [
        (torch.from_numpy(item[0].astype(np.float32)), torch.from_numpy(keys))
        for item, keys in zip(played.pairs.items, played.rolls, strict=True)
    ]
    network = note_network(CONFIG)
    network.accustom(played.draw(4, 60)[0])
    before = train_notes.evaluate(network, held_out)["f1"]
    optimiser = Optimiser(network)
    for step in range(400):
        naming, touch = train_notes.loss_of(network, *played.draw(4, 60))
        optimiser.step(naming + touch, step, step / 400)
    assert before < 0.1 and train_notes.evaluate(network, held_out)["f1"] > 0.8
    path = work / "checkpoints" / train_notes.NAME
    path.parent.mkdir()
    state = {"model": network.state_dict(), "optimiser": optimiser.state_dict(), "step": 400, "spent": 60.0}
    write(path, state | {"figures": {"f1": 0.9}})
    monkeypatch.setattr(train_notes, "held_out_pieces", lambda *_: held_out)
    assert train_notes.train(work, CONFIG, minutes=1.0)["f1"] > 0.8, "no minutes are left, nothing is forgotten"
    kept, figures = train_notes.load_notes(path, CONFIG)
    assert torch.equal(kept.output.weight, network.output.weight) and figures["f1"] > 0.8
    with pytest.raises(FileNotFoundError, match="train_notes"):
        train_notes.load_notes(tmp_path / "none.pt", CONFIG)


def test_figures_count_each_key_once_and_forgive_a_frame() -> None:
    true = torch.zeros(10, KEYS)
    true[2, 40], true[6, 50], true[8, 60] = 0.5, 0.5, 0.5
    odds, velocity = torch.full((1, 10, KEYS), -6.0), torch.full((1, 10, KEYS), 0.5)
    # On time; a frame late; two late, which is wrong; and one that nobody struck.
    for frame, key in ((2, 40), (7, 50), (5, 60), (4, 40)):
        odds[0, frame + DELAY, key] = 2.0
    found = train_notes.evaluate(Given(odds, velocity), [(torch.zeros(10, 4), true)])
    assert (found["precision"], found["recall"]) == pytest.approx((2 / 4, 2 / 3))


class Fixed:
    """A random generator that moves by so many semitones and does nothing else."""

    def __init__(self, by: int) -> None:
        self.by = by

    def integers(self, low: int, high: int | None = None) -> int:
        return self.by if low < 0 else 0

    def uniform(self, low: float, high: float) -> float:
        return 0.0

    def random(self) -> float:
        return 1.0

    def normal(self, mean: float, spread: float, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


def make_work(folder: Path, performances: int, frames: int) -> Path:
    """WORK/pairs and the notes beside WORK/audio: each key is a band that jumps up and fades."""
    (folder / "pairs").mkdir()
    (folder / "audio").mkdir()
    seconds = CONFIG.hop / CONFIG.sample_rate
    for index in range(performances):
        random = np.random.default_rng(index)
        bands, notes = np.full((frames, BANDS), -1.0), []
        for frame in range(8, frames, 5):
            key = int(random.integers(1, 20))
            fade = np.maximum(2.0 - 0.5 * np.arange(frames - frame), -1.0)
            bands[frame:, key] = fade
            notes.append((frame * seconds + 0.01, frame * seconds + 0.5, key + 21, 80))
        both = np.stack([bands, bands]) + 0.001 * random.normal(size=(2, frames, BANDS))
        np.save(folder / "pairs" / f"01_{index:06d}.npy", both.astype(np.float16))
        np.save(folder / "audio" / f"01_{index:06d}.notes.npy", np.array(notes, np.float32))
    return folder
