"""The errors that hashret raises on purpose.

HashretError                exit code of the command line
├── UsageError              2   the request is wrong: an option, a name, a number, a path   (ValueError)
│   ├── MissingExtra        2   it needs a package that is not installed                    (ImportError)
│   ├── IndexNotFound       2   there is no index at the path                               (FileNotFoundError)
│   └── IndexExists         2   there is an index at the path already                       (FileExistsError)
├── DataError               1   documents, vectors or queries that cannot be used           (ValueError)
│   ├── UnknownId           1   no document has the id                                      (KeyError)
│   └── DuplicateIds        1   ids that occur twice, or that the index has already
├── StoreError              1   an index on disk that cannot be read or changed
│   ├── IndexLocked         1   another process is changing it; try again later
│   ├── CorruptIndex        1   a file of it is damaged or missing
│   └── FormatTooNew        1   a newer version of hashret wrote it
└── GateError               3   a measured value is below what was asked for

A message is one line: what, the value, what is allowed, the next step. What a message is about is an attribute too.
"""

from __future__ import annotations

import difflib
import importlib
import operator
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

COMPARED = 10_000  # names that are compared letter by letter for a suggestion


class HashretError(Exception):
    """The base class of all errors that hashret raises on purpose. Keywords become attributes.

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
        return str(self.args[0]) if self.args else ""  # KeyError would quote it


class UsageError(HashretError, ValueError):
    """The request is wrong: an option, a name, a number or a path.

    Example:
        >>> try:
        ...     hashret.Index.create("indexes/new", ["a text"], bits=0)
        ... except hashret.UsageError as error:
        ...     print(error)
        bits must be 1 to 4096, got 0
    """

    exit_code = 2


class MissingExtra(UsageError, ImportError):
    """The request needs an optional package.

    Attributes: `package` and `extra`, the name in `pip install 'hashret[EXTRA]'`.

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
    """There is an index at `path` already, and `force` is not set.

    Example:
        >>> try:
        ...     hashret.Index.create("indexes/mine", ["another text"])
        ... except hashret.IndexExists as error:
        ...     print(Path(error.path).name)
        mine
    """

    path: str


class DataError(HashretError, ValueError):
    """Documents, vectors or queries that cannot be used.

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
    """Ids that occur more than once among the documents, or that are in the index already (`there`): `ids`.

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
    """An index on disk that cannot be read or changed: a full disk, a missing permission, one that was replaced.

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
    """Another process is changing the index at `path`; `holder` describes it, empty if that is not known.

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
    """The index has a `format` that a newer version of hashret wrote; `needs` is the first version that reads it.

    Example:
        >>> try:
        ...     index = hashret.Index.open("indexes/mine")
        ... except hashret.FormatTooNew as error:
        ...     print(f"pip install 'hashret>={error.needs}'")
    """

    format: int
    needs: str


class GateError(HashretError):
    """A measured value is below the required one. The command line raises it for `eval --min` and exits with code 3.

    Example:
        >>> hashret.GateError.exit_code
        3
    """

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """The error for a name that is not known, with those that are and the nearest of them."""
    known = list(known)
    near = nearest(name, known)
    hint = f" did you mean {near!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r};{hint} allowed: {', '.join(known)}" + (f" ({where})" if where else ""))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """The known name most like this one, whatever its letter case; empty where none is.

    Names that are paths match by their last part, with or without its suffix, too. Among more than `COMPARED` names
    only such matches are found, since comparing letters takes 30 microseconds a name.
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
    """The value as an int; UsageError where it is not a whole number (a bool is none) or not low to high, inclusive."""
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
    """The value for a message, cut at 80 characters."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to print very long ones
        return f"a number of {value.bit_length()} bits"
    return repr(value)[:80]


def need(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        words = f"{purpose} needs {module}; install it with: pip install 'hashret[{extra}]'"
        raise MissingExtra(words, package=module, extra=extra) from error
