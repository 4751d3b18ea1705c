"""What asking costs: bytes of words on disk, and time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import h5py
import numpy as np

from hashret import postings
from hashret.documents import Document
from hashret.features import Vectors
from hashret.index import Index
from hashret.postings import Occurrences
from hashret.quantizer import Additive
from hashret.ranking import PARTS, Codes, QuantizedVectors, Question, Ranking, Scoring, Words
from hashret.store.derived import Postings
from questions.common import BITS, Indexes, Row, beir, newsgroups, row

NEWS = "20news"
STORED = {  # what the words of an index are stored in, by name
    "postings": ("words/postings",),
    "positions": ("words/positions",),
    "terms": ("words/terms",),
    "lengths": ("words/lengths", "words/pairs"),
    "titles": ("titles",),
}
TURNS, ASKED, QUESTION_WORDS, K = 15, 200, 4, 10
MILLION, VOCABULARY, DIM = 1_000_000, 100_000, 100
SHORTEST, LONGEST = 8, 16  # words of a synthetic document
IMPORTS = "import numpy, h5py, typer"


def size(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """Bytes of words on disk as a share of the bytes of the texts."""
    documents = _corpus(case, data)
    index = indexes.of(case, seed, lambda: documents)
    texts = sum(len(str(document.content).encode("utf-8", "surrogatepass")) for document in documents)
    sizes = dict.fromkeys(STORED, 0)
    for path in (index.path / "segments").glob("*.h5"):
        with h5py.File(path) as file:
            for name, groups in STORED.items():
                sizes[name] += sum(map(_bytes, (file[group] for group in groups)))
    for name, each in {**sizes, "all": sum(sizes.values())}.items():
        yield row(name, "share", each / texts, bytes=each, text_bytes=texts)


def _bytes(held: h5py.Group | h5py.Dataset) -> int:
    if isinstance(held, h5py.Dataset):
        return int(held.id.get_storage_size())
    return sum(map(_bytes, held.values()))


def _corpus(case: str, data: Path) -> list[Document]:
    return newsgroups(data, "train", "test") if case == NEWS else beir(data, case)


def timed(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """Milliseconds of a question."""
    yield from _million(seed) if case == "million" else _news(data, indexes, seed)


def _news(data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    documents = _corpus(NEWS, data)
    index = indexes.of(NEWS, seed, lambda: documents)
    questions = list(_drawn(documents))
    commands = {
        "hashret query": ["-m", "hashret", "query", "-i", str(index.path), questions[0]],
        IMPORTS: ["-c", IMPORTS],
    }
    yield from _by_turns({name: [partial(_called, command)] * TURNS for name, command in commands.items()})
    yield from _by_turns({"search": [partial(index.search, asked, K) for asked in questions]})
    yield from _by_turns({f"by {name}": _searches(index, questions, name) for name in PARTS})


def _searches(index: Index, questions: Sequence[str], part: str) -> list[Callable[[], object]]:
    return [partial(index.search, asked, K, by=part) for asked in questions]


def _called(command: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-P", *command], check=True, capture_output=True)


def _drawn(documents: Sequence[Document]) -> Iterator[str]:
    """Questions of neighbouring words of random documents."""
    rng = np.random.default_rng(0)
    for place in rng.permutation(len(documents)).tolist()[:ASKED]:
        words = [word for word in str(documents[place].content).split() if word.isalpha()]
        at = int(rng.integers(max(1, len(words) - QUESTION_WORDS)))
        yield " ".join(words[at : at + QUESTION_WORDS]) or "the"


def _by_turns(ways: dict[str, list[Callable[[], object]]]) -> Iterator[Row]:
    """The median of each way's calls, made in turn, after one call that does not count."""
    for calls in ways.values():
        calls[0]()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in zip(*ways.values(), strict=True):
        for name, call in zip(ways, turn, strict=True):
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    for name, each in times.items():
        low, high = np.quantile(each, [0.1, 0.9]).round(3).tolist()
        yield row(name, "ms", median(each), p10=low, p90=high, calls=len(each))


def _million(seed: int) -> Iterator[Row]:
    """A million synthetic documents, ranked for questions of words drawn as theirs are."""
    rng = np.random.default_rng(seed)
    found = _synthetic(rng)
    ranking, asked = _ranking(found, rng), [_question(found, rng) for _ in range(ASKED)]
    for name, by in {"search": PARTS, **{f"by {part}": (part,) for part in PARTS}}.items():
        yield from _by_turns({name: [_ranks(ranking, question, by) for question in asked]})


def _ranks(ranking: Ranking, question: Question, by: Sequence[str]) -> Callable[[], object]:
    return lambda: ranking.scores(question, Scoring(tuple(by))).top(K)


def _synthetic(rng: np.random.Generator) -> Occurrences:
    """Documents of words drawn by Zipf's law, all with a position."""
    lengths = rng.integers(SHORTEST, LONGEST + 1, MILLION)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    share = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    terms = np.searchsorted(share, rng.random(offsets[-1]) * share[-1]).astype(np.int32)
    positions = (np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)).astype(np.int32)
    return Occurrences([f"w{number}" for number in range(VOCABULARY)], offsets, terms, positions, lengths - 1)


def _ranking(found: Occurrences, rng: np.random.Generator) -> Ranking:
    held = Postings(MILLION, postings.arrays(found).__getitem__)
    words = Words([held], [], np.ones(MILLION, bool))
    codes = rng.integers(0, 256, (MILLION, BITS // 8), dtype=np.uint8)
    quantizer = Additive(DIM, None, rng.standard_normal((32, 16, DIM)).astype(np.float32))
    values = rng.integers(0, 256, (MILLION, 16), dtype=np.uint8)
    norms = rng.uniform(0.8, 1.2, MILLION).astype(np.float32)
    return Ranking(Codes(codes, BITS), QuantizedVectors(Vectors(values, norms), quantizer), words)


def _question(found: Occurrences, rng: np.random.Generator) -> Question:
    """Neighbouring words of a document, with random margins and features."""
    start = int(found.offsets[rng.integers(MILLION)])
    terms = [found.vocabulary[term] for term in found.terms[start : start + QUESTION_WORDS].tolist()]
    margins, features = (rng.standard_normal(width).astype(np.float32) for width in (BITS, DIM))
    return Question(terms, margins, features)
