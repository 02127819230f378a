"""Which MIDI files train and which are held out, and the shape of a rendered excerpt on disk."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

SOURCE_SHARES = {"pop909": 0.45, "piano_midi_de": 0.35, "giantmidi": 0.15, "mutopia": 0.05}
# Other versions of the pieces of validation_midi: POP909 songs 900 to 909, Bach BWV 846, Beethoven op. 27 no. 2 i,
# Chopin op. 27 no. 2, Debussy Suite bergamasque i, Grieg op. 43 no. 6, Mozart KV 330 i, Schubert D 899 no. 3,
# Tchaikovsky op. 37 June.
HELD_OUT = re.compile(
    r"^90\d(-v\d)?\.mid$|bach_846|BWV_?846|mond_1|O27.*(sonate|moon)|chpn_op27_2|O27.*nocturne|deb_prel|"
    r"Suite_bergamasque.*no_1\b|grieg_spring|O43.*(fruehling|spring)|mz_330_1|KV330|schuim-3|D899.*(no_|-)3|"
    r"ty_juni|June",
    re.IGNORECASE,
)


def is_held_out(path: Path) -> bool:
    """Whether a file is a validation piece or another version of one."""
    return path.parent.name == "validation_midi" or HELD_OUT.search(path.name) is not None


def training_files(midi_folder: Path) -> dict[str, list[Path]]:
    """The training pieces of each source folder, in a fixed order."""
    return {
        source: [path for path in sorted((midi_folder / source).glob("*.mid")) if not is_held_out(path)]
        for source in SOURCE_SHARES
    }


@dataclass(slots=True)
class Rendering:
    """What a rendered excerpt is: written beside its audio as `<id>.json`."""

    id: str
    piece: str
    source: str
    piano: str
    room: str
    wet: float
    start: float
    seconds: float
    transpose: int
    tempo: float
    humanised: bool
    sample_rate: int


def write_rendering(folder: Path, rendering: Rendering, audio: np.ndarray, notes: np.ndarray) -> None:
    """Writes `<id>.npy` (int16 [n, 2]), `<id>.notes.npy` (float32 [n, 4]: onset s, end s, key, velocity) and, last, the
    json whose presence says that the rendering is complete."""
    np.save(folder / f"{rendering.id}.npy", audio)
    np.save(folder / f"{rendering.id}.notes.npy", notes)
    temporary = folder / f"{rendering.id}.json.tmp"
    temporary.write_text(json.dumps(asdict(rendering)))
    temporary.rename(folder / f"{rendering.id}.json")


def renderings(folder: Path) -> list[Rendering]:
    """The complete renderings of a folder in order of id."""
    return [Rendering(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def load_audio(folder: Path, rendering_id: str) -> np.ndarray:
    """The int16 samples [n, 2] of a rendering, memory-mapped."""
    return np.load(folder / f"{rendering_id}.npy", mmap_mode="r")
