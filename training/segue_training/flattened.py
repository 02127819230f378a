"""The paper's own form of a stage: one row of tokens, codebook after codebook and frame after frame (AudioLM,
Borsos et al. 2022, arXiv:2209.03143, section III-B), behind the tokens that condition it.

Here to be exported and played: our packs use `stages.AutoregressiveStage`, which needs one run for a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .graph import FLOAT, INT64, Graph
from .sampling import sample
from .stage_graph import linear, sampler, sampler_inputs, temporal
from .transformer import Transformer, TransformerShape


@dataclass(frozen=True)
class FlattenedConfig:
    """Q codebooks of N entries; a row holds `prefix` tokens of the other stream, the begin of stream, and `window` frames.

    `context` is the number of positions that the cache holds, at least prefix + 1 + Q · window.
    """

    codebooks: int
    cardinality: int
    window: int
    context: int
    candidates: int
    temporal: TransformerShape
    condition_cardinality: int = 0

    @property
    def begin(self) -> int:
        """The id of the begin of stream: behind the ids q · N + token of its own tokens."""
        return self.codebooks * self.cardinality

    @property
    def vocabulary(self) -> int:
        """With the begin of stream, the other stream's tokens, and the one of them that is not known."""
        return self.begin + 1 + (self.condition_cardinality + 1 if self.condition_cardinality else 0)


class FlattenedStage(nn.Module):
    """Samples the token behind a row: of codebook 0 behind the begin of stream, else of the codebook after the last's."""

    def __init__(self, config: FlattenedConfig) -> None:
        super().__init__()
        self.config = config
        width = config.temporal.width
        self.embedding = nn.Parameter(torch.randn(config.vocabulary, width) * 0.5**0.5)
        self.temporal = Transformer(config.temporal, config.context)
        self.heads = nn.Parameter(torch.randn(config.codebooks, config.cardinality, width) * width**-0.5)

    def row(self, prefix: Sequence[int], frames: Tensor) -> Tensor:
        """The other stream's tokens and frames [T, Q] → ids [1, S, 1]."""
        config = self.config
        own = frames + torch.arange(config.codebooks) * config.cardinality
        before = torch.tensor([config.begin + 1 + token for token in prefix] + [config.begin])
        return torch.cat((before, own.reshape(-1)))[None, :, None]

    @torch.no_grad()
    def step(
        self, codes: Tensor, noise: Tensor, inv_temperature: float = 1.0, top_p: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The slow twin of the ONNX graph, without a cache: codes [1, S, 1], noise [1, 1, K] → sampled [1, 1],
        log_prob [1, 1], logits [1, N]."""
        config = self.config
        context = self.temporal(F.embedding(codes[..., 0], self.embedding))[:, -1]
        last = int(codes[0, -1, 0])
        book = 0 if last >= config.begin else (last // config.cardinality + 1) % config.codebooks
        logits = context @ self.heads[book].T
        token, log_prob = sample(logits, noise[:, 0], inv_temperature, top_p)
        return token[:, None], log_prob[:, None], logits


def export(stage: FlattenedStage) -> onnx.ModelProto:
    """The graph in float32, with the tensors of docs/pack.md."""
    config = stage.config
    g = Graph("flattened")
    codes = g.input("codes", INT64, [1, "S", 1])
    row = g.op("Squeeze", codes, g.integers(2))
    context = temporal(g, stage.temporal, g.op("Gather", g.weight("embedding", stage.embedding), row))
    end = g.op("Gather", context, g.integers(-1), axis=1)
    last = g.op("Gather", row, g.integers(-1), axis=1)
    # Behind the begin of stream, whose "codebook" would be Q, comes codebook 0 too: (Q + 1) mod (Q + 1).
    book = g.op("Add", g.op("Div", last, g.integers(config.cardinality)), g.integers(1))
    books = g.integers(config.codebooks)
    book = g.op("Where", g.op("Less", book, books), book, g.integers(0))
    logits = linear(g, end, "heads", stage.heads.reshape(config.codebooks * config.cardinality, -1))
    each = g.op("Reshape", logits, g.integers(1, config.codebooks, config.cardinality))
    chosen = g.op("Gather", each, g.op("Squeeze", book, g.integers(0)), axis=1)
    top_p = sampler_inputs(g, [1, 1, config.candidates])
    token, log_prob = sampler(g, chosen, "noise", config.candidates, top_p)
    g.op("Squeeze", token, g.integers(2), out="sampled")
    g.op("Squeeze", log_prob, g.integers(2), out="log_prob")
    g.output("sampled", INT64, [1, 1])
    g.output("log_prob", FLOAT, [1, 1])
    return g.model()
