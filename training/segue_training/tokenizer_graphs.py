"""The codec's and the semantic tokenizer's ONNX graphs, with the names and states of docs/pack.md."""

from __future__ import annotations

import onnx
import torch
from torch import nn

from .codec import MAGNITUDE_CEILING, Codec, SpectrumHead
from .graph import FLOAT, INT64, MICROSOFT, Graph
from .semantic import FEATURE_MEAN, FEATURE_SCALE, LOG_FLOOR, SemanticTokenizer
from .spectrum import Analysis


def linear(graph: Graph, name: str, layer: nn.Linear, x: str) -> str:
    """x · Wᵀ + b."""
    product = graph.op("MatMul", x, graph.weight(f"{name}.weight", layer.weight.t()))
    return graph.op("Add", product, graph.weight(f"{name}.bias", layer.bias))


def layer_norm(graph: Graph, name: str, layer: nn.LayerNorm, x: str) -> str:
    """Normalises the last axis."""
    size = layer.normalized_shape[0]
    scale = torch.ones(size) if layer.weight is None else layer.weight
    bias = torch.zeros(size) if layer.bias is None else layer.bias
    weights = (graph.weight(f"{name}.weight", scale), graph.weight(f"{name}.bias", bias))
    return graph.op("LayerNormalization", x, *weights, axis=-1, epsilon=layer.eps)


def blocks(graph: Graph, layers: nn.ModuleList, x: str) -> str:
    """Causal ConvNeXt blocks, each with its `state_block_i` [1, dim, kernel − 1]."""
    for index, block in enumerate(layers):
        name, dim, past = f"block_{index}", block.depthwise.out_channels, block.kernel - 1
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


def compressed(graph: Graph, spectrum: str) -> str:
    """asinh(30 m) magnitudes, phase kept: [1, T, bins · 2]. See `spectrum.compress`."""
    power = graph.op("ReduceSumSquare", spectrum, graph.integers(3), keepdims=1)
    magnitude = graph.op("Sqrt", power)
    louder = graph.op("Asinh", graph.op("Mul", magnitude, graph.scalar(30.0)))
    ratio = graph.op("Div", louder, graph.op("Add", magnitude, graph.scalar(1e-7)))
    return graph.op("Reshape", graph.op("Mul", spectrum, ratio), graph.integers(0, 0, -1))


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
    parts = [compressed(graph, spectrum_input(graph, i, analysis)) for i, analysis in enumerate(config.analyses)]
    joined = graph.op("Concat", *parts, axis=2) if len(parts) > 1 else parts[0]
    x = blocks(graph, encoder.blocks, linear(graph, "input", encoder.input, joined))
    residual = linear(graph, "output", encoder.output, layer_norm(graph, "norm", encoder.norm, x))
    codes = residual_codes(graph, "codebook", residual, codec.quantizer.codebooks)
    graph.op("Concat", *codes, axis=2, out="codes")
    graph.output("codes", INT64, [1, "T", config.books])
    return graph.model()


def head(graph: Graph, index: int, layer: SpectrumHead, x: str) -> None:
    """Writes `spectrum_i` [1, T · sub-frames, bins, 2]. The matrix's columns are put in the order
    (sub-frame, log magnitudes, (cosine, sine) of each bin), so that the pairs come out side by side."""
    bins, sub_frames, inner = layer.bins, layer.sub_frames, layer.linear.in_features
    weight = layer.linear.weight.view(sub_frames, 3, bins, inner)
    bias = layer.linear.bias.view(sub_frames, 3, bins)
    pairs = weight[:, 1:].transpose(1, 2).reshape(sub_frames, 2 * bins, inner)
    ordered = torch.cat([weight[:, 0], pairs], dim=1).reshape(-1, inner)
    ordered_bias = torch.cat([bias[:, 0] - layer.offset, bias[:, 1:].transpose(1, 2).flatten(1)], dim=1).flatten()
    values = graph.op("MatMul", x, graph.weight(f"head_{index}.weight", ordered.t()))
    values = graph.op("Add", values, graph.weight(f"head_{index}.bias", ordered_bias))
    values = graph.op("Reshape", values, graph.integers(1, -1, 3 * bins))
    log_magnitude, phase = graph.ops("Split", values, graph.integers(bins, 2 * bins), out=2, axis=2)
    magnitude = graph.op("Exp", graph.op("Min", log_magnitude, graph.scalar(MAGNITUDE_CEILING)))
    magnitude = graph.op("Unsqueeze", magnitude, graph.integers(3))
    phase = graph.op("Reshape", phase, graph.integers(1, -1, bins, 2))
    length = graph.op("ReduceSumSquare", phase, graph.integers(3), keepdims=1)
    length = graph.op("Sqrt", graph.op("Add", length, graph.scalar(1e-6)))
    graph.op("Mul", phase, graph.op("Div", magnitude, length), out=f"spectrum_{index}")
    graph.output(f"spectrum_{index}", FLOAT, [1, "T" if sub_frames == 1 else "S", bins, 2])


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
    for index, layer in enumerate(decoder.heads):
        head(graph, index, layer, x)
    return graph.model()


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
    several = config.codebooks > 1
    graph.op("Concat", *books, axis=2, out="tokens") if several else graph.op(
        "Squeeze", books[0], graph.integers(2), out="tokens"
    )
    graph.output("tokens", INT64, [1, "T", config.codebooks] if several else [1, "T"])
    return graph.model()
