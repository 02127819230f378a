"""The paper's table on piano (AudioLM, table 1): what tokens keep, against Opus and the original.

python -m segue_training.table --work WORK --data DATA --out RESULTS.md [--packs PACK …] [--quick]

Each pack has a section of its own in the file; the sections of other packs stay. What is slow is kept in WORK/figures by
a hash of the sounds compared, so that Opus and the originals are judged once for all packs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from . import opus
from .figures import ANCHOR_HZ, OPUS_KBPS, QUICK, SETS, Amounts, Figures, Judge, Material, Row, measure
from .held_out import CLIP_BEGIN_SECONDS, HELD_OUT_PIANO, KNOWN_PIANO
from .kept import Kept
from .results import lines, machine, merged, number, verdict
from .runtime import Pack

DEFAULT_PACK = Path(__file__).resolve().parents[2] / "assets/packs/second"
SEED = 1
EXACT, INAUDIBLE_DB = ("si_sdr_db", "si_sdr_mid_db"), 150
TITLE = "What the tokens keep"
INTRODUCTION = f"""
Written by `python -m segue_training.table`; a section per pack. All sounds are 48 kHz stereo; a pack is given them at its
own rate and channels, and its sound is brought back to 48 kHz stereo.

- **Recordings**: the beginnings of `DATA/prompts`, a piano that no training heard. **Rendered**: pieces of
  `validation_midi` from {CLIP_BEGIN_SECONDS:.0f} s on, on the piano `{HELD_OUT_PIANO}`, half of them dry, half in a hall.
- **ViSQOL**: audio mode, MOS-LQO of the mono fold; the original scores 4.73. It hardly minds a missing treble (see the
  original below {ANCHOR_HZ / 1000:.0f} kHz) and falls to 1.5 for white noise 40 dB below a recording, more than a listener would. **mel**: mean difference in dB of 128 bands, left and right. **STFT**: spectral convergence +
  log magnitude, windows of 4096 to 512. **SI-SDR**: left and right as one signal, and of the mid alone; a mono pack cannot
  score high on the former. **onset F1**: notes (key, onset within 50 ms) that Transkun hears in the decoded sound, against
  those it hears in the original.
- **ABX**: half a second each: A and X the same keys at different times of a piece, B the next different chord; the share
  of errors, chance is 50 %, ± its standard error. *Within*: all three on one piano in one room; *across*: X on another
  piano in another room (`{HELD_OUT_PIANO}` dry and `{KNOWN_PIANO}` in a hall, either way). Dynamic time warping of the
  angle between codebook vectors (*vectors*; for several books their sum; of the semantic books that name what is struck these keys,
  which fade by a fifth a frame: `abx.told`) or of the share of tokens that differ (*identity*).
- **Probe**: micro F1 of a linear layer on the one-hot tokens of one frame, that tells which keys were struck within the
  last 0.4 s and still sound; learnt from training pieces on `{KNOWN_PIANO}`, tested on held-out pieces on `{HELD_OUT_PIANO}`.
