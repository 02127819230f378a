"""The codec's and the semantic tokenizer's ONNX graphs, with the names and states of docs/pack.md."""

from __future__ import annotations

import json

import onnx
import torch
from torch import nn

from .codec import Codec, Widened
from .graph import FLOAT, INT64, MICROSOFT, RECIPE, Graph
from .notes import KEYS, NEVER, RISE_FRAMES, THRESHOLD, NoteNetwork
from .phase_graph import phase_graph, rules
from .phases import Phases
from .semantic import FEATURE_MEAN, FEATURE_SCALE, LOG_FLOOR, SemanticTokenizer
from .spectrum import Analysis


def linear(graph: Graph, name: str, layer: nn.Linear, x: str) -> str:
    """x · Wᵀ + b."""
    product = graph.op("MatMul", x, graph.weight(f"{name}.weight", layer.weight.t()))
    return graph.op("Add", product, graph.weight(f"{name}.bias", layer.bias))


def widened(graph: Graph, name: str, layer: Widened, x: str) -> str:
    """See `codec.Widened`."""
    hidden = graph.op("Gelu", linear(graph, f"{name}.into", layer.into, x), domain=MICROSOFT)
    more = graph.op("MatMul", hidden, graph.weight(f"{name}.out.weight", layer.out.weight.t()))
    return graph.op("Add", linear(graph, f"{name}.straight", layer.straight, x), more)


def layer_norm(graph: Graph, name: str, layer: nn.LayerNorm, x: str) -> str:
    """Normalises the last axis."""
    size = layer.normalized_shape[0]
    scale = torch.ones(size) if layer.weight is None else layer.weight
    bias = torch.zeros(size) if layer.bias is None else layer.bias
    weights = (graph.weight(f"{name}.weight", scale), graph.weight(f"{name}.bias", bias))
    return graph.op("LayerNormalization", x, *weights, axis=-1, epsilon=layer.eps)


def blocks(graph: Graph, layers: nn.ModuleList, x: str, prefix: str = "block") -> str:
    """Causal ConvNeXt blocks, each with its `state_block_i` [1, dim, kernel − 1]."""
    for index, block in enumerate(layers):
        name, dim, past = f"{prefix}_{index}", block.depthwise.out_channels, block.kernel - 1
        state = graph.input(f"state_{name}", FLOAT, [1, dim, past])
        padded = graph.op("Concat", state, graph.op("Transpose", x, perm=[0, 2, 1]), axis=2)
        limits = (graph.integers(-past), graph.integers(2**62), graph.integers(2))
        graph.op("Slice", padded, *limits, out=f"next_state_{name}")
        graph.output(f"next_state_{name}", FLOAT, [1, dim, past])
        convolution = (
            graph.weight(f"{name}.depthwise.weight", block.depthwise.weight),
            graph.weight(f"{name}.depthwise.bias", block.depthwise.bias),
        )
        y = graph.op("Conv", padded, *convolution, group=dim, kernel_shape=[block.kernel])
        y = layer_norm(graph, f"{name}.norm", block.norm, graph.op("Transpose", y, perm=[0, 2, 1]))
        y = graph.op("Gelu", linear(graph, f"{name}.expand", block.expand, y), domain=MICROSOFT)
        # The layer scale is folded into the last matrix.
        weight = block.project.weight * block.scale[:, None]
        y = graph.op("MatMul", y, graph.weight(f"{name}.project.weight", weight.t()))
        y = graph.op("Add", y, graph.weight(f"{name}.project.bias", block.project.bias * block.scale))
        x = graph.op("Add", x, y)
    return x


def spectrum_input(graph: Graph, index: int, analysis: Analysis) -> str:
    """`spectrum_i` [1, T, bins, 2]."""
    return graph.input(f"spectrum_{index}", FLOAT, [1, "T", analysis.bins, 2])


