"""The benchmark of duplicates: what counts as right and wrong, and which threshold is the best."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from planted.common import Planted, rows
from planted.images import planted_images
from planted.texts import COPIES, EDITS, WORD, planted_texts

PLANTED = Planted({(0, number): "edited" for number in range(1, 101)}, frozenset({(1, 2)}))


def _values(found: dict[tuple[int, int], float], default: float | None = None) -> dict[tuple[Any, Any], float]:
    return {(row["at"], row["measure"]): row["value"] for row in rows("any", found, default, PLANTED)}


def test_the_best_threshold_has_enough_precision() -> None:
    right = {pair: 0.9 - number / 1000 for number, pair in enumerate(PLANTED.kinds)}
    wrong = {(200, 300): 0.801, (200, 301): 0.7905}  # after 99 and after 100 right ones
    assert _values({**right, **wrong})["best", "recall"] == 1.0
    assert _values({**right, (200, 300): 0.95})["best", "recall"] == 1.0  # 100 of 101
    assert _values({**right, (200, 300): 0.95, (200, 301): 0.94})["best", "recall"] == 0.0


def test_equal_scores_are_taken_together() -> None:
    found = dict.fromkeys(PLANTED.kinds, 1.0) | {(200, number): 1.0 for number in range(300, 310)}
    assert _values(found)["best", "recall"] == 0.0


def test_ignored_pairs_do_not_count() -> None:
    found = {(1, 2): 1.0, **dict.fromkeys(PLANTED.kinds, 0.8)}
    assert _values(found, default=0.5) == {
        (at, measure): 1.0 for at in ("best", "default") for measure in ("recall", "precision")
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_texts(seed: int) -> None:
    words = [f"word{number}" for number in range(400)]
    rng = np.random.default_rng(9)
    corpus = [". ".join(" ".join(rng.choice(words, 8)) for _ in range(4)) for _ in range(600)]
    texts, planted = planted_texts(corpus, seed)
    assert len(planted.kinds) == len(texts) - 600 == COPIES * len(EDITS)
    for (source, copy), kind in planted.kinds.items():
        before, after = WORD.findall(texts[source]), WORD.findall(texts[copy])
        assert before != after
        if kind.endswith("of words"):
            changed = sum(one != other for one, other in zip(before, after, strict=True))
            assert 1 <= changed <= max(1, round(int(kind.split()[0]) / 100 * len(before)))


def test_planted_images() -> None:
    rng = np.random.default_rng(0)
    corpus = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(6)]
    images, planted = planted_images(corpus, 0)
    sources = {copy: source for source, copy in planted.kinds}
    assert len(planted.mirrored) == 6
    assert len(sources) == len(images) - 12
    sources |= {copy: source for source, copy in planted.mirrored}
    sources |= {place: place for place in range(6)}
    assert all(sources[one] == sources[other] for one, other in planted.ignored)  # copies of one original
    assert planted.mirrored <= planted.ignored
    for source, copy in planted.mirrored:
        assert np.array_equal(np.asarray(images[source])[:, ::-1], np.asarray(images[copy]))


def test_mirror_images_are_told_apart() -> None:
    planted = replace(PLANTED, ignored=frozenset({(1, 2), (3, 4)}), mirrored=frozenset({(1, 2), (3, 4)}))
    values = {
        (row["at"], row["measure"]): row["value"]
        for row in rows("any", {(1, 2): 0.9, (3, 4): 0.4, **dict.fromkeys(PLANTED.kinds, 0.8)}, 0.5, planted)
    }
    assert values["default", "mirrored"] == 0.5
    assert values["default", "precision"] == 1.0
