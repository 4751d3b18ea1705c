"""Questions on texts: with judgements, in a mixed corpus, and for known items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hashret.demo import SHORTEST, python_documents
from hashret.documents import Document
from hashret.evaluation.trec import read_qrels
from hashret.index import Index
from hashret.readers import read
from hashret.readers.beir import Beir
from questions.common import DEFAULT, Indexes, Row, beir, newsgroups, row
from questions.rankings import Qrels, Run, by_bm25s, by_fts5, by_index, by_itq, chance, values

JUDGED = {"cranfield": "all", "scifact": "test"}  # the file of judgements
KNOWN = {"left in": False, "taken out": True}
ASKED = 300
LEAST_WORDS = 3  # of a summary that is asked

PARTS = {  # the ways an index ranks, by name
    "words": ("words",),
    "codes": ("codes",),
    "vectors": ("vectors",),
    "codes + vectors": ("codes", "vectors"),
    "words + codes": ("words", "codes"),
    "words + vectors": ("words", "vectors"),
    DEFAULT: ("words", "codes", "vectors"),
}
MAIN = {name: PARTS[name] for name in (DEFAULT, "words")}

Ways = dict[str, Callable[[], Run]]


def judged(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """Questions with judgements: every part, and what else there is."""
    documents = beir(data, case)
    index = indexes.of(case, seed, lambda: documents)
    questions, qrels = _questions(data, case)
    ways = _ways(index, documents, questions, PARTS, ("bm25s", "FTS5", "itq"), seed)
    yield from _compared(ways, qrels, ("nDCG@10", "R@100"))


def mixed(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """The same questions, their documents among posts and news."""
    documents = _mixture(data)
    index = indexes.of("mixed", seed, lambda: documents)
    questions, qrels = _questions(data, case)
    yield from _compared(_ways(index, documents, questions, MAIN, ("bm25s",), seed), qrels, ("nDCG@10", "R@100"))


def known(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """The line that sums up a docstring is the question, the docstring the answer."""
    documents, questions = known_items(list(python_documents()), KNOWN[case])
    index = indexes.of(f"docstrings {case}", seed, lambda: documents)
    qrels = {question.id: {question.id: 1} for question in questions}
    ways = _ways(index, documents, questions, MAIN, ("bm25s", "FTS5", "itq"), seed)
    begins = Counter(_summary(document) for document in python_documents())
    shared = sum(begins[str(question.content)] > 1 for question in questions)
    for each in _compared(ways, qrels, ("R@1", "R@5")):
        yield each | {"documents": len(documents), "shared": shared}


def known_items(documents: Sequence[Document], without: bool) -> tuple[list[Document], list[Document]]:
    """Documents, `without` their first line or as they are, and questions, the same ones both ways."""
    rest = {document.id: _rest(str(document.content)) for document in documents}
    candidates = [d for d in documents if d.labels != ("topics",) and len(rest[d.id]) >= SHORTEST]
    candidates = [d for d in candidates if len(_summary(d).split()) >= LEAST_WORDS]
    places = np.random.default_rng(0).choice(len(candidates), ASKED, replace=False)
    questions = [Document(d.id, _summary(d)) for d in (candidates[place] for place in np.sort(places).tolist())]
    if without:
        documents = [replace(d, content=rest[d.id]) for d in documents if len(rest[d.id]) >= SHORTEST]
    return list(documents), questions


def _summary(document: Document) -> str:
    return str(document.content).strip().splitlines()[0].strip()


def _rest(text: str) -> str:
    return "\n".join(text.strip().splitlines()[1:]).strip()


def _questions(data: Path, name: str) -> tuple[list[Document], Qrels]:
    """The questions that are judged, and the judgements."""
    folder = data / f"ir_{name}"
    qrels = read_qrels(folder / "qrels" / f"{JUDGED[name]}.tsv")
    questions = [question for question in Beir(folder).queries if question.id in qrels]
    return questions, {question.id: qrels[question.id] for question in questions}


def _mixture(data: Path) -> list[Document]:
    stories = read(data / "reuters21578" / "reuters21578.jsonl.gz", id="newid", text="title,body", label="topics")
    others: dict[str, Iterable[Document]] = {"post": newsgroups(data, "train", "test"), "story": stories}
    renamed = [replace(d, id=f"{kind}-{d.id}") for kind, found in others.items() for d in found]
    return [*beir(data, "scifact"), *renamed]


def _ways(
    index: Index,
    documents: Sequence[Document],
    questions: Sequence[Document],
    parts: dict[str, tuple[str, ...]],
    others: Sequence[str],
    seed: int,
) -> Ways:
    analyzer = index._parts.analyzer
    assert analyzer is not None
    beside: Ways = {
        "bm25s": partial(by_bm25s, analyzer, documents, questions),
        "FTS5": partial(by_fts5, documents, questions),
        "itq": partial(by_itq, documents, questions, seed),
    }
    own: Ways = {name: partial(by_index, index, questions, by) for name, by in parts.items()}
    return own | {name: beside[name] for name in others}


def _compared(ways: Ways, qrels: Qrels, measures: Sequence[str]) -> Iterator[Row]:
    """All ways; of the default also the p value of its difference to bm25s."""
    found = {name: values(way(), qrels, measures) for name, way in ways.items()}
    for name, own in found.items():
        for measure, each in own.items():
            more = {"p": round(chance(each, found["bm25s"][measure]), 4)} if name == DEFAULT else {}
            yield row(name, measure, float(each.mean()), questions=len(each), **more)
