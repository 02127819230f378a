"""ABX discriminability of chords: is X, of the same chord as A, nearer to A than to B, which is another chord?

As in the ZeroSpeech challenges (Schatz 2013, Dunbar 2017) with a piano for the speaker and a chord for the phone: each
of the three is half a second of tokens cut from a longer stream; a pair's distance is the mean along the best
dynamic-time-warping path of the angle between two frames' vectors (`angles`) or of how many of their tokens differ
(`mismatches`). A, B and X are different places of a score, so the truth is known.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from .midi import Note
from .notes import KEYS, NOTHING, note_vectors
from .runtime import Pack

SEGMENT_SECONDS = 0.5
LEAST_SOUNDING_SECONDS = 0.1
AUDIBLE_SECONDS = 1.5
"""A note struck longer ago than this counts no more: it may still be held, but has decayed."""
LEAST_APART_SECONDS = 1.0
FURTHEST_CHANGE_SECONDS = 8.0
KEY_DIMENSIONS = 104
FADING = 0.8
"""A frame of 40 ms."""
NOTES_WEIGHT = 0.6
MOST_SHARED_PITCH_CLASSES = 0.5


@dataclass(frozen=True)
class Triplet:
    """Where A, B and X begin, in seconds, and in which piece."""

    piece: int
    a: float
    b: float
    x: float


def chord(notes: list[Note], begin: float) -> frozenset[int]:
    """The keys that sound for at least 0.1 s of the half second from `begin` on, and were struck at most 1.5 s before."""
    end = begin + SEGMENT_SECONDS
    return frozenset(
        note.key
        for note in notes
        if note.onset >= begin - AUDIBLE_SECONDS
        and min(note.end, end) - max(note.onset, begin) >= LEAST_SOUNDING_SECONDS
    )


def triplets(pieces: list[list[Note]], seconds: float, most: int, seed: int) -> list[Triplet]:
    """Random triplets, about equally many of each piece: A and X are the same keys at different times; B is the chord
    change next to A, whose pitch classes are at least half other ones."""
    rng = np.random.default_rng(seed)
    found: list[list[Triplet]] = []
    for index, notes in enumerate(pieces):
        begins = sorted({round(note.onset, 2) for note in notes if note.onset + SEGMENT_SECONDS < seconds})
        chords = {begin: chord(notes, begin) for begin in begins}
        places = [begin for begin in begins if len({key % 12 for key in chords[begin]}) >= 2]
        own = []
        for a in places:
            same = [x for x in places if chords[x] == chords[a] and abs(x - a) >= LEAST_APART_SECONDS]
            other = [b for b in places if _changed(chords[a], chords[b]) and 0.5 <= abs(b - a) <= FURTHEST_CHANGE_SECONDS]
            if same and other:
                own.append(Triplet(index, a, min(other, key=lambda b: abs(b - a)), float(rng.choice(same))))
        found.append([own[i] for i in rng.permutation(len(own))])
    chosen: list[Triplet] = []
    for turn in range(max(map(len, found), default=0)):
        chosen += [own[turn] for own in found if turn < len(own)]
    return chosen[:most]


def _changed(a: frozenset[int], b: frozenset[int]) -> bool:
    left, right = {key % 12 for key in a}, {key % 12 for key in b}
    return len(left & right) <= MOST_SHARED_PITCH_CLASSES * len(left | right)


def cut(stream: np.ndarray, begins: np.ndarray, frame_seconds: float) -> np.ndarray:
    """stream [T, ...] → the half seconds that begin at `begins` [n]: [n, frames, ...]."""
    frames = int(SEGMENT_SECONDS / frame_seconds)
    first = np.round(begins / frame_seconds).astype(int)
    return stream[first[:, None] + np.arange(frames)]


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Vectors [n, S, d] and [n, T, d] → the angle between each two, 0 to 1 (a half turn): [n, S, T]."""
    a, b = (x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-12) for x in (a, b))
    return np.arccos(np.clip(np.einsum("nsd,ntd->nst", a, b), -1, 1)) / np.pi


