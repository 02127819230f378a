"""Trains the semantic tokenizer: masked prediction, choice of the layer by a probe, clustering.

python -m segue_training.train_semantic --work WORK --minutes 15
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
import torch.nn.functional as F

from .audio_data import Clips
from .optimiser import Optimiser
from .probe import choose_layer
from .quantizer import k_means
from .semantic import SemanticConfig, SemanticNetwork, SemanticTokenizer
from .spectrum import analyse

BATCH = 16
CLIP_FRAMES = 150
GAIN_DB = 6.0
TARGET_DIM, TARGET_CODES, TARGET_BOOKS = 16, 1024, 4
MASK_FRAMES, MASK_SHARE = 8, 0.4
HORIZONS = (0, 4, 12)
CLUSTER_FRAMES = 60_000
CLUSTER_ITERATIONS = 25
WHITENING = 0.25
SAVE_SECONDS = 120.0


class MaskedPrediction(nn.Module):
    """The network with the heads and the fixed random quantisers of its training task.

    Some spans of the input are replaced by noise; each frame must name the quantised targets of itself (masked frames
    only) and of the frames 0.16 s and 0.48 s ahead of it.
    """

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        self.network = SemanticNetwork(config)
        bands = self.network.filters.shape[1]
        self.norm = nn.LayerNorm(config.dim)
        self.heads = nn.ModuleList(nn.Linear(config.dim, TARGET_BOOKS * TARGET_CODES) for _ in HORIZONS)
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))
        self.register_buffer("projection", torch.randn(TARGET_BOOKS, bands, TARGET_DIM) / bands**0.5)
        self.register_buffer("targets", F.normalize(torch.randn(TARGET_BOOKS, TARGET_CODES, TARGET_DIM), dim=-1))

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

    def forward(self, bands: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
        """The loss (cross-entropy over books and horizons) and the accuracy at each horizon."""
        wanted = self.quantise(bands)
        disturbed, masked = self.mask(bands)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = self.norm(self.network(disturbed)[-1])
        loss, accuracies = torch.zeros(()), []
        frames = bands.shape[1]
        for horizon, head in zip(HORIZONS, self.heads, strict=True):
            chosen = masked if horizon == 0 else torch.rand(masked.shape) < 0.25
            chosen = chosen[:, : frames - horizon]
            inputs, goals = features[:, : frames - horizon][chosen], wanted[:, horizon:][chosen]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = head(inputs).unflatten(-1, (TARGET_BOOKS, TARGET_CODES))
            loss = loss + F.cross_entropy(logits.float().flatten(0, 1), goals.flatten()) / len(HORIZONS)
            accuracies.append(float((logits.argmax(-1) == goals).float().mean()))
        return loss, accuracies


def draw_bands(network: SemanticNetwork, clips: Clips) -> torch.Tensor:
    """The bands of a batch of random clips: [BATCH, CLIP_FRAMES, bands]."""
    config = network.config
    audio = clips.draw(BATCH, CLIP_FRAMES * config.hop, GAIN_DB)
    with torch.no_grad():
        return network.bands(analyse(audio, config.analysis, config.hop))


def measure_bands(model: MaskedPrediction, clips: Clips) -> None:
    """Fixes the mean and deviation of the bands that targets and masks use."""
    bands = torch.cat([draw_bands(model.network, clips).flatten(0, 1) for _ in range(10)])
    model.mean.copy_(bands.mean(0))
    model.deviation.copy_(bands.std(0) + 0.05)


def train(model: MaskedPrediction, clips: Clips, minutes: float, path: Path) -> None:
    """Trains for `minutes`, saving the model to `path` on the way."""
    optimiser = Optimiser(model)
    begun = saved = time.monotonic()
    step = 0
    while (spent := time.monotonic() - begun) < minutes * 60:
        loss, accuracies = model(draw_bands(model.network, clips))
        optimiser.step(loss, step, spent / (minutes * 60))
        step += 1
        if step == 10 or step % 100 == 0:
            shown = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)
            print(f"{spent:.0f} s, step {step}: loss {loss:.3f}, accuracy {shown}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            save({"model": model.state_dict(), "step": step}, path)
            saved = time.monotonic()
    save({"model": model.state_dict(), "step": step}, path)


def save(state: dict, path: Path) -> None:
    """Writes beside, then renames."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.rename(path)


@torch.no_grad()
def cluster(network: SemanticNetwork, layer: int, clips: Clips) -> SemanticTokenizer:
    """The tokenizer that ends at `layer`: principal components and centroids of the features of random clips."""
    config = replace(network.config, layer=layer, layers=layer)
    tokenizer = SemanticTokenizer(config)
    tokenizer.network.input.load_state_dict(network.input.state_dict())
    tokenizer.network.blocks.load_state_dict(network.blocks[:layer].state_dict())
    parts: list[torch.Tensor] = []
    while sum(len(part) for part in parts) < CLUSTER_FRAMES:
        bands = draw_bands(network, clips)
        parts.append(tokenizer.norm(tokenizer.network(bands)[layer - 1]).flatten(0, 1))
    vectors = torch.cat(parts)
    weight = principal_components(vectors, config.projected)
    tokenizer.project.weight.copy_(weight)
    tokenizer.project.bias.copy_(-weight @ vectors.mean(0))
    generator = torch.Generator().manual_seed(0)
    tokenizer.centroids = k_means(tokenizer.project(vectors), config.cardinality, CLUSTER_ITERATIONS, generator)
    return tokenizer


def principal_components(vectors: torch.Tensor, count: int) -> torch.Tensor:
    """Projection [count, d] on the strongest components of `vectors` [N, d], each divided by its variance to the power
    `WHITENING`: left as they are, a few loud directions (level, timbre) would decide the clusters."""
    variances, directions = torch.linalg.eigh(torch.cov(vectors.t()))
    scaled = directions * variances.clamp(min=1e-6) ** -WHITENING
    return scaled[:, -count:].t()


def load_tokenizer(path: Path) -> SemanticTokenizer:
    """The tokenizer of a checkpoint, ready for use."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    tokenizer = SemanticTokenizer(SemanticConfig.from_dict(state["config"]))
    tokenizer.load_state_dict(state["model"])
    return tokenizer.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0, help="0 goes on from the trained network")
    parser.add_argument("--layer", type=int, help="the layer to cluster (default: the probe's choice)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(2)
    folder = arguments.work / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    clips = Clips(arguments.work / "audio", seed=2)
    model = MaskedPrediction(SemanticConfig())
    if arguments.minutes > 0:
        measure_bands(model, clips)
        train(model, clips, arguments.minutes, folder / "semantic_network.pt")
    else:
        model.load_state_dict(torch.load(folder / "semantic_network.pt", weights_only=True)["model"])
    model.eval()
    chosen, scores = choose_layer(model.network, arguments.work)
    layer = arguments.layer or chosen
    print(f"probe F1 by layer {scores}, clustering layer {layer}", flush=True)
    tokenizer = cluster(model.network, layer, clips)
    state = {"config": tokenizer.config.to_dict(), "model": tokenizer.state_dict(), "probe": scores}
    save(state, folder / "semantic.pt")


if __name__ == "__main__":
    main()
