"""What each bit of the codes stands for: balance, entropy, correlation, and what documents with a 1 have in common.

For texts, these are the words that distinguish the documents with a 1 from those with a 0, and the other way round. For
images, it is the mean brightness of the ones less that of the zeros, by region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret import tokens
from hashret.codes import Codes, unpack
from hashret.documents import Document
from hashret.errors import DataError
from hashret.explanation.contrast import distinctive, summed
from hashret.explanation.regions import GRID, grey_grid, region
from hashret.explanation.results import HeatMap
from hashret.loops import Doubles

CODES = 100_000  # codes that statistics are computed from, evenly spread over the index
DOCUMENTS = 2000  # documents of them that are read for what bits stand for
VOCABULARY = 10_000  # words considered
WORDS = 6  # words of a bit
REGIONS = 3  # regions of images named for a bit


@dataclass(frozen=True, slots=True)
class Bit:
    """A bit of the codes.

    `balance` is the share of documents with a 1, `entropy` that of the bit (1 at most), `correlation` the strongest one
    with another bit, `correlated`. `ones` and `zeros` are words, or regions of images, of documents with a 1 or a 0.
    """

    number: int
    balance: float
    entropy: float
    correlation: float
    correlated: int | None
    ones: Sequence[str] = ()
    zeros: Sequence[str] = ()
    image: HeatMap | None = None

    def row(self) -> dict[str, Any]:
        """The bit as a row of the command line."""
        return {
            "bit": self.number,
            "balance": round(self.balance, 4),
            "entropy": round(self.entropy, 4),
            "correlation": round(self.correlation, 4),
            "correlated": self.correlated,
            "ones": list(self.ones),
            "zeros": list(self.zeros),
        }


def spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` positions, evenly spread over `count`."""
    size = min(count, most)
    return np.arange(size, dtype=np.int64) * count // max(1, size)


def describe_bits(codes: Codes, bits: int, documents: Sequence[Document]) -> list[Bit]:
    """Describe each bit. `documents` are those at `spread(len(codes), DOCUMENTS)`, or none if they are not stored."""
    values = unpack(codes[spread(len(codes), CODES)], bits)
    balance = values.mean(axis=0) if len(values) else np.zeros(bits)
    related = correlations(values)
    own = unpack(codes[spread(len(codes), DOCUMENTS)], bits)
    ones, zeros, images = _meanings(own, documents)
    strongest = np.abs(related).argmax(axis=1)
    return [
        Bit(
            j,
            float(balance[j]),
            entropy(float(balance[j])),
            float(related[j, strongest[j]]),
            int(strongest[j]) if related[j, strongest[j]] else None,
            ones[j],
            zeros[j],
            images[j],
        )
        for j in range(bits)
    ]


def entropy(balance: float) -> float:
    """The entropy in bits of a bit that is 1 with this probability."""
    each = np.array([balance, 1 - balance])
    each = each[each > 0]
    return float(-(each * np.log2(each)).sum()) + 0.0


def correlations(values: npt.NDArray[np.bool_]) -> Doubles:
    """Pearson correlations of bits [n, bits], with zeros on the diagonal and for constant bits: [bits, bits]."""
    centred = values - values.mean(axis=0) if len(values) else np.zeros((1, values.shape[1]))
    together = (centred.T @ centred) / len(centred)
    scale = np.sqrt(np.diag(together))
    related = together / np.where(scale > 0, scale, np.inf)[:, None] / np.where(scale > 0, scale, np.inf)
    np.fill_diagonal(related, 0)
    return np.asarray(related, np.float64)


Named = list[list[str]]


def _meanings(values: npt.NDArray[np.bool_], documents: Sequence[Document]) -> tuple[Named, Named, list[Any]]:
    """Words or regions of the ones and of the zeros of each bit, and its image."""
    bits = values.shape[1]
    nothing: Named = [[] for _ in range(bits)]
    kinds = {document.kind for document in documents}
    if kinds == {"text"}:
        ones, zeros = _words(values, documents)
        return ones, zeros, [None] * bits
    if kinds == {"image"}:
        maps = _images(values, documents)
        return [_brightest(own) for own in maps], [_brightest(-own) for own in maps], list(maps)
    return nothing, nothing, [None] * bits


def _words(values: npt.NDArray[np.bool_], documents: Sequence[Document]) -> tuple[Named, Named]:
    texts = [str(document.content) for document in documents]
    try:
        kept, _ = tokens.vocabulary(texts, VOCABULARY, 2, 0.5)
    except DataError:  # no text has a word
        return [[] for _ in range(values.shape[1])], [[] for _ in range(values.shape[1])]
    counts = tokens.count(texts, {word: column for column, word in enumerate(kept)})
    everywhere = summed(counts)
    inside = np.stack([summed(counts.take(np.flatnonzero(own))) for own in values.T])
    return distinctive(inside, kept, WORDS, everywhere), distinctive(everywhere - inside, kept, WORDS, everywhere)


def _images(values: npt.NDArray[np.bool_], documents: Sequence[Document]) -> Doubles:
    """The mean of the ones less that of the zeros, [bits, GRID, GRID]."""
    grids = np.stack([grey_grid(document) for document in documents]).reshape(len(documents), -1)
    ones = values.sum(axis=0)[:, None]
    inside = values.T.astype(np.float64) @ grids
    apart = inside / np.maximum(ones, 1) - (grids.sum(axis=0) - inside) / np.maximum(len(grids) - ones, 1)
    return np.asarray((apart * ((ones > 0) & (ones < len(grids)))).reshape(-1, GRID, GRID))


def _brightest(image: Doubles) -> list[str]:
    """The names of the regions that are brightest, brightest first."""
    order = np.argsort(-image, axis=None, kind="stable")[:REGIONS]
    return [region(int(place)) for place in order if image.flat[place] > 0]
