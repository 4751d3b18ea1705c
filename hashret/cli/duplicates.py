"""The command that finds near-duplicates, and acts on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashret.cli import options as o
from hashret.cli.output import counted, emit, is_ids, replace_file
from hashret.cli.session import command
from hashret.errors import UsageError

if TYPE_CHECKING:
    from hashret.deduplication import Duplicates
    from hashret.index import Index
    from hashret.readers import Source

log = logging.getLogger("hashret")

APART = {"text": "they differ mostly in numbers", "image": "they are animations"}
COLUMNS = ("group", "id", "distance", "similarity", "keep")


@command(
    "duplicates",
    "Explore an index",
    """
hashret duplicates -i indexes/news
hashret duplicates photos/ --threshold similar --report duplicates.html
hashret duplicates test.jsonl -i indexes/train
hashret duplicates -i indexes/letters --keep longest --delete-files --yes
hashret duplicates -i indexes/news --different a.txt b.txt
""",
)
def duplicates(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="Documents to compare with the index; without -i, with each other."),
    ] = None,
    index: o.IndexAt = None,
    threshold: Annotated[
        str,
        typer.Option("--threshold", help="exact, near, similar, or a similarity up to 1.", metavar="NAME|NUMBER"),
    ] = "near",
    keep: Annotated[
        str,
        typer.Option("--keep", help="Which document of a group to keep.", metavar="first|last|longest|largest|label"),
    ] = "first",
    radius: Annotated[
        int | None,
        typer.Option("--radius", help="Bits of 128 in which sketches of a pair may differ.", metavar="R"),
    ] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not compare contents; sketches decide.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Delete the duplicates from the index.")] = False,
    delete_files: Annotated[bool, typer.Option("--delete-files", help="Delete the files of the duplicates.")] = False,
    link_files: Annotated[
        bool, typer.Option("--link-files", help="Replace the files of the duplicates by hard links to the one to keep.")
    ] = False,
    move_files: Annotated[
        Path | None, typer.Option("--move-files", help="Move the files of the duplicates to a folder.", metavar="DIR")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Otherwise it is only shown what would be done.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the documents without the duplicates.", metavar="FILE.jsonl|parquet"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write a page that compares them.", metavar="FILE.html")
    ] = None,
    different: Annotated[
        tuple[str, str] | None,
        typer.Option("--different", help="Remember that two documents are not duplicates.", metavar="ID ID"),
    ] = None,
    same: Annotated[
        tuple[str, str] | None, typer.Option("--same", help="Forget that two documents are different.", metavar="ID ID")
    ] = None,
    threads: Annotated[int | None, o.opt("--threads", help="Threads; by default one per core.", metavar="N")] = None,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    encoding: o.EncodingName = None,
    no_header: o.NoHeader = False,
    kind: o.SourceName = None,
) -> None:
    """Find groups of near-duplicates in an index, in a source, or between a source and an index.

    All pairs with similar sketches are found, and each is then verified by its contents: texts by their words, images
    by their thumbnails, vectors by the cosine. The first document of a group is the one to keep. --format ids prints
    the ids of the others. docs/duplicates.md explains the thresholds.
    """
    from hashret.index import Index

    actions = {"delete": delete_files, "link": link_files, "move": move_files is not None}
    chosen = [name for name, given in actions.items() if given]
    if len(chosen) > 1:
        raise UsageError("choose one of --delete-files, --link-files and --move-files")
    for path, endings in ((report, (".html",)), (out, (".jsonl", ".parquet"))):
        if path is not None and (path.suffix not in endings or not path.resolve().parent.is_dir()):
            raise UsageError(f"{str(path)!r} must end in {' or '.join(endings)}, in a folder that exists")
    settings: dict[str, Any] = {"threshold": _threshold(threshold), "keep": keep, "radius": radius}
    settings |= {"verify": not no_verify, "threads": threads}
    named = o.field_names(id, text, label, encoding, no_header)
    if source is not None and index is None:
        if drop or different or same:
            raise UsageError("--drop, --different and --same need an index; give one with -i INDEX")
        _in_source(o.read_sources([source], kind, named), settings, chosen, move_files, yes, report, out)
        return
    if drop and source is not None:
        raise UsageError("--drop deletes documents of the index; leave SOURCE out")
    with Index.open(o.find_index(index)) as opened:
        if different or same:
            _mark(opened, different, same)
            return
        read = None if source is None else o.read_sources([source], kind, named, opened.fields)
        found = opened.duplicates(read, **settings)
        _report(found, opened.name, lambda id: _content(opened, id), report)
        if out is not None:
            _write(found, opened.documents() if read is None else read, out)
        if chosen:
            done = opened.change_files(found, chosen[0], into=move_files, documents=read, run=yes)
            _show_files([own.row() for own in done], yes)
        else:
            _show(found)
        if drop:
            _drop(opened, found, yes)


def _in_source(
    source: Source,
    settings: dict[str, Any],
    chosen: Sequence[str],
    into: Path | None,
    yes: bool,
    report: Path | None,
    out: Path | None,
) -> None:
    """Find the duplicates within a source."""
    from hashret.deduplication.documents import duplicates as find
    from hashret.deduplication.files import change_files
    from hashret.deduplication.places import read_places

    found = find(source, **settings)
    ids = [id for group in found for id in (group.keep, *group.drop)]
    places = read_places(source, ids) if chosen or report else {}
    _report(found, str(source.path), lambda id: places[id].content, report)
    if out is not None:
        _write(found, source, out)
    if chosen:
        done = change_files(found, places, places, chosen[0], into, yes)
        _show_files([own.row() for own in done], yes)
    else:
        _show(found)


def _threshold(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value


def _show(found: Duplicates) -> None:
    emit([row for row in found.rows() if not (is_ids() and row["keep"])], COLUMNS)
    apart = found.facts["apart"]
    log.info(
        f"{counted(len(found), 'group')}, {counted(len(found.drop), 'duplicate')} of {found.documents:,} documents"
        + (f"; kept apart, because {APART.get(found.facts['type'])}: {counted(apart, 'pair')}" if apart else "")
    )


def _show_files(rows: list[dict[str, Any]], done: bool) -> None:
    emit(rows, ("id", "action", "keep", "reason"))
    left = sum(row["action"] == "left" for row in rows)
    changed = counted(len(rows) - left, "file")
    log.info(f"{changed} {'changed' if done else 'would be changed; add --yes to do it'}; left as they are: {left:,}")


def _drop(index: Index, found: Duplicates, yes: bool) -> None:
    dropped = counted(len(found.drop), "document")
    if yes and found.drop:
        index.delete(found.drop)
    log.info(
        f"deleted {dropped} from the index" if yes else f"would delete {dropped} from the index; add --yes to do it"
    )


def _mark(index: Index, different: tuple[str, str] | None, same: tuple[str, str] | None) -> None:
    for pair, apart in ((different, True), (same, False)):
        if pair is not None:
            index.mark_different(*pair, different=apart)
            log.info(f"{pair[0]!r} and {pair[1]!r} are {'not ' if apart else 'no longer known to be not '}duplicates")


def _content(index: Index, id: str) -> Any:
    if id not in index:  # it comes from the source
        return None
    return index.thumbnail(id) or index.document(id).content


def _report(found: Duplicates, name: str, content: Callable[[str], Any], path: Path | None) -> None:
    if path is not None:
        from hashret.deduplication.report import duplicates_page

        replace_file(path, duplicates_page(found, name, content))
        log.info(f"wrote {str(path)!r}")


def _write(found: Duplicates, documents: Any, path: Path) -> None:
    from hashret.deduplication.sink import write_documents

    dropped = set(found.drop)
    count = write_documents((own for own in documents if own.id not in dropped), path)
    log.info(f"wrote {counted(count, 'document')} to {str(path)!r}")


COMMANDS = (duplicates,)
