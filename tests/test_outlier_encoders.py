"""Outlier scores: formulas compared with known implementations, and outliers among digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KernelDensity
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from hashret import encoder_state
from hashret.encoders import ENCODERS
from hashret.encoders.dagmm import DAGMM, energies
from hashret.encoders.density import Density
from hashret.encoders.robust import Robust, shrunk_entries, shrunk_rows
from hashret.encoders.student_t import StudentT, log_gaussian, log_t
from hashret.features import Features, Floats
from hashret.training import Schedule

from .samples import dense

SCHEDULE = Schedule(epochs=5, min_steps=400, max_steps=400, batch_size=64, learning_rate=3e-3, device="cpu")


@pytest.fixture(scope="module")
def planted() -> tuple[Features, np.ndarray]:
    """300 images of 0 and 1, 20 whose pixels were shuffled among them, and which those are."""
    data = load_digits()
    chosen = data.data[data.target < 2][:320] / 16
    outliers = np.arange(320) % 16 == 0
    rng = np.random.default_rng(0)
    for row in np.flatnonzero(outliers):
        chosen[row] = rng.permutation(chosen[row])
    return Features(chosen.astype(np.float32), (1, 8, 8), "unit"), outliers


@pytest.mark.parametrize(
    ("name", "params", "least"),
    [
        ("density", {"by": "centroid"}, 0.7),
        ("density", {"by": "kde"}, 0.7),
        ("density", {"by": "kde", "bandwidth": "likelihood"}, 0.7),
        ("dagmm", {"components": 2}, 0.7),
        ("robust", {"shrink": "rows"}, 0.9),
        ("robust", {"shrink": "entries"}, 0.9),
        ("student-t", {"output": "student-t"}, 0.9),
        ("student-t", {"output": "gaussian"}, 0.9),
    ],
)
def test_planted_outliers_score_high(
    name: str, params: dict[str, Any], least: float, planted: tuple[Features, np.ndarray]
) -> None:
    features, outliers = planted
    encoder: Any = ENCODERS.get(name).from_params(params).fit(features, 8, SCHEDULE)
    reached = roc_auc_score(outliers, encoder.outlier_scores(features.input))
    assert reached > least, reached


@pytest.mark.parametrize("name", ["density", "dagmm", "robust", "student-t"])
def test_scores_survive_a_file(name: str, planted: tuple[Features, np.ndarray]) -> None:
    x = dense(planted[0].input)
    encoder: Any = ENCODERS.get(name)().fit(planted[0], 8, SCHEDULE)
    data, shared = encoder_state.split(encoder.state(), encoder.program().tensors)
    state = encoder_state.join(data, shared, encoder.program().tensors)
    again: Any = ENCODERS.get(name)().restore(Features(x[:0], (1, 8, 8), "unit"), 8, state)
    np.testing.assert_array_equal(again.outlier_scores(x), encoder.outlier_scores(x))


def codes_of(encoder: Density, x: Floats) -> np.ndarray:
    codes = encoder.over(x, encoder.bottleneck)
    return np.asarray((codes - encoder.get_buffer("mean").numpy()) / encoder.get_buffer("deviation").numpy())


class TestDensity:
    def test_kde_is_the_known_one(self, planted: tuple[Features, np.ndarray]) -> None:
        x = dense(planted[0].input)
        assert isinstance(x, np.ndarray)
        encoder = Density(by="kde").fit(planted[0], 6, SCHEDULE)
        codes = codes_of(encoder, x)
        known = KernelDensity(bandwidth=3**0.5).fit(codes)
        np.testing.assert_allclose(encoder.outlier_scores(x), -known.score_samples(codes), rtol=1e-4)

    def test_the_likeliest_width_is_that_of_a_search_over_held_out_codes(
        self, planted: tuple[Features, np.ndarray]
    ) -> None:
        encoder = Density(by="kde", bandwidth="likelihood").fit(planted[0], 6, SCHEDULE)
        first, second = (part.numpy() for part in encoder.get_buffer("kept").chunk(2))
        widths = [3**0.5 / 2 ** (step / 2) for step in range(13)]
        known = [KernelDensity(bandwidth=width).fit(first).score(second) for width in widths]
        assert float(encoder.get_buffer("width")) == pytest.approx(widths[int(np.argmax(known))])

    def test_outliers_inside_a_ring_need_a_narrow_kernel(self) -> None:
        rng = np.random.default_rng(0)
        angle = rng.uniform(0, 2 * np.pi, 300)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1)
        rows = np.concatenate([4 * ring, np.zeros((10, 2))]) + rng.normal(0, 0.3, (310, 2))
        outliers = np.arange(310) >= 300
        reached = {}
        for bandwidth in ("published", "likelihood"):
            encoder = Density(units="linear", by="kde", bandwidth=bandwidth)
            encoder.fit(Features(rows.astype(np.float32), (2,)), 2, SCHEDULE)
            reached[bandwidth] = roc_auc_score(outliers, encoder.outlier_scores(rows.astype(np.float32)))
        assert reached["published"] < 0.1
        assert reached["likelihood"] > 0.8

    def test_the_centroid_is_the_mean_of_standardised_codes(self, planted: tuple[Features, np.ndarray]) -> None:
        x = dense(planted[0].input)
        assert isinstance(x, np.ndarray)
        encoder = Density().fit(planted[0], 6, SCHEDULE)
        codes = codes_of(encoder, x)
        np.testing.assert_allclose(codes.std(axis=0), 1, rtol=1e-3)
        np.testing.assert_allclose(encoder.outlier_scores(x), np.linalg.norm(codes, axis=1), rtol=1e-4)

    def test_only_so_many_codes_are_kept(
        self, planted: tuple[Features, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hashret.encoders.density.KEPT", 50)
        encoder = Density(by="kde").fit(planted[0], 6, SCHEDULE)
        assert encoder.get_buffer("kept").shape == (50, 6)
        assert np.isfinite(encoder.outlier_scores(planted[0].input)).all()


class TestDAGMM:
    def test_energy_is_the_log_density_of_a_mixture(self) -> None:
        torch.manual_seed(0)
        shares, means = torch.tensor([0.2, 0.5, 0.3]).double(), torch.randn(3, 4).double()
        factors = torch.randn(3, 4, 4).double().tril() + 3 * torch.eye(4)
        known = MixtureSameFamily(Categorical(shares), MultivariateNormal(means, scale_tril=factors))
        u = torch.randn(20, 4)
        torch.testing.assert_close(energies(u, (shares, means, factors)), -known.log_prob(u.double()))

    def test_one_component_has_mean_and_covariance_of_all(self, planted: tuple[Features, np.ndarray]) -> None:
        encoder = DAGMM(components=1).fit(planted[0], 4, SCHEDULE)
        u = encoder.over(planted[0].input, lambda x: encoder.described(x)[0]).astype(np.float64)
        known = stats.multivariate_normal(u.mean(axis=0), np.cov(u.T, bias=True) + 1e-6 * np.eye(6))
        np.testing.assert_allclose(encoder.outlier_scores(planted[0].input), -known.logpdf(u), rtol=1e-3, atol=1e-3)

    def test_errors_are_relative_and_an_angle(self, planted: tuple[Features, np.ndarray]) -> None:
        x = dense(planted[0].input)
        encoder = DAGMM().fit(planted[0], 4, SCHEDULE)
        u, again = encoder.over(x, lambda rows: encoder.described(rows)[0]), encoder.reconstruct(x)
        lengths = np.linalg.norm(x, axis=1)
        np.testing.assert_allclose(u[:, 4], np.linalg.norm(x - again, axis=1) / lengths, rtol=1e-4)
        angle = (x * again).sum(axis=1) / lengths / np.linalg.norm(again, axis=1)
        np.testing.assert_allclose(u[:, 5], angle, rtol=1e-4)


class TestRobust:
    def test_shrinking_entries_solves_its_problem(self) -> None:
        r = np.random.default_rng(0).normal(size=40)
        candidates = np.linspace(-4, 4, 80_001)
        wanted = [candidates[((value - candidates) ** 2 / 2 + 0.7 * abs(candidates)).argmin()] for value in r]
        found = shrunk_entries(torch.from_numpy(r)[None], torch.tensor(0.7))
        np.testing.assert_allclose(found[0], wanted, atol=1e-3)

    @pytest.mark.parametrize("level", [0.5, 1.5, 5.0])
    def test_shrinking_rows_solves_its_problem(self, level: float) -> None:
        r = np.random.default_rng(0).normal(size=3)
        problem = minimize(lambda s: ((r - s) ** 2).sum() / 2 + level * np.linalg.norm(s), r, method="Nelder-Mead")
        found = shrunk_rows(torch.from_numpy(r)[None], torch.tensor(level))
        np.testing.assert_allclose(found[0], problem.x, atol=1e-3)

    def test_what_is_set_aside_scores_above_0(self, planted: tuple[Features, np.ndarray]) -> None:
        features, outliers = planted
        scores = Robust(lam=1.5).fit(features, 8, SCHEDULE).outlier_scores(features.input)
        flagged = scores > 0
        assert 0 < flagged.mean() < 0.2
        assert outliers[flagged].mean() > 0.5

    def test_nothing_is_set_aside_where_lambda_is_large(self, planted: tuple[Features, np.ndarray]) -> None:
        for shrink in ("rows", "entries"):
            encoder = Robust(lam=100, shrink=shrink).fit(planted[0], 8, SCHEDULE)
            assert (encoder.outlier_scores(planted[0].input) < 0).all()
            np.testing.assert_array_equal(encoder.without_rest(planted[0].input, planted[0].input), planted[0].input)

    @pytest.mark.parametrize("shrink", ["rows", "entries"])
    def test_what_remains_lies_between_a_document_and_what_is_made_of_it(
        self, shrink: str, planted: tuple[Features, np.ndarray]
    ) -> None:
        x = dense(planted[0].input)
        encoder = Robust(lam=0.5, shrink=shrink).fit(planted[0], 8, SCHEDULE)
        low, again = encoder.without_rest(x, x), encoder.reconstruct(x)
        assert isinstance(low, np.ndarray)
        assert (low >= np.minimum(x, again) - 1e-5).all()
        assert (low <= np.maximum(x, again) + 1e-5).all()


class TestStudentT:
    def test_densities_are_the_known_ones(self) -> None:
        rng = np.random.default_rng(0)
        x, m = rng.normal(size=(2, 50))
        a, v = rng.uniform(0.1, 9, size=(2, 50))
        squares, precision, freedom = (torch.from_numpy(part) for part in ((x - m) ** 2, a, v))
        np.testing.assert_allclose(log_t(squares, precision, freedom), stats.t.logpdf(x, v, m, a**-0.5))
        np.testing.assert_allclose(log_gaussian(squares, precision), stats.norm.logpdf(x, m, a**-0.5))

    def test_the_likelihood_is_the_integral_over_codes(self) -> None:
        x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
        encoder = StudentT(hidden=(16,)).fit(Features(x, (3,)), 1, SCHEDULE)
        z = torch.linspace(-8, 8, 4001)[:, None]
        rows = torch.from_numpy(x[:20])
        with torch.no_grad():
            joint = [
                encoder.log_density(row.expand(len(z), 3), z) + log_gaussian(z[:, 0] ** 2, torch.ones(1))
                for row in rows
            ]
        known = torch.stack(joint).logsumexp(1) + np.log(16 / 4000)
        np.testing.assert_allclose(-encoder.outlier_scores(x[:20]), known, atol=0.5)
        assert np.abs(-encoder.outlier_scores(x[:20]) - known.numpy()).mean() < 0.1

    def test_samples_look_like_the_documents(self, planted: tuple[Features, np.ndarray]) -> None:
        x = dense(planted[0].input)
        assert isinstance(x, np.ndarray)
        encoder = StudentT().fit(planted[0], 4, SCHEDULE)
        drawn = encoder.sample(200, seed=1)
        np.testing.assert_array_equal(drawn, encoder.sample(200, seed=1))
        assert (drawn != encoder.sample(200, seed=2)).any()
        assert np.abs(drawn.mean(axis=0) - x.mean(axis=0)).mean() < 0.1
