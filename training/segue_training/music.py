"""What a continuation has of its prompt, told from the notes that a transcriber hears in both.

Times are seconds from the beginning of the sound, whose length is `seconds`. A figure that the notes cannot tell
(nothing was played, or too little) is None.
"""

from __future__ import annotations

import numpy as np

from .midi import Note

SAME_MOMENT_SECONDS = 0.03
"""Onsets closer than this are one chord."""
GRID_SECONDS = (0.1, 0.6)
GRID_STEP = 1.005
GRID_FREEDOM = 0.05
"""How much slower or faster the continuation's grid may be."""
GRID_WINDOW_SECONDS = 4.0
LEAST_MOMENTS = 4
NEARLY_BEST = 0.95
RUN_NOTES, RUN_SHARE = 8, 0.8
REPEAT_TOLERANCE_SECONDS = 0.05
LEAST_PEDAL = 0.05

Notes = list[Note] | tuple[Note, ...]
Spans = list[tuple[float, float]] | tuple[tuple[float, float], ...]


def pitch_classes(notes: Notes, seconds: float) -> np.ndarray:
    """How long each pitch class sounds, in seconds: [12]."""
    found = np.zeros(12)
    for note in notes:
        found[note.key % 12] += max(0.0, min(note.end, seconds) - max(note.onset, 0.0))
    return found


def pitch_class_agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two histograms [12]; 0 if one of them is flat or empty."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 1e-12 else 0.0


def density(notes: Notes, seconds: float) -> float:
    """Notes struck per second."""
    return len(notes) / seconds


def velocity(notes: Notes) -> float | None:
    """Mean velocity, 1 to 127."""
    return float(np.mean([note.velocity for note in notes])) if notes else None


