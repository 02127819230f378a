"""A random tiny pack: written twice the same, verified, and able to continue a sound."""

import hashlib

import numpy as np
import pytest

from segue_training import card, manifest, runtime
from segue_training.evaluate import resample
from segue_training.export_tokenizers import CONFIGURATIONS, export_random, export_trained
from segue_training.from_pack import from_pack, read_weights
from segue_training.guide import guide
from segue_training.pack import kept, random_stages, trained_stages, write_pack
from segue_training.presets import PRESETS
from segue_training.runtime import Pack
from segue_training.train_notes import load_notes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write(tmp_path_factory.mktemp("packs") / "tiny")


def write(folder):
    preset = PRESETS["tiny"]
    text = card.model_card(preset, "0.1.0", None, {}, [], random=True)
    write_pack(folder, preset, random_stages(preset, 1), export_random("tiny", 1), text, None, random=True)
    return folder


def prompt(pack):
    time = np.arange(2 * pack.sample_rate) / pack.sample_rate
    return 0.1 * np.sin(2 * np.pi * 220 * time) * np.exp(-4 * (time % 0.5))


def test_the_same_seed_writes_the_same_bytes(tiny, tmp_path):
    again = write(tmp_path / "again")
    for path in tiny.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_it_is_small_enough_for_the_repository(tiny):
    assert sum(path.stat().st_size for path in tiny.iterdir()) < 700_000


def test_hashes_are_checked(tiny, tmp_path):
    assert manifest.problems(tiny) == []
    folder = write(tmp_path / "broken")
    content = bytearray((folder / "stage_fine.onnx").read_bytes())
    content[100] ^= 1
    (folder / "stage_fine.onnx").write_bytes(content)
    (folder / "codec_decoder.onnx").unlink()
    found = manifest.problems(folder)
    assert len(found) == 2 and "codec_decoder.onnx: missing" in found


def test_it_continues_audibly_and_reproducibly(tiny):
    pack = Pack(tiny)
    first = pack.continue_prompt(prompt(pack), 4.0, pack.dials(), seed=3)  # longer than the context: starts over
    assert len(first.audio) == 4 * pack.sample_rate
    assert np.isfinite(first.audio).all() and np.abs(first.audio).max() < 4
    assert np.sqrt(np.mean(first.audio**2)) > 1e-3
    assert all(np.isfinite(t.log_probs).all() for t in first.timings.values())
    again = pack.continue_prompt(prompt(pack), 4.0, pack.dials(), seed=3)
    np.testing.assert_array_equal(first.codes, again.codes)
    other = pack.continue_prompt(prompt(pack), 4.0, pack.dials(), seed=4)
    assert (first.codes != other.codes).any()


def test_the_prompt_is_kept(tiny):
    pack = Pack(tiny)
    sound = prompt(pack)
    made = pack.continue_prompt(sound, 1.0, pack.dials(), seed=3)
    known = pack.encode(sound * pack.gain(sound))
    np.testing.assert_array_equal(made.codes[: len(known)], known)


def test_resampling_keeps_a_tone():
    tone = np.sin(2 * np.pi * 100 * np.arange(4800) / 48000)
    np.testing.assert_allclose(resample(tone, 48000, 24000), tone[::2], atol=1e-6)


def test_a_pack_becomes_checkpoints_that_make_the_same_pack(tiny, tmp_path):
    """Where the work folder is gone a training goes on from what shipped."""
    names = from_pack(tiny, tmp_path / "work", PRESETS["tiny"], size="tiny")
    assert len(names) == 5
    assert load_notes(tmp_path / "work" / "checkpoints" / "notes.pt", CONFIGURATIONS["tiny"][1])[1] == {}
    stages, progress = trained_stages(PRESETS["tiny"], tmp_path / "work")
    tokenizers = export_trained(tmp_path / "work", half=False)
    text = card.model_card(PRESETS["tiny"], "0.1.0", None, progress, tokenizers.notes, random=False)
    write_pack(tmp_path / "again", PRESETS["tiny"], stages, tokenizers, text, None, random=False)
    for path in sorted(tiny.glob("*.onnx")):
        before, after = read_weights(path), read_weights(tmp_path / "again" / path.name)
        assert before.keys() == after.keys()
        for name, weight in before.items():
            np.testing.assert_allclose(after[name], weight, rtol=1e-3, atol=1e-3 * float(weight.abs().max()), err_msg=name)
    with pytest.raises(FileExistsError, match="codec.pt"):
        from_pack(tiny, tmp_path / "work", PRESETS["tiny"], size="tiny")


