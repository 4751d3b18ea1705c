"""The automatic choice of the code length."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hashret.cli.app import app
from hashret.codes import hamming, pack
from hashret.encoders import ENCODERS
from hashret.features import Features
from hashret.graph import nearest, neighbors
from hashret.index import Index
from hashret.lengths import kept, long_enough
from hashret.runtime import Program
from hashret.training import Schedule

from .samples import dense


@given(n=st.integers(3, 30), k=st.integers(1, 29), seed=st.integers(0, 1000))
def test_what_is_kept_is_an_expectation_over_the_order_of_ties(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = min(k, n - 1)
    codes = pack(rng.random((n, 4)) < 0.5)
    wanted = np.stack([rng.permutation(np.delete(np.arange(n), row))[:k] for row in range(n)])
    total = 0.0
    for row, others in enumerate(wanted.tolist()):
        far = hamming(codes[row : row + 1], np.delete(codes, row, 0))[0].astype(int)
        for other in others:
            own = int(hamming(codes[row : row + 1], codes[other : other + 1])[0, 0])
            nearer, level = int((far < own).sum()), int((far == own).sum())
            total += min(max((k - nearer) / level, 0.0), 1.0)  # the remaining places are shared evenly among ties
    assert kept(codes, np.arange(n), wanted) == pytest.approx(total / (n * k))


def test_neighbours_of_some_documents_are_those_of_all() -> None:
    views = (np.random.default_rng(0).standard_normal((50, 5)).astype(np.float32),)
    rows = np.array([3, 3, 49, 0])
    assert np.array_equal(nearest(views, rows, 7), neighbors(views, 7)[rows])


def features(dims: int) -> Features:
    return Features(np.random.default_rng(0).standard_normal((600, dims)).astype(np.float32), (dims,))


def fitted(encoder: str, of: Features) -> Program:
    return long_enough(lambda n: ENCODERS.get(encoder)().fit(of, n, Schedule()).program(), of, 0)


def test_more_bits_are_taken_while_they_keep_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert fitted("lsh", features(64)).bits == 128
    assert "bits auto: 128; 16 bits keep" in caplog.text
    assert "of the 60 nearest documents" in caplog.text


def test_bits_that_keep_hardly_more_are_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rng = np.random.default_rng(0)
    places = np.repeat(np.eye(10, dtype=np.float32), 60, axis=0)
    of = Features(places + rng.normal(0, 0.01, places.shape).astype(np.float32), (10,))
    assert fitted("itq", of).bits < 128
    assert "bits gain less than 10%" in caplog.text


def test_lengths_that_the_encoder_refuses_are_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert fitted("pca", features(40)).bits == 32
    assert "longer codes are not possible (pca has 40 components here" in caplog.text


def test_the_command_line_takes_auto_and_numbers_alone(tmp_path: Path) -> None:
    source = tmp_path / "vectors.npy"
    np.save(source, dense(features(40).input))
    words = ["index", str(source), "-i", str(tmp_path / "index"), "--encoder", "pca", "--bits"]
    assert CliRunner().invoke(app, [*words, "auto"]).exit_code == 0
    with Index.open(tmp_path / "index") as index:
        assert index.bits == 32
    result = CliRunner().invoke(app, [*words, "many"])
    assert result.exit_code == 2
    assert "--bits must be a number from 1 to 4096, or auto, got 'many'" in result.output
