"""Everything that `table` reports of a pack, and of Opus beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr
import torch

from . import abx, cost, opus
from .distances import magnitudes, reconstruction
from .held_out import (
    HELD_OUT_PIANO, KNOWN_PIANO, RATE, Clip, Studio, opening, probe_clips, recordings, rendered_clips, stereo,
    validation_files,
)
from .kept import Kept
from .losses import mel_filters
from .midi import Note
from .onsets import Transcriber, onset_f1
from .probe import sounding_keys
from .results import package_version
from .runtime import Pack
from .semantic import SemanticConfig
from .token_probe import STEPS, probe_f1
from .visqol import Visqol

OPUS_KBPS = (6, 12, 24, 32)
ANCHOR_HZ = 2000.0
SETS = {"recordings": "recordings of an unseen piano", "rendered": "held-out pieces on the held-out piano"}
MEL_WINDOW, MEL_BANDS = 4096, 128


@dataclass(frozen=True)
class Amounts:
    """How much is measured."""

    clips: int = 8
    clip_seconds: float = 10.0
    pieces: int = 18
    piece_seconds: float = 60.0
    triplets: int = 300
    probe_clips: int = 60
    probe_seconds: float = 30.0
    probe_steps: int = STEPS
    repeats: int = 7


QUICK = Amounts(1, 4.0, 2, 20.0, 20, 4, 10.0, 60, 1)


@dataclass
class Row:
    """One line of the tables; what was not measured is absent."""

    name: str
    kbps: float | None = None
    sets: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of each of `SETS`: mel_db, stft, si_sdr_db, si_sdr_mid_db, visqol, onset_f1"""
    abx: dict[str, tuple[float, float]] = field(default_factory=dict)
    """within_angle, within_identity, across_…: error and its standard error, 0 to 1"""
    probe: float | None = None
    """F1"""


@dataclass
class Figures:
    """All of a pack."""

    rows: dict[str, Row]
    use: dict[str, list[tuple[float, float]]]
    """Of "acoustic" and "semantic", per book: share of entries used, and perplexity"""
    cost: cost.Cost
    score_f1: float | None
    """The transcriber on the original of the rendered clips, against the notes that were played"""
    held_out_seconds: float
    elapsed: dict[str, float]


def anchor(audio: np.ndarray) -> np.ndarray:
    """A sound [N, 2] at 48 kHz without all that lies above `ANCHOR_HZ`: what nobody would take for the original."""
    spectrum = np.fft.rfft(audio, axis=0)
    spectrum[int(ANCHOR_HZ * len(audio) / RATE) :] = 0
    return np.fft.irfft(spectrum, len(audio), axis=0).astype(np.float32)


class Material:
    """The sounds that every pack is measured on, made once."""

    def __init__(self, data: Path, work: Path, amounts: Amounts, seed: int) -> None:
        studio = Studio(data, work)
        self.sets = {
            "recordings": recordings(data / "prompts", amounts.clip_seconds, amounts.clips),
            "rendered": rendered_clips(studio, data, amounts.clip_seconds, amounts.clips),
        }
        self.seconds = amounts.piece_seconds
        pieces = [opening(path, self.seconds) for path in validation_files(data, amounts.pieces)]
        self.notes = pieces
        self.triplets = abx.triplets(pieces, self.seconds, amounts.triplets, seed)
        places = {"held_out": (HELD_OUT_PIANO, None), "known": (KNOWN_PIANO, studio.hall())}
        self.pieces = {
            name: [studio.play(piano, notes, self.seconds + 1.0, room) for notes in pieces]
            for name, (piano, room) in places.items()
        }
        self.probes = probe_clips(studio, data, amounts.probe_seconds, amounts.probe_clips, seed)


