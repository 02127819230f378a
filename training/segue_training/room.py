"""Rooms, tone and noise: what turns a dry sampled piano into a plausible recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import lfilter, oaconvolve


def load_rooms(folder: Path, sample_rate: int) -> dict[str, np.ndarray]:
    """Stereo room responses [n, 2] by name, direct sound at sample 0, unit energy. Of B-format (four channels, W X Y Z)
    two cardioids back to back: W ± Y."""
    rooms = {}
    for path in sorted(folder.rglob("*.wav")):
        audio, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
        if audio.shape[1] == 4:
            audio = np.stack([audio[:, 0] + audio[:, 2], audio[:, 0] - audio[:, 2]], axis=1)
        response = soxr.resample(audio[:, :2], rate, sample_rate, quality="HQ").astype(np.float32)
        response = response[int(np.argmax(np.abs(response).max(axis=1))) :]
        rooms[path.stem] = response / np.sqrt(np.sum(response**2) / 2)
    return rooms


def add_room(audio: np.ndarray, response: np.ndarray, wet: float) -> np.ndarray:
    """Mixes the audio [n, 2] with its convolution, channel by channel: `wet` 0 is dry, 1 the room alone."""
    reverberant = oaconvolve(audio, response, axes=0)[: len(audio)].astype(np.float32)
    return audio * np.float32(1.0 - wet) + reverberant * np.float32(wet)


def tilt(audio: np.ndarray, high_db: float, corner_hz: float, sample_rate: int) -> np.ndarray:
    """A first-order high shelf: `high_db` above `corner_hz`."""
    gain = 10.0 ** (high_db / 20.0)
    k = np.tan(np.pi * corner_hz / sample_rate)
    root = np.sqrt(gain)
    b = np.array([gain + root * k, root * k - gain]) / (1.0 + root * k)
    a = np.array([1.0, (root * k - 1.0) / (1.0 + root * k)])
    return lfilter(b.astype(np.float32), a.astype(np.float32), audio, axis=0).astype(np.float32)


def band_limit(audio: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """What is left of the audio after it has been stored at `rate` Hz."""
    lower = soxr.resample(audio, sample_rate, rate, quality="HQ")
    again = soxr.resample(lower, rate, sample_rate, quality="HQ").astype(np.float32)[: len(audio)]
    return np.pad(again, ((0, len(audio) - len(again)), (0, 0)))


def set_level(audio: np.ndarray, level_dbfs: float) -> np.ndarray:
    """Brings the RMS to `level_dbfs`, less where the peak would leave ±0.98."""
    rms = float(np.sqrt(np.mean(audio**2)))
    peak = float(np.abs(audio).max())
    if rms <= 0.0:
        return audio
    return audio * np.float32(min(10.0 ** (level_dbfs / 20.0) / rms, 0.98 / peak))


def add_noise(audio: np.ndarray, level_dbfs: float, rng: np.random.Generator) -> np.ndarray:
    """Adds noise that falls towards high frequencies (one pole at about 1.5 kHz), at an RMS of `level_dbfs`."""
    noise = lfilter([1.0], [1.0, -0.85], rng.standard_normal(audio.shape, dtype=np.float32), axis=0).astype(np.float32)
    noise *= np.float32(10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(noise**2)))
    return audio + noise