def level(graph: Graph, spectrum: str, floor: float) -> str:
    """ln(1 + magnitude / floor) [1, T, bins]. See `codec.to_level`."""
    power = graph.op("ReduceSumSquare", spectrum, graph.integers(3), keepdims=0)
    louder = graph.op("Mul", graph.op("Sqrt", power), graph.scalar(1 / floor))
    return graph.op("Log", graph.op("Add", louder, graph.scalar(1.0)))


def nearest_code(graph: Graph, name: str, x: str, transposed: torch.Tensor) -> tuple[str, str]:
    """Index [1, T] of the nearest of the vectors `transposed` [d, K] for x [1, T, d], and the name of that weight."""
    weight = graph.weight(name, transposed)
    lengths = graph.weight(f"{name}.half_square", -0.5 * transposed.square().sum(0))
    scores = graph.op("Add", graph.op("MatMul", x, weight), lengths)
    return graph.op("ArgMax", scores, axis=2, keepdims=0), weight


def residual_codes(graph: Graph, name: str, residual: str, codebooks: torch.Tensor) -> list[str]:
    """Codes [1, T, 1] of x [1, T, d] in each of `codebooks` [K, C, d], book i of what the books before it left over."""
    codes = []
    for book, vectors in enumerate(codebooks):
        code, weight = nearest_code(graph, f"{name}_{book}", residual, vectors.t())
        codes.append(graph.op("Unsqueeze", code, graph.integers(2)))
        if book + 1 < len(codebooks):
            # Identity keeps the matrix a matrix: as a table of Gather it could not be stored in half precision.
            chosen = graph.op("Gather", graph.op("Identity", weight), code, axis=1)
            residual = graph.op("Sub", residual, graph.op("Transpose", chosen, perm=[1, 2, 0]))
    return codes


def encoder_graph(codec: Codec) -> onnx.ModelProto:
    """`spectrum_i`, `state_*` → `codes` [1, T, Q], `next_state_*`."""
    graph, encoder, config = Graph("codec_encoder"), codec.encoder, codec.config
    parts = [
        level(graph, spectrum_input(graph, i, analysis), config.floor) for i, analysis in enumerate(config.analyses)
    ]
    joined = graph.op("Concat", *parts, axis=2) if len(parts) > 1 else parts[0]
    usual = graph.op("Sub", joined, graph.weight("centre", encoder.centre))
    heard = graph.op("Div", usual, graph.weight("spread", encoder.spread))
    x = blocks(graph, encoder.blocks, widened(graph, "input", encoder.input, heard))
    residual = linear(graph, "output", encoder.output, layer_norm(graph, "norm", encoder.norm, x))
    codes = residual_codes(graph, "codebook", residual, codec.quantizer.codebooks)
    graph.op("Concat", *codes, axis=2, out="codes")
    graph.output("codes", INT64, [1, "T", config.books])
    return graph.model()


def decoder_graph(codec: Codec) -> onnx.ModelProto:
    """`codes` [1, T, Q] (`cardinality`: absent), `state_*` → `spectrum_i`, `next_state_*`."""
    graph, decoder, config = Graph("codec_decoder"), codec.decoder, codec.config
    codes = graph.input("codes", INT64, [1, "T", config.books])
    silence = torch.zeros(config.books, 1, config.latent)
    table = torch.cat([codec.quantizer.codebooks, silence], dim=1).flatten(0, 1)
    first_rows = graph.integers(*(book * (config.cardinality + 1) for book in range(config.books)))
    vectors = graph.op("Gather", graph.weight("codebooks", table), graph.op("Add", codes, first_rows), axis=0)
    latents = graph.op("ReduceSum", vectors, graph.integers(2), keepdims=0)
    x = blocks(graph, decoder.blocks, linear(graph, "input", decoder.input, latents))
    x = layer_norm(graph, "norm", decoder.norm, x)
    sub_frames = graph.integers(1, -1, config.bins)
    mid, side = (
        graph.op("Reshape", widened(graph, name, getattr(decoder, name), x), sub_frames) for name in ("mid", "side")
    )
    coherence = graph.op("Tanh", linear(graph, "coherence", decoder.coherence, x))
    # The same for all sub-frames of a frame.
    coherence = graph.op("Concat", *[graph.op("Unsqueeze", coherence, graph.integers(2))] * config.sub_frames, axis=2)
    coherence = graph.op("Reshape", coherence, graph.integers(1, -1, config.stereo_bands))
    phases = Phases(config)
    phase_graph(graph, phases, mid, side, coherence)
    model = graph.model()
    epsilons = {layer.eps for layer in (decoder.norm, *(block.norm for block in decoder.blocks))}
    (epsilon,) = epsilons
    recipe = {"sub_frames": config.sub_frames, "epsilon": epsilon, "phases": rules(phases)}
    onnx.helper.set_model_props(model, {RECIPE: json.dumps(recipe)})
    return model


