"""The results of `Index.explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

HeatMap = npt.NDArray[np.float64]  # [rows, columns], the effect of each region on the score


@dataclass(frozen=True, slots=True)
class Share:
    """A summand of a score: how much `what` of a part adds to it.

    `details` depend on the part: of a bit, whether query and document agree in it and what it stands for.
    """

    part: str  # "words", "codes", "vectors", or "constant"
    what: str
    share: float
    details: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The share as a row of the command line."""
        return {"part": self.part, "what": self.what, "share": self.share, **self.details}


@dataclass(frozen=True, slots=True)
class WordEffect:
    """How much a word of a text adds to the score, in all and by each part."""

    word: str
    effect: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a document got its score for a query.

    Attributes: `score`, of which `shares` are the summands; `distance`, the Hamming distance; `query_words` and
    `document_words`, the words of texts with their effect, largest first; `query_map` and `document_map`, the effect of
    the regions of images [8, 8], None for texts.
    """

    id: str
    score: float
    distance: int
    shares: Sequence[Share]
    query_words: Sequence[WordEffect] = ()
    document_words: Sequence[WordEffect] = ()
    query_map: HeatMap | None = None
    document_map: HeatMap | None = None

    def rows(self) -> list[dict[str, Any]]:
        """The shares as rows, JSON-compatible."""
        return [share.row() for share in self.shares]
