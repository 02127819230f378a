"""SFZ parsing, sampled pianos, rooms, and a rendered note that sounds at its pitch and time."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from segue_training.midi import Note
from segue_training.modelled import VELOCITIES, Instrument
from segue_training.piano import Piano, salamander_regions
from segue_training.room import add_noise, add_room, band_limit, set_level, tilt
from segue_training.sfz import key_number, read_regions

RATE = 24000


def tone(path: Path, frequency: float, amplitude: float = 0.5, rate: int = 48000) -> None:
    """A decaying sine, in stereo."""
    time = np.arange(2 * rate) / rate
    sound = amplitude * np.sin(2 * np.pi * frequency * time) * np.exp(-time)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([sound, sound], axis=1), rate)


@pytest.fixture
def instrument(tmp_path: Path) -> Path:
    """Two layers of A4; the louder one has its own release and a name whose case differs from the file's."""
    tone(tmp_path / "Samples/soft A4.wav", 440.0, 0.2)
    tone(tmp_path / "Samples/Hard A4.wav", 440.0, 0.8)
    (tmp_path / "soft.txt").write_text("<region> lokey=66 hikey=72 pitch_keycenter=a4 sample=soft A4.$EXT volume=-6\n")
    (tmp_path / "piano.sfz").write_text(
        "// comment\n#define $EXT wav\n<control> default_path=Samples/\n<global> ampeg_release=0.5\n"
        '<group> lovel=1 hivel=80 // soft\n#include "soft.txt"\n'
        "<group> lovel=81\n<region> key=69 sample=hard A4.$EXT ampeg_release=0.1 amp_veltrack=73\n"
        "<group> locc64=65\n<region> key=69 sample=hard A4.wav\n"
        "<group> trigger=release\n<region> key=69 sample=hard A4.wav\n"
    )
    return tmp_path / "piano.sfz"


def test_sfz_regions(instrument: Path) -> None:
    soft, hard = read_regions(instrument)
    assert (soft.low_key, soft.high_key, soft.key_centre) == (66, 72, 69)
    assert (soft.low_velocity, soft.high_velocity, soft.volume, soft.release) == (1, 80, -6.0, 0.5)
    assert (hard.low_key, hard.high_key, hard.low_velocity, hard.high_velocity) == (69, 69, 81, 127)
    assert (hard.release, hard.velocity_tracking) == (0.1, 73.0)
    assert hard.sample.name == "Hard A4.wav" and soft.sample.name == "soft A4.wav"


@pytest.mark.parametrize(
    ("name", "number"), [("60", 60), ("c4", 60), ("A0", 21), ("f#3", 54), ("Bb-1", 10), ("C8", 108)]
)
def test_key_names(name: str, number: int) -> None:
    assert key_number(name) == number


def test_salamander_layers_cover_all_keys_and_velocities(tmp_path: Path) -> None:
    for layer in (4, 12):
        for name in ("A0", "C4", "D#4", "C8"):
            (tmp_path / f"v{layer}").mkdir(exist_ok=True)
            (tmp_path / f"v{layer}" / f"{name}v{layer}.ogg").touch()
    regions = salamander_regions(tmp_path)
    assert {(r.low_velocity, r.high_velocity) for r in regions} == {(1, 43), (44, 127)}
    centre = next(r for r in regions if r.key_centre == 60)
    assert (centre.low_key, centre.high_key) == (59, 61)


