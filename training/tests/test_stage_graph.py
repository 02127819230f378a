"""PyTorch = ONNX Runtime for the stage graphs: prefill, single steps, appends, chunks."""

import dataclasses
import json

import numpy as np
import onnxruntime
import pytest
import torch

from segue_training import flattened
from segue_training.flattened import FlattenedConfig, FlattenedStage
from segue_training.quantize import ship_stage
from segue_training.sampling import gumbel
from segue_training.graph import RECIPE
from segue_training.stage_graph import export, recipe
from segue_training.stages import AutoregressiveConfig, ParallelConfig, build
from segue_training.transformer import TransformerShape

TEMPORAL = TransformerShape(64, layers=2, heads=2, head_dim=32)
SEMANTIC = AutoregressiveConfig(1, 50, 256, 16, TEMPORAL)
COARSE = AutoregressiveConfig(3, 40, 256, 16, dataclasses.replace(TEMPORAL, shared=2), TransformerShape(32, 2, 1, 32), 50, (0, 1, 2), 2)
GUIDED = dataclasses.replace(COARSE, guidance=2.0)
PRODUCT = AutoregressiveConfig(2, 50, 256, 16, TEMPORAL, TransformerShape(32, 2, 1, 32))
RESTS = dataclasses.replace(PRODUCT, rests=(30, 45), eagerness=0.5)
TILTED = dataclasses.replace(RESTS, codebooks=3, tilted=2)
FINE = ParallelConfig(given=3, codebooks=2, cardinality=40, candidates=16, width=64, blocks=2)


