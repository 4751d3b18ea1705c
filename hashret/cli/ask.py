"""Commands that query an index."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashret.cli import options as o
from hashret.cli.output import emit, is_table, write
from hashret.cli.session import command
from hashret.documents import Content, Document, batches
from hashret.errors import UsageError

if TYPE_CHECKING:
    from hashret.index import Index
    from hashret.results import Hit, Hits

PANEL = "Query an index"
log = logging.getLogger("hashret")
SHOWN = 200  # characters of a text in a result
AT_ONCE = 64  # queries from standard input per batch


@command(
    "query",
    PANEL,
    """
hashret query "the harvest of that year"
hashret query --like letters/1871-03-02.txt -k 5
hashret query --file draft.txt --label 1871
hashret query photos/new.jpg -i indexes/photos
cat questions.txt | hashret query - --format jsonl
hashret query "the harvest of that year" --where "year >= 1871 and author = 'Darwin'"
hashret query "the harvest of that year" --by words,vectors
cat questions.txt | hashret query - --by codes --search multi_index --threads 4 --verify
""",
    quoted="text",
)
def query(
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="A text in quotes, or the path of an image; - reads one per line."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Use the content of a file as the query.", metavar="PATH")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", help="Use a document of the index as the query.", metavar="ID")
    ] = None,
    index: o.IndexAt = None,
    k: Annotated[int | None, o.opt("-k", "--k", help="Number of documents to find [10].", metavar="N")] = None,
    radius: Annotated[
        int | None, o.opt("--radius", help="Find all documents within this Hamming distance.", metavar="R")
    ] = None,
    label: Annotated[
        list[str] | None, o.many("--label", help="Only documents with this label.", metavar="VALUE")
    ] = None,
    where: Annotated[
        str | None, o.opt("--where", help="Only documents whose metadata match a condition.", metavar="CONDITION")
    ] = None,
    by: o.By = None,
    weights: o.Weights = None,
    oversample: o.Oversample = None,
    search: Annotated[
        str,
        o.opt("--search", help="Search method (hashret searchers) or FAISS factory string.", metavar="NAME"),
    ] = "auto",
    threads: Annotated[
        int | None, o.opt("--threads", help="Search threads; by default all cores for many queries.", metavar="N")
    ] = None,
    verify: Annotated[bool, o.opt("--verify", help="Compare each result with a full scan of all codes.")] = False,
) -> None:
    """Find the documents most similar to a text, an image or a document of the index."""
    from hashret.index import Index

    if sum(given is not None for given in (text, file, like)) != 1:
        raise UsageError("give exactly one of TEXT, --file PATH and --like ID")
    by_codes = radius is not None or by == "codes"
    if not by_codes and (search != "auto" or threads is not None or verify):
        raise UsageError("--search, --threads and --verify are for codes; add --by codes, or --radius R")
    with Index.open(o.find_index(index)) as opened:
        opened.search_by(search, threads, verify)
        emit(
            _rows(opened, text, file, like, k, radius, label or [], where, o.ranking(by, weights, oversample)),
            ("rank", "distance" if by_codes else "score", "id", "labels", "text"),
        )


def _rows(
    index: Index,
    text: str | None,
    file: Path | None,
    like: str | None,
    k: int | None,
    radius: int | None,
    labels: list[str],
    where: str | None,
    rank: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """Yield one row per hit, as they are found."""
    if like is not None:
        [hits] = index.like([like], 10 if k is None else k, labels, radius, where=where, **rank)
        yield from _hits(index, like, "", hits if k is None else hits[:k], hits)
        return
    for asked in batches(_queries(index, text, file), AT_ONCE):
        if radius is None:
            answers = index.search(asked, 10 if k is None else k, labels, where=where, **rank)
        else:
            if rank["weights"] or rank["oversample"] or rank["by"] not in (None, ["codes"]):
                raise UsageError("--radius cannot be combined with --by, --weights and --oversample, except --by codes")
            answers = index.within(asked, radius, labels, where=where)
        for document, hits in zip(asked, answers, strict=True):
            yield from _hits(index, document.id, document.content, hits if k is None else hits[:k], hits)


def _queries(index: Index, text: str | None, file: Path | None) -> Iterator[Document]:
    """Yield the queries as documents, whose ids are the query names in the output."""
    from hashret.readers import read

    if file is not None:
        whole = {"text": "texts", "image": "images"}.get(index.hasher.document_type)
        yield from read(file, source=whole)
    elif text == "-":
        o.check_stdin()
        lines = (line.rstrip("\r\n") for line in sys.stdin)
        yield from (Document(line, line) for line in lines if line.strip())
    else:
        assert text is not None
        yield Document(text, text)


def _hits(index: Index, query: str, asked: Content, shown: Iterable[Hit], hits: Hits) -> Iterator[dict[str, Any]]:
    for hit in shown:
        row: dict[str, Any] = {"query": query, "rank": hit.rank, "id": hit.id}
        if hit.score is not None:
            row["score"] = hit.score
        row |= {"distance": hit.distance, "exact": hits.exact, "labels": list(hit.labels)}
        if "words" in hit.parts:
            shown_text = index.snippet(hit, str(asked))
            row |= {"text": shown_text.text, "marks": [list(mark) for mark in shown_text.marks]}
        else:
            row["text"] = preview(hit.document)
        yield row | ({"parts": dict(hit.parts)} if hit.parts else {})


def preview(document: Document) -> str:
    """The first characters of a text on one line, the path of an image, nothing for a vector."""
    content = document.content
    return " ".join(str(content)[: 4 * SHOWN].split())[:SHOWN] if isinstance(content, str | Path) else ""


@command("show", PANEL, "hashret show letters/1871-03-02.txt")
def show(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Documents to show.")], index: o.IndexAt = None
) -> None:
    """Show documents with their labels, metadata and codes."""
    from hashret.codes import unpack
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        bits = unpack(opened.codes_of(ids), opened.bits)
        documents = [opened.document(id) for id in ids]
    rows = [
        {
            "id": document.id,
            "labels": list(document.labels),
            "code": "".join("01"[bit] for bit in row.tolist()),
            "metadata": dict(document.metadata),
            "text": str(document.content) if isinstance(document.content, str | Path) else "",
        }
        for document, row in zip(documents, bits, strict=True)
    ]
    if is_table():
        for row in rows:
            _emit_facts(row)
    else:
        emit(rows)


@command("info", PANEL, "hashret info -i indexes/news --format json")
def info(index: o.IndexAt = None) -> None:
    """Show the contents and settings of an index."""
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        facts, suggestion = opened.info(), opened.suggestion()
    if is_table():
        _emit_facts(facts)
    else:
        emit([facts], key="path")
    if suggestion:
        log.warning(suggestion)


def _emit_facts(facts: Mapping[str, Any]) -> None:
    """Print a table with one line per fact."""
    emit(({"": name, " ": value} for name, value in facts.items()), key=" ")
    write("\n")


COMMANDS = (query, show, info)
