"""The sampler of docs/pack.md in plain PyTorch: the reference that the ONNX graphs are tested against."""

import torch
from torch import Tensor

SMALLEST_TOP_P = 1e-6
"""top_p is raised to this, so that the best candidate is always kept."""


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


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise."""
    uniform = torch.rand(shape, generator=generator).clamp(1e-20, 1 - 1e-7)
    return -(-uniform.log()).log()
