"""Note tokens of MIDI: they say what was played, and only the semantic stage learns from them."""

from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
import torch

from segue_training.dataset import SOURCE_SHARES
from segue_training.export_tokenizers import TINY_SEMANTIC
from segue_training.notes import DELAY, KEYS, NOTHING
from segue_training.objectives import CLEAN, losses
from segue_training.presets import PRESETS
from segue_training.score_tokens import excerpts, tokens_of, write_shards
from segue_training.stages import build
from segue_training.token_data import UNHEARD_SHARE, Crops, Excerpt, Shards

CONFIG = replace(TINY_SEMANTIC, note_rests=100, codebooks=4, note_books=2, note_levels=8, cardinality=1024)
FRAME = CONFIG.hop / CONFIG.sample_rate


def test_tokens_tell_the_loudest_keys_from_the_highest_down() -> None:
    notes = [(3.5 * FRAME, 1.0, 60, 127), (3.2 * FRAME, 1.0, 72, 64), (3.9 * FRAME, 1.0, 50, 20), (9 * FRAME, 1.0, 21, 1)]
    tokens = tokens_of(np.array(notes, np.float32), 12 * FRAME, CONFIG)
    assert tokens.shape == (12, 4) and (tokens[:, 2:] == CONFIG.cardinality).all()
    assert tokens[3 + DELAY, :2].tolist() == [1 + (72 - 21) * 8 + 4, 1 + (60 - 21) * 8 + 7]
    assert tokens[9 + DELAY, :2].tolist() == [1, NOTHING]
    others = np.delete(tokens[:, :2], [3 + DELAY, 9 + DELAY], axis=0)
    assert (others[:, 0] > KEYS * 8).all() and (others[:, 1] == NOTHING).all(), "rests"
    assert tokens[8 + DELAY, 0] == KEYS * 8 + 5, "the fifth frame of the rest"


def write_midi(path: Path, keys: list[int]) -> None:
    midi, track = mido.MidiFile(), mido.MidiTrack()
    midi.tracks.append(track)
    for turn in range(60):
        for key in keys:
            track.append(mido.Message("note_on", note=key, velocity=40 + turn, time=0))
        track.append(mido.Message("note_off", note=keys[0], time=240))
        for key in keys[1:]:
            track.append(mido.Message("note_off", note=key, time=0))
    midi.save(path)


def test_every_piece_is_played_in_many_ways_and_kept(tmp_path: Path) -> None:
    files = {source: [] for source in SOURCE_SHARES}
    for index, source in enumerate(SOURCE_SHARES):
        path = tmp_path / f"{source}.mid"
        write_midi(path, [60 + index, 64 + index])
        files[source] = [path]
    found = list(excerpts(files, 0.5, CONFIG, seed=1))
    again = list(excerpts(files, 0.5, CONFIG, seed=1))
    assert len(found) > 8 and all((a.semantic == b.semantic).all() for a, b in zip(found, again, strict=True))
    keys = {int(np.max((excerpt.semantic[:, 1] - 1) // 8)) for excerpt in found}
    assert len(keys) > 4, "transposed"
    hours = write_shards(iter(found), tmp_path / "tokens")
    shards = Shards(tmp_path / "tokens")
    assert shards.refresh() and shards.hours == pytest.approx(hours)
    assert [len(e.semantic) for e in shards.excerpts] == [len(e.semantic) for e in found]
    assert all((a.semantic == b.semantic).all() for a, b in zip(shards.excerpts, found, strict=True))


def test_only_the_semantic_stage_is_given_what_nobody_heard() -> None:
    heard = Excerpt(np.full((100, 2), 3, np.int16), np.ones((200, 4), np.int16))
    unheard = Excerpt(np.full((900, 2), 5, np.int16), np.zeros((0, 4), np.int16))
    semantic, coarse, _ = (stage.config for stage in PRESETS["tiny"].stages)
    drawn = Crops([heard, unheard], "semantic", semantic, seed=1).batch(4000, 4)["frames"][:, 0, 0]
    assert abs(float((drawn == 5).float().mean()) - UNHEARD_SHARE) < 0.03
    assert (Crops([heard, unheard], "coarse", coarse, seed=1).batch(50, 4)["frames"] == 1).all()


def test_nothing_is_learnt_of_what_is_not_known() -> None:
    torch.manual_seed(0)
    config = PRESETS["tiny"].stage("semantic").config
    stage = build(config)
    frames = torch.randint(config.cardinality, (2, 12, config.codebooks))
    whole = losses(stage, {"frames": frames}, CLEAN)
    half = frames.clone()
    half[..., -1] = config.cardinality
    loss = losses(stage, {"frames": half}, CLEAN)
    assert loss[-1] == 0 and loss[0] > 1 and whole[-1] > 1
    loss.sum().backward()
    assert not stage.heads.grad[-1].any() and stage.heads.grad[0].any()
    one = torch.cat([frames[:1], half[1:]])
    alone = losses(stage, {"frames": frames[:1]}, CLEAN)
    assert torch.allclose(losses(stage, {"frames": one}, CLEAN)[-1], alone[-1], atol=1e-5), "a mean of what is known"


def test_how_pieces_end_is_not_learnt() -> None:
    config = PRESETS["tiny"].stage("semantic").config
    first = config.rests[0]
    piece = np.full((300, 2), first + 3, np.int16)
    piece[:200:10] = 5
    found = Crops([Excerpt(piece, np.zeros((600, 4), np.int16))], "semantic", config, seed=1).batch(200, 20)["frames"]
    assert (found[..., 0] == 5).any(dim=1).all(), "no crop is of the silence behind the last note"
    silent = Excerpt(np.full((300, 2), first, np.int16), np.zeros((600, 4), np.int16))
    assert len(Crops([silent, Excerpt(piece, silent.acoustic)], "semantic", config, seed=1)._excerpts) == 1
