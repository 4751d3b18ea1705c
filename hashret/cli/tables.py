"""Commands that treat the documents of an index as a table."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from hashret.cli import options as o
from hashret.cli.output import counted, emit
from hashret.cli.session import command

PANEL = "Explore an index"
log = logging.getLogger("hashret")


@command(
    "sql",
    PANEL,
    """
hashret sql "SELECT author, count(*) AS letters FROM documents GROUP BY author" -i indexes/letters
hashret sql "SELECT label, count(*) FROM labels GROUP BY label ORDER BY 2 DESC"
hashret sql "SELECT a.id, b.id FROM codes a, codes b WHERE a.id < b.id AND bit_count(xor(a.code, b.code)) < 3"
""",
    quoted="query",
)
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A query in DuckDB's SQL, in quotes.")],
    index: o.IndexAt = None,
) -> None:
    """Run SQL over the documents of an index; nothing is changed.

    The tables are documents (position, id, text, labels, code, and the fields of the metadata), labels (id, label) and
    codes (position, id, code).
    """
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        rows = opened.sql(query)
    emit(rows, tuple(rows[0]) if rows else ())


@command(
    "export",
    PANEL,
    """
hashret export letters.parquet -i indexes/letters
hashret export letters.arrow --force
""",
)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that ends in .parquet or .arrow.")],
    index: o.IndexAt = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write ids, texts, labels, codes and metadata to a file of Apache Parquet or Arrow."""
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        number = opened.export(file, force=force)
    log.info(f"wrote {str(file)!r}: {counted(number, 'document')}")


COMMANDS = (sql, export)
