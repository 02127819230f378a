"""Stage models → ONNX graphs with caches, states and sampling inside: the tensors of docs/pack.md."""

import json

import numpy as np
import onnx
import torch

from .graph import FLOAT, INT32, INT64, MICROSOFT, RECIPE, Graph
from .notes import NOTHING
from .sampling import HIDDEN, SMALLEST_TOP_P
from .stages import AutoregressiveConfig, AutoregressiveStage, BookEmbedding, ParallelConfig, ParallelStage, Stage, StageConfig
from .transformer import NORM_EPSILON, Block, RMSNorm, Transformer, TransformerShape


def export(stage: Stage, expose_logits: bool = False) -> onnx.ModelProto:
    """The graph of a stage in float32; `expose_logits` adds an output `logits`, for tests."""
    if isinstance(stage, AutoregressiveStage):
        return _autoregressive(stage, expose_logits)
    return _parallel(stage, expose_logits)


# ---------------------------------------------------------------- pieces that both kinds share


def sampler(g: Graph, logits: str, noise: str, candidates: int, top_p: str) -> tuple[str, str]:
    """logits [..., V], noise [..., K] → token [..., 1], log_prob [..., 1]. Twin of `sampling.sample`."""
    values, ids = g.ops("TopK", logits, g.integers(candidates), out=2, axis=-1)
    scaled = g.op("Mul", values, "inv_temperature")
    before = g.op("CumSum", g.op("Softmax", scaled, axis=-1), g.integers(-1), exclusive=1)
    kept = g.op("Less", before, top_p)
    noisy = g.op("Where", kept, g.op("Add", scaled, noise), g.scalar(float("-inf")))
    best = g.op("ArgMax", noisy, axis=-1, keepdims=1)
    total = g.op("ReduceLogSumExp", logits, g.integers(-1), keepdims=1)
    log_prob = g.op("Sub", g.op("GatherElements", values, best, axis=-1), total)
    return g.op("GatherElements", ids, best, axis=-1), log_prob


def _sampler_or_hold(
    g: Graph, logits: str, previous: str, noise: str, cardinality: int, candidates: int, top_p: str
) -> tuple[str, str]:
    """logits [N, 1, V], previous [N, 1, 1], noise [N, 1, K] → token, log_prob [N, 1, 1]. Twin of
    `sampling.sample_or_hold`."""
    hidden, one = g.scalar(HIDDEN), g.scalar(1.0)
    log_probs = g.op("LogSoftmax", logits, axis=-1)
    held = g.op("Equal", g.weight("vocabulary", torch.arange(cardinality).numpy()), previous)
    hold = g.op(
        "ReduceSum", g.op("Where", held, g.op("Exp", log_probs), g.scalar(0.0)), g.integers(-1), keepdims=1
    )
    others, ids = g.ops("TopK", g.op("Where", held, hidden, logits), g.integers(candidates - 1), out=2, axis=-1)
    scaled = g.op("Mul", others, "inv_temperature")
    before = g.op("CumSum", g.op("Softmax", scaled, axis=-1), g.integers(-1), exclusive=1)
    kept = g.op("Where", g.op("Less", before, top_p), scaled, hidden)
    moves = g.op("Add", g.op("LogSoftmax", kept, axis=-1), g.op("Log", g.op("Sub", one, hold)))
    all_candidates = g.op("Concat", moves, g.op("Log", hold), axis=-1)
    best = g.op("ArgMax", g.op("Add", all_candidates, noise), axis=-1, keepdims=1)
    token = g.op("GatherElements", g.op("Concat", ids, previous, axis=-1), best, axis=-1)
    return token, g.op("GatherElements", log_probs, token, axis=-1)


