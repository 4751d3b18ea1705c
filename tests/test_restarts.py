"""Encoders that begin several times: which start is kept, what it costs, and what is stored about it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hashret.encoders.dagmm import DAGMM
from hashret.encoders.density import Density
from hashret.encoders.nn.restarts import apart, rounds, seeds
from hashret.errors import StoreError
from hashret.features import Features
from hashret.hasher import Hasher
from hashret.index import Index
from hashret.progress import listening
from hashret.training import Schedule

from .conftest import make_texts

ROWS = Features(np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32), (6,))
PLAN = Schedule(epochs=1, min_steps=16, max_steps=16, batch_size=32, device="cpu", validation_fraction=0.0)
OPTIONS: dict[str, Any] = {"n_init": 3, "min_steps": 16, "max_steps": 16, "batch_size": 32, "device": "cpu"}


class Judged(Density):
    """An encoder with objectives that a test sets; it notes what it learned from."""

    values: dict[int, float] = {}  # objective by seed
    runs: list[tuple[int, int, int]] = []  # seed, steps and documents of each fit

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        self.seed = schedule.seed
        self.runs.append((schedule.seed, schedule.steps(len(features)), len(features)))
        super().learn(features, bits, schedule)

    def objective(self, features: Features) -> float:
        return self.values[self.seed]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> type[Judged]:
    monkeypatch.setattr(Judged, "values", {})
    monkeypatch.setattr(Judged, "runs", [])
    return Judged


@pytest.mark.parametrize("best", range(4))
def test_the_start_with_the_lowest_objective_is_kept(best: int, judged: type[Judged]) -> None:
    four = seeds(0, 4)
    judged.values.update({seed: float((place - best) % 4) for place, seed in enumerate(four)})
    encoder = judged(n_init=4).fit(ROWS, 4, PLAN)
    assert judged.runs[-1] == (four[best], 16, 100)  # the final fit: all steps and all documents
    assert [start["objective"] for start in encoder.starts()] == [judged.values[seed] for seed in four]


def test_four_starts_take_the_steps_of_two_fits(judged: type[Judged]) -> None:
    judged.values.update(dict.fromkeys(seeds(0, 4), 1.0))
    judged(n_init=4).fit(ROWS, 4, PLAN)
    assert [steps for _, steps, _ in judged.runs] == [4] * 4 + [16]
    assert {documents for *_, documents in judged.runs[:-1]} == {90}  # a tenth is held out


def test_a_start_without_a_number_loses(judged: type[Judged]) -> None:
    first, second = seeds(0, 2)
    judged.values.update({first: float("nan"), second: 5.0})
    encoder = judged(n_init=2).fit(ROWS, 4, PLAN)
    assert judged.runs[-1][0] == second
    assert [start["objective"] for start in encoder.starts()] == [None, 5.0]


def test_starts_of_dagmm_are_compared_by_how_well_their_energies_agree() -> None:
    from scipy.stats import spearmanr

    encoders = [DAGMM(components=2).trial(ROWS, 4, replace(PLAN, seed=seed)) for seed in range(4)]
    energies = [encoder.outlier_scores(ROWS.input) for encoder in encoders]
    upper = [np.maximum(own, np.median(own)) for own in energies]
    expected = [-np.mean([spearmanr(own, other).statistic for other in upper if other is not own]) for own in upper]
    assert encoders[0].objectives(encoders, ROWS) == pytest.approx(expected, abs=1e-5)
    two = encoders[:2]
    assert encoders[0].objectives(two, ROWS) == [encoder.objective(ROWS) for encoder in two]


def test_a_start_of_dagmm_without_numbers_agrees_with_none() -> None:
    encoders = [DAGMM(components=2).trial(ROWS, 4, replace(PLAN, seed=seed)) for seed in range(4)]
    encoders[1].shares = torch.full_like(encoders[1].shares, torch.nan)
    objectives = encoders[0].objectives(encoders, ROWS)
    assert objectives[1] == 0
    assert max(objectives[0], *objectives[2:]) < 0


@pytest.mark.parametrize("count", range(2, 70))
def test_each_round_keeps_the_best_quarter(count: int) -> None:
    found = rounds(count)
    assert found[0][0] == count
    assert found[-1][0] <= 4
    assert found[-1][1] == 0.25
    for (many, short), (fewer, longer) in pairwise(found):
        assert fewer == -(-many // 4)
        assert longer == 4 * short
    assert sum(starts * share for starts, share in found) <= 1.25 * len(found)


def test_fewer_seeds_are_the_first_of_more() -> None:
    assert seeds(3, 8)[:4] == seeds(3, 4)
    assert len(set(seeds(3, 8))) == 8
    assert seeds(3, 1) == [3]


@pytest.mark.parametrize(("count", "held"), [(1, 1), (19, 19), (20, 2), (1000, 100), (50_000, 2000)])
def test_starts_are_compared_on_documents_that_they_did_not_learn_from(count: int, held: int) -> None:
    rows = Features(np.arange(count, dtype=np.float32)[:, None], (1,))
    learned, compared = apart(rows, 0)
    assert len(compared) == held
    both = np.concatenate([np.asarray(part.input).ravel() for part in (learned, compared)])
    assert len(np.unique(both)) == count


def test_progress_and_the_log_tell_of_starts(caplog: pytest.LogCaptureFixture) -> None:
    labels: list[str] = []
    heard = listening(lambda label, done, total, note="": labels.append(label))
    with caplog.at_level(logging.INFO, "hashret"), heard:
        encoder = Density(n_init=6).fit(ROWS, 4, PLAN)
    assert list(dict.fromkeys(labels)) == [
        *(f"round 1, start {place} of 6: training" for place in range(1, 7)),
        *(f"round 2, start {place} of 2: training" for place in range(1, 3)),
        "training",
    ]
    for start in encoder.starts():
        assert f"{start['objective']:.4g}" in caplog.text


def test_an_index_stores_the_starts_and_a_refit_begins_as_often(tmp_path: Path) -> None:
    texts = make_texts(60)
    with Index.create(tmp_path / "index", texts, bits=8, encoder="dagmm", options=OPTIONS) as index:
        starts = index.info()["starts"]
    assert len(starts) == 3
    with Index.open(tmp_path / "index") as index:
        assert index.info()["starts"] == starts
        index.refit(seed=5)
        assert len(index.info()["starts"]) == 3
        assert index.info()["starts"][0]["seed"] == 5
        assert np.isfinite(index.hasher.fitted.outlier_scores(next(index.hasher.features(texts)))).all()  # type: ignore[attr-defined]


def test_starts_of_an_automatic_length_are_those_of_that_length(tmp_path: Path) -> None:
    hasher = Hasher.fit(make_texts(60), bits="auto", encoder="density", options=OPTIONS)
    fixed = Hasher.fit(make_texts(60), bits=hasher.bits, encoder="density", options=OPTIONS)
    assert hasher.starts == fixed.starts
    assert hasher.fitted.params() == fixed.fitted.params()


@pytest.mark.parametrize("damage", ["none", {"seed": 0}, [1]])
def test_damaged_starts_are_refused(damage: Any, tmp_path: Path) -> None:
    Hasher.fit(make_texts(30), bits=8, encoder="density", options=OPTIONS).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"starts": damage}))
    with pytest.raises(StoreError, match="starts must be a list of objects"):
        Hasher.load(tmp_path)
