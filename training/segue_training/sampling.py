"""The sampler of docs/pack.md in plain PyTorch: the reference that the ONNX graphs are tested against."""

import torch
from torch import Tensor
import torch.nn.functional as F

SMALLEST_TOP_P = 1e-6
"""top_p is raised to this, so that the best candidate is always kept."""
HIDDEN = -1e9
"""A logit that is never drawn, and finite, so that no difference of two of them is NaN."""


def sample(logits: Tensor, noise: Tensor, inv_temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """Top-k, temperature, top-p, Gumbel-max.

    logits [..., V] and noise [..., K] (Gumbel, or zeros for greedy; K ≤ V candidates are considered) → token [...]
    and its natural log-probability under the whole vocabulary at T = 1 [...].
    """
    candidates, ids = logits.topk(noise.shape[-1], dim=-1)
    scaled = candidates * inv_temperature
    probability = scaled.softmax(dim=-1)
    before = probability.cumsum(dim=-1) - probability
    kept = before < max(top_p, SMALLEST_TOP_P)
    best = (scaled + noise).masked_fill(~kept, -torch.inf).argmax(dim=-1, keepdim=True)
    token = ids.gather(-1, best).squeeze(-1)
    return token, logits.log_softmax(dim=-1).gather(-1, token[..., None]).squeeze(-1)


def tilted(logits: Tensor, tilt: Tensor, first: int) -> Tensor:
    """logits [N, V] with `tilt` [N, M] added to those of the M tokens from `first` on, which together stay as likely as they were:
    it moves probability among them, and none to or from the others."""
    some = slice(first, first + tilt.shape[-1])
    before, after = logits[:, some], logits[:, some] + tilt
    kept = after + before.logsumexp(-1, keepdim=True) - after.logsumexp(-1, keepdim=True)
    return torch.cat((logits[:, : some.start], kept, logits[:, some.stop :]), dim=-1)


def sample_or_hold(
    logits: Tensor, previous: Tensor, noise: Tensor, inv_temperature: float, top_p: float
) -> tuple[Tensor, Tensor]:
    """The sampler for a stream that holds a token for many frames: whether it holds is drawn at the model's own
    probability, temperature and top-p act on what it moves to.

    A temperature below 1 on the whole distribution turns p(hold) = 0.9 into 0.99: the music stands still. The paper
    removes repeats before its transformer (AudioLM §III-C), which has the same effect; this keeps the timing too.

    logits [B, V], previous [B] (V or more: none), noise [B, K] → token [B], log_prob [B], as `sample`. The K
    candidates are the K − 1 most likely others, then the hold.
    """
    log_probs = logits.log_softmax(dim=-1)
    held = torch.arange(logits.shape[-1]) == previous[:, None]
    hold = log_probs.exp().masked_fill(~held, 0.0).sum(-1, keepdim=True)
    others, ids = logits.masked_fill(held, HIDDEN).topk(noise.shape[-1] - 1, dim=-1)
    scaled = others * inv_temperature
    probability = scaled.softmax(dim=-1)
    before = probability.cumsum(dim=-1) - probability
    kept = scaled.masked_fill(before >= max(top_p, SMALLEST_TOP_P), HIDDEN)
    moves = kept.log_softmax(dim=-1) + (1 - hold).log()
    best = (torch.cat((moves, hold.log()), dim=-1) + noise).argmax(dim=-1, keepdim=True)
    token = torch.cat((ids, previous[:, None]), dim=-1).gather(-1, best)
    return token.squeeze(-1), log_probs.gather(-1, token).squeeze(-1)


def sample_or_rest(
    logits: Tensor,
    previous: Tensor,
    rests: range,
    noise: Tensor,
    inv_temperature: float,
    top_p: float,
    eagerness: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """As `sample_or_hold`, for a codebook whose tokens `rests` count how long nothing has been struck, those before them being
    notes: whether it rests is drawn at the model's own probability of all rests together, and which rest it is follows from
    the one before. A temperature that made rests likelier would end in silence, one that made them rarer in haste.

    logits [B, V], previous [B] (V or more: none), noise [B, K] → token [B], log_prob [B]: of a rest, that it is one. The K
    candidates are the K − 1 most likely notes, then the rest. `eagerness`: by how much the log odds of a note are raised.
    """
    log_probs = logits.log_softmax(dim=-1)
    notes, resting = log_probs[:, : rests.start], log_probs[:, rests.start :].logsumexp(dim=-1, keepdim=True)
    playing = notes.logsumexp(dim=-1, keepdim=True)
    odds = playing - resting + eagerness
    others, ids = notes.topk(min(noise.shape[-1] - 1, rests.start), dim=-1)
    scaled = others * inv_temperature
    probability = scaled.softmax(dim=-1)
    before = probability.cumsum(dim=-1) - probability
    kept = scaled.masked_fill(before >= max(top_p, SMALLEST_TOP_P), HIDDEN)
    moves = kept.log_softmax(dim=-1) + F.logsigmoid(odds)
    candidates = torch.cat((moves, F.logsigmoid(-odds)), dim=-1)
    best = (candidates + noise[:, : candidates.shape[-1]]).argmax(dim=-1, keepdim=True)
    rest = torch.where(previous < rests.stop, previous + 1, 0).clamp(rests.start, rests.stop - 1)
    token = torch.cat((ids, rest[:, None]), dim=-1).gather(-1, best)
    return token.squeeze(-1), torch.cat((others, resting), dim=-1).gather(-1, best).squeeze(-1)


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise."""
    uniform = torch.rand(shape, generator=generator).clamp(1e-20, 1 - 1e-7)
    return -(-uniform.log()).log()
