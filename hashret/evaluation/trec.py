"""TREC files: qrels and runs as trec_eval, BEIR and most other programs read and write them. A .gz is unpacked.

A run's columns stand between spaces, so whitespace and "%" inside an id are percent-encoded when a run is written
("a b" becomes "a%20b") and decoded when it is read.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote, unquote

from hashret.errors import DataError, UsageError

BEIR_HEADER = "query-id corpus-id score"  # with tabs between


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Grade by query id and document id, from TREC's four columns or BEIR's three under their header."""
    qrels: dict[str, dict[str, int]] = {}
    separator, columns = None, 4
    wanted = f"4 columns: query, iteration, document, grade; or BEIR's header {BEIR_HEADER}"
    for number, line in _lines(path):
        if not qrels and line.split("\t") == BEIR_HEADER.split(" "):
            separator, columns, wanted = "\t", 3, "query-id, corpus-id and score with tabs between"
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
        raise DataError(f"{path} holds no judgements; expected lines of query, iteration, document, grade")
    return qrels


def read_run(path: str | Path) -> dict[str, dict[str, float]]:
    """Score by query id and document id, from a run's six columns; as for trec_eval, the rank column means nothing."""
    run: dict[str, dict[str, float]] = {}
    for number, line in _lines(path):
        parts = line.split()
        if len(parts) != 6:
            raise _bad(path, number, "6 columns: query, Q0, document, rank, score, name of the run", line)
        query, document = _decoded(parts[0]), _decoded(parts[2])
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
        raise DataError(f"{path} holds no ranking; expected lines of query, Q0, document, rank, score, name of the run")
    return run


def write_run(
    path: str | Path, rankings: Iterable[tuple[str, Sequence[str], Sequence[float]]], name: str = "hashret"
) -> None:
    """Write a run: for each query its id, and the ids and distances of its documents, nearest first."""
    with _opened(Path(path), "wt", packed=Path(path).suffix == ".gz") as file:
        for query, documents, distances in rankings:
            for rank, (document, distance) in enumerate(zip(documents, distances, strict=True), 1):
                file.write(f"{_encoded(query)} Q0 {_encoded(document)} {rank} {-distance} {_encoded(name)}\n")


def _encoded(text: str) -> str:
    if not text:
        raise DataError("a run cannot hold an empty id; give every document and query an id")
    return re.sub(r"[\s%]", lambda match: quote(match[0], safe=""), text)


def _decoded(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1 and without their ends."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    try:
        with _opened(path, "rt", packed) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\n").removeprefix("\ufeff" if number == 1 else "")  # a byte order mark
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}); pack it anew") from error


def _opened(path: Path, mode: Literal["rt", "wt"], packed: bool) -> IO[str]:
    """The file as UTF-8; an id taken from a file's name may hold bytes that are none, and keeps them."""
    if packed:
        return gzip.open(path, mode, encoding="utf-8", errors="surrogateescape")
    return path.open(mode, encoding="utf-8", errors="surrogateescape")


def _bad(path: str | Path, number: int, wanted: str, got: str) -> DataError:
    return DataError(f"{path}:{number}: expected {wanted}, got {got[:80]!r}")