- **Opus**: opusenc `--music --cvbr`; the bit rate is that of the packets.
"""


def reconstruction_table(found: Figures, name: str) -> str:
    """ViSQOL and its like of one of `SETS`."""
    heads = ["", "kbit/s", "ViSQOL", "mel dB", "STFT", "SI-SDR dB", "of the mid", "onset F1"]
    rows = []
    for row in found.rows.values():
        got = row.sets.get(name)
        if got:
            keys = (("visqol", 2), ("mel_db", 2), ("stft", 3), ("si_sdr_db", 1), ("si_sdr_mid_db", 1), ("onset_f1", 3))
            shown = ["∞" if key in EXACT and got[key] > INAUDIBLE_DB else number(got.get(key), n) for key, n in keys]
            rows.append([row.name, number(row.kbps), *shown])
    return lines(heads, rows)


def content_table(found: Figures) -> str:
    """ABX and probes."""

    def error(row: Row, key: str) -> str:
        if key not in row.abx:
            return "–"
        mean, deviation = row.abx[key]
        return f"{100 * mean:.1f} ± {100 * deviation:.1f}"

    kinds = ("within_angle", "across_angle", "within_identity", "across_identity")
    heads = ["", "kbit/s", "within, vectors %", "across, vectors %", "within, identity %", "across, identity %", "probe F1"]
    rows = [
        [row.name, number(row.kbps), *(error(row, kind) for kind in kinds), number(row.probe, 3)]
        for row in found.rows.values()
        if row.abx
    ]
    return lines(heads, rows)


def use_table(found: Figures) -> str:
    """Codebook use."""
    rows = [
        [f"{stream} {book}", f"{100 * share:.1f}", f"{perplexity:.0f}"]
        for stream, books in found.use.items()
        for book, (share, perplexity) in enumerate(books)
    ]
    return lines(["book", "entries used %", "perplexity"], rows)


def cost_table(found: Figures) -> str:
    """Speeds."""
    ways = {"": "10 s at once", "_graph": "graphs alone, 10 s at once", "_chunked": "in chunks of 80 ms"}
    parts = ("encode", "semantic", "both", "decode")
    rows = [[text, *(number(getattr(found.cost, part + way), 0) for part in parts)] for way, text in ways.items()]
    heads = ["× real time, one thread, median", "acoustic encoder", "semantic tokenizer", "both", "decoder"]
    return lines(heads, rows) + f"\nDecoded in chunks against at once: {found.cost.chunked_error_db:.0f} dB.\n"


def goals_table(found: Figures) -> str:
    """Each goal of the project with the figure, and whether it is met; on the worse of both sets."""
    rows: list[list[str]] = []

    def worst(row: str, key: str) -> float | None:
        values = [got[key] for got in found.rows[row].sets.values() if key in got] if row in found.rows else []
        return min(values, default=None)

    def add(goal: str, figure: float | None, met: bool | None, digits: int = 2) -> None:
        rows.append([goal, number(figure, digits), verdict(met)])

    full, coarse = worst("full", "visqol"), worst("coarse", "visqol")
    add("ViSQOL, all books ≥ 4.2", full, None if full is None else full >= 4.2)
    for name, text in SETS.items():
        ours, theirs = (found.rows[row].sets.get(name, {}).get("visqol") if row in found.rows else None
                        for row in ("full", "opus_24"))
        if ours is not None and theirs is not None:
            add(f"above Opus at 24 kbit/s ({text}): difference", ours - theirs, ours > theirs)
    add("ViSQOL, coarse ≥ 3.6", coarse, None if coarse is None else coarse >= 3.6)
    for row, goal in (("full", 0.95), ("coarse", 0.85)):
        figure = worst(row, "onset_f1")
        add(f"onset F1, {row} ≥ {goal}", figure, None if figure is None else figure >= goal, 3)
    books = [share for share, _ in found.use["acoustic"][:4]]
    add("entries used of each coarse book ≥ 80 %", 100 * min(books), min(books) >= 0.8, 0)
    heard = found.rows["semantic"].abx
    if heard:
        kind = "angle" if "within_angle" in heard else "identity"
        for side, goal in (("within", 0.07), ("across", 0.08)):
            value = heard[f"{side}_{kind}"][0]
            add(f"ABX {side}, semantic ≤ {100 * goal:.0f} %", 100 * value, value <= goal, 1)
        acoustic = found.rows["coarse"].abx.get(f"across_{kind}")
        if acoustic:
            ratio = heard[f"across_{kind}"][0] / max(1e-9, acoustic[0])
            add("ABX across, semantic over coarse acoustic ≤ 0.5", ratio, ratio <= 0.5)
    add("decode ≥ 30 × real time (graph)", found.cost.decode_graph, found.cost.decode_graph >= 30, 0)
    add("both tokenizers ≥ 15 × real time (graphs)", found.cost.both_graph, found.cost.both_graph >= 15, 0)
    return lines(["goal (worse of both sets)", "figure", "met"], rows)


def section(pack: Pack, found: Figures, amounts: Amounts, material: Material, flags: str) -> str:
    """What the file says about one pack."""
    audio = pack.manifest["audio"]
    parts = [
        f"## {pack.manifest['name']}\n",
        f"Version {pack.manifest['version']}, {audio['sample_rate']} Hz, {audio['channels']} channel(s). "
        f"`python -m segue_training.table --work WORK --data DATA --out RESULTS.md --packs PACK{flags}`, seed {SEED}, "
        f"{time.strftime('%Y-%m-%d')}. {machine()}. "
        f"{len(material.sets['recordings'])} + {len(material.sets['rendered'])} clips of {amounts.clip_seconds:.0f} s, "
        f"{len(material.triplets)} triplets, each within and across in two ways.\n",
        "### Goals\n",
        goals_table(found),
        *(f"### Reconstruction: {text}\n\n{reconstruction_table(found, name)}" for name, text in SETS.items()),
    ]
    if found.score_f1 is not None:
        parts.append(f"The transcriber itself, on the original of the rendered clips against their notes: F1 {found.score_f1:.3f}.\n")
    parts += [
        "### Discriminability and content\n",
        content_table(found),
        f"### Codebook use on {found.held_out_seconds / 60:.0f} min of held-out pieces\n",
        use_table(found),
        "### Cost\n",
        cost_table(found),
        "Time taken: " + ", ".join(f"{part} {seconds:.0f} s" for part, seconds in found.elapsed.items()) + ".\n",
    ]
    return "\n".join(parts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="banks of the pianos and finished figures are kept here")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a Markdown file")
    parser.add_argument("--packs", type=Path, nargs="+", default=[DEFAULT_PACK])
    parser.add_argument("--without", nargs="+", choices=("visqol", "onsets", "opus"), default=[])
    parser.add_argument("--clips", type=int, default=Amounts.clips, help="of each set, for reconstruction")
    parser.add_argument("--quick", action="store_true", help="hardly any material: to see that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    without, amounts = set(arguments.without), QUICK if arguments.quick else Amounts(clips=arguments.clips)
    flags = " --quick" if arguments.quick else f" --clips {arguments.clips}" if arguments.clips != Amounts.clips else ""
    flags += f" --without {' '.join(sorted(without))}" if without else ""
    if "opus" not in without:
        print(f"{opus.version()} at {OPUS_KBPS} kbit/s", flush=True)
    judge = Judge(Kept(arguments.work / "figures"), without)
    material = Material(arguments.data, arguments.work, amounts, SEED)
    for folder in arguments.packs:
        pack = Pack(folder)
        found = measure(pack, material, judge, amounts, without, SEED)
        old = arguments.out.read_text(encoding="utf-8") if arguments.out.exists() else ""
        new = merged(old, TITLE, INTRODUCTION, pack.manifest["name"], section(pack, found, amounts, material, flags))
        arguments.out.write_text(new, encoding="utf-8")
        print(section(pack, found, amounts, material, flags), flush=True)


if __name__ == "__main__":
    main()
