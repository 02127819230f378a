"""The stages learn, resume, shrink to 8 bits without harm, and line up with their condition."""

import dataclasses
import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from segue_training import checkpoint, objectives, train_stage
from segue_training.codebooks import Codebooks, merged, tie
from segue_training.objectives import CLEAN, PAD, Corruption, losses
from segue_training.quantize import ship_stage
from segue_training.stage_graph import export
from segue_training.stages import AutoregressiveConfig, ParallelConfig, build
from segue_training.token_data import Crops, Excerpt, Shards, condition_window, write_shard
from segue_training.train_stage import Trainer, begin_with
from segue_training.transformer import TransformerShape

from .test_stage_graph import Cached

BOOKS, CARDINALITY, CONTEXT = 3, 16, 64
TEMPORAL = TransformerShape(64, 2, 2, 32)
COARSE = AutoregressiveConfig(BOOKS, CARDINALITY, CONTEXT, 8, TEMPORAL, TransformerShape(64, 1, 2, 32), 16, (0, 1, 2))
SEMANTIC = AutoregressiveConfig(1, 16, CONTEXT, 8, TEMPORAL)
FINE = ParallelConfig(given=BOOKS, codebooks=2, cardinality=CARDINALITY, candidates=8, width=64, blocks=1)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(train_stage, "FRAMES_PER_STEP", 512)
    torch.manual_seed(0)
    torch.set_num_threads(1)


