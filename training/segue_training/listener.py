"""What decoded sound tells of its notes: a loss of the codec.

Levels that are right within two decibels can still flicker as if a key were struck again, and one that is struck softly is
easily left out: of 164 notes that a transcriber misheard of a codec without this, 121 had never been struck (RESULTS.md, "Heard as
notes"). So the network that names notes (`train_notes`) listens to original and decoded sound, and what it makes of both is
compared: a perceptual loss as Johnson et al. 2016 (arXiv:1603.08155) have it for pictures.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from .semantic import SemanticConfig, SemanticNetwork
from .spectrum import analyse
from .train_notes import NAME, UNHEARD_FRAMES, load_notes


class Listener:
    """The network of WORK/checkpoints/notes.pt, which learns nothing here.

    Raises FileNotFoundError where there is none.
    """

    def __init__(self, work: Path, config: SemanticConfig) -> None:
        self.config = config
        self.filterbank = SemanticNetwork(config)
        self.network = load_notes(work / "checkpoints" / NAME, config)[0].requires_grad_(False)

    def hear(self, mid: torch.Tensor) -> torch.Tensor:
        """Mid [B, L] → the log odds that each key is struck [B, T, KEYS]. Differentiable."""
        mid = mid[:, : mid.shape[1] // self.config.hop * self.config.hop]
        bands = self.filterbank.bands(analyse(mid, self.config.analysis, self.config.hop))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.network(bands)[0]


def misheard(true: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Log odds [B, T, KEYS] of the original and of what was decoded → how much the latter misleads, in nats a frame
    (Kullback and Leibler, over all keys). The first frames do not count: see `train_notes.UNHEARD_FRAMES`."""
    true, found = true[:, UNHEARD_FRAMES:], found[:, UNHEARD_FRAMES:]
    struck = torch.sigmoid(true)
    nats = F.binary_cross_entropy_with_logits(found, struck, reduction="none")
    nats = nats - F.binary_cross_entropy_with_logits(true, struck, reduction="none")
    return nats.sum(-1).mean()
