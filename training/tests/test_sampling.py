"""What the sampler of docs/pack.md promises."""

import torch

from segue_training.sampling import gumbel, sample

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
