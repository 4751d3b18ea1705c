"""The exceptions raised by hashret.

HashretError                exit code of the command line
├── UsageError              2   invalid option, name, number or path                        (ValueError)
│   ├── MissingExtra        2   an optional package is not installed                        (ImportError)
│   ├── IndexNotFound       2   no index at the path                                        (FileNotFoundError)
│   └── IndexExists         2   the path already has an index                               (FileExistsError)
├── DataError               1   invalid documents, vectors or queries                       (ValueError)
│   ├── UnknownId           1   no document has the id                                      (KeyError)
│   └── DuplicateIds        1   ids are not unique, or already in the index
├── StoreError              1   an index on disk cannot be read or changed
│   ├── IndexLocked         1   another process is changing the index; try again later
│   ├── CorruptIndex        1   a file of the index is damaged or missing
│   └── FormatTooNew        1   the index was written by a newer version of hashret
└── GateError               3   a measured value is below the required one

A message is one line: the problem, the value, the allowed values and the next step. Details are also attributes.
"""

from __future__ import annotations

import difflib
import importlib
import operator
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

COMPARED = 10_000  # largest number of names compared by similarity for a suggestion


class HashretError(Exception):
    """Base class of all exceptions raised by hashret. Keyword arguments become attributes.

    Example:
        >>> try:
        ...     hashret.Index.open("indexes/none")
        ... except hashret.HashretError as error:
        ...     print(type(error).__name__, error.exit_code)
        IndexNotFound 2
    """

    exit_code = 1

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would add quotes


class UsageError(HashretError, ValueError):
    """An option, a name, a number or a path is invalid.

    Example:
        >>> try:
        ...     hashret.Index.create("indexes/new", ["a text"], bits=0)
        ... except hashret.UsageError as error:
        ...     print(error)
        bits must be 1 to 4096, got 0
    """

    exit_code = 2


class MissingExtra(UsageError, ImportError):
    """An optional package is not installed.

    Attributes: `package`, its name, and `extra`, the name in `pip install 'hashret[EXTRA]'`.

    Example:
        >>> try:
        ...     source = hashret.read("news.jsonl")
        ... except hashret.MissingExtra as error:
        ...     print(f"pip install 'hashret[{error.extra}]'")
    """

    package: str
    extra: str


class IndexNotFound(UsageError, FileNotFoundError):
    """There is no index at `path`.

    Example:
        >>> try:
        ...     hashret.Index.open("indexes/none")
        ... except hashret.IndexNotFound as error:
        ...     print(Path(error.path).name)
        none
    """

    path: str


class IndexExists(UsageError, FileExistsError):
    """There is already an index at `path`, and `force` is not set.

    Example:
        >>> try:
        ...     hashret.Index.create("indexes/mine", ["another text"])
        ... except hashret.IndexExists as error:
        ...     print(Path(error.path).name)
        mine
    """

    path: str


class DataError(HashretError, ValueError):
    """Documents, vectors or queries are invalid.

    Example:
        >>> try:
        ...     hashret.Index.create("indexes/new", [])
        ... except hashret.DataError:
        ...     print("nothing to index")
        nothing to index
    """


class UnknownId(DataError, KeyError):
    """No document of the index at `path` has the id `id`.

    Example:
        >>> try:
        ...     hashret.Index.open("indexes/mine")["nobody"]
        ... except hashret.UnknownId as error:
        ...     print(error.id)
        nobody
    """

    id: str
    path: str


class DuplicateIds(DataError):
    """Ids are not unique. Attributes: `ids`, and `there`, whether they are already in the index.

    Example:
        >>> twice = [hashret.Document("a", "wheat was dear"), hashret.Document("a", "a ship sailed north")]
        >>> try:
        ...     hashret.Index.open("indexes/mine").add(twice)
        ... except hashret.DuplicateIds as error:
        ...     print(error.ids, error.there)
        ['a'] False
    """

    ids: Sequence[str]
    there: bool


class StoreError(HashretError):
    """An index on disk cannot be read or changed, for example because the disk is full or the index was replaced.

    Example:
        >>> index = hashret.Index.open("indexes/mine")
        >>> index.close()
        >>> try:
        ...     index.search("wheat")
        ... except hashret.StoreError:
        ...     print("closed")
        closed
    """

    path: str


class IndexLocked(StoreError):
    """Another process is changing the index at `path`; `holder` describes it, or is empty if unknown.

    Example:
        >>> try:
        ...     hashret.Index.open("indexes/mine").add([hashret.Document("note", "the price of wheat")])
        ... except hashret.IndexLocked as error:
        ...     print("try again later:", error.holder)
        1
    """

    holder: str


class CorruptIndex(StoreError):
    """A file of the index is damaged or missing. `hashret.verify` lists the problems, `hashret.repair` repairs them.

    Example:
        >>> manifest = Path("indexes/mine/manifest.json")
        >>> sound = manifest.read_bytes()
        >>> _ = manifest.write_bytes(sound[:100])
        >>> try:
        ...     hashret.Index.open("indexes/mine")
        ... except hashret.CorruptIndex as error:
        ...     report = hashret.repair(error.path)
        >>> len(hashret.Index.open("indexes/mine"))
        3
    """


class FormatTooNew(StoreError):
    """A newer version of hashret wrote the index in `format`; `needs` is the first version that reads it.

    Example:
        >>> try:
        ...     index = hashret.Index.open("indexes/mine")
        ... except hashret.FormatTooNew as error:
        ...     print(f"pip install 'hashret>={error.needs}'")
    """

    format: int
    needs: str


class GateError(HashretError):
    """A measured value is below the required one. Raised by `hashret eval --min`, which exits with code 3.

    Example:
        >>> hashret.GateError.exit_code
        3
    """

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """Return the error for an unknown name, which lists the known names and suggests the most similar one."""
    known = list(known)
    near = nearest(name, known)
    hint = f" did you mean {near!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r};{hint} allowed: {', '.join(known)}" + (f" ({where})" if where else ""))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Return the most similar known name, ignoring case; empty if none is similar.

    Paths also match by their last part, with or without its suffix. If there are more than `COMPARED` names, only equal
    names and such paths match, because computing the similarity takes 30 microseconds per name.
    """
    wanted = name.casefold()
    by_letters: dict[str, str] = {}
    for own in known:
        by_letters.setdefault(own.casefold(), own)
    if wanted in by_letters:
        return by_letters[wanted]
    for letters, own in by_letters.items():
        last = letters.rpartition("/")[2]
        if wanted and wanted in (last, last.rpartition(".")[0], letters.rpartition(".")[0]):
            return own
    if len(by_letters) > COMPARED:
        return ""
    near = difflib.get_close_matches(wanted, by_letters, n=1, cutoff=cutoff)
    return by_letters[near[0]] if near else ""


def whole_number(value: Any, name: str, low: int, high: int | None = None) -> int:
    """Return the value as an int. Raises UsageError unless it is a whole number (not a bool) from `low` to `high`."""
    allowed = f"at least {low}" if high is None else f"{low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise UsageError(f"{name} must be a whole number, {allowed}, got {shown(value)}")
    if number < low or (high is not None and number > high):
        raise UsageError(f"{name} must be {allowed}, got {shown(number)}")
    return number


def shown(value: Any) -> str:
    """Return the value for a message, cut to 80 characters."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to print very long numbers
        return f"a number of {value.bit_length()} bits"
    return repr(value)[:80]


def need(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module. Raises MissingExtra, which names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        words = f"{purpose} needs {module}; install it with: pip install 'hashret[{extra}]'"
        raise MissingExtra(words, package=module, extra=extra) from error
