"""The models of the three stages: semantic and coarse (autoregressive) and fine (parallel).

AudioLM (Borsos et al. 2022, arXiv:2209.03143) for the chain; the depth transformer over the codebooks of one frame
follows RQ-Transformer (Lee et al. 2022, arXiv:2203.01941) and Moshi (Défossez et al. 2024, arXiv:2410.00037).
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .notes import NOTHING
from .sampling import sample, sample_or_hold, sample_or_rest, tilted
from .transformer import RMSNorm, Transformer, TransformerShape


@dataclass(frozen=True)
class AutoregressiveConfig:
    """Semantic: no condition, no depth where there is one codebook. Coarse: depth layers, semantic condition."""

    codebooks: int
    cardinality: int
    context: int
    candidates: int
    temporal: TransformerShape
    depth: TransformerShape | None = None
    condition_cardinality: int = 0
    condition_offsets: tuple[int, ...] = ()
    condition_books: int = 1
    """Codebooks of the conditioning stream, all of which are seen at each offset"""
    rests: tuple[int, int] | None = None
    """Of the first codebook the first token that is a rest (`notes`) and the one behind the last: see `sampling.sample_or_rest`"""
    tilted: int = 0
    """Of how many codebooks, the first ones, the notes (the tokens from `NOTHING` to `rests`) can be tilted from outside, see
    `sampling.tilted`; those have `rests`"""
    eagerness: float = 0.0
    """How much readier it is to end a rest than it has learnt, in nats (below 0: how much less); training knows nothing of it"""
    guidance: float = 1.0
    """Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598; of tokens: MusicGen, Copet et al. 2023,
    arXiv:2306.05284): how far the logits are taken from those without the condition to those with it; 1 is none. Training
    knows nothing of it, but that some sequences have no condition."""

    @property
    def window(self) -> int:
        """Columns of the condition: the books of the first offset, of the second …"""
        return len(self.condition_offsets) * self.condition_books

    @property
    def tilts(self) -> int:
        """Note tokens that can be tilted."""
        return self.rests[0] - NOTHING - 1 if self.tilted else 0

    @property
    def guided(self) -> bool:
        """Whether a graph has to think everything twice."""
        return self.guidance != 1.0 and self.window > 0

    @property
    def cached_heads(self) -> int:
        """Heads of keys and values in the graph's caches."""
        return self.temporal.kv_heads * (2 if self.guided else 1)


@dataclass(frozen=True)
class ParallelConfig:
    """Fine: `codebooks` new books from `given` known ones of the same and earlier frames."""

    given: int
    codebooks: int
    cardinality: int
    candidates: int
    width: int
    blocks: int
    kernel: int = 7
    expansion: int = 4
    dropout: float = 0.0


class BookEmbedding(nn.Module):
    """One table per column of an id matrix, summed: ids [..., N] → [..., width]. Row `rows − 1` is the odd id out
    (begin of stream, or unknown) where the caller makes room for one."""

    def __init__(self, columns: int, rows: int, width: int) -> None:
        super().__init__()
        self.rows = rows
        self.table = nn.Parameter(torch.randn(columns * rows, width) * (0.5 / columns) ** 0.5)
        self.register_buffer("offset", torch.arange(columns) * rows, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids + self.offset, self.table).sum(dim=-2)