def band_rises(graph: Graph, bands: str, count: int) -> str:
    """By how much each of bands [1, T, count] is above itself `RISE_FRAMES` frames before, with its `state_bands`."""
    shape = [1, RISE_FRAMES, count]
    joined = graph.op("Concat", graph.input("state_bands", FLOAT, shape), bands, axis=1)
    begin, end, axis = graph.integers(-RISE_FRAMES), graph.integers(2**62), graph.integers(1)
    graph.op("Slice", joined, begin, end, axis, out="next_state_bands")
    graph.output("next_state_bands", FLOAT, shape)
    earlier = graph.op("Slice", joined, graph.integers(0), begin, axis)
    return graph.op("Relu", graph.op("Sub", bands, earlier))


def note_books(graph: Graph, network: NoteNetwork, bands: str, books: int) -> str:
    """Note tokens [1, T, books] of bands [1, T, count], with `state_bands`, `state_note_block_i` and `state_above`. Twin of
    `NoteNetwork.tokens`."""
    count = len(network.centre) // 2
    heard = graph.op("Concat", bands, band_rises(graph, bands, count), axis=2)
    usual = graph.op("Sub", heard, graph.weight("note_centre", network.centre))
    x = linear(graph, "note_input", network.input, graph.op("Div", usual, graph.weight("note_spread", network.spread)))
    x = blocks(graph, network.blocks, x, "note_block")
    x = linear(graph, "note_output", network.output, layer_norm(graph, "note_norm", network.norm, x))
    struck, velocity = graph.ops("Split", x, out=2, axis=2, num_outputs=2)
    above = graph.op("Cast", graph.op("Greater", struck, graph.scalar(THRESHOLD)), to=FLOAT)
    joined = graph.op("Concat", graph.input("state_above", FLOAT, [1, 1, KEYS]), above, axis=1)
    begin, end, axis = graph.integers(-1), graph.integers(2**62), graph.integers(1)
    graph.op("Slice", joined, begin, end, axis, out="next_state_above")
    graph.output("next_state_above", FLOAT, [1, 1, KEYS])
    earlier = graph.op("Slice", joined, graph.integers(0), begin, axis)
    first = graph.op("Greater", above, earlier)
    surest, keys = graph.ops("TopK", graph.op("Where", first, struck, graph.scalar(NEVER)), graph.integers(books), out=2, axis=2)
    hardness = graph.op("Mul", graph.op("GatherElements", velocity, keys, axis=2), graph.scalar(float(network.levels)))
    level = graph.op("Clip", graph.op("Floor", hardness), graph.scalar(0.0), graph.scalar(float(network.levels - 1)))
    token = graph.op("Add", graph.op("Mul", keys, graph.integers(network.levels)), graph.op("Cast", level, to=INT64))
    token = graph.op("Add", token, graph.integers(1))
    token = graph.op("Where", graph.op("Greater", surest, graph.scalar(THRESHOLD)), token, graph.integers(0))
    token = graph.ops("TopK", token, graph.integers(books), out=2, axis=2)[0]
    first = graph.op("Slice", token, graph.integers(0), graph.integers(1), graph.integers(2))
    first = rests(graph, first, KEYS * network.levels, network.rests)
    if books == 1:
        return first
    others = graph.op("Slice", token, graph.integers(1), graph.integers(2**62), graph.integers(2))
    return graph.op("Concat", first, others, axis=2)


