"""Turns rendered audio into the token cache that the transformers are trained on.

python -m segue_training.tokenize --work WORK
python -m segue_training.tokenize --work WORK --validation

Writes WORK/tokens/train/shard_NNNNN.npz (and `valid/`), and index.json beside them: see `token_data.read_shard`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from .codec import Codec
from .dataset import Rendering, load_audio, renderings
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

    @torch.no_grad()
    def tokens(self, audio: torch.Tensor) -> Excerpt:
        """Mid and side [channels, L] → semantic [N] and acoustic [N · hop ratio, books]; frame 0 of both begins at sample 0."""
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


def write_shards(tokeniser: Tokeniser, audio: Path, out: Path, seed: int, process: int, processes: int) -> None:
    """Tokenises every rendering of `audio`; shards that exist are kept. Shard k belongs to process k mod processes."""
    out.mkdir(parents=True, exist_ok=True)
    found = renderings(audio)
    shards = [found[i : i + RENDERINGS_PER_SHARD] for i in range(0, len(found), RENDERINGS_PER_SHARD)]
    begun, seconds = time.monotonic(), 0.0
    for number in range(process, len(shards), processes):
        path = out / f"shard_{number:05d}.npz"
        if path.exists():
            continue
        excerpts, entries = [], []
        for rendering in shards[number]:
            gain = gain_of(rendering, seed)
            samples = load_audio(audio, rendering.id).astype(np.float32) * np.float32(10 ** (gain / 20) / 32768)
            excerpts.append(tokeniser.tokens(mid_side(torch.from_numpy(samples.T))))
            entries.append({"id": rendering.id, "piece": rendering.piece, "gain_db": round(gain, 2)})
            seconds += rendering.seconds
        # Written beside the folder and moved into it, so that a reader never sees half a shard.
        temporary = out.parent / f"{out.name}_{number:05d}.npz"
        write_shard(temporary, excerpts)
        path.with_suffix(".json").write_text(json.dumps(entries))
        temporary.rename(path)
        if (number // processes) % 8 == 0:
            speed = seconds / (time.monotonic() - begun)
            print(f"shard {number} of {len(shards)}, {speed:.0f} × real time", flush=True)


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
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--validation", action="store_true", help="the held-out pieces instead, to tokens/valid")
    parser.add_argument("--half", action="store_true", help="compute in bf16: faster, some codes differ")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--process", type=int, default=0, help="which of --processes this one is")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checkpoints = arguments.work / "checkpoints"
    tokeniser = Tokeniser(
        load_codec(checkpoints / "codec.pt"), load_tokenizer(checkpoints / "semantic.pt"), arguments.half
    )
    audio = arguments.work / ("validation_audio" if arguments.validation else "audio")
    out = arguments.work / "tokens" / ("valid" if arguments.validation else "train")
    write_shards(tokeniser, audio, out, arguments.seed, arguments.process, arguments.processes)
    write_index(out, tokeniser)


if __name__ == "__main__":
    main()
