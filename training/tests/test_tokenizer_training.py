"""The losses measure what they say, and both tokenizers learn from a few steps."""

from dataclasses import replace
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segue_training import audio_data, optimiser, retell, train_codec, train_semantic
from segue_training.checkpoint import Checkpoint, Progress, checkpoint_path, save, write
from segue_training.codec import Codec, Levels
from segue_training.dataset import Rendering, write_rendering
from segue_training.export_tokenizers import TINY_CODEC, TINY_SEMANTIC, export_trained
from segue_training.listener import misheard
from segue_training.losses import coherence_of, figures, level_distance
from segue_training.presets import PRESETS
from segue_training.quantizer import k_means
from segue_training.semantic import note_network
from segue_training.stages import build
from segue_training.token_data import Excerpt, read_shard, write_shard
from segue_training.train_semantic import MaskedPrediction


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Two renderings of a few chords, for training and as held-out pieces."""
    time = np.arange(48000 * 31)[:, None] / 48000
    for folder in ("audio", "validation_audio"):
        (tmp_path / folder).mkdir()
        for index, base in enumerate((220.0, 294.0)):
            sound = sum(np.sin(2 * np.pi * base * ratio * time) for ratio in (1, 5 / 4, 3 / 2)) * np.exp(-(time % 1))
            sound = np.concatenate([sound, 0.5 * np.roll(sound, 30, axis=0)], axis=1)
            rendering = Rendering(f"01_{index:06d}", "s/p.mid", "s", "p", "dry", 0, 0, 31.0, 0, 1.0, False, 48000)
            notes = np.array([[0.0, 31.0, 57 + 5 * index, 64]], np.float32)
            write_rendering(tmp_path / folder, rendering, (sound * 3000).astype(np.int16), notes)
    return tmp_path


def test_nothing_is_lost_between_equal_clips() -> None:
    levels = torch.rand(2, 6, 513) * 8
    assert float(level_distance(levels, levels, 5e-5)) < 1e-6
    softer = [float(level_distance(levels, levels - less, 5e-5)) for less in (0.1, 0.5)]
    assert 0 < softer[0] < softer[1]
    audio = 0.1 * torch.randn(2, 48000)
    found = figures(audio, audio + 0.01 * torch.randn(2, 48000))
    assert 0.1 < found["mel_db"] < 2.0 and figures(audio, audio)["side_mel_db"] == 0


def test_noise_is_asked_to_be_as_loud_as_it_was() -> None:
    """The middle of all levels of a noise would be too soft: the bands say so."""
    noise = torch.log1p(torch.randn(4, 40, 513, dtype=torch.complex64).abs() / 5e-3)
    flat = {db: torch.full_like(noise, float(noise.median())) + db / 8.686 for db in (-6.0, 0.0, 6.0)}
    losses = {db: float(level_distance(noise, levels, 5e-3)) for db, levels in flat.items()}
    assert losses[0.0] < min(losses[-6.0], losses[6.0])


def test_a_varied_clip_is_another_pitch_in_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_data, "TONE_DB", 0.0)
    samples, heard = 9600, 12800
    clip = np.sin(2 * np.pi * 600 * np.arange(heard)[:, None] / 48000) * np.array([1000, -500])
    found = audio_data.varied(clip.astype(np.int16), samples, np.random.default_rng(1))
    assert found.shape == (samples, 2)
    spectrum = np.abs(np.fft.rfft(found[:, 0]))
    assert spectrum.argmax() * 48000 / samples == 800
    assert np.allclose(np.abs(found).max(0), [1000, 500], rtol=0.02)


def test_a_partial_counts_however_soft_its_clip_is() -> None:
    """A partial that is left out of a soft clip is missed although the clip beside it is 26 dB louder."""
    floor = 5e-5
    levels = torch.zeros(2, 6, 513)
    levels[0, :, 40] = 9.0
    levels[1, :, 40] = 6.0
    missed = levels.clone()
    missed[1, :, 40] = 0.0
    assert float(level_distance(levels, missed, floor)) > 0.3


def test_what_flickers_is_further_off_than_what_is_too_loud() -> None:
    levels = torch.full((1, 40, 513), 7.0)
    louder, flickering = levels + 0.3, levels.clone()
    flickering[:, ::4] += 0.3
    flickering[:, 2::4] -= 0.3
    per_neper = [float(level_distance(levels, x, 5e-5) / (x - levels).abs().mean()) for x in (flickering, louder)]
    assert per_neper[0] > 1.25 * per_neper[1]


def test_what_is_misheard_is_told_by_its_magnitudes() -> None:
    """A note that is missing, or that nobody struck, costs; and the codec's levels are told which way to go."""
    true = torch.full((1, 12, 88), -6.0)
    true[:, 8, 40] = 4.0
    missing, doubled = true.clone(), true.clone()
    missing[:, 8, 40] = -6.0
    doubled[:, 10, 40] = 4.0
    assert float(misheard(true, true)) == 0
    assert float(misheard(true, missing)) > 0.5 and float(misheard(true, doubled)) > 0.5
    assert float(misheard(true.roll(-6, 1), torch.full_like(true, -6.0))) == 0, "the first frames may be wrong"
    codec = Codec(TINY_CODEC)
    levels = (2 + torch.rand(2, 40, TINY_CODEC.bins)).requires_grad_()
    heard = codec.played_mid(levels)
    all_levels = Levels(levels, levels, torch.zeros(2, 40, TINY_CODEC.stereo_bands))
    assert torch.allclose(heard, codec.synthesise(all_levels, heard.shape[1])[:, 0], atol=1e-5)
    heard.square().mean().backward()
    assert levels.grad is not None and float(levels.grad.abs().sum()) > 0


