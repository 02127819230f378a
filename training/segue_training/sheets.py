"""Spectrogram sheets: six held-out excerpts, each as original, coarse and full side by side.

python -m segue_training.sheets --work WORK --data DATA --pack PACK --out results
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .figures import coarse_books, through_pack
from .held_out import RATE, Clip, Studio, recordings, rendered_clips
from .runtime import Pack

WINDOW, SECONDS, BEGIN = 4096, 4.0, 1.0
LOWEST_HZ, HIGHEST_HZ = 80.0, 12000.0
WIDTH, HEIGHT, GAP, TITLE = 420, 520, 8, 20
CEILING_DB, FLOOR_DB = 10.0, -80.0
COLOURS = 16
STOPS = np.array([[0, 0, 12], [60, 15, 110], [180, 50, 95], [245, 140, 40], [252, 252, 200]], float)


def spectrogram(audio: np.ndarray) -> np.ndarray:
    """The mid of [N, 2] at 48 kHz → levels in dB [HEIGHT, WIDTH], 4096-point windows, frequency logarithmic upwards."""
    mid = np.pad(audio.mean(axis=1), WINDOW // 2)
    places = np.linspace(0, len(mid) - WINDOW, WIDTH).astype(int)
    frames = mid[places[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    levels = 20 * np.log10(np.abs(np.fft.rfft(frames)).T / np.sqrt(WINDOW) + 1e-6)
    hertz = HIGHEST_HZ * (LOWEST_HZ / HIGHEST_HZ) ** (np.arange(HEIGHT) / (HEIGHT - 1))
    return levels[np.clip(np.round(hertz * WINDOW / RATE).astype(int), 1, WINDOW // 2)]


def coloured(levels: np.ndarray) -> Image.Image:
    """Levels in dB as colours, light is loud."""
    shade = np.clip((levels - FLOOR_DB) / (CEILING_DB - FLOOR_DB), 0, 1)
    shade = np.round(shade * (2 * COLOURS)) / (2 * COLOURS) * (len(STOPS) - 1)
    channels = [np.interp(shade, np.arange(len(STOPS)), STOPS[:, c]) for c in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def sheet(title: str, sounds: dict[str, np.ndarray]) -> Image.Image:
    """Spectrograms side by side, each under its name."""
    width = len(sounds) * (WIDTH + GAP) + GAP
    image = Image.new("RGB", (width, HEIGHT + TITLE + 2 * GAP), "white")
    draw = ImageDraw.Draw(image)
    for column, (name, audio) in enumerate(sounds.items()):
        left = GAP + column * (WIDTH + GAP)
        draw.text((left, GAP // 2), f"{title}: {name}" if column == 0 else name, fill="black")
        image.paste(coloured(spectrogram(audio)), (left, TITLE + GAP))
    return image.quantize(2 * COLOURS)


def excerpts(data: Path, work: Path) -> list[Clip]:
    """Three recordings of the unseen piano and three classical pieces on the held-out one."""
    seconds = BEGIN + SECONDS
    recorded = recordings(data / "prompts", seconds, 8)
    rendered = [clip for clip in rendered_clips(Studio(data, work), data, seconds, 12) if clip.name[0].isalpha()]
    return [recorded[i] for i in (0, 2, 7)] + [rendered[i] for i in (1, 3, 4)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    arguments = parser.parse_args()
    pack = Pack(arguments.pack)
    books = {"coarse": coarse_books(pack), "full": pack.manifest["codec"]["codebooks"]}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, clip in enumerate(excerpts(arguments.data, arguments.work)):
        sounds = {"original": clip.audio}
        sounds |= {f"{name}, {count} books": through_pack(pack, clip.audio, count) for name, count in books.items()}
        cut = {name: audio[int(BEGIN * RATE) :] for name, audio in sounds.items()}
        name = clip.name.split("__")[-1].replace(" ", "_").strip("()").replace("(", "").replace(")", "")
        path = arguments.out / f"{pack.manifest['name']}_{number}_{name}.png"
        sheet(clip.name, cut).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
