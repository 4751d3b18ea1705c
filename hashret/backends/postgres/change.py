"""A change of an index in PostgreSQL, inside of a transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence

import numpy as np

from hashret.backends.base import Change, State
from hashret.backends.postgres.session import Session
from hashret.backends.postgres.values import as_texts, is_text
from hashret.backends.postgres.words import Terms
from hashret.codes import Codes
from hashret.errors import StoreError
from hashret.store import Derived, Record

CREATE = """
create table {documents} (
    position bigint primary key, id text not null unique, code {bits} not null, vector bytea, norm real,
    content text, content_bytes bytea, labels text[] not null, metadata json not null, thumbnail bytea,
    words int not null, pairs int not null, titles int not null);
create index on {documents} using gin (labels);
create table {postings} (
    term text not null, field smallint not null, position bigint not null, count int not null, places int[] not null,
    primary key (term, field, position));
create index on {postings} (position);
create table {hasher} (name text primary key, data bytea not null);
create table {state} (one boolean primary key default true check (one), state text not null)
"""


class PostgresChange(Change):
    """A transaction."""

    def __init__(self, engine: Session) -> None:
        self.engine = engine
        self.totals = dict.fromkeys(("documents", "words", "pairs", "titles"), 0)

    @property
    def documents(self) -> int:
        """The number of documents after this change."""
        return self.state.totals.get("documents", 0) + self.totals["documents"]

    def start_over(self, state: State, files: Mapping[str, bytes]) -> None:
        """Create the tables, in place of those of an index that is there."""
        engine = self.engine
        if engine.execute("show server_encoding").fetchone()[0] != "UTF8":
            raise StoreError(f"the database of {engine.address} must have the encoding UTF8", path=str(engine.address))
        engine.execute("create extension if not exists vector")
        engine.execute("drop table if exists {documents}, {postings}, {hasher}, {state}")
        engine.execute(CREATE, bits=engine._psycopg.sql.SQL(f"bit({state.bits})"))
        if engine.address.approximate:
            engine.execute("create index on {documents} using hnsw (code bit_hamming_ops)")
        engine.copy_in("copy {hasher} (name, data) from stdin", sorted(files.items()))
        engine.bits = state.bits
        self.state, self.started_over = State(**{**state.__dict__, "totals": dict(self.totals)}), True
        engine.execute("insert into {state} (state) values (%(state)s)", {"state": self.state.to_json()})

    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """Return the position of each id, or None."""
        return [None] * len(ids) if self.started_over and not self.state.next else self.engine.find(ids)

    def add(self, codes: Codes, records: Sequence[Record], derived: Derived | None = None) -> None:
        """Append documents."""
        self.engine.check(records)
        first = self.state.next
        derived = derived or Derived()
        found = Terms(derived, first, len(records))
        vectors = derived.vectors
        rows = []
        for number, (record, code) in enumerate(zip(records, as_texts(codes, self.state.bits), strict=True)):
            plain = is_text(record.content)
            rows.append(
                (
                    first + number,
                    record.id,
                    code,
                    None if vectors is None else vectors.values[number].tobytes(),
                    None if vectors is None else float(vectors.norms[number]),
                    record.content if plain else None,
                    None if plain else record.content.encode("utf-8", "surrogatepass"),
                    list(record.labels),
                    json.dumps(dict(record.metadata)),
                    record.thumbnail or None,
                    *found.lengths[number],
                )
            )
        self.engine.copy_in(
            "copy {documents} (position, id, code, vector, norm, content, content_bytes, labels, metadata, thumbnail, "
            "words, pairs, titles) from stdin",
            rows,
        )
        self.engine.copy_in("copy {postings} (term, field, position, count, places) from stdin", found.postings)
        self._count(1, len(records), *np.sum(found.lengths, axis=0).tolist())
        self.update(next=first + len(records))

    def delete(self, rows: Sequence[int]) -> None:
        """Delete documents and their postings."""
        if not rows:
            return
        values = {"positions": list(rows)}
        self.engine.execute("delete from {postings} where position = any(%(positions)s)", values)
        gone = self.engine.execute(
            "delete from {documents} where position = any(%(positions)s) returning words, pairs, titles", values
        ).fetchall()
        self._count(-1, len(gone), *(sum(column) for column in zip(*gone, strict=True)))

    def _count(self, sign: int, *numbers: int) -> None:
        for name, number in zip(self.totals, numbers, strict=False):
            self.totals[name] += sign * number

    def finish(self) -> None:
        """Write the state."""
        totals = {name: self.state.totals.get(name, 0) + number for name, number in self.totals.items()}
        generation = self.state.generation + (not self.started_over)
        self.update(totals=totals, generation=generation, change=uuid.uuid4().hex)
        self.engine.execute("update {state} set state = %(state)s", {"state": self.state.to_json()})
