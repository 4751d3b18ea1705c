"""Texts with planted copies: words changed, sentences in another order, a part only, quoted in an answer."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from figures import Run
from hashret import duplicates
from hashret.demo import python_documents
from hashret.documents import Document
from planted.common import Pair, Planted, Scored, rows

DOCUMENTS, COPIES = 2000, 50  # of a corpus, and of each kind of edit
SHORTEST = 8  # words
REAL = 0.5  # Jaccard similarity of the words of two originals from which they are real duplicates
QUOTED = 0.8  # share of the pairs of neighbouring words of an original from which another one quotes it
LOWEST = 0.2  # similarity from which pairs are asked for, to choose the best threshold
WORD = re.compile(r"\w+")

Random = np.random.Generator
Counts = npt.NDArray[np.float32]


def measure(case: str, data: Path, seed: int) -> Iterator[Run]:
    """The rows of all methods on one corpus."""
    texts, planted = planted_texts(CORPORA[case](data), seed)
    for method, (find, default) in METHODS.items():
        yield from rows(method, find(texts), default, planted)


def planted_texts(corpus: Iterable[str], seed: int) -> tuple[list[str], Planted]:
    """Return texts of a corpus followed by edited copies of some, and what was planted."""
    rng = np.random.default_rng(seed)
    fit = [text for text in dict.fromkeys(corpus) if len(WORD.findall(text)) >= SHORTEST]
    texts = [fit[place] for place in rng.permutation(len(fit))[:DOCUMENTS]]
    words = [word for text in texts for word in text.split()]
    sources = iter(rng.permutation(len(texts)).tolist())
    originals, kinds, copies = list(range(len(texts))), dict[Pair, str](), list[str]()
    for kind in np.repeat(list(EDITS), COPIES).tolist():
        for source in sources:  # the next that this edit changes; each text is copied at most once
            copy = EDITS[kind](texts[source], words, rng)
            if WORD.findall(copy) != WORD.findall(texts[source]):
                break
        else:
            raise ValueError(f"too few texts that {kind!r} changes")
        kinds[source, len(originals)] = kind
        originals.append(source)
        copies.append(copy)
    return [*texts, *copies], Planted(kinds, frozenset(_real(texts, originals)))


def _real(texts: Sequence[str], originals: Sequence[int]) -> Iterator[Pair]:
    """The pairs of texts whose originals differ and are alike, or one of which quotes the other, and their copies."""
    words = [WORD.findall(text.lower()) for text in texts]
    shared, a, b = _shared(words)
    alike = shared / (a + b - shared) >= REAL
    shared, a, b = _shared([list(pairwise(own)) for own in words])
    alike |= shared / np.minimum(a, b) >= QUOTED
    places: dict[int, list[int]] = {}
    for place, original in enumerate(originals):
        places.setdefault(original, []).append(place)
    for first, second in np.argwhere(np.triu(alike, 1)).tolist():
        for one in places[first]:
            yield from ((min(one, other), max(one, other)) for other in places[second])


def _shared(items: Sequence[Sequence[Hashable]]) -> tuple[Counts, Counts, Counts]:
    """Return how many items each pair of texts has in common, [n, n], and how many each has, [n, 1] and [n]."""
    from scipy.sparse import csr_matrix

    numbers: dict[Hashable, int] = {}
    sets = [sorted({numbers.setdefault(item, len(numbers)) for item in own}) for own in items]
    offsets = np.cumsum([0, *map(len, sets)])
    matrix = csr_matrix((np.ones(offsets[-1], np.float32), np.concatenate(sets), offsets), (len(items), len(numbers)))
    shared = (matrix @ matrix.T).toarray()
    return shared, shared.diagonal()[:, None], shared.diagonal()


def _changed(share: float) -> Callable[[str, Sequence[str], Random], str]:
    """Replace a share of the words, at least one, by words of the corpus."""

    def edit(text: str, words: Sequence[str], rng: Random) -> str:
        own = text.split()
        for place in rng.choice(len(own), max(1, round(share * len(own))), replace=False):
            own[place] = words[int(rng.integers(len(words)))]
        return " ".join(own)

    return edit


def _reordered(text: str, words: Sequence[str], rng: Random) -> str:
    sentences = re.split(r"(?<=[.!?])\s+|\n\s*\n", text)
    return " ".join(sentences[place] for place in rng.permutation(len(sentences)).tolist())


def _start(text: str, words: Sequence[str], rng: Random) -> str:
    """The first 60 to 90 % of the words."""
    own = text.split()
    return " ".join(own[: max(SHORTEST - 2, round(rng.uniform(0.6, 0.9) * len(own)))])


def _quoted(text: str, words: Sequence[str], rng: Random) -> str:
    """The text quoted in a mail with a header and an answer of its own, a tenth as long."""
    drawn = [words[place] for place in rng.integers(len(words), size=7 + len(text.split()) // 10)]
    header = f"From: {drawn[0]}@{drawn[1]}.example\nSubject: Re: {drawn[2]} {drawn[3]}\n\n{drawn[4]} wrote:\n"
    return header + "\n".join(f"> {line}" for line in text.splitlines()) + f"\n\n{' '.join(drawn[5:])}\n"


EDITS: Mapping[str, Callable[[str, Sequence[str], Random], str]] = {
    "1 % of words": _changed(0.01),
    "5 % of words": _changed(0.05),
    "10 % of words": _changed(0.1),
    "20 % of words": _changed(0.2),
    "sentences reordered": _reordered,
    "start only": _start,
    "quoted": _quoted,
}


def _news(data: Path) -> Iterator[str]:
    for part in ("train", "test"):
        for row in _lines(data / "20newsgroups" / f"20news-bydate-{part}.jsonl.gz"):
            yield row["text"].partition("\n\n")[2].strip()


def _reuters(data: Path) -> Iterator[str]:
    for row in _lines(data / "reuters21578" / "reuters21578.jsonl.gz"):
        yield f"{row['title']}\n{row['body']}".strip()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _demo(data: Path) -> Iterator[str]:
    for document in python_documents():
        assert isinstance(document.content, str)
        yield document.content


CORPORA: Mapping[str, Callable[[Path], Iterator[str]]] = {"20news": _news, "reuters": _reuters, "demo": _demo}


def _hashret(threshold: str | float) -> Callable[[Sequence[str]], Scored]:
    def find(texts: Sequence[str]) -> Scored:
        found = duplicates([Document(str(place), text) for place, text in enumerate(texts)], threshold=threshold)
        return {_ordered(int(pair.first), int(pair.second)): pair.similarity for pair in found.pairs}

    return find


def _ordered(one: int, other: int) -> Pair:
    return min(one, other), max(one, other)


def _shingles(text: str, unit: str) -> set[bytes]:
    """Single words, or groups of five characters or words."""
    if unit == "word":
        return {word.encode() for word in text.lower().split()}
    if unit == "5 words":
        words = text.lower().split()
        return {" ".join(words[at : at + 5]).encode() for at in range(max(1, len(words) - 4))}
    return {text[at : at + 5].encode() for at in range(max(1, len(text) - 4))}


def _candidates(hashes: Sequence[Any], index: Any) -> Scored:
    """All pairs that an index of MinHash proposes, with the similarity that their signatures estimate."""
    found = {}
    for place, own in enumerate(hashes):
        for other in index.query(own):
            found[other, place] = own.jaccard(hashes[other])
        index.insert(place, own)
    return found


def _datasketch(unit: str, permutations: int) -> Callable[[Sequence[str]], Scored]:
    def find(texts: Sequence[str]) -> Scored:
        from datasketch import MinHash, MinHashLSH

        hashes = MinHash.bulk([_shingles(text, unit) for text in texts], num_perm=permutations)
        return _candidates(hashes, MinHashLSH(threshold=LOWEST, num_perm=permutations))

    return find


def _rensa(unit: str) -> Callable[[Sequence[str]], Scored]:
    def find(texts: Sequence[str]) -> Scored:
        from rensa import RMinHash, RMinHashLSH

        hashes = []
        for text in texts:
            hashes.append(RMinHash(num_perm=128, seed=42))
            hashes[-1].update([shingle.decode("utf-8", "replace") for shingle in _shingles(text, unit)])
        return _candidates(hashes, RMinHashLSH(threshold=LOWEST, num_perm=128, num_bands=64))

    return find


class _Static:
    """The encoder of SemHash: word vectors distilled from MiniLM."""

    def encode(self, inputs: Sequence[str], **options: Any) -> Any:
        from hashret.vectorizers.static import MINILM, static_vectors

        return static_vectors(MINILM)(list(inputs))


def _semhash(texts: Sequence[str]) -> Scored:
    """All pairs above a low cosine, by its exact search."""
    from semhash import SemHash

    records = [{"text": text, "place": str(place)} for place, text in enumerate(texts)]
    index = SemHash.from_records(records, columns=["text"], model=_Static(), ann_backend="basic").index
    found: dict[Pair, float] = {}
    groups = [[int(item["place"]) for item in group] for group in index.items]  # of equal texts
    for own, (others, scores) in zip(groups, index.query_threshold(index.vectors, threshold=0.7), strict=True):
        for other, score in zip(others.tolist(), scores.tolist(), strict=True):
            found |= {_ordered(one, two): score for one in own for two in groups[other] if one != two}
    return found


# How each method finds pairs, and the threshold that is its default or that its documentation uses.
METHODS: Mapping[str, tuple[Callable[[Sequence[str]], Scored], float | None]] = {
    "hashret": (_hashret(LOWEST), None),
    "hashret, default options": (_hashret("near"), 0.0),
    "SemHash, static vectors": (_semhash, 0.9),
    "datasketch, 128 permutations, words": (_datasketch("word", 128), 0.9),
    "datasketch, 256 permutations, words": (_datasketch("word", 256), 0.9),
    "datasketch, 128 permutations, 5 characters": (_datasketch("5 characters", 128), 0.9),
    "datasketch, 256 permutations, 5 characters": (_datasketch("5 characters", 256), 0.9),
    "rensa, 128 permutations, words": (_rensa("word"), 0.8),
    "rensa, 128 permutations, 5 characters": (_rensa("5 characters"), 0.8),
}
