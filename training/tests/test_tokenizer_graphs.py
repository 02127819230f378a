"""The codec and the semantic tokenizer: streaming equals whole, ONNX equals PyTorch, names as in docs/pack.md."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from segue_training.codec import Codec, CodecConfig
from segue_training.export_tokenizers import (
    DECODER, ENCODER, TINY_CODEC, TINY_SEMANTIC, Tokenizers, describe, export_random, lively,
)
from segue_training import phases
from segue_training.from_pack import read_weights
from segue_training.graph import RECIPE
from segue_training.phases import Phases
from segue_training.quantize import ship_decoder
from segue_training.semantic import SemanticTokenizer
from segue_training.spectrum import analyse
from segue_training.tokenizer_graphs import decoder_graph, semantic_graph

FRAMES = 24
CHUNKS = (1, 3, 8, 12)


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(1)
    found = Codec(TINY_CODEC).eval()
    loudly(found)
    return lively(found)


@pytest.fixture(scope="module")
def semantic() -> SemanticTokenizer:
    torch.manual_seed(2)
    found = SemanticTokenizer(TINY_SEMANTIC).eval()
    loudly(found)
    return found


def loudly(model: torch.nn.Module) -> None:
    """Gives the blocks weight, so that a mistake in their state would show."""
    for name, parameter in model.named_parameters():
        if name.endswith("scale"):
            torch.nn.init.constant_(parameter, 1.0)


@pytest.fixture(scope="module")
def audio() -> torch.Tensor:
    return 0.1 * torch.randn(1, 2, FRAMES * 960, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def exported(codec: Codec, semantic: SemanticTokenizer) -> Tokenizers:
    return describe(codec, semantic, half=False, notes=[])


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run_in_chunks(
    model: onnx.ModelProto, inputs: dict[str, np.ndarray], chunks: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Runs a graph chunk after chunk along axis 1, feeding each state back; joins the other outputs."""
    run = session(model)
    states = {i.name: np.zeros(i.shape, np.float32) for i in run.get_inputs() if i.name.startswith("state_")}
    names = [output.name for output in run.get_outputs()]
    parts: dict[str, list[np.ndarray]] = {}
    begin = 0
    for length in chunks:
        fed = {name: value[:, begin : begin + length] for name, value in inputs.items()}
        found = dict(zip(names, run.run(None, fed | states), strict=True))
        states = {name: found[f"next_{name}"] for name in states}
        for name, value in found.items():
            if not name.startswith("next_state_"):
                parts.setdefault(name, []).append(value)
        begin += length
    return {name: np.concatenate(values, axis=1) for name, values in parts.items()}


def spectra(model: Codec, audio: torch.Tensor) -> dict[str, np.ndarray]:
    return {f"spectrum_{i}": part.numpy() for i, part in enumerate(model.analyse(audio))}


def test_codec_stream_equals_whole(codec: Codec, audio: torch.Tensor) -> None:
    parts = codec.analyse(audio)
    with torch.no_grad():
        whole = codec.encoder(parts)
        states = [torch.zeros(1, TINY_CODEC.dim, TINY_CODEC.kernel - 1)] * TINY_CODEC.layers
        first, states = codec.encoder.stream([part[:, :5] for part in parts], states)
        second, _ = codec.encoder.stream([part[:, 5:] for part in parts], states)
        assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-5)
        spoken = codec.decoder(whole)
        states = [torch.zeros_like(state) for state in states]
        first_out, states = codec.decoder.stream(whole[:, :7], states)
        second_out, _ = codec.decoder.stream(whole[:, 7:], states)
        for a, b, c in zip(first_out, second_out, spoken, strict=True):
            assert torch.allclose(torch.cat([a, b], 1), c, atol=1e-5)


def test_the_encoder_does_not_hear_phases(codec: Codec, audio: torch.Tensor) -> None:
    turned = [torch.stack([-part[..., 1], part[..., 0]], dim=-1) for part in codec.analyse(audio)]
    with torch.no_grad():
        assert torch.allclose(codec.encoder(turned), codec.encoder(codec.analyse(audio)), atol=1e-5)


@pytest.mark.parametrize("chunks", [(FRAMES,), CHUNKS])
def test_encoder_graph(codec: Codec, exported: Tokenizers, audio: torch.Tensor, chunks: tuple[int, ...]) -> None:
    clip = audio[..., : FRAMES * TINY_CODEC.hop]
    with torch.no_grad():
        expected = codec.encode(clip).numpy()
    found = run_in_chunks(exported.graphs[ENCODER], spectra(codec, clip), chunks)["codes"]
    assert found.dtype == np.int64 and found.shape == (1, FRAMES, TINY_CODEC.books)
    assert np.mean(found == expected) > 0.99


