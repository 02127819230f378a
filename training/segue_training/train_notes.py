"""Trains the semantic tokenizer's part that names what is struck, on renderings and the notes they were made of.

python -m segue_training.train_notes --work WORK --minutes 15

Both recordings of each performance (`pairs`) are learnt from. `train_semantic` then puts it into the tokenizer.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .checkpoint import write
from .dataset import load_audio, renderings
from .midi import LOWEST_KEY
from .notes import DELAY, KEYS, NoteNetwork
from .optimiser import Optimiser
from .pairs import Pairs, bands_of
from .semantic import SemanticConfig, SemanticNetwork, note_network

BATCH, CLIP_FRAMES = 24, 160
UNHEARD_FRAMES = 6
"""At the start of a clip are not learnt from: what sounds there may have been struck before."""
SEMITONES, DETUNED = 3, 0.35
NOISE_SHARE, NOISE_SPREAD = 0.4, 0.2
TEST_BOOKS = 4
SAVE_SECONDS, EVALUATE_SECONDS = 120.0, 240.0
NAME = "notes.pt"


def roll(notes: np.ndarray, frames: int, frame_seconds: float) -> np.ndarray:
    """Notes [n, 4] (onset s, end s, key, velocity) → velocities uint8 [frames, KEYS] where a key is struck, else 0."""
    found = np.zeros((frames, KEYS), np.uint8)
    at = np.floor(notes[:, 0] / frame_seconds).astype(int)
    inside = (at >= 0) & (at < frames)
    found[at[inside], notes[inside, 2].astype(int) - LOWEST_KEY] = np.clip(notes[inside, 3], 1, 127)
    return found


class Played:
    """Draws clips of both recordings of each performance, with what is struck in them."""

    def __init__(self, work: Path, config: SemanticConfig, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.pairs = Pairs(work / "pairs", seed)
        notes = (np.load(work / "audio" / f"{name}.notes.npy") for name in self.pairs.names)
        seconds = config.hop / config.sample_rate
        self.rolls = [roll(n, item.shape[1], seconds) for n, item in zip(notes, self.pairs.items, strict=True)]
        self.bands_per_semitone = config.bands_per_semitone

    def draw(self, batch: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Bands [batch, frames, bands] and velocities [batch, frames, KEYS] (0 to 1, 0: not struck): at another pitch, of
        another tone, some with noise."""
        bands, struck = [], []
        while len(bands) < batch:
            index = int(self.rng.integers(len(self.rolls)))
            spare = len(self.rolls[index]) - frames
            if spare < 0:
                continue
            begin = int(self.rng.integers(spare + 1))
            item = self.pairs.items[index][int(self.rng.integers(2)), begin : begin + frames].astype(np.float32)
            by = int(self.rng.integers(-SEMITONES, SEMITONES + 1))
            bands.append(self.noisy(self.moved(item, by + self.rng.uniform(-DETUNED, DETUNED))))
            keys = np.roll(self.rolls[index][begin : begin + frames], by, axis=1)
            keys[:, : max(by, 0)] = 0
            keys[:, KEYS + min(by, 0) :] = 0
            struck.append(keys)
        varied = torch.from_numpy(np.stack(bands)) + self.pairs.tone(batch, bands[0].shape[-1])
        return varied, torch.from_numpy(np.stack(struck)).float() / 127

    def moved(self, bands: np.ndarray, semitones: float) -> np.ndarray:
        """Bands [T, bands] so much higher; beyond the ends lies what the end is."""
        count = bands.shape[1]
        place = np.clip(np.arange(count) - semitones * self.bands_per_semitone, 0, count - 1)
        below = place.astype(int)
        above, share = np.minimum(below + 1, count - 1), (place - below).astype(np.float32)
        return bands[:, below] * (1 - share) + bands[:, above] * share

    def noisy(self, bands: np.ndarray) -> np.ndarray:
        """Some clips over a floor of noise."""
        if self.rng.random() >= NOISE_SHARE:
            return bands
        floor = bands.min() + self.rng.uniform(-0.2, 1.2) + self.rng.normal(0.0, NOISE_SPREAD, bands.shape)
        return np.logaddexp(2.5 * bands, 2.5 * floor).astype(np.float32) / 2.5


