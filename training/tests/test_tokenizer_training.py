"""The losses measure what they say, and both tokenizers learn from a few steps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from segue_training import optimiser, train_codec, train_semantic
from segue_training.codec import Codec
from segue_training.dataset import Rendering, write_rendering
from segue_training.discriminator import Discriminator
from segue_training.export_tokenizers import TINY_CODEC, TINY_SEMANTIC, export_trained
from segue_training.losses import figures, mdct_basis, mel_filters, spectral_loss, transform_loss
from segue_training.quantizer import k_means
from segue_training.train_semantic import MaskedPrediction


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Two renderings of a few chords, for training and as held-out pieces."""
    time = np.arange(24000 * 31) / 24000
    for folder in ("audio", "validation_audio"):
        (tmp_path / folder).mkdir()
        for index, base in enumerate((220.0, 294.0)):
            sound = sum(np.sin(2 * np.pi * base * ratio * time) for ratio in (1, 5 / 4, 3 / 2)) * np.exp(-(time % 1))
            rendering = Rendering(f"01_{index:06d}", "s/p.mid", "s", "p", "dry", 0, 0, 31.0, 0, 1.0, False, 24000)
            notes = np.array([[0.0, 31.0, 57 + 5 * index, 64]], np.float32)
            write_rendering(tmp_path / folder, rendering, (sound * 3000).astype(np.int16), notes)
    return tmp_path


def test_nothing_is_lost_between_equal_clips() -> None:
    audio = 0.1 * torch.randn(1, 24000)
    assert float(spectral_loss(audio, audio)) < 1e-6 and float(transform_loss(audio, audio)) < 1e-6
    found = figures(audio, audio + 0.01 * torch.randn(1, 24000))
    assert abs(found["si_sdr_db"] - 20.0) < 0.5 and found["mel_db"] < 2.0


def test_the_transform_basis_is_orthonormal() -> None:
    basis = mdct_basis(32)
    assert torch.allclose(basis.t() @ basis, torch.eye(32), atol=1e-5)
    assert mel_filters(1024, 80).shape == (513, 80)


def test_k_means_finds_clusters() -> None:
    centres = torch.eye(4) * 10
    vectors = centres.repeat(50, 1) + 0.1 * torch.randn(200, 4)
    found = k_means(vectors, 4, 20, torch.Generator().manual_seed(0))
    assert torch.cdist(vectors, found).min(dim=1).values.max() < 11


def test_the_codec_learns_saves_and_resumes(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(train_codec, "Codec", lambda config=TINY_CODEC: Codec(config))
    for name, value in {"BATCH": 2, "ADVERSARIAL_BATCH": 2, "UNQUANTISED_STEPS": 2, "INITIAL_LATENTS": 200}.items():
        monkeypatch.setattr(train_codec, name, value)
    monkeypatch.setattr(train_codec, "Discriminator", lambda: Discriminator((512,), 4))
    monkeypatch.setattr(optimiser, "WARM_UP_STEPS", 1)
    training = train_codec.Training(work, 1.0, 0.0, finish=False)
    losses = [training.train_step(0.0, adversarial=False)["spectral"] for _ in range(12)]
    assert losses[-1] < losses[0]
    training.save()
    again = train_codec.Training(work, 1.0, 0.0, finish=False)
    assert again.step == 12
    finishing = train_codec.Training(work, 1.0, 1.0, finish=True)
    encoder = finishing.codec.encoder.input.weight.clone()
    codebooks = finishing.codec.quantizer.codebooks.clone()
    decoder = finishing.codec.decoder.input.weight.clone()
    parts = finishing.train_step(0.0, adversarial=True)
    assert {"critic", "fooling", "matching"} <= set(parts)
    assert torch.equal(encoder, finishing.codec.encoder.input.weight)
    assert torch.equal(codebooks, finishing.codec.quantizer.codebooks)
    assert not torch.equal(decoder, finishing.codec.decoder.input.weight)


def test_masked_prediction_learns_and_its_clusters_export(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    for name, value in {"BATCH": 2, "CLIP_FRAMES": 40, "CLUSTER_FRAMES": 200, "CLUSTER_ITERATIONS": 2}.items():
        monkeypatch.setattr(train_semantic, name, value)
    clips = train_semantic.Clips(work / "audio", seed=0)
    model = MaskedPrediction(TINY_SEMANTIC)
    train_semantic.measure_bands(model, clips)
    training = train_semantic.Optimiser(model)
    losses = []
    for step in range(15):
        loss, _ = model(train_semantic.draw_bands(model.network, clips))
        losses.append(float(loss.detach()))
        training.step(loss, 100, 0.0)
    assert losses[-1] < losses[0]
    tokenizer = train_semantic.cluster(model.network, 1, clips)
    (work / "checkpoints").mkdir(exist_ok=True)
    state = {"config": tokenizer.config.to_dict(), "model": tokenizer.state_dict(), "probe": [0.5, 0.6]}
    train_semantic.save(state, work / "checkpoints" / "semantic.pt")
    codec = Codec(TINY_CODEC)
    saved = {"config": TINY_CODEC.to_dict(), "model": codec.state_dict(), "step": 1, "spent": 1.0, "log": []}
    train_semantic.save(saved, work / "checkpoints" / "codec.pt")
    found = export_trained(work)
    assert len(found.graphs) == 3 and len(found.notes) == 2