def test_coherence_tells_left_from_right() -> None:
    mid = torch.randn(1, 4, 12, dtype=torch.complex64)
    band = torch.tensor([0] * 4 + [1] * 4 + [2] * 4)
    side = torch.cat([mid[..., :4], -0.5 * mid[..., 4:8], 1j * mid[..., 8:]], dim=-1)
    found = coherence_of(mid, side, band, 3, 2)
    assert torch.allclose(found, torch.tensor([1.0, -1.0, 0.0]).expand(1, 4, 3), atol=1e-4)


def test_k_means_finds_clusters() -> None:
    centres = torch.eye(4) * 10
    vectors = centres.repeat(50, 1) + 0.1 * torch.randn(200, 4)
    found = k_means(vectors, 4, 20, torch.Generator().manual_seed(0))
    assert torch.cdist(vectors, found).min(dim=1).values.max() < 11


def retell_with_untrained_stages(work: Path) -> None:
    """Random tokens of the renderings, and what the tiny stages make of them."""
    random = np.random.default_rng(0)
    made = [Excerpt(random.integers(32, size=(70, 2)), random.integers(32, size=(140, 4))) for _ in range(2)]
    (work / "tokens/train").mkdir(parents=True)
    write_shard(work / "tokens/train/shard_00000.npz", made)
    entries = [{"id": f"01_{index:06d}", "piece": "p", "gain_db": 1.0} for index in range(2)]
    (work / "tokens/train/shard_00000.json").write_text(json.dumps(entries))
    for name in ("coarse", "fine"):
        config = PRESETS["tiny"].stage(name).config
        stage = build(config)
        save(checkpoint_path(work, name), Checkpoint(config, stage.state_dict(), Progress(), {}))
    retell.retell(work, "tiny", hours=1.0)
    (told,) = (read_shard(path) for path in (work / "tokens/retold").glob("*.npz"))
    for before, after in zip(made, told, strict=True):
        assert after.acoustic.shape == before.acoustic.shape and after.acoustic.max() < 32
        assert (after.acoustic != before.acoustic).mean() > 0.5
    first = (work / "tokens/retold/shard_00000.npz").read_bytes()
    retell.retell(work, "tiny", hours=1.0)
    assert first == (work / "tokens/retold/shard_00000.npz").read_bytes(), "what exists is kept"