def rests(graph: Graph, token: str, notes: int, longest: int) -> str:
    """The first book's tokens [1, T, 1] with rests for `NOTHING`, and `state_rest` [1, 1, 1]: for how many frames nothing had
    been struck before. Twin of `notes.with_rests`."""
    struck = graph.op("Greater", token, graph.integers(0))
    ones = graph.op("Add", graph.op("Mul", token, graph.integers(0)), graph.integers(1))
    frames = graph.op("CumSum", ones, graph.integers(1), exclusive=1)
    # For each frame the last one up to it that was struck: [1, T, T].
    across = graph.op("Transpose", graph.op("Where", struck, frames, graph.integers(-(2**40))), perm=[0, 2, 1])
    seen = graph.op("Where", graph.op("LessOrEqual", graph.op("Transpose", frames, perm=[0, 2, 1]), frames), across, graph.integers(-(2**40)))
    last = graph.op("ReduceMax", seen, graph.integers(2), keepdims=1)
    before = graph.op("Cast", graph.input("state_rest", FLOAT, [1, 1, 1]), to=INT64)
    since = graph.op("Sub", frames, graph.op("Max", last, graph.op("Sub", graph.integers(-1), before)))
    final = graph.op("Slice", since, graph.integers(-1), graph.integers(2**62), graph.integers(1))
    graph.op("Cast", graph.op("Min", final, graph.integers(longest)), to=FLOAT, out="next_state_rest")
    graph.output("next_state_rest", FLOAT, [1, 1, 1])
    rest = graph.op("Add", graph.op("Min", since, graph.integers(longest)), graph.integers(notes))
    return graph.op("Where", struck, token, rest)


def semantic_graph(tokenizer: SemanticTokenizer) -> onnx.ModelProto:
    """`spectrum_0`, `state_*` → `tokens` [1, T] or, of several codebooks, [1, T, K], `next_state_*`."""
    graph, network, config = Graph("semantic_tokenizer"), tokenizer.network, tokenizer.config
    power = graph.op("ReduceSumSquare", spectrum_input(graph, 0, config.analysis), graph.integers(3), keepdims=0)
    energy = graph.op("MatMul", power, graph.weight("filters", network.filters))
    bands = graph.op("Log", graph.op("Add", energy, graph.scalar(LOG_FLOOR)))
    bands = graph.op("Sub", bands, graph.scalar(FEATURE_MEAN))
    bands = graph.op("Div", bands, graph.scalar(FEATURE_SCALE))
    level = graph.op("ReduceMean", bands, graph.integers(2), keepdims=1)
    bands = graph.op("Sub", bands, graph.op("Mul", level, graph.scalar(config.level_removed)))
    x = blocks(graph, network.blocks[: config.layer], linear(graph, "input", network.input, bands))
    x = linear(graph, "project", tokenizer.project, layer_norm(graph, "norm", tokenizer.norm, x))
    # Of length 1; the least length keeps silence from being nothing divided by nothing.
    length = graph.op("Max", graph.op("ReduceL2", x, graph.integers(2), keepdims=1), graph.scalar(1e-12))
    books = residual_codes(graph, "centroids", graph.op("Div", x, length), tokenizer.quantizer.codebooks)
    if config.note_books:
        books.insert(0, note_books(graph, tokenizer.notes, bands, config.note_books))
    several = config.codebooks > 1
    graph.op("Concat", *books, axis=2, out="tokens") if several else graph.op(
        "Squeeze", books[0], graph.integers(2), out="tokens"
    )
    graph.output("tokens", INT64, [1, "T", config.codebooks] if several else [1, "T"])
    return graph.model()
