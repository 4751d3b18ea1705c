"""Commands that tell what there is."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hashret import __version__
from hashret.cli.output import emit
from hashret.cli.session import command

PANEL = "What there is"
PACKAGES = ("numpy", "h5py", "faiss-cpu", "torch", "scikit-learn", "safetensors", "Pillow", "typer")
EXTRAS = {
    "parquet": ("pyarrow",),
    "documents": ("pypdf", "docx"),
    "static": ("model2vec", "platformdirs"),
    "map": ("openTSNE", "matplotlib"),
}


@command("encoders", PANEL, "hashret encoders")
def encoders() -> None:
    """List the encoders: what makes codes of features, and what else each can."""
    from hashret.encoders import ENCODERS
    from hashret.encoders.base import abilities

    emit((row | {"can": abilities(ENCODERS.get(row["name"]))} for row in _described(ENCODERS)), key="name")


@command("vectorizers", PANEL, "hashret vectorizers")
def vectorizers() -> None:
    """List the vectorizers: what makes features of documents."""
    from hashret.vectorizers import VECTORIZERS

    emit(_described(VECTORIZERS), key="name")


def _described(registry: Any) -> Iterator[dict[str, Any]]:
    for name in registry.names():
        kind = registry.get(name)
        yield {"name": name, "summary": kind.summary, "options": kind.options()}


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

    show(folder, sys.stdout.write)


COMMANDS = (encoders, vectorizers, sources, searchers, doctor, demo)
