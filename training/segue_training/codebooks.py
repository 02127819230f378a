"""What tokens stand for, given to the stages: a token's row in their tables begins with its vector in its codebook.

Codes that lie near each other mean nearly the same. Tables of free rows have to find that out for each of some ten thousand rows
by itself; with `row = free row + vector · projection` (one projection per codebook) what codes have in common is learnt
once. As a head it says: the logit of a code is how far its vector lies in the direction that is foretold, a Gaussian around
a predicted vector. Only training knows of it: `merged` gives the tables as they are used, and a pack has nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .checkpoint import write
from .stages import AutoregressiveStage, ParallelStage, Stage

NAME = "codebooks.pt"
LENGTH = 16.0
"""Of the vectors, root mean square. Adam moves every weight at one rate, so this is by how much a projection learns faster than
a free row: of 2, 6, 16 and 48 the best (RESULTS.md)."""
SHARPNESS = 12.0
"""By how much a row in the very direction counts more than one at right angles, in nats (RESULTS.md)."""


@dataclass(frozen=True)
class Codebooks:
    """The vectors of both token streams, [books, cardinality, dim] each, kept beside the tokens."""

    semantic: Tensor
    acoustic: Tensor

    def save(self, folder: Path) -> None:
        """Into a folder of shards."""
        write(folder / NAME, vars(self))

    @classmethod
    def load(cls, folder: Path) -> Codebooks:
        """Of a folder of shards. Raises FileNotFoundError where `tokenize` has left none."""
        if not (folder / NAME).exists():
            raise FileNotFoundError(f"no {folder / NAME}: run `tokenize` once more, it keeps the shards that are there")
        return cls(**torch.load(folder / NAME, map_location="cpu", weights_only=True))


class Tied(nn.Module):
    """table → table + vectors · projection, column by column of the table."""

    def __init__(self, vectors: Tensor, rows: int, width: int) -> None:
        """vectors [columns, V, dim] of a table of columns · rows rows of `width`; rows from V on (unknown, begin of stream)
        have none."""
        super().__init__()
        centred = vectors.float() - vectors.float().mean(dim=1, keepdim=True)
        length = centred.square().sum(dim=-1, keepdim=True).mean(dim=1, keepdim=True).sqrt()
        scaled = centred / length.clamp(min=1e-9) * LENGTH
        spare = rows - vectors.shape[1]
        self.register_buffer("vectors", nn.functional.pad(scaled, (0, 0, 0, spare)), persistent=False)
        self.projection = nn.Parameter(torch.zeros(len(vectors), vectors.shape[2], width))

    def forward(self, table: Tensor) -> Tensor:
        with torch.autocast(table.device.type, enabled=False):
            return table + torch.bmm(self.vectors, self.projection).view(table.shape)


class Table(NamedTuple):
    """A table of a stage."""

    module: nn.Module
    name: str
    vectors: Tensor
    """[columns, V, dim]: of its tokens, column by column"""

    @property
    def rows(self) -> Tensor:
        """[columns, rows, width], those of no token (unknown, begin of stream) from V on; shares the table's memory."""
        table = getattr(self.module, self.name)
        return table.view(len(self.vectors), -1, table.shape[-1])


def tables(stage: Stage, codebooks: Codebooks) -> list[Table]:
    """Every table of a stage. The stage of acoustic codes is known by its condition or its given books."""
    if isinstance(stage, ParallelStage):
        config = stage.config
        books = codebooks.acoustic[: config.given + config.codebooks]
        given, new = books[: config.given], books[config.given :]
        found = [(stage.embedding, "table", given), (stage, "level_embedding", new[:-1])]
        found += [(level, "head", book[None]) for level, book in zip(stage.levels, new, strict=True)]
    else:
        found = _of_autoregressive(stage, codebooks)
    return [Table(*table) for table in found if getattr(*table[:2]).numel()]


def tie(stage: Stage, codebooks: Codebooks) -> None:
    """Ties every table of a stage; what it computes stays the same until it learns."""
    for table in tables(stage, codebooks):
        columns, rows, width = table.rows.shape
        parametrize.register_parametrization(table.module, table.name, Tied(table.vectors, rows, width))


@torch.no_grad()
def translate(stage: Stage, before: Codebooks, now: Codebooks) -> None:
    """To tokens of other codebooks: every token gets the mean row of the tokens of `before` that lie in nearly its direction.

    For a codec that went on learning. Codes of one and the other seldom agree, for each book codes what the one before left
    over, but the vectors turn slowly. Tables whose vectors stay as they were stay as they were, and so do those whose vectors
    cannot be compared.
    """
    for old, new in zip(tables(stage, before), tables(stage, now), strict=True):
        if old.vectors.shape == new.vectors.shape and not torch.equal(old.vectors, new.vectors):
            alike = torch.bmm(_directions(new.vectors), _directions(old.vectors).mT)
            tokens = new.rows[:, : new.vectors.shape[1]]
            tokens.copy_(torch.bmm((alike * SHARPNESS).softmax(-1), tokens))


def _directions(vectors: Tensor) -> Tensor:
    centred = vectors.float() - vectors.float().mean(dim=1, keepdim=True)
    return nn.functional.normalize(centred, dim=-1)


def _of_autoregressive(stage: AutoregressiveStage, codebooks: Codebooks) -> list[tuple[nn.Module, str, Tensor]]:
    config = stage.config
    own = (codebooks.acoustic if config.window else codebooks.semantic)[: config.codebooks]
    tied: list[tuple[nn.Module, str, Tensor]] = [(stage.embedding, "table", own), (stage, "heads", own)]
    if stage.depth is not None:
        tied.append((stage, "depth_embedding", own[:-1]))
    if stage.condition is not None:
        seen = codebooks.semantic[: config.condition_books].repeat(len(config.condition_offsets), 1, 1)
        tied.append((stage.condition, "table", seen))
    return tied


@torch.no_grad()
def merged(stage: Stage) -> dict[str, Tensor]:
    """The state of the untied stage that computes the same."""
    state = {name: value for name, value in stage.state_dict().items() if "parametrizations." not in name}
    for prefix, module in stage.named_modules():
        if parametrize.is_parametrized(module):
            for name in module.parametrizations:
                state[f"{prefix}.{name}" if prefix else name] = getattr(module, name).detach()
    return state
