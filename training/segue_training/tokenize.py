"""Turns rendered audio into the token cache that the transformers are trained on.

python -m segue_training.tokenize --work WORK
python -m segue_training.tokenize --work WORK --validation
python -m segue_training.tokenize --work WORK --data DATA --salamander DIR --soundfonts DIR --hours 40 --seed 2

Writes WORK/tokens/train/shard_NNNNN.npz (and `valid/`), and index.json and codebooks.pt beside them: see
`token_data.read_shard` and `codebooks`. With `--hours`, renderings are made for this alone and not kept: transformers want
more hours than the disk has room for.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .codebooks import Codebooks
from .codec import Codec
from .dataset import Rendering, load_audio, renderings
from .render import EXCERPT_SECONDS, Renderer, add_render_arguments
from .semantic import SemanticTokenizer
from .spectrum import mid_side
from .token_data import Excerpt, write_shard
from .train_codec import load_codec
from .train_semantic import load_tokenizer

RENDERINGS_PER_SHARD = 16
GAIN_DB = 3.0


class Tokeniser:
    """Both tokenizers, applied to whole excerpts from their first sample on, as the engine would."""

    def __init__(self, codec: Codec, semantic: SemanticTokenizer, half: bool = False) -> None:
        if semantic.config.hop % codec.config.hop:
            raise ValueError("the semantic hop must be a multiple of the codec's")
        self.codec, self.semantic, self.half = codec, semantic, half

    @property
    def tail(self) -> int:
        """Semantic frames at the end whose look-ahead would reach beyond the audio: they are left out."""
        furthest = max(analysis.look_ahead for analysis in (*self.codec.config.analyses, self.semantic.config.analysis))
        return -(-furthest // self.semantic.config.hop)

    @property
    def codebooks(self) -> Codebooks:
        """What the tokens stand for."""
        return Codebooks(self.semantic.codebooks, self.codec.quantizer.codebooks)

    @torch.no_grad()
    def tokens(self, audio: torch.Tensor) -> Excerpt:
        """Mid and side [channels, L] → semantic [N, K] and acoustic [N · hop ratio, books]; frame 0 of both begins at sample 0."""
        hop = self.semantic.config.hop
        frames = audio.shape[-1] // hop
        audio = audio[None, :, : frames * hop]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            semantic = self.semantic.tokens(audio[:, 0])[0]
            acoustic = self.codec.encode(audio)[0]
        kept = frames - self.tail
        ratio = hop // self.codec.config.hop
        return Excerpt(semantic[:kept].numpy().astype(np.int16), acoustic[: kept * ratio].numpy().astype(np.int16))


def gain_of(rendering: Rendering, seed: int) -> float:
    """The random gain in dB with which a rendering is tokenised: the same every time."""
    return float(np.random.default_rng([seed, *rendering.id.encode()]).uniform(-GAIN_DB, GAIN_DB))


@dataclass(frozen=True)
class Source:
    """Renderings by number, and how they are dealt out to shards."""

    prefix: str
    """Of its shards' names: `shard_` and more."""
    count: int
    item: Callable[[int], tuple[Rendering, np.ndarray]]
    """A rendering and its audio, int16 [n, channels]."""

    @classmethod
    def of_folder(cls, audio: Path) -> "Source":
        """What `render` left in a folder."""
        found = renderings(audio)
        return cls("shard_", len(found), lambda index: (found[index], load_audio(audio, found[index].id)))

    @classmethod
    def of_renderer(cls, renderer: Renderer, hours: float) -> "Source":
        """At most so many hours, made when asked for. Another seed than the folder's gives other renderings."""
        shards = math.ceil(hours * 3600 / (RENDERINGS_PER_SHARD * EXCERPT_SECONDS))
        return cls(
            f"shard_s{renderer.seed:02d}_", shards * RENDERINGS_PER_SHARD, lambda index: renderer.render(index)[:2]
        )


def write_shards(tokeniser: Tokeniser, source: Source, out: Path, seed: int, process: int, processes: int) -> None:
    """Tokenises every rendering of `source`; shards that exist are kept. Shard k belongs to process k mod processes."""
    out.mkdir(parents=True, exist_ok=True)
    shards = range(0, source.count, RENDERINGS_PER_SHARD)
    begun, seconds = time.monotonic(), 0.0
    for number in range(process, len(shards), processes):
        path = out / f"{source.prefix}{number:05d}.npz"
        if path.exists():
            continue
        excerpts, entries = [], []
        for index in range(shards[number], min(shards[number] + RENDERINGS_PER_SHARD, source.count)):
            rendering, audio = source.item(index)
            gain = gain_of(rendering, seed)
            samples = audio.astype(np.float32) * np.float32(10 ** (gain / 20) / 32768)
            excerpts.append(tokeniser.tokens(mid_side(torch.from_numpy(samples.T))))
            entries.append({"id": rendering.id, "piece": rendering.piece, "gain_db": round(gain, 2)})
            seconds += rendering.seconds
        path.with_suffix(".json").write_text(json.dumps(entries))
        write_shard(path, excerpts)
        if (number // processes) % 8 == 0:
            speed = seconds / (time.monotonic() - begun)
            print(f"{path.stem} of {len(shards)}, {speed:.0f} × real time", flush=True)


def write_index(out: Path, tokeniser: Tokeniser) -> None:
    """Gathers the shards' entries into index.json."""
    shards = {path.stem: json.loads(path.read_text()) for path in sorted(out.glob("shard_*.json"))}
    index = {
        "semantic_hop": tokeniser.semantic.config.hop,
        "acoustic_hop": tokeniser.codec.config.hop,
        "sample_rate": tokeniser.codec.config.sample_rate,
        "semantic_cardinality": tokeniser.semantic.config.cardinality,
        "acoustic_cardinality": tokeniser.codec.config.cardinality,
        "books": tokeniser.codec.config.books,
        "shards": shards,
    }
    (out / "index.json").write_text(json.dumps(index))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_render_arguments(parser, rendering=False)
    parser.add_argument("--validation", action="store_true", help="the held-out pieces instead, to tokens/valid")
    parser.add_argument("--half", action="store_true", help="compute in bf16: faster, some codes differ")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, help="so much more, rendered here and not kept; not with --seed 1")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checkpoints = arguments.work / "checkpoints"
    tokeniser = Tokeniser(
        load_codec(checkpoints / "codec.pt"), load_tokenizer(checkpoints / "semantic.pt"), arguments.half
    )
    if arguments.hours is None:
        source = Source.of_folder(arguments.work / ("validation_audio" if arguments.validation else "audio"))
    else:
        if arguments.validation or arguments.seed == 1 or not (arguments.data and arguments.salamander and arguments.soundfonts):
            parser.error("--hours needs --data, --salamander, --soundfonts and a --seed other than 1, and no --validation")
        renderer = Renderer(arguments.data, arguments.salamander, arguments.soundfonts, arguments.work, arguments.seed)
        source = Source.of_renderer(renderer, arguments.hours)
    out = arguments.work / "tokens" / ("valid" if arguments.validation else "train")
    out.mkdir(parents=True, exist_ok=True)
    tokeniser.codebooks.save(out)
    write_shards(tokeniser, source, out, arguments.seed, arguments.process, arguments.processes)
    write_index(out, tokeniser)


if __name__ == "__main__":
    main()
