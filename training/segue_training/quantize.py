"""Shipped forms of a graph: 8-bit matrices, and storage in 8 bits or half precision of what is computed in float."""

import logging

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCK_SIZE = 32
BYTES_BLOCK = 16
"""Of 32 the decoder's magnitudes were 38 dB from those of float32 matrices, of 16 40.5 dB and more."""
SMALLEST_BYTES = 65536
SMALLEST_HALF = 1024
"""Tensors with fewer values than this stay float32: nothing is saved."""


def quantize_matrices(model: onnx.ModelProto, exact: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Every MatMul with a constant matrix → MatMulNBits: 8 bits, symmetric, blocks of 32 with one float32 scale each,
    activations in int8 (accuracy_level 4). Matrices whose names begin with one of `exact` are left alone."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    excluded = [node.name for node in copy.graph.node if node.op_type == "MatMul" and node.input[1].startswith(exact)]
    quantizer = MatMulNBitsQuantizer(
        copy,
        bits=8,
        block_size=BLOCK_SIZE,
        is_symmetric=True,
        accuracy_level=4,
        nodes_to_exclude=excluded if exact else None,
    )
    quantizer.process()
    found = quantizer.model.model
    _drop_repeated_weights(found)
    return found


def _drop_repeated_weights(model: onnx.ModelProto) -> None:
    """A matrix that several nodes share (the depth transformer) is quantised once per node: keep one of each."""
    unique = {weight.name: weight for weight in model.graph.initializer}
    del model.graph.initializer[:]
    model.graph.initializer.extend(unique.values())


def store_half(model: onnx.ModelProto, gathered_only: bool = False) -> onnx.ModelProto:
    """Keep large float32 weights as float16. A table that is only gathered from is cast after the gather, so it
    stays half in memory too; any other weight gets a Cast that the runtime folds when it loads the graph."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    large = {
        weight.name: weight
        for weight in graph.initializer
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= SMALLEST_HALF
    }
    users: dict[str, list[onnx.NodeProto]] = {name: [] for name in large}
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            for name in node.input[1:]:
                users.pop(name, None)
        for name in node.input:
            if name in users:
                users[name].append(node)
    nodes, casts = [], []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Gather" and node.input[0] in users:
            half = node.output[0] + "_half"
            nodes.append(_cast(half, node.output[0]))
            node.output[0] = half
    for name, found in users.items():
        tables = [node for node in found if node.op_type == "Gather" and node.input[0] == name]
        if not tables and gathered_only:
            continue
        assert not tables or len(tables) == len(found), f"{name} is gathered from and used otherwise"
        weight = large[name]
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), name + "_half")
        if tables:
            for node in tables:
                node.input[0] = half.name
        else:
            casts.append(_cast(half.name, name))
        weight.CopyFrom(half)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    return copy


def _cast(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"Cast_{target}", to=TensorProto.FLOAT)


def ship_stage(model: onnx.ModelProto) -> onnx.ModelProto:
    """The form in which packs hold stage graphs: 8-bit matrices, half-precision embedding tables."""
    return store_half(quantize_matrices(model), gathered_only=True)


EXACT = ("codebook", "centroids", "onset_centroids", "filters")
"""The tables of a tokenizer that decide its tokens."""


def ship_tokenizer(model: onnx.ModelProto) -> onnx.ModelProto:
    """The form in which packs hold what makes tokens of sound: 8-bit layers, and half precision for `EXACT` tables
    and whatever else is large. Against float32 storage a single frame takes half the time."""
    return store_half(quantize_matrices(model, EXACT))


def store_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep large matrices as 8 bits, symmetric, blocks of `BYTES_BLOCK` rows with one half-precision scale each. The runtime
    makes float32 matrices of them when it loads the graph."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {weight.name: weight for weight in graph.initializer if weight.data_type == TensorProto.FLOAT}
    large = {
        node.input[1]: weights[node.input[1]]
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] in weights
        and np.prod(weights[node.input[1]].dims) >= SMALLEST_BYTES
        and weights[node.input[1]].dims[0] % BYTES_BLOCK == 0
    }
    made: list[onnx.NodeProto] = []
    for name, weight in large.items():
        matrix = numpy_helper.to_array(weight)
        bytes_, scales = in_blocks(matrix)
        graph.initializer.remove(weight)
        names = [f"{name}_{part}" for part in ("bytes", "scales", "shape")]
        for part, array in zip(names, (bytes_, scales, np.array(matrix.shape, np.int64)), strict=True):
            graph.initializer.append(numpy_helper.from_array(array, part))
        made += [_cast(names[0], f"{name}_blocks"), _cast(names[1], f"{name}_steps")]
        made.append(helper.make_node("Mul", [f"{name}_blocks", f"{name}_steps"], [f"{name}_whole"], name=f"Mul_{name}"))
        made.append(helper.make_node("Reshape", [f"{name}_whole", names[2]], [name], name=f"Reshape_{name}"))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(made + nodes)
    return copy


def in_blocks(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix [K, N] as int8 [K / 16, 16, N] and scales [K / 16, 1, N] in half precision."""
    blocks = matrix.reshape(-1, BYTES_BLOCK, matrix.shape[1])
    scales = np.maximum(np.abs(blocks).max(axis=1, keepdims=True) / 127, 1e-7).astype(np.float16)
    return np.clip(np.round(blocks / scales.astype(np.float32)), -127, 127).astype(np.int8), scales


def ship_decoder(model: onnx.ModelProto) -> onnx.ModelProto:
    """The form in which packs hold the codec's decoder: large matrices in 8 bits, half precision for the rest, all of it
    computed in float32. 8-bit layers round otherwise for one frame than for several at once, and phases that run on keep such a
    difference for the rest of a take."""
    return store_half(store_bytes(model))
