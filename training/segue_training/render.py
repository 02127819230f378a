"""Renders MIDI excerpts on sampled pianos in random rooms: the training audio, 48 kHz stereo.

python -m segue_training.render --data DATA --salamander DIR --soundfonts DIR --work WORK --hours 25
python -m segue_training.render --data DATA --salamander DIR --soundfonts DIR --work WORK --validation
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dataset import SOURCE_SHARES, Rendering, training_files, write_rendering
from .midi import Note, augment, excerpt, humanise, is_flat, read_notes
from .piano import Piano
from .room import add_noise, add_room, band_limit, load_rooms, set_level, tilt

SAMPLE_RATE = 48000
EXCERPT_SECONDS = 90.0
LEAD_SECONDS = 4.0
FEWEST_NOTES = 20
LEVEL_DBFS = -24.0
MODELLED = 10
PIANO_SHARES = {"salamander": 0.15, "splendid": 0.12, "fluid": 0.03, "bright": 0.03, "mellow": 0.07} | {
    f"modelled{seed}": 0.6 / MODELLED for seed in range(1, MODELLED + 1)
}
HELD_OUT_PIANO = "upright"
STORED_RATES = (22050, 32000)
"""Rates of which material is made now and then: not every recording reaches 20 kHz."""


def open_pianos(data: Path, salamander: Path, soundfonts: Path, work: Path) -> dict[str, Piano]:
    """The training pianos and `HELD_OUT_PIANO` (the sampled Yamaha C3 of `prompts/` is never among them)."""
    sources = {
        "salamander": salamander,
        "mellow": soundfonts / "sf3/MuseScore_General_Full.sf3",
        "bright": soundfonts / "sf3/MuseScore_General_Full.sf3",
        "splendid": data / "pianos/splendid_grand_akai_pd/Splendid Grand Piano.sfz",
        "fluid": soundfonts / "sf2/FluidR3_GM.sf2",
        HELD_OUT_PIANO: data / "pianos/upright_kw_cc0/UprightPianoKW-20220221.sfz",
    }
    programs = {"bright": 1}
    sampled = {
        name: Piano.open(path, work / "pianos", name, SAMPLE_RATE, programs.get(name, 0)) for name, path in sources.items()
    }
    return sampled | {f"modelled{seed}": Piano.model(seed, work / "pianos", SAMPLE_RATE) for seed in range(1, MODELLED + 1)}


def note_table(notes: list[Note]) -> np.ndarray:
    """Notes as float32 [n, 4]: onset s, end s, key, velocity."""
    rows = [(note.onset, note.end, note.key, note.velocity) for note in notes]
    return np.array(rows, np.float32).reshape(-1, 4)


@dataclass(frozen=True, slots=True)
class Performance:
    """An excerpt as it is played: its notes from `start` seconds of the piece on, of which the first `lead` seconds are to
    be cut away."""

    piece: str
    source: str
    start: float
    notes: list[Note]
    transpose: int
    tempo: float
    humanised: bool
    lead: float


def some_of(notes: list[Note], rng: np.random.Generator) -> tuple[float, list[Note]]:
    """Where a random excerpt of a piece begins, in seconds, and its notes: three quarters begin in the middle of sound."""
    last = max(0.0, notes[-1].onset - EXCERPT_SECONDS / 2)
    start = notes[0].onset if rng.random() < 0.25 else notes[0].onset + float(rng.uniform(0, last + 1e-3))
    return start, excerpt(notes, start, EXCERPT_SECONDS + 2 * LEAD_SECONDS)


def played_by_somebody(notes: list[Note], rng: np.random.Generator) -> tuple[list[Note], int, float, bool]:
    """The notes in another key, tempo and touch; the semitones, how many times as fast, and whether a score without touch was
    given one."""
    humanised = is_flat(notes)
    if humanised:
        notes = humanise(notes, rng)
    transpose = int(rng.integers(-5, 6))
    tempo = float(rng.uniform(0.88, 1.12))
    touch = float(rng.uniform(0.75, 1.35)), float(rng.uniform(0.85, 1.1))
    return augment(notes, transpose, tempo, *touch), transpose, tempo, humanised


class Renderer:
    """Renders item `i` of the stream that a seed determines."""

    def __init__(self, data: Path, salamander: Path, soundfonts: Path, work: Path, seed: int) -> None:
        self.seed = seed
        self.pianos = open_pianos(data, salamander, soundfonts, work)
        self.rooms = load_rooms(data / "rir", SAMPLE_RATE)
        self.files = training_files(data / "midi")

    def choose_notes(self, rng: np.random.Generator) -> tuple[Path, str, float, list[Note]]:
        """A random excerpt: its file, source, beginning in seconds and notes."""
        sources = list(SOURCE_SHARES)
        while True:
            source = str(rng.choice(sources, p=list(SOURCE_SHARES.values())))
            path = self.files[source][int(rng.integers(len(self.files[source])))]
            notes = read_notes(path)
            if len(notes) < FEWEST_NOTES:
                continue
            start, chosen = some_of(notes, rng)
            if len(chosen) >= FEWEST_NOTES:
                return path, source, start, chosen

    def perform(self, rng: np.random.Generator) -> Performance:
        """A random excerpt as somebody plays it."""
        path, source, start, notes = self.choose_notes(rng)
        notes, transpose, tempo, humanised = played_by_somebody(notes, rng)
        lead = LEAD_SECONDS if rng.random() < 0.5 else 0.0
        return Performance(f"{source}/{path.name}", source, start, notes, transpose, tempo, humanised, lead)

    def record(self, played: Performance, rng: np.random.Generator) -> tuple[np.ndarray, str, str, float]:
        """A performance on a random piano in a random room: audio [n, 2], piano, room, share of the room."""
        notes, lead = played.notes, played.lead
        # A lead-in is played and cut away, so that the excerpt begins while earlier notes still sound.
        seconds = min(EXCERPT_SECONDS, max(note.end for note in notes) + 1.0 - lead)
        piano = str(rng.choice(list(PIANO_SHARES), p=list(PIANO_SHARES.values())))
        audio = self.pianos[piano].play(notes, seconds + lead, dynamics=float(rng.uniform(0.5, 1.0)))
        room, wet = "dry", 0.0
        if rng.random() < 0.75:
            room = str(rng.choice(sorted(self.rooms)))
            wet = float(rng.uniform(0.05, 0.5))
            audio = add_room(audio, self.rooms[room], wet)
        if rng.random() < 0.15:
            audio = band_limit(audio, int(rng.choice(STORED_RATES)), SAMPLE_RATE)
        audio = tilt(audio, float(rng.uniform(-5, 4)), float(rng.uniform(600, 3000)), SAMPLE_RATE)
        audio = set_level(audio[int(lead * SAMPLE_RATE) :], LEVEL_DBFS)
        if rng.random() < 0.5:
            audio = add_noise(audio, float(rng.uniform(-86, -66)), rng)
        return audio, piano, room, wet

    def render(self, index: int) -> tuple[Rendering, np.ndarray, np.ndarray]:
        """Audio (int16), notes and description of one item."""
        rng = np.random.default_rng([self.seed, index])
        played = self.perform(rng)
        audio, piano, room, wet = self.record(played, rng)
        seconds = len(audio) / SAMPLE_RATE
        table = note_table([note for note in played.notes if note.onset - played.lead < seconds])
        table[:, :2] -= played.lead
        rendering = Rendering(
            id=f"{self.seed:02d}_{index:06d}",
            piece=played.piece,
            source=played.source,
            piano=piano,
            room=room,
            wet=wet,
            start=played.start,
            seconds=seconds,
            transpose=played.transpose,
            tempo=played.tempo,
            humanised=played.humanised,
            sample_rate=SAMPLE_RATE,
        )
        return rendering, to_int16(audio), table


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Float samples in ±1 as int16."""
    return np.round(np.clip(audio, -1.0, 1.0) * 32767.0).astype(np.int16)


