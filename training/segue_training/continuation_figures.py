"""How packs play on, measured: against the truth, another piece, a loop, and themselves without the semantic stage."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field

import numpy as np

from .evaluate import level
from .faults import found_in, longest, noisy, silent
from .frechet import Projection, frechet
from .held_out import RATE
from .kept import Kept
from .midi import Note
from .music import compared
from .onsets import SEGMENT_SECONDS, Heard, Transcriber
from .playing import Player
from .prompts import Prompt, another
from .results import package_version
from .runtime import Dials, channels_of

FULL, ACOUSTIC = "full", "acoustic"
REFERENCES = {
    "truth": "true continuation",
    "coded": "the same through the codec",
    "another": "another piece",
    "loop": "loop of the prompt",
}
MADE = {ACOUSTIC: "acoustic only", FULL: "all stages"}
SWEEP = {"semantic": (0.6, 0.85, 1.1), "coarse": (0.6, 0.85, 1.1)}
"""Temperatures tried with each other"""
SWEEP_MORE = {"fine": (0.3, 0.9), "top_p": (0.9, 1.0)}
"""Tried one at a time, all else as the pack has it"""
WORST_FAULT_SECONDS = 2.0


@dataclass(frozen=True)
class Amounts:
    """How much is measured."""

    recordings: int = 8
    cuts: int = 40
    seeds: int = 3
    prompt_seconds: float = 4.0
    seconds: float = 16.0
    endless: int = 2
    """Prompts that are continued for `endless_seconds`"""
    endless_seconds: float = 300.0


QUICK = Amounts(1, 1, 1, 4.0, 4.0, 1, 20.0)


@dataclass(frozen=True)
class Judged:
    """One continuation."""

    prompt: int
    seed: int
    figures: dict[str, float | None]
    """See `music.compared` and `faults.found_in`"""
    context: np.ndarray
    """`onsets.Heard.context`"""

    @property
    def fault_seconds(self) -> float:
        """The longest silence, noise or stuck chord."""
        return max(float(self.figures[name] or 0.0) for name in ("silence_s", "noise_s", "stuck_s"))


@dataclass(frozen=True)
class Endless:
    """One prompt continued for minutes."""

    drift_db: float
    """Level of the last 16 s above the first"""
    fault_seconds: float
    """Longest silence or noise in all of it, or stuck chord in its last 16 s"""
    density: float | None
    """Of the last 16 s, over the prompt's"""


@dataclass
class Row:
    """All continuations of one kind."""

    name: str
    judged: list[Judged] = field(default_factory=list)
    frechet: list[float] = field(default_factory=list)
    """Of each of `judged`, to the true continuation of the same prompt"""
    coded_frechet: list[float] = field(default_factory=list)
    """Of each, to that as the pack's codec decodes it: how far apart as music, both in the codec's sound"""
    set_frechet: float = 0.0
    """Of all of one seed together to all true continuations, mean over the seeds"""

    def values(self, figure: str) -> np.ndarray:
        """Those of `judged` that have this figure."""
        found = [one.figures[figure] for one in self.judged]
        return np.array([value for value in found if value is not None], float)


@dataclass
class Figures:
    """Everything that the section reports."""

    rows: dict[str, Row]
    wins: list[float]
    """Of each prompt and seed: 1 where all stages are nearer to the truth than acoustic only, ½ for a tie"""
    coded_wins: list[float]
    """The same by `Row.coded_frechet`"""
    kept_variance: float
    halves: float
    """Fréchet distance between the two halves of the true continuation, mean: how far music goes by itself"""
    endless: list[Endless] = field(default_factory=list)


