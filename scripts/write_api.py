"""Write docs/api.md, the reference of the Python API, from the docstrings of `hashret.__all__`.

python scripts/write_api.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hashret

TARGET = Path(__file__).parent.parent / "docs" / "api.md"

ORDER = (
    *("Index", "Document", "Hit", "Hits", "Hasher", "duplicates", "Duplicates"),
    *("read", "verify", "repair", "evaluate", "searcher", "Neighbors"),
    *("HashretError", "UsageError", "MissingExtra", "IndexNotFound", "IndexExists", "DataError", "UnknownId"),
    *("DuplicateIds", "StoreError", "IndexLocked", "CorruptIndex", "FormatTooNew", "GateError"),
)
MADE_ELSEWHERE = {"Duplicates", "Index", "Hit", "Hits", "Neighbors", "Hasher"}  # users do not call these constructors

HEAD = """# Python API

Written by `scripts/write_api.py` from the docstrings; a test compares it and runs the examples. In the examples, `np`
is NumPy and `Path` is `pathlib.Path`. Importing hashret loads neither PyTorch nor scikit-learn.

"""
# modules of the classes that Index is made of
SPLIT = (
    "hashret.cleaning",
    "hashret.explaining",
    "hashret.searching",
    "hashret.reading",
)  # modules of the classes that Index is made of


def names() -> list[str]:
    """The public names in the order of the page; a name that ORDER lacks comes last."""
    public = [name for name in hashret.__all__ if not name.startswith("_")]
    return [name for name in ORDER if name in public] + [name for name in public if name not in ORDER]


def reference() -> str:
    """Return the text of the page."""
    parts = [_class(name) if inspect.isclass(getattr(hashret, name)) else _function(name) for name in names()]
    return HEAD + "\n".join(parts)


def _function(name: str) -> str:
    function = getattr(hashret, name)
    return f"## {name}\n\n{_code(_call(f'hashret.{name}', function))}\n{_prose(function)}"


def _class(name: str) -> str:
    kind = getattr(hashret, name)
    parts = [f"## {name}\n"]
    if issubclass(kind, hashret.HashretError):
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        parts.append(f"Base classes: {bases}. Exit code of the command line: {kind.exit_code}.\n")
    elif name not in MADE_ELSEWHERE:
        parts.append(_code(_call(f"hashret.{name}", kind)))
    parts.append(_prose(kind))
    parts += [_member(name, own, value) for own, value in _own(kind)]
    return "\n".join(parts)


def _own(kind: type) -> list[tuple[str, Any]]:
    """Documented public members that the class or one of the classes it was split into defines, in their order."""
    parts = [own for own in kind.__mro__ if own is kind or own.__module__ in SPLIT]
    return [
        (name, value)
        for part in parts
        for name, value in vars(part).items()
        if not name.startswith("_")
        and (isinstance(value, property | classmethod) or inspect.isfunction(value) or hasattr(value, "func"))
    ]


def _member(owner: str, name: str, value: Any) -> str:
    heading = f"### {owner}.{name}\n\n"
    if isinstance(value, classmethod):
        return heading + _code(_call(f"hashret.{owner}.{name}", value.__func__, skip=1)) + "\n" + _prose(value.__func__)
    if inspect.isfunction(value):
        return heading + _code(_call(f"{owner.lower()}.{name}", value, skip=1)) + "\n" + _prose(value)
    getter: Any = value.fget if isinstance(value, property) else value.func  # a property, or a cached one
    returned = inspect.unwrap(getter).__annotations__.get("return", "")
    return heading + _code(f"{owner.lower()}.{name}: {returned}") + "\n" + _prose(getter)


def _call(name: str, function: Callable[..., Any], skip: int = 0) -> str:
    """Return the signature as one line, or one parameter per line if it is longer than 100 characters."""
    signature = inspect.signature(function)
    parts: list[str] = []
    keyword_only = False
    for parameter in list(signature.parameters.values())[skip:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts += ["*"] if not parts or not parts[-1].startswith("*") else []
        parts.append(_parameter(parameter))
    returned = "" if inspect.isclass(function) else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(parts)}){returned}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _parameter(parameter: inspect.Parameter) -> str:
    text = f"{parameter.name}: {parameter.annotation}"
    if parameter.kind is parameter.VAR_POSITIONAL:
        text = f"*{text}"
    if parameter.kind is parameter.VAR_KEYWORD:
        text = f"**{text}"
    if parameter.default is parameter.empty:
        return text
    default = repr(parameter.default)
    is_object = re.match(r"<|\w+\(", default)
    return f"{text} = {'...' if is_object else default}"


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def _prose(thing: Any) -> str:
    """The docstring as Markdown: arguments and errors as lists, examples as code."""
    lines: list[str] = []
    for block in (inspect.getdoc(thing) or "").split("\n\n"):
        title, _, rest = block.partition("\n")
        if title in ("Args:", "Raises:"):
            entries = re.split(r"\n(?=\S)", inspect.cleandoc(rest))
            lines.append({"Args:": "Arguments:", "Raises:": "Errors:"}[title] + "\n")
            lines += [_entry(entry) for entry in entries]
            lines.append("")
        elif title == "Example:":
            lines.append(_code(inspect.cleandoc(rest)))
        else:
            lines.append(block + "\n")
    return "\n".join(lines)


def _entry(text: str) -> str:
    name, _, meaning = " ".join(text.split()).partition(": ")
    return f"- `{name}`: {meaning}"


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")
