"""The contract of every encoder, which it passes by being listed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, get_origin, get_type_hints

import numpy as np
import pytest
import torch

from hashret.codes import hamming, width
from hashret.encoders import ENCODERS
from hashret.encoders.base import Encoder, abilities
from hashret.encoders.nn.binarize import medians
from hashret.encoders.nn.bodies import Standardize, convolutional, mlp, program, suited
from hashret.encoders.nn.net import Autoencoder
from hashret.errors import HashretError, UsageError
from hashret.features import CSRMatrix, Features, Floats, mean_of
from hashret.options import Options
from hashret.projection import principal
from hashret.training import Schedule, batch

NAMES = ENCODERS.names()
KINDS = ["sparse", "grey", "colour", "real"]
CPU = torch.device("cpu")

SHARES = {"lsh": 0.2, "autoencoder": 0.1, "deep": 0.3, "sparse": 0.3, "denoising": 0.3, "density": 0.25}
"""How much of the way from chance to all neighbours right an encoder must come with so few steps; else 0.4."""

PATIENCE = {"semantic-hashing": 1000, "denoising": 600}
"""Steps of those that learn nothing in 120: noise of standard deviation 4 drowns a code until its logits have grown."""

Fitted = Callable[..., Encoder]
Corpora = Callable[[str], tuple[Features, list[str]]]


def part(features: Features, rows: np.ndarray) -> Features:
    matrix = features.input
    taken = matrix.take(rows) if isinstance(matrix, CSRMatrix) else matrix[rows]
    return Features(taken, features.shape, features.feature_type)


def precision_at_10(codes: np.ndarray, labels: list[str]) -> float:
    distances = hamming(codes, codes).astype(np.int64)
    np.fill_diagonal(distances, 1 << 20)
    nearest = distances.argsort(axis=1, kind="stable")[:, :10]
    named = np.array(labels)
    return float((named[nearest] == named[:, None]).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
class TestOnEveryKindOfFeatures:
    def test_codes_have_the_bits_asked_for(self, name: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        made = fitted(name, kind).program()
        codes = made.encode(corpora(kind)[0].input)
        assert made.bits == 16
        assert codes.dtype == np.uint8
        assert codes.shape == (len(corpora(kind)[0]), 2)

    def test_codes_keep_neighbours(self, name: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        features, labels = corpora(kind)
        chance = 1 / len(set(labels))
        made = fitted(name, kind, steps=PATIENCE[name]) if name in PATIENCE else fitted(name, kind)
        reached = precision_at_10(made.program().encode(features.input), labels)
        share = 0.1 if (name, kind) == ("deep", "colour") else SHARES.get(name, 0.4)  # 120 steps are few for it
        assert reached > chance + share * (1 - chance), reached

    def test_the_program_does_what_the_net_does(self, name: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        net, features = fitted(name, kind), corpora(kind)[0]
        if not isinstance(net, Autoencoder):
            pytest.skip("no net")
        made = net.program()
        with torch.no_grad():
            theirs = net.logits(batch(features, np.arange(len(features)), CPU)[0]).numpy()
        ours = made.logits(features.input)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
        differ = (ours > made.threshold) != (theirs > made.threshold)
        margin = np.abs(theirs - made.threshold) / np.ptp(theirs)
        assert (margin[differ] < 1e-5).all()

    def test_a_code_does_not_depend_on_the_batch(self, name: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        made, features = fitted(name, kind).program(), part(corpora(kind)[0], np.arange(60))
        at_once = made.logits(features.input)
        alone = np.concatenate([made.logits(part(features, np.array([i])).input) for i in range(len(features))])
        assert np.abs(at_once - alone).max() <= 1e-5 * np.ptp(at_once)

    def test_equal_documents_get_equal_codes(self, name: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        made, features = fitted(name, kind).program(), corpora(kind)[0]
        twice = part(features, np.concatenate([np.arange(50), np.arange(50)]))
        codes = made.encode(twice.input)
        assert (codes[:50] == codes[50:]).all()

    def test_all_equal_documents_do_no_harm(self, name: str, kind: str, corpora: Corpora, schedule: Schedule) -> None:
        features = part(corpora(kind)[0], np.zeros(12, np.int64))
        encoder = ENCODERS.get(name)()
        made = encoder.fit(features, 8, short(schedule)).program()
        assert np.isfinite(made.logits(features.input)).all()
        if encoder.trained:  # the others' hyperplanes go through the mean, where such documents lie
            logits = made.logits(features.input)
            clear = np.abs(logits - made.threshold) > 1e-5 * np.abs(logits)
            ones = (logits > made.threshold) & clear
            assert (ones == ones[:1]).all()

    def test_most_documents_equal_share_a_code(
        self, name: str, kind: str, corpora: Corpora, schedule: Schedule
    ) -> None:
        rows = np.concatenate([np.zeros(41, np.int64), np.arange(1, 31)])
        features = part(corpora(kind)[0], rows)
        made = ENCODERS.get(name)().fit(features, 8, short(schedule)).program()
        assert len(np.unique(made.encode(features.input)[:41], axis=0)) == 1


def compute(encoder: Encoder, ability: str, matrix: Floats | CSRMatrix) -> np.ndarray:
    """What a capability gives of the features, a row a document; of `sample`, as many rows."""
    return np.asarray(encoder.sample(len(matrix)) if ability == "sample" else getattr(encoder, ability)(matrix))


ABLE = [(name, ability) for name in NAMES for ability in abilities(ENCODERS.get(name))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "ability"), ABLE)
class TestCapabilities:
    def test_a_row_a_document(self, name: str, ability: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        encoder, features = fitted(name, kind), part(corpora(kind)[0], np.arange(50))
        given = compute(encoder, ability, features.input)
        assert given.dtype == np.float32
        assert np.isfinite(given).all()
        dim = int(np.prod(features.shape))
        width = {"reconstruct": (dim,), "sample": (dim,), "outlier_scores": (), "project": (2,)}
        if ability == "assign":
            assert given.ndim == 2
            assert len(given) == 50
            assert (given >= 0).all()
            np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-4)
        else:
            assert given.shape == (50, *width[ability])

    def test_it_survives_saving(self, name: str, ability: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        encoder, features = fitted(name, kind), part(corpora(kind)[0], np.arange(50))
        like = part(features, np.arange(0))
        again = ENCODERS.get(name).from_params(encoder.params()).restore(like, 16, encoder.state())
        np.testing.assert_array_equal(
            compute(again, ability, features.input), compute(encoder, ability, features.input)
        )

    def test_no_batch_changes_it(self, name: str, ability: str, kind: str, fitted: Fitted, corpora: Corpora) -> None:
        if ability == "sample":
            pytest.skip("no documents")
        encoder, features = fitted(name, kind), part(corpora(kind)[0], np.arange(12))
        alone = [compute(encoder, ability, part(features, np.array([row])).input) for row in range(12)]
        together = compute(encoder, ability, features.input)
        np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-3, atol=1e-2 * np.abs(together).std())


def another_value(kind: type[Options], key: str) -> Any:
    """A value that an option may have and that is not its default."""
    [field] = (field for field in dataclasses.fields(kind) if field.name == key)
    wanted, default = get_type_hints(kind)[key], field.default
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return next(choice for choice in choices if choice != default)
    if wanted is bool:
        return not default
    if wanted is str:
        return f"{default}x"
    if get_origin(wanted) is tuple:
        return (*default, 3)  # type: ignore[misc]
    if high is not None:
        return wanted(low + (high - low) * (0.25 if default != low + (high - low) * 0.25 else 0.5))
    return wanted(low or 0) + 1 if default is None else default + 1  # type: ignore[operator]


def short(schedule: Schedule, **other: object) -> Schedule:
    return Schedule(**schedule.params() | {"epochs": 1, "min_steps": 4} | other)


@pytest.mark.parametrize("name", NAMES)
class TestEveryEncoder:
    def test_fit_gives_itself(self, name: str, corpora: Corpora, schedule: Schedule) -> None:
        encoder = ENCODERS.get(name)()
        assert encoder.fit(corpora("sparse")[0], 4, short(schedule)) is encoder

    @pytest.mark.parametrize("bits", [1, 7, 8, 13, 32])
    def test_any_number_of_bits(self, name: str, bits: int, corpora: Corpora, schedule: Schedule) -> None:
        features = corpora("real")[0]
        made = ENCODERS.get(name)().fit(features, bits, short(schedule)).program()
        assert made.bits == bits
        assert made.encode(features.input).shape == (len(features), width(bits))

    def test_more_bits_than_dimensions(self, name: str, schedule: Schedule) -> None:
        narrow = Features(np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32), (3,))
        encoder = ENCODERS.get(name)()
        if name == "pca":
            with pytest.raises(UsageError, match="3 components here, too few for 20 bits"):
                encoder.fit(narrow, 20, short(schedule))
        else:
            assert encoder.fit(narrow, 20, short(schedule)).program().bits == 20

    @pytest.mark.slow
    def test_the_seed_decides(self, name: str, fitted: Fitted, corpora: Corpora, schedule: Schedule) -> None:
        features = corpora("sparse")[0]
        first = fitted(name, "sparse").program().encode(features.input)
        again = ENCODERS.get(name)().fit(features, 16, schedule).program().encode(features.input)
        assert (first == again).all()
        if name not in ("pca", "spectral"):
            assert (first != fitted(name, "sparse", 16, 1).program().encode(features.input)).any()

    def test_the_callers_randomness_stays(self, name: str, corpora: Corpora, schedule: Schedule) -> None:
        torch.manual_seed(3)
        np.random.seed(3)
        before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
        ENCODERS.get(name)().fit(corpora("grey")[0], 8, short(schedule))
        assert (torch.get_rng_state() == before).all()
        assert (np.random.get_state()[1] == numbers).all()

    def test_options_survive(self, name: str) -> None:
        kind = ENCODERS.get(name)
        assert kind().params() == kind.options()
        for key, default in kind.options().items():
            other = another_value(kind, key)
            assert other != default
            text = ",".join(map(str, other)) if isinstance(other, tuple) else str(other)
            wanted = kind.options() | {key: other}
            assert kind.from_params({key: text}).params() == wanted
            assert kind.from_params(json.loads(json.dumps(wanted))).params() == wanted

    def test_an_unknown_option_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="unknown option 'nonsense'"):
            ENCODERS.get(name).from_params({"nonsense": 1})

    def test_it_says_what_it_is(self, name: str) -> None:
        kind = ENCODERS.get(name)
        assert kind.name == name
        assert kind.summary
        assert set(kind.accepted_types) <= {"counts", "unit", "real"}
        assert all(kind.help_of(key) for key in kind.options())

    @pytest.mark.parametrize("kind", ["sparse", "grey", "real"])
    @pytest.mark.parametrize("count", [1, 2, 3, 10])
    def test_a_tiny_corpus(self, name: str, kind: str, count: int, corpora: Corpora, schedule: Schedule) -> None:
        features = part(corpora(kind)[0], np.arange(count))
        encoder, plan = ENCODERS.get(name)(), short(schedule, validation_fraction=0.5)
        if (name == "pca" and count < 5) or (name in ("itq", "spectral") and count < 2):
            with pytest.raises(HashretError, match="components"):
                encoder.fit(features, 4, plan)
            return
        made = encoder.fit(features, 4, plan).program()
        assert np.isfinite(made.logits(features.input)).all()
        assert len(made.encode(features.input)) == count

    def test_fitting_again_starts_anew(self, name: str, corpora: Corpora, schedule: Schedule) -> None:
        features, encoder = corpora("grey")[0], ENCODERS.get(name)()
        encoder.fit(corpora("sparse")[0], 8, short(schedule))
        second = encoder.fit(features, 8, short(schedule)).program().encode(features.input)
        fresh = ENCODERS.get(name)().fit(features, 8, short(schedule)).program().encode(features.input)
        assert (second == fresh).all()


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
        for shape in [(1, 16, 16), (3, 8, 8), (64,)]:
            layers = suited(shape, (8,), 4, 0, "auto", False)
            assert not any(isinstance(layer, torch.nn.Conv2d) for layer in layers)

    def test_a_convolution_of_no_image_is_refused(self, corpora: Corpora, schedule: Schedule) -> None:
        with pytest.raises(UsageError, match="needs images of at least 4 x 4"):
            ENCODERS.get("bernoulli").from_params({"body_kind": "conv"}).fit(corpora("real")[0], 8, schedule)

    @pytest.mark.parametrize("kind", ["sparse", "colour"])
    def test_no_hidden_layer_is_a_choice(self, kind: str, corpora: Corpora, schedule: Schedule) -> None:
        encoder = ENCODERS.get("bernoulli").from_params({"hidden": ""})
        assert encoder.fit(corpora(kind)[0], 8, short(schedule)).program().bits == 8

    @pytest.mark.parametrize("shape", [(3, 9, 7), (1, 5, 4)])
    def test_a_convolutional_body_becomes_a_program(self, shape: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        body = torch.nn.Sequential(convolutional(shape, (8,), 5), torch.nn.BatchNorm1d(5)).eval()
        body[1].running_mean.uniform_()
        body[1].weight.data.uniform_()
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
        with pytest.raises(TypeError, match="no operation stands for GELU"):
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
