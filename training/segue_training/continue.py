"""Continue a recording with a pack, in Python: prompt in, what follows out, and a few figures about it.

python -m segue_training.continue --pack PACK --prompt bach.flac --seconds 16 --out bach_continued.wav
python -m segue_training.continue --pack PACK --prompt a.flac b.flac --out FOLDER
python -m segue_training.continue --pack PACK --prompt a.flac b.flac --out results --listening
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from .evaluate import Report, compare, resample
from .runtime import Dials, Pack, channels_of


def read_prompt(path: Path, rate: int, channels: int, seconds: float) -> np.ndarray:
    """The first seconds of a file at the pack's rate: [N], or [N, 2] for a stereo pack."""
    audio, found = soundfile.read(path, always_2d=True)
    audio = channels_of(audio[: int(seconds * found)], channels)
    prompt = np.stack([resample(channel, found, rate) for channel in audio.T], axis=1)
    return prompt[:, 0] if channels == 1 else prompt


def continue_file(
    pack: Pack, path: Path, out: Path | None, arguments: argparse.Namespace, dials: dict[str, Dials]
) -> Report:
    """Continue one file; `out` gets prompt and continuation."""
    prompt = read_prompt(path, pack.sample_rate, pack.channels, arguments.prompt_seconds)
    made = pack.continue_prompt(prompt, arguments.seconds, dials, arguments.seed)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(out, np.concatenate([prompt, made.audio]).clip(-1, 1), pack.sample_rate)
        if arguments.listening:
            # Here, because it needs requirements-figures.txt and nothing else of this does.
            from .sheets import sheet

            heard = {name: channels_of(x, 2) for name, x in (("prompt", prompt), ("continuation", made.audio))}
            sheet(path.stem, heard).save(out.with_suffix(".png"), optimize=True)
    return compare(prompt, made, pack.sample_rate)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--prompt", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, help="a .wav for one prompt, a folder for several")
    parser.add_argument(
        "--listening", action="store_true", help="into the folder as OGG, named after the pack, each with its spectrogram"
    )
    parser.add_argument("--prompt-seconds", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=16.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--temperature", type=float, nargs="+", help="one per stage; the manifest's by default")
    parser.add_argument("--top-p", type=float)
    arguments = parser.parse_args()
    pack = Pack(arguments.pack, arguments.threads)
    dials = pack.dials()
    for dial, temperature in zip(dials.values(), arguments.temperature or (), strict=False):
        dial.temperature = temperature
    for dial in dials.values():
        dial.top_p = arguments.top_p or dial.top_p
    print(Report.header())
    for path in arguments.prompt:
        out = arguments.out
        if out is not None and out.suffix != ".wav":
            listened = f"{pack.manifest['name']}_continues_{path.stem}.ogg"
            out = out / (listened if arguments.listening else f"{path.stem}.wav")
        print(continue_file(pack, path, out, arguments, dials).line(path.stem), flush=True)


if __name__ == "__main__":
    main()
