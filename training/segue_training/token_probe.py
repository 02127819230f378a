"""A linear probe of tokens: how well they alone tell which keys sound."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

from .probe import KEYS, f1

STEPS, BATCH, LEARNING_RATE = 1000, 1024, 2e-2
"""A thousand or more one-hot inputs, each seldom seen, need more steps than the few features of `probe.probe`."""


class TokenProbe(nn.Module):
    """A linear layer on the one-hot vectors of all tokens of a frame."""

    def __init__(self, slots: int, cardinality: int) -> None:
        super().__init__()
        self.cardinality = cardinality
        self.table = nn.EmbeddingBag(slots * cardinality, KEYS, mode="sum")
        self.bias = nn.Parameter(torch.full((KEYS,), -3.0))
        nn.init.zeros_(self.table.weight)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens [N, slots] → logits [N, 88]."""
        return self.table(tokens + torch.arange(tokens.shape[1]) * self.cardinality) + self.bias


def probe_f1(
    train: list[np.ndarray],
    train_keys: list[torch.Tensor],
    test: list[np.ndarray],
    test_keys: list[torch.Tensor],
    cardinality: int,
    seed: int,
    steps: int = STEPS,
) -> float:
    """Streams of tokens [T, Q] with the keys [T, 88] that sound → the micro F1 of a probe on the `test` streams."""
    inputs, keys = _joined(train), torch.cat(train_keys)
    generator = torch.Generator().manual_seed(seed)
    probe = TokenProbe(inputs.shape[1], cardinality)
    optimiser = torch.optim.AdamW(probe.parameters(), LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(len(inputs), (BATCH,), generator=generator)
        loss = F.binary_cross_entropy_with_logits(probe(inputs[rows]), keys[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        return f1(probe(_joined(test)), torch.cat(test_keys))


def _joined(streams: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(streams).astype(np.int64))
