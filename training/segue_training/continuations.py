"""How a pack plays on, against the truth, another piece, a loop of the prompt, and itself without the semantic stage.

python -m segue_training.continuations --work WORK --data DATA --pack PACK --out RESULTS.md [--quick]
python -m segue_training.continuations --work WORK --data DATA --pack PACK --out RESULTS.md --sweep

Each pack has a section of its own in the file, and one for its sweep; everything else stays. What is slow, tokens and
transcriptions, is kept in WORK/figures by a hash of what it depends on: a run that was cut short goes on where it was.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .continuation_figures import (
    ACOUSTIC,
    FULL,
    QUICK,
    WORST_FAULT_SECONDS,
    Amounts,
    Ears,
    Figures,
    Row,
    measure,
    sweep,
)
from .frechet import COMPONENTS
from .held_out import HELD_OUT_PIANO, KNOWN_PIANO, Studio
from .kept import Kept
from .playing import Player
from .prompts import recorded, rendered
from .results import lines, machine, merged, number, verdict
from .runtime import Pack
from .table import DEFAULT_PACK

LOW, HIGH = 0.7, 1.4
"""Where a ratio to the prompt is that of the same music."""
DRIFT_DB, ENDLESS_DRIFT_DB = 3.0, 6.0
SWEEP_AMOUNTS = Amounts(4, 4, 1, endless=0)
TITLE = "How it plays on"
INTRODUCTION = f"""
Written by `python -m segue_training.continuations`; a section per pack. Each prompt of 4 s is continued for 16 s with
the pack's default temperatures, by numpy and ONNX Runtime (`runtime`), and heard at 48 kHz beside references: what
truly follows, the same through the pack's codec, what follows the prompt of *another piece* on the same piano, a *loop*
of the prompt, and *acoustic only*: the same pack whose coarse stage is told that every semantic token is unknown (as in
7 % of the sequences it was trained on). Prompts: recordings of `DATA/prompts`, and places of `validation_midi` on
`{HELD_OUT_PIANO}` (held out) and `{KNOWN_PIANO}` (trained on), half dry, half in a hall. Nobody listens here: the
figures tell what is wrong, not what is good.

Of the notes that Transkun hears in prompt and continuation:
- **key**: Pearson correlation of how long each pitch class sounds, mean. **density**, **velocity**, **pedal** (share of
  time down, where the prompt has at least 5 %), **polyphony**: over the prompt's, median; in brackets how many % lie
  within {LOW}–{HIGH}.
- **grid**: whether onsets lie on the prompt's grid, whose period is the longest of 0.1–0.6 s that the prompt's onsets
  fit nearly best; windows of 4 s, each with its own phase and 5 % of freedom in the period, or in its half or third;
  1 exactly, 0.2–0.4 by chance (see another piece), mean.
- **repeated**: notes in a run of eight of which 80 % are in the prompt, same keys and times (50 ms) but for one shift.

Of the sound:
- **drift**: level of the last quarter against the first, median of its absolute value; in brackets how many % are
  within {DRIFT_DB:.0f} dB.
- **silent**: share of tenths of a second 40 dB below the prompt. **fault**: continuations with more than
  {WORST_FAULT_SECONDS:.0f} s of silence, of noise (spectral flatness by octaves above 0.3) or of a stuck chord (nothing struck,
  yet less than 1 dB a second of decay); then the longest of each.
- **seam**: difference in dB between the 43 ms before and the 43 ms after the seam, of those of 64 mel bands that sound,
  median.
- **Fréchet**: between a continuation and the true one, each the Gaussian of its seconds, mean over continuations. The
  embedding is the context of Transkun's network before it decides on notes: 256 numbers, averaged over each second and
  over the keys of bass, middle and treble, so 768, in their {COMPONENTS} principal components over the true continuations,
  scaled to variance 1 together. It knows notes, touch, pedal and the sound of pianos, comes with the transcriber, and
  has nothing of the pack in it. **coded**: the same to the true continuation as the pack's codec decodes it, so that
  what the codec does to a sound counts less. **set**: the same between all continuations of one seed and all true ones, which hardly
  minds whether a continuation belongs to its prompt. *Neither compares with anybody's FAD.*
- **preferred**: how often all stages are nearer to the truth (Fréchet) than acoustic only, same prompt and seed. A
  stand-in for the paper's listeners, and not the same.
"""


def heading(pack: Pack, swept: bool) -> str:
    """The name of the pack's section."""
    return f"{pack.manifest['name']}: sweep" if swept else str(pack.manifest["name"])


def within(values: np.ndarray, low: float, high: float) -> float | None:
    """The share of values from low to high."""
    return float(((values >= low) & (values <= high)).mean()) if len(values) else None


def middle(values: np.ndarray) -> float | None:
    """The median, if there is one."""
    return float(np.median(values)) if len(values) else None


def mean(values: np.ndarray) -> float | None:
    """The mean, if there is one."""
    return float(values.mean()) if len(values) else None