def loss_of(network: NoteNetwork, bands: torch.Tensor, struck: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy over all keys of a frame, in nats, and the mean error of the velocity of those struck."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        odds, velocity = network(bands)
    first = UNHEARD_FRAMES
    odds, velocity = odds[:, first + DELAY :], velocity[:, first + DELAY :]
    true = struck[:, first : struck.shape[1] - DELAY]
    hit = (true > 0).float()
    naming = KEYS * F.binary_cross_entropy_with_logits(odds, hit)
    touch = ((velocity - true).abs() * hit).sum() / hit.sum().clamp(min=1)
    return naming, touch


@torch.no_grad()
def evaluate(network: NoteNetwork, held_out: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, float]:
    """Of bands [T, bands] and velocities [T, KEYS] of each held-out piece: how well the tokens' keys agree with those struck,
    right within a frame."""
    right = found = wanted = 0
    for bands, struck in held_out:
        keys = network.keys_of(network.tokens(bands[None], TEST_BOOKS)[0])
        named = torch.zeros(len(keys), KEYS + 1, dtype=torch.bool).scatter_(1, keys % (KEYS + 1), True)
        named, true = named[DELAY:, :KEYS], struck[: len(struck) - DELAY] > 0
        found, wanted = found + int(named.sum()), wanted + int(true.sum())
        # Each is counted once: those at the same frame first, then those a frame late, then those early.
        for late in (0, 1, -1):
            hits = named & true.roll(late, 0)
            right += int(hits.sum())
            named, true = named & ~hits, true & ~hits.roll(-late, 0)
    return {"precision": right / max(1, found), "recall": right / max(1, wanted), "f1": 2 * right / max(1, found + wanted)}


def held_out_pieces(work: Path, network: SemanticNetwork) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The held-out renderings as `evaluate` wants them."""
    folder, config, found = work / "validation_audio", network.config, []
    for rendering in renderings(folder):
        bands = bands_of(network, load_audio(folder, rendering.id).astype(np.float32) / 32768.0)
        notes = np.load(folder / f"{rendering.id}.notes.npy")
        struck = roll(notes, len(bands), config.hop / config.sample_rate)
        found.append((torch.from_numpy(bands).float(), torch.from_numpy(struck)))
    return found


def load_notes(path: Path, config: SemanticConfig) -> tuple[NoteNetwork, dict[str, float]]:
    """The network of a checkpoint and its held-out figures. Raises FileNotFoundError where there is none."""
    if not path.exists():
        raise FileNotFoundError(f"no {path}: run `train_notes` first, or `train_semantic --note-books 0`")
    state, network = torch.load(path, weights_only=True), note_network(config)
    network.load_state_dict(state["model"])
    return network.eval(), state["figures"]


def train(work: Path, config: SemanticConfig, minutes: float) -> dict[str, float]:
    """Until `minutes` are spent in all, saving to WORK/checkpoints/notes.pt on the way and going on from there; the last
    figures."""
    path = work / "checkpoints" / NAME
    played, network = Played(work, config, seed=int(time.time())), note_network(config)
    optimiser, step, before = Optimiser(network), 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["model"])
        if state["optimiser"] is not None:
            optimiser.load_state_dict(state["optimiser"])
        step, before = state["step"], state["spent"]
    else:
        network.accustom(torch.cat([played.draw(BATCH, CLIP_FRAMES)[0] for _ in range(8)]))
    held_out = held_out_pieces(work, SemanticNetwork(config))
    spent, figures = before, evaluate(network, held_out)
    begun = saved = measured = time.monotonic()

    def keep() -> None:
        state = {"model": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}
        write(path, state | {"figures": figures})

    while spent < minutes * 60:
        naming, touch = loss_of(network, *played.draw(BATCH, CLIP_FRAMES))
        optimiser.step(naming + touch, step, spent / (minutes * 60))
        step += 1
        now = time.monotonic()
        spent = before + now - begun
        if step == 10 or now - measured > EVALUATE_SECONDS or spent >= minutes * 60:
            figures = evaluate(network, held_out)
            shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            print(f"{spent:.0f} s, step {step}: naming {naming:.3f}, touch {touch:.3f}; held out: {shown}", flush=True)
            measured = now
        if now - saved > SAVE_SECONDS:
            keep()
            saved = now
    keep()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0, help="in all")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(3)
    (arguments.work / "checkpoints").mkdir(parents=True, exist_ok=True)
    train(arguments.work, SemanticConfig(), arguments.minutes)


if __name__ == "__main__":
    main()
