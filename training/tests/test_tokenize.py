"""The token cache: alignment of the two streams and of both with the audio; the shards on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segue_training.codebooks import Codebooks
from segue_training.codec import Codec
from segue_training.dataset import Rendering, renderings, write_rendering
from segue_training.export_tokenizers import TINY_CODEC, TINY_SEMANTIC, lively
from segue_training.probe import sounding_keys
from segue_training.quantizer import ResidualQuantizer
from segue_training.semantic import SemanticTokenizer, pitch_filters
from segue_training.token_data import read_shard
from segue_training.tokenize import RENDERINGS_PER_SHARD, Source, Tokeniser, write_index, write_shards


@pytest.fixture(scope="module")
def tokeniser() -> Tokeniser:
    torch.manual_seed(1)
    return Tokeniser(lively(Codec(TINY_CODEC).eval()), SemanticTokenizer(TINY_SEMANTIC).eval())


def test_both_streams_begin_together(tokeniser: Tokeniser) -> None:
    tokens = tokeniser.tokens(0.1 * torch.randn(2, 24000 + 17))
    assert len(tokens.semantic) == 24000 // 960 - tokeniser.tail
    assert tokens.acoustic.shape == (2 * len(tokens.semantic), TINY_CODEC.books)


def test_a_frame_knows_no_more_than_its_look_ahead(tokeniser: Tokeniser) -> None:
    """A change of the audio from sample n on changes no frame that looks only before n."""
    audio = 0.1 * torch.randn(2, 48000, generator=torch.Generator().manual_seed(2))
    changed = audio.clone()
    changed[:, 24000:] = 0.5 * torch.randn(2, 24000)
    before, after = tokeniser.tokens(audio), tokeniser.tokens(changed)
    semantic = (24000 - TINY_SEMANTIC.analysis.look_ahead) // 960
    acoustic = (24000 - TINY_CODEC.analyses[0].look_ahead) // 480
    assert np.array_equal(before.semantic[:semantic], after.semantic[:semantic])
    assert np.array_equal(before.acoustic[:acoustic], after.acoustic[:acoustic])
    assert not np.array_equal(before.acoustic[acoustic : acoustic + 4], after.acoustic[acoustic : acoustic + 4])


def test_shards(tokeniser: Tokeniser, tmp_path: Path) -> None:
    audio, out = tmp_path / "audio", tmp_path / "tokens" / "train"
    audio.mkdir()
    for index in range(2):
        sound = np.random.default_rng(index).integers(-3000, 3000, (30000, 2), dtype=np.int16)
        rendering = Rendering(f"01_{index:06d}", "s/p.mid", "s", "p", "dry", 0.0, 0.0, 1.25, 0, 1.0, False, 24000)
        write_rendering(audio, rendering, sound, np.zeros((0, 4), np.float32))
    assert [r.id for r in renderings(audio)] == ["01_000000", "01_000001"]
    write_shards(tokeniser, Source.of_folder(audio), out, seed=1, process=0, processes=1)
    write_index(out, tokeniser)
    excerpts = read_shard(out / "shard_00000.npz")
    assert [len(excerpt.semantic) for excerpt in excerpts] == [30000 // 960 - tokeniser.tail] * 2
    assert excerpts[0].acoustic.max() < TINY_CODEC.cardinality
    index = json.loads((out / "index.json").read_text())
    assert [entry["id"] for entry in index["shards"]["shard_00000"]] == ["01_000000", "01_000001"]


def test_what_tokens_stand_for_is_kept_with_them(tokeniser: Tokeniser, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run `tokenize`"):
        Codebooks.load(tmp_path)
    tokeniser.codebooks.save(tmp_path)
    found = Codebooks.load(tmp_path)
    assert torch.equal(found.acoustic, tokeniser.codec.quantizer.codebooks)
    assert torch.equal(found.semantic, tokeniser.semantic.codebooks)


class Clicks:
    """Stands in for a `Renderer`: half a second each, never the same twice."""

    seed = 2

    def render(self, index: int) -> tuple[Rendering, np.ndarray, np.ndarray]:
        sound = np.random.default_rng(index).integers(-3000, 3000, (12000, 2), dtype=np.int16)
        rendering = Rendering(f"02_{index:06d}", "s/p.mid", "s", "p", "dry", 0.0, 0.0, 0.5, 0, 1.0, False, 24000)
        return rendering, sound, np.zeros((0, 4), np.float32)


def test_renderings_that_are_not_kept_go_on_where_they_stopped(tokeniser: Tokeniser, tmp_path: Path) -> None:
    out = tmp_path / "tokens" / "train"
    source = Source.of_renderer(Clicks(), hours=0.75)
    write_shards(tokeniser, source, out, seed=2, process=1, processes=2)
    assert [path.stem for path in sorted(out.glob("*.npz"))] == ["shard_s02_00001"]
    before = (out / "shard_s02_00001.npz").stat().st_mtime_ns
    write_shards(tokeniser, source, out, seed=2, process=0, processes=1)
    assert [path.stem for path in sorted(out.glob("*.npz"))] == ["shard_s02_00000", "shard_s02_00001"]
    assert (out / "shard_s02_00001.npz").stat().st_mtime_ns == before
    entries = json.loads((out / "shard_s02_00001.json").read_text())
    assert [entry["id"] for entry in entries] == [f"02_{16 + index:06d}" for index in range(RENDERINGS_PER_SHARD)]


def test_quantiser_learns_its_codebooks() -> None:
    """Each book after k-means and some updates leaves less than the one before it."""
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(4, 16, 8).train()
    latents = torch.randn(4, 256, 8)
    quantizer.initialise(latents.flatten(0, 1))
    for _ in range(5):
        quantised, commitment, codes = quantizer(latents, torch.full((4,), 4))
    errors = []
    for kept in range(1, 5):
        some = codes.clone()
        some[..., kept:] = 16
        errors.append(float((quantizer.decode(some) - latents).square().mean()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.6 * float(latents.square().mean())
    assert torch.equal(quantizer.encode(latents)[..., 0], quantizer(latents, torch.full((4,), 4))[2][..., 0])


def test_pitch_filters_hear_the_pitch_they_are_named_after() -> None:
    filters = pitch_filters(TINY_SEMANTIC)
    bin_of_a4 = round(440.0 / (24000 / TINY_SEMANTIC.analysis.n_fft))
    assert abs(int(filters[bin_of_a4].argmax()) - 48) <= 1
    assert torch.allclose(filters.sum(0), torch.ones(filters.shape[1]))


def test_sounding_keys() -> None:
    roll = sounding_keys(np.array([[0.1, 3.0, 60, 64], [0.5, 0.55, 21, 64]], np.float32), 50, 0.04)
    assert roll[:, 39].nonzero().flatten().tolist() == list(range(2, 13))
    assert roll[:, 0].nonzero().flatten().tolist() == [12, 13]