class AutoregressiveStage(nn.Module):
    """Samples frame p of a stream of C codebooks from its frames before p and a window of another stream."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        width = config.temporal.width
        self.embedding = BookEmbedding(config.codebooks, config.cardinality + 1, width)
        rows = config.condition_cardinality + 1
        self.condition = BookEmbedding(config.window, rows, width) if config.window else None
        self.temporal = Transformer(config.temporal, config.context)
        if config.depth is None:
            assert config.codebooks == 1, "several codebooks need a depth transformer"
            self.depth = None
            inner = width
        else:
            inner = config.depth.width
            self.depth = Transformer(config.depth, config.codebooks, rotary=False)
            self.depth_in = nn.Linear(width, inner, bias=False)
            self.level = nn.Parameter(torch.randn(config.codebooks, inner) * 0.02)
            self.depth_embedding = nn.Parameter(torch.randn(config.codebooks - 1, config.cardinality, inner) * 0.5)
        heads = torch.randn(config.codebooks, config.cardinality, inner) * inner**-0.5
        self.heads = nn.Parameter(heads)

    def shifted(self, frames: Tensor) -> Tensor:
        """frames [B, S, C] → the model's input: position p holds frame p − 1, position 0 the begin of stream."""
        begin = torch.full_like(frames[:, :1], self.config.cardinality)
        return torch.cat((begin, frames[:, :-1]), dim=1)

    def context_of(self, codes: Tensor, cond: Tensor | None) -> Tensor:
        """codes [B, S, C] (shifted) and cond [B, S, W] → temporal output [B, S, width]."""
        x = self.embedding(codes)
        if self.condition is not None:
            x = x + self.condition(cond)
        return self.temporal(x)

    def logits(self, context: Tensor, frames: Tensor) -> Tensor:
        """Teacher-forced: context [N, width] and the frames themselves [N, C] → [N, C, cardinality]."""
        if self.depth is None:
            return (context @ self.heads[0].to(context.dtype).T)[:, None]
        levels = self.depth_in(context)[:, None] + self.level
        before = torch.stack([table[frames[:, i]] for i, table in enumerate(self.depth_embedding)], dim=1)
        levels = torch.cat((levels[:, :1], levels[:, 1:] + before), dim=1)
        return torch.einsum("ncd,cvd->ncv", self.depth(levels), self.heads)

    @torch.no_grad()
    def step(
        self,
        codes: Tensor,
        cond: Tensor | None,
        noise: Tensor,
        inv_temperature: float = 1.0,
        top_p: float = 1.0,
        tilt: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sample the frame after the last position: the slow twin of the ONNX graph, without a cache.

        codes [1, S, C], cond [1, S, W], noise [1, C, K], tilt [1, `config.tilts`] → sampled [1, C], log_prob [1, C], logits [1, C, V].
        """
        config = self.config
        contexts = [self.context_of(codes, cond)[:, -1]]
        if config.guided:
            contexts.append(self.context_of(codes, torch.full_like(cond, config.condition_cardinality))[:, -1])
        frame = torch.zeros_like(codes[:, -1])
        log_probs, all_logits = [], []
        for level in range(config.codebooks):
            told, *untold = (self.logits(context, frame)[:, level] for context in contexts)
            logits = untold[0] + config.guidance * (told - untold[0]) if untold else told
            if tilt is not None and level < config.tilted:
                logits = tilted(logits, tilt, NOTHING + 1)
            if level == 0 and config.rests:
                rests = range(*config.rests)
                drawn = sample_or_rest(logits, codes[:, -1, 0], rests, noise[:, 0], inv_temperature, top_p, config.eagerness)
            else:
                drawn = sample_or_hold(logits, codes[:, -1, level], noise[:, level], inv_temperature, top_p)
            frame[:, level], log_prob = drawn
            log_probs.append(log_prob)
            all_logits.append(logits)
        return frame, torch.stack(log_probs, dim=1), torch.stack(all_logits, dim=1)


class ConvBlock(nn.Module):
    """Causal ConvNeXt block (Liu et al. 2022, arXiv:2201.03545) on [B, T, width], as a sum of shifted products: on
    a CPU that is faster than a depthwise convolution, above all backward."""

    def __init__(self, config: ParallelConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        width, inner = config.width, config.expansion * config.width
        self.taps = nn.Parameter(torch.randn(config.kernel, width) * config.kernel**-0.5)
        self.norm = RMSNorm(width)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        nn.init.normal_(self.down.weight, std=0.01)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, width], state [B, kernel − 1, width] (the inputs before x) → output, next state."""
        padded = torch.cat((state, x), dim=1)
        length = x.shape[1]
        mixed = sum(padded[:, k : k + length] * tap for k, tap in enumerate(self.taps))
        inner = self.down(F.gelu(self.up(self.norm(mixed))))
        return x + F.dropout(inner, self.dropout, self.training), padded[:, length:]


class LevelMLP(nn.Module):
    """One level of the parallel stage: x + MLP(norm(x)), then norm and head."""

    def __init__(self, config: ParallelConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.width)
        self.up = nn.Linear(config.width, 2 * config.width, bias=False)
        self.down = nn.Linear(2 * config.width, config.width, bias=False)
        nn.init.normal_(self.down.weight, std=0.01)
        self.out_norm = RMSNorm(config.width)
        self.head = nn.Parameter(torch.randn(config.cardinality, config.width) * config.width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] → logits [..., cardinality]"""
        x = x + self.down(F.gelu(self.up(self.norm(x))))
        return self.out_norm(x) @ self.head.T


class ParallelStage(nn.Module):
    """All frames at once; the new books of a frame one after the other, each seeing those before it."""

    def __init__(self, config: ParallelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = BookEmbedding(config.given, config.cardinality, config.width)
        self.blocks = nn.ModuleList(ConvBlock(config) for _ in range(config.blocks))
        self.levels = nn.ModuleList(LevelMLP(config) for _ in range(config.codebooks))
        self.level_embedding = nn.Parameter(torch.randn(config.codebooks - 1, config.cardinality, config.width) * 0.5)

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """Zeros, [B, kernel − 1, width] for each block."""
        shape = (batch, self.config.kernel - 1, self.config.width)
        return [self.level_embedding.new_zeros(shape) for _ in self.blocks]

    def context_of(self, codes: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """codes [B, T, given] → [B, T, width] and the next state."""
        x = self.embedding(codes)
        following = []
        for block, before in zip(self.blocks, state, strict=True):
            x, after = block(x, before)
            following.append(after)
        return x, following

    def logits(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Teacher-forced from a zero state: codes [B, T, given], targets [B, T, C] → [B, T, C, cardinality]."""
        x, _ = self.context_of(codes, self.initial_state(codes.shape[0]))
        found = []
        for index, level in enumerate(self.levels):
            found.append(level(x))
            if index < len(self.level_embedding):
                x = x + F.embedding(targets[..., index], self.level_embedding[index])
        return torch.stack(found, dim=-2)

    @torch.no_grad()
    def run(
        self, codes: Tensor, state: list[Tensor], noise: Tensor, inv_temperature: float = 1.0, top_p: float = 1.0
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """codes [1, T, given], noise [1, T, C, K] → sampled [1, T, C], log_prob [1, T, C], next state."""
        x, state = self.context_of(codes, state)
        tokens, log_probs = [], []
        for index, level in enumerate(self.levels):
            token, log_prob = sample(level(x), noise[:, :, index], inv_temperature, top_p)
            if index < len(self.level_embedding):
                x = x + F.embedding(token, self.level_embedding[index])
            tokens.append(token)
            log_probs.append(log_prob)
        return torch.stack(tokens, dim=-1), torch.stack(log_probs, dim=-1), state


Stage = AutoregressiveStage | ParallelStage
StageConfig = AutoregressiveConfig | ParallelConfig


def build(config: StageConfig) -> Stage:
    """The model for a configuration."""
    return AutoregressiveStage(config) if isinstance(config, AutoregressiveConfig) else ParallelStage(config)


def config_to_dict(config: StageConfig) -> dict[str, Any]:
    """A form that a checkpoint can keep without pickled classes."""
    kind = "autoregressive" if isinstance(config, AutoregressiveConfig) else "parallel"
    return {"kind": kind, **asdict(config)}


def config_from_dict(found: dict[str, Any]) -> StageConfig:
    """The inverse of `config_to_dict`."""
    fields = {key: value for key, value in found.items() if key != "kind"}
    if found["kind"] == "parallel":
        return ParallelConfig(**fields)
    fields["temporal"] = TransformerShape(**fields["temporal"])
    fields["depth"] = TransformerShape(**fields["depth"]) if fields["depth"] else None
    fields["condition_offsets"] = tuple(fields["condition_offsets"])
    fields["rests"] = tuple(fields["rests"]) if fields.get("rests") else None
    return AutoregressiveConfig(**fields)