def to_pack(pack: Pack, audio: np.ndarray) -> np.ndarray:
    """Sound [N, 2] at 48 kHz → levelled at the pack's rate, with silence behind it for the look-ahead."""
    heard = soxr.resample(audio, RATE, pack.sample_rate)
    heard = heard * pack.gain(heard)
    return np.pad(heard, ((0, pack.sample_rate // 4), (0, 0)))


def coarse_books(pack: Pack) -> int:
    """The books of the first acoustic stage; 4 if the pack has no stages."""
    coarse = [stage["codebooks"] for stage in pack.stages.values() if stage["writes"] == "acoustic"]
    return min(pack.manifest["codec"]["codebooks"], coarse[0] if coarse else 4)


def through_pack(pack: Pack, audio: np.ndarray, books: int) -> np.ndarray:
    """What a sound [N, 2] at 48 kHz becomes when the first `books` books of its codes are decoded."""
    heard = soxr.resample(audio, RATE, pack.sample_rate)
    codes = pack.encode(to_pack(pack, audio))
    codes[:, books:] = pack.manifest["codec"]["cardinality"]
    decoded = stereo(pack.decode(codes)[: len(heard)] / pack.gain(heard))
    decoded = soxr.resample(decoded, pack.sample_rate, RATE)[: len(audio)]
    return np.pad(decoded, ((0, len(audio) - len(decoded)), (0, 0))).astype(np.float32)


class Judge:
    """Compares decoded clips with their originals."""

    def __init__(self, kept: Kept, without: set[str]) -> None:
        self._kept = kept
        self._visqol = None if "visqol" in without else Visqol()
        self._transcriber = None if "onsets" in without else Transcriber()

    def notes(self, audio: np.ndarray) -> list[Note] | None:
        """What the transcriber hears."""
        if self._transcriber is None:
            return None
        found = self._kept.get(
            f"transkun {package_version('transkun')}",
            [audio],
            lambda: [[n.onset, n.end, n.key, n.velocity] for n in self._transcriber.notes(audio, RATE)],
        )
        return [Note(*row) for row in found]

    def figures(self, original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
        """Of one clip [N, 2] at 48 kHz."""
        found = reconstruction(original, decoded, RATE)
        if self._visqol is not None:
            found["visqol"] = self._kept.get(
                f"visqol {package_version('visqol-python')}",
                [original, decoded],
                lambda: self._visqol.score(original, decoded),
            )
        reference, heard = self.notes(original), self.notes(decoded)
        if reference is not None and heard is not None:
            found["onset_f1"] = onset_f1(reference, heard)
        return found

    def mean(self, clips: list[Clip], decoded: list[np.ndarray]) -> dict[str, float]:
        """Figure by figure."""
        rows = [self.figures(clip.audio, sound) for clip, sound in zip(clips, decoded, strict=True)]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def measure(pack: Pack, material: Material, judge: Judge, amounts: Amounts, without: set[str], seed: int) -> Figures:
    """All figures of a pack, with Opus and the original beside it."""
    codec, semantic = pack.manifest["codec"], pack.manifest.get("semantic")
    frame_bits = np.log2(codec["cardinality"]) * pack.sample_rate / codec["hop"] / 1000
    first, books = coarse_books(pack), codec["codebooks"]
    rows = {
        "semantic": Row("semantic"),
        "coarse": Row(f"coarse ({first} books)", first * frame_bits),
        "full": Row(f"coarse + fine ({books} books)", books * frame_bits),
    }
    if semantic:
        bits = semantic.get("codebooks", 1) * np.log2(semantic["cardinality"])
        rows["semantic"].kbps = float(bits) * pack.sample_rate / semantic["hop"] / 1000
    clock = Clock()
    for name, clips in material.sets.items():
        for key, count in (("coarse", first), ("full", books)):
            rows[key].sets[name] = judge.mean(clips, [through_pack(pack, clip.audio, count) for clip in clips])
    clock.lap("pack")
    if "opus" not in without:
        rows |= opus_rows(material, judge)
    rows["anchor"] = Row(f"original below {ANCHOR_HZ / 1000:.1f} kHz")
    rows["original"] = Row("original")
    for name, clips in material.sets.items():
        rows["anchor"].sets[name] = judge.mean(clips, [anchor(clip.audio) for clip in clips])
        rows["original"].sets[name] = judge.mean(clips, [clip.audio for clip in clips])
    clock.lap("opus and original")
    heard = [judge.notes(clip.audio) for clip in material.sets["rendered"]]
    score = None
    if heard[0] is not None:
        clips = material.sets["rendered"]
        score = float(np.mean([onset_f1(list(clip.notes), notes) for clip, notes in zip(clips, heard)]))
    tokens = {name: [Tokens(pack, sound) for sound in sounds] for name, sounds in material.pieces.items()}
    clock.lap("tokens")
    discriminate(pack, material, tokens, rows)
    clock.lap("ABX")
    probe(pack, material, tokens, rows, amounts, seed)
    clock.lap("probes")
    streams = [found for group in tokens.values() for found in group]
    use = {"acoustic": book_use(np.concatenate([s.codes for s in streams]), codec["cardinality"])}
    if semantic:
        use["semantic"] = book_use(np.concatenate([s.semantic for s in streams]), semantic["cardinality"])
    timed = material.sets["rendered"][0].audio
    found_cost = cost.measure(pack, to_pack(pack, timed), amounts.repeats)
    clock.lap("cost")
    held_out = material.seconds * len(streams)
    return Figures(rows, use, found_cost, score, held_out, clock.laps)


class Clock:
    """How long each part took, in seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """Ends a part."""
        now = time.monotonic()
        self.laps[name], self._last = now - self._last, now
        print(f"{name}: {self.laps[name]:.0f} s", flush=True)


class Tokens:
    """Both token streams of a sound [N, 2] at 48 kHz: codes [T, Q], semantic [N, K]."""

    def __init__(self, pack: Pack, audio: np.ndarray) -> None:
        heard = to_pack(pack, audio)
        self.codes = pack.encode(heard)
        self.semantic = pack.semantic(heard) if "semantic" in pack.manifest else None


def opus_rows(material: Material, judge: Judge) -> dict[str, Row]:
    """Opus at each of `OPUS_KBPS`; the rate is what the packets of all clips really took."""
    rows = {}
    for kbps in OPUS_KBPS:
        row, rates = Row(f"Opus at {kbps} kbit/s"), []
        for name, clips in material.sets.items():
            decoded = [opus.through(clip.audio, kbps) for clip in clips]
            rates += [rate for _, rate in decoded]
            row.sets[name] = judge.mean(clips, [sound for sound, _ in decoded])
        row.kbps = float(np.mean(rates))
        rows[f"opus_{kbps}"] = row
    return rows


def mel_frames(audio: np.ndarray) -> np.ndarray:
    """Log mel spectrum of a sound [N, 2] at 48 kHz, every 1024 samples, never negative: [T, 128]."""
    filters = mel_filters(MEL_WINDOW, MEL_BANDS, sample_rate=RATE) * MEL_WINDOW**0.5
    mid = torch.from_numpy(np.ascontiguousarray(audio.mean(axis=1), np.float32))[None]
    return (torch.log10(magnitudes(mid, MEL_WINDOW) @ filters + 1e-3) + 3)[0].numpy()


def discriminate(pack: Pack, material: Material, tokens: dict[str, list[Tokens]], rows: dict[str, Row]) -> None:
    """Fills in the ABX errors. Within: on each of the two pianos; across: either way between them; means of the two."""
    codec, semantic = pack.manifest["codec"], pack.manifest.get("semantic")
    frame = codec["hop"] / pack.sample_rate
    vectors = abx.acoustic_vectors(pack)
    first = coarse_books(pack)

    def both(streams: dict[str, list[np.ndarray]], frame_seconds: float, kind: str, row: Row) -> None:
        near, far = streams["held_out"], streams["known"]
        for name, pairs in (("within", ((near, near), (far, far))), ("across", ((near, far), (far, near)))):
            found = np.concatenate([abx.over_pieces(material.triplets, *pair, frame_seconds, kind) for pair in pairs])
            row.abx[f"{name}_{kind}"] = (float(found.mean()), float(found.std() / np.sqrt(len(found))))

    def each(make: Callable[[Tokens], np.ndarray]) -> dict[str, list[np.ndarray]]:
        return {name: [make(found) for found in group] for name, group in tokens.items()}

    for key, count in (("coarse", first), ("full", codec["codebooks"])):
        both(each(lambda t, count=count: t.codes[:, :count]), frame, "identity", rows[key])
        if vectors is not None:
            both(each(lambda t, count=count: abx.summed(t.codes, vectors, count)), frame, "angle", rows[key])
    if semantic:
        semantic_frame = semantic["hop"] / pack.sample_rate
        both(each(lambda t: t.semantic), semantic_frame, "identity", rows["semantic"])
        centroids = abx.semantic_vectors(pack)
        if centroids is not None:
            levels = SemanticConfig().note_levels
            both(each(lambda t: abx.told(t.semantic, centroids, levels)), semantic_frame, "angle", rows["semantic"])
    spectra = {name: [mel_frames(sound) for sound in sounds] for name, sounds in material.pieces.items()}
    rows["mel"] = Row("log mel spectrum of the original")
    # `magnitudes` has hops of a quarter window.
    both(spectra, MEL_WINDOW // 4 / RATE, "angle", rows["mel"])


def probe(
    pack: Pack, material: Material, tokens: dict[str, list[Tokens]], rows: dict[str, Row], amounts: Amounts, seed: int
) -> None:
    """Fills in the F1 of probes that learn from training pieces on a known piano, tested on the held-out one."""
    codec, semantic = pack.manifest["codec"], pack.manifest.get("semantic")
    learned = [Tokens(pack, clip.audio) for clip in material.probes]

    def run(make: Callable[[Tokens], np.ndarray], hop: int, cardinality: int, row: Row) -> None:
        frame = hop / pack.sample_rate
        train, test = [make(t) for t in learned], [make(t) for t in tokens["held_out"]]
        train_keys = [keys(clip.notes, len(found), frame) for clip, found in zip(material.probes, train, strict=True)]
        test_keys = [keys(notes, len(found), frame) for notes, found in zip(material.notes, test, strict=True)]
        row.probe = probe_f1(train, train_keys, test, test_keys, cardinality, seed, amounts.probe_steps)

    for key, count in (("coarse", coarse_books(pack)), ("full", codec["codebooks"])):
        run(lambda t, count=count: t.codes[:, :count], codec["hop"], codec["cardinality"], rows[key])
    if semantic:
        run(lambda t: t.semantic, semantic["hop"], semantic["cardinality"], rows["semantic"])


def keys(notes: list[Note] | tuple[Note, ...], frames: int, frame_seconds: float) -> torch.Tensor:
    """Which keys sound at each frame: see `probe.sounding_keys`."""
    table = np.array([(note.onset, note.end, note.key, note.velocity) for note in notes]).reshape(-1, 4)
    return sounding_keys(table[table[:, 0] < frames * frame_seconds], frames, frame_seconds)


def book_use(codes: np.ndarray, cardinality: int) -> list[tuple[float, float]]:
    """codes [T, Q] → of each book the share of its entries that occur, and the perplexity of their distribution."""
    found = []
    for book in codes.T:
        counts = np.bincount(book, minlength=cardinality)
        shares = counts[counts > 0] / counts.sum()
        found.append((float((counts > 0).mean()), float(np.exp(-(shares * np.log(shares)).sum()))))
    return found
