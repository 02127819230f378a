"""The codes of the training audio as the stages tell them: what the decoder will have to play.

python -m segue_training.retell --work WORK --preset second --hours 2

Every code is drawn as a pack draws it, with the true frames before it and the true semantic tokens: what can be foretold
stays, what cannot (the phase of a partial, a fine codebook) is another one that would do as well. Text to speech trains its
vocoders on such ground-truth-aligned features (Shen et al. 2018, arXiv:1712.05884, section 3.2). Written to
WORK/tokens/retold, shards as those of WORK/tokens/train; for `train_codec --finish`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .checkpoint import checkpoint_path, load
from .dataset import load_audio
from .presets import PRESETS, StagePreset
from .sampling import gumbel, sample, sample_or_hold
from .spectrum import mid_side
from .stages import AutoregressiveStage, ParallelStage
from .token_data import Excerpt, condition_window, read_shard, write_shard

RETOLD = Path("tokens") / "retold"
"""Within WORK."""


def draw(logits: Tensor, preset: StagePreset, generator: torch.Generator, previous: Tensor | None = None) -> Tensor:
    """logits [N, V] → tokens [N], at the stage's own dials; `previous` [N]: what such a stream may hold."""
    noise = gumbel((len(logits), preset.config.candidates), generator)
    if previous is None:
        return sample(logits.float(), noise, 1.0 / preset.temperature, preset.top_p)[0]
    return sample_or_hold(logits.float(), previous, noise, 1.0 / preset.temperature, preset.top_p)[0]


@torch.no_grad()
def retold_coarse(
    stage: AutoregressiveStage, preset: StagePreset, excerpt: Excerpt, generator: torch.Generator
) -> Tensor:
    """The books of the stage for all frames of an excerpt, [T, C]."""
    config, found = stage.config, []
    ratio = round(len(excerpt.acoustic) / len(excerpt.semantic))
    codes = torch.from_numpy(excerpt.acoustic[:, : config.codebooks].astype(np.int64))
    for begin in range(0, len(codes), config.context):
        frames = codes[None, begin : begin + config.context]
        positions = np.arange(begin, begin + frames.shape[1])
        window = condition_window(
            excerpt.semantic.astype(np.int64), positions, ratio, config.condition_offsets, config.condition_cardinality
        )
        told = torch.from_numpy(window)[None]
        shifted = stage.shifted(frames)
        if config.guided:
            told = torch.cat([told, torch.full_like(told, config.condition_cardinality)])
        with torch.autocast("cpu", torch.bfloat16):
            contexts = stage.context_of(shifted.expand(len(told), -1, -1), told)
        drawn = torch.zeros_like(frames[0])
        for level in range(config.codebooks):
            with torch.autocast("cpu", torch.bfloat16):
                each = [stage.logits(context, drawn)[:, level] for context in contexts]
            # Guided as a pack's graph is.
            logits = each[0] if len(each) == 1 else each[1] + config.guidance * (each[0] - each[1])
            drawn[:, level] = draw(logits, preset, generator, shifted[0, :, level])
        found.append(drawn)
    return torch.cat(found)


@torch.no_grad()
def retold_fine(stage: ParallelStage, preset: StagePreset, coarse: Tensor, generator: torch.Generator) -> Tensor:
    """All books, [T, given + C]: the given ones and what the stage makes of them."""
    with torch.autocast("cpu", torch.bfloat16):
        x, _ = stage.context_of(coarse[None], stage.initial_state())
        books = [coarse]
        for index, level in enumerate(stage.levels):
            token = draw(level(x)[0], preset, generator)
            if index < len(stage.level_embedding):
                x = x + stage.level_embedding[index][token]
            books.append(token[:, None])
    return torch.cat(books, dim=1)


def retell(work: Path, preset_name: str, hours: float, seed: int = 1) -> None:
    """Whole shards, until there are so many hours; those that exist are kept."""
    preset = PRESETS[preset_name]
    coarse, fine = (preset.stage(name) for name in ("coarse", "fine"))
    models = [load(checkpoint_path(work, one.id)).stage().eval() for one in (coarse, fine)]
    out = work / RETOLD
    out.mkdir(parents=True, exist_ok=True)
    begun, frames = time.monotonic(), 0
    # Those whose audio has been kept: see `tokenize`.
    for path in sorted((work / "tokens" / "train").glob("shard_0*.npz")):
        if frames / 50 / 3600 >= hours:
            break
        excerpts = read_shard(path)
        frames += sum(len(excerpt.acoustic) for excerpt in excerpts)
        if (out / path.name).exists():
            continue
        generator = torch.Generator().manual_seed(seed + int(path.stem.split("_")[-1]))
        told = []
        for excerpt in excerpts:
            first = retold_coarse(models[0], coarse, excerpt, generator)
            told.append(Excerpt(excerpt.semantic, retold_fine(models[1], fine, first, generator).numpy()))
        temporary = out.parent / f"retold_{path.name}"
        write_shard(temporary, told)
        (out / f"{path.stem}.json").write_text(path.with_suffix(".json").read_text())
        temporary.rename(out / path.name)
        print(f"{path.stem}: {frames / 50 / 3600:.1f} h, {frames / 50 / (time.monotonic() - begun):.0f} × real time", flush=True)


class Retold:
    """Draws clips of the training audio together with their retold codes."""

    def __init__(self, work: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.items: list[tuple[np.ndarray, float, np.ndarray]] = []
        for path in sorted((work / RETOLD).glob("shard_*.npz")):
            entries = json.loads(path.with_suffix(".json").read_text())
            for entry, excerpt in zip(entries, read_shard(path), strict=True):
                self.items.append((load_audio(work / "audio", entry["id"]), entry["gain_db"], excerpt.acoustic))
        if not self.items:
            raise FileNotFoundError(f"no shards in {work / RETOLD}: run `retell` first")

    def draw(self, batch: int, frames: int, hop: int) -> tuple[Tensor, Tensor]:
        """Mid and side [batch, 2, frames · hop] and codes [batch, frames, Q] of the same moments."""
        sounds, codes = [], []
        while len(sounds) < batch:
            audio, gain, told = self.items[int(self.rng.integers(len(self.items)))]
            if len(told) <= frames:
                continue
            begin = int(self.rng.integers(len(told) - frames))
            sound = audio[begin * hop : (begin + frames) * hop].astype(np.float32)
            sounds.append(sound * np.float32(10.0 ** (gain / 20.0) / 32768.0))
            codes.append(told[begin : begin + frames].astype(np.int64))
        return mid_side(torch.from_numpy(np.stack(sounds)).transpose(1, 2)), torch.from_numpy(np.stack(codes))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    retell(arguments.work, arguments.preset, arguments.hours)


if __name__ == "__main__":
    main()