def percent(share: float | None) -> str:
    """A share, or a dash."""
    return "–" if share is None else f"{100 * share:.0f}"


def drifts(row: Row) -> float | None:
    """The share of continuations whose level hardly drifts."""
    return within(np.abs(row.values("drift_db")), 0.0, DRIFT_DB)


def faults(row: Row) -> int:
    """How many continuations have more than 2 s of silence, noise or a stuck chord."""
    return sum(one.fault_seconds > WORST_FAULT_SECONDS for one in row.judged)


def music_table(rows: dict[str, Row]) -> str:
    """What is told from notes."""
    heads = ["", "key", "density", "velocity", "pedal", "polyphony", "grid", "repeated %"]

    def line(row: Row) -> list[str]:
        ratios = [
            f"{number(middle(row.values(name)))} ({percent(within(row.values(name), LOW, HIGH))})"
            for name in ("density", "velocity", "pedal", "polyphony")
        ]
        key, on_grid, repeated = (mean(row.values(name)) for name in ("pitch_class", "grid", "repeated"))
        return [row.name, number(key), *ratios, number(on_grid), percent(repeated)]

    return lines(heads, [line(row) for row in rows.values()])


def sound_table(rows: dict[str, Row]) -> str:
    """What is told from the sound and the embedding."""
    heads = ["", "drift dB", "silent %", "fault", "longest silence, noise, stuck s", "seam dB", "Fréchet", "coded", "set"]

    def line(row: Row) -> list[str]:
        longest = [number(float(row.values(name).max()), 1) for name in ("silence_s", "noise_s", "stuck_s")]
        return [
            row.name,
            f"{number(middle(np.abs(row.values('drift_db'))), 1)} ({percent(drifts(row))})",
            number(100 * float(row.values("silent_share").mean()), 1),
            f"{faults(row)} of {len(row.judged)}",
            ", ".join(longest),
            number(middle(row.values("seam_db")), 1),
            number(float(np.mean(row.frechet))),
            number(float(np.mean(row.coded_frechet))),
            number(row.set_frechet),
        ]

    return lines(heads, [line(row) for row in rows.values()])


def goals_table(found: Figures, amounts: Amounts) -> str:
    """Each goal of the project with the figure, the true continuation's, and whether it is met."""
    rows = found.rows
    full, truth = rows[FULL], rows["truth"]
    table: list[list[str]] = []

    def add(goal: str, figure: float | None, yardstick: float | None, met: bool | None, digits: int = 2) -> None:
        table.append([goal, number(figure, digits), number(yardstick, digits), verdict(met)])

    for name, figure in (("pitch-class agreement", "pitch_class"), ("onset-grid agreement", "grid")):
        ours, true = mean(full.values(figure)), mean(truth.values(figure))
        known = ours is not None and true is not None
        add(f"{name} ≥ 0.9 × the true continuation's", ours, true, ours >= 0.9 * true if known else None)
    for figure in ("density", "velocity"):
        ours, true = (within(row.values(figure), LOW, HIGH) for row in (full, truth))
        goal = f"{figure} within {LOW}–{HIGH} of the prompt's in ≥ 90 %"
        shares = (None if share is None else 100 * share for share in (ours, true))
        add(goal, *shares, None if ours is None else ours >= 0.9, 0)
    distance = {key: float(np.mean(row.frechet)) for key, row in rows.items()}
    met = distance[FULL] <= distance["another"] / 3
    add("Fréchet distance over another piece's ≤ ⅓", distance[FULL] / max(1e-9, distance["another"]), 0.0, met)
    further = distance[FULL] - distance[ACOUSTIC]
    add("… and below acoustic only: difference", further, None, further < 0)
    wins = float(np.mean(found.wins))
    add("all stages preferred to acoustic only ≥ 83 %", 100 * wins, None, wins >= 0.83, 0)
    ours, true = drifts(full), drifts(truth)
    add(f"loudness drift ≤ {DRIFT_DB:.0f} dB in ≥ 90 %", 100 * ours, 100 * true, ours >= 0.9, 0)
    add("silence, noise or a stuck chord for > 2 s: none", faults(full), faults(truth), faults(full) == 0, 0)
    table.append(["speed on two threads ≥ 3 × real time", "see `cargo xtask bench`", "–", "–"])
    if found.endless:
        drift = max(abs(one.drift_db) for one in found.endless)
        worst = max(one.fault_seconds for one in found.endless)
        goal = f"{amounts.endless_seconds:.0f} s of {len(found.endless)} prompt(s): drift ≤ {ENDLESS_DRIFT_DB:.0f} dB"
        add(goal, drift, None, drift <= ENDLESS_DRIFT_DB, 1)
        add("… longest silence, noise or stuck chord ≤ 2 s", worst, None, worst <= WORST_FAULT_SECONDS, 1)
    return lines(["goal", "figure", "true continuation's", "met"], table)


