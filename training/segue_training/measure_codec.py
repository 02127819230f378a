"""Measures the codec on held-out audio, and writes some of it decoded, with spectrograms, to listen to and look at.

python -m segue_training.measure_codec --work WORK --out DIR [--recordings FOLDER]
"""

from __future__ import annotations

import argparse
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from .audio_data import evaluation_clips
from .codec import Codec
from .export_tokenizers import codec_path
from .render import LEVEL_DBFS
from .spectrum import hann
from .train_codec import evaluate, load_codec

CLIP_SECONDS = 10.0


def recording_clips(folder: Path, sample_rate: int) -> torch.Tensor:
    """The first 10 s of every recording of a folder, mono, at the pack's rate and level: [N, samples]."""
    clips = []
    for path in sorted(folder.glob("*.flac")):
        audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True, frames=-1)
        mono = soxr.resample(audio.mean(axis=1), rate, sample_rate)[: int(CLIP_SECONDS * sample_rate)]
        clips.append(torch.from_numpy(mono * np.float32(10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(mono**2)))))
    return torch.stack(clips)


def write_picture(path: Path, audios: list[torch.Tensor], n_fft: int = 4096, highest_hz: float = 2500.0) -> None:
    """Spectrograms one above the other as a grey PNG image; white is 0 dB, black −75 dB."""
    pictures = []
    for audio in audios:
        spectrum = torch.stft(audio, n_fft, n_fft // 32, window=hann(n_fft), return_complex=True).abs() / n_fft**0.5
        shown = 20 * torch.log10(spectrum[: int(highest_hz / 24000 * n_fft)].flip(0) + 1e-6)
        pictures += [((shown + 75) / 75).clamp(0, 1), torch.ones(4, shown.shape[1])]
    image = (torch.cat(pictures) * 255).byte().numpy()
    path.write_bytes(png(image))


def png(image: np.ndarray) -> bytes:
    """An 8-bit grey PNG of an image [height, width]."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    height, width = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@torch.no_grad()
def write_examples(codec: Codec, clips: torch.Tensor, out: Path, name: str) -> None:
    """Two clips as they are and decoded from all and from half of the codebooks."""
    rate, hop = codec.config.sample_rate, codec.config.hop
    for number, clip in enumerate(clips[:: max(1, len(clips) // 2)][:2]):
        clip = clip[: len(clip) // hop * hop]
        codes = codec.encode(clip[None])
        coarse = codes.clone()
        coarse[..., codec.config.books // 2 :] = codec.config.cardinality
        decoded = [clip, codec.decode(codes)[0], codec.decode(coarse)[0]]
        for label, audio in zip(("original", "all", "coarse"), decoded, strict=True):
            soundfile.write(str(out / f"{name}_{number}_{label}.wav"), audio.clamp(-1, 1).numpy(), rate)
        write_picture(out / f"{name}_{number}.png", [audio[: 4 * rate] for audio in decoded])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recordings", type=Path, help="FLAC recordings of a piano not trained on")
    parser.add_argument("--checkpoint", type=Path, help="default: the finished codec, else the codec")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    codec = load_codec(arguments.checkpoint or codec_path(arguments.work))
    rate = codec.config.sample_rate
    sets = {"held_out": evaluation_clips(arguments.work / "validation_audio", 20.0, CLIP_SECONDS, rate)}
    if arguments.recordings:
        sets["recordings"] = recording_clips(arguments.recordings, rate)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, clips in sets.items():
        for books in (codec.config.books, codec.config.books // 2):
            results[f"{name}_{books}"] = evaluate(codec, clips, books)
            print(name, books, {key: round(value, 3) for key, value in results[f"{name}_{books}"].items()}, flush=True)
        write_examples(codec.eval(), clips, arguments.out, name)
    (arguments.out / "figures.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
