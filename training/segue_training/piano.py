"""Sampled pianos in stereo: every key of every velocity layer resampled once, then played by adding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import mido
import numpy as np
import soundfile
import soxr

from .midi import HIGHEST_KEY, LOWEST_KEY, Note
from .modelled import modelled_notes
from .sfz import Region, key_number, read_regions

LONGEST_SAMPLE_SECONDS = 12.0
SAMPLE_FADE_SECONDS = 0.5
LEAD_IN_SECONDS = 0.002
SALAMANDER_VELOCITY_TRACKING = 73.0
SOUNDFONT_VELOCITIES = (32, 56, 80, 104, 127)
SOUNDFONT_SECONDS = 8.0
# Upper velocity of each of Salamander Grand V3's 16 layers, from the instrument's own SFZ.
SALAMANDER_LAYERS = (26, 34, 36, 43, 46, 50, 56, 64, 72, 80, 88, 96, 104, 112, 120, 127)


def salamander_regions(folder: Path) -> list[Region]:
    """Regions of a folder of `<note>v<layer>.ogg` files (npm `@audio-samples/piano-velocity<layer>` unpacked)."""
    found: dict[int, dict[int, Path]] = {}
    for path in sorted(folder.rglob("*.ogg")):
        match = re.fullmatch(r"([A-G]#?\d)v(\d+)", path.stem)
        if match:
            found.setdefault(int(match.group(2)), {})[key_number(match.group(1))] = path
    regions, low_velocity = [], 1
    for layer in sorted(found):
        high_velocity = SALAMANDER_LAYERS[layer - 1] if layer != max(found) else 127
        keys = sorted(found[layer])
        for centre in keys:
            regions.append(
                Region(
                    sample=found[layer][centre],
                    low_key=centre - 1 if centre != keys[0] else LOWEST_KEY,
                    high_key=centre + 1 if centre != keys[-1] else HIGHEST_KEY,
                    low_velocity=low_velocity,
                    high_velocity=high_velocity,
                    key_centre=centre,
                    volume=0.0,
                    release=0.25,
                    velocity_tracking=SALAMANDER_VELOCITY_TRACKING,
                )
            )
        low_velocity = high_velocity + 1
    return regions


def load_stereo(path: Path) -> tuple[np.ndarray, float]:
    """A sample as stereo float32 [n, 2] with the silence before its attack removed, and its rate."""
    audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    audio = np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio[:, :2]
    return without_lead(audio[: int(LONGEST_SAMPLE_SECONDS * rate * 2)], rate), float(rate)


def without_lead(audio: np.ndarray, rate: float) -> np.ndarray:
    """The sample from just before its attack on."""
    level = np.abs(audio).max(axis=1)
    loud = np.flatnonzero(level > 0.01 * level.max())
    begin = max(0, int(loud[0] - LEAD_IN_SECONDS * rate)) if len(loud) else 0
    return audio[begin:]


def soundfont_notes(path: Path, sample_rate: int, program: int = 0) -> list[tuple[Region, np.ndarray]]:
    """Single notes of a SoundFont's piano (`program` 0: grand, 1: bright), played dry by `fluidsynth` (a Debian package):
    every key at each of `SOUNDFONT_VELOCITIES`, as regions with their stereo audio."""
    wanted = [(key, velocity) for velocity in SOUNDFONT_VELOCITIES for key in range(LOWEST_KEY, HIGHEST_KEY + 1)]
    midi = mido.MidiFile(ticks_per_beat=1000)
    chosen = mido.Message("program_change", program=program)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000), chosen])
    for key, velocity in wanted:
        track.append(mido.Message("note_on", note=key, velocity=velocity))
        track.append(mido.Message("note_off", note=key, time=int(SOUNDFONT_SECONDS * 1000)))
        track.append(mido.Message("control_change", control=120, time=1000))
    midi.tracks.append(track)
    with tempfile.TemporaryDirectory() as folder:
        score, rendered = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        midi.save(score)
        options = ["-ni", "-R", "0", "-C", "0", "-g", "0.8", "-r", str(sample_rate), "-O", "s24", "-T", "wav"]
        subprocess.run(["fluidsynth", *options, "-F", rendered, path, score], check=True, capture_output=True)
        audio, _ = soundfile.read(str(rendered), dtype="float32", always_2d=True)
    found, lower = [], dict(zip(SOUNDFONT_VELOCITIES, (1, *(v + 1 for v in SOUNDFONT_VELOCITIES))))
    for number, (key, velocity) in enumerate(wanted):
        begin = round(number * (SOUNDFONT_SECONDS + 1.0) * sample_rate)
        sound = without_lead(audio[begin : begin + int(SOUNDFONT_SECONDS * sample_rate)], sample_rate)
        # Scaled by the velocity already: within a layer only the rest is left to do.
        region = Region(path, key, key, lower[velocity], velocity, key, 0.0, 0.25, velocity_tracking=30.0)
        found.append((region, sound))
    return found


def sampled_notes(regions: list[Region], sample_rate: int) -> Iterator[tuple[int, Region, np.ndarray]]:
    """Every key of every region: (key, region, its audio [n, 2] at `sample_rate`)."""
    sources: dict[Path, tuple[np.ndarray, float]] = {}
    for region in regions:
        for key in range(max(region.low_key, LOWEST_KEY), min(region.high_key, HIGHEST_KEY) + 1):
            if region.sample not in sources:
                sources = {region.sample: load_stereo(region.sample)}
            audio, rate = sources[region.sample]
            ratio = 2.0 ** ((key - region.key_centre) / 12.0)
            yield key, region, soxr.resample(audio, rate * ratio, sample_rate, quality="HQ").astype(np.float32)


def build_bank(notes: Iterable[tuple[int, Region, np.ndarray]], sample_rate: int, path: Path) -> None:
    """Writes `path`.npy (all samples end to end, int16 [n, 2], each scaled to its own peak) and `path`.json (where each
    key's layers lie, and that scale)."""
    pieces: list[np.ndarray] = []
    index: list[dict[str, float | int]] = []
    position = 0
    for key, region, audio in notes:
        audio = audio[: int(LONGEST_SAMPLE_SECONDS * sample_rate)]
        fade = min(len(audio), int(SAMPLE_FADE_SECONDS * sample_rate))
        audio[len(audio) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)[:, None]
        audio *= np.float32(10.0 ** (region.volume / 20.0))
        scale = max(float(np.abs(audio).max()), 1e-6) / 32767.0
        index.append(
            {
                "key": key,
                "low_velocity": region.low_velocity,
                "high_velocity": region.high_velocity,
                "offset": position,
                "scale": scale,
                "length": len(audio),
                "release": region.release,
                "velocity_tracking": region.velocity_tracking,
            }
        )
        pieces.append(np.round(audio / np.float32(scale)).astype(np.int16))
        position += len(audio)
    temporary = path.with_suffix(f".{os.getpid()}.tmp.npy")
    np.save(temporary, np.concatenate(pieces))
    temporary.rename(path.with_suffix(".npy"))
    temporary_index = path.with_suffix(f".{os.getpid()}.tmp.json")
    temporary_index.write_text(json.dumps(index))
    temporary_index.rename(path.with_suffix(".json"))


class Piano:
    """A playable bank of samples, memory-mapped so that processes share it."""

    def __init__(self, path: Path, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.bank = np.load(path.with_suffix(".npy"), mmap_mode="r")
        self.layers: dict[int, list[dict[str, float]]] = {}
        for entry in json.loads(path.with_suffix(".json").read_text()):
            self.layers.setdefault(entry["key"], []).append(entry)
        for layers in self.layers.values():
            layers.sort(key=lambda entry: entry["high_velocity"])

    @classmethod
    def model(cls, seed: int, cache: Path, sample_rate: int) -> Piano:
        """The piano that a seed models (`modelled`), its bank built in `cache` on first use."""
        path = cache / f"modelled{seed}_{sample_rate}"
        if not path.with_suffix(".json").exists():
            cache.mkdir(parents=True, exist_ok=True)
            build_bank(modelled_notes(seed, sample_rate), sample_rate, path)
        return cls(path, sample_rate)

    @classmethod
    def open(cls, source: Path, cache: Path, name: str, sample_rate: int, program: int = 0) -> Piano:
        """The piano of an SFZ file, a SoundFont or a Salamander folder, its bank built in `cache` on first use."""
        path = cache / f"{name}_{sample_rate}"
        if not path.with_suffix(".json").exists():
            cache.mkdir(parents=True, exist_ok=True)
            if source.suffix in (".sf2", ".sf3"):
                found = soundfont_notes(source, sample_rate, program)
                build_bank(((region.key_centre, region, audio) for region, audio in found), sample_rate, path)
                return cls(path, sample_rate)
            regions = read_regions(source) if source.suffix == ".sfz" else salamander_regions(source)
            if not regions:
                raise FileNotFoundError(f"no samples for {name} in {source}")
            build_bank(sampled_notes(regions, sample_rate), sample_rate, path)
        return cls(path, sample_rate)

    def layer(self, key: int, velocity: int) -> dict[str, float]:
        """The entry that answers a velocity: the first layer whose upper bound reaches it."""
        layers = self.layers[key]
        return next((entry for entry in layers if velocity <= entry["high_velocity"]), layers[-1])

    def play(self, notes: list[Note], seconds: float, dynamics: float = 1.0) -> np.ndarray:
        """Stereo float32 audio [n, 2] of `seconds`. `dynamics` scales how much velocity changes the level (1 as recorded)."""
        out = np.zeros((int(seconds * self.sample_rate), 2), np.float32)
        for note in notes:
            begin = int(note.onset * self.sample_rate)
            if note.key not in self.layers or begin < 0 or begin >= len(out):
                continue
            entry = self.layer(note.key, note.velocity)
            tracking = dynamics * entry["velocity_tracking"] / 100.0
            gain = 1.0 - tracking + tracking * (note.velocity / 127.0) ** 2
            held = max(1, int((note.end - note.onset) * self.sample_rate))
            release = int(entry["release"] * self.sample_rate)
            length = min(held + release, int(entry["length"]), len(out) - begin)
            offset = int(entry["offset"])
            sound = self.bank[offset : offset + length] * np.float32(gain * entry["scale"])
            if length > held:
                tail = np.arange(length - held, dtype=np.float32) / np.float32(max(release, 1))
                sound[held:] *= ((1.0 - tail) * np.exp(-3.0 * tail))[:, None]
            out[begin : begin + length] += sound
        return out