@pytest.mark.parametrize("chunks", [(FRAMES,), CHUNKS])
def test_decoder_graph(codec: Codec, exported: Tokenizers, chunks: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(4)
    codes = torch.randint(TINY_CODEC.cardinality + 1, (1, FRAMES, TINY_CODEC.books), generator=generator)
    with torch.no_grad():
        expected, _ = Phases(TINY_CODEC).stream(codec.decoder(codec.quantizer.decode(codes)), None)
    found = run_in_chunks(exported.graphs[DECODER], {"codes": codes.numpy()}, chunks)
    for index, part in enumerate(expected):
        assert found[f"spectrum_{index}"].shape == (1, FRAMES * TINY_CODEC.sub_frames, TINY_CODEC.bins, 2)
        assert np.abs(part.numpy()).max() > 100 * TINY_CODEC.floor
        assert np.allclose(found[f"spectrum_{index}"], part.numpy(), atol=1e-3 * float(part.abs().max()))


@pytest.mark.parametrize(("codebooks", "note_books"), [(1, 0), (2, 0), (4, 2)])
@pytest.mark.parametrize("chunks", [(FRAMES,), CHUNKS])
def test_semantic_graph(codebooks: int, note_books: int, audio: torch.Tensor, chunks: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    config = replace(TINY_SEMANTIC, codebooks=codebooks, note_books=note_books, cardinality=96 if note_books else 32)
    semantic = SemanticTokenizer(config).eval()
    loudly(semantic)
    with torch.no_grad():
        bands = torch.randn(1, 400, semantic.network.filters.shape[1])
        semantic.quantizer.initialise(semantic.features(bands).flatten(0, 1))
        if note_books:
            torch.nn.init.normal_(semantic.notes.output.weight, std=0.5)
        graph = semantic_graph(semantic)
        expected = semantic.tokens(audio[:, 0]).numpy()
    spectrum = analyse(audio[:, 0], TINY_SEMANTIC.analysis, TINY_SEMANTIC.hop).numpy()
    found = run_in_chunks(graph, {"spectrum_0": spectrum}, chunks)["tokens"]
    assert found.dtype == np.int64 and found.shape == ((1, FRAMES) if codebooks == 1 else (1, FRAMES, codebooks))
    assert np.mean(found.reshape(expected.shape) == expected) > 0.95
    if note_books:
        named = (expected[..., :note_books] > 0).mean()
        assert 0.05 < named < 0.95, "some books have a note and some have none"


def test_an_absent_book_counts_for_nothing(codec: Codec) -> None:
    codes = torch.zeros(1, 2, TINY_CODEC.books, dtype=torch.long)
    codes[..., 1:] = TINY_CODEC.cardinality
    assert torch.allclose(codec.quantizer.decode(codes)[0, 0], codec.quantizer.codebooks[0, 0])


def test_every_state_has_its_successor(exported: Tokenizers) -> None:
    for model in exported.graphs.values():
        shapes = {
            value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)
        }
        states = [name for name in shapes if name.startswith("state_")]
        assert states and all(shapes[f"next_{name}"] == shapes[name] for name in states)


def test_half_precision_storage_is_close(codec: Codec, semantic: SemanticTokenizer) -> None:
    """Weights stored in fp16 change the decoded magnitudes by less than −40 dB; the phases are made of them."""
    half = describe(codec, semantic, half=True, notes=[])
    full = describe(codec, semantic, half=False, notes=[])
    codes = torch.randint(TINY_CODEC.cardinality, (1, FRAMES, TINY_CODEC.books)).numpy()
    a, b = (
        np.linalg.norm(run_in_chunks(form.graphs[DECODER], {"codes": codes}, (FRAMES,))["spectrum_0"], axis=-1)
        for form in (full, half)
    )
    assert np.sum((a - b) ** 2) < 1e-4 * np.sum(a**2)
    assert half.graphs[DECODER].ByteSize() < 0.7 * full.graphs[DECODER].ByteSize()


def test_the_shipped_decoder_is_small_and_close(tmp_path: Path) -> None:
    """At its full size, where matrices are large enough to be kept in bytes: within −40 dB, and as it is read back."""
    torch.manual_seed(6)
    full = Codec(CodecConfig()).eval()
    for head in (full.decoder.mid, full.decoder.side):
        torch.nn.init.normal_(head.straight.weight, std=0.1)
        torch.nn.init.normal_(head.out.weight, std=0.05)
    with torch.no_grad():
        full.quantizer.codebooks.normal_()
        plain = decoder_graph(full)
    shipped = ship_decoder(plain)
    assert shipped.ByteSize() < 0.35 * plain.ByteSize()
    codes = torch.randint(full.config.cardinality, (1, FRAMES, full.config.books)).numpy()
    whole, small = (run_in_chunks(model, {"codes": codes}, CHUNKS) for model in (plain, shipped))
    for name in ("spectrum_0", "spectrum_1"):
        a, b = (np.linalg.norm(found[name], axis=-1) for found in (whole, small))
        assert np.sum((a - b) ** 2) < 1e-4 * np.sum(a**2)
    onnx.save(shipped, tmp_path / "decoder.onnx")
    found = read_weights(tmp_path / "decoder.onnx")["mid.out.weight"]
    assert torch.allclose(found, full.decoder.mid.out.weight.t(), atol=2e-3)


def test_random_export_is_the_same_for_the_same_seed() -> None:
    first, second = export_random("tiny", 5), export_random("tiny", 5)
    for name, model in first.graphs.items():
        assert model.SerializeToString() == second.graphs[name].SerializeToString()
    assert first.codec["encoder"]["analysis"] == [
        {"n_fft": 960, "bins": 481, "look_ahead": 480, "channel": "mid"},
        {"n_fft": 480, "bins": 100, "look_ahead": 0, "channel": "side"},
    ]


def test_the_shipped_decoder_says_what_the_engine_needs_to_run_it_by_itself(codec: Codec) -> None:
    shipped = ship_decoder(decoder_graph(codec))
    found = json.loads({entry.key: entry.value for entry in shipped.metadata_props}[RECIPE])
    assert found["sub_frames"] == codec.config.sub_frames and found["epsilon"] == codec.decoder.norm.eps
    assert found["phases"]["floor"] == codec.config.floor and found["phases"]["struck"] == phases.STRUCK
    names = {weight.name.removesuffix("_half") for weight in shipped.graph.initializer}
    assert {"codebooks", "block_0.depthwise.weight", "phase.middle", "phase.sign", "phase.band", "phase.ahead"} <= names
