"""Commands that create and change an index."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashret.address import is_address
from hashret.cli import options as o
from hashret.cli.output import counted, emit
from hashret.cli.session import command, started_together
from hashret.errors import UsageError
from hashret.progress import listening

if TYPE_CHECKING:
    from hashret.readers import Source
    from hashret.store.check import Problem

PANEL = "Create and change an index"
log = logging.getLogger("hashret")


@command(
    "index",
    PANEL,
    """
hashret index letters/
hashret index news.jsonl.gz --label topic --bits 32
hashret index photos/ --label folder -i indexes/holiday
hashret index vectors.npy --encoder itq --bits 128
hashret index letters/ --vectorizer sentence:minilm
hashret index 's3://news/2026/*.jsonl.gz' --workers 8
""",
    writes=True,
)
def index(
    sources: o.Sources,
    index: o.IndexAt = None,
    bits: o.Bits = None,
    encoder: o.EncoderName = None,
    vectorizer: o.VectorizerName = None,
    settings: o.Settings = None,
    seed: o.Seed = None,
    device: o.Device = None,
    hasher: o.HasherAt = None,
    vectors: o.Vectors = None,
    rescore: o.Rescore = None,
    language: o.Language = None,
    workers: o.Workers = None,
    force: o.Force = False,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    encoding: o.EncodingName = None,
    no_header: o.NoHeader = False,
    source: o.SourceName = None,
    strict: o.Strict = False,
) -> None:
    """Learn codes from the sources and build an index."""
    from hashret.hasher import Hasher

    named = o.field_names(id, text, label, encoding, no_header)
    documents = o.read_sources(sources, source, named, strict=strict)
    fitted = Hasher.load(hasher) if hasher else None
    fit = o.fitting(bits, encoder, vectorizer, settings, seed, device)
    path = index or o.default_index(sources)
    deriving = o.deriving(vectors, rescore, language)
    create(path, documents, hasher=fitted, force=force, workers=workers, **deriving, **fit)


def create(path: str | Path, documents: Source, **arguments: Any) -> None:
    """Build an index with these arguments of `Index.create`, and log what was built."""
    from hashret.index import Index

    place = o.shown(path)
    with Index.create(path, documents, **arguments) as made:
        log.info(
            f"indexed {counted(len(made), 'document')} in {made.bits}-bit codes by {made.hasher.encoder} in {place}; "
            f"search it with: hashret query -i {place} ..."
        )


@command("fit", PANEL, "hashret fit news.jsonl --hasher hashers/news --bits 32")
def fit(
    sources: o.Sources,
    hasher: Annotated[str, typer.Option("--hasher", help="Folder to write.", metavar="PATH")],
    bits: o.Bits = None,
    encoder: o.EncoderName = None,
    vectorizer: o.VectorizerName = None,
    settings: o.Settings = None,
    seed: o.Seed = None,
    device: o.Device = None,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    encoding: o.EncodingName = None,
    no_header: o.NoHeader = False,
    source: o.SourceName = None,
    strict: o.Strict = False,
) -> None:
    """Learn codes from the sources and write only the hasher, for `index --hasher`.

    Processes that torchrun starts share the training: gloo on CPUs, nccl on GPUs. The first one writes the hasher.
    """
    from hashret.hasher import Hasher

    named = o.field_names(id, text, label, encoding, no_header)
    if several := started_together() > 1:
        if "-" in sources:
            raise UsageError("several processes cannot read standard input; write the documents to a file")
        if os.environ["RANK"] != "0":
            log.setLevel(logging.ERROR)
    documents = o.read_sources(sources, source, named, strict=strict)
    with _together(device or "auto") if several else nullcontext(0) as rank:
        with listening(lambda *_: None) if rank else nullcontext():
            learned = Hasher.fit(documents, **o.fitting(bits, encoder, vectorizer, settings, seed, device))
        if rank == 0:
            learned.save(hasher)
            log.info(f"wrote a hasher of {learned.bits} bits by {learned.encoder} to {hasher}")


@contextmanager
def _together(device: str) -> Iterator[int]:
    """Train together with the other processes that torchrun started; yields the rank of this one."""
    from hashret.distributed import together

    with together(device) as world:
        yield world.rank


@command("refit", PANEL, "hashret refit -i indexes/news --bits 128", writes=True)
def refit(
    index: o.IndexAt = None,
    bits: o.Bits = None,
    encoder: o.EncoderName = None,
    vectorizer: o.VectorizerName = None,
    settings: o.Settings = None,
    seed: o.Seed = None,
    device: o.Device = None,
    language: o.Language = None,
) -> None:
    """Learn a new hasher from the stored documents and encode them again."""
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        opened.refit(**o.fitting(bits, encoder, vectorizer, settings, seed, device), language=language)
        log.info(f"encoded {counted(len(opened), 'document')} in {opened.bits}-bit codes by {opened.hasher.encoder}")


@command(
    "add",
    PANEL,
    """
