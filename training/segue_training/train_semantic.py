"""Trains the semantic tokenizer: masked prediction and contrast, choice of the layer by a probe, clustering.

python -m segue_training.train_semantic --work WORK --minutes 40

As w2v-BERT (Chung 2021) it learns by naming what is masked and by telling a moment from others. The two views of a moment
are two recordings of one performance (`pairs`), so that neither the piano nor the room helps; no notes are shown.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
import torch.nn.functional as F

from .checkpoint import write
from .notes import NoteNetwork
from .optimiser import Optimiser
from .pairs import Pairs
from .probe import choose_layer
from .semantic import SemanticConfig, SemanticNetwork, SemanticTokenizer
from .train_notes import NAME as NOTES
from .train_notes import load_notes

BATCH = 16
CLIP_FRAMES = 150
TARGET_DIM, TARGET_CODES, TARGET_BOOKS = 16, 1024, 2
MASK_FRAMES, MASK_SHARE = 8, 0.4
HORIZONS = (0, 6)
CONTRAST_LAYER, CONTRAST_FRAMES = 4, 1200
CONTRAST_TEMPERATURE = 0.1
CONTRAST_WEIGHT = 0.5
NEIGHBOURS = 1
"""Frames next to a moment that are not held against it."""
CLUSTER_FRAMES = 120_000
CLUSTER_ITERATIONS = 25
HOLD_FRAMES, HOLD_WEIGHT = 2, 4.0
SAVE_SECONDS = 120.0


class MaskedPrediction(nn.Module):
    """The network with the heads and the fixed random quantisers of its training task.

    Some spans of the first recording are replaced by noise; each frame must name the quantised targets of the second one
    at the same time (masked frames only) and 0.24 s ahead of it, and, after `CONTRAST_LAYER` blocks, find
    itself in the second recording among all other moments.
    """

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        self.network = SemanticNetwork(config)
        bands = self.network.filters.shape[1]
        self.norm = nn.LayerNorm(config.dim)
        self.heads = nn.ModuleList(nn.Linear(config.dim, TARGET_BOOKS * TARGET_CODES) for _ in HORIZONS)
        self.contrast_norm = nn.LayerNorm(config.dim, elementwise_affine=False)
        self.contrast = nn.Linear(config.dim, config.projected)
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))
        self.register_buffer("projection", torch.randn(TARGET_BOOKS, bands, TARGET_DIM) / bands**0.5)
        self.register_buffer("targets", F.normalize(torch.randn(TARGET_BOOKS, TARGET_CODES, TARGET_DIM), dim=-1))

    @property
    def contrast_layer(self) -> int:
        """The block after which moments are told apart."""
        return min(CONTRAST_LAYER, self.network.config.layers)

    @torch.no_grad()
    def quantise(self, bands: torch.Tensor) -> torch.Tensor:
        """Bands [B, T, bands] → the targets [B, T, books]."""
        projected = torch.einsum("btf,kfd->btkd", (bands - self.mean) / self.deviation, self.projection)
        scores = torch.einsum("btkd,kcd->btkc", F.normalize(projected, dim=-1), self.targets)
        return scores.argmax(-1)

    def mask(self, bands: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Bands with some spans replaced by noise of the same mean and deviation, and where [B, T]."""
        starts = torch.rand(bands.shape[:2]) < MASK_SHARE / MASK_FRAMES
        masked = F.max_pool1d(F.pad(starts.float(), (MASK_FRAMES - 1, 0)), MASK_FRAMES, 1) > 0
        noise = self.mean + self.deviation * torch.randn_like(bands) * 0.5
        return torch.where(masked[..., None], noise, bands), masked

    def name_masked(self, features: torch.Tensor, wanted: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        """Cross-entropy over books and horizons."""
        features = self.norm(features)
        loss, frames = torch.zeros(()), features.shape[1]
        for horizon, head in zip(HORIZONS, self.heads, strict=True):
            chosen = masked if horizon == 0 else torch.rand(masked.shape) < 0.25
            chosen = chosen[:, : frames - horizon]
            inputs, goals = features[:, : frames - horizon][chosen], wanted[:, horizon:][chosen]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = head(inputs).unflatten(-1, (TARGET_BOOKS, TARGET_CODES))
            loss = loss + F.cross_entropy(logits.float().flatten(0, 1), goals.flatten()) / len(HORIZONS)
        return loss

    def tell_apart(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, float]:
        """InfoNCE (van den Oord 2018) between the features [B, T, dim] of both recordings: the loss and how often the
        moment is found."""
        batch, frames, _ = first.shape
        chosen = torch.randperm(batch * frames)[:CONTRAST_FRAMES]
        a, b = (
            F.normalize(self.contrast(self.contrast_norm(view.flatten(0, 1)[chosen].float())), dim=-1)
            for view in (first, second)
        )
        logits = a @ b.t() / CONTRAST_TEMPERATURE
        clip, place = chosen // frames, chosen % frames
        near = (clip[:, None] == clip) & ((place[:, None] - place).abs() <= NEIGHBOURS)
        logits = logits.masked_fill(near & ~torch.eye(len(chosen), dtype=torch.bool), float("-inf"))
        right = torch.arange(len(chosen))
        loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.t(), right)) / 2
        return loss, float((logits.argmax(-1) == right).float().mean())

    def forward(self, bands: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of two recordings' bands [2, B, T, bands] and its parts."""
        disturbed, masked = self.mask(bands[0])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layers = self.network(torch.cat([disturbed, bands[1]]))
        batch = len(masked)
        naming = self.name_masked(layers[-1][:batch].float(), self.quantise(bands[1]), masked)
        middle = layers[self.contrast_layer - 1]
        telling, found = self.tell_apart(middle[:batch], middle[batch:])
        return naming + CONTRAST_WEIGHT * telling, {
            "naming": float(naming.detach()),
            "telling": float(telling.detach()),
            "found": found,
        }


def measure_bands(model: MaskedPrediction, pairs: Pairs) -> None:
    """Fixes the mean and deviation of the bands that targets and masks use."""
    bands = torch.cat([pairs.draw(BATCH, CLIP_FRAMES).flatten(0, 2) for _ in range(10)])
    model.mean.copy_(bands.mean(0))
    model.deviation.copy_(bands.std(0) + 0.05)


def train(model: MaskedPrediction, pairs: Pairs, minutes: float, path: Path) -> None:
    """Trains until `minutes` are spent in all, saving to `path` on the way and resuming from there."""
    optimiser = Optimiser(model)
    step, before = 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, before = state["step"], state["spent"]
    else:
        measure_bands(model, pairs)
    begun = saved = time.monotonic()

    def keep(spent: float) -> None:
        write(path, {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent})

    while (spent := before + time.monotonic() - begun) < minutes * 60:
        loss, parts = model(pairs.draw(BATCH, CLIP_FRAMES))
        optimiser.step(loss, step, spent / (minutes * 60))
        step += 1
        if step == 10 or step % 200 == 0:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
            print(f"{spent:.0f} s, step {step}: {shown}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            keep(spent)
            saved = time.monotonic()
    keep(spent)


@torch.no_grad()
def cluster(
    model: MaskedPrediction, layer: int, pairs: Pairs, codebooks: int, note_books: int = 0, notes: NoteNetwork | None = None
) -> SemanticTokenizer:
    """The tokenizer that ends at `layer`: its features on their discriminant directions and on the unit sphere (a vector's
    length is mostly loudness), clustered by k-means, and what a cluster leaves over by the next codebook. The first
    `note_books` of the codebooks are those of `notes`."""
    network = model.network
    shape = replace(network.config, codebooks=codebooks, note_books=note_books, layer=layer, layers=layer)
    tokenizer = SemanticTokenizer(shape)
    tokenizer.network.input.load_state_dict(network.input.state_dict())
    tokenizer.network.blocks.load_state_dict(network.blocks[:layer].state_dict())
    if note_books:
        tokenizer.notes.load_state_dict(notes.state_dict())
    parts: list[torch.Tensor] = []
    while sum(part[..., 0].numel() for part in parts) < CLUSTER_FRAMES:
        bands = pairs.draw(BATCH, CLIP_FRAMES)
        hidden = tokenizer.network(bands.flatten(0, 1))[layer - 1]
        parts.append(tokenizer.norm(hidden).unflatten(0, (2, BATCH)))
    features = torch.cat(parts, dim=1)
    directions = discriminant(features, tokenizer.config.projected)
    tokenizer.project.weight.copy_(directions)
    tokenizer.project.bias.copy_(-directions @ features.flatten(0, 2).mean(0))
    points = F.normalize(tokenizer.project(features.flatten(0, 2)), dim=-1)
    tokenizer.quantizer.initialise(points, iterations=CLUSTER_ITERATIONS)
    return tokenizer


def discriminant(features: torch.Tensor, count: int) -> torch.Tensor:
    """Directions [count, d] of features [2, B, T, d] of two recordings of each performance (Fisher's linear discriminant):
    those in which moments differ most, as a multiple of what differs between the recordings of a moment (piano, room)
    and within `HOLD_FRAMES` of it (the decay of what sounds), that sum being 1 in every direction."""
    aside = (features[0] - features[1]).flatten(0, -2)
    along = (features[:, :, HOLD_FRAMES:] - features[:, :, :-HOLD_FRAMES]).flatten(0, -2)
    within = (torch.cov(aside.t()) + HOLD_WEIGHT * torch.cov(along.t())) / 2
    within += 1e-3 * within.diagonal().mean() * torch.eye(len(within))
    total = torch.cov(features.flatten(0, -2).t())
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors * values.rsqrt() @ vectors.t()
    _, chosen = torch.linalg.eigh(whiten @ total @ whiten)
    return chosen[:, -count:].t() @ whiten


def load_tokenizer(path: Path) -> SemanticTokenizer:
    """The tokenizer of a checkpoint, ready for use."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    tokenizer = SemanticTokenizer(SemanticConfig.from_dict(state["config"]))
    tokenizer.load_state_dict(state["model"])
    return tokenizer.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40.0, help="in all; 0 only clusters what is trained")
    parser.add_argument("--layer", type=int, help="the layer to cluster (default: the probe's choice)")
    parser.add_argument("--codebooks", type=int, default=6, help="in all; behind the note books a product code, 1 is plain clustering")
    parser.add_argument("--note-books", type=int, default=4, help="how many of those tell what is struck: notes at a time")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(2)
    folder = arguments.work / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = Pairs(arguments.work / "pairs", seed=int(time.time()))
    notes, figures = (None, {}) if arguments.note_books == 0 else load_notes(folder / NOTES, SemanticConfig())
    model = MaskedPrediction(SemanticConfig())
    train(model, pairs, arguments.minutes, folder / "semantic_network.pt")
    model.eval()
    chosen, scores = choose_layer(model.network, arguments.work)
    layer = arguments.layer or chosen
    print(f"probe F1 by layer {scores}, clustering layer {layer}", flush=True)
    tokenizer = cluster(model, layer, pairs, arguments.codebooks, arguments.note_books, notes)
    state = {"config": tokenizer.config.to_dict(), "model": tokenizer.state_dict(), "probe": scores, "notes": figures}
    write(folder / "semantic.pt", state)


if __name__ == "__main__":
    main()
