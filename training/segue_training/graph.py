"""A thin builder of ONNX graphs, node by node, for opset 18 + com.microsoft 1, IR 9."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9
MICROSOFT = "com.microsoft"
RECIPE = "segue.recipe"
"""Under which key of its metadata a graph says what the engine needs to run it by itself (docs/pack.md)."""
FLOAT, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32

Dimension = int | str


class Graph:
    """Collects inputs, weights, nodes and outputs; every method returns tensor names."""

    def __init__(self, name: str, prefix: str = "") -> None:
        """`prefix` of every name that is not given: the body of a node shares its names with the graph around it."""
        self.name, self._prefix = name, prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, shape: Sequence[Dimension]) -> str:
        """Declare a graph input."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, kind: int, shape: Sequence[Dimension]) -> str:
        """Declare a graph output, a tensor that some node writes under this name."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def weight(self, name: str, value: np.ndarray | torch.Tensor) -> str:
        """An initializer; a name given twice must mean the same tensor."""
        if name not in self._weights:
            if isinstance(value, torch.Tensor):
                value = value.detach().float().cpu().numpy()
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, *values: int) -> str:
        """A 1-D int64 constant."""
        return self.weight(f"{self._prefix}int_" + "_".join(map(str, values)), np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        """A float32 scalar constant."""
        return self.weight(f"{self._prefix}float_{value}", np.array(value, np.float32))

    def op(self, kind: str, *inputs: str, out: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.ops(kind, *inputs, out=(out or f"{self._prefix}{kind}_{len(self._nodes)}",), domain=domain, **attributes)[0]

    def ops(self, kind: str, *inputs: str, out: Sequence[str] | int, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node with several outputs: their names, or how many."""
        index = len(self._nodes)
        outputs = [f"{self._prefix}{kind}_{index}_{k}" for k in range(out)] if isinstance(out, int) else list(out)
        node = helper.make_node(kind, list(inputs), outputs, name=f"{self._prefix}{kind}_{index}", domain=domain, **attributes)
        self._nodes.append(node)
        return outputs

    def graph(self) -> onnx.GraphProto:
        """What is built, as the body of a node."""
        return helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, list(self._weights.values()))

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(self.graph(), opset_imports=opsets, ir_version=IR_VERSION, producer_name="segue")
