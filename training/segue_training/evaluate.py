"""Figures that tell whether a continuation is music like its prompt: level, silence, density of notes, loops."""

from dataclasses import dataclass

import numpy as np

from .runtime import Continuation, channels_of

ONSET_HOP = 240
ONSET_WINDOW = 1024


@dataclass(frozen=True)
class Report:
    """Continuation against prompt."""

    level_db: float
    """RMS level of the continuation above the prompt's"""
    drift_db: float
    """Level of its last quarter above its first"""
    silent_share: float
    """Share of 100 ms windows more than 40 dB below the prompt's level"""
    onsets_ratio: float
    """Onsets per second, over the prompt's"""
    chroma_agreement: float
    """Cosine between the pitch-class profiles of prompt and continuation"""
    distinct_semantic: float
    """Different semantic tokens among those generated, as a share"""
    log_prob: dict[str, float]
    ms_per_step: dict[str, float]

    @staticmethod
    def header() -> str:
        return (
            f"{'':24s} {'level':>6s} {'drift':>6s} {'silent':>6s} {'onsets':>6s} {'chroma':>6s} {'distinct':>8s}"
            "  log-prob and ms a step by stage"
        )

    def line(self, name: str) -> str:
        """One row under `header`."""
        stages = "  ".join(f"{k} {v:.2f} {self.ms_per_step[k]:.2f}ms" for k, v in self.log_prob.items())
        return (
            f"{name:24s} {self.level_db:6.1f} {self.drift_db:6.1f} {self.silent_share:6.2f} "
            f"{self.onsets_ratio:6.2f} {self.chroma_agreement:6.2f} {self.distinct_semantic:8.2f}  {stages}"
        )


def compare(prompt: np.ndarray, made: Continuation, rate: int) -> Report:
    """prompt [N] or [N, 2] and what was made of it, both at `rate`."""
    prompt, audio = channels_of(prompt, 1)[:, 0], channels_of(made.audio, 1)[:, 0]
    tenth = rate // 10
    windows = audio[: len(audio) // tenth * tenth].reshape(-1, tenth)
    levels = 10 * np.log10((windows**2).mean(axis=1) + 1e-12)
    generated = made.semantic[made.prompt_frames // 2 :, 0]
    return Report(
        level_db=level(audio) - level(prompt),
        drift_db=drift(audio),
        silent_share=float((levels < level(prompt) - 40).mean()),
        onsets_ratio=onsets_per_second(audio, rate) / max(0.1, onsets_per_second(prompt, rate)),
        chroma_agreement=float(chroma(prompt, rate) @ chroma(audio, rate)),
        distinct_semantic=len(np.unique(generated)) / max(1, len(generated)),
        log_prob={key: float(np.mean(t.log_probs)) for key, t in made.timings.items()},
        ms_per_step={key: t.ms_per_step for key, t in made.timings.items()},
    )


def level(audio: np.ndarray) -> float:
    """RMS in dB."""
    return float(10 * np.log10(np.mean(audio**2) + 1e-12))


def drift(audio: np.ndarray) -> float:
    """Level of the last quarter of a sound [N] above the first, in dB."""
    quarter = max(1, len(audio) // 4)
    return level(audio[-quarter:]) - level(audio[:quarter])


def onsets_per_second(audio: np.ndarray, rate: int) -> float:
    """Peaks of the log-spectral flux that stand out of their surroundings (Bello et al. 2005)."""
    spectrum = np.log1p(300 * _magnitudes(audio, ONSET_WINDOW, ONSET_HOP))
    flux = np.maximum(0, np.diff(spectrum, axis=0)).mean(axis=1)
    reach = int(0.1 * rate / ONSET_HOP)
    padded = np.pad(flux, reach, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    close = np.lib.stride_tricks.sliding_window_view(np.pad(flux, 3), 7)
    threshold = np.median(around, axis=1) + 0.5 * flux.std()
    peaks = (flux == close.max(axis=1)) & (flux > threshold)
    return float(peaks.sum() * rate / len(audio))


def chroma(audio: np.ndarray, rate: int) -> np.ndarray:
    """Pitch-class profile of unit length, [12], from partials between 100 Hz and 2 kHz."""
    power = (_magnitudes(audio, 8192, 2048) ** 2).sum(axis=0)
    frequency = np.fft.rfftfreq(8192, 1 / rate)
    kept = (frequency > 100) & (frequency < 2000)
    pitch = np.round(12 * np.log2(frequency[kept] / 440)).astype(int) % 12
    profile = np.sqrt(np.bincount(pitch, power[kept], minlength=12))
    return profile / (np.linalg.norm(profile) + 1e-12)


def _magnitudes(audio: np.ndarray, window: int, hop: int) -> np.ndarray:
    """[frames, window/2 + 1]"""
    padded = np.pad(audio, (0, max(0, window - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return np.abs(np.fft.rfft(frames * np.hanning(window))) / np.sqrt(window)


def resample(audio: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Band-limited change of rate by way of the whole spectrum: for files, not for streams."""
    if rate == wanted:
        return audio
    length = int(round(len(audio) * wanted / rate))
    spectrum = np.fft.rfft(audio)
    kept = np.zeros(length // 2 + 1, complex)
    count = min(len(kept), len(spectrum))
    kept[:count] = spectrum[:count]
    return np.fft.irfft(kept, length) * (length / len(audio))
