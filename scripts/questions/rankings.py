"""Rankings of documents for questions: by an index, and by what else there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hashret.analyzer import Analyzer
from hashret.codes import Codes, hamming
from hashret.documents import Document
from hashret.evaluation.evaluate import evaluate_run
from hashret.evaluation.queries import RankedQueries
from hashret.hasher import Hasher
from hashret.index import Index
from questions.common import BITS

Run = dict[str, dict[str, float]]  # scores, by the ids of questions and documents
Qrels = Mapping[str, Mapping[str, int]]
Doubles = npt.NDArray[np.float64]
Documents = Sequence[Document]

DEPTH = 1000  # documents of a ranking that are looked at
PERMUTATIONS = 10_000


def by_index(index: Index, questions: Documents, by: Sequence[str], oversample: int | None = None) -> Run:
    """By parts of an index, as `Index.search` ranks: codes alone by Hamming distance."""
    ranked, ids = RankedQueries(index, questions, list(by), oversample=oversample), index.ids

    def scores(number: int) -> Doubles:
        if ranked.by_codes:
            return _nearness(ranked.codes[number : number + 1], index.codes)
        return ranked.scores(number)

    return _run(ids, questions, scores)


def by_itq(documents: Documents, questions: Documents, seed: int) -> Run:
    """By the Hamming distance of ITQ's codes of the same features."""
    hasher = Hasher.fit(documents, bits=BITS, encoder="itq", seed=seed)
    own, theirs = hasher.encode(documents), hasher.encode(questions)
    ids = [document.id for document in documents]
    return _run(ids, questions, lambda number: _nearness(theirs[number : number + 1], own))


def _nearness(one: Codes, others: Codes) -> Doubles:
    """Minus the Hamming distances of one code, [n]."""
    return -np.asarray(hamming(one, others)[0], np.float64)


def by_bm25s(analyzer: Analyzer, documents: Documents, questions: Documents) -> Run:
    """By bm25s, given the stems of an index as numbers."""
    import bm25s

    vocabulary: dict[str, int] = {}
    terms = [analyzer.query(str(document.content)) for document in documents]
    numbers = [[vocabulary.setdefault(term, len(vocabulary)) for term in own] for own in terms]
    retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    retriever.index((numbers, vocabulary), show_progress=False)

    def scores(at: int) -> Doubles:
        asked = [vocabulary[term] for term in analyzer.query(str(questions[at].content)) if term in vocabulary]
        found = np.asarray(retriever.get_scores_from_ids(asked) if asked else np.zeros(len(documents)), np.float64)
        return np.asarray(np.where(found > 0, found, -np.inf), np.float64)

    return _run([document.id for document in documents], questions, scores)


def by_fts5(documents: Documents, questions: Documents) -> Run:
    """By SQLite's full-text search: Porter's stems, any of a question's words, bm25()."""
    base = sqlite3.connect(":memory:")
    base.execute("CREATE VIRTUAL TABLE held USING fts5(content, tokenize='porter unicode61')")
    base.executemany("INSERT INTO held (rowid, content) VALUES (?, ?)", enumerate(str(d.content) for d in documents))
    query = f"SELECT rowid, -bm25(held) FROM held WHERE held MATCH ? ORDER BY bm25(held) LIMIT {DEPTH}"
    words = Analyzer()
    run: Run = {}
    for question in questions:
        asked = " OR ".join(f'"{word}"' for word in words.query(str(question.content)))
        found = base.execute(query, (asked,)).fetchall() if asked else []
        run[question.id] = {documents[place].id: score for place, score in found}
    base.close()
    return run


def _run(ids: Sequence[str], questions: Documents, scores: Callable[[int], Doubles]) -> Run:
    """The best of each question that are found."""
    run: Run = {}
    for number, question in enumerate(questions):
        found = scores(number)
        best = np.argpartition(-found, DEPTH)[:DEPTH] if len(found) > DEPTH else np.arange(len(found))
        best = best[found[best] > -np.inf]
        run[question.id] = {ids[place]: float(found[place]) for place in best.tolist()}
    return run


def values(run: Run, qrels: Qrels, measures: Sequence[str]) -> dict[str, Doubles]:
    """Each measure of each question, ties in expectation."""
    found: dict[str, list[float]] = {measure: [] for measure in measures}
    for question, judged in qrels.items():
        for each in evaluate_run({question: run.get(question, {})}, {question: judged}, measures):
            found[each["measure"]].append(each["value"])
    return {measure: np.array(own) for measure, own in found.items()}


def chance(first: Doubles, second: Doubles) -> float:
    """The p value of a paired randomisation test: how often random signs of the differences give as large a mean."""
    difference = first - second
    signs = np.random.default_rng(0).integers(0, 2, (PERMUTATIONS, len(difference)), dtype=np.int8) * 2.0 - 1
    larger = np.abs(signs @ difference) >= abs(difference.sum()) - 1e-9
    return float((larger.sum() + 1) / (PERMUTATIONS + 1))
