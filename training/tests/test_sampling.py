"""What the sampler of docs/pack.md promises."""

import numpy as np
import torch

from segue_training.sampling import gumbel, sample, sample_or_hold, sample_or_rest, tilted

LOGITS = torch.tensor([[0.1, 3.0, 2.0, -1.0, 2.5]])


def test_no_noise_is_greedy():
    token, log_prob = sample(LOGITS, torch.zeros(1, 3), 1.0, 1.0)
    assert token.item() == 1
    assert torch.isclose(log_prob, LOGITS.log_softmax(-1)[:, 1]).all()


def test_top_p_keeps_only_what_is_reached_before_it():
    noise = torch.tensor([[0.0, 1.0, 50.0, 0.0, 0.0]])  # would pick the third most likely: token 2
    assert sample(LOGITS, noise, 1.0, 1.0)[0].item() == 2
    assert sample(LOGITS, noise, 1.0, 0.6)[0].item() == 4  # p = .48 .29 .18: two remain
    assert sample(LOGITS, noise, 1.0, 0.0)[0].item() == 1  # the best is always kept


def test_temperature_moves_the_cut():
    noise = torch.tensor([[0.0, 50.0, 0.0, 0.0, 0.0]])
    assert sample(LOGITS, noise, 1.0, 0.6)[0].item() == 4
    assert sample(LOGITS, noise, 10.0, 0.6)[0].item() == 1  # cold: the best alone has more than 0.6


def test_the_same_noise_gives_the_same_tokens_and_frequencies_follow_the_probabilities():
    rows = LOGITS.expand(20000, 5)

    def draw(seed):
        return sample(rows, gumbel((20000, 5), torch.Generator().manual_seed(seed)), 1.0, 1.0)[0]

    assert torch.equal(draw(1), draw(1))
    share = torch.bincount(draw(2), minlength=5) / 20000
    assert torch.allclose(share, LOGITS.softmax(-1)[0], atol=0.015)


def test_only_the_candidates_are_drawn():
    rows = LOGITS.expand(1000, 5)
    token, _ = sample(rows, gumbel((1000, 2), torch.Generator().manual_seed(0)), 0.1, 1.0)
    assert set(token.tolist()) == {1, 4}


def test_temperature_leaves_the_hold_alone_and_sharpens_the_moves():
    rows, previous = LOGITS.expand(20000, 5), torch.full((20000,), 2)
    noise = gumbel((20000, 5), torch.Generator().manual_seed(1))
    hold = LOGITS.softmax(-1)[0, 2].item()
    for inv_temperature in (0.5, 1.0, 4.0):
        token, _ = sample_or_hold(rows, previous, noise, inv_temperature, 1.0)
        assert abs((token == 2).float().mean().item() - hold) < 0.02
        moves = (LOGITS * inv_temperature).masked_fill(torch.arange(5) == 2, -1e9).softmax(-1)[0]
        assert abs((token[token != 2] == 1).float().mean().item() - moves[1].item()) < 0.02


def test_a_stream_without_a_past_and_a_greedy_one():
    none, silent = torch.tensor([5]), torch.zeros(1, 5)
    token, log_prob = sample_or_hold(LOGITS, none, silent, 1.0, 1.0)
    assert token.item() == 1 and torch.isfinite(log_prob).all()
    assert sample_or_hold(LOGITS, torch.tensor([1]), silent, 1.0, 1.0)[0].item() == 1
    assert sample_or_hold(LOGITS, torch.tensor([4]), torch.tensor([[0.0, 0, 0, 0, 50.0]]), 9.0, 0.1)[0].item() == 4


def test_temperature_leaves_the_rests_alone_and_sharpens_the_notes():
    """Tokens 3 and 4 are rests: together they are drawn as often as the model says, and count."""
    rows, noise = LOGITS.expand(20000, 5), gumbel((20000, 5), torch.Generator().manual_seed(1))
    resting = LOGITS.softmax(-1)[0, 3:].sum()
    for before, rest in ((0, 3), (3, 4), (4, 4), (5, 3)):
        previous = torch.full((20000,), before)
        for inv_temperature, top_p in ((0.5, 1.0), (1.0, 1.0), (4.0, 1.0), (1.0, 0.6)):
            token, log_prob = sample_or_rest(rows, previous, range(3, 5), noise, inv_temperature, top_p)
            assert abs((token == rest).float().mean().item() - resting.item()) < 0.02
            assert torch.allclose(log_prob[token == rest], resting.log())
            notes = (LOGITS[0, :3] * inv_temperature).softmax(-1)
            played = token[token != rest]
            assert (played < 3).all()
            assert abs((played == 1).float().mean().item() - (1.0 if top_p < 1 else notes[1].item())) < 0.02
    eager, _ = sample_or_rest(rows, previous, range(3, 5), noise, 1.0, 1.0, eagerness=0.7)
    odds = (1 - resting) / resting * np.exp(0.7)
    assert abs((eager < 3).float().mean().item() - (odds / (1 + odds)).item()) < 0.02
    few, _ = sample_or_rest(rows, torch.zeros(20000, dtype=torch.long), range(3, 5), noise[:, :2], 1.0, 1.0)
    assert set(few.tolist()) == {1, 3}, "the best note and the rest"


def test_a_tilt_moves_probability_among_notes_alone():
    before = LOGITS.softmax(-1)[0]
    after = tilted(LOGITS, torch.tensor([[2.0, -1.0]]), 1).softmax(-1)[0]
    assert torch.allclose(after[[0, 3, 4]], before[[0, 3, 4]])
    assert torch.isclose((after[1] / after[2]).log() - (before[1] / before[2]).log(), torch.tensor(3.0))
    assert torch.allclose(tilted(LOGITS, torch.zeros(1, 2), 1), LOGITS)
