"""Opus as people have it: opusenc and opusdec of Debian's opus-tools."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

RATE = 48000
HEADER_PACKETS = 2


def version() -> str:
    """What opusenc says it is."""
    return subprocess.run([_tool("opusenc"), "--version"], check=True, capture_output=True, text=True).stdout.split("\n")[0]


def through(audio: np.ndarray, kbps: float) -> tuple[np.ndarray, float]:
    """Stereo audio [N, 2] at 48 kHz → what it sounds like at `kbps` (constrained variable bit rate, told that it is
    music), of the same length, and the kbit/s that the packets took, without the file's headers."""
    # Unconstrained, the encoder takes half as much again for a piano as it was told to.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(str(folder / "in.wav"), audio, RATE, "FLOAT")
        encode = [_tool("opusenc"), "--quiet", "--music", "--cvbr", "--bitrate", str(kbps)]
        _run([*encode, str(folder / "in.wav"), str(folder / "out.opus")])
        _run([_tool("opusdec"), "--quiet", "--float", "--rate", str(RATE), str(folder / "out.opus"), str(folder / "out.wav")])
        decoded, _ = soundfile.read(str(folder / "out.wav"), dtype="float32", always_2d=True)
        payload = packet_bytes((folder / "out.opus").read_bytes())
    decoded = np.pad(decoded[: len(audio)], ((0, max(0, len(audio) - len(decoded))), (0, 0)))
    return np.repeat(decoded, 2 // decoded.shape[1], axis=1), 8e-3 * payload / (len(audio) / RATE)


def packet_bytes(content: bytes) -> int:
    """Bytes of the audio packets of an Ogg file (RFC 3533): everything but the pages' headers and the two header
    packets of RFC 7845."""
    packets, position, open_packet = [], 0, 0
    while position < len(content):
        if content[position : position + 4] != b"OggS":
            raise ValueError(f"no Ogg page at byte {position}")
        segments = content[position + 27 : position + 27 + content[position + 26]]
        for length in segments:
            open_packet += length
            if length < 255:
                packets.append(open_packet)
                open_packet = 0
        position += 27 + len(segments) + sum(segments)
    return sum(packets[HEADER_PACKETS:])


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: apt-get install opus-tools")
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