def mismatches(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Tokens [n, S, Q] and [n, T, Q] → the share of the Q that differ: [n, S, T]."""
    return (a[:, :, None] != b[:, None, :]).mean(axis=-1)


def warped(costs: np.ndarray) -> np.ndarray:
    """costs [n, S, T] → the least sum along a monotonous path from corner to corner over the path's length: [n]."""
    count, height, width = costs.shape
    total = np.full((count, height + 1, width + 1), np.inf)
    length = np.zeros((count, height + 1, width + 1))
    total[:, 0, 0] = 0.0
    for i in range(1, height + 1):
        for j in range(1, width + 1):
            # Diagonal first: of equal sums the shorter path.
            before = np.stack([total[:, i - 1, j - 1], total[:, i - 1, j], total[:, i, j - 1]])
            steps = np.stack([length[:, i - 1, j - 1], length[:, i - 1, j], length[:, i, j - 1]])
            best = before.argmin(axis=0)
            total[:, i, j] = costs[:, i - 1, j - 1] + np.take_along_axis(before, best[None], 0)[0]
            length[:, i, j] = 1 + np.take_along_axis(steps, best[None], 0)[0]
    return total[:, -1, -1] / length[:, -1, -1]


def errors(a: np.ndarray, b: np.ndarray, x: np.ndarray, kind: str) -> np.ndarray:
    """Segments [n, frames, d or Q] → [n]: 0 where X is nearer to A, 1 where it is nearer to B, a half for a tie."""
    distance = {"angle": angles, "identity": mismatches}[kind]
    to_a, to_b = warped(distance(a, x)), warped(distance(b, x))
    return np.where(np.isclose(to_a, to_b, rtol=0, atol=1e-9), 0.5, (to_a > to_b).astype(float))


def over_pieces(
    found: list[Triplet], near: list[np.ndarray], far: list[np.ndarray], frame_seconds: float, kind: str
) -> np.ndarray:
    """Errors [n] of triplets whose A and B are cut from the streams `near` and X from `far`, by piece; the same streams
    for both is within, others across."""
    cuts: dict[str, list[np.ndarray]] = {"a": [], "b": [], "x": []}
    for piece in sorted({triplet.piece for triplet in found}):
        own = [triplet for triplet in found if triplet.piece == piece]
        for name, streams in (("a", near), ("b", near), ("x", far)):
            begins = np.array([getattr(triplet, name) for triplet in own])
            cuts[name].append(cut(streams[piece], begins, frame_seconds))
    a, b, x = (np.concatenate(cuts[name]) for name in ("a", "b", "x"))
    return errors(a, b, x, kind)


def acoustic_vectors(pack: Pack) -> np.ndarray | None:
    """The decoder's codebooks [Q, cardinality + 1, d] (the last vector: absent), if the graph holds such a table."""
    codec = pack.manifest["codec"]
    table = _table(pack, codec["decoder"]["graph"], "codebooks")
    books, rows = codec["codebooks"], codec["cardinality"] + 1
    return None if table is None or len(table) != books * rows else table.reshape(books, rows, -1)


def semantic_vectors(pack: Pack) -> np.ndarray | None:
    """The semantic tokenizer's centroids [books, cardinality, d] of what sounds (the last of its codebooks, behind those of what
    is struck), if the graph holds such tables."""
    semantic = pack.manifest["semantic"]
    tables = [_table(pack, semantic["graph"], f"centroids_{book}") for book in range(semantic.get("codebooks", 1))]
    # The last: as packs had it before there were product codes.
    tables = tables if tables[0] is not None else [_table(pack, semantic["graph"], "centroids")]
    found = [table for table in tables if table is not None]
    if not found or any(table.shape[1] != semantic["cardinality"] for table in found):
        return None
    return np.stack([table.T for table in found])


def told(tokens: np.ndarray, centroids: np.ndarray, levels: int) -> np.ndarray:
    """What semantic tokens [T, K] tell of each moment, [T, d]: the sum of the centroids of its last codebooks (`semantic_vectors`), of
    length 1, and behind it the keys that its first ones say are struck (at so many levels of loudness), which fade by `FADING` a
    frame: those books tell events, the sound of which goes on."""
    heard = summed(tokens[:, -len(centroids) :], centroids, len(centroids))
    heard = heard / (np.linalg.norm(heard, axis=-1, keepdims=True) + 1e-12)
    notes = tokens[:, : -len(centroids)]
    if not notes.shape[1]:
        return heard
    keys = keys_by_pitch()
    struck = np.zeros((len(notes), keys.shape[1]))
    for book in notes.T.astype(int):
        named = (book != NOTHING) & (book <= KEYS * levels)
        struck[named] += keys[(book[named] - 1) // levels]
    for before, here in itertools.pairwise(struck):
        here += FADING * before
    return np.concatenate([heard, NOTES_WEIGHT * struck], axis=1)


def keys_by_pitch() -> np.ndarray:
    """Where on the keyboard each key lies, and its pitch class, [KEYS, d]: near ones are alike."""
    vectors = note_vectors(1, 1, KEYS + 2, KEY_DIMENSIONS)[1 : KEYS + 1]
    return vectors[:, vectors.abs().sum(0) > 0].numpy()


def _table(pack: Pack, graph: str, name: str) -> np.ndarray | None:
    for weight in onnx.load(str(pack.folder / graph)).graph.initializer:
        if weight.name in (name, f"{name}_half"):
            return numpy_helper.to_array(weight).astype(np.float32)
    return None


def summed(codes: np.ndarray, vectors: np.ndarray, books: int) -> np.ndarray:
    """codes [T, Q] → the sum of their first `books` vectors, [T, d]: what quantisation left of the features."""
    return sum(vectors[book][codes[:, book]] for book in range(books))