def excerpts(count=40, length=120, seed=0):
    """Random semantic tokens; the coarse books of a frame spell its window, the fine books a coarse book of the frame
    before and one of the same frame."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        semantic = random.integers(16, size=(length, 1))
        window = condition_window(semantic, np.arange(2 * length), 2, (0, 1, 2), 0)
        coarse = (window * 3 + 1) % 16
        fine = np.stack([np.roll(coarse[:, 0], 1), coarse[:, 2]], axis=1)
        made.append(Excerpt(semantic, np.concatenate([coarse, fine], axis=1)))
    return made


def run(trainer, crops, steps):
    trainer.corruption = Corruption(token=0, condition=0, look_ahead=0, depth_share=0.5)
    for step in range(steps):
        trainer.progress.minutes = step / steps * trainer.progress.budget_minutes
        trainer.step(crops)


def test_codes_that_follow_the_condition_are_learnt(tmp_path):
    trainer = Trainer("coarse", COARSE, 1.0, tmp_path / "coarse.pt")
    run(trainer, Crops(excerpts(), "coarse", COARSE, seed=0), 120)
    held_out = trainer.validate(Crops(excerpts(seed=9), "coarse", COARSE, seed=0))
    assert held_out["mean"] < 0.4, f"chance is {math.log(16):.2f}: the window does not line up with the frames"


def test_fine_codes_that_follow_the_coarse_ones_are_learnt(tmp_path):
    trainer = Trainer("fine", FINE, 1.0, tmp_path / "fine.pt")
    run(trainer, Crops(excerpts(), "fine", FINE, seed=0), 150)
    assert trainer.validate(Crops(excerpts(seed=9), "fine", FINE, seed=0))["mean"] < 0.4


def walks(count=40, length=200, seed=0):
    """A slow walk over the vocabulary: something a small language model can learn, but never wholly."""
    random = np.random.default_rng(seed)
    return [
        Excerpt(
            np.cumsum(random.choice([1, 2, 5], size=length, p=[0.6, 0.3, 0.1])) [:, None] % 16, np.zeros((2 * length, 5), int)
        )
        for _ in range(count)
    ]


def test_8_bits_hardly_change_the_perplexity(tmp_path):
    trainer = Trainer("semantic", SEMANTIC, 1.0, tmp_path / "semantic.pt")
    run(trainer, Crops(walks(), "semantic", SEMANTIC, seed=0), 60)
    model = trainer.model.eval()
    frames = torch.from_numpy(walks(1, 60, seed=7)[0].semantic).long().view(1, 60, 1)
    codes = model.shifted(frames)
    found = {}
    for name, graph in (("plain", export(model, True)), ("8 bits", ship_stage(export(model, True)))):
        cached = Cached(graph, SEMANTIC)
        logits = [cached.run(codes[:, i : i + 1], None)["logits"][0, 0] for i in range(60)]
        every = torch.tensor(np.array(logits)).log_softmax(-1)
        found[name] = -every.gather(1, frames[0]).mean().item()
    assert found["plain"] < 1.3
    assert abs(found["8 bits"] - found["plain"]) < 0.02


def test_a_run_resumes_where_it_stopped(tmp_path):
    path = tmp_path / "semantic.pt"
    crops = Crops(walks(), "semantic", SEMANTIC, seed=0)
    first = Trainer("semantic", SEMANTIC, 1.0, path)
    run(first, crops, 5)
    first.save()
    again = Trainer("semantic", SEMANTIC, 1.0, path)
    assert again.progress == first.progress
    for mine, theirs in zip(again.model.parameters(), first.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    run(again, crops, 2)
    assert again.progress.steps == 7
    assert checkpoint.load(path).stage().config == SEMANTIC


def _write_often(path):
    for _ in range(50):
        checkpoint.write(path, {"of": "any of them"})


def test_processes_that_write_the_same_file_leave_it_whole(tmp_path):
    """As those of `tokenize --processes 2` do with their codebooks."""
    with ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as processes:
        list(processes.map(_write_often, [tmp_path / "codebooks.pt"] * 4))
    assert torch.load(tmp_path / "codebooks.pt", weights_only=True) == {"of": "any of them"}
    assert [path.name for path in tmp_path.iterdir()] == ["codebooks.pt"]


def test_blocks_of_other_tokens_are_a_beginning_and_embeddings_are_not(tmp_path):
    old = Trainer("semantic", SEMANTIC, 1.0, tmp_path / "old.pt")
    old.save()
    new = Trainer("semantic", SEMANTIC, 1.0, tmp_path / "new.pt", begin_from=tmp_path / "old.pt")
    before, after = old.model.state_dict(), new.model.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {"temporal.blocks.0.qkv.weight", "temporal.blocks.0.down.weight"} <= same
    assert not {"heads", "embedding.table"} & same
    with pytest.raises(ValueError, match="same size"):
        begin_with(new.model, {}, None, codebooks())


@pytest.mark.parametrize(("name", "config"), [("coarse", COARSE), ("fine", FINE)])
def test_what_is_known_of_tokens_is_known_of_those_that_stand_for_them(name, config, tmp_path):
    """The new tokens are the old ones in another order, turned a little."""
    random = torch.Generator().manual_seed(1)
    vectors = torch.randn(8, CARDINALITY, 32, generator=random)
    order = torch.stack([torch.randperm(CARDINALITY, generator=random) for _ in vectors])
    turned = vectors.gather(1, order[..., None].expand_as(vectors)) + 0.3 * torch.randn(vectors.shape, generator=random)
    old, new = Codebooks(vectors[:1], vectors), Codebooks(vectors[:1], turned)
    heard = excerpts(10)
    renamed = [Excerpt(e.semantic, np.stack([order[i].argsort().numpy()[b] for i, b in enumerate(e.acoustic.T)], 1)) for e in heard]

    trainer = Trainer(name, config, 1.0, tmp_path / "old.pt", old)
    run(trainer, Crops(heard, name, config, seed=0), 40)
    trainer.averaged = {k: v.clone() for k, v in merged(trainer.model).items()}
    trainer.save()
    knew = trainer.validate(Crops(heard, name, config, seed=0))["mean"]
    begun = {}
    for told in (None, old):
        trainer = Trainer(name, config, 1.0, tmp_path / "new.pt", new, tmp_path / "old.pt", told)
        begun[told is not None] = trainer.validate(Crops(renamed, name, config, seed=0))["mean"]
    assert begun[True] < knew + 0.1 < begun[False] - 0.1, (knew, begun)


def test_tables_of_tokens_that_cannot_be_compared_stay_as_they_came(tmp_path):
    old = Trainer("coarse", COARSE, 1.0, tmp_path / "old.pt", codebooks())
    old.save()
    known = codebooks()
    wider = Codebooks(torch.randn(2, CARDINALITY, 5), known.acoustic)
    config = dataclasses.replace(COARSE, condition_books=2)
    new = Trainer("coarse", config, 1.0, tmp_path / "new.pt", wider, tmp_path / "old.pt", known)
    before, after = merged(old.model), merged(new.model)
    same = {name for name in before if before[name].shape == after[name].shape and torch.equal(before[name], after[name])}
    assert same == set(before) - {"condition.table", "condition.offset"}


def codebooks(cardinality=CARDINALITY):
    """Codes on a circle: near indices are near vectors."""
    angle = torch.arange(cardinality) * math.tau / cardinality
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    return Codebooks(circle.repeat(2, 1, 1), circle.repeat(8, 1, 1))


@pytest.mark.parametrize(("name", "config"), [("coarse", COARSE), ("fine", FINE), ("semantic", SEMANTIC)])
def test_tied_tables_compute_the_same_merged(name, config):
    stage = build(config)
    untied = {name: value.clone() for name, value in stage.state_dict().items()}
    tie(stage, codebooks())
    assert all(torch.equal(value, untied[name]) for name, value in merged(stage).items())
    for parameter in stage.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    plain = build(config)
    plain.load_state_dict(merged(stage))
    batch = Crops(excerpts(4), name, config, seed=0).batch(2, 32)
    assert torch.equal(losses(stage.eval(), batch, CLEAN), losses(plain.eval(), batch, CLEAN))


def test_what_near_codes_have_in_common_is_learnt_once(tmp_path):
    """A slow walk over so many codes that each is heard a few times only."""
    config = dataclasses.replace(SEMANTIC, cardinality=512)
    random = np.random.default_rng(0)

    def walking(count):
        found = random.integers(-3, 4, size=(count, 120, 1)).cumsum(axis=1) + random.integers(512, size=(count, 1, 1))
        return [Excerpt(walk % 512, np.zeros((240, 5), int)) for walk in found]

    heard, held_out = walking(40), Crops(walking(10), "semantic", config, seed=1)
    found = {}
    for name, known in (("free", None), ("tied", codebooks(512))):
        trainer = Trainer("semantic", config, 1.0, tmp_path / name, codebooks=known)
        run(trainer, Crops(heard, "semantic", config, seed=0), 60)
        found[name] = trainer.validate(held_out)["mean"]
    assert found["tied"] < found["free"] - 1.0, found


def test_a_run_begun_untied_goes_on_tied(tmp_path):
    path = tmp_path / "coarse.pt"
    crops = Crops(excerpts(), "coarse", COARSE, seed=0)
    before = None
    for known in (None, codebooks(), codebooks()):
        trainer = Trainer("coarse", COARSE, 1.0, path, codebooks=known)
        for name, value in before or ():
            assert torch.equal(merged(trainer.model)[name], value), name
        run(trainer, crops, 3)
        before = list(merged(trainer.model).items())
        trainer.save()
    assert checkpoint.load(path).stage().config == COARSE, "what a pack is made of is untied"


def test_a_machine_that_slept_has_not_trained(monkeypatch):
    turns = iter([0.0, 60.0, 7200.0, 7260.0])
    monkeypatch.setattr(train_stage.time, "monotonic", lambda: next(turns))
    progress = checkpoint.Progress(budget_minutes=7.0)
    assert sum(1 for _ in train_stage.clock(progress)) == 3
    assert progress.minutes == 7.0


def test_training_from_a_cache_that_grows_ends_by_the_clock(tmp_path):
    (tmp_path / "tokens/train").mkdir(parents=True)
    (tmp_path / "tokens/valid").mkdir(parents=True)
    write_shard(tmp_path / "tokens/train/0.npz", excerpts(4))
    write_shard(tmp_path / "tokens/valid/0.npz", excerpts(2, seed=5))
    trainer = Trainer("coarse", COARSE, 0.03, tmp_path / "coarse.pt")
    train_stage.train(trainer, tmp_path)
    found = checkpoint.load(tmp_path / "coarse.pt").progress
    assert found.steps == trainer.progress.steps > 0
    assert set(found.validation) == {"book 0", "book 1", "book 2", "mean"}


def test_shards_keep_excerpts_apart(tmp_path):
    made = excerpts(3)
    write_shard(tmp_path / "0.npz", made)
    shards = Shards(tmp_path)
    assert shards.refresh() and not shards.refresh()
    for found, wanted in zip(shards.excerpts, made, strict=True):
        np.testing.assert_array_equal(found.semantic, wanted.semantic)
        np.testing.assert_array_equal(found.acoustic, wanted.acoustic)


def test_the_condition_window_follows_the_contract():
    semantic = np.array([[10], [11], [12], [13]])
    window = condition_window(semantic, np.arange(8), 2, (0, 1, 2), 99)
    assert window[0].tolist() == [10, 11, 12]
    assert window[1].tolist() == [10, 11, 12]
    assert window[5].tolist() == [12, 13, 99]
    assert window[7].tolist() == [13, 99, 99]
    assert condition_window(semantic, np.array([-1]), 2, (0,), 99).tolist() == [[99]]
    product = np.array([[10, 20], [11, 21]])
    assert condition_window(product, np.array([0, 2]), 2, (0, 1), 99).tolist() == [[10, 20, 11, 21], [11, 21, 99, 99]]


def test_what_is_hidden_of_the_condition_is_whole_frames():
    config = dataclasses.replace(COARSE, condition_books=2)
    cond = torch.randint(16, (400, 5, config.window))
    hidden = objectives._hide(cond, config, Corruption(condition=0.1, look_ahead=0.5)) == 16
    assert (hidden == hidden[:, :1]).all(), "the same in all of a sequence"
    kept = (~hidden[:, 0]).sum(dim=1)
    assert set(kept.tolist()) == {0, 2, 4, 6}
    assert all(not hidden[i, 0, :n].any() for i, n in enumerate(kept))


def test_frames_behind_the_end_are_not_trained_on():
    model = build(COARSE).eval()
    frames = torch.randint(16, (1, 20, 3))
    cond = torch.randint(16, (1, 20, 3))
    padded = torch.nn.functional.pad(frames, (0, 0, 0, 10), value=PAD)
    longer = torch.nn.functional.pad(cond, (0, 0, 0, 10), value=16)
    with torch.no_grad():
        assert torch.allclose(
            losses(model, {"frames": frames, "cond": cond}, CLEAN),
            losses(model, {"frames": padded, "cond": longer}, CLEAN),
            atol=1e-5,
        )
