"""`phases` as part of the decoder's ONNX graph: levels → `spectrum_0` (mid) and `spectrum_1` (side), with their states."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto

from .graph import FLOAT, INT64, Graph
from .phases import DOUBLINGS, RISEN, SHARPER, STEADY, STRUCK, TURN, Phases
from .spectrum import HIGHEST_LEVEL

AT_END = 2**62


def phase_graph(graph: Graph, phases: Phases, mid: str, side: str, coherence: str) -> None:
    """Levels of mid and side [1, S, bins] and coherence [1, S, bands] → the graph's outputs `spectrum_i` [1, S, bins, 2]
    and `next_state_*`."""
    bins = phases.bins
    mid = _following(graph, "mid", 2, bins, _bounded(graph, mid))
    side = _following(graph, "side", 1, bins, _bounded(graph, side))
    coherence = _following(graph, "coherence", 1, phases.bands, coherence)
    here, phase = _integrated(graph, phases, mid)
    sign = graph.weight("phase.sign", phases.sign)
    cosine = graph.op("Mul", graph.op("Cos", phase), sign)
    sine = graph.op("Mul", graph.op("Sin", phase), sign)
    loud = _magnitude(graph, phases, here)
    _pairs(graph, 0, bins, graph.op("Mul", loud, cosine), graph.op("Mul", loud, sine))
    coherence = _but_last(graph, coherence)
    rest = graph.op("Sub", graph.scalar(1.0), graph.op("Mul", coherence, coherence))
    rest = graph.op("Sqrt", graph.op("Max", rest, graph.scalar(0.0)))
    rest = graph.op("Mul", rest, graph.weight("phase.ahead", phases.ahead))
    band = graph.weight("phase.band", phases.band.numpy())
    along, across = (graph.op("Gather", x, band, axis=2) for x in (coherence, rest))
    wide = _magnitude(graph, phases, _but_last(graph, side))
    real = graph.op("Sub", graph.op("Mul", along, cosine), graph.op("Mul", across, sine))
    imaginary = graph.op("Add", graph.op("Mul", along, sine), graph.op("Mul", across, cosine))
    _pairs(graph, 1, bins, graph.op("Mul", wide, real), graph.op("Mul", wide, imaginary))


def rules(phases: Phases) -> dict[str, float]:
    """The numbers that the engine needs to do the same by itself."""
    return {
        "floor": phases.floor,
        "highest": HIGHEST_LEVEL,
        "per_slope": phases.per_slope,
        "per_rise": phases.per_rise,
        "steady": STEADY,
        "risen": RISEN,
        "struck": STRUCK,
        "sharper": SHARPER,
        "doublings": DOUBLINGS,
    }


def _bounded(graph: Graph, levels: str) -> str:
    return graph.op("Min", graph.op("Max", levels, graph.scalar(0.0)), graph.scalar(HIGHEST_LEVEL))


def _following(graph: Graph, name: str, past: int, width: int, x: str) -> str:
    """The last `past` sub-frames of the run before, then x [1, S, width]."""
    state = graph.input(f"state_{name}", FLOAT, [1, past, width])
    joined = graph.op("Concat", state, x, axis=1)
    _sliced(graph, joined, 1, -past, AT_END, out=f"next_state_{name}")
    graph.output(f"next_state_{name}", FLOAT, [1, past, width])
    return joined


def _sliced(graph: Graph, x: str, axis: int, begin: int, end: int, out: str | None = None) -> str:
    return graph.op("Slice", x, graph.integers(begin), graph.integers(end), graph.integers(axis), out=out)


def _but_last(graph: Graph, x: str) -> str:
    return _sliced(graph, x, 1, 0, -1)


def _magnitude(graph: Graph, phases: Phases, levels: str) -> str:
    return graph.op("Mul", graph.op("Sub", graph.op("Exp", levels), graph.scalar(1.0)), graph.scalar(phases.floor))


def _pairs(graph: Graph, index: int, bins: int, real: str, imaginary: str) -> None:
    parts = [graph.op("Unsqueeze", part, graph.integers(3)) for part in (real, imaginary)]
    graph.op("Concat", *parts, axis=3, out=f"spectrum_{index}")
    graph.output(f"spectrum_{index}", FLOAT, [1, "S", bins, 2])


def _wrapped(graph: Graph, x: str) -> str:
    turns = graph.op("Floor", graph.op("Add", graph.op("Mul", x, graph.scalar(1 / TURN)), graph.scalar(0.5)))
    return graph.op("Sub", x, graph.op("Mul", turns, graph.scalar(TURN)))


def _mean(graph: Graph, x: str, axis: int) -> str:
    """The mean of each and its neighbour."""
    both = graph.op("Add", _sliced(graph, x, axis, 1, AT_END), _sliced(graph, x, axis, 0, -1))
    return graph.op("Mul", both, graph.scalar(0.5))


def _neighbours(graph: Graph, x: str, first: str, last: str) -> tuple[str, str]:
    """What lies below and above each bin of x [1, S, bins]; `first` and `last` [1, S, 1] beyond the ends."""
    below = graph.op("Concat", first, _sliced(graph, x, 2, 0, -1), axis=2)
    above = graph.op("Concat", _sliced(graph, x, 2, 1, AT_END), last, axis=2)
    return below, above


def _tops(graph: Graph, bins: int, levels: str) -> str:
    low = graph.op("Sub", _sliced(graph, levels, 2, 0, 1), graph.scalar(1e3))
    below, above = _neighbours(graph, levels, low, low)
    down = graph.op("And", graph.op("Greater", below, levels), graph.op("GreaterOrEqual", below, above))
    up = graph.op("And", graph.op("Greater", above, levels), graph.op("Not", down))
    index = graph.weight("phase.index", np.arange(bins))
    found = graph.op("Add", index, graph.op("Cast", up, to=INT64))
    found = graph.op("Sub", found, graph.op("Cast", down, to=INT64))
    for _ in range(DOUBLINGS):
        found = graph.op("GatherElements", found, found, axis=2)
    return found


def _integrated(graph: Graph, phases: Phases, mid: str) -> tuple[str, str]:
    """Levels [1, S + 2, bins] → those in the middle and their phases [1, S, bins]."""
    bins = phases.bins
    here = _sliced(graph, mid, 1, 1, -1)
    steady = _steadied(graph, bins, here)
    below, above = _neighbours(graph, steady, _sliced(graph, steady, 2, 0, 1), _sliced(graph, steady, 2, -1, AT_END))
    turning = graph.op("Mul", graph.op("Sub", above, below), graph.scalar(phases.per_slope / 2))
    ahead = graph.op("Add", turning, graph.weight("phase.middle", phases.middle))
    bend = graph.op("Sub", graph.op("Sub", graph.op("Add", steady, steady), below), above)
    sharp = graph.op("Add", steady, graph.op("Mul", bend, graph.scalar(SHARPER)))
    rise = graph.op("Sub", _sliced(graph, mid, 1, 2, AT_END), _sliced(graph, mid, 1, 0, -2))
    between = _wrapped(graph, _mean(graph, graph.op("Mul", rise, graph.scalar(-phases.per_rise / 2)), 2))
    nothing = graph.op("Mul", _sliced(graph, here, 2, 0, 1), graph.scalar(0.0))
    across = graph.op("Concat", nothing, graph.op("CumSum", between, graph.weight("axis_2", np.array(2))), axis=2)
    top = _tops(graph, bins, sharp)
    moved, at_top = (graph.op("GatherElements", x, top, axis=2) for x in (ahead, across))
    moved = graph.op("Add", moved, graph.op("Sub", across, at_top))
    louder = graph.op("Sub", here, _sliced(graph, mid, 1, 0, -2))
    struck = graph.op("Greater", graph.op("GatherElements", louder, top, axis=2), graph.scalar(STRUCK))
    moved = graph.op("Where", struck, across, moved)
    carried = graph.op("Where", struck, graph.scalar(0.0), graph.scalar(1.0))
    return here, _one_by_one(graph, "phase", bins, _step(bins), top, carried, moved)


def _steadied(graph: Graph, bins: int, levels: str) -> str:
    """See `phases.steadied`."""
    return _one_by_one(graph, "steady", bins, _steady_step(bins), levels)


def _one_by_one(graph: Graph, name: str, bins: int, body: GraphProto, *inputs: str) -> str:
    """What `body` makes of its last result and of each sub-frame of the inputs [1, S, bins], [1, S, bins]."""
    last = graph.op("Reshape", graph.input(f"state_{name}", FLOAT, [1, 1, bins]), graph.integers(bins))
    rows = [graph.op("Reshape", x, graph.integers(-1, bins)) for x in inputs]
    last, found = graph.ops("Scan", last, *rows, out=2, body=body, num_scan_inputs=len(rows))
    graph.op("Reshape", last, graph.integers(1, 1, bins), out=f"next_state_{name}")
    graph.output(f"next_state_{name}", FLOAT, [1, 1, bins])
    return graph.op("Unsqueeze", found, graph.integers(0))


def _steady_step(bins: int) -> GraphProto:
    """One sub-frame of `phases.steadied`."""
    body = Graph("steadied", prefix="steadied.")
    last, level = body.input("last", FLOAT, [bins]), body.input("level", FLOAT, [bins])
    louder = body.op("Sub", level, last)
    nearer = body.op("Add", last, body.op("Mul", louder, body.scalar(STEADY)))
    steady = body.op("Where", body.op("Greater", louder, body.scalar(RISEN)), level, nearer)
    for name in ("steady_carried", "steady"):
        body.op("Identity", steady, out=name)
        body.output(name, FLOAT, [bins])
    return body.graph()


def _step(bins: int) -> GraphProto:
    """One sub-frame: every bin goes on from where its top was."""
    body = Graph("sub_frame", prefix="sub_frame.")
    last, top = body.input("last", FLOAT, [bins]), body.input("top", INT64, [bins])
    carried, moved = body.input("carried", FLOAT, [bins]), body.input("moved", FLOAT, [bins])
    gone_on = body.op("Mul", body.op("Gather", last, top), carried)
    phase = _wrapped(body, body.op("Add", gone_on, moved))
    for name in ("phase_carried", "phase"):
        body.op("Identity", phase, out=name)
        body.output(name, FLOAT, [bins])
    return body.graph()