def _sampler_or_rest(
    g: Graph, logits: str, previous: str, noise: str, config: AutoregressiveConfig, top_p: str
) -> tuple[str, str]:
    """logits [N, 1, V], previous [N, 1, 1], noise [N, 1, K] → token, log_prob [N, 1, 1]. Twin of `sampling.sample_or_rest`."""
    last, rests = g.integers(-1), range(*config.rests)
    sizes = g.weight("sizes_of_rests", np.array([rests.start, config.cardinality - rests.start], np.int64))
    notes, all_rests = g.ops("Split", g.op("LogSoftmax", logits, axis=-1), sizes, out=2, axis=-1)
    resting = g.op("ReduceLogSumExp", all_rests, last, keepdims=1)
    count = min(config.candidates - 1, rests.start)
    playing = g.op("ReduceLogSumExp", notes, last, keepdims=1)
    odds = g.op("Add", g.op("Sub", playing, resting), g.scalar(config.eagerness))
    rests_probable, plays_probable = (g.op("Neg", g.op("Softplus", x)) for x in (odds, g.op("Neg", odds)))
    others, ids = g.ops("TopK", notes, g.integers(count), out=2, axis=-1)
    scaled = g.op("Mul", others, "inv_temperature")
    before = g.op("CumSum", g.op("Softmax", scaled, axis=-1), last, exclusive=1)
    kept = g.op("Where", g.op("Less", before, top_p), scaled, g.scalar(HIDDEN))
    moves = g.op("Add", g.op("LogSoftmax", kept, axis=-1), plays_probable)
    if count + 1 < config.candidates:
        noise = g.op("Slice", noise, g.integers(0), g.integers(count + 1), last)
    best = g.op("ArgMax", g.op("Add", g.op("Concat", moves, rests_probable, axis=-1), noise), axis=-1, keepdims=1)
    known = g.op("Less", previous, g.integers(rests.stop))
    following = g.op("Where", known, g.op("Add", previous, g.integers(1)), g.integers(0))
    rest = g.op("Min", g.op("Max", following, g.integers(rests.start)), g.integers(rests.stop - 1))
    token = g.op("GatherElements", g.op("Concat", ids, rest, axis=-1), best, axis=-1)
    return token, g.op("GatherElements", g.op("Concat", others, resting, axis=-1), best, axis=-1)


def _tilted(g: Graph, logits: str, tilt: str, config: AutoregressiveConfig) -> str:
    """logits [N, 1, V], tilt [N, 1, M] → logits. Twin of `sampling.tilted`."""
    first, last = NOTHING + 1, g.integers(-1)
    sizes = g.weight("sizes_of_tilted", np.array([first, config.tilts, config.cardinality - first - config.tilts], np.int64))
    before, notes, behind = g.ops("Split", logits, sizes, out=3, axis=-1)
    moved = g.op("Add", notes, tilt)
    was, now = (g.op("ReduceLogSumExp", x, last, keepdims=1) for x in (notes, moved))
    return g.op("Concat", before, g.op("Add", moved, g.op("Sub", was, now)), behind, axis=-1)


def sampler_inputs(g: Graph, noise_shape: list[int | str]) -> str:
    """Declare noise, inv_temperature and top_p; returns the name of top_p, raised so that the best is kept."""
    g.input("noise", FLOAT, noise_shape)
    g.input("inv_temperature", FLOAT, [])
    g.input("top_p", FLOAT, [])
    return g.op("Max", "top_p", g.scalar(SMALLEST_TOP_P))


def _embed(g: Graph, name: str, ids: str, *parts: BookEmbedding) -> str:
    """ids [N, S, columns of all parts] → [N, S, width]: one gather from one table, one sum."""
    table = torch.cat([part.table for part in parts])
    offset, start = [], 0
    for part in parts:
        offset.append(part.offset + start)
        start += len(part.table)
    rows = g.op("Add", ids, g.weight(f"{name}.offset", torch.cat(offset).numpy()))
    found = g.op("Gather", g.weight(f"{name}.table", table), rows)
    return g.op("ReduceSum", found, g.integers(-2), keepdims=0)


def _norm(g: Graph, x: str, gain: str) -> str:
    return g.op("SimplifiedLayerNormalization", x, gain, axis=-1, epsilon=NORM_EPSILON)


def _skip_norm(g: Graph, x: str, residual: str, gain: str) -> tuple[str, str]:
    """→ norm(x + residual), x + residual"""
    node = f"skip_{len(g._nodes)}"
    g.ops(
        "SkipSimplifiedLayerNormalization",
        x,
        residual,
        gain,
        domain=MICROSOFT,
        epsilon=NORM_EPSILON,
        out=[node, "", "", f"{node}_sum"],
    )
    return node, f"{node}_sum"


def _gain(g: Graph, name: str, norm: RMSNorm) -> str:
    return g.weight(f"{name}.gain", norm.gain)


def linear(g: Graph, x: str, name: str, weight: torch.Tensor) -> str:
    """x @ weight.T for a torch-shaped weight [out, in]."""
    return g.op("MatMul", x, g.weight(name, weight.detach().T))


def _mlp(g: Graph, x: str, name: str, up: torch.Tensor, down: torch.Tensor) -> str:
    inner = g.op("Gelu", linear(g, x, f"{name}.up", up), domain=MICROSOFT)
    return linear(g, inner, f"{name}.down", down)


# ---------------------------------------------------------------- autoregressive


