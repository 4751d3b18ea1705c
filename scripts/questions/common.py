"""What the parts share: corpora, indexes that are fitted once a run, and the form of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashret.documents import Document
from hashret.index import Index
from hashret.readers import read
from hashret.readers.beir import Beir

Row = dict[str, Any]
"""A measure of a method: "method", "measure" and "value", and more where a part has more to tell."""

BITS = 64
DEFAULT = "default"


class Indexes:
    """The indexes of a run, in a temporary folder; each is fitted when first needed, with no option set but a seed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[tuple[str, int], Index] = {}

    def of(self, name: str, seed: int, documents: Callable[[], Sequence[Document]]) -> Index:
        """The index of a corpus."""
        if (name, seed) not in self.made:
            path = self.folder / f"{name.replace(' ', '-')}-{seed}"
            self.made[name, seed] = Index.create(path, documents(), bits=BITS, seed=seed)
        return self.made[name, seed]

    def close(self) -> None:
        """Close all."""
        for index in self.made.values():
            index.close()


def row(method: str, measure: str, value: float, **more: Any) -> Row:
    """A row, its value rounded."""
    return {"method": method, "measure": measure, "value": round(value, 6), **more}


def newsgroups(data: Path, *parts: str) -> list[Document]:
    """20 Newsgroups, split by date."""
    files = (data / "20newsgroups" / f"20news-bydate-{part}.jsonl.gz" for part in parts)
    return [document for file in files for document in read(file, label="category")]


def snippets(data: Path, part: str) -> list[Document]:
    """Search snippets, "train" or "test"."""
    found = read(data / "websnippets" / "websnippets.jsonl.gz")
    return [document for document in found if document.metadata["split"] == part]


def beir(data: Path, name: str) -> list[Document]:
    """The documents of a folder in the form of BEIR: title and text."""
    return list(Beir(data / f"ir_{name}"))


def some(documents: Sequence[Document], count: int, seed: int = 0) -> list[Document]:
    """So many documents, drawn at random, in order."""
    places = np.random.default_rng(seed).permutation(len(documents))[:count]
    return [documents[place] for place in np.sort(places).tolist()]
