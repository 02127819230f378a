"""What a semantic stage knows by heart: the longest run of what it plays that is in the tokens it was trained on.

python -m segue_training.memorised --work WORK --data DATA --pack PACK --out RESULTS.md

The paper's authors and Aria's warn of it. Runs are of moments at which something is struck, by what distinguishes music in any key:
which keys together, counted from the lowest, and how far that is from the one before; without times, so that the same passage
played another way is found, and with them. Beside it stand runs of what truly follows the same prompts, which nobody has trained
on: what music shares with other music. Pieces of `validation_midi` are in no training set.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from .continuations import DEFAULT_PACK
from .held import notes_of
from .held_out import Studio
from .prompts import Prompt, recorded, rendered
from .results import lines, machine, merged
from .runtime import Dials, Pack, Timing
from .token_data import read_shard

TITLE = "What it knows by heart"
INTRODUCTION = """\
Written by `python -m segue_training.memorised`; a section per pack. How many moments in a row (frames in which something is struck) are
somewhere in the tokens of WORK/tokens/train, in any key: the same keys together and the same step from the moment before; *with times*:
and as many frames apart. Of each of the continuations the longest such run, made by the semantic stage alone with the pack's dials; beside it
those of what truly follows the same prompts, held-out music that shares with other music what music shares."""
LONGEST_PAUSE = 63
"""Frames; longer ones are alike"""
SPAN = 128
"""More than there are keys"""
BASE = np.uint64(0x9E3779B97F4A7C15)
PROMPT_SECONDS, SECONDS = 4.0, 16.0


def moments(frames: np.ndarray, stage: dict[str, Any], times: bool) -> np.ndarray:
    """Semantic frames [T, K] → what is struck at each moment, [n]; `stage` is a manifest's with `density` and `harmony`."""
    density, harmony = stage["density"], stage["harmony"]
    notes = notes_of(frames, density)
    struck = np.flatnonzero(notes.any(axis=1))
    tokens = frames[struck, : density["codebooks"]].astype(np.int64) - density["notes"][0]
    keys = np.where(notes[struck], tokens // harmony["levels"], SPAN)
    lowest = keys.min(axis=1, initial=SPAN)
    shape = np.zeros(len(struck), np.int64)
    for column in np.sort(np.where(keys == SPAN, SPAN - 1, keys - lowest[:, None]), axis=1).T:
        shape = shape * SPAN + column
    step = np.diff(lowest, prepend=lowest[:1]) + SPAN
    pause = np.diff(struck, prepend=struck[:1]).clip(max=LONGEST_PAUSE) if times else np.zeros(len(struck), np.int64)
    return (shape * 2 * SPAN + step) * (LONGEST_PAUSE + 1) + pause


def _joined(sequences: list[np.ndarray], from_id: int) -> tuple[np.ndarray, np.ndarray]:
    """All of them one after the other, and which one each element is of; between them, and for what has nothing before it, ids
    that are nobody else's."""
    parts, owners = [], []
    for owner, sequence in enumerate(sequences):
        alone = np.array([-(from_id + owner)], np.int64)
        parts.append(np.concatenate([alone, sequence[1:]]))
        owners.append(np.full(max(len(sequence), 1), owner))
    return np.concatenate(parts).astype(np.uint64), np.concatenate(owners)


def longest_shared(played: list[np.ndarray], known: list[np.ndarray]) -> list[int]:
    """The length of the longest run of each of `played` [n] that is in any of `known` [m]; their first elements, which have nothing
    before them, are in no run."""
    there, _ = _joined(known, from_id=1)
    here, owners = _joined(played, from_id=1 + len(known))
    found = np.zeros(len(played), int)
    hashes_there, hashes_here = np.zeros_like(there), np.zeros_like(here)
    for length in range(1, max(map(len, played), default=0) + 1):
        # Of runs that begin at each place, one element longer than before.
        hashes_there = (hashes_there * BASE)[: len(there) - length + 1] + there[length - 1 :]
        hashes_here = (hashes_here * BASE)[: len(here) - length + 1] + here[length - 1 :]
        same = np.isin(hashes_here, hashes_there)
        if not same.any():
            break
        found[np.unique(owners[: len(same)][same])] = length
        hashes_there, hashes_here = hashes_there[: len(there) - length], hashes_here[: len(here) - length]
    return found.tolist()


def play(pack: Pack, prompts: list[Prompt], seeds: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Semantic tokens of what a pack plays on from each prompt, `seeds` times, and of what truly follows."""
    stage = pack.stages["semantic"]
    dials = Dials(stage["temperature"], stage["top_p"])
    played, true = [], []
    for index, prompt in enumerate(prompts):
        whole = np.concatenate([prompt.prompt, prompt.truth]) * pack.gain(prompt.prompt)
        frames, begin = pack.semantic(whole), len(pack.semantic(whole[: len(prompt.prompt)]))
        true.append(frames[begin:])
        for seed in range(1, seeds + 1):
            random = np.random.default_rng([seed, index])
            made = pack.runner("semantic").generate(frames[:begin], len(frames), None, dials, random, Timing())
            played.append(made[begin:])
        print(f"{index + 1} of {len(prompts)}", flush=True)
    return played, true


def section(pack: Pack, played: list[np.ndarray], true: list[np.ndarray], known: list[np.ndarray], flags: str) -> str:
    """What the file says about one pack."""
    stage = pack.stages["semantic"]
    rows = []
    for name, sequences in (("what it plays", played), ("what truly follows", true)):
        row = [name, str(len(sequences)), f"{np.median([len(moments(s, stage, False)) for s in sequences]):.0f}"]
        for times in (False, True):
            runs = longest_shared([moments(s, stage, times) for s in sequences], [moments(k, stage, times) for k in known])
            row += [f"{np.median(runs):.0f}", f"{np.quantile(runs, 0.9):.0f}", f"{max(runs)}"]
        rows.append(row)
    heads = ["", "of them", "moments, median", "longest run, median", "9 of 10 within", "longest"]
    hours = sum(map(len, known)) * pack.manifest["semantic"]["hop"] / pack.sample_rate / 3600
    name = f"{pack.manifest['name']} {pack.manifest['version']}"
    return (
        f"## {pack.manifest['name']}\n\n{name}; {hours:.0f} h of tokens. "
        f"`python -m segue_training.memorised --work WORK --data DATA --pack PACK --out RESULTS.md{flags}`, "
        f"{time.strftime('%Y-%m-%d')}. {machine(('onnxruntime',))}.\n\n"
        + lines([*heads, "with times, median", "9 of 10 within", "longest"], rows)
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="banks of the pianos, and tokens/train")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a Markdown file")
    parser.add_argument("--pack", type=Path, default=DEFAULT_PACK)
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--cuts", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    flags = "".join(
        f" --{name} {getattr(arguments, name)}"
        for name in ("recordings", "cuts", "seeds")
        if getattr(arguments, name) != parser.get_default(name)
    )
    pack = Pack(arguments.pack)
    known = [e.semantic for path in sorted((arguments.work / "tokens" / "train").glob("*.npz")) for e in read_shard(path)]
    prompts = recorded(arguments.data, arguments.recordings, PROMPT_SECONDS, SECONDS)
    prompts += rendered(Studio(arguments.data, arguments.work), arguments.data, arguments.cuts, PROMPT_SECONDS, SECONDS)
    new = section(pack, *play(pack, prompts, arguments.seeds), known, flags)
    old = arguments.out.read_text(encoding="utf-8") if arguments.out.exists() else ""
    arguments.out.write_text(merged(old, TITLE, INTRODUCTION, pack.manifest["name"], new), encoding="utf-8")
    print(new, flush=True)


if __name__ == "__main__":
    main()