def _autoregressive(stage: AutoregressiveStage, expose_logits: bool) -> onnx.ModelProto:
    config = stage.config
    g = Graph("autoregressive")
    ids = g.input("codes", INT64, ["N", "S", config.codebooks])
    parts = [stage.embedding]
    if stage.condition is not None:
        cond = g.input("cond", INT64, ["N", "S", config.window])
        if config.guided:
            nothing = g.op("Mul", cond, g.integers(0))
            unknown = g.op("Add", nothing, g.integers(config.condition_cardinality))
            ids, cond = _both(g, ids), g.op("Concat", cond, unknown, axis=0)
        ids = g.op("Concat", ids, cond, axis=-1)
        parts.append(stage.condition)
    x = _embed(g, "embedding", ids, *parts)
    context = temporal(g, stage.temporal, x, config.guided)
    last = g.op("Gather", context, g.integers(-1), axis=1)
    top_p = sampler_inputs(g, ["N", config.codebooks, config.candidates])
    previous = g.op("Gather", "codes", g.integers(-1), axis=1)
    if config.tilted:
        g.input("tilt", FLOAT, ["N", config.tilts])
    if stage.depth is None:
        logits = [_guided(g, config, linear(g, last, "head.0", stage.heads[0]))]
        token, log_prob = _sampler_or_hold(
            g, logits[0], previous, "noise", config.cardinality, config.candidates, top_p
        )
        tokens, log_probs = [token], [log_prob]
    else:
        tokens, log_probs, logits = _depth(g, stage, last, previous, top_p)
    _join(g, "sampled", tokens)
    _join(g, "log_prob", log_probs)
    g.output("sampled", INT64, ["N", config.codebooks])
    g.output("log_prob", FLOAT, ["N", config.codebooks])
    if expose_logits:
        g.op("Concat", *logits, axis=1, out="logits")
        g.output("logits", FLOAT, ["N", config.codebooks, config.cardinality])
    return g.model() if stage.depth is None else _with_recipe(g.model(), config)


def _with_recipe(model: onnx.ModelProto, config: StageConfig) -> onnx.ModelProto:
    onnx.helper.set_model_props(model, {RECIPE: json.dumps(recipe(config))})
    return model


def recipe(config: StageConfig) -> dict[str, int | float | list[int] | None]:
    """What the sizes of a graph's tensors do not say: with it the engine runs the stage on a processor by itself."""
    if isinstance(config, ParallelConfig):
        return {"candidates": config.candidates, "epsilon": NORM_EPSILON}
    return {
        "heads": config.temporal.heads,
        "depth_heads": config.depth.heads,
        "candidates": config.candidates,
        "guidance": config.guidance if config.guided else 1.0,
        "eagerness": config.eagerness,
        "rests": list(config.rests) if config.rests else None,
        "epsilon": NORM_EPSILON,
    }


def _join(g: Graph, name: str, parts: list[str]) -> None:
    """C tensors [N, 1, 1] → [N, C]"""
    g.op("Squeeze", g.op("Concat", *parts, axis=1), g.integers(2), out=name)


def _both(g: Graph, x: str) -> str:
    """x [N, ...] → [2N, ...]: with the condition, and without."""
    return g.op("Concat", x, x, axis=0)


def _guided(g: Graph, config: AutoregressiveConfig, logits: str) -> str:
    """logits [2N, ...] → [N, ...] where there is guidance."""
    if not config.guided:
        return logits
    told, untold = g.ops("Split", logits, out=2, axis=0, num_outputs=2)
    return g.op("Add", untold, g.op("Mul", g.op("Sub", told, untold), g.scalar(config.guidance)))


def _beside(g: Graph, qkv: str, shape: TransformerShape) -> str:
    """Questions, keys and values [2N, S, ·] → [N, S, 2 ·]: those of the second half behind those of the first, each kind."""
    sizes = np.array([shape.heads, shape.kv_heads, shape.kv_heads]) * shape.head_dim
    name = g.weight("int_" + "_".join(map(str, sizes)), sizes.astype(np.int64))
    halves = g.ops("Split", qkv, out=2, axis=0, num_outputs=2)
    told, untold = (g.ops("Split", half, name, out=3, axis=-1) for half in halves)
    return g.op("Concat", *(part for pair in zip(told, untold, strict=True) for part in pair), axis=-1)


