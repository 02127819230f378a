"""Two recordings of each performance, as the semantic tokenizer sees them: what stays the same is what is played.

python -m segue_training.pairs --data DATA --salamander DIR --soundfonts DIR --work WORK [--process 0 --processes 2]

For every rendering of WORK/audio the same performance is recorded once more, on another piano, in another room; WORK/pairs
keeps the filterbank of both (float16 [2, T, bands]). No label is kept: the notes served to play them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from .dataset import load_audio, renderings
from .render import Renderer, add_render_arguments
from .semantic import SemanticConfig, SemanticNetwork
from .spectrum import analyse

SECOND_RECORDING = 7
MAX_GAIN, MAX_TILT = 0.3, 0.35
"""In units of the bands (10.9 dB)."""


@torch.no_grad()
def bands_of(network: SemanticNetwork, audio: np.ndarray) -> np.ndarray:
    """Audio [n, 2] in ±1 → the bands [T, bands] of its mid, float16."""
    hop = network.config.hop
    mid = torch.from_numpy(audio.mean(axis=1, dtype=np.float32)[: len(audio) // hop * hop])
    return network.bands(analyse(mid[None], network.config.analysis, hop))[0].numpy().astype(np.float16)


def write_pairs(renderer: Renderer, work: Path, process: int, processes: int) -> None:
    """Records every rendering's performance again and writes the bands of both; what exists is kept."""
    network = SemanticNetwork(SemanticConfig())
    folder = work / "pairs"
    folder.mkdir(parents=True, exist_ok=True)
    begun, seconds = time.monotonic(), 0.0
    for number, rendering in enumerate(renderings(work / "audio")[process::processes]):
        path = folder / f"{rendering.id}.npy"
        if path.exists():
            continue
        seed, index = (int(part) for part in rendering.id.split("_"))
        played = renderer.perform(np.random.default_rng([seed, index]))
        again, *_ = renderer.record(played, np.random.default_rng([seed, index, SECOND_RECORDING]))
        first = bands_of(network, load_audio(work / "audio", rendering.id).astype(np.float32) / 32768.0)
        second = bands_of(network, again)
        frames = min(len(first), len(second))
        temporary = folder / f"{rendering.id}.tmp"
        with temporary.open("wb") as file:
            np.save(file, np.stack([first[:frames], second[:frames]]))
        temporary.rename(path)
        seconds += rendering.seconds
        if number % 40 == 0:
            print(f"{number}: {seconds / (time.monotonic() - begun):.0f} × real time", flush=True)


class Pairs:
    """Draws the same moments of two recordings."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        paths = sorted(folder.glob("*.npy"))
        self.names = [path.stem for path in paths]
        self.items = [np.load(path) for path in paths]
        if not self.items:
            raise FileNotFoundError(f"no pairs in {folder}")

    def draw(self, batch: int, frames: int) -> torch.Tensor:
        """Bands [2, batch, frames, bands]; either recording comes first, each with a level and a tone of its own."""
        clips = []
        while len(clips) < batch:
            item = self.items[int(self.rng.integers(len(self.items)))]
            if item.shape[1] > frames:
                begin = int(self.rng.integers(item.shape[1] - frames))
                clips.append(item[:: int(self.rng.choice([-1, 1])), begin : begin + frames])
        bands = torch.from_numpy(np.stack(clips, axis=1).astype(np.float32))
        return bands + self.tone(2 * batch, bands.shape[-1]).unflatten(0, (2, batch))

    def tone(self, count: int, bands: int) -> torch.Tensor:
        """What a level and a tone add to the bands, [count, 1, bands]."""
        place = np.linspace(0.0, np.pi, bands)
        amounts = self.rng.normal(0.0, 0.5, (4, count, 1, 1))
        tone = sum(amount / (order + 1) * np.cos(order * place + order) for order, amount in enumerate(amounts[1:], 1))
        return torch.from_numpy((MAX_GAIN * amounts[0] + MAX_TILT * tone).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_render_arguments(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    renderer = Renderer(arguments.data, arguments.salamander, arguments.soundfonts, arguments.work, seed=0)
    write_pairs(renderer, arguments.work, arguments.process, arguments.processes)


if __name__ == "__main__":
    main()
