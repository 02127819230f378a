"""Phases made of magnitudes: what was taken apart sounds as it did, at once or piece by piece."""

import numpy as np
import pytest
import torch

from segue_training.codec import Codec, CodecConfig, Levels
from segue_training.phases import Phases, sharpened, tops
from segue_training.train_codec import true_levels

CONFIG = CodecConfig()
SAMPLES = CONFIG.hop * 60


def struck(pitches: tuple[float, ...], every: float = 0.4) -> torch.Tensor:
    """Decaying tones with partials, one after another: [SAMPLES] at 48 kHz."""
    time = np.arange(SAMPLES) / CONFIG.sample_rate
    sound = np.zeros(SAMPLES)
    for index, pitch in enumerate(pitches):
        since = time - 0.1 - every * index
        for partial in range(1, 9):
            tone = np.sin(2 * np.pi * pitch * partial * since) * np.exp(-(2 + partial) * np.maximum(since, 0.0))
            sound += np.where(since > 0, tone * 0.1 / partial, 0.0)
    return torch.from_numpy(sound).float()


def again(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Left and right through the true levels, [2, SAMPLES]."""
    codec = Codec(CONFIG)
    signals = torch.stack([(left + right) / 2, (left - right) / 2])[None]
    mid, side = codec.synthesise(true_levels(codec, signals), SAMPLES)[0]
    return torch.stack([mid + side, mid - side])


def magnitudes(sound: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(1024)
    return torch.stft(sound, 1024, 256, window=window, return_complex=True).abs()[:, 20:-20]


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """Spectral convergence in dB, of windows that are not the codec's."""
    a, b = magnitudes(a), magnitudes(b)
    return float(20 * torch.log10((a - b).norm() / a.norm()))


@pytest.mark.parametrize("pitches", [(440.0,), (82.4, 220.0, 277.2), (1760.0, 110.0)])
def test_a_chord_sounds_as_it_did(pitches: tuple[float, ...]) -> None:
    sound = struck(pitches)
    heard = again(sound, sound)
    assert apart(sound, heard[0]) < -11.5
    assert torch.allclose(heard[0], heard[1], atol=1e-4)


def test_each_ear_hears_what_it_heard() -> None:
    sound = struck((220.0, 330.0, 262.0))
    left, right = again(sound, torch.zeros_like(sound))
    assert apart(sound, left) < -15
    # A silent side is a level of nothing, not of something equal on both sides.
    assert right.norm() < 0.02 * left.norm()
    other = struck((523.0, 880.0))
    left, right = again(sound, other)
    assert apart(sound, left) < -10 and apart(other, right) < -10


def test_silence_is_silent() -> None:
    assert not again(torch.zeros(SAMPLES), torch.zeros(SAMPLES)).any()


def test_piece_by_piece_is_the_same() -> None:
    codec = Codec(CONFIG)
    sound = struck((220.0, 330.0, 262.0))
    levels = true_levels(codec, torch.stack([sound, 0.3 * sound.flip(0)])[None])
    phases = Phases(CONFIG)
    whole, _ = phases.stream(levels, None)
    parts, state = [], None
    for begin, end in ((0, 2), (2, 3), (3, 40), (40, 120)):
        part, state = phases.stream(Levels(*(x[:, begin:end] for x in levels)), state)
        parts.append(part)
    for channel in range(2):
        assert torch.equal(torch.cat([part[channel] for part in parts], 1), whole[channel])


def test_a_stream_forgets_where_it_began() -> None:
    """From a strike on, the phases are the same however long the stream has been running."""
    codec = Codec(CONFIG)
    sound = struck((220.0, 330.0, 262.0))
    levels = true_levels(codec, torch.stack([sound, torch.zeros_like(sound)])[None])
    later = Levels(*(x[:, 40:] for x in levels))
    # 0.3 s before the second note, and long after it.
    whole, part = (codec.synthesise(x, SAMPLES)[0, 0] for x in (levels, later))
    a, b = whole[50 * CONFIG.hop : 58 * CONFIG.hop], part[30 * CONFIG.hop : 38 * CONFIG.hop]
    assert (a - b).norm() < 0.1 * a.norm()


def test_what_flickers_is_not_struck_again() -> None:
    """A chord that fades, its levels off by 2 dB from sub-frame to sub-frame as decoded ones are: its partials must not swell."""
    codec = Codec(CONFIG)
    time = torch.arange(SAMPLES) / CONFIG.sample_rate
    pitches = [pitch * partial for pitch in (196.0, 246.9, 329.6) for partial in (1, 2, 3)]
    sound = sum(0.05 * torch.sin(2 * torch.pi * pitch * time) for pitch in pitches) * torch.exp(-0.7 * time)
    levels = true_levels(codec, torch.stack([sound, torch.zeros_like(sound)])[None])
    flicker = 0.25 * torch.randn(levels.mid.shape, generator=torch.Generator().manual_seed(0))
    heard = codec.synthesise(levels._replace(mid=(levels.mid + flicker).clamp(min=0.0)), SAMPLES)[0, 0]
    window, bins = torch.hann_window(2048), [round(pitch * 2048 / CONFIG.sample_rate) for pitch in pitches]
    spectrum = torch.stft(heard, 2048, 480, window=window, return_complex=True).abs()[bins, 20:-20]
    decibels = 20 * torch.log10(spectrum)
    swelling = (decibels[:, 3:] - decibels[:, :-3] > 3.0).float().mean()
    assert swelling < 0.12


def test_a_partial_beside_a_louder_one_has_a_hill_of_its_own() -> None:
    levels = torch.tensor([1.0, 3.0, 6.0, 8.0, 6.5, 6.0, 5.0, 1.0, 0.0])
    assert tops(levels)[5] == 3
    assert tops(sharpened(levels))[5] in (5, 6)


def test_every_bin_finds_the_top_of_its_hill() -> None:
    levels = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0, 1.0, 4.0, 4.0, 0.0])
    assert tops(levels).tolist() == [2, 2, 2, 2, 2, 6, 6, 7, 7]