def covered(spans: Spans, seconds: float) -> float:
    """How many seconds lie within at least one of the spans (begin, end)."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        begin, end = max(begin, reached), min(end, seconds)
        if end > begin:
            total, reached = total + end - begin, end
    return total


def pedal_share(pedal: Spans, seconds: float) -> float:
    """The share of the time that the sustain pedal is down."""
    return covered(pedal, seconds) / seconds


def polyphony(notes: Notes, seconds: float) -> float | None:
    """How many notes sound together, on average over the time when any does."""
    some = covered([(note.onset, note.end) for note in notes], seconds)
    return float(pitch_classes(notes, seconds).sum()) / some if some > 0 else None


def ratio(a: float | None, b: float | None, least: float = 0.0) -> float | None:
    """a / b, where b is more than `least`."""
    return None if a is None or b is None or b <= least else a / b


def moments(notes: Notes) -> np.ndarray:
    """When something is struck, chords once: [n], ascending."""
    found: list[float] = []
    for onset in sorted(note.onset for note in notes):
        if not found or onset - found[-1] > SAME_MOMENT_SECONDS:
            found.append(onset)
    return np.array(found)


def pull(times: np.ndarray, periods: np.ndarray) -> np.ndarray:
    """How well moments [n] lie on a grid of each period [m], wherever it begins: 1 exactly, 0 as by chance.

    The squared length of the mean of e^{2πi t / period}, less what n random moments would give: [m].
    """
    count = len(times)
    length = np.abs(np.exp(2j * np.pi * times[None] / periods[:, None]).mean(axis=1)) ** 2
    return (count * length - 1) / (count - 1)


def grid_period(times: np.ndarray) -> float | None:
    """The longest period from 0.1 to 0.6 s that moments [n] lie on nearly as well as on any; None of too few."""
    if len(times) < LEAST_MOMENTS:
        return None
    low, high = GRID_SECONDS
    periods = low * GRID_STEP ** np.arange(int(np.log(high / low) / np.log(GRID_STEP)) + 1)
    score = pull(times, periods)
    index = int(np.flatnonzero(score >= NEARLY_BEST * score.max())[-1])
    while index > 0 and score[index - 1] > score[index]:
        index -= 1
    return float(periods[index])


def grid_agreement(prompt: np.ndarray, times: np.ndarray, seconds: float) -> float | None:
    """Whether a continuation's moments lie on the grid of the prompt's, 0 to 1.

    The grid may bend as players bend it: windows of 4 s every 2 s, each with a phase of its own and a period up to 5 %
    off; it may be the prompt's, its half or its third, whichever fits the whole continuation best. The root of the mean
    of `pull`, windows weighted by their moments.
    """
    period = grid_period(prompt)
    if period is None:
        return None
    freedom = np.linspace(1 - GRID_FREEDOM, 1 + GRID_FREEDOM, 21)
    begins = np.arange(0.0, max(seconds - GRID_WINDOW_SECONDS, 0.0) + 1e-6, GRID_WINDOW_SECONDS / 2)
    windows = [times[(times >= begin) & (times < begin + GRID_WINDOW_SECONDS)] for begin in begins]
    windows = [window for window in windows if len(window) >= LEAST_MOMENTS]
    if not windows:
        return 0.0
    weights = [len(window) for window in windows]
    best = max(
        float(np.average([pull(window, period / parts * freedom).max() for window in windows], weights=weights))
        for parts in (1, 2, 3)
    )
    return float(np.sqrt(max(0.0, best)))


def repeated_share(prompt: Notes, notes: Notes) -> float | None:
    """The share of notes that repeat the prompt: 1 for a loop.

    A note repeats it if it lies in a run of eight successive notes of which 80 % are in the prompt, the same keys at
    the same times (within 50 ms) but for one shift, and is among them. Shorter prompts: runs as long as they are.
    """
    if not prompt or not notes:
        return None
    run = min(RUN_NOTES, len(prompt), len(notes))
    keys, onsets = np.array([note.key for note in notes]), np.array([note.onset for note in notes])
    order = np.lexsort((keys, onsets))
    keys, onsets = keys[order], onsets[order]
    known_keys, known = np.array([note.key for note in prompt]), np.array([note.onset for note in prompt])
    same = keys[:, None] == known_keys[None]
    every = (onsets[:, None] - known[None])[same]
    shifts = np.unique(np.round(every / (REPEAT_TOLERANCE_SECONDS / 2))) * (REPEAT_TOLERANCE_SECONDS / 2)
    repeated = np.zeros(len(keys), bool)
    for shift in shifts:
        matched = (same & (np.abs(onsets[:, None] - shift - known[None]) <= REPEAT_TOLERANCE_SECONDS)).any(axis=1)
        if matched.sum() < RUN_SHARE * run:
            continue
        counts = np.convolve(matched, np.ones(run, int), mode="valid")
        runs = np.flatnonzero(counts >= RUN_SHARE * run - 1e-9)
        within = np.zeros(len(keys) + 1, int)
        np.add.at(within, runs, 1)
        np.add.at(within, runs + run, -1)
        repeated |= matched & (np.cumsum(within)[:-1] > 0)
    return float(repeated.mean())


def compared(
    prompt: Notes, prompt_pedal: Spans, prompt_seconds: float, notes: Notes, pedal: Spans, seconds: float
) -> dict[str, float | None]:
    """All figures of one continuation; ratios are over the prompt's."""
    shares = pedal_share(pedal, seconds), pedal_share(prompt_pedal, prompt_seconds)
    return {
        "pitch_class": pitch_class_agreement(pitch_classes(prompt, prompt_seconds), pitch_classes(notes, seconds)),
        "density": ratio(density(notes, seconds), density(prompt, prompt_seconds)),
        "velocity": ratio(velocity(notes), velocity(prompt)),
        "pedal": ratio(*shares, least=LEAST_PEDAL),
        "polyphony": ratio(polyphony(notes, seconds), polyphony(prompt, prompt_seconds)),
        "grid": grid_agreement(moments(prompt), moments(notes), seconds),
        "repeated": repeated_share(prompt, notes),
    }