class Ears:
    """Hears each sound once."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._transcriber: Transcriber | None = None

    def listen(self, audio: np.ndarray) -> Heard:
        """Notes, pedal and context of a sound [N, 2] at 48 kHz of at most 16 s."""
        kind = f"heard by transkun {package_version('transkun')}"
        return unpacked(self._kept.arrays(kind, [audio], lambda: self._hear(audio)))

    def _hear(self, audio: np.ndarray) -> dict[str, np.ndarray]:
        if self._transcriber is None:
            self._transcriber = Transcriber()
        return packed(self._transcriber.listen(audio, RATE))


def packed(heard: Heard) -> dict[str, np.ndarray]:
    """As arrays: what can be kept."""
    notes = np.array([[note.onset, note.end, note.key, note.velocity] for note in heard.notes], np.float64)
    return {
        "notes": notes.reshape(-1, 4),
        "pedal": np.array(heard.pedal, np.float64).reshape(-1, 2),
        "context": heard.context.astype(np.float32),
    }


def unpacked(found: dict[str, np.ndarray]) -> Heard:
    """The inverse of `packed`."""
    notes = tuple(Note(float(a), float(b), int(key), int(velocity)) for a, b, key, velocity in found["notes"])
    return Heard(notes, tuple((float(a), float(b)) for a, b in found["pedal"]), found["context"])


def judge(ears: Ears, prompt: Prompt, index: int, seed: int, audio: np.ndarray) -> Judged:
    """One continuation [N, 2] of a prompt."""
    before, after = ears.listen(prompt.prompt), ears.listen(audio)
    times = len(prompt.prompt) / RATE, len(audio) / RATE
    music = compared(before.notes, before.pedal, times[0], after.notes, after.pedal, times[1])
    onsets = np.array([note.onset for note in after.notes])
    mono = channels_of(prompt.prompt, 1)[:, 0], channels_of(audio, 1)[:, 0]
    return Judged(index, seed, music | found_in(*mono, RATE, onsets), after.context)


def generated(
    player: Player, ears: Ears, prompts: list[Prompt], amounts: Amounts, kind: str, dials: dict[str, Dials]
) -> Row:
    """What a pack makes of all prompts with all seeds."""
    row = Row(MADE[kind])
    for index, prompt in enumerate(prompts):
        for seed in range(1, amounts.seeds + 1):
            audio = player.play_on(prompt.prompt, amounts.seconds, dials, seed, kind == ACOUSTIC)
            row.judged.append(judge(ears, prompt, index, seed, audio))
        print(f"{row.name}: {index + 1} of {len(prompts)}", flush=True)
    return row


def references(player: Player, ears: Ears, prompts: list[Prompt]) -> dict[str, Row]:
    """The rows that no stage makes."""
    rows = {key: Row(name) for key, name in REFERENCES.items()}
    for index, prompt in enumerate(prompts):
        coded = player.coded(prompt.prompt, prompt.truth)
        sounds = {"truth": prompt.truth, "coded": coded, "another": another(prompts, index), "loop": prompt.loop()}
        for key, audio in sounds.items():
            rows[key].judged.append(judge(ears, prompt, index, 0, audio))
        print(f"references: {index + 1} of {len(prompts)}", flush=True)
    return rows


def measure_distances(rows: dict[str, Row]) -> tuple[float, float]:
    """Fills in the Fréchet distances; the share of variance in the projection, and the distance between halves."""
    projection = Projection.of(np.concatenate([one.context for one in rows["truth"].judged]))
    true, coded = ([projection(one.context) for one in rows[key].judged] for key in ("truth", "coded"))
    for row in rows.values():
        projected = [projection(one.context) for one in row.judged]
        row.frechet = [frechet(x, true[one.prompt]) for x, one in zip(projected, row.judged, strict=True)]
        row.coded_frechet = [frechet(x, coded[one.prompt]) for x, one in zip(projected, row.judged, strict=True)]
        # Seed by seed: a distance between sets depends on how large they are.
        sets: dict[int, list[np.ndarray]] = {}
        for x, one in zip(projected, row.judged, strict=True):
            sets.setdefault(one.seed, []).append(x)
        row.set_frechet = float(np.mean([frechet(np.concatenate(x), np.concatenate(true)) for x in sets.values()]))
    halves = [frechet(context[: len(context) // 2], context[len(context) // 2 :]) for context in true]
    return projection.kept, float(np.mean(halves))


def endless(player: Player, ears: Ears, prompt: Prompt, seconds: float) -> Endless:
    """What becomes of a pack that plays for `seconds`."""
    audio = player.play_on(prompt.prompt, seconds, player.pack.dials(), 1)
    mono = channels_of(audio, 1)[:, 0]
    reference = level(channels_of(prompt.prompt, 1)[:, 0])
    length = int(min(SEGMENT_SECONDS, seconds / 2) * RATE)
    last = judge(ears, prompt, 0, 1, audio[-length:])
    quiet = silent(mono, RATE, reference)
    worst = max(longest(quiet), longest(noisy(mono, RATE) & ~quiet), last.fault_seconds)
    return Endless(level(mono[-length:]) - level(mono[:length]), worst, last.figures["density"])


def preferences(ours: list[float], theirs: list[float]) -> list[float]:
    """Pair by pair: 1 where our distance is the shorter, ½ where both are equal."""
    return [0.5 if a == b else float(a < b) for a, b in zip(ours, theirs, strict=True)]


def measure(player: Player, ears: Ears, prompts: list[Prompt], amounts: Amounts) -> Figures:
    """All figures of a pack at its default dials."""
    rows = references(player, ears, prompts)
    for kind in MADE:
        rows[kind] = generated(player, ears, prompts, amounts, kind, player.pack.dials())
    kept, halves = measure_distances(rows)
    wins = preferences(rows[FULL].frechet, rows[ACOUSTIC].frechet)
    coded_wins = preferences(rows[FULL].coded_frechet, rows[ACOUSTIC].coded_frechet)
    lasting = [endless(player, ears, prompt, amounts.endless_seconds) for prompt in prompts[: amounts.endless]]
    return Figures(rows, wins, coded_wins, kept, halves, lasting)


def grid(defaults: dict[str, Dials]) -> dict[str, dict[str, Dials]]:
    """Named settings of the dials: the pack's own, then those of `SWEEP` and `SWEEP_MORE` for the stages it has."""
    found = {"as the pack has it": defaults}
    stages = {stage: values for stage, values in SWEEP.items() if stage in defaults}
    for temperatures in itertools.product(*stages.values()):
        dials = copy.deepcopy(defaults)
        for stage, temperature in zip(stages, temperatures, strict=True):
            dials[stage].temperature = temperature
        found[" · ".join(f"{stage} {value}" for stage, value in zip(stages, temperatures, strict=True))] = dials
    for name, values in SWEEP_MORE.items():
        for value in values if name in defaults or name == "top_p" else ():
            dials = copy.deepcopy(defaults)
            for stage, dial in dials.items():
                if name == "top_p":
                    dial.top_p = value
                elif name == stage:
                    dial.temperature = value
            found[f"{name} {value}"] = dials
    return found


def sweep(player: Player, ears: Ears, prompts: list[Prompt], amounts: Amounts) -> Figures:
    """A row of all stages for each setting of `grid`."""
    rows = references(player, ears, prompts)
    for name, dials in grid(player.pack.dials()).items():
        rows[name] = generated(player, ears, prompts, amounts, FULL, dials)
        rows[name].name = name
    kept, halves = measure_distances(rows)
    return Figures(rows, [], [], kept, halves)