@pytest.fixture
def small_codec(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec, and what listens to it, small enough to train here."""
    torch.manual_seed(0)
    monkeypatch.setattr(train_codec, "Codec", lambda config=TINY_CODEC: Codec(config))
    sizes = {"BATCH": 2, "UNQUANTISED_STEPS": 2, "INITIAL_LATENTS": 200, "CLIP_FRAMES": 20, "BEGINNING": 3}
    for name, value in (sizes | {"LISTENER": TINY_SEMANTIC}).items():
        monkeypatch.setattr(train_codec, name, value)
    monkeypatch.setattr(optimiser, "WARM_UP_STEPS", 1)
    # Which clips are drawn depends on the time: with two at once some of them are harder than the first ones.
    monkeypatch.setattr(train_codec.time, "time", lambda: 1.0)
    with pytest.raises(FileNotFoundError, match="train_notes"):
        train_codec.Training(work, 1.0, finish=False)
    (work / "checkpoints").mkdir(exist_ok=True)
    write(work / "checkpoints" / "notes.pt", {"model": note_network(TINY_SEMANTIC).state_dict(), "figures": {}})


def test_the_codec_learns_saves_and_resumes(work: Path, small_codec: None) -> None:
    training = train_codec.Training(work, 1.0, finish=False)
    losses = [training.train_step(0.0)["mid"] for _ in range(12)]
    assert losses[-1] < losses[0]
    training.save()
    again = train_codec.Training(work, 1.0, finish=False)
    assert again.step == 12
    assert "retold_level_db" not in train_codec.Training(work, 1.0, finish=True).train_step(0.0)
    retell_with_untrained_stages(work)
    finishing = train_codec.Training(work, 1.0, finish=True)
    encoder = finishing.codec.encoder.input.straight.weight.clone()
    codebooks = finishing.codec.quantizer.codebooks.clone()
    decoder = finishing.codec.decoder.input.weight.clone()
    assert "retold_level_db" in finishing.train_step(0.0)
    assert torch.equal(encoder, finishing.codec.encoder.input.straight.weight)
    assert torch.equal(codebooks, finishing.codec.quantizer.codebooks)
    assert not torch.equal(decoder, finishing.codec.decoder.input.weight)


def test_a_codec_that_has_learnt_goes_on_learning_in_another_folder(
    work: Path, tmp_path_factory: pytest.TempPathFactory, small_codec: None
) -> None:
    learnt = train_codec.Training(work, 1.0, finish=False)
    for _ in range(4):
        learnt.train_step(0.0)
    learnt.save()
    other = tmp_path_factory.mktemp("other")
    for name in ("audio", "validation_audio"):
        (other / name).symlink_to(work / name)
    (other / "checkpoints").mkdir()
    (other / "checkpoints/notes.pt").symlink_to(work / "checkpoints/notes.pt")
    going_on = train_codec.Training(other, 1.0, finish=False, begin_from=learnt.path)
    before = going_on.codec.quantizer.codebooks.clone()
    encoder = going_on.codec.encoder.input.straight.weight.clone()
    assert torch.equal(before, learnt.codec.quantizer.codebooks) and going_on.step == 0
    going_on.codec.train()
    for _ in range(4):
        going_on.train_step(0.0)
    assert not torch.equal(encoder, going_on.codec.encoder.input.straight.weight), "the encoder learns too"
    # From the first step on it is quantised, and its codebooks are never made anew.
    assert not torch.equal(before, going_on.codec.quantizer.codebooks)
    assert (before - going_on.codec.quantizer.codebooks).norm() < 0.5 * before.norm()
    going_on.save()
    assert train_codec.Training(other, 1.0, finish=False, begin_from=learnt.path).step == 4, "what OTHER has learnt since is kept"


def test_the_discriminant_leaves_the_room_and_the_decay_out() -> None:
    random = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random)

    chord = noise(1, 8, 10, 1).repeat_interleave(48, dim=2).expand(2, -1, -1, -1)
    room = 5 * noise(2, 8, 1, 1).expand(-1, -1, 480, -1)
    decay = 5 * noise(1, 8, 480, 1).expand(2, -1, -1, -1)
    features = torch.cat([room, chord, decay], dim=-1) + 0.01 * noise(2, 8, 480, 3)
    (direction,) = train_semantic.discriminant(features, 1)
    assert direction[1].abs() > 20 * direction[[0, 2]].abs().max()


def test_masked_prediction_learns_and_its_clusters_export(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    for name, value in {"BATCH": 2, "CLIP_FRAMES": 40, "CLUSTER_FRAMES": 200, "CLUSTER_ITERATIONS": 2}.items():
        monkeypatch.setattr(train_semantic, name, value)
    (work / "pairs").mkdir()
    bands = MaskedPrediction(TINY_SEMANTIC).network.filters.shape[1]
    moments = np.random.default_rng(0).normal(size=(2, 100, bands))
    for index, performance in enumerate(moments):
        both = performance + 0.1 * np.random.default_rng(index).normal(size=(2, 100, bands))
        np.save(work / "pairs" / f"01_{index:06d}.npy", both.astype(np.float16))
    pairs = train_semantic.Pairs(work / "pairs", seed=0)
    model = MaskedPrediction(TINY_SEMANTIC)
    train_semantic.measure_bands(model, pairs)
    training = train_semantic.Optimiser(model)
    before = model.contrast.weight.clone()
    for step in range(3):
        loss, parts = model(pairs.draw(2, 20))
        assert {"naming", "telling", "found"} == set(parts)
        training.step(loss, step, 0.0)
    assert not torch.equal(before, model.contrast.weight)
    config = replace(model.network.config, cardinality=96)
    model.network.config = config
    tokenizer = train_semantic.cluster(model, 1, pairs, codebooks=3, note_books=1, notes=note_network(config))
    features = tokenizer.features(torch.from_numpy(pairs.items[0].astype(np.float32)))
    assert torch.allclose(features.norm(dim=-1), torch.ones(2, 100), atol=1e-4)
    codes = tokenizer.quantizer.encode(features)
    # The second recording of a moment gets the same token, mostly.
    assert float((codes[0, :, 0] == codes[1, :, 0]).float().mean()) > 0.6
    one = tokenizer.quantizer.codebooks[0][codes[..., 0]]
    both = tokenizer.quantizer.decode(codes)
    assert (features - both).square().mean() < 0.9 * (features - one).square().mean(), "the second book adds to the first"
    (work / "checkpoints").mkdir(exist_ok=True)
    state = {"config": tokenizer.config.to_dict(), "model": tokenizer.state_dict(), "probe": [0.5, 0.6], "notes": {"f1": 0.9}}
    write(work / "checkpoints" / "semantic.pt", state)
    codec = Codec(TINY_CODEC)
    saved = {"config": TINY_CODEC.to_dict(), "model": codec.state_dict(), "step": 1, "spent": 1.0, "log": []}
    write(work / "checkpoints" / "codec.pt", saved)
    found = export_trained(work)
    assert len(found.graphs) == 3 and len(found.notes) == 2
    assert found.semantic["codebooks"] == 3
