"""Note tokens: which keys are struck in a frame, and how hard. The part of the semantic tokenizer that learns from notes.

Clusters of features, even of how the filterbank rises, lose which key it was (RESULTS.md, "When notes begin"), and then no stage
can know. All that is learnt from is rendered from MIDI, so the notes cost nothing; onsets and velocities are what Onsets
and Frames (Hawthorne 2018, arXiv:1710.11153) learns. Here causally and in 40 ms, so that it follows a player.
"""

from __future__ import annotations

import torch
from torch import nn
import torch.nn.functional as F

from .blocks import CausalConvNeXt
from .midi import HIGHEST_KEY, LOWEST_KEY

KEYS = HIGHEST_KEY - LOWEST_KEY + 1
NOTHING = 0
"""The token of a book that has no note: those are the last ones of a frame. The first book has a rest instead, which tells for how
many frames nothing has been struck. A stage that has to count frames for itself plays in no time (RESULTS.md)."""
DELAY = 1
"""A frame's tokens are of what was struck so many frames before it: a key is known by what sounds after its hammer."""
THRESHOLD = -0.5
"""The log odds from which on a key is taken to have been struck."""
NEVER = -100.0
RISE_FRAMES = 2
"""What is struck shows in the bands that are louder than so many frames before."""
SPREAD_KEYS, SPREAD_WEIGHT, NOTHING_WEIGHT = 2.0, 0.6, 1.5


class NoteNetwork(nn.Module):
    """Bands and their rises → for each key how surely it was struck, and how hard."""

    def __init__(self, bands: int, dim: int, layers: int, kernel: int, levels: int, rests: int) -> None:
        """`levels`: of velocity, equally wide, that its tokens tell apart; `rests`: how many, the last for all that are longer. With
        192 of them a stage found that what has paused for two seconds has ended, and stayed silent (RESULTS.md)."""
        super().__init__()
        self.levels, self.rests = levels, rests
        self.register_buffer("centre", torch.zeros(2 * bands))
        self.register_buffer("spread", torch.ones(2 * bands))
        self.input = nn.Linear(2 * bands, dim)
        self.blocks = nn.ModuleList(CausalConvNeXt(dim, kernel) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, 2 * KEYS)
        # Of a thousand keys and frames two or three are struck.
        nn.init.constant_(self.output.bias[:KEYS], -5.0)
        nn.init.constant_(self.output.bias[KEYS:], 0.5)

    @staticmethod
    def heard(bands: torch.Tensor) -> torch.Tensor:
        """Bands [B, T, bands], zero before the stream began → those and by how much they rise [B, T, 2 · bands]."""
        earlier = F.pad(bands, (0, 0, RISE_FRAMES, 0))[:, : bands.shape[1]]
        return torch.cat([bands, F.relu(bands - earlier)], dim=-1)

    @torch.no_grad()
    def accustom(self, bands: torch.Tensor) -> None:
        """Takes these bands [B, T, bands] as what is usual."""
        heard = self.heard(bands).flatten(0, 1)
        self.centre.copy_(heard.mean(0))
        self.spread.copy_(heard.std(0) + 0.05)

    def forward(self, bands: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Bands [B, T, bands] → log odds and velocities (0 to 1) of each key [B, T, KEYS], `DELAY` frames late."""
        x = self.input((self.heard(bands) - self.centre) / self.spread)
        for block in self.blocks:
            x = block(x)
        struck, velocity = self.output(self.norm(x)).float().chunk(2, dim=-1)
        return struck, velocity


    def tokens(self, bands: torch.Tensor, books: int) -> torch.Tensor:
        """Bands [B, T, bands] → tokens [B, T, books]: the surest keys of each frame from the highest down, a key only in the
        first of the frames in which it is above `THRESHOLD`. A note's token is 1 + key · levels + level, those behind are rests."""
        struck, velocity = self(bands)
        above = struck > THRESHOLD
        first = above & ~F.pad(above, (0, 0, 1, 0))[:, :-1]
        surest, keys = struck.masked_fill(~first, NEVER).topk(books, dim=-1)
        level = (velocity.gather(-1, keys) * self.levels).floor().clamp(0, self.levels - 1).long()
        tokens = (1 + keys * self.levels + level).masked_fill(surest <= THRESHOLD, NOTHING)
        return with_rests(tokens.sort(dim=-1, descending=True).values, self.levels, self.rests)

    def keys_of(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens → keys, 0 for the lowest; −1 where there is none."""
        return torch.where((tokens == NOTHING) | (tokens > KEYS * self.levels), -1, (tokens - 1) // self.levels)


def with_rests(tokens: torch.Tensor, levels: int, rests: int) -> torch.Tensor:
    """Note tokens [B, T, books] from the start of a stream → the same, the first book's `NOTHING` for k frames now the k-th rest
    (the last one for all that are longer)."""
    struck = tokens[..., 0] != NOTHING
    frames = torch.arange(tokens.shape[1]).expand(struck.shape)
    since = frames - torch.where(struck, frames, -1).cummax(dim=1).values
    first = torch.where(struck, tokens[..., 0], KEYS * levels + since.clamp(max=rests))
    return torch.cat([first[..., None], tokens[..., 1:]], dim=-1)


def note_vectors(levels: int, rests: int, cardinality: int, dim: int) -> torch.Tensor:
    """What note tokens stand for [cardinality, dim] (see `codebooks`): where on the keyboard, which pitch class, how hard, or for
    how long nothing. Tokens that are never used have none."""
    notes = KEYS * levels
    clock = (dim - 12 - 2) // 3
    places = dim - 12 - 2 - clock
    if places < 2 or notes + rests + 1 > cardinality:
        raise ValueError(f"notes and rests need {notes + rests + 1} tokens and 18 dimensions, not {cardinality} and {dim}")
    keys = torch.arange(KEYS).repeat_interleave(levels)
    level = (torch.arange(levels).repeat(KEYS) + 0.5) / levels * 2 - 1
    near = _bumps(keys.float(), torch.linspace(0, KEYS - 1, places), max(SPREAD_KEYS, KEYS / places))
    pitch_class = F.one_hot(keys % 12, 12)
    vectors = torch.zeros(cardinality, dim)
    vectors[1 : notes + 1, clock:-1] = torch.cat([SPREAD_WEIGHT * near, pitch_class, level[:, None]], dim=-1)
    lengths, middles = torch.arange(1.0, rests + 1), torch.linspace(1, rests, clock)
    vectors[notes + 1 : notes + rests + 1, :clock] = _bumps(lengths, middles, rests / clock)
    vectors[NOTHING, -1] = NOTHING_WEIGHT
    vectors[notes + 1 : notes + rests + 1, -1] = NOTHING_WEIGHT
    return vectors


def _bumps(values: torch.Tensor, middles: torch.Tensor, width: float) -> torch.Tensor:
    """How near each value is to each middle, [values, middles]."""
    return torch.exp(-0.5 * ((values[:, None] - middles) / max(width, 1e-3)) ** 2)
