"""Read and write TREC files: qrels and runs in the formats of trec_eval and BEIR, plain or gzip.

Ids are literal, except that white space, which a column cannot contain, is percent-encoded when a run is written ("a b"
becomes "a%20b"). When a file is read, "a%20b" is ambiguous; `ids_of` resolves it with the known ids.
"""

from __future__ import annotations

import gzip
import math
import re
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar, cast
from urllib.parse import quote

from hashret.errors import DataError, UsageError

Value = TypeVar("Value", int, float)

BEIR_HEADER = "query-id corpus-id score"  # separated by tabs in a file
LONGEST_LINE = 1 << 20  # characters
_SPACE = re.compile(r"\s")


class Columns(dict[str, dict[str, Value]]):
    """Values by query id and document id, read from columns in which white space may be percent-encoded."""


def ids_of(
    table: Mapping[str, Mapping[str, Value]], queries: Collection[str], documents: Collection[str]
) -> Mapping[str, Mapping[str, Value]]:
    """Return a run or qrels with encoded ids replaced by the known ids of queries and documents.

    Known and unknown ids stay unchanged, and so do tables that were not read from columns.
    """
    if not isinstance(table, Columns):
        return table
    query, document = _read_as(queries), _read_as(documents)
    return {query.get(q, q): {document.get(d, d): value for d, value in values.items()} for q, values in table.items()}


def _read_as(ids: Collection[str]) -> dict[str, str]:
    """Return a mapping from encoded ids to ids with white space, without texts that are ids themselves."""
    written = {_encoded(id): id for id in ids if _SPACE.search(id)}
    for id in written.keys() & set(ids):
        del written[id]
    return written


def _encoded(text: str) -> str:
    return _SPACE.sub(lambda match: quote(match[0], safe=""), text)


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Read grades by query id and document id, from TREC format (four columns) or BEIR format (three and a header).

    The path may be a pipe. Raises UsageError if the path cannot be read, DataError for an invalid line.
    """
    qrels: dict[str, dict[str, int]] = Columns()
    separator, columns = None, 4
    wanted = f"4 columns: query, iteration, document, grade; or the BEIR header {BEIR_HEADER}"
    for number, line in _lines(path):
        if not qrels and line.split("\t") == BEIR_HEADER.split(" "):
            qrels, separator, columns = {}, "\t", 3
            wanted = "query-id, corpus-id and score separated by tabs"
            continue
        parts = line.split(separator)
        if len(parts) != columns:
            raise _bad(path, number, wanted, line)
        query, document, grade = parts[0], parts[-2], parts[-1]
        if not re.fullmatch(r"[+-]?\d{1,9}", grade.strip()):
            raise _bad(path, number, "a whole number as grade", grade)
        if qrels.setdefault(query, {}).setdefault(document, int(grade)) != int(grade):
            raise _bad(path, number, f"one grade for document {document!r} of query {query!r}", "a second one")
    if not qrels:
        raise DataError(f"{path} has no judgements; expected lines of query, iteration, document, grade")
    return qrels


def read_run(path: str | Path) -> dict[str, dict[str, float]]:
    """Read scores by query id and document id from the six columns of a run; the rank is ignored, as in trec_eval.

    The path may be a pipe. Raises UsageError if the path cannot be read, DataError for an invalid line.
    """
    run: dict[str, dict[str, float]] = Columns()
    for number, line in _lines(path):
        parts = line.split()
        if len(parts) != 6:
            raise _bad(path, number, "6 columns: query, Q0, document, rank, score, name of the run", line)
        query, document = parts[0], parts[2]
        scores = run.setdefault(query, {})
        if document in scores:
            raise _bad(path, number, f"document {document!r} once for query {query!r}", "it again")
        try:
            scores[document] = float(parts[4])
        except ValueError:
            raise _bad(path, number, "a number as score", parts[4]) from None
        if not math.isfinite(scores[document]):
            raise _bad(path, number, "a finite number as score", parts[4])
    if not run:
        raise DataError(f"{path} has no rankings; expected lines of query, Q0, document, rank, score, name of the run")
    return run


def write_run(
    path: str | Path,
    rankings: Iterable[tuple[str, Sequence[str], Sequence[float]]],
    name: str = "hashret",
    *,
    queries: Iterable[str] = (),
    documents: Iterable[str] = (),
) -> None:
    """Write a run from rankings: the id of each query, and the ids and distances of its documents, nearest first.

    `queries` and `documents` are all ids, ranked or not. Raises DataError, before the file is opened, if two of them
    have the same encoded form.
    """
    query_column, document_column = _Column("queries"), _Column("documents")
    for column, ids in ((query_column, queries), (document_column, documents)):
        for id in ids:
            column.text(id)
    packed = Path(path).suffix == ".gz"
    label = _encoded(name)
    with gzip.open(path, "wb") if packed else Path(path).open("wb") as file:
        for query, found, distances in rankings:
            for rank, (document, distance) in enumerate(zip(found, distances, strict=True), 1):
                ids = f"{query_column.text(query)} Q0 {document_column.text(document)}"
                line = f"{ids} {rank} {-distance} {label}\n"
                file.write(line.encode("utf-8", "surrogateescape"))  # an id may be a file name that is not UTF-8


class _Column:
    """The encoded ids of one column of a run. Raises DataError if two ids have the same encoded form."""

    def __init__(self, of: str) -> None:
        self.of = of
        self.texts: dict[str, str] = {}
        self.ids: dict[str, str] = {}

    def text(self, id: str) -> str:
        if id not in self.texts:
            self.texts[id] = self._added(id)
        return self.texts[id]

    def _added(self, id: str) -> str:
        if not id:
            raise DataError("a run cannot hold an empty id; give every document and query an id")
        if re.search("[\ud800-\udc7f\udd00-\udfff]", id):
            raise DataError(f"a run cannot hold the id {id!r}: it is not valid Unicode; rename it")
        text = _encoded(id)
        if (other := self.ids.setdefault(text, id)) != id:
            raise DataError(
                f"a run cannot hold the {self.of} {other!r} and {id!r}: both are written {text!r}; rename one"
            )
        return text


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, numbered from 1, without line ends."""
    with _opened(Path(path)) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
        number = 0
        try:
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise _bad(path, number, f"a line of less than {LONGEST_LINE} bytes", "a longer one")
                text = line.decode("utf-8", "surrogateescape")
                if text.strip():
                    yield number, text.rstrip("\r\n").removeprefix("\ufeff" if number == 1 else "")  # byte order mark
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path} is a damaged gzip file ({error}); compress it again") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; copy a pipe to a temporary file, so that it can be read twice."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; give a file with judgements or a run") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    with file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            yield cast(IO[bytes], copy)


def _bad(path: str | Path, number: int, wanted: str, got: str) -> DataError:
    return DataError(f"{path}:{number}: expected {wanted}, got {got[:80]!r}")
