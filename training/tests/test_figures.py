"""Each figure of the table on cases whose answer is known."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from segue_training import abx, cost, opus
from segue_training.distances import mel_distance, si_sdr, stft_distance
from segue_training.export_tokenizers import export_random
from segue_training.figures import book_use, through_pack
from segue_training.held_out import stereo
from segue_training.kept import Kept
from segue_training.midi import Note
from segue_training.onsets import Transcriber, onset_f1
from segue_training.pack import random_stages, write_pack
from segue_training.presets import PRESETS
from segue_training.results import merged
from segue_training.runtime import Pack, analyse, channels_of, signal
from segue_training.table import DEFAULT_PACK
from segue_training.token_probe import probe_f1
from segue_training.visqol import Visqol

RATE = 48000


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder, preset = tmp_path_factory.mktemp("packs") / "tiny", PRESETS["tiny"]
    write_pack(folder, preset, random_stages(preset, 1), export_random("tiny", 1), "card", None, random=True)
    return Pack(folder)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Three seconds of decaying chords in stereo, [N, 2] at 48 kHz."""
    time = np.arange(3 * RATE) / RATE
    tones = [sum(np.sin(2 * np.pi * f * n * time) / n**2 for n in range(1, 9)) for f in (220.0, 277.2, 329.6)]
    mixed = np.stack([tones[0] + tones[1], tones[1] + tones[2]], axis=1)
    return (0.1 * mixed * np.exp(-3 * (time % 0.75))[:, None]).astype(np.float32)


def test_dtw_is_zero_between_equals_and_forgives_another_tempo() -> None:
    steps = np.array([0, 0, 1, 1, 2, 2])[None, :, None]
    slower = np.array([0, 0, 0, 0, 1, 2])[None, :, None]
    assert abx.warped(abx.mismatches(steps, steps))[0] == 0
    assert abx.warped(abx.mismatches(steps, slower))[0] == 0
    assert abx.warped(abx.mismatches(steps, steps + 9))[0] == 1
    # One frame of six differs, on a path of length six.
    changed = np.array([0, 0, 1, 7, 2, 2])[None, :, None]
    assert 0 < abx.warped(abx.mismatches(steps, changed))[0] <= 1 / 6 + 1e-9