def test_a_note_sounds_at_its_pitch_and_time(instrument: Path, tmp_path: Path) -> None:
    piano = Piano.open(instrument, tmp_path / "cache", "test", RATE)
    audio = piano.play([Note(0.5, 1.0, 72, 60)], 2.0)
    assert np.abs(audio[: RATE // 2]).max() == 0.0
    assert np.abs(audio[RATE // 2 : RATE // 2 + 480]).max() > 0.005
    spectrum = np.abs(np.fft.rfft(audio[RATE // 2 : RATE, 0]))
    assert abs(np.argmax(spectrum) * 2.0 - 523.25) < 3.0
    assert np.abs(audio[int(1.55 * RATE) :]).max() == 0.0


def test_a_harder_touch_is_louder(instrument: Path, tmp_path: Path) -> None:
    piano = Piano.open(instrument, tmp_path / "cache", "test", RATE)
    levels = [np.abs(piano.play([Note(0.0, 1.0, 69, velocity)], 1.0)).max() for velocity in (30, 70, 90, 127)]
    assert levels == sorted(levels) and levels[-1] > 4 * levels[0]


def test_rooms_tone_level_and_noise() -> None:
    rng = np.random.default_rng(0)
    click = np.zeros((RATE, 2), np.float32)
    click[100] = 1.0
    response = np.zeros((500, 2), np.float32)
    response[0], response[200, 1] = 0.8, 0.6
    assert np.allclose(add_room(click, response, 0.5)[[100, 300]], [[0.9, 0.9], [0.0, 0.3]], atol=1e-6)
    noise = rng.standard_normal((RATE, 2), dtype=np.float32) * 0.01
    level = set_level(noise, -24.0)
    assert abs(20 * np.log10(np.sqrt(np.mean(level**2))) + 24.0) < 0.01
    spectrum = np.abs(np.fft.rfft(tilt(click, 6.0, 1500.0, RATE)[:, 0]))
    assert abs(20 * np.log10(spectrum[0])) < 0.1 and abs(20 * np.log10(spectrum[-1]) - 6.0) < 0.1
    quiet = add_noise(np.zeros((RATE, 2), np.float32), -70.0, rng)
    assert abs(20 * np.log10(np.sqrt(np.mean(quiet**2))) + 70.0) < 0.01
    assert abs(np.corrcoef(quiet.T)[0, 1]) < 0.1


def test_material_of_a_lower_rate_has_nothing_above_it() -> None:
    noise = np.random.default_rng(0).standard_normal((RATE, 2), dtype=np.float32)
    spectrum = np.abs(np.fft.rfft(band_limit(noise, 12000, RATE)[:, 0]))
    assert len(spectrum) == RATE // 2 + 1 and spectrum[6500:].max() < 0.01 * spectrum[:5000].mean()


def loudest(sound: np.ndarray, rate: int, low: float, high: float) -> float:
    """The frequency in Hz between two at which a sound is loudest."""
    spectrum = np.abs(np.fft.rfft(sound.sum(1) * np.hanning(len(sound))))
    hz = np.fft.rfftfreq(len(sound), 1 / rate)
    inside = (hz > low) & (hz < high)
    return float(hz[inside][spectrum[inside].argmax()])


def test_modelled_pianos_are_in_tune_and_differ() -> None:
    spread = []
    for seed in (1, 2, 3):
        instrument = Instrument(seed, RATE)
        for key in (33, 69, 93):
            layers = list(instrument.key(key))
            assert len(layers) == len(VELOCITIES) and all(np.isfinite(layer).all() for layer in layers)
            nominal = 440.0 * 2 ** ((key - 69) / 12)
            # Ten cents of the whole piano, stretched octaves and a tuner's error.
            found = loudest(layers[1], RATE, nominal * 0.97, nominal * 1.03)
            assert abs(1200 * np.log2(found / nominal)) < 35, (seed, key, found)
            soft, hard = (np.abs(np.fft.rfft(layer.sum(1))) for layer in (layers[0], layers[-1]))
            hz = np.fft.rfftfreq(len(layers[0]), 1 / RATE)
            bright = [np.square(of[hz > 4 * nominal]).sum() / np.square(of).sum() for of in (soft, hard)]
            assert bright[1] > bright[0], "struck harder it is brighter, not only louder"
            # What rings dies away.
            assert np.square(layers[2][-RATE:]).mean() < 0.3 * np.square(layers[2][RATE // 2 : RATE * 3 // 2]).mean()
            if key == 69:
                band = np.abs(np.fft.rfft(layers[2].sum(1)))[: len(hz) // 2]
                spread.append(np.log(band[(hz[: len(band)] > 400)][:: len(band) // 60] + 1e-3))
    assert np.abs(spread[0] - spread[1]).mean() > 0.3 and np.abs(spread[1] - spread[2]).mean() > 0.3
    again = next(Instrument(1, RATE).key(69))
    assert np.array_equal(again, next(Instrument(1, RATE).key(69))), "a seed is one piano"
