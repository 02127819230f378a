"""What each stage is asked to predict, and the small troubles its inputs are given so that it forgives its own."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .stages import AutoregressiveConfig, AutoregressiveStage, ParallelStage, Stage

PAD = -1
"""Marks the frames behind the end of an excerpt: not trained on, shown to the model as begin of stream."""


@dataclass(frozen=True)
class Corruption:
    """Rates at which training inputs are disturbed; all zero for validation."""

    token: float = 0.4
    """Most history tokens of a sequence that are replaced by tokens of other places; each sequence draws its share below
    it. With little of this the coarse stage trusts what it has just played more than its condition, and a note that
    it has held a little too long never ends."""
    condition: float = 0.07
    """Share of sequences without any condition."""
    look_ahead: float = 0.15
    """Share of sequences whose condition does not reach as far ahead as it could (as at the end of a stream)."""
    depth_share: float = 0.25
    """Share of the frames on which the depth transformer is trained: neighbours teach it the same."""


CLEAN = Corruption(token=0.0, condition=0.0, look_ahead=0.0, depth_share=1.0)


def losses(stage: Stage, batch: dict[str, Tensor], corruption: Corruption) -> Tensor:
    """Mean cross-entropy in nats of each codebook of the stage, [C]."""
    if isinstance(stage, AutoregressiveStage):
        return _autoregressive(stage, batch["frames"], batch.get("cond"), corruption)
    return _parallel(stage, batch["frames"], corruption)


def _autoregressive(stage: AutoregressiveStage, frames: Tensor, cond: Tensor | None, corruption: Corruption) -> Tensor:
    """frames [B, S, C] with PAD behind the end and `cardinality` where a token is not known (`score_tokens`), cond [B, S, window]."""
    config = stage.config
    known = frames.clamp(min=0)
    history = _replace_some(stage.shifted(known), config.cardinality, corruption.token)
    history = torch.where(stage.shifted(frames) == PAD, config.cardinality, history)
    if cond is not None:
        cond = _hide(cond, config, corruption)
    context = stage.context_of(history, cond).flatten(0, 1)
    targets = frames.flatten(0, 1)
    wanted = (targets[:, 0] != PAD).nonzero().squeeze(1)
    if stage.depth is not None and corruption.depth_share < 1:
        chosen = torch.rand(len(wanted)).argsort()[: max(1, int(len(wanted) * corruption.depth_share))]
        wanted = wanted[chosen]
    targets = targets[wanted]
    # An unknown token is told to those behind it as some token: books of one frame are known together, the first ones alone, or none.
    logits = stage.logits(context[wanted], targets.clamp(max=config.cardinality - 1))
    return _cross_entropy(logits, targets, unknown=config.cardinality)


def _parallel(stage: ParallelStage, frames: Tensor, corruption: Corruption) -> Tensor:
    """frames [B, T, given + C]"""
    given = stage.config.given
    known = frames.clamp(min=0)
    codes = _replace_some(known[..., :given], stage.config.cardinality, corruption.token)
    logits = stage.logits(codes, known[..., given:])
    kept = frames[..., 0] != PAD
    return _cross_entropy(logits[kept], frames[..., given:][kept], unknown=stage.config.cardinality)


def _cross_entropy(logits: Tensor, targets: Tensor, unknown: int) -> Tensor:
    """logits [N, C, V], targets [N, C] → [C], of targets that are known."""
    each = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none", ignore_index=unknown)
    return each.view(targets.shape).sum(dim=0) / (targets != unknown).sum(dim=0).clamp(min=1)


def _replace_some(codes: Tensor, cardinality: int, rate: float) -> Tensor:
    """Put tokens of other sequences and times at a share of the places, per codebook; leaves begin of stream alone.
    Each sequence's share is drawn between 0 and `rate`."""
    if rate == 0:
        return codes
    rows = codes.flatten(0, 1)
    others = rows[torch.randperm(len(rows))].view(codes.shape)
    shares = rate * torch.rand(len(codes), *(1 for _ in codes.shape[1:]))
    chosen = (torch.rand(codes.shape) < shares) & (codes != cardinality) & (others != cardinality)
    return torch.where(chosen, others, codes)


def _hide(cond: Tensor, config: AutoregressiveConfig, corruption: Corruption) -> Tensor:
    """Hide the whole condition of some sequences, and the look-ahead (one or all of it) of some others."""
    batch, window = len(cond), len(config.condition_offsets)
    kept = torch.full((batch,), window)
    short = torch.rand(batch) < corruption.look_ahead
    kept = torch.where(short, torch.randint(1, window, (batch,)) if window > 1 else kept, kept)
    kept = torch.where(torch.rand(batch) < corruption.condition, 0, kept)
    hidden = torch.arange(window).repeat_interleave(config.condition_books) >= kept[:, None, None]
    return torch.where(hidden, config.condition_cardinality, cond)
