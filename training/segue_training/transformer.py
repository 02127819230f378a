"""A decoder-only causal transformer whose weights map one to one onto ONNX Runtime's fused operators.

Pre-norm blocks with RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467), rotary positions (Su et al. 2021,
arXiv:2104.09864) in the non-interleaved convention of `com.microsoft.GroupQueryAttention` with `do_rotary=1`, exact
GELU, packed QKV, no biases.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .fused import rms_norm, rotate

NORM_EPSILON = 1e-5
LONGEST_PLAIN = 256
ROTARY_BASE = 10000.0


@dataclass(frozen=True)
class TransformerShape:
    """Everything that fixes the size of a transformer; `layers` 0 is the identity with a final norm.

    `shared`: how many heads ask the same keys and values (Ainslie et al. 2023, arXiv:2305.13245; all of them: Shazeer 2019,
    arXiv:1911.02150). What a continuation remembers is so many times smaller, and reading that is what several side by side cost.
    """

    width: int
    layers: int
    heads: int
    head_dim: int
    expansion: int = 4
    dropout: float = 0.0
    shared: int = 1

    @property
    def kv_heads(self) -> int:
        """Heads of keys and of values."""
        return self.heads // self.shared


class RMSNorm(nn.Module):
    """x / rms(x) · gain over the last axis, computed in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] → [..., width]"""
        return rms_norm(x.float(), self.gain, NORM_EPSILON)


def rotary_tables(positions: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin, [positions, head_dim / 2] each."""
    frequency = ROTARY_BASE ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angle = torch.arange(positions, dtype=torch.float64)[:, None] * frequency
    return angle.cos().float(), angle.sin().float()


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q [B, heads, S, head_dim], k and v of as many heads or of a divisor → as q. Short sequences take the plain form, faster
    backward on a CPU."""
    batch, heads, length, _ = q.shape
    shared = heads // k.shape[1]
    if length > LONGEST_PLAIN:
        k, v = (t.repeat_interleave(shared, dim=1) for t in (k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = torch.full((length, length), -1e9, dtype=q.dtype).triu(1).repeat(shared, 1)
    # Heads that share keys are one longer row of questions.
    q = q.reshape(batch * k.shape[1], shared * length, -1)
    k, v = (t.contiguous().flatten(0, 1) for t in (k, v))
    weights = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5).softmax(dim=-1)
    return torch.bmm(weights, v).view(batch, heads, length, -1)


class Block(nn.Module):
    """Attention then MLP, each behind a norm and added to the residual."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.shape = shape
        inner = shape.heads * shape.head_dim
        self.attention_norm = RMSNorm(shape.width)
        self.qkv = nn.Linear(shape.width, inner + 2 * shape.kv_heads * shape.head_dim, bias=False)
        self.out = nn.Linear(inner, shape.width, bias=False)
        self.mlp_norm = RMSNorm(shape.width)
        self.up = nn.Linear(shape.width, shape.expansion * shape.width, bias=False)
        self.down = nn.Linear(shape.expansion * shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
        """x [B, S, width]; `rotary` tables [S, head_dim/2], or None for no positions at all."""
        batch, length, _ = x.shape
        drop = self.shape.dropout if self.training else 0.0
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, heads + 2 * kv_heads, self.shape.head_dim).transpose(1, 2)
        turning, v = qkv.split((heads + kv_heads, kv_heads), dim=1)
        if rotary is not None:
            turning = rotate(turning, *rotary)
        q, k = turning.split((heads, kv_heads), dim=1)
        mixed = causal_attention(q, k, v)
        mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
        x = x + F.dropout(self.out(mixed), drop)
        return x + F.dropout(self.down(F.gelu(self.up(self.mlp_norm(x)))), drop)


class Transformer(nn.Module):
    """Blocks and a final norm. `rotary=False` leaves positions to the caller's embeddings (depth transformer)."""

    def __init__(self, shape: TransformerShape, context: int, rotary: bool = True) -> None:
        super().__init__()
        self.shape = shape
        self.context = context
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width)
        self.rotary = rotary
        cos, sin = rotary_tables(context, shape.head_dim)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """GPT-2's rule: normal(0.02), residual outputs smaller by sqrt(2·layers)."""
        for block in self.blocks:
            residual = 0.02 / (2 * self.shape.layers) ** 0.5
            for linear, std in ((block.qkv, 0.02), (block.up, 0.02), (block.out, residual), (block.down, residual)):
                nn.init.normal_(linear.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S ≤ context, width] → normed [B, S, width]; position s sees 0..s."""
        length = x.shape[1]
        rotary = (self.cos[:length], self.sin[:length]) if self.rotary else None
        for block in self.blocks:
            x = block(x, rotary)
        return self.norm(x)