def render_training(renderer: Renderer, folder: Path, hours: float, process: int, processes: int) -> None:
    """Renders items until the folder holds `hours` of this process's share; finished items are not rendered again."""
    folder.mkdir(parents=True, exist_ok=True)
    begun, wanted, done, index = time.time(), hours * 3600 / processes, 0.0, process
    while done < wanted:
        identity = f"{renderer.seed:02d}_{index:06d}"
        if (folder / f"{identity}.json").exists():
            done += len(np.load(folder / f"{identity}.npy", mmap_mode="r")) / SAMPLE_RATE
        else:
            rendering, audio, notes = renderer.render(index)
            write_rendering(folder, rendering, audio, notes)
            done += rendering.seconds
        index += processes
        if (index // processes) % 20 == 0:
            print(f"{done / 3600:.2f} h rendered in {time.time() - begun:.0f} s", flush=True)


def render_validation(renderer: Renderer, data: Path, folder: Path) -> None:
    """The held-out pieces as written, first 90 s: on `HELD_OUT_PIANO` and on the training pianos in turn, dry and in a
    hall."""
    folder.mkdir(parents=True, exist_ok=True)
    hall = next(name for name in sorted(renderer.rooms) if "Hall" in name)
    pianos = [HELD_OUT_PIANO, "salamander", HELD_OUT_PIANO, "splendid", HELD_OUT_PIANO, "fluid"]
    for index, path in enumerate(sorted((data / "validation_midi").glob("*.mid"))):
        notes = read_notes(path)
        notes = excerpt(notes, notes[0].onset, EXCERPT_SECONDS)
        piano = pianos[index % len(pianos)]
        audio = renderer.pianos[piano].play(notes, EXCERPT_SECONDS)
        room, wet = ("dry", 0.0) if index % 4 < 2 else (hall, 0.25)
        if wet:
            audio = add_room(audio, renderer.rooms[hall], wet)
        audio = set_level(audio, LEVEL_DBFS)
        rendering = Rendering(
            id=f"validation_{index:03d}",
            piece=f"validation_midi/{path.name}",
            source="validation_midi",
            piano=piano,
            room=room,
            wet=wet,
            start=0.0,
            seconds=len(audio) / SAMPLE_RATE,
            transpose=0,
            tempo=1.0,
            humanised=False,
            sample_rate=SAMPLE_RATE,
        )
        write_rendering(folder, rendering, to_int16(audio), note_table(notes))


def add_render_arguments(parser: argparse.ArgumentParser, rendering: bool = True) -> None:
    """Where the sounds are (needed if it is sure to be `rendering`), where the work goes, and this process's share of it."""
    parser.add_argument("--data", type=Path, required=rendering, help="folder with midi, validation_midi, pianos, rir")
    parser.add_argument("--salamander", type=Path, required=rendering, help="folder of unpacked Salamander layers")
    parser.add_argument(
        "--soundfonts",
        type=Path,
        required=rendering,
        help="/usr/share/sounds, with Debian's fluid-soundfont-gm and musescore-general-soundfont",
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--process", type=int, default=0, help="which of --processes this one is")
    parser.add_argument("--processes", type=int, default=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_render_arguments(parser)
    parser.add_argument("--hours", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--validation", action="store_true", help="render the held-out pieces instead")
    arguments = parser.parse_args()
    renderer = Renderer(arguments.data, arguments.salamander, arguments.soundfonts, arguments.work, arguments.seed)
    if arguments.validation:
        render_validation(renderer, arguments.data, arguments.work / "validation_audio")
    else:
        folder = arguments.work / "audio"
        render_training(renderer, folder, arguments.hours, arguments.process, arguments.processes)


if __name__ == "__main__":
    main()
