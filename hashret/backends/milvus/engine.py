"""Milvus: codes as a binary vector, searched by BIN_FLAT, or by BIN_IVF_FLAT if the address asks for it.

The collection of the index milvus://host:port/letters has two partitions:

    _default    a row for each document: key (a digest of the id), position, code, vector and norm, digests of the
                labels, head (id and labels), fields (metadata for filters), body (content, metadata, thumbnail)
    hashret     the state and the files of the hasher: key, body

Milvus has no transactions: a change that is cut off can be visible in part. Ids and labels never become part of an
expression, only their digests do. Milvus does not refuse a key that is there, so rows are always upserted; a request
that is sent twice then has the effect of one. Texts are stored as JSON in ASCII, because Milvus counts bytes. The first
request of a call waits until the server knows all earlier changes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from hashret.backends.base import BLOCK, EVERYTHING, Change, Columns, Near, Positions, Row, Selection, State, WordScores
from hashret.backends.milvus.change import MilvusChange
from hashret.backends.milvus.filters import among_labels, condition_of, fields_of, with_own
from hashret.backends.milvus.session import DOCUMENTS, FILES, LABELS, NLIST, STATE, Session
from hashret.backends.milvus.values import (
    PIECE,
    PIECES,
    body_of,
    digest,
    head_of,
    one_of,
    read_record,
    read_vector,
)
from hashret.codes import width
from hashret.documents import batches
from hashret.errors import DataError, IndexExists, StoreError, UnknownId, UsageError
from hashret.store import Record

MOST = 16_384  # results of a search or a query
FIELDS = 65_000  # bytes of the metadata for filters
NPROBE = 16  # clusters that an approximate search looks at


class Milvus(Session):
    """An index in Milvus."""

    # state

    def state(self) -> State:
        """Return the state."""
        rows = self.query(f'key == "{STATE}"', ["body"], FILES) if self.exists() and self.is_ours() else []
        if not rows:
            raise self.missing()
        state = State.from_json("".join(rows[0]["body"]), str(self.address))
        self.bits, self.next, self.fields = state.bits, state.next, with_own(state.fields)
        return state

    def check_vacant(self, force: bool) -> None:
        """Raise an error if there is an index and not `force`, or if another collection has the name."""
        self.run(lambda: self._check_vacant(force))

    def _check_vacant(self, force: bool) -> None:
        if not self.exists():
            return
        if not self.is_ours():
            raise UsageError(f"Milvus has another collection {self.address.name!r}; choose another name for the index")
        if not force:
            raise IndexExists(f"index {self.address} already exists", path=str(self.address))

    def file(self, name: str) -> bytes:
        """Return a file of the hasher."""
        parts: list[str] = []
        while rows := self.query(f'key == "{digest(f"{name}/{len(parts)}")}"', ["body"], FILES):
            parts.append("".join(rows[0]["body"]))
        if not parts:
            raise FileNotFoundError(name)
        return base64.b64decode("".join(parts))

    def size(self) -> int | None:
        """Milvus does not say."""
        return None

    # reading

    def documents(self, state: State) -> int:
        """Count the documents."""
        return self.count()

    def count(self) -> int:
        """Count the documents. The statistics of a collection count deleted ones too."""
        return int(self.query("", ["count(*)"])[0]["count(*)"])

    def find(self, ids: Sequence[str]) -> list[int | None]:
        """Return the position of each id, or None."""
        found: dict[str, int] = {}
        for some in batches(dict.fromkeys(map(digest, ids)), BLOCK):
            for row in self.query(one_of("key", some), ["key", "position"]):
                found[row["key"]] = row["position"]
        return [found.get(digest(id)) for id in ids]

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return the records at these positions, in this order."""
        found = {row["position"]: read_record(row) for row in self.at(positions, ["head", "body"])}
        if missing := [position for position in positions if position not in found]:
            raise UnknownId(f"no document at position {missing[0]}", id="", path=str(self.address))
        return [found[position] for position in positions]

    def _windows(self, fields: Sequence[str], after: int = -1, condition: str = "") -> Iterator[list[dict[str, Any]]]:
        """Yield rows in blocks, in order of position."""
        for start in range(after + 1, self.next, BLOCK):
            inside = f"position >= {start} and position < {start + BLOCK}{condition}"
            rows = self.query(inside, ["position", *fields])
            yield sorted(rows, key=lambda row: row["position"])

    def columns(self, positions: Sequence[int] | None = None, vectors: bool = True) -> Columns:
        """Return codes and vectors of these positions that exist, or of all documents."""
        fields = ["code", "vector"] if vectors else ["code"]
        if positions is None:
            rows = [row for block in self._windows(fields) for row in block]
        else:
            found = self.at([int(position) for position in positions], fields)
            rows = sorted(found, key=lambda row: row["position"])
        kept = [read_vector(row["vector"]) for row in rows] if vectors else []
        codes = np.frombuffer(b"".join(row["code"][0] for row in rows), np.uint8).reshape(len(rows), width(self.bits))
        return Columns(
            np.array([row["position"] for row in rows], np.int64),
            codes,
            [vector for vector, _ in kept],
            np.array([norm for _, norm in kept], np.float32) if vectors else np.zeros(len(rows), np.float32),
        )

    def heads(self) -> Iterator[tuple[int, str, tuple[str, ...]]]:
        """Yield position, id and labels of all documents."""
        for block in self._windows(["head"]):
            for row in block:
                id, *labels = json.loads(row["head"])
                yield row["position"], id, tuple(labels)

    def rows(self, after: int = -1, limit: int | None = None) -> Iterator[Row]:
        """Yield all documents after a position."""
        left = limit
        for block in self._windows([], after):
            some = block if left is None else block[:left]
            found = self.at([row["position"] for row in some], ["code", "vector", "head", "body"])
            for row in sorted(found, key=lambda row: row["position"]):
                yield Row(row["position"], read_record(row), row["code"][0], *read_vector(row["vector"]))
            left = None if left is None else left - len(some)
            if left == 0:
                return

    def label_names(self, limit: int) -> list[str]:
        """Return the distinct labels."""
        found: set[str] = set()
        for *_, labels in self.heads():
            found.update(labels)
            if len(found) > limit:
                break
        return sorted(found)[:limit]

    def kinds(self) -> dict[str, list[str]]:
        """Return the kinds of values of each field of the metadata, of `id` and of `label`, as the last state says."""
        return with_own(self.state().fields)

    def has_label(self, label: str) -> bool:
        """Return whether a document has the label."""
        return bool(self.query(among_labels([label]), ["position"], limit=1))

    def first(self, count: int, selection: Selection = EVERYTHING, own: int | None = None) -> Positions:
        """Return the lowest positions."""
        condition, found = condition_of(selection, own, self.fields), list[int]()
        for block in self._windows([], condition=condition and f" and {condition}"):
            found += [row["position"] for row in block]
            if len(found) >= count:
                break
        return np.array(found[:count], np.int64)

    # searching

    def nearest(
        self, code: bytes, k: int, selection: Selection = EVERYTHING, own: int | None = None, approximate: bool = False
    ) -> Near:
        """Return the k nearest documents.

        Milvus cuts off equal distances in any order. So more are fetched until all at the k-th distance are there.
        """
        limit = min(MOST, k + 100)
        while True:
            positions, distances = self._search(code, limit, selection, own, approximate)
            complete = len(positions) < limit or (k < limit and distances[-1] > distances[k - 1])
            if complete or limit == MOST or approximate:
                break
            limit = min(MOST, 8 * limit)
        order = np.lexsort((positions, distances))[:k]
        ties = int((distances == distances[order[-1]]).sum()) if len(order) else 0
        return Near(positions[order], distances[order], complete and not approximate, ties)

    def within(self, code: bytes, radius: int, selection: Selection = EVERYTHING, own: int | None = None) -> Near:
        """Return all documents within a Hamming distance."""
        limit = BLOCK
        while True:
            positions, distances = self._search(code, limit, selection, own, False)
            complete = len(positions) < limit or distances[-1] > radius
            if complete or limit == MOST:
                break
            limit = min(MOST, 8 * limit)
        inside = distances <= radius
        positions, distances = positions[inside], distances[inside]
        order = np.lexsort((positions, distances))
        return Near(positions[order], distances[order], complete)

    def _search(
        self, code: bytes, limit: int, selection: Selection, own: int | None, approximate: bool
    ) -> tuple[Positions, np.ndarray]:
        """Positions and distances of the nearest documents. To look at all clusters of BIN_IVF_FLAT is exact."""
        [found] = self._connect().search(
            self.address.name,
            data=[code],
            anns_field="code",
            filter=condition_of(selection, own, self.fields),
            limit=limit,
            output_fields=["position"],
            partition_names=[DOCUMENTS],
            search_params={"metric_type": "HAMMING", "params": {"nprobe": NPROBE if approximate else NLIST}},
            consistency_level=self._consistency(),
            timeout=self.address.timeout,
        )
        positions = np.array([hit["entity"]["position"] for hit in found], np.int64)
        distances = np.array([hit["distance"] for hit in found], np.float64).astype(np.int64)
        order = np.lexsort((positions, distances))
        return positions[order], distances[order]

    def words(
        self,
        terms: Sequence[str],
        stop_terms: frozenset[str],
        limit: int | None,
        selection: Selection = EVERYTHING,
        own: int | None = None,
        among: Sequence[int] = (),
    ) -> WordScores:
        """Not available: `has_words` says so."""
        raise UsageError("milvus does not score words")

    # writing

    def check(self, records: Sequence[Record]) -> None:
        """Raise DataError for documents that are too long for Milvus."""
        for record in records:
            if len(head_of(record)) > PIECE:
                raise DataError(f"the id and labels of {record.id[:40]!r} are too long; Milvus takes {PIECE:,} bytes")
            if len(record.labels) > LABELS:
                raise DataError(f"{record.id!r} has {len(record.labels):,} labels; Milvus takes {LABELS:,}")
            if (size := len(json.dumps(fields_of(record)))) > FIELDS:
                raise DataError(
                    f"the metadata of {record.id!r} has {size:,} bytes as JSON; Milvus takes {FIELDS:,}, so leave out "
                    "some fields"
                )
            if len(body := body_of(record)) > PIECE * PIECES:
                raise DataError(
                    f"the text of {record.id!r} has {len(body):,} bytes as JSON, with metadata; Milvus takes "
                    f"{PIECE * PIECES:,}, so split the document"
                )

    @contextmanager
    def write(self, create: bool = False, force: bool = False) -> Iterator[Change]:
        """Change the index. A creation that fails is removed; other changes may be visible in part."""
        with self._lock:
            self.run(lambda: self._check_vacant(force) if create else None)
            change = MilvusChange(self)
            try:
                with self._translated():
                    if not create:
                        change.state = self.state()
                    yield change
                    change.finish()
            except BaseException:
                if change.started_over:
                    with suppress(StoreError), self._translated():
                        self.drop()
                raise

    # verifying

    def problems(self, state: State) -> list[tuple[str, str, str]]:
        """Check that ids and positions are unique, and the lengths of codes and vectors."""
        found: list[tuple[str, str, str]] = []
        seen, ids, wrong, strange = set[int](), set[str](), 0, 0
        for block in self._windows(["key", "head", "code", "vector"]):
            for row in block:
                id = json.loads(row["head"])[0]
                seen.add(row["position"])
                ids.add(id)
                strange += row["key"] != digest(id)
                high = row["code"][0][-1] >> (state.bits % 8 or 8)
                wrong += bool(high) or len(read_vector(row["vector"])[0]) != state.vector_bytes
        total = self.count()
        if not len(seen) == len(ids) == total:
            what = f"has {total:,} documents, but {len(seen):,} positions and {len(ids):,} ids"
            found.append((self.address.name, what, "a change was cut off, or made without hashret"))
        if strange or wrong:
            what = f"has {strange:,} keys of other ids, and {wrong:,} codes or vectors of a wrong length"
            found.append((self.address.name, what, "these documents are not found; push the index again"))
        return found
