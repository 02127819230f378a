"""Note tokens straight from MIDI: what the semantic stage would hear of pieces that nobody rendered.

python -m segue_training.score_tokens --work WORK --data DATA --hours 150

Rendering is what the token cache costs, and the note tokens need none: many more pieces, in more keys and tempi, for the price
of reading them. What sounds (the codebooks behind the note books) is unknown in them, and there are no acoustic tokens: only the
semantic stage learns from them, and only its note books. Writes WORK/tokens/train/shard_mNNNNN.npz beside the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from .dataset import SOURCE_SHARES, training_files
from .midi import Note, read_notes
from .notes import DELAY, NOTHING, with_rests
from .render import EXCERPT_SECONDS, FEWEST_NOTES, note_table, played_by_somebody, some_of
from .semantic import SemanticConfig
from .token_data import Excerpt, write_shard
from .train_notes import roll
from .train_semantic import load_tokenizer

EXCERPTS_PER_SHARD = 64
PREFIX = "shard_m"


def tokens_of(notes: np.ndarray, seconds: float, config: SemanticConfig) -> np.ndarray:
    """Notes [n, 4] (onset s, end s, key, velocity) → semantic tokens [T, K] as `NoteNetwork.tokens` gives them, if it heard
    all; of more keys than books the loudest. Of the other books all are unknown."""
    seconds_per_frame = config.hop / config.sample_rate
    frames = int(seconds / seconds_per_frame)
    struck = roll(notes, frames, seconds_per_frame).astype(int)
    tokens = np.full((frames, config.codebooks), config.cardinality)
    loudest = np.argsort(-struck, axis=1, kind="stable")[:, : config.note_books]
    velocity = np.take_along_axis(struck, loudest, 1)
    level = np.minimum(velocity * config.note_levels // 127, config.note_levels - 1)
    named = np.where(velocity > 0, 1 + loudest * config.note_levels + level, NOTHING)
    tokens[:, : config.note_books] = -np.sort(-named, axis=1)
    # Tokens are of what was struck so many frames before.
    tokens[DELAY:] = tokens[: frames - DELAY]
    tokens[:DELAY, : config.note_books] = NOTHING
    return with_rests(torch.from_numpy(tokens)[None], config.note_levels, config.note_rests)[0].numpy()


def excerpts(files: dict[str, list[Path]], hours: float, config: SemanticConfig, seed: int) -> Iterator[Excerpt]:
    """So many hours, each source its share, each piece of it as often; a piece is read once, and played another way each time."""
    rng = np.random.default_rng([seed, 0x5C08E])
    pieces: list[tuple[Path, int]] = []
    for source, share in SOURCE_SHARES.items():
        count = hours * 3600 * share / EXCERPT_SECONDS / max(1, len(files[source]))
        pieces += [(path, int(count) + int(rng.random() < count % 1)) for path in files[source]]
    for index in rng.permutation(len(pieces)):
        path, times = pieces[index]
        notes: list[Note] = read_notes(path) if times else []
        for _ in range(times if len(notes) >= FEWEST_NOTES else 0):
            _, chosen = some_of(notes, rng)
            if len(chosen) < FEWEST_NOTES:
                continue
            played, *_ = played_by_somebody(chosen, rng)
            seconds = min(EXCERPT_SECONDS, played[-1].onset + 1.0)
            tokens = tokens_of(note_table(played), seconds, config)
            yield Excerpt(tokens.astype(np.int16), np.zeros((0, 1), np.int16))


def write_shards(found: Iterator[Excerpt], out: Path) -> float:
    """All of them into shards; the hours written."""
    out.mkdir(parents=True, exist_ok=True)
    waiting: list[Excerpt] = []
    number = frames = 0

    def keep() -> None:
        nonlocal number
        write_shard(out / f"{PREFIX}{number:05d}.npz", waiting)
        number += 1
        waiting.clear()

    for excerpt in found:
        waiting.append(excerpt)
        frames += len(excerpt.semantic)
        if len(waiting) == EXCERPTS_PER_SHARD:
            keep()
    if waiting:
        keep()
    return frames / 25 / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=150.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    config = load_tokenizer(arguments.work / "checkpoints" / "semantic.pt").config
    if not config.note_books:
        parser.error("the semantic tokenizer of this work folder has no note books: run `train_notes` and `train_semantic`")
    found = excerpts(training_files(arguments.data / "midi"), arguments.hours, config, arguments.seed)
    print(f"{write_shards(found, arguments.work / 'tokens' / 'train'):.1f} h of note tokens", flush=True)


if __name__ == "__main__":
    main()
