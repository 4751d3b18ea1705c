"""Commands that explain results, codes and the state of an index."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashret.cli import options as o
from hashret.cli.output import emit, is_table, replace_file
from hashret.cli.session import command
from hashret.errors import GateError, UsageError

if TYPE_CHECKING:
    from hashret.explanation import Explanation

PANEL = "Explore an index"
FEW = 10  # rows of a part in a table; the others are added up
log = logging.getLogger("hashret")


@command(
    "explain",
    PANEL,
    """
hashret explain "the harvest of that year" 1871/march.txt -i indexes/letters
hashret explain --like 1871/april.txt 1871/march.txt
hashret explain photos/new.jpg ships/17.jpg -i indexes/photos
""",
)
def explain(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="A text in quotes, or the path of an image; with --like, an id.")
    ],
    id: Annotated[str, typer.Argument(metavar="ID", help="A document of the index.")],
    index: o.IndexAt = None,
    like: Annotated[
        bool, o.opt("--like", help="QUERY is the id of a document; score as hashret query --like does.")
    ] = False,
    by: o.By = None,
    weights: o.Weights = None,
) -> None:
    """Show what the score of a document for a query is made of.

    Each row is a summand: matching words and pairs of words; words of the query in the vectors; bits of the codes, with
    what they stand for; and the constant that standardizing subtracts. The rows add up to the score.
    """
    from hashret.index import Index

    rank = o.ranking(by, weights, None)
    with Index.open(o.find_index(index)) as opened:
        found = opened.explain(query, id, by=rank["by"], weights=rank["weights"], likeness=like)
    if is_table():
        emit(_shortened(found), ("part", "what", "share", "agree", "certainty", "stands_for", "query_words"))
        for whose, words in (("query", found.query_words), ("document", found.document_words)):
            named = ", ".join(f"{word.word} {word.effect:+.2f}" for word in words[:FEW])
            if named:
                log.info(f"words of the {whose} with most effect: {named}")
        log.info(f"score {found.score:.4g}, distance {found.distance}")
    else:
        emit(found.rows(), key="what")


def _shortened(found: Explanation) -> list[dict[str, Any]]:
    """The rows of an explanation, of each part the first and the sum of the others."""
    rows: list[dict[str, Any]] = []
    for part in dict.fromkeys(share.part for share in found.shares):
        own = [share for share in found.shares if share.part == part]
        rows += [share.row() for share in own[:FEW]]
        if rest := own[FEW:]:
            rows.append({"part": part, "what": f"{len(rest)} others", "share": sum(share.share for share in rest)})
    return rows


@command("bits", PANEL, "hashret bits -i indexes/news")
def bits(index: o.IndexAt = None) -> None:
    """Show what each bit of the codes stands for, with its balance, entropy and strongest correlation.

    Ones and zeros are words that distinguish documents with a 1 from those with a 0, or regions of images that are
    brighter.
    """
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        emit([bit.row() for bit in opened.explain_bits()], key="bit")


@command(
    "health",
    PANEL,
    """
hashret health -i indexes/news
hashret health -i indexes/news --queries questions.txt --report health.html
hashret health -i indexes/news --limit "far queries=0.2"
""",
)
def health(
    index: o.IndexAt = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="Texts that users asked, one per line, to find those far away.", metavar="FILE"),
    ] = None,
    limit: Annotated[
        list[str] | None, o.many("--limit", help="Limit of a check, in place of the default.", metavar="CHECK=VALUE")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write a page with plots to this file.", metavar="FILE.html")
    ] = None,
) -> None:
    """Check the codes of an index, and whether its hasher still fits its documents and queries.

    Exits with 3 if a check is past its limit.
    """
    from hashret.explanation import health_page
    from hashret.index import Index

    if report is not None and (report.suffix != ".html" or not report.resolve().parent.is_dir()):
        raise UsageError(f"--report must name a file that ends in .html, in a folder that exists, got {str(report)!r}")
    asked = None if queries is None else _lines(queries)
    limits = _limits(limit or [])
    with Index.open(o.find_index(index)) as opened:
        found = opened.health(asked, limits=limits)
        if report is not None:
            replace_file(report, health_page(found, opened.name))
            log.info(f"wrote {str(report)!r}")
    columns = ("check", "value", "limit", "ok", "what", "advice")
    emit([finding.row() for finding in found.findings], columns, key="check")
    if bad := [finding.check for finding in found.findings if not finding.ok]:
        raise GateError(f"past the limit: {', '.join(bad)}")


def _lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises UsageError if it cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--queries {str(path)!r} cannot be read: {error}") from None
    if not (found := [line for line in text.splitlines() if line.strip()]):
        raise UsageError(f"--queries {str(path)!r} has no lines")
    return found


def _limits(pairs: list[str]) -> dict[str, float]:
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise UsageError(f"--limit takes CHECK=VALUE, got {pair!r}; for example --limit drift=0.2") from None
    return found


COMMANDS = (explain, bits, health)
