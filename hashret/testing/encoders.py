"""`EncoderSuite`, the contract of all encoders."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from hashret.codes import Codes, hamming, width
from hashret.encoders.base import Encoder, abilities
from hashret.encoders.nn.net import Autoencoder
from hashret.errors import HashretError
from hashret.features import FEATURE_TYPES, CSRMatrix, Features, Floats
from hashret.progress import Listener, listening
from hashret.testing.corpora import corpus
from hashret.testing.options import OptionsSuite
from hashret.training import Schedule, batch

KINDS = ("sparse", "grey", "colour", "real")
"""The corpora: word weights of texts, pixels of grey and colour images, and real vectors."""

FAST: dict[str, Any] = {"epochs": 3, "min_steps": 120, "batch_size": 64, "learning_rate": 5e-3, "device": "cpu"}
"""Options of a schedule that trains for about a second."""


def fitted(kind: type[Encoder], name: str, bits: int = 16, seed: int = 0, steps: int = FAST["min_steps"]) -> Encoder:
    """Return an encoder of this class, fitted on the corpus with this name. It is fitted once."""
    return _fitted(kind, name, bits, seed, steps)


@cache  # whose keys are the arguments as they are passed, so that all calls pass them in one way
def _fitted(kind: type[Encoder], name: str, bits: int, seed: int, steps: int) -> Encoder:
    return kind().fit(corpus(name)[0], bits, Schedule(**FAST | {"min_steps": steps, "seed": seed}))


def short(**other: object) -> Schedule:
    """Return a schedule of 4 steps."""
    return Schedule(**FAST | {"epochs": 1, "min_steps": 4} | other)


def part(features: Features, rows: np.ndarray) -> Features:
    """Return these rows of the features."""
    return replace(features.take(rows), views=())


def precision_at_10(codes: Codes, labels: list[str]) -> float:
    """Return the share of the 10 nearest documents with the same label, ties in order of position."""
    distances = hamming(codes, codes).astype(np.int64)
    np.fill_diagonal(distances, 1 << 20)
    nearest = distances.argsort(axis=1, kind="stable")[:, :10]
    named = np.array(labels)
    return float((named[nearest] == named[:, None]).mean())


def same(one: Encoder, other: Encoder) -> None:
    """Assert that two encoders learned the same, to the last bit."""
    for mine, theirs in ((one.program().tensors, other.program().tensors), (one.state(), other.state())):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


def compute(encoder: Any, ability: str, matrix: Floats | CSRMatrix) -> np.ndarray:
    """Return the result of a capability for features [n, dim], n rows; also n rows for `sample`."""
    return np.asarray(encoder.sample(len(matrix)) if ability == "sample" else getattr(encoder, ability)(matrix))


class _Stopped(Exception):
    """Raised by the listener that interrupts a fit."""


def _stop_after(reports: int) -> Listener:
    """Return a listener that raises at this report of progress."""
    left = iter(range(reports - 1))

    def listener(label: str, done: int, total: int | None, note: str = "") -> None:
        if next(left, None) is None:
            raise _Stopped

    return listener


class EncoderSuite(OptionsSuite):
    """Contract tests of an encoder. Subclass it and set `encoder`; other attributes describe limitations.

    The tests fit the encoder on four small corpora with few steps, and test each of its capabilities.
    """

    encoder: ClassVar[type[Encoder]]

    share: ClassVar[float] = 0.4
    """Required precision at 10, as a share of the range from chance (0) to perfect (1)."""

    share_on: ClassVar[dict[str, float]] = {}
    """`share` for single corpora of `KINDS`."""

    steps: ClassVar[int] = FAST["min_steps"]
    """Training steps before the codes are tested."""

    seeded: ClassVar[bool] = True
    """Whether codes depend on the seed."""

    fewest: ClassVar[int] = 1
    """Minimum number of documents for codes of 4 bits; with fewer, fit raises a HashretError that matches `refusal`."""

    refusal: ClassVar[str] = ""

    all_bits: ClassVar[bool] = True
    """Whether codes can have more bits than the features have dimensions; otherwise fit raises a HashretError."""

    def subject(self) -> type[Encoder]:
        """Return the encoder class."""
        return self.encoder

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize tests over the capabilities of the encoder and the corpora."""
        if "ability" in metafunc.fixturenames:
            metafunc.parametrize("ability", abilities(self.encoder))
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", KINDS)

    # Codes

    def test_codes_have_the_requested_bits(self, kind: str) -> None:
        made = fitted(self.encoder, kind, steps=self.steps).program()
        codes = made.encode(corpus(kind)[0].input)
        assert made.bits == 16
        assert codes.dtype == np.uint8
        assert codes.shape == (len(corpus(kind)[0]), 2)

    def test_codes_keep_neighbours(self, kind: str) -> None:
        features, labels = corpus(kind)
        chance = 1 / len(set(labels))
        made = fitted(self.encoder, kind, steps=self.steps)
        reached = precision_at_10(made.program().encode(features.input), labels)
        share = self.share_on.get(kind, self.share)
        assert reached > chance + share * (1 - chance), reached

    def test_the_program_computes_what_the_net_computes(self, kind: str) -> None:
        net, features = fitted(self.encoder, kind, steps=self.steps), corpus(kind)[0]
        if not isinstance(net, Autoencoder):
            pytest.skip("no net")
        made = net.program()
        with torch.no_grad():
            theirs = net.logits(batch(features, np.arange(len(features)), torch.device("cpu"))[0]).numpy()
        ours = made.logits(features.input)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
        differ = (ours > made.threshold) != (theirs > made.threshold)
        margin = np.abs(theirs - made.threshold) / np.ptp(theirs)
        assert (margin[differ] < 1e-5).all()

    def test_a_code_does_not_depend_on_the_batch(self, kind: str) -> None:
        made, features = fitted(self.encoder, kind, steps=self.steps).program(), part(corpus(kind)[0], np.arange(60))
        at_once = made.logits(features.input)
        alone = np.concatenate([made.logits(part(features, np.array([i])).input) for i in range(len(features))])
        assert np.abs(at_once - alone).max() <= 1e-5 * np.ptp(at_once)

    def test_equal_documents_get_equal_codes(self, kind: str) -> None:
        made, features = fitted(self.encoder, kind, steps=self.steps).program(), corpus(kind)[0]
        twice = part(features, np.concatenate([np.arange(50), np.arange(50)]))
        codes = made.encode(twice.input)
        assert (codes[:50] == codes[50:]).all()

    def test_it_can_be_fitted_on_equal_documents(self, kind: str) -> None:
        features = part(corpus(kind)[0], np.zeros(12, np.int64))
        encoder = self.encoder()
        made = encoder.fit(features, 8, short()).program()
        assert np.isfinite(made.logits(features.input)).all()
        if encoder.trained:  # hyperplanes of untrained encoders go through the mean, which equals these documents
            logits = made.logits(features.input)
            clear = np.abs(logits - made.threshold) > 1e-5 * np.abs(logits)
            ones = (logits > made.threshold) & clear
            assert (ones == ones[:1]).all()

    def test_equal_documents_that_are_most_of_a_corpus_share_a_code(self, kind: str) -> None:
        rows = np.concatenate([np.zeros(41, np.int64), np.arange(1, 31)])
        features = part(corpus(kind)[0], rows)
        made = self.encoder().fit(features, 8, short()).program()
        assert len(np.unique(made.encode(features.input)[:41], axis=0)) == 1

    # Capabilities

    def test_a_capability_gives_a_row_a_document(self, ability: str, kind: str) -> None:
        encoder, features = fitted(self.encoder, kind, steps=self.steps), part(corpus(kind)[0], np.arange(50))
        given = compute(encoder, ability, features.input)
        assert given.dtype == np.float32
        assert np.isfinite(given).all()
        dim = int(np.prod(features.shape))
        shapes: dict[str, tuple[int, ...]] = {"reconstruct": (dim,), "sample": (dim,), "project": (2,)}
        if ability == "assign":
            assert given.ndim == 2
            assert len(given) == 50
            assert (given >= 0).all()
            np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-4)
        else:
            assert given.shape == (50, *shapes.get(ability, ()))

    def test_a_capability_survives_saving(self, ability: str, kind: str) -> None:
        encoder, features = fitted(self.encoder, kind, steps=self.steps), part(corpus(kind)[0], np.arange(50))
        like = part(features, np.arange(0))
        again = self.encoder.from_params(encoder.params()).restore(like, 16, encoder.state())
        np.testing.assert_array_equal(
            compute(again, ability, features.input), compute(encoder, ability, features.input)
        )

    def test_a_capability_does_not_depend_on_the_batch(self, ability: str, kind: str) -> None:
        if ability == "sample":
            pytest.skip("no documents")
        encoder, features = fitted(self.encoder, kind, steps=self.steps), part(corpus(kind)[0], np.arange(12))
        alone = [compute(encoder, ability, part(features, np.array([row])).input) for row in range(12)]
        together = compute(encoder, ability, features.input)
        np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-3, atol=1e-2 * np.abs(together).std())

    # The class

    def test_it_describes_itself(self) -> None:
        assert self.encoder.name
        assert self.encoder.summary
        assert set(self.encoder.accepted_types) <= set(FEATURE_TYPES)

    def test_fit_returns_the_encoder(self) -> None:
        encoder = self.encoder()
        assert encoder.fit(corpus("sparse")[0], 4, short()) is encoder

    @pytest.mark.parametrize("bits", [1, 7, 8, 13, 32])
    def test_any_number_of_bits(self, bits: int) -> None:
        features = corpus("real")[0]
        made = self.encoder().fit(features, bits, short()).program()
        assert made.bits == bits
        assert made.encode(features.input).shape == (len(features), width(bits))

    def test_more_bits_than_dimensions(self) -> None:
        narrow = Features(np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32), (3,))
        encoder = self.encoder()
        if self.all_bits:
            assert encoder.fit(narrow, 20, short()).program().bits == 20
        else:
            with pytest.raises(HashretError, match=self.refusal):
                encoder.fit(narrow, 20, short())

    def test_the_seed_decides(self) -> None:
        features = corpus("sparse")[0]
        first = fitted(self.encoder, "sparse").program().encode(features.input)
        again = self.encoder().fit(features, 16, Schedule(**FAST)).program().encode(features.input)
        assert (first == again).all()
        if self.seeded:
            other = fitted(self.encoder, "sparse", seed=1).program().encode(features.input)
            assert (first != other).any()

    @pytest.mark.parametrize("n_init", [1, 3])
    def test_an_interrupted_fit_resumes_to_the_same_encoder(self, n_init: int, tmp_path: Path) -> None:
        params = self.several(n_init) if n_init > 1 else {}
        features = corpus("sparse")[0]
        short: dict[str, Any] = FAST | {"min_steps": 12, "max_steps": 12}
        plan = Schedule(**short, checkpoint=str(tmp_path), checkpoint_seconds=0)
        for reports in (5, 17, 40):  # interrupted early and late, in a later phase if there is one
            with suppress(_Stopped), listening(_stop_after(reports)):
                self.encoder(**params).fit(features, 8, plan)
        resumed = self.encoder(**params).fit(features, 8, plan)
        straight = self.encoder(**params).fit(features, 8, Schedule(**short))
        assert resumed.starts() == straight.starts()
        same(resumed, straight)

    def test_several_starts_give_the_fit_of_the_best_one(self) -> None:
        features = corpus("grey")[0]
        encoder = self.encoder(**self.several(5)).fit(features, 8, short(seed=7))
        starts = encoder.starts()
        assert starts[0]["seed"] == 7
        assert len({start["seed"] for start in starts}) == 5
        assert all(np.isfinite(start["objective"]) for start in starts)
        most = max(start["share"] for start in starts)
        assert any(start["share"] < most for start in starts)  # some stopped early
        best = min((start for start in starts if start["share"] == most), key=lambda start: start["objective"])
        alone = self.encoder().fit(features, 8, short(seed=best["seed"]))
        assert alone.starts() == ()
        same(encoder, alone)

    def several(self, n_init: int) -> dict[str, Any]:
        """Return the options of a fit from several starts; skips the test if the encoder has no such option."""
        if "n_init" not in self.encoder.options():
            pytest.skip("one start")
        return {"n_init": n_init}

    def test_the_callers_randomness_stays(self) -> None:
        torch.manual_seed(3)
        np.random.seed(3)
        before, numbers = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()
        self.encoder().fit(corpus("grey")[0], 8, short())
        assert (torch.get_rng_state() == before).all()
        assert (np.random.get_state(legacy=False)["state"]["key"] == numbers).all()

    @pytest.mark.parametrize("of", ["sparse", "grey", "real"])
    @pytest.mark.parametrize("count", [1, 2, 3, 10])
    def test_a_tiny_corpus(self, of: str, count: int) -> None:
        features = part(corpus(of)[0], np.arange(count))
        encoder, plan = self.encoder(), short(validation_fraction=0.5)
        if count < self.fewest:
            with pytest.raises(HashretError, match=self.refusal):
                encoder.fit(features, 4, plan)
            return
        made = encoder.fit(features, 4, plan).program()
        assert np.isfinite(made.logits(features.input)).all()
        assert len(made.encode(features.input)) == count

    def test_fitting_twice_forgets_the_first_corpus(self) -> None:
        features, encoder = corpus("grey")[0], self.encoder()
        encoder.fit(corpus("sparse")[0], 8, short())
        second = encoder.fit(features, 8, short()).program().encode(features.input)
        fresh = self.encoder().fit(features, 8, short()).program().encode(features.input)
        assert (second == fresh).all()