def preface(pack: Pack, amounts: Amounts, counts: tuple[int, int], flags: str) -> str:
    """What was measured, on how much, and with what."""
    audio = pack.manifest["audio"]
    dials = ", ".join(f"{name} {dial.temperature} (top-p {dial.top_p})" for name, dial in pack.dials().items())
    total = sum(counts) * amounts.seeds
    return (
        f"Version {pack.manifest['version']}, {audio['sample_rate']} Hz, {audio['channels']} channel(s); {dials}. "
        f"`python -m segue_training.continuations --work WORK --data DATA --pack PACK --out RESULTS.md{flags}`, "
        f"{time.strftime('%Y-%m-%d')}. {machine(('onnxruntime', 'transkun'))}.\n\n"
        f"**{counts[0]} recordings + {counts[1]} cuts, {amounts.seeds} seed(s): {total} continuations** of "
        f"{amounts.seconds:.0f} s of each kind, {sum(counts)} of each reference.\n"
    )


def distances_note(found: Figures) -> str:
    """What the Fréchet distances are to be read against."""
    coded, another = (float(np.mean(found.rows[key].frechet)) for key in ("coded", "another"))
    return (
        f"The components hold {100 * found.kept_variance:.0f} % of the embedding's variance. The two halves of a true "
        f"continuation are {found.halves:.2f} apart. The codec alone takes the true continuation "
        f"{coded / max(1e-9, another):.2f} of another piece's distance away: stages hardly come nearer.\n"
    )


def section(pack: Pack, found: Figures, amounts: Amounts, counts: tuple[int, int], flags: str) -> str:
    """What the file says about one pack."""
    preferred, coded = (
        f"{100 * np.mean(wins):.0f} ± {100 * np.std(wins) / np.sqrt(len(wins)):.0f} %"
        for wins in (found.wins, found.coded_wins)
    )
    pairs = f"of {len(found.wins)} pairs, {coded} by the distance to the coded truth (± standard error)"
    parts = [
        f"## {heading(pack, False)}\n",
        preface(pack, amounts, counts, flags),
        "### Goals\n",
        goals_table(found, amounts),
        "### Notes\n",
        music_table(found.rows),
        "### Sound\n",
        sound_table(found.rows),
        distances_note(found),
        f"All stages preferred to acoustic only: {preferred} {pairs}.\n",
    ]
    return "\n".join(parts)


def sweep_section(pack: Pack, found: Figures, amounts: Amounts, counts: tuple[int, int], flags: str) -> str:
    """The grid of temperatures."""
    parts = [
        f"## {heading(pack, True)}\n",
        preface(pack, amounts, counts, flags),
        music_table(found.rows),
        sound_table(found.rows),
        distances_note(found),
    ]
    return "\n".join(parts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="banks of the pianos and finished figures")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a Markdown file")
    parser.add_argument("--pack", type=Path, default=DEFAULT_PACK)
    parser.add_argument("--recordings", type=int, help="prompts from DATA/prompts; 8, of a sweep 4")
    parser.add_argument("--cuts", type=int, help="prompts cut from validation_midi; 40, of a sweep 4")
    parser.add_argument("--seeds", type=int, help="continuations of each prompt; 3, of a sweep 1")
    parser.add_argument("--endless", type=int, help="prompts that are continued for five minutes; 2, of a sweep none")
    parser.add_argument("--quick", action="store_true", help="two prompts, one seed, 4 s: to see that it runs")
    parser.add_argument("--sweep", action="store_true", help="a grid of temperatures and top-p instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    amounts = QUICK if arguments.quick else SWEEP_AMOUNTS if arguments.sweep else Amounts()
    chosen = {name: getattr(arguments, name) for name in ("recordings", "cuts", "seeds", "endless")}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    amounts = replace(amounts, **chosen)
    flags = "".join(f" --{name}" for name in ("quick", "sweep") if getattr(arguments, name))
    flags += "".join(f" --{name} {value}" for name, value in chosen.items())
    kept = Kept(arguments.work / "figures")
    recordings = recorded(arguments.data, amounts.recordings, amounts.prompt_seconds, amounts.seconds)
    studio = Studio(arguments.data, arguments.work)
    cuts = rendered(studio, arguments.data, amounts.cuts, amounts.prompt_seconds, amounts.seconds)
    player, ears = Player(Pack(arguments.pack), kept), Ears(kept)
    run, table = (sweep, sweep_section) if arguments.sweep else (measure, section)
    found = run(player, ears, [*recordings, *cuts], amounts)
    new = table(player.pack, found, amounts, (len(recordings), len(cuts)), flags)
    old = arguments.out.read_text(encoding="utf-8") if arguments.out.exists() else ""
    name = heading(player.pack, arguments.sweep)
    arguments.out.write_text(merged(old, TITLE, INTRODUCTION, name, new), encoding="utf-8")
    print(new, flush=True)


if __name__ == "__main__":
    main()
