"""A probe of the semantic network: how well a linear layer on its features tells which keys sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

from .dataset import load_audio, renderings
from .midi import HIGHEST_KEY, LOWEST_KEY
from .semantic import SemanticNetwork
from .spectrum import analyse

KEYS = HIGHEST_KEY - LOWEST_KEY + 1
SOUNDING_SECONDS = 0.4
PROBE_STEPS = 300
TRAINING_EXCERPTS, TEST_EXCERPTS = 40, 14


def sounding_keys(notes: np.ndarray, frames: int, frame_seconds: float) -> torch.Tensor:
    """Notes [n, 4] (onset s, end s, key, velocity) → [frames, 88]: 1 where a key was struck within the last 0.4 s and
    is still held at the frame."""
    roll = torch.zeros(frames, KEYS)
    for onset, end, key, _ in notes:
        first = max(0, int(onset / frame_seconds))
        last = int(np.ceil(min(end, onset + SOUNDING_SECONDS) / frame_seconds))
        roll[first : max(last, first + 1), int(key) - LOWEST_KEY] = 1.0
    return roll


@torch.no_grad()
def gather(
    network: SemanticNetwork, folder: Path, count: int, seconds: float
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The features of every layer [N, dim] (the first entry: the input bands) and the sounding keys [N, 88]."""
    config = network.config
    layers: list[list[torch.Tensor]] = [[] for _ in range(config.layers + 1)]
    keys = []
    chosen = renderings(folder)
    for rendering in chosen[:: max(1, len(chosen) // count)][:count]:
        frames = int(min(seconds, rendering.seconds) * config.sample_rate) // config.hop
        mid = load_audio(folder, rendering.id)[: frames * config.hop].mean(axis=1, dtype=np.float32) / 32768.0
        bands = network.bands(analyse(torch.from_numpy(mid)[None], config.analysis, config.hop))
        for layer, features in zip(layers, [bands, *network(bands)], strict=True):
            layer.append(F.layer_norm(features[0], features.shape[-1:]))
        notes = np.load(folder / f"{rendering.id}.notes.npy")
        keys.append(sounding_keys(notes, frames, config.hop / config.sample_rate))
    return [torch.cat(layer) for layer in layers], torch.cat(keys)


def f1(logits: torch.Tensor, keys: torch.Tensor) -> float:
    """Micro F1 of `logits` > threshold against `keys`, at the best of a few thresholds."""
    scores = []
    for threshold in (-1.5, -1.0, -0.5, 0.0):
        found = logits > threshold
        right = (found & (keys > 0)).sum()
        scores.append(float(2 * right / (found.sum() + keys.sum() + 1e-9)))
    return max(scores)


def probe(features: torch.Tensor, keys: torch.Tensor, test: torch.Tensor, test_keys: torch.Tensor) -> float:
    """Trains a linear layer on `features`; its F1 on `test`."""
    linear = nn.Linear(features.shape[1], KEYS)
    optimiser = torch.optim.AdamW(linear.parameters(), 5e-3)
    for _ in range(PROBE_STEPS):
        rows = torch.randint(len(features), (2048,))
        loss = F.binary_cross_entropy_with_logits(linear(features[rows]), keys[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return f1(linear(test), test_keys)


def choose_layer(network: SemanticNetwork, work: Path) -> tuple[int, list[float]]:
    """The layer (1 is after the first block) whose probe is best on held-out pieces, and the F1 of the input bands
    followed by that of every layer."""
    features, keys = gather(network, work / "audio", TRAINING_EXCERPTS, 60.0)
    test, test_keys = gather(network, work / "validation_audio", TEST_EXCERPTS, 60.0)
    scores = [round(probe(a, keys, b, test_keys), 4) for a, b in zip(features, test, strict=True)]
    return 1 + int(np.argmax(scores[1:])), scores