def lively(config):
    """A model whose random logits are far apart, so that greedy choices mean something."""
    torch.manual_seed(1)
    model = build(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "weight" in name:
                parameter.normal_(std=1.5 * parameter.shape[1] ** -0.5)
            elif "head" in name:
                parameter.mul_(3)
    return model


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


class Cached:
    """Runs an autoregressive graph with caches fed back by value."""

    def __init__(self, model, config):
        self.session, self.config, self.total = session(model), config, 0
        shape = (1, config.cached_heads, config.context, config.temporal.head_dim)
        self.cache = {i.name: np.zeros(shape, np.float32) for i in self.session.get_inputs() if "past" in i.name}

    def run(self, codes, cond, noise=None, inv_temperature=1.0, top_p=1.0, tilt=None):
        self.total += codes.shape[1]
        if noise is None:
            noise = torch.zeros(1, self.config.codebooks, self.config.candidates)
        feed = {
            "codes": codes.numpy(),
            "noise": noise.numpy(),
            "total": np.array(self.total, np.int32),
            "seqlens_k": np.array([self.total - 1], np.int32),
            "inv_temperature": np.array(inv_temperature, np.float32),
            "top_p": np.array(top_p, np.float32),
        } | self.cache
        if self.config.condition_offsets:
            feed["cond"] = cond.numpy()
        if tilt is not None:
            feed["tilt"] = tilt.numpy()
        names = [o.name for o in self.session.get_outputs()]
        out = dict(zip(names, self.session.run(names, feed), strict=True))
        self.cache = {name: out[name.replace("past", "present")] for name in self.cache}
        return out


@pytest.mark.parametrize(
    "config",
    [SEMANTIC, PRODUCT, RESTS, TILTED, COARSE, GUIDED],
    ids=["semantic", "product", "rests", "tilted", "coarse", "guided"],
)
def test_prefill_append_and_single_steps_agree_with_torch(config):
    model = lively(config)
    cached = Cached(export(model, expose_logits=True), config)
    frames = torch.randint(config.cardinality, (1, 60, config.codebooks))
    codes = model.shifted(frames)
    cond = torch.randint(51, (1, 60, config.window))
    generator = torch.Generator().manual_seed(3)
    start = 0
    for length in (20, 1, 1, 7, 1, 30):  # prefill, steps, append, step, append
        noise = gumbel((1, config.codebooks, config.candidates), generator)
        tilt = torch.randn(1, config.tilts, generator=generator) if config.tilted else None
        out = cached.run(codes[:, start : start + length], cond[:, start : start + length], noise, 1.2, 0.9, tilt)
        start += length
        sampled, log_prob, logits = model.step(codes[:, :start], cond[:, :start], noise, 1.2, 0.9, tilt)
        np.testing.assert_allclose(out["logits"], logits, atol=1e-4)
        np.testing.assert_allclose(out["log_prob"], log_prob, atol=1e-4)
        np.testing.assert_array_equal(out["sampled"], sampled)


@pytest.mark.parametrize(
    "config", [SEMANTIC, PRODUCT, COARSE, GUIDED], ids=["semantic", "product", "coarse", "guided"]
)
def test_greedy_tokens_are_identical_over_200_steps(config):
    model = lively(config)
    cached = Cached(export(model), config)
    cond = torch.randint(51, (1, 200, config.window))
    frames = torch.full((1, 1, config.codebooks), config.cardinality)
    silent = torch.zeros(1, config.codebooks, config.candidates)
    for step in range(200):
        out = cached.run(frames[:, -1:], cond[:, step : step + 1])
        sampled, _, _ = model.step(frames, cond[:, : step + 1], silent)
        np.testing.assert_array_equal(out["sampled"], sampled, err_msg=f"step {step}")
        frames = torch.cat((frames, sampled[:, None]), dim=1)
    assert len(frames.unique()) > 10, "the toy is too dull to prove anything"


class Rows(Cached):
    """The same of a flattened graph: a position is a token."""

    def __init__(self, model, config):
        super().__init__(model, dataclasses.replace(COARSE, context=config.context, temporal=config.temporal))
        self.config = dataclasses.replace(self.config, codebooks=1, condition_offsets=())


def test_a_row_behind_its_prefix_is_sampled_as_by_torch_over_200_tokens():
    config = FlattenedConfig(3, 40, 70, 256, 16, TEMPORAL, condition_cardinality=50)
    torch.manual_seed(1)
    model = FlattenedStage(config).eval()
    with torch.no_grad():
        model.heads.mul_(4)
    cached = Rows(flattened.export(model), config)
    prefix = [7, 50, *range(20)]
    row = model.row(prefix, torch.randint(40, (5, 3)))
    assert row[0, len(prefix), 0] == config.begin and row.max() < config.vocabulary
    silent = torch.zeros(1, 1, 16)
    start = 0
    for step in range(200):
        out = cached.run(row[:, start:], None)
        sampled, log_prob, _ = model.step(row, silent)
        np.testing.assert_array_equal(out["sampled"], sampled, err_msg=f"token {step}")
        np.testing.assert_allclose(out["log_prob"], log_prob, atol=1e-4)
        start = row.shape[1]
        book = step % 3
        row = torch.cat((row, sampled[:, None] + book * config.cardinality), dim=1)
    own = row[0, len(prefix) + 1 :, 0] // config.cardinality
    assert (own == torch.arange(len(own)) % 3).all(), "codebook after codebook"
    assert len(row.unique()) > 30, "the toy is too dull to prove anything"


def test_a_stream_restarts_without_clearing_the_cache():
    model = lively(SEMANTIC)
    cached = Cached(export(model), SEMANTIC)
    codes = model.shifted(torch.randint(50, (1, 40, 1)))
    first = cached.run(codes, None)
    cached.run(codes[:, 1:], None)
    cached.total = 0
    again = cached.run(codes, None)
    np.testing.assert_array_equal(first["log_prob"], again["log_prob"])


def run_fine(running, codes, noise, state):
    feed = {f"state_{i}": s for i, s in enumerate(state)} | {
        "codes": codes,
        "noise": noise,
        "inv_temperature": np.array(1.3, np.float32),
        "top_p": np.array(0.9, np.float32),
    }
    names = [o.name for o in running.get_outputs()]
    out = dict(zip(names, running.run(names, feed), strict=True))
    return out, [out[f"next_state_{i}"] for i in range(len(state))]


def test_fine_agrees_with_torch_and_chunks_equal_the_whole():
    model = lively(FINE)
    running = session(export(model))
    codes = torch.randint(40, (1, 50, 3))
    noise = gumbel((1, 50, 2, 16), torch.Generator().manual_seed(5))
    zero = [s.numpy() for s in model.initial_state()]
    whole, _ = run_fine(running, codes.numpy(), noise.numpy(), zero)
    sampled, log_prob, _ = model.run(codes, model.initial_state(), noise, 1.3, 0.9)
    np.testing.assert_array_equal(whole["sampled"], sampled)
    np.testing.assert_allclose(whole["log_prob"], log_prob, atol=1e-4)
    state, pieces, start = zero, [], 0
    for length in (1, 1, 20, 3, 25):
        part, state = run_fine(
            running, codes.numpy()[:, start : start + length], noise.numpy()[:, start : start + length], state
        )
        pieces.append(part)
        start += length
    np.testing.assert_array_equal(np.concatenate([p["sampled"] for p in pieces], 1), whole["sampled"])
    np.testing.assert_allclose(np.concatenate([p["log_prob"] for p in pieces], 1), whole["log_prob"], atol=1e-5)


@pytest.mark.parametrize("config", [SEMANTIC, COARSE, FINE], ids=["semantic", "coarse", "fine"])
def test_the_shipped_form_is_smaller_and_keeps_its_tensors(config):
    plain = export(lively(config))
    shipped = ship_stage(plain)
    assert shipped.ByteSize() < 0.5 * plain.ByteSize()
    assert [i.name for i in session(shipped).get_inputs()] == [i.name for i in session(plain).get_inputs()]


@pytest.mark.parametrize("config", [RESTS, GUIDED, COARSE], ids=["rests", "guided", "coarse"])
def test_the_shipped_form_says_what_the_engine_needs_to_run_it_by_itself(config):
    shipped = ship_stage(export(lively(config)))
    found = json.loads({entry.key: entry.value for entry in shipped.metadata_props}[RECIPE])
    assert found == recipe(config) and found["candidates"] == config.candidates
    assert found["guidance"] == config.guidance and found["rests"] == (list(config.rests) if config.rests else None)
    names = {weight.name for weight in shipped.graph.initializer}
    blocks = [f"{kind}.{i}" for kind, shape in (("temporal", config.temporal), ("depth", config.depth)) for i in range(shape.layers)]
    matrices = [f"{block}.{part}" for block in blocks for part in ("qkv", "out", "up", "down")]
    assert names.issuperset(f"{name}{kind}" for name in [*matrices, "depth_in", "head.0"] for kind in ("_Q8", "_scales"))


def test_a_stage_without_codebooks_to_go_through_is_left_to_the_runtime():
    assert not export(lively(SEMANTIC)).metadata_props


def test_the_fine_stage_says_so_too():
    shipped = ship_stage(export(lively(FINE)))
    found = json.loads({entry.key: entry.value for entry in shipped.metadata_props}[RECIPE])
    assert found == {"candidates": FINE.candidates, "epsilon": 1e-5}
    names = {weight.name for weight in shipped.graph.initializer}
    assert {"block.0.up_Q8", "block.1.tap.6", "level.1.head_scales", "level.0.table_half", "embedding.table_half"} <= names
