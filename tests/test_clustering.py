"""Encoders that find clusters: their results, and the functions they share."""

from __future__ import annotations

import logging
from functools import cache

import numpy as np
import pytest
import torch
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from hashret.encoders import ENCODERS
from hashret.encoders.nn.clusters import few, k_means, sharpened, student_t
from hashret.encoders.nn.expression import self_expression, spectral
from hashret.encoders.nn.gaussian import divergence, drawn, log_density
from hashret.features import CSRMatrix, Features
from hashret.training import Schedule, seeded

NAMES = ["dec", "gmvae", "subspace"]
SHAPE = (1, 8, 8)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """600 images of digits, float32 [600, 64] from 0 to 1, and the digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.data[:600] / 16).astype(np.float32), data.target[:600]


@cache
def fitted(name: str) -> tuple[np.ndarray, object]:
    """Return the clusters that an encoder finds in the digits, and the encoder."""
    images, _ = digits()
    encoder = ENCODERS.get(name).from_params({"clusters": 12, "hidden": "100"})
    encoder.fit(
        Features(images, SHAPE, "unit"), 8, Schedule(epochs=1, min_steps=600, batch_size=64, learning_rate=2e-3)
    )
    return encoder.assign(images), encoder  # type: ignore[attr-defined]


def purity(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(sum(np.bincount(wanted[found == number]).max() for number in np.unique(found)) / len(found))


@pytest.mark.parametrize("name", NAMES)
class TestClusters:
    def test_they_are_those_of_the_digits(self, name: str) -> None:
        found, (_, wanted) = fitted(name)[0].argmax(axis=1), digits()
        by_chance = purity(np.random.default_rng(0).permutation(found), wanted)
        assert purity(found, wanted) > by_chance + 0.45

    def test_most_of_them_are_used(self, name: str) -> None:
        shares = fitted(name)[0]
        assert shares.shape == (600, 12)
        assert len(np.unique(shares.argmax(axis=1))) >= 8

    def test_more_clusters_than_documents_is_no_harm(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        images = digits()[0][:5]
        encoder = ENCODERS.get(name).from_params({"clusters": 30})
        with caplog.at_level(logging.WARNING, "hashret"):
            encoder.fit(Features(images, SHAPE, "unit"), 4, Schedule(epochs=1, min_steps=4))
        shares = encoder.assign(images)  # type: ignore[attr-defined]
        assert shares.shape == (5, 30)
        assert "clusters instead of 30" in caplog.text

    def test_new_documents_have_clusters(self, name: str) -> None:
        rng = np.random.default_rng(0)
        shares, encoder = fitted(name)
        noisy = digits()[0] + rng.normal(0, 0.05, (600, 64)).astype(np.float32)
        agree = encoder.assign(noisy.clip(0, 1)).argmax(axis=1) == shares.argmax(axis=1)  # type: ignore[attr-defined]
        assert agree.mean() > 0.8


class TestDEC:
    def test_gathering_makes_assignments_surer(self) -> None:
        images, _ = digits()
        features, encoder = Features(images, SHAPE, "unit"), ENCODERS.get("dec").from_params({"hidden": "100"})
        schedule = Schedule(epochs=1, min_steps=400, batch_size=64, learning_rate=2e-3, validation_fraction=0.0)
        with seeded(0):
            encoder.pretrain(features, 8, schedule)  # type: ignore[attr-defined]
            before = encoder.assign(images)  # type: ignore[attr-defined]
            encoder.gather(features, schedule)  # type: ignore[attr-defined]
        assert encoder.assign(images).max(axis=1).mean() > before.max(axis=1).mean()  # type: ignore[attr-defined]

    def test_a_layer_and_its_mirror_fit(self) -> None:
        encoder = fitted("dec")[1]
        for number in range(2):
            before, forward, back = encoder.pair(number)  # type: ignore[attr-defined]
            given = before(torch.zeros(3, *SHAPE))
            assert back(forward(given)).shape == given.shape


class TestGMVAE:
    def test_samples_are_documents(self) -> None:
        encoder = fitted("gmvae")[1]
        made = encoder.sample(40, seed=3)  # type: ignore[attr-defined]
        assert made.shape == (40, 64)
        assert (made >= 0).all()
        assert (made <= 1).all()
        np.testing.assert_array_equal(made, encoder.sample(40, seed=3))  # type: ignore[attr-defined]
        assert (made != encoder.sample(40, seed=4)).any()  # type: ignore[attr-defined]

    def test_samples_look_like_documents(self) -> None:
        images, made = digits()[0], fitted("gmvae")[1].sample(100)  # type: ignore[attr-defined]
        noise = np.random.default_rng(0).permuted(images[:100], axis=1)
        far = [np.square(some[:, None] - images).sum(axis=2).min(axis=1).mean() for some in (made, noise)]
        assert far[0] < far[1] / 2


class TestSubspace:
    def test_it_says_that_it_learns_from_a_sample(self, caplog: pytest.LogCaptureFixture) -> None:
        images, wanted = digits()
        encoder = ENCODERS.get("subspace").from_params({"sampled": 300, "clusters": 12, "hidden": "100"})
        with caplog.at_level(logging.WARNING, "hashret"):
            encoder.fit(Features(images, SHAPE, "unit"), 8, Schedule(epochs=1, min_steps=300, learning_rate=2e-3))
        assert "learning from 300 of 600 documents" in caplog.text
        assert purity(encoder.assign(images).argmax(axis=1), wanted) > 0.6  # type: ignore[attr-defined]

    def test_lines_are_told_apart(self) -> None:
        rng = np.random.default_rng(0)
        planes = rng.standard_normal((3, 2, 20))
        points = np.concatenate([rng.standard_normal((40, 2)) @ plane for plane in planes]).astype(np.float32)
        near, share = self_expression(points, 0.1)
        own = np.repeat(np.arange(3), 40)
        assert np.abs(share)[own[near] == own[:, None]].sum() > 0.95 * np.abs(share).sum()
        assert purity(spectral(near, share, 3, 0), own) > 0.95

    def test_self_expression_is_the_lasso(self) -> None:
        from sklearn.linear_model import Lasso

        rng = np.random.default_rng(0)
        points = rng.standard_normal((12, 15)).astype(np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        near, share = self_expression(points, 0.3)
        inner = np.abs(points @ points.T - np.eye(12))
        for row in range(12):
            others = np.delete(points, row, axis=0).T.astype(np.float64)
            lasso = Lasso(alpha=0.3 * inner[row].max() / 15, fit_intercept=False, tol=1e-8, max_iter=10000)
            wanted = np.insert(lasso.fit(others, points[row]).coef_, row, 0)
            found = np.zeros(12)
            found[near[row]] = share[row]
            np.testing.assert_allclose(found, wanted / np.abs(wanted).sum(), atol=1e-3)

    def test_sparse_documents_express_each_other_as_dense_ones_do(self) -> None:
        dense = np.random.default_rng(0).random((30, 12), np.float32)
        offsets = np.arange(0, 361, 12, dtype=np.int64)
        rows = CSRMatrix(dense.ravel(), np.tile(np.arange(12, dtype=np.int32), 30), offsets, 12)
        np.testing.assert_allclose(self_expression(rows, 0.3)[1], self_expression(dense, 0.3)[1], atol=1e-4)


class TestAssignments:
    def test_the_target_is_the_formula(self) -> None:
        q = torch.rand(20, 4, dtype=torch.float64)
        q /= q.sum(1, keepdim=True)
        p = sharpened(q)
        for i in range(20):
            weights = [float(q[i, j] ** 2 / q[:, j].sum()) for j in range(4)]
            np.testing.assert_allclose(p[i], np.array(weights) / sum(weights))

    def test_assignments_are_the_density_of_student_t(self) -> None:
        z, centres = torch.randn(9, 1), torch.randn(4, 1)
        density = torch.distributions.StudentT(1.0, centres[:, 0]).log_prob(z).exp()
        np.testing.assert_allclose(
            student_t(z, centres, torch.ones(4)), density / density.sum(1, keepdim=True), rtol=1e-5
        )

    def test_centres_not_in_use_get_nothing(self) -> None:
        shares = student_t(torch.zeros(5, 2), torch.zeros(3, 2), torch.tensor([1.0, 0.0, 1.0]))
        np.testing.assert_array_equal(shares, np.tile(np.array([0.5, 0, 0.5], np.float32), (5, 1)))

    def test_centres_are_where_the_points_are(self) -> None:
        spots = np.array([[0, 0], [9, 0], [0, 9]], np.float32)
        points = np.repeat(spots, 20, axis=0) + np.random.default_rng(0).normal(0, 0.1, (60, 2)).astype(np.float32)
        centres, used = k_means(points, 3, 0)
        assert used.sum() == 3
        assert (np.square(centres.numpy()[:, None] - spots).sum(axis=2).min(axis=0) < 0.01).all()

    def test_equal_points_make_one_cluster(self, caplog: pytest.LogCaptureFixture) -> None:
        points = np.ones((7, 3), np.float32) * (1 + np.linspace(0, 1e-7, 7, dtype=np.float32))[:, None]
        assert few(points, 4) == 1
        assert "1 clusters instead of 4" in caplog.text
        assert few(np.zeros((3, 2), np.float32), 2) == 1


class TestGaussians:
    def gaussians(self) -> tuple[torch.Tensor, ...]:
        torch.manual_seed(0)
        return tuple(torch.randn(6, 5, dtype=torch.float64) for _ in range(4))

    def known(self, mean: torch.Tensor, spread: torch.Tensor) -> Distribution:
        return Independent(Normal(mean, (spread / 2).exp()), 1)

    def test_their_divergence_is_the_known_one(self) -> None:
        mean, spread, other, wide = self.gaussians()
        wanted = kl_divergence(self.known(mean, spread), self.known(other, wide))
        np.testing.assert_allclose(divergence(mean, spread, other, wide), wanted)

    def test_it_is_the_integral(self) -> None:
        x = torch.linspace(-20, 20, 20001, dtype=torch.float64)[:, None]
        mean, spread, other, wide = (torch.tensor([v], dtype=torch.float64) for v in (0.3, -0.5, -1.0, 0.8))
        p, q = log_density(x, mean, spread), log_density(x, other, wide)
        integral = torch.trapezoid(p.exp() * (p - q), x[:, 0])
        assert float(divergence(mean, spread, other, wide)) == pytest.approx(float(integral), rel=1e-6)

    def test_their_density_is_the_known_one(self) -> None:
        mean, spread, x, _ = self.gaussians()
        np.testing.assert_allclose(log_density(x, mean, spread), self.known(mean, spread).log_prob(x))

    def test_draws_have_mean_and_variance(self) -> None:
        draws = drawn(torch.full((20000,), 2.0), torch.full((20000,), 1.0), torch.Generator().manual_seed(0))
        assert float(draws.mean()) == pytest.approx(2, abs=0.05)
        assert float(draws.var()) == pytest.approx(np.e, rel=0.05)