def temporal(g: Graph, model: Transformer, x: str, twice: bool = False) -> str:
    """[N, S, width] → normed [N, S, width], reading and extending the shared cache in place; if `twice`,
    x is [2N, S, width], and what the second half attends with are more heads: a kernel may take only one row of several
    positions at a time."""
    shape = model.shape
    g.input("total", INT32, [])
    g.input("seqlens_k", INT32, ["N"])
    cos, sin = g.weight("cos", model.cos), g.weight("sin", model.sin)
    times = 2 if twice else 1
    cache = ["N", times * shape.kv_heads, model.context, shape.head_dim]
    gains = _gains(g, "temporal", model)
    normed, residual = _norm(g, x, gains[0]), x
    for index, block in enumerate(model.blocks):
        name = f"temporal.{index}"
        qkv = linear(g, normed, f"{name}.qkv", block.qkv.weight)
        if twice:
            qkv = _beside(g, qkv, shape)
        past = [g.input(f"past_{kind}_{index}", FLOAT, cache) for kind in ("key", "value")]
        present = [f"present_{kind}_{index}" for kind in ("key", "value")]
        mixed = g.ops(
            "GroupQueryAttention",
            qkv,
            "",
            "",
            *past,
            "seqlens_k",
            "total",
            cos,
            sin,
            domain=MICROSOFT,
            out=[f"{name}.mixed", *present],
            num_heads=times * shape.heads,
            kv_num_heads=times * shape.kv_heads,
            do_rotary=1,
        )
        if twice:
            mixed = [g.op("Concat", *g.ops("Split", mixed[0], out=2, axis=-1, num_outputs=2), axis=0)]
        for tensor in present:
            g.output(tensor, FLOAT, cache)
        normed, residual = _rest_of_block(g, name, block, mixed[0], residual, gains[2 * index + 1 : 2 * index + 3])
    return normed


def _gains(g: Graph, name: str, model: Transformer) -> list[str]:
    """Norm gains in the order of use: attention 0, mlp 0, attention 1, …, final."""
    gains = []
    for index, block in enumerate(model.blocks):
        gains.append(_gain(g, f"{name}.{index}.attention_norm", block.attention_norm))
        gains.append(_gain(g, f"{name}.{index}.mlp_norm", block.mlp_norm))
    return [*gains, _gain(g, f"{name}.norm", model.norm)]


def _rest_of_block(g: Graph, name: str, block: Block, mixed: str, residual: str, gains: list[str]) -> tuple[str, str]:
    """Everything behind the attention, up to and including the norm that opens the next block."""
    out = linear(g, mixed, f"{name}.out", block.out.weight)
    normed, residual = _skip_norm(g, out, residual, gains[0])
    inner = _mlp(g, normed, name, block.up.weight, block.down.weight)
    return _skip_norm(g, inner, residual, gains[1])


def _depth(
    g: Graph, stage: AutoregressiveStage, last: str, previous: str, top_p: str
) -> tuple[list[str], list[str], list[str]]:
    """Unrolled over the codebooks: last [N, 1, width], previous [N, 1, books] → tokens, log_probs, logits, one [N, 1, ·] each
    per book."""
    config, model = stage.config, stage.depth
    noise = g.ops("Split", "noise", out=config.codebooks, axis=1, num_outputs=config.codebooks)
    before = g.ops("Split", previous, out=config.codebooks, axis=2, num_outputs=config.codebooks)
    tilt = g.op("Unsqueeze", "tilt", g.integers(1)) if config.tilted else ""
    context = linear(g, last, "depth_in", stage.depth_in.weight)
    gains = _gains(g, "depth", model)
    memory: list[list[tuple[str, str]]] = [[] for _ in model.blocks]
    tokens, log_probs, all_logits = [], [], []
    for level in range(config.codebooks):
        if level == 0:
            start = g.weight("depth.start", stage.level[0][None, None])
        else:
            table = stage.depth_embedding[level - 1] + stage.level[level]
            ids = g.op("Squeeze", tokens[-1], g.integers(2))
            ids = _both(g, ids) if config.guided else ids
            start = g.op("Gather", g.weight(f"depth.table.{level}", table), ids)
        normed, residual = _skip_norm(g, context, start, gains[0])
        for index, block in enumerate(model.blocks):
            mixed = _depth_attention(g, f"depth.{index}", block, normed, memory[index])
            following = gains[2 * index + 1 : 2 * index + 3]
            normed, residual = _rest_of_block(g, f"depth.{index}", block, mixed, residual, following)
        logits = _guided(g, config, linear(g, normed, f"head.{level}", stage.heads[level]))
        if level < config.tilted:
            logits = _tilted(g, logits, tilt, config)
        if level == 0 and config.rests:
            token, log_prob = _sampler_or_rest(g, logits, before[0], noise[0], config, top_p)
        else:
            token, log_prob = _sampler_or_hold(
                g, logits, before[level], noise[level], config.cardinality, config.candidates, top_p
            )
        tokens.append(token)
        log_probs.append(log_prob)
        all_logits.append(logits)
    return tokens, log_probs, all_logits