def test_takes_play_on_with_a_pack_that_follows(tiny, tmp_path):
    preset = PRESETS["tiny"]

    def write(name, seed, follows):
        stages, tokenizers = random_stages(preset, 7), export_random("tiny", seed)
        write_pack(tmp_path / name, preset, stages, tokenizers, "card", None, random=True, follows=follows)
        return tmp_path / name

    later = write("later", 1, tiny)
    latest = write("latest", 1, later)
    hashes = [hashlib.sha256((pack / "manifest.toml").read_bytes()).hexdigest() for pack in (tiny, later)]
    assert manifest.read(latest)["same_tokens"] == hashes
    with pytest.raises(ValueError, match="another codec_encoder.onnx"):
        write("other", 2, tiny)


def test_tokenizers_that_came_back_from_a_pack_are_kept_as_it_stores_them(tiny, tmp_path):
    preset = PRESETS["tiny"]
    from_pack(tiny, tmp_path / "work", preset, size="tiny")
    tokenizers = kept(tiny, export_trained(tmp_path / "work", half=False))
    assert tokenizers.notes == []
    trained = card.model_card(preset, "0.1.0", None, {}, ["Codec: so many steps.", "Held-out: so good."], random=False)
    assert card.tokenizer_notes(trained) == ["Codec: so many steps.", "Held-out: so good."]
    write_pack(tmp_path / "kept", preset, random_stages(preset, 2), tokenizers, "card", None, random=False, follows=tiny, stored=True)
    for name in ("codec_encoder.onnx", "codec_decoder.onnx", "semantic_tokenizer.onnx"):
        assert (tmp_path / "kept" / name).read_bytes() == (tiny / name).read_bytes()
    assert (tmp_path / "kept" / "stage_coarse.onnx").read_bytes() != (tiny / "stage_coarse.onnx").read_bytes()


def test_what_falls_silent_goes_back_to_its_prompt(tiny, monkeypatch):
    pack = Pack(tiny)
    usual = pack.continue_prompt(prompt(pack), 4.0, pack.dials(), seed=3)
    monkeypatch.setattr(runtime, "LULL_DB", 200.0)  # as if all of it were too soft
    lost = pack.continue_prompt(prompt(pack), 4.0, pack.dials(), seed=3)
    assert usual.recalls == 0 and lost.recalls >= 1
    assert len(lost.audio) == len(usual.audio)
    # 1.2 s of silence, and to the end of the chunk it is in.
    same = int(np.argmin((usual.codes[: len(lost.codes)] == lost.codes[: len(usual.codes)]).all(axis=1))) - lost.prompt_frames
    assert 60 <= same < 110
    # Both streams stay side by side.
    assert 0 <= 2 * len(lost.semantic) - len(lost.codes) < 16


def test_a_pack_can_be_guided_after_its_training(tiny, tmp_path):
    """Taken away and given back, guidance leaves the pack as it was; without it, other music comes of the same weights."""
    guide(tiny, "coarse", 1.0, "0.1.1", None, tmp_path / "plain")
    guide(tmp_path / "plain", "coarse", 1.5, "0.1.0", [1.1, 1.1, 0.6], tmp_path / "again")
    plain = manifest.read(tmp_path / "plain")
    assert (plain["version"], plain["stage"][1]["heads"]) == ("0.1.1", 1) and manifest.read(tiny)["stage"][1]["heads"] == 2
    before, after = (read_weights(folder / "stage_coarse.onnx") for folder in (tiny, tmp_path / "again"))
    for name, weight in before.items():
        np.testing.assert_allclose(after[name], weight, rtol=1e-3, atol=1e-3 * float(weight.abs().max()), err_msg=name)
    made = [
        pack.continue_prompt(prompt(pack), 1.0, pack.dials(), seed=3)
        for pack in map(Pack, (tiny, tmp_path / "plain", tmp_path / "again"))
    ]
    np.testing.assert_array_equal(made[0].semantic, made[1].semantic)
    assert (made[0].codes != made[1].codes).any()
    np.testing.assert_array_equal(made[0].codes[:, :2], made[2].codes[:, :2])
