"""The part of `Index` that explains results, describes bits and checks the health of codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from hashret.codes import hamming
from hashret.documents import Document, as_documents
from hashret.errors import UsageError
from hashret.explanation import Bit, Explanation, Health, check_health, describe_bits, explain
from hashret.explanation.bits import DOCUMENTS, spread
from hashret.explanation.explain import Case
from hashret.explanation.health import LIMITS, Facts
from hashret.explanation.probe import Probe
from hashret.queries import Query
from hashret.ranking import Question, Scored, Scoring
from hashret.ranking.score import By, Weights
from hashret.reading import ENOUGH_WORDS
from hashret.searching import Searching
from hashret.snapshot import on_snapshot


class Explaining(Searching):
    """Base class of `hashret.Index`, for explanations."""

    @on_snapshot
    def explain(
        self, query: Query, id: str, *, by: By = None, weights: Weights = None, likeness: bool = False
    ) -> Explanation:
        """Explain the score of a document for a query.

        Args:
            query: A text, image, vector or Document, as for `search`; with `likeness` the id of a document.
            id: The id of the document.
            by, weights: As for `search`.
            likeness: Score as `like` does, by default by codes and vectors.

        Returns:
            An Explanation: `score`, `shares`, which add up to the score, `query_words` and `document_words` with their
            effects, and for images `query_map` and `document_map`, the effect of each of 8 x 8 regions.

        Raises:
            UnknownId: No document has this id.
            DataError: The query has another type than the index.

        Example:
            >>> index = hashret.Index.create("indexes/why", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> why = index.explain("wheat was dear", "1")
            >>> why.shares[0].part, sorted(share.what for share in why.shares[:3])
            ('words', ['dear', 'was', 'wheat'])
            >>> bool(abs(sum(share.share for share in why.shares) - why.score) < 1e-6)
            True
        """
        usual = [name for name in self.parts if name != "words"] if likeness else None
        scoring = self._scoring(by, weights, None, likeness, usual)
        row = self._row(id)
        position = int(np.searchsorted(self._rows, row))
        pretrained = self.hasher.vectorizer.pretrained
        if likeness:
            if not isinstance(query, str):
                raise UsageError(f"with likeness, the query must be the id of a document, got {type(query).__name__}")
            encoded = self._stored_as_queries([self._row(query)])
            asked = next(self._inputs([self.store.record(self._row(query))], pretrained))
        else:
            encoded, asked = self._encode([query]), next(as_documents([query]))
        question = encoded.question(0)
        scored, means, original = self._scored_twice(question, scoring, position)
        document = next(self._inputs([self.store.record(row)], pretrained))
        ranking, code = self._ranking, self.codes[position : position + 1]
        absent = None if ranking.vectors is None else ranking.vectors.absent
        return explain(
            Case(
                query=asked,
                encoded_again=not (likeness and pretrained),
                document=document,
                question=question,
                scored=scored,
                means=means,
                position=position,
                code=code,
                distance=int(hamming(encoded.codes, code)[0, 0]),
                target=None if ranking.vectors is None else ranking.vectors.decoded(position, original),
                present=absent is None or not absent[position],
                probe=Probe(self.hasher, self._parts.quantizer),
                words=ranking.words,
                analyzer=self._parts.analyzer,
                bits=self._bits_described,
            )
        )

    def _scored_twice(
        self, question: Question, scoring: Scoring, position: int
    ) -> tuple[Scored, Mapping[str, float], bool]:
        """Score all documents. Also returns the means by part, and whether the document got its original features.

        The means are those before the best documents are scored again by their original features.
        """
        scored = self._scored(question, scoring)
        first = self._scored(question, replace(scoring, oversample=0)) if scoring.oversample else scored
        absent = None if self._ranking.vectors is None else self._ranking.vectors.absent
        here = slice(None) if absent is None else ~absent
        means = {
            name: float(raw.mean() if name == "words" else raw[here].mean()) if len(raw[here]) else 0.0
            for name, raw in first.parts.items()
        }
        again = "vectors" in scored.parts and scored.parts["vectors"][position] != first.parts["vectors"][position]
        return scored, means, bool(again)

    @on_snapshot
    def explain_bits(self) -> list[Bit]:
        """Describe each bit of the codes: balance, entropy, correlation, and what documents with a 1 or a 0 have.

        Example:
            >>> index = hashret.Index.create("indexes/bit", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> bit = index.explain_bits()[0]
            >>> bit.number, bit.balance
            (0, 0.5)
        """
        return self._bits_described

    @property
    def _bits_described(self) -> list[Bit]:
        made = self._made
        if "bits" not in made.values:  # not made.get: searches would wait meanwhile
            made.values["bits"] = self._describe_bits()
        found: list[Bit] = made.values["bits"]
        return found

    def _describe_bits(self) -> list[Bit]:
        self._check_open()
        documents: list[Document] = []
        if self.hasher.document_type != "vector":
            rows = self._rows[spread(len(self._rows), DOCUMENTS)]
            documents = [self._restore(self.store.record(int(row)), small=True) for row in rows]
        return describe_bits(self.codes, self.bits, documents)

    @on_snapshot
    def health(self, queries: Iterable[Query] | None = None, *, limits: Mapping[str, float] | None = None) -> Health:
        """Check the codes of the index, and whether its hasher still fits its documents and queries.

        Args:
            queries: Queries that users asked, to measure the share that is far from all documents.
            limits: Limits of checks by name, in place of those of `hashret.explanation.health.LIMITS`.

        Returns:
            Health: `ok`, and `findings`, each with `check`, `value`, `limit`, `ok`, `what` and `advice`.

        Raises:
            UsageError: A limit has an unknown name.

        Example:
            >>> index = hashret.Index.create("indexes/well", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> health = index.health(limits={"correlation": 1})
            >>> health.findings[3].check, health.findings[3].ok
            ('largest bucket', True)
        """
        if wrong := [name for name in limits or {} if name not in LIMITS]:
            raise UsageError(f"unknown limit {wrong[0]!r}; allowed: {', '.join(LIMITS)}")
        codes, unknown = None, 0
        if queries is not None:
            encoded = self._encode(list(queries))
            known = np.ones(len(encoded.codes), bool) if encoded.known is None else encoded.known
            codes, unknown = encoded.codes[known], int((~known).sum())
        words, _ = (self._about.get("words") or {}).get("added", (0, 0))
        unseen = (self._unseen("fitted"), self._unseen("added") if words >= ENOUGH_WORDS else None)
        facts = Facts(unseen, dict(self._about.get("ones") or {}), codes, unknown)
        return check_health(self.codes, self.bits, facts, limits or {})