def _depth_attention(g: Graph, name: str, block: Block, x: str, memory: list[tuple[str, str]]) -> str:
    """Attention of one level to itself and the levels before it, whose keys and values `memory` collects."""
    heads, head_dim = block.shape.heads, block.shape.head_dim
    scale = torch.ones(3 * heads * head_dim, 1)
    scale[: heads * head_dim] = head_dim**-0.5
    qkv = linear(g, x, f"{name}.qkv", block.qkv.weight.detach() * scale)
    query, key, value = g.ops("Split", qkv, out=3, axis=-1, num_outputs=3)
    row, column = g.integers(0, heads, 1, head_dim), g.integers(0, heads, head_dim, 1)
    memory.append((g.op("Reshape", key, column), g.op("Reshape", value, row)))
    if len(memory) == 1:
        return value
    keys = g.op("Concat", *(k for k, _ in memory), axis=3)
    values = g.op("Concat", *(v for _, v in memory), axis=2)
    weights = g.op("Softmax", g.op("MatMul", g.op("Reshape", query, row), keys), axis=-1)
    return g.op("Reshape", g.op("MatMul", weights, values), g.integers(0, 1, heads * head_dim))


# ---------------------------------------------------------------- parallel


def _parallel(stage: ParallelStage, expose_logits: bool) -> onnx.ModelProto:
    config = stage.config
    g = Graph("parallel")
    codes = g.input("codes", INT64, [1, "T", config.given])
    top_p = sampler_inputs(g, [1, "T", config.codebooks, config.candidates])
    noise = g.ops("Split", "noise", out=config.codebooks, axis=2, num_outputs=config.codebooks)
    x = _embed(g, "embedding", codes, stage.embedding)
    for index in range(config.blocks):
        x = _conv_block(g, stage, index, x)
    tokens, log_probs, all_logits = [], [], []
    for index, level in enumerate(stage.levels):
        name = f"level.{index}"
        normed = _norm(g, x, _gain(g, f"{name}.norm", level.norm))
        inner = _mlp(g, normed, name, level.up.weight, level.down.weight)
        normed, _ = _skip_norm(g, inner, x, _gain(g, f"{name}.out_norm", level.out_norm))
        logits = linear(g, normed, f"{name}.head", level.head)
        token, log_prob = sampler(g, logits, g.op("Squeeze", noise[index], g.integers(2)), config.candidates, top_p)
        if index + 1 < config.codebooks:
            ids = g.op("Squeeze", token, g.integers(2))
            x = g.op("Add", x, g.op("Gather", g.weight(f"{name}.table", stage.level_embedding[index]), ids))
        tokens.append(token)
        log_probs.append(log_prob)
        all_logits.append(g.op("Unsqueeze", logits, g.integers(2)) if expose_logits else logits)
    g.op("Concat", *tokens, axis=2, out="sampled")
    g.op("Concat", *log_probs, axis=2, out="log_prob")
    g.output("sampled", INT64, [1, "T", config.codebooks])
    g.output("log_prob", FLOAT, [1, "T", config.codebooks])
    if expose_logits:
        g.op("Concat", *all_logits, axis=2, out="logits")
        g.output("logits", FLOAT, [1, "T", config.codebooks, config.cardinality])
    return _with_recipe(g.model(), config)


def _conv_block(g: Graph, stage: ParallelStage, index: int, x: str) -> str:
    """x [1, T, width] → the same; state_i [1, kernel − 1, width] holds the frames before x."""
    config, block = stage.config, stage.blocks[index]
    past = config.kernel - 1
    state = g.input(f"state_{index}", FLOAT, [1, past, config.width])
    padded = g.op("Concat", state, x, axis=1)
    end, axis = g.integers(2**62), g.integers(1)
    g.op("Slice", padded, g.integers(-past), end, axis, out=f"next_state_{index}")
    g.output(f"next_state_{index}", FLOAT, [1, past, config.width])
    products = []
    for k in range(config.kernel):
        stop = g.integers(k - past) if k < past else end
        shifted = g.op("Slice", padded, g.integers(k), stop, axis)
        products.append(g.op("Mul", shifted, g.weight(f"block.{index}.tap.{k}", block.taps[k])))
    normed = _norm(g, g.op("Sum", *products), _gain(g, f"block.{index}.norm", block.norm))
    return g.op("Add", x, _mlp(g, normed, f"block.{index}", block.up.weight, block.down.weight))
