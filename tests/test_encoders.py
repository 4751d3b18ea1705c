"""The contract of all registered encoders, and the parts of encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hashret.encoders import ENCODERS
from hashret.encoders.neighborhood import Neighborhood
from hashret.encoders.nn.binarize import medians
from hashret.encoders.nn.bodies import Standardize, convolutional, mlp, program, suited
from hashret.encoders.pca import PCA
from hashret.errors import UsageError
from hashret.features import CSRMatrix, Features, Floats, mean_of
from hashret.projection import principal
from hashret.testing import EncoderSuite
from hashret.testing.encoders import short
from hashret.training import Schedule

Corpora = Callable[[str], tuple[Features, list[str]]]

LIMITS: dict[str, dict[str, Any]] = {
    "lsh": {"share": 0.2},
    "autoencoder": {"share": 0.1},
    "deep": {"share": 0.3, "share_on": {"colour": 0.1}},
    "sparse": {"share": 0.3},
    "semantic-hashing": {"steps": 1000},  # noise with standard deviation 4 hides the code until its logits have grown
    "denoising": {"share": 0.3, "steps": 600},
    "density": {"share": 0.25},
    "pca": {"fewest": 5, "all_bits": False, "refusal": "components", "seeded": False},
    "itq": {"fewest": 2, "refusal": "components"},
    "spectral": {"fewest": 2, "refusal": "components", "seeded": False},
}
"""What the suite cannot ask of an encoder, or not after so few steps."""


class Suite(EncoderSuite):
    """The suite; `scripts/test` leaves one test out."""

    @pytest.mark.slow
    def test_the_seed_decides(self) -> None:
        super().test_the_seed_decides()


for _name in ENCODERS.names():
    _attributes = {"encoder": ENCODERS.get(_name), "__module__": __name__, **LIMITS.get(_name, {})}
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (Suite,), _attributes)


def test_the_error_for_too_many_bits_says_how_many_components_there_are(schedule: Schedule) -> None:
    narrow = Features(np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32), (3,))
    with pytest.raises(UsageError, match="3 components here, too few for 20 bits"):
        PCA().fit(narrow, 20, schedule)


class TestMedians:
    def test_each_bit_is_halved(self) -> None:
        logits = np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32)
        assert ((logits > medians(logits)).sum(axis=0) == 50).all()
        np.testing.assert_allclose(medians(logits), np.median(logits, axis=0), atol=1e-6)

    @pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
    def test_no_document_lies_on_one(self, count: int) -> None:
        logits = np.random.default_rng(0).integers(-2, 3, (count, 40)).astype(np.float32)
        ones = logits > medians(logits)
        assert (np.abs(logits - medians(logits)) > 1e-3).all()
        assert (ones == (logits + 1e-6 > medians(logits))).all()

    def test_equal_documents_fall_on_one_side(self) -> None:
        column = np.array([0.0] * 10 + [1.0] * 70 + [2.0] * 20, np.float32)
        noise = np.random.default_rng(0).uniform(-1e-6, 1e-6, (100, 1)).astype(np.float32)
        assert (column[:, None] + noise > medians(column[:, None] + noise)).sum() == 20
        assert not (3 + noise > medians(3 + noise)).any()


class TestBodies:
    def test_images_of_some_size_are_convolved(self) -> None:
        for shape, convolved in [((3, 16, 16), (3,)), ((1, 19, 30), (1, 3))]:
            layers = suited(shape, (8,), 4, 0, "auto", False, convolved)
            assert any(isinstance(layer, torch.nn.Conv2d) for layer in layers)
            assert layers.eval()(torch.zeros(2, *shape)).shape == (2, 4)
        for other in [(1, 16, 16), (3, 8, 8), (64,)]:
            layers = suited(other, (8,), 4, 0, "auto", False)
            assert not any(isinstance(layer, torch.nn.Conv2d) for layer in layers)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_the_default_reads_edges_and_colours_of_large_images(self, channels: int) -> None:
        rng = np.random.default_rng(0)
        for side, wanted in ((16, True), (8, False)):
            shape = (channels, side, side)
            features = Features(rng.random((60, channels * side**2)).astype(np.float32), shape, "unit")
            encoder = Neighborhood().fit(features, 8, short())
            made = encoder.program()
            assert any(line["op"] == "describe" for line in made.lines) == wanted
            assert not any(line["op"] == "conv2d" for line in made.lines)
            x = torch.from_numpy(features.input).reshape(-1, *shape)
            with torch.no_grad():
                np.testing.assert_allclose(made.logits(features.input), encoder.logits(x).numpy(), rtol=1e-4, atol=1e-4)

    def test_a_convolution_of_no_image_is_refused(self, corpora: Corpora, schedule: Schedule) -> None:
        with pytest.raises(UsageError, match="needs images of at least 4 x 4"):
            ENCODERS.get("bernoulli").from_params({"body_kind": "conv"}).fit(corpora("real")[0], 8, schedule)

    @pytest.mark.parametrize("kind", ["sparse", "colour"])
    def test_no_hidden_layer_is_a_choice(self, kind: str, corpora: Corpora, schedule: Schedule) -> None:
        encoder = ENCODERS.get("bernoulli").from_params({"hidden": ""})
        assert encoder.fit(corpora(kind)[0], 8, short()).program().bits == 8

    @pytest.mark.parametrize("shape", [(3, 9, 7), (1, 5, 4)])
    def test_a_convolutional_body_becomes_a_program(self, shape: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        norm = torch.nn.BatchNorm1d(5)
        body = torch.nn.Sequential(convolutional(shape, (8,), 5), norm).eval()
        assert norm.running_mean is not None
        norm.running_mean.uniform_()
        norm.weight.data.uniform_()
        made = program(body, np.zeros(5, np.float32), shape)
        x = torch.randn(6, *shape)
        with torch.no_grad():
            np.testing.assert_allclose(made.logits(x.flatten(1).numpy()), body(x), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
    def test_an_mlp_becomes_a_program(self, activation: str) -> None:
        torch.manual_seed(0)
        body = mlp((12, 9, 5), activation, dropout=0.5, flatten=True).eval()
        x = torch.randn(6, 3, 4)
        made = program(body, np.zeros(5, np.float32), (3, 4))
        with torch.no_grad():
            np.testing.assert_allclose(made.logits(x.flatten(1).numpy()), body(x), rtol=1e-4, atol=1e-5)

    def test_a_sparse_first_layer_is_a_linear_one(self, corpora: Corpora) -> None:
        torch.manual_seed(0)
        layer = mlp((30, 4), "relu", sparse=True)
        x = torch.randn(5, 30) * (torch.rand(5, 30) < 0.2)
        x[0] = x[4] = 0
        made = program(layer, np.zeros(4, np.float32), (30,))
        with torch.no_grad():
            np.testing.assert_allclose(made.logits(x.numpy()), layer(x), rtol=1e-5, atol=1e-6)
        layer(x).sum().backward()

    def test_a_layer_that_no_operation_stands_for_is_refused(self) -> None:
        with pytest.raises(TypeError, match="no operation for layer GELU"):
            program(torch.nn.Sequential(torch.nn.GELU()), np.zeros(1, np.float32), (1,))

    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
    def test_standardized_vectors_have_mean_0_and_variance_1(self, scale: float) -> None:
        x = np.random.default_rng(0).normal(3 * scale, scale, (200, 10)).astype(np.float32)
        out = Standardize.of(x)(torch.from_numpy(x)).numpy()
        assert abs(out.mean()) < 1e-3
        assert out.var() == pytest.approx(1, abs=1e-2)


class TestPrincipalComponents:
    def check(self, found: tuple[Floats, Floats], dense: np.ndarray) -> None:
        mean, components = found
        centred = dense.astype(np.float64) - dense.mean(axis=0, dtype=np.float64)
        wanted = np.linalg.svd(centred, full_matrices=False)[2][: len(components)]
        np.testing.assert_allclose(mean, dense.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(np.abs((components * wanted).sum(axis=1)), 1, atol=1e-3)
        assert (components.max(axis=1) >= -components.min(axis=1)).all()

    def scaled(self, n: int, dim: int) -> np.ndarray:
        values = np.random.default_rng(0).standard_normal((n, dim)) * np.linspace(5, 0.1, dim)
        return values.astype(np.float32)

    def test_they_are_those_of_the_singular_value_decomposition(self) -> None:
        dense = self.scaled(60, 9)
        self.check(principal(Features(dense, (9,)), 4, 0), dense)

    def test_also_of_long_rows(self) -> None:
        dense = np.repeat(self.scaled(40, 12), 200, axis=1)
        self.check(principal(Features(dense, (2400,)), 5, 0), dense)

    @pytest.mark.parametrize("count", [3, 50])
    def test_also_of_a_large_sparse_matrix(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hashret.projection.SMALL_VALUES", 100)
        dense = self.scaled(80, 10)
        dense[np.random.default_rng(1).random(dense.shape) < 0.4] = 0
        row, column = dense.nonzero()
        offsets = np.concatenate([[0], np.bincount(row, minlength=80).cumsum()]).astype(np.int64)
        rows = CSRMatrix(dense[row, column], column.astype(np.int32), offsets, 10)
        found = principal(Features(rows, (10,)), count, 0)
        assert len(found[1]) == min(count, 10)
        self.check(found, dense)

    def test_equal_rows_have_some_all_the_same(self) -> None:
        found = principal(Features(np.ones((5, 2100), np.float32), (2100,)), 3, 0)[1]
        assert np.isfinite(found).all()


def test_rows_are_the_dense_matrix_in_short(corpora: Corpora) -> None:
    rows = corpora("sparse")[0].input
    assert isinstance(rows, CSRMatrix)
    dense, chosen = rows.dense(), np.array([7, 3, 3, 199])
    np.testing.assert_array_equal(rows.take(chosen).dense(), dense[chosen])
    np.testing.assert_array_equal(rows.take(np.array([], np.int64)).dense(), dense[:0])
    np.testing.assert_array_equal(rows.slice(5, 9).dense(), dense[5:9])
    np.testing.assert_allclose(mean_of(rows), dense.mean(axis=0), atol=1e-6)
    weight = np.random.default_rng(0).standard_normal((rows.width, 6)).astype(np.float32)
    np.testing.assert_allclose(rows.matmul(weight), dense @ weight, atol=1e-5)
