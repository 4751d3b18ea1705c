"""The part of `Index` that reads documents, codes and metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from hashret.codes import Codes, group
from hashret.documents import Document, as_id, as_ids
from hashret.errors import StoreError, UnknownId
from hashret.hasher import Hasher
from hashret.ingest import as_document
from hashret.parts import Parts
from hashret.quantizer import Quantizer
from hashret.ranking.score import ENOUGH, default_weights
from hashret.readers.base import Fields
from hashret.snapshot import Made, on_snapshot
from hashret.store import Record, Store

ENOUGH_WORDS, UNSEEN = 1000, 0.1  # minimum words added, and increase of the share of unseen words, to suggest a refit


class Reading:
    """Base class of `hashret.Index`, for reading."""

    def __init__(self, store: Store, hasher: Hasher, parts: Parts) -> None:
        self.store = store
        self.hasher = hasher
        self._parts = parts
        self._made = Made()
        self._way: dict[str, Any] = {}

    @property
    def _closed(self) -> bool:
        return self.store.closed

    def __repr__(self) -> str:
        what = "closed" if self._closed else f"{len(self):,} documents, {self.bits} bits"
        return f"{type(self).__name__}({self.name!r}, {what})"

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        facts: dict[str, Any] = {"index": self.name}
        if not self._closed:
            settings = self._settings()
            facts |= {"documents": f"{len(self):,}", "bits": self.bits}
            facts |= {name: settings[name] for name in ("holds", "encoder", "vectorizer", "language")}
            facts["parts"] = ", ".join(settings["parts"])
        text: str = import_module("hashret.display").facts_html(facts)
        return text

    def __contains__(self, id: object) -> bool:
        return self.store.find(as_id(id)) is not None

    def __getitem__(self, id: str) -> Document:
        """Return the document with this id. Raises UnknownId if not found."""
        return self.document(id)

    def __iter__(self) -> Iterator[Document]:
        """Iterate over all documents, in order of insertion."""
        return self.documents()

    @property
    def path(self) -> Path:
        """The absolute path of the index."""
        return self.store.path

    @property
    def name(self) -> str:
        """The path of the index as it was given, for messages."""
        return self.store.name

    @property
    def _about(self) -> Mapping[str, Any]:
        """The description of the index."""
        return self.store.manifest.about

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.hasher.bits

    @property
    def fields(self) -> Fields:
        """The field names of records, as set by `create` and used by `add`."""
        return Fields.from_json(self._about.get("fields") or {})

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its documents that the index ranks by: "words", "codes", "vectors".

        Example:
            >>> hashret.Index.create("indexes/few", ["the harvest of that year", "wheat was dear"], bits=16).parts
            ('words', 'codes', 'vectors')
        """
        there = {"words": self._parts.analyzer, "codes": True, "vectors": self._parts.quantizer}
        return tuple(name for name, part in there.items() if part is not None)

    @property
    def language(self) -> str | None:
        """The language of the texts, "none" if words are not stemmed, or None if the documents are not texts."""
        return None if self._parts.analyzer is None else self._parts.analyzer.language

    @on_snapshot
    def __len__(self) -> int:
        return len(self.store.deleted) - int(self.store.deleted.sum())

    @property
    def _rows(self) -> np.ndarray:
        """Rows of the store that are not deleted, by position."""
        return np.flatnonzero(~self.store.deleted)

    @property
    @on_snapshot
    def ids(self) -> list[str]:
        """All ids, in order of insertion."""
        ids = self.store.ids()
        return [ids[row] for row in self._rows]

    @property
    @on_snapshot
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of all documents, in order of insertion."""
        labels = self.store.labels()
        return [labels[row] for row in self._rows]

    @property
    @on_snapshot
    def codes(self) -> Codes:
        """All codes, uint8 [n, ceil(bits / 8)], in order of insertion."""
        return self._made.get("codes", self._read_codes)

    def _read_codes(self) -> Codes:
        codes = self.store.codes()
        return codes[~self.store.deleted] if self.store.deleted.any() else codes

    def _check_open(self) -> None:
        if self.store.closed:
            raise StoreError(f"index {self.store.name!r} is closed; open it again")

    @on_snapshot
    def document(self, id: str) -> Document:
        """Return the document with this id, as `index[id]` does. Raises UnknownId if not found."""
        return self._document(self._row(id))

    @on_snapshot
    def documents(self) -> Iterator[Document]:
        """Iterate over all documents, in order of insertion. The content of images is the stored thumbnail.

        If the vectorizer uses a model, the content is the path of the original, as long as that exists.
        """
        return self._inputs(self.store.records(), self.hasher.vectorizer.pretrained)

    @on_snapshot
    def thumbnail(self, id: str) -> bytes:
        """Return the stored thumbnail of an image: a JPEG, or a PNG if the image has at most 64 pixels per side.

        Returns b"" for other documents. Raises UnknownId if not found.
        """
        return self.store.record(self._row(id)).thumbnail

    @on_snapshot
    def codes_of(self, ids: str | Sequence[str]) -> Codes:
        """Return the stored codes of documents, uint8 [m, ceil(bits / 8)]. Raises UnknownId if an id is not found."""
        rows = [self._row(id) for id in as_ids(ids)]
        return self.codes[np.searchsorted(self._rows, rows)]

    def _row(self, id: str) -> int:
        row = self.store.find(as_id(id))
        if row is None:
            raise UnknownId(f"no document has the id {id!r}", id=id, path=str(self.path))
        return row

    def _document(self, row: int) -> Document:
        return self._restore(self.store.record(row))

    def _restore(self, record: Record, small: bool = False) -> Document:
        return as_document(record, self.hasher.document_type, self._about.get("root") or ".", small)

    def _inputs(self, records: Iterable[Record], pretrained: bool) -> Iterator[Document]:
        """Yield documents as a vectorizer reads them: a model reads originals of images, others read thumbnails."""
        for record in records:
            document = self._restore(record, small=not pretrained)
            missing = isinstance(document.content, Path) and not document.content.is_file()
            yield self._restore(record, small=True) if missing else document

    @on_snapshot
    def info(self) -> dict[str, Any]:
        """Return statistics and settings of the index as a JSON-compatible dict: counts, sizes in bytes, options.

        Example:
            >>> index = hashret.Index.create("indexes/facts", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> index.info()["documents"], index.info()["code_bytes"]
            (2, 4)
        """
        manifest, codes = self.store.manifest, self.codes
        buckets = np.bincount(group(codes)[1]) if len(codes) else np.zeros(0, int)
        return {
            "path": self.name,
            "documents": len(self),
            **self._settings(),
            "bytes": sum(entry.bytes for entry in manifest.files.values()),
            "code_bytes": codes.nbytes,
            "distinct_codes": len(buckets),
            "largest_bucket": int(buckets.max(initial=0)),
            "deleted": manifest.deleted,
            "segments": len(manifest.segments),
            "labels": sorted({label for labels in self.labels for label in labels}),
            "example_ids": self.ids[:3],
            "fingerprint": manifest.fingerprint,
            "generation": manifest.generation,
        }

    def _settings(self) -> dict[str, Any]:
        """Return the part of `info` that does not depend on how the index is stored."""
        facts = {name: fact for name, fact in self.hasher.vectorizer.state().facts.items() if name != "text"}
        return {
            "holds": self.hasher.document_type,
            "bits": self.bits,
            "encoder": self.hasher.encoder,
            "encoder_options": self.hasher.params,
            "starts": self.hasher.starts,
            "vectorizer": self.hasher.vectorizer.name,
            "vectorizer_options": self.hasher.vectorizer.params(),
            "parts": list(self.parts),
            "language": self.language,
            "vectors": self._vectors_kind(),
            "rescore": self._parts.rescore,
            "weights": default_weights(self.parts, False, ENOUGH, self.hasher.vectorizer.pretrained),
            "model": facts if "checksum" in facts else None,
            "unseen_words": self._unseen("added"),
            "fields": self.fields.as_json(),
            "sources": list(self._about.get("sources") or []),
        }

    def _unseen(self, when: str) -> float | None:
        """Return the share of words unknown to the vectorizer, in documents "fitted" or "added" later, or None."""
        words, unseen = (self._about.get("words") or {}).get(when, (0, 0))
        return round(unseen / words, 4) if words else None

    def suggestion(self) -> str | None:
        """Return advice to improve the index, or None.

        Suggests a refit if documents added since the fit have many words unknown to the vectorizer.

        Example:
            >>> hashret.Index.create("indexes/small", ["the harvest of that year", "wheat was dear"]).suggestion()
        """
        words, _ = (self._about.get("words") or {}).get("added", (0, 0))
        fitted, added = self._unseen("fitted"), self._unseen("added")
        if added is None or words < ENOUGH_WORDS or added < (fitted or 0.0) + UNSEEN:
            return None
        return (
            f"{added:.0%} of the words added since the fit are unknown to codes and vectors "
            f"({fitted or 0:.0%} of those in the fit); refit the index"
        )

    def _vectors_kind(self) -> str | None:
        """Return the argument `vectors` of `create` as text."""
        kind = kind_of(self._parts.quantizer)
        return f"{kind} bytes" if isinstance(kind, int) else kind

    @on_snapshot
    def sql(self, query: str) -> list[dict[str, Any]]:
        """Run SQL over the documents with DuckDB, and return the rows.

        Args:
            query: SQL over the tables `documents` (position, id, text, labels, code and the fields of the metadata),
                `labels` (id, label) and `codes` (position, id, code as BIT). It cannot read files or change the index.

        Raises:
            UsageError: The query fails.
            MissingExtra: The extra `sql` is not installed.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.sql("SELECT count(*) AS documents FROM documents")
            [{'documents': 2}]
        """
        from hashret import tables

        self._check_open()
        return [dict(row) for row in tables.query(self.store, query)]

    @on_snapshot
    def to_arrow(self) -> Any:
        """Return the documents as a pyarrow.Table: position, id, text, labels, code and the fields of the metadata.

        A field with several kinds of values is JSON text. Raises MissingExtra if the extra `sql` is not installed.

        Example:
            >>> hashret.Index.open("indexes/mine").to_arrow().column_names
            ['position', 'id', 'text', 'labels', 'code']
        """
        from hashret import tables

        self._check_open()
        return tables.joined(self.store)

    @on_snapshot
    def export(self, path: str | Path, *, force: bool = False) -> int:
        """Write the documents, as in `to_arrow`, to a .parquet or .arrow file. Returns the number of documents.

        Args:
            path: The file.
            force: Replace an existing file.

        Raises:
            UsageError: The file has another ending, or exists and `force` is not set.
            StoreError: The file cannot be written.

        Example:
            >>> hashret.Index.open("indexes/mine").export("mine.parquet", force=True)
            2
        """
        from hashret import tables

        self._check_open()
        return tables.export(self.store, Path(path), force)

    def close(self) -> None:
        """Close all files. Later queries raise StoreError. Can be called more than once."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def kind_of(quantizer: Quantizer | None) -> int | str | None:
    """Return the argument `vectors` of `Index.create` for a quantizer."""
    if quantizer is None:
        return None
    return quantizer.width if quantizer.name == "additive" else quantizer.name
