"""PostgreSQL with pgvector: codes as a bit column, searched by a scan, or by an HNSW index if the address asks for it.

Tables of the index postgresql://host/database/letters:

    letters             position, id, code bit(N), vector, norm, content, labels, metadata, thumbnail, numbers of terms
    letters_postings    term, field (0: words, 1: titles), position of the document, count, places of the term
    letters_hasher      name, data: the files of the hasher
    letters_hashret     one row: the state, as JSON

A change is one transaction. `words.py` scores words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from hashret.backends.base import (
    BLOCK,
    EVERYTHING,
    KIND,
    Change,
    Columns,
    Lost,
    Near,
    Positions,
    Row,
    Selection,
    State,
    Unreachable,
    WordScores,
)
from hashret.backends.postgres.change import PostgresChange
from hashret.backends.postgres.filters import KINDS, Condition
from hashret.backends.postgres.session import TABLES, Session
from hashret.backends.postgres.values import as_text, is_text, read_codes, read_record, read_texts
from hashret.backends.postgres.words import scores
from hashret.errors import DataError, IndexExists, IndexLocked, UnknownId, UsageError
from hashret.store import Record

ID_BYTES = 2600  # the unique index of ids has room for 2,704 bytes
READ = 5000  # rows fetched together
MOST_EF = 1000  # largest hnsw.ef_search of pgvector
RECORD = "id, content, content_bytes, labels, metadata::text, thumbnail"


class Postgres(Session):
    """An index in PostgreSQL."""

    # state

    def state(self) -> State:
        """Return the state."""
        if (text := self._state_row()) is None:
            raise self.missing()
        state = State.from_json(text, str(self.address))
        self.bits = state.bits
        return state

    def _state_row(self) -> str | None:
        if not self._has("state"):
            return None
        row = self.execute("select state from {state}").fetchone()
        return row and cast("str", row[0])

    def _has(self, table: str) -> bool:
        name = self.address.name + TABLES[table]
        return bool(self.execute("select to_regclass(quote_ident(%(name)s)) is not null", {"name": name}).fetchone()[0])

    def check_vacant(self, force: bool) -> None:
        """Raise an error if there is an index and not `force`, or if other tables have these names."""
        self.run(lambda: self._check_vacant(force))

    def _check_vacant(self, force: bool) -> None:
        if self._has("state") and self._is_ours():
            if not force:
                raise IndexExists(f"index {self.address} already exists", path=str(self.address))
            return
        if strange := [self.address.name + own for table, own in TABLES.items() if self._has(table)]:
            raise UsageError(f"the database has another table {strange[0]!r}; choose another name for the index")

    def _is_ours(self) -> bool:
        """Whether hashret made the table of the state."""
        name = self.address.name + TABLES["state"]
        found = self.execute(
            "select array_agg(attname::text order by attnum) from pg_attribute "
            "where attrelid = to_regclass(quote_ident(%(name)s)) and attnum > 0 and not attisdropped",
            {"name": name},
        ).fetchone()[0]
        return found == ["one", "state"] and f'"kind": "{KIND}"' in (self._state_row() or "")

    def file(self, name: str) -> bytes:
        """Return a file of the hasher."""
        row = self.execute("select data from {hasher} where name = %(name)s", {"name": name}, binary=True).fetchone()
        if row is None:
            raise FileNotFoundError(name)
        return cast("bytes", row[0])

    def size(self) -> int | None:
        """Return the size of all tables and their indexes."""
        names = [self.address.name + own for own in TABLES.values()]
        found = self.execute(
            "select sum(pg_total_relation_size(to_regclass(quote_ident(name)))) from unnest(%(names)s::text[]) name",
            {"names": names},
        ).fetchone()
        return int(found[0] or 0)

    # reading

    def documents(self, state: State) -> int:
        """Return the number of documents."""
        return state.totals["documents"]

    def count(self) -> int:
        """Count the documents."""
        return int(self.execute("select count(*) from {documents}").fetchone()[0])

    def find(self, ids: Sequence[str]) -> list[int | None]:
        """Return the position of each id, or None."""
        asked = [id for id in ids if is_text(id)]
        rows = self.execute("select id, position from {documents} where id = any(%(ids)s)", {"ids": asked}).fetchall()
        found: dict[str, int] = dict(rows)
        return [found.get(id) for id in ids]

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return the records at these positions, in this order."""
        rows = self.execute(
            f"select position, {RECORD} from {{documents}} where position = any(%(positions)s)",
            {"positions": list(positions)},
        )
        found = {position: read_record(row) for position, *row in rows}
        if missing := [position for position in positions if position not in found]:
            raise UnknownId(f"no document at position {missing[0]}", id="", path=str(self.address))
        return [found[position] for position in positions]

    def columns(self, positions: Sequence[int] | None = None, vectors: bool = True) -> Columns:
        """Return codes and vectors of these positions that exist, or of all documents."""
        wanted = "position, code, vector, norm" if vectors else "position, code, null, null"
        where = "true" if positions is None else "position = any(%(positions)s)"
        values = {} if positions is None else {"positions": [int(own) for own in positions]}
        rows = list(self._blocks(wanted, where, values))
        kept = [row[2] for row in rows] if rows and rows[0][2] is not None else []
        return Columns(
            np.array([row[0] for row in rows], np.int64),
            read_codes([row[1] for row in rows], self.bits),
            kept,
            np.array([row[3] or 0.0 for row in rows], np.float32),
        )

    def _blocks(self, wanted: str, where: str, values: Mapping[str, Any], after: int = -1) -> Iterator[tuple[Any, ...]]:
        """Yield columns of documents in order of position, which must be the first column, in binary form."""
        while True:
            rows = self.execute(
                f"select {wanted} from {{documents}} where position > %(after)s and {where} "
                f"order by position limit {READ}",
                {**values, "after": after},
                binary=True,
            ).fetchall()
            yield from rows
            if len(rows) < READ:
                return
            after = rows[-1][0]

    def heads(self) -> Iterator[tuple[int, str, tuple[str, ...]]]:
        """Yield position, id and labels of all documents."""
        for position, id, labels in self._blocks("position, id, labels", "true", {}):
            yield position, id, tuple(labels)

    def rows(self, after: int = -1, limit: int | None = None) -> Iterator[Row]:
        """Yield all documents after a position."""
        left = limit
        while left is None or left > 0:
            found = self.execute(
                f"select position, code::text, vector, norm, {RECORD} from {{documents}} where position > %(after)s "
                f"order by position limit {BLOCK}",
                {"after": after},
            ).fetchall()
            for position, code, vector, norm, *record in found[:left]:
                own = read_texts([code], self.bits)[0].tobytes()
                yield Row(position, read_record(record), own, bytes(vector or b""), float(np.float32(norm or 0)))
            if len(found) < BLOCK:
                return
            after, left = found[-1][0], None if left is None else left - len(found)

    def label_names(self, limit: int) -> list[str]:
        """Return the distinct labels."""
        rows = self.execute(
            "select distinct unnest(labels) as label from {documents} order by label limit %(limit)s", {"limit": limit}
        )
        return sorted(label for (label,) in rows)

    def kinds(self) -> dict[str, list[str]]:
        """Return the kinds of values of each field of the metadata, of `id` and of `label`."""
        found: dict[str, set[str]] = {}
        for name, kind in self.execute(KINDS).fetchall():
            if kind:
                found.setdefault(name, set()).update(("int", "float") if kind == "number" else (kind,))
        fields = {name: sorted(kinds) for name, kinds in found.items()} | {"id": ["text"], "label": ["texts"]}
        return dict(sorted(fields.items()))

    def has_label(self, label: str) -> bool:
        """Return whether a document has the label."""
        if not is_text(label):
            return False
        found = self.execute(
            "select exists (select 1 from {documents} where labels @> %(labels)s::text[])", {"labels": [label]}
        )
        return bool(found.fetchone()[0])

    # searching

    def nearest(
        self, code: bytes, k: int, selection: Selection = EVERYTHING, own: int | None = None, approximate: bool = False
    ) -> Near:
        """Return the k nearest documents. A function, unlike the operator <~>, never uses the HNSW index."""
        where, values = _among(selection, own)
        values |= {"code": as_text(code, self.bits), "k": k}
        if approximate:
            return self._approximate(where, values, k)
        rows = self.execute(
            f"select position, hamming_distance(code, %(code)s::varbit) as distance from {{documents}} where {where} "
            "order by distance, position limit %(k)s",
            values,
        ).fetchall()
        if not rows:
            return _near(rows, True, 0)
        ties = self.execute(
            f"select count(*) from {{documents}} where {where} and hamming_distance(code, %(code)s::varbit) = %(last)s",
            {**values, "last": rows[-1][1]},
        ).fetchone()[0]
        return _near(rows, True, ties)

    def _approximate(self, where: str, values: Mapping[str, Any], k: int) -> Near:
        ef = min(MOST_EF, max(40, 2 * k))
        self.execute(f"set local hnsw.ef_search = {ef}")
        self.execute("set local hnsw.iterative_scan = relaxed_order")
        rows = self.execute(
            f"select position, distance from (select position, code <~> %(code)s::varbit as distance "
            f"from {{documents}} where {where} order by code <~> %(code)s::varbit limit %(k)s) as found "
            "order by distance, position",
            values,
        ).fetchall()
        return _near(rows, False, sum(row[1] == rows[-1][1] for row in rows))

    def within(self, code: bytes, radius: int, selection: Selection = EVERYTHING, own: int | None = None) -> Near:
        """Return all documents within a Hamming distance."""
        where, values = _among(selection, own)
        rows = self.execute(
            f"select * from (select position, hamming_distance(code, %(code)s::varbit) as distance from {{documents}} "
            f"where {where}) as found where distance <= %(radius)s order by distance, position",
            {**values, "code": as_text(code, self.bits), "radius": radius},
        ).fetchall()
        return _near(rows, True, None)

    def words(
        self,
        terms: Sequence[str],
        stop_terms: frozenset[str],
        limit: int | None,
        selection: Selection = EVERYTHING,
        own: int | None = None,
        among: Sequence[int] = (),
    ) -> WordScores:
        """Return the best documents by BM25."""
        where, values = _among(selection, own)
        totals = self.state().totals
        return scores(self.execute, totals, terms, stop_terms, limit, where, values, among)

    def first(self, count: int, selection: Selection = EVERYTHING, own: int | None = None) -> Positions:
        """Return the lowest positions."""
        where, values = _among(selection, own)
        rows = self.execute(
            f"select position from {{documents}} where {where} order by position limit %(count)s",
            {**values, "count": count},
        ).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    # writing

    def check(self, records: Sequence[Record]) -> None:
        """Raise DataError for ids, labels and metadata that PostgreSQL cannot store."""
        for record in records:
            if len(record.id.encode("utf-8", "surrogatepass")) > ID_BYTES:
                raise DataError(f"the id {record.id[:40]!r}... is too long; PostgreSQL takes {ID_BYTES:,} bytes")
            if not all(map(is_text, (record.id, *record.labels))):
                raise DataError(
                    f"the id or a label of {record.id!r} holds U+0000 or half of a surrogate pair, which PostgreSQL "
                    "cannot store; change it"
                )
            try:
                json.dumps(dict(record.metadata), allow_nan=False)
            except ValueError:
                raise DataError(f"the metadata of {record.id!r} holds NaN or infinity; leave it out") from None

    @contextmanager
    def write(self, create: bool = False, force: bool = False) -> Iterator[Change]:
        """Change the index in one transaction."""
        with self._lock:
            self.run(lambda: None)  # connects, with retries
            change, done = PostgresChange(self), False
            try:
                with self._translated(), self._transaction("begin"):
                    self._alone()
                    if create:
                        self._check_vacant(force)
                    else:
                        change.state = self.state()
                    yield change
                    change.finish()
                    done = True
            except Lost as error:
                self.disconnect()
                if done and self._is_committed(change.state.change):
                    return
                words = f"index {self.address} was not changed: the connection failed ({error}); try again"
                raise Unreachable(words, path=str(self.address)) from None

    def _alone(self) -> None:
        """Take the lock of writers, which is released at the end of the transaction."""
        taken = self.execute(
            "select pg_try_advisory_xact_lock(hashtextextended('hashret ' || %(name)s, 0))", {"name": self.address.name}
        ).fetchone()[0]
        if not taken:
            words = f"index {self.address} is being changed by another process; try again later"
            raise IndexLocked(words, path=str(self.address), holder="")

    def _is_committed(self, change: str) -> bool:
        """Whether a change is there, after the connection failed during its commit."""
        return self.run(lambda: (text := self._state_row()) is not None and json.loads(text)["change"] == change)

    # verifying

    def problems(self, state: State) -> list[tuple[str, str, str]]:
        """Check counts and cross-references."""
        counted = self.execute(
            "select count(*), coalesce(sum(words), 0), coalesce(sum(pairs), 0), coalesce(sum(titles), 0), "
            "coalesce(max(position), -1), count(*) filter (where length(code) <> %(bits)s), "
            "count(*) filter (where coalesce(length(vector), 0) <> %(width)s) from {documents}",
            {"bits": state.bits, "width": state.vector_bytes},
        ).fetchone()
        name, found = self.address.name, []
        for (key, there), real in zip(state.totals.items(), counted, strict=False):
            if there != real:
                found.append((name, f"has {real:,} {key}, not {there:,}", "documents were changed without hashret"))
        if counted[4] >= state.next:
            found.append((name, f"has position {counted[4]}", "documents that are added later may be refused"))
        if counted[5] or counted[6]:
            what = f"has {counted[5]:,} codes and {counted[6]:,} vectors of a wrong length"
            found.append((name, what, "these documents are not found"))
        return found + self._wrong_postings()

    def _wrong_postings(self) -> list[tuple[str, str, str]]:
        lost, wrong = self.execute(
            "select (select count(*) from {postings} where position not in (select position from {documents})), "
            "(select count(*) from {documents} d left join (select position, "
            "coalesce(sum(count) filter (where field = 0), 0) as words, "
            "coalesce(sum(count) filter (where field = 1), 0) as titles from {postings} group by position) as p "
            "on p.position = d.position "
            "where d.words <> coalesce(p.words, 0) or d.titles <> coalesce(p.titles, 0))"
        ).fetchone()
        if not lost and not wrong:
            return []
        what = f"has {lost:,} postings without a document, and does not fit {wrong:,} documents"
        return [(self.address.name + TABLES["postings"], what, "scores of words are wrong; push the index again")]


def _among(selection: Selection, own: int | None) -> tuple[str, dict[str, Any]]:
    """A condition for the documents of a selection, without the one at position `own`; and its values."""
    parts, filtered = ["true"], Condition()
    if selection.where is not None:
        parts.append(filtered.condition(selection.where))
    values = filtered.values
    if selection.labels:
        parts.append("labels && %(labels)s::text[]")
        values["labels"] = [label for label in selection.labels if is_text(label)]
    if own is not None:
        parts.append("position <> %(own)s")
        values["own"] = own
    return " and ".join(parts), values


def _near(rows: Sequence[tuple[int, float]], exact: bool, ties: int | None) -> Near:
    positions = np.array([row[0] for row in rows], np.int64)
    return Near(positions, np.array([row[1] for row in rows], np.int64), exact, ties)
