"""Postings: what is written is what is read, however it is cut, joined and stored."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret import loops, postings
from hashret.analyzer import Analyzer
from hashret.postings import Occurrences, concatenate_occurrences
from hashret.store.derived import Postings

WORDS = ["wheat", "the", "of", "ship", "sea", "犬小屋", "getUserName", "x", "ölwert", "\ud800"]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=8)


def facts(found: Occurrences) -> list[list[tuple[str, int]]]:
    """Each document's terms with their positions, sorted."""
    return [
        sorted(
            (found.vocabulary[term], at)
            for term, at in zip(found.terms[a:b].tolist(), found.positions[a:b].tolist(), strict=True)
        )
        for a, b in pairwise(found.offsets.tolist())
    ]


def reader(found: Occurrences) -> Postings:
    return Postings(len(found), postings.arrays(found).__getitem__)


@settings(max_examples=50, deadline=None)
@given(texts)
def test_what_is_written_is_read_again(documents: list[str]) -> None:
    found = Analyzer("english").occurrences(documents)
    stored = reader(found)
    stored.check()
    again = stored.occurrences()
    assert facts(again) == facts(found)
    assert again.pairs.tolist() == found.pairs.tolist()
    assert {name: array.tolist() for name, array in postings.arrays(again).items()} == {
        name: array.tolist() for name, array in postings.arrays(found).items()
    }


@settings(max_examples=50, deadline=None)
@given(texts, texts, st.integers(0, 2**32))
def test_cut_and_joined_they_are_those_of_the_documents(one: list[str], other: list[str], seed: int) -> None:
    analyzer = Analyzer()
    rows = np.random.default_rng(seed).permutation(len(one))[: len(one) // 2 + 1]
    cut = analyzer.occurrences(one).take(rows)
    wanted = analyzer.occurrences([*(one[row] for row in rows), *other])
    joined = concatenate_occurrences([cut, analyzer.occurrences(other)])
    assert facts(joined) == facts(wanted)
    assert reader(joined).occurrences().pairs.tolist() == wanted.pairs.tolist()


def test_each_term_is_found_with_its_counts() -> None:
    analyzer = Analyzer()
    documents = ["wheat wheat the sea", "", "sea", "of of of"]
    stored = reader(analyzer.occurrences(documents))
    assert stored.lengths().tolist() == [4, 0, 1, 3]
    assert stored.pairs().tolist() == [2, 0, 0, 0]
    for term in ("wheat", "sea", "of"):
        found = stored.find(term)
        assert found is not None
        rows, counts, _ = loops.unpack(found[0], np.array([0, len(found[0])], np.uint32), 4)
        wanted = {row: Counter(text.split())[term] for row, text in enumerate(documents) if term in text.split()}
        assert dict(zip(rows.tolist(), counts.tolist(), strict=True)) == wanted
    assert stored.find("whea") is None
    assert stored.find("") is None


@pytest.mark.parametrize("name", ["terms/offsets", "postings/offsets", "positions/offsets", "lengths", "terms/bytes"])
def test_arrays_that_do_not_fit_are_found(name: str) -> None:
    arrays = postings.arrays(Analyzer().occurrences(["wheat was dear", "a ship of the sea"]))
    changed = arrays[name].copy()
    changed[-1] += 1
    if name == "terms/bytes":
        changed[0] = ord("z")
    with pytest.raises(ValueError, match=r"wrong|differ|another|damaged|not"):
        Postings(2, (arrays | {name: changed}).__getitem__).check()
