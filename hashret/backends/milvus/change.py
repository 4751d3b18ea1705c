"""A change of an index in Milvus."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence

from hashret.backends.base import Change, State
from hashret.backends.milvus.filters import fields_of, kinds_of
from hashret.backends.milvus.session import Session
from hashret.backends.milvus.values import body_of, cut, digest, head_of, label_number
from hashret.codes import Codes
from hashret.store import Derived, Record


class MilvusChange(Change):
    """A change. Documents are visible when they are written."""

    def __init__(self, engine: Session) -> None:
        self.engine = engine
        self.gone: dict[str, None] = {}  # keys to delete at the end, unless a document with the same id replaces them

    @property
    def documents(self) -> int:
        """The number of documents after this change."""
        return self.engine.count() - len(self.gone)

    def start_over(self, state: State, files: Mapping[str, bytes]) -> None:
        """Create the collections, in place of those of an index that is there. Until the end they cannot be opened."""
        self.engine.drop()
        self.engine.bits, self.started_over = state.bits, True
        self.engine.create(state)
        self.state = State(**{**state.__dict__, "source": "create"})
        self.engine.write_state(self.state)
        self.engine.write_files(files)

    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """Return the position of each id, or None."""
        return [None] * len(ids) if self.started_over else self.engine.find(ids)

    def add(self, codes: Codes, records: Sequence[Record], derived: Derived | None = None) -> None:
        """Append documents. Their positions are reserved first, so that no position is used twice."""
        self.engine.check(records)
        first = self.state.next
        self.update(next=first + len(records), fields=kinds_of(records, self.state.fields))
        self.engine.write_state(self.state)
        vectors = None if derived is None else derived.vectors
        rows = []
        for number, record in enumerate(records):
            body = body_of(record)
            vector = b"" if vectors is None else vectors.values[number].tobytes()
            norm = 0.0 if vectors is None else float(vectors.norms[number])
            key = digest(record.id)
            self.gone.pop(key, None)
            rows.append(
                {
                    "key": key,
                    "position": first + number,
                    "code": codes[number].tobytes(),
                    "vector": json.dumps([norm, base64.b64encode(vector).decode("ascii")]),
                    "labels": [label_number(label) for label in record.labels],
                    "head": head_of(record),
                    "fields": fields_of(record),
                    "size": len(body),
                    "body": cut(body),
                }
            )
        self.engine.upsert(rows)

    def delete(self, rows: Sequence[int]) -> None:
        """Delete documents."""
        self.gone |= dict.fromkeys(self.engine.keys(rows))

    def finish(self) -> None:
        """Delete what is to be deleted, and write the state."""
        self.engine.delete(list(self.gone))
        source = "" if self.state.source == "create" else self.state.source
        generation = self.state.generation + (not self.started_over)
        self.update(source=source, generation=generation, change=uuid.uuid4().hex)
        self.engine.write_state(self.state)
