"""Demo: index and search data that every installation has, Python's documentation and scikit-learn's digits."""

from __future__ import annotations

import ast
import importlib
import inspect
import shlex
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hashret.documents import Document
from hashret.evaluation.queries import RankedQueries, evaluate_index
from hashret.index import Index
from hashret.results import Hits

SHORTEST = 40  # characters; shorter docstrings are left out
LEFT_OUT = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "lib2to3",
    "__pycache__",
    "idlelib",
    "turtledemo",
}
BITS = 64
HELD_OUT = 400  # digits used as queries

QUESTIONS = (
    "read rows from a csv file",
    "wait for several coroutines to finish",
    "open a socket and listen for connections",
    "compress data with gzip",
    "copy a file",
)
LAST = "delete a directory tree recursively"

Say = Callable[[str], object]


def python_documents() -> Iterator[Document]:
    """Yield the docstrings of the standard library and the topics of pydoc; the label is the top module or "topics"."""
    from pydoc_data.topics import topics

    for name, text in sorted(topics.items()):
        yield Document(f"topics/{name}", text, ("topics",), {"title": name})
    seen: set[str] = set()
    for name, text in _builtin_docstrings():
        if len(text) >= SHORTEST and text not in seen:
            seen.add(text)
            yield Document(name, text, (name.split(".")[0],), {"title": name, "module": name.split(".")[0]})
    for path in _modules(Path(sysconfig.get_path("stdlib"))):
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for name, text in _docstrings(Path(sysconfig.get_path("stdlib")) / path, module):
            if len(text) >= SHORTEST and text not in seen and not name.startswith("_"):
                seen.add(text)
                yield Document(name, text, (module.split(".")[0],), {"title": name, "module": module})


def _builtin_docstrings() -> Iterator[tuple[str, str]]:
    """Yield names and docstrings of the modules in C that are built into the interpreter."""
    for module in sorted(set(sys.builtin_module_names) & {name for name in sys.stdlib_module_names if name[0] != "_"}):
        for name, thing in sorted(vars(importlib.import_module(module)).items()):
            inner = sorted(vars(thing).items()) if isinstance(thing, type) else []
            for path, own in [(name, thing), *((f"{name}.{method}", value) for method, value in inner)]:
                text = getattr(own, "__doc__", None)
                if isinstance(text, str) and not path.split(".")[-1].startswith("_") and callable(own):
                    yield f"{module}.{path}", inspect.cleandoc(text)


def _modules(root: Path) -> list[Path]:
    files = (path.relative_to(root) for path in root.rglob("*.py"))
    return sorted(path for path in files if not LEFT_OUT & set(path.parts) and not path.name.startswith("_test"))


def _docstrings(path: Path, module: str) -> Iterator[tuple[str, str]]:
    """Yield names and docstrings of a module and of its classes and functions, each name once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some modules have invalid escape sequences
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError:
            return
    names: set[str] = set()
    pending: list[tuple[str, ast.AST]] = [(module, tree)]
    while pending:
        name, node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and name not in names:
                names.add(name)
                yield name, inspect.cleandoc(text)
            inner = [n for n in node.body if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
            pending += [(f"{name}.{n.name}", n) for n in reversed(inner)]


def digits() -> list[Document]:
    """Return 1,797 images of handwritten digits, uint8 [8, 8]; the label is the digit."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images * 255 / 16).round().astype(np.uint8)
    return [Document(f"digit-{i:04d}", p, (str(t),)) for i, (p, t) in enumerate(zip(images, data.target, strict=True))]


def show(folder: Path, say: Say) -> None:
    """Create both indexes in `folder`, run a few queries on each, and report hits and precision through `say`."""
    documents = list(python_documents())
    say(f"\n{len(documents):,} texts: the documentation of Python's standard library\n")
    with Index.create(folder / "python", documents, bits=BITS, force=True) as index:
        for question in QUESTIONS:
            [hits] = index.search([question], k=4)
            _say_hits(say, f"{question!r}", hits, lambda hit: f"{hit.id}: {_first_line(str(hit.document.content))}")
        best = hits[0].id
        hits = index.like(best, k=4)
        _say_hits(say, f"more like {best}", hits, lambda hit: f"{hit.id}: {_first_line(str(hit.document.content))}")
        _say_precision(say, index, documents, "another text of the same module", exclude_self=True)
    images = digits()
    known, asked = images[:-HELD_OUT], images[-HELD_OUT:]
    say(f"\n{len(known):,} images: scikit-learn's digits\n")
    with Index.create(folder / "digits", known, bits=BITS, force=True) as index:
        for image in asked[:3]:
            [hits] = index.search([image], k=8)
            _say_hits(say, f"a {image.labels[0]}", hits, lambda hit: f"{hit.id}, a {hit.labels[0]}")
        _say_precision(say, index, asked, "the same digit", exclude_self=False)
    index_path = shlex.quote(str(folder / "python"))
    say(f'\nNow try it yourself:\n\nhashret query -i {index_path} "{LAST}"\n')


def _say_hits(say: Say, question: str, hits: Hits, describe: Callable[..., str]) -> None:
    say(f"\n  {question}\n")
    for hit in hits:
        say(f"    {hit.score:6.2f}  {describe(hit)[:110]}\n")


def _say_precision(say: Say, index: Index, asked: list[Document], relevant: str, exclude_self: bool) -> None:
    [row] = evaluate_index(index, RankedQueries(index, asked, "codes"), ["P@10"], exclude_self=exclude_self)
    chance = _chance(index)
    size = index.codes.nbytes / len(index)
    say(
        f"\n  {len(asked):,} queries, {size:.0f} bytes per document: of the first ten hits, {row['value']:.1%} are "
        f"{relevant} ({chance:.1%} by chance)\n"
    )


def _chance(index: Index) -> float:
    """Return the share of document pairs with a common label."""
    counts = np.unique([labels[0] for labels in index.labels], return_counts=True)[1]
    return float((counts / counts.sum()) @ (counts / counts.sum()))


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
