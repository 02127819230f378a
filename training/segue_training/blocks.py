"""The causal ConvNeXt block of the codec and the semantic tokenizer."""

from __future__ import annotations

import torch
from torch import nn
import torch.nn.functional as F


class CausalConvNeXt(nn.Module):
    """x + scale · MLP(LayerNorm(causal depthwise convolution(x))) over frames.

    Streaming: `state` [B, dim, kernel − 1] holds the last inputs; zeros at the start of a stream.
    """

    def __init__(self, dim: int, kernel: int = 7, expansion: int = 3, layer_scale: float = 0.1) -> None:
        super().__init__()
        self.kernel = kernel
        self.depthwise = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, dim * expansion)
        self.project = nn.Linear(dim * expansion, dim)
        self.scale = nn.Parameter(torch.full((dim,), layer_scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, dim] → [B, T, dim] from the start of a stream."""
        return x + self.mix(self.depthwise(F.pad(x.transpose(1, 2), (self.kernel - 1, 0))))

    def stream(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, T, dim] and state → output and next state. Chunk after chunk it equals `forward` of the whole."""
        padded = torch.cat([state, x.transpose(1, 2)], dim=2)
        return x + self.mix(self.depthwise(padded)), padded[:, :, -(self.kernel - 1) :]

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        """[B, dim, T] → [B, T, dim]: the part of the block that looks at one frame at a time."""
        return self.scale * self.project(F.gelu(self.expand(self.norm(x.transpose(1, 2)))))


def stream_blocks(
    blocks: nn.ModuleList, x: torch.Tensor, states: list[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Runs blocks in streaming form; returns the output and each block's next state."""
    following = []
    for block, state in zip(blocks, states, strict=True):
        x, after = block.stream(x, state)
        following.append(after)
    return x, following
