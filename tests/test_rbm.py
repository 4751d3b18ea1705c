"""Restricted Boltzmann machines, compared with enumeration of all states."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from hashret.encoders.nn.rbm import RBM, log_partition, pretrain
from hashret.features import Features
from hashret.training import Schedule, seeded


def states(count: int) -> torch.Tensor:
    return torch.tensor([*product([0.0, 1.0], repeat=count)])


def machine(visible: int, hidden: int, units: str = "binary", linear: bool = False) -> RBM:
    with seeded(0):
        made = RBM(visible, hidden, units, linear)
        made.weight.copy_(torch.randn(visible, hidden))
        made.below.copy_(torch.randn(visible) / 2)
        made.above.copy_(torch.randn(hidden) / 2)
    return made


def exact(rbm: RBM) -> float:
    """ln Z by enumeration of the visible states."""
    return float((-rbm.free_energy(states(len(rbm.below)))).double().logsumexp(0))


def test_the_free_energy_sums_over_hidden_states() -> None:
    rbm = machine(4, 3)
    v, h = states(4), states(3)
    energy = -(v @ rbm.weight @ h.T) - (v @ rbm.below)[:, None] - (h @ rbm.above)[None]
    np.testing.assert_allclose(rbm.free_energy(v), -(-energy).logsumexp(1), rtol=1e-5)


def test_annealed_importance_sampling_finds_the_partition_function() -> None:
    rbm = machine(10, 6)
    assert log_partition(rbm, chains=200, temperatures=500, seed=0) == pytest.approx(exact(rbm), abs=0.1)


def test_means_are_those_of_the_conditional_distributions() -> None:
    rbm = machine(4, 3)
    v, h = states(4), states(3)
    weight = (v @ rbm.weight @ h.T + (v @ rbm.below)[:, None] + (h @ rbm.above)[None]).exp()  # [v, h], up to Z
    np.testing.assert_allclose(rbm.up(v), (weight / weight.sum(1, keepdim=True)) @ h, rtol=1e-4)
    below = (weight / weight.sum(0)).T @ v
    np.testing.assert_allclose(rbm.down(h, torch.ones(8, 1)), below, rtol=1e-4)


def test_words_are_shared_out_among_as_many_as_the_text_has() -> None:
    rbm = machine(5, 3, "words")
    counts = torch.tensor([[3.0], [7.0]])
    np.testing.assert_allclose(rbm.down(torch.rand(2, 3), counts).sum(1, keepdim=True), counts, rtol=1e-5)


def test_contrastive_divergence_makes_what_was_seen_likely() -> None:
    patterns = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]]).float()
    data = patterns.repeat(40, 1).numpy()
    with seeded(1):
        rbm = RBM(6, 8)
        before = float(-rbm.free_energy(patterns).mean()) - exact(rbm)
        pretrain([rbm], Features(data, (6,), "unit"), Schedule(batch_size=20, device="cpu"), 2000, torch.nn.Identity())
    after = float(-rbm.free_energy(patterns).mean()) - exact(rbm)
    assert before == pytest.approx(-6 * np.log(2), abs=0.5)
    assert after > -3.0  # ln(1/3) is the optimum


def test_a_linear_layer_on_top_has_unit_variance() -> None:
    rbm = machine(4, 2, linear=True)
    mean = rbm.up(states(4)[5:6]).expand(20_000, -1)
    with seeded(0):
        drawn = rbm.drawn(mean)
    np.testing.assert_allclose(drawn.mean(0), mean[0], atol=0.05)
    np.testing.assert_allclose(drawn.var(0), 1, atol=0.05)


@pytest.mark.parametrize("units", ["real", "binary"])
def test_layers_are_trained_from_below(units: str) -> None:
    data = np.random.default_rng(0).random((60, 8), np.float32)
    with seeded(0):
        stack = [RBM(8, 6, units), RBM(6, 3, linear=True)]
        before = [rbm.weight.clone() for rbm in stack]
        pretrain(stack, Features(data, (8,)), Schedule(batch_size=10, device="cpu"), 30, torch.nn.Identity())
    for rbm, old in zip(stack, before, strict=True):
        assert torch.isfinite(rbm.weight).all()
        assert (rbm.weight != old).any()