hashret add more.jsonl
hashret add letters/ --replace
hashret add letters/ --replace --prune
""",
    writes=True,
)
def add(
    sources: o.Sources,
    index: o.IndexAt = None,
    replace: Annotated[bool, o.opt("--replace", help="Replace documents with an existing id.")] = False,
    skip: Annotated[bool, o.opt("--skip", help="Skip documents with an existing id.")] = False,
    prune: Annotated[bool, o.opt("--prune", help="Delete documents whose files are no longer in the folder.")] = False,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    encoding: o.EncodingName = None,
    no_header: o.NoHeader = False,
    source: o.SourceName = None,
    strict: o.Strict = False,
) -> None:
    """Add documents to an index; with `--replace`, only changed files of an indexed folder are read."""
    from hashret.index import Index

    named = o.field_names(id, text, label, encoding, no_header)
    with Index.open(o.find_index(index)) as opened:
        documents = o.read_sources(sources, source, named, opened.fields, strict)
        opened.add(documents, replace=replace, skip=skip, prune=prune)
        log.info(f"index {opened.name!r} holds {counted(len(opened), 'document')}")


@command("delete", PANEL, "hashret delete letters/1871-03-02.txt", writes=True)
def delete(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Documents to delete.")], index: o.IndexAt = None
) -> None:
    """Delete documents by id."""
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        gone = opened.delete(ids)
        log.info(f"deleted {counted(gone, 'document')}; the index holds {len(opened):,}")


@command("compact", PANEL, "hashret compact -i indexes/news", writes=True)
def compact(index: o.IndexAt = None) -> None:
    """Merge the files of an index and drop deleted documents; search results do not change."""
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        before = opened.info()["bytes"]
        opened.compact()
        log.info(f"size before: {before:,} bytes, after: {opened.info()['bytes']:,} bytes")


@command("verify", PANEL, "hashret verify -i indexes/news")
def verify(index: o.IndexAt = None) -> None:
    """Check all checksums, counts and cross-references; exit with 3 if there is a problem."""
    from hashret.index import verify

    path = o.find_index(index)
    wrong = verify(path)
    _tell(wrong)
    if wrong:
        advice = "" if is_address(path) else "; hashret repair fixes what can be fixed"
        log.error(f"{counted(len(wrong), 'problem')} in index {o.shown(path)!r}{advice}")
        raise typer.Exit(3)
    checked = "counts and references" if is_address(path) else "checksums"
    log.info(f"index {o.shown(path)!r} is intact: all {checked} match")


@command(
    "repair",
    PANEL,
    "hashret repair -i indexes/news\nhashret repair -i indexes/news --format ids > lost.txt",
    writes=True,
)
def repair(index: o.IndexAt = None) -> None:
    """Repair a damaged index: correct flipped bits, rebuild what other files determine, isolate damaged data.

    Nothing is guessed. Lost documents are listed by id. The exit code is 3 if documents are lost or problems remain.
    """
    from hashret.index import repair

    path = o.find_index(index)
    report = repair(path)
    for file, what in report.done:
        log.info(f"{file} {what}")
    emit({"id": id, "file": file} for file, id in report.lost)
    for file, count in report.nameless:
        log.error(f"lost {counted(count, 'document')} of {file} with unknown ids")
    if report.lost:
        log.error(f"lost {counted(len(report.lost), 'document')}, listed above; add them again from their source")
    for problem in report.left:
        log.error(f"{problem}")
    if report.lost or report.nameless or report.left:
        raise typer.Exit(3)
    log.info(f"index {str(path)!r} is intact" + ("" if report.done else ", nothing to repair"))


def _tell(wrong: Iterable[Problem]) -> None:
    emit(({"file": problem.file, "problem": problem.what, "means": problem.means} for problem in wrong), key="file")


COMMANDS = (index, fit, refit, add, delete, compact, verify, repair)