def test_angles() -> None:
    vectors = np.array([[[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]])
    assert np.allclose(abx.angles(vectors, vectors)[0], [[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]], atol=1e-6)


@pytest.mark.parametrize("kind", ["angle", "identity"])
def test_abx_of_the_same_is_right_of_the_opposite_wrong_of_noise_a_guess(kind: str) -> None:
    rng = np.random.default_rng(0)

    def draw() -> np.ndarray:
        return rng.standard_normal((800, 8, 4)) if kind == "angle" else rng.integers(0, 8, (800, 8, 2))

    a, b, x = draw(), draw(), draw()
    assert abx.errors(a, b, a, kind).mean() == 0
    assert abx.errors(a, b, b, kind).mean() == 1
    assert abx.errors(a, a, x, kind).mean() == 0.5
    assert abs(abx.errors(a, b, x, kind).mean() - 0.5) < 0.06


def chords(names: list[tuple[int, ...]]) -> list[Note]:
    """A chord a second, each held for 0.9 s."""
    return [Note(float(i), i + 0.9, key, 64) for i, keys in enumerate(names) for key in keys]


def test_triplets_are_what_they_say() -> None:
    c, g = (48, 52, 55), (43, 50, 59)
    notes = chords([c, c, g, g, c, g, c, c, g])
    found = abx.triplets([notes], 10.0, 100, 1)
    assert found
    for triplet in found:
        same, other, again = (abx.chord(notes, at) for at in (triplet.a, triplet.b, triplet.x))
        assert same == again != other and triplet.a != triplet.x
        assert abs(triplet.a - triplet.b) <= 2
    assert abx.triplets([notes], 10.0, 100, 1) == found
    assert abx.triplets([chords([c] * 9)], 10.0, 100, 1) == []


def test_abx_over_pieces_finds_a_chord_again() -> None:
    c, g = (48, 52, 55), (43, 50, 59)
    names = [c, c, g, g, c, g, c, c, g]
    found = abx.triplets([chords(names)], 10.0, 100, 1)
    stream = np.repeat([[1] if name == c else [2] for name in [*names, c]], 25, axis=0)
    assert abx.over_pieces(found, [stream], [stream], 0.04, "identity").mean() == 0
    assert abx.over_pieces(found, [stream], [3 - stream], 0.04, "identity").mean() == 1


def test_distances_of_a_sound_from_itself_and_from_noise(sound: np.ndarray) -> None:
    noisy = sound + 0.01 * np.random.default_rng(1).standard_normal(sound.shape)
    assert mel_distance(sound, sound, RATE) == 0 and stft_distance(sound, sound) == 0
    assert si_sdr(sound, 0.3 * sound) > 100
    wanted = 10 * np.log10(np.mean(sound**2) / 1e-4)
    assert abs(si_sdr(sound, noisy) - wanted) < 0.3
    assert mel_distance(sound, noisy, RATE) > 1 and stft_distance(sound, noisy) > 0.1
    # Six decibels less in all bands is about six decibels, less where the floor is near.
    assert 2 < mel_distance(sound, 0.5 * sound, RATE) < 6.1


def test_onset_f1() -> None:
    notes = [Note(0.0, 1, 60, 64), Note(0.5, 1, 60, 64), Note(0.5, 1, 64, 64)]
    assert onset_f1(notes, notes) == 1 and onset_f1(notes, []) == 0 and onset_f1([], []) == 1
    shifted = [Note(n.onset + 0.04, n.end, n.key, 1) for n in notes]
    assert onset_f1(notes, shifted) == 1
    late = [Note(n.onset + 0.06, n.end, n.key, 1) for n in notes]
    assert onset_f1(notes, late) == 0
    assert abs(onset_f1(notes, notes[:2]) - 0.8) < 1e-9
    # Nobody is counted twice.
    assert abs(onset_f1(notes[:1], [notes[0], Note(0.01, 1, 60, 1)]) - 2 / 3) < 1e-9


def test_a_probe_reads_what_the_tokens_say_and_nothing_of_noise() -> None:
    rng = np.random.default_rng(2)
    tokens = [rng.integers(0, 88, (400, 1)) for _ in range(4)]
    keys = [torch.nn.functional.one_hot(torch.from_numpy(t[:, 0]), 88).float() for t in tokens]
    noise = [rng.integers(0, 88, (400, 1)) for _ in range(4)]
    assert probe_f1(tokens[:3], keys[:3], tokens[3:], keys[3:], 88, 1, 300) > 0.99
    assert probe_f1(noise[:3], keys[:3], noise[3:], keys[3:], 88, 1, 300) < 0.1


def test_use_of_a_book() -> None:
    (share, perplexity), (one, least) = book_use(np.array([[0, 5], [1, 5], [2, 5], [3, 5]]), 8)
    assert (share, one) == (0.5, 0.125) and abs(perplexity - 4) < 1e-9 and abs(least - 1) < 1e-9


def test_mid_and_side() -> None:
    audio = np.array([[0.5, 0.1], [0.2, 0.4]])
    mid, side = signal(audio, "mid"), signal(audio, "side")
    assert np.allclose(np.stack([mid + side, mid - side], axis=1), audio)
    assert channels_of(audio, 1).shape == (2, 1) and channels_of(mid, 2).shape == (2, 2)
    with pytest.raises(ValueError, match="side"):
        signal(audio[:, :1], "side")
    assert stereo(audio[:, 0]).shape == (2, 2)


def test_an_analysis_in_parts_is_the_whole() -> None:
    audio = np.random.default_rng(3).standard_normal((4000, 2))
    shape = {"n_fft": 960, "bins": 100, "look_ahead": 240, "channel": "side"}
    whole = analyse(audio, 240, range(15), **shape)
    parts = [analyse(audio, 240, range(i, min(15, i + 4)), **shape) for i in range(0, 15, 4)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_a_pack_in_chunks_and_as_a_whole(pack: Pack, sound: np.ndarray) -> None:
    heard = channels_of(sound, pack.channels)[: 2 * pack.sample_rate]
    assert np.array_equal(pack.encode(heard, 7), pack.encode(heard))
    assert np.array_equal(pack.semantic(heard, 3), pack.semantic(heard))
    codes = pack.encode(heard)
    assert np.allclose(pack.decode(codes, 5), pack.decode(codes), atol=1e-4)
    found = cost.measure(pack, heard, 1)
    assert found.decode > 0 and found.chunked_error_db < -60


def test_a_sound_through_a_pack_keeps_its_shape(pack: Pack, sound: np.ndarray) -> None:
    decoded = through_pack(pack, sound, 1)
    assert decoded.shape == sound.shape and np.isfinite(decoded).all()
    vectors = abx.acoustic_vectors(pack)
    codec = pack.manifest["codec"]
    assert vectors is not None and vectors.shape[:2] == (codec["codebooks"], codec["cardinality"] + 1)
    assert np.allclose(vectors[:, -1], 0)
    centroids = abx.semantic_vectors(pack)
    semantic = pack.manifest["semantic"]
    assert centroids is not None and centroids.shape[:2] == (1, semantic["cardinality"]), "of what sounds"
    shipped = abx.semantic_vectors(Pack(DEFAULT_PACK))
    assert shipped is not None and shipped.shape[:2] == (2, 1024)


def test_what_is_struck_is_told_until_it_has_faded() -> None:
    """Two books of notes at four levels of loudness and one of what sounds: a key tells of itself, softer or louder, for a while."""
    centroids = np.eye(3)[None]

    def tokens(*struck: int) -> np.ndarray:
        notes = np.array([[1 + key * 4 + 2, 0] for key in struck] + [[88 * 4 + rest, 0] for rest in range(1, 30)])
        return np.concatenate([notes, np.ones((len(notes), 1), int)], axis=1)

    low, high, again = (abx.told(tokens(*keys), centroids, 4) for keys in ((20, 24), (55, 59), (20, 24)))
    assert np.array_equal(low, again) and np.allclose(low[:, :3], [0, 1, 0])
    assert np.linalg.norm(low[1, 3:]) > 3 * np.linalg.norm(low[9, 3:]) > 0
    a, b, x = (stream[None, :12] for stream in (low, high, again))
    assert abx.errors(a, b, x, "angle") == 0
    assert np.allclose(abx.told(tokens(20)[:, 2:], centroids, 4), np.eye(3)[[1] * 30]), "without notes what sounds alone"


def test_kept_figures_are_not_measured_twice(tmp_path: Path, sound: np.ndarray) -> None:
    kept, calls = Kept(tmp_path), []

    def compute() -> float:
        calls.append(1)
        return 1.5

    assert kept.get("a", [sound], compute) == kept.get("a", [sound], compute) == 1.5 and len(calls) == 1
    kept.get("b", [sound], compute)
    kept.get("a", [sound * 2], compute)
    assert len(calls) == 3


def test_a_section_replaces_its_own_and_keeps_the_others() -> None:
    first = merged("", "Tokens", "How.", "one", "## one\n\nbygone\n")
    both = merged(first, "Tokens", "How.", "two", "## two\n\nkept\n")
    other = merged(both, "Music", "Why.", "one", "## one\n\nmusic\n")
    again = merged(other, "Tokens", "How else.", "one", "## one\n\nnew\n")
    assert "kept" in again and "new" in again and "bygone" not in again and again.count("# Tokens") == 1
    assert again.count("How") == again.count("How else.") == 1
    assert again.endswith("# Music\n\nWhy.\n\n## one\n\nmusic\n")
    assert merged(again, "Tokens", "How else.", "one", "## one\n\nnew\n") == again


def test_ogg_packets_are_counted_without_headers() -> None:
    def page(lengths: list[int]) -> bytes:
        return b"OggS" + bytes(22) + bytes([len(lengths), *lengths]) + bytes(sum(lengths))

    # Two header packets; then one packet of 255 + 10 bytes over two pages, and one of 30.
    content = page([19]) + page([50]) + page([255]) + page([10, 30])
    assert opus.packet_bytes(content) == 295
    with pytest.raises(ValueError, match="Ogg"):
        opus.packet_bytes(b"RIFF" + bytes(60))


@pytest.mark.skipif(shutil.which("opusenc") is None, reason="opus-tools is not installed")
def test_opus_is_better_with_more_bits(sound: np.ndarray) -> None:
    poor, few = opus.through(sound, 8)
    good, many = opus.through(sound, 64)
    assert poor.shape == good.shape == sound.shape and few < 12 < 40 < many
    assert si_sdr(sound, good) > si_sdr(sound, poor) + 3


def test_visqol_of_the_same_and_of_noise(sound: np.ndarray) -> None:
    pytest.importorskip("visqol", reason="requirements-figures.txt is not installed")
    judge = Visqol()
    noise = np.random.default_rng(4).standard_normal(sound.shape)
    # Up to here: beyond 60 dB below the sound it says 1.5 to 3.5 of anything.
    same, near, far = (judge.score(sound, sound + level * noise) for level in (0.0, 0.0001, 0.0003))
    assert same > 4.72 > near and near > far + 1


def test_the_transcriber_hears_silence() -> None:
    pytest.importorskip("transkun", reason="requirements-figures.txt is not installed")
    assert Transcriber().notes(np.zeros((RATE, 2), np.float32), RATE) == []
