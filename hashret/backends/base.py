"""The interface of an engine: a server that stores the documents of an index and searches their codes.

A document has a position, which grows in order of insertion, so ties have the same order on every engine. `RemoteIndex`
has the methods of `Index`, and calls these.
"""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from hashret.address import Address
from hashret.codes import MAX_BITS, Codes
from hashret.errors import CorruptIndex, FormatTooNew, HashretError, IndexNotFound, StoreError
from hashret.filters import Expression
from hashret.store import Derived, Record

KIND = "hashret index"
FORMAT = 1
TRIES = 4  # attempts at a request
FIRST_WAIT = 0.2  # seconds before the second attempt; each further wait is three times as long
BLOCK = 1000  # documents read or written together

Positions = npt.NDArray[np.int64]
T = TypeVar("T")


class Lost(Exception):
    """The connection to an engine failed; a read can be tried again."""


class Unreachable(StoreError):
    """The engine did not answer, or the connection failed during a change. The change can be tried again."""


@dataclass(frozen=True)
class State:
    """What an engine stores of an index in addition to its documents and the files of its hasher."""

    bits: int
    fingerprint: str  # of the hasher
    identity: str  # random, differs for each index
    about: Mapping[str, Any]
    vector_bytes: int = 0  # of the vector of a document; 0 if there are none
    generation: int = 1
    next: int = 0  # position of the next document
    change: str = ""  # random, differs for each change
    source: str = ""  # of a push that is not complete: what it copies
    totals: Mapping[str, int] = field(
        default_factory=dict
    )  # documents; words, pairs and titles, if the engine has them
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)  # kinds of metadata, if the engine cannot say

    def to_json(self) -> str:
        """Return the state as JSON text, in ASCII."""
        return json.dumps({"kind": KIND, "format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Read what `to_json` returned. Raises CorruptIndex or FormatTooNew."""
        try:
            body = json.loads(text)
            if body.pop("kind") != KIND:
                raise ValueError("it is not a hashret index")
            if (version := body.pop("format")) > FORMAT:
                words = (
                    f"index {where} has format {version}, this version reads formats up to {FORMAT}; upgrade hashret"
                )
                raise FormatTooNew(words, path=where, format=version, needs="")
            state = cls(**body)
            numbers = (state.bits, state.generation, state.next, state.vector_bytes, *state.totals.values())
            if not all(type(number) is int and number >= 0 for number in numbers) or not 1 <= state.bits <= MAX_BITS:
                raise ValueError("a number is out of range")
            if not isinstance(state.about, dict):
                raise ValueError("about must be an object")
            return state
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise CorruptIndex(f"the state of index {where} is damaged ({error!r:.100})", path=where) from error


@dataclass(frozen=True)
class Columns:
    """Codes and vectors of n documents, in order of position."""

    positions: Positions  # [n]
    codes: Codes  # [n, ceil(bits / 8)]
    vectors: Sequence[bytes]  # [n], empty if the index has none
    norms: npt.NDArray[np.float32]  # [n]


@dataclass(frozen=True)
class Near:
    """The documents nearest to a code, sorted by (distance, position)."""

    positions: Positions
    distances: npt.NDArray[np.int64]
    exact: bool
    ties: int | None = None  # number of documents at the last distance, listed or not


@dataclass(frozen=True)
class WordScores:
    """BM25 of documents for a question, sorted by (score, position); others have 0."""

    positions: Positions
    scores: npt.NDArray[np.float64]
    ties: int  # documents with the last score within the limit
    known_terms: int
    mean: float  # of all documents
    deviation: float
    largest: float


@dataclass(frozen=True)
class Row:
    """A stored document with everything that belongs to it."""

    position: int
    record: Record
    code: bytes
    vector: bytes
    norm: float


@dataclass(frozen=True)
class Selection:
    """The documents to search: those with one of the labels, if there are some, for which a filter holds."""

    labels: Sequence[str] = ()
    where: Expression | None = None


EVERYTHING = Selection()


class Change(ABC):
    """A change of an index. It has the methods of a folder's `Transaction` that adding documents needs."""

    state: State
    started_over = False

    @property
    def about(self) -> Mapping[str, Any]:
        """The description of the index."""
        return self.state.about

    @about.setter
    def about(self, about: Mapping[str, Any]) -> None:
        self.update(about=dict(about))

    @property
    @abstractmethod
    def documents(self) -> int:
        """The number of documents after this change."""

    def update(self, **fields: Any) -> None:
        """Set fields of the state."""
        self.state = State(**{**self.state.__dict__, **fields})

    @abstractmethod
    def start_over(self, state: State, files: Mapping[str, bytes]) -> None:
        """Drop all documents, and store a new state and the files of a new hasher."""

    @abstractmethod
    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """Return the position of each id, or None."""

    @abstractmethod
    def add(self, codes: Codes, records: Sequence[Record], derived: Derived | None = None) -> None:
        """Append documents. The caller ensures that their ids are unique.

        Raises DataError, which names the id, for what the engine cannot store; then nothing is changed.
        """

    @abstractmethod
    def delete(self, rows: Sequence[int]) -> None:
        """Delete the documents at these positions."""


class Engine(ABC):
    """A connection to the engine that stores an index. Methods that read are called inside of `run`."""

    name: ClassVar[str]
    has_words: ClassVar[bool]  # whether it can score words
    atomic: ClassVar[bool]  # whether a change takes effect completely or not at all

    def __init__(self, address: Address) -> None:
        self.address = address
        self.closed = False
        self._lock = threading.RLock()
        self._depth = 0

    def run(self, work: Callable[[], T]) -> T:
        """Call a function that reads, and call it again with growing waits if the connection fails.

        Where the engine can, the function sees one generation of the index. Raises StoreError if the engine does not
        answer.
        """
        with self._lock:
            if self.closed:
                raise StoreError(f"index {self.address} is closed; open it again")
            if self._depth:
                return work()
            self._depth += 1
            try:
                return self._retried(work)
            finally:
                self._depth -= 1

    def _retried(self, work: Callable[[], T]) -> T:
        for number in range(TRIES):
            try:
                with self.snapshot():
                    return work()
            except Lost as error:
                self.disconnect()
                if number + 1 == TRIES:
                    words = f"index {self.address} cannot be reached, after {TRIES} attempts: {error}"
                    raise Unreachable(words, path=str(self.address)) from None
                time.sleep(FIRST_WAIT * 3**number)
            except HashretError:
                raise
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                words = f"index {self.address} is damaged ({error!r:.100}); verify it"
                raise CorruptIndex(words, path=str(self.address)) from error
        raise AssertionError("unreachable")

    def missing(self) -> IndexNotFound:
        """Return the error for an address without an index."""
        return IndexNotFound(f"no index at {self.address}", path=str(self.address))

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Connect if necessary, and convert errors of the driver to `Lost` and StoreError."""

    @abstractmethod
    def disconnect(self) -> None:
        """Drop the connection. The next call connects again."""

    def close(self) -> None:
        """Close the connection for good. Can be called more than once."""
        self.closed = True
        self.disconnect()

    @abstractmethod
    def state(self) -> State:
        """Return the state. Raises IndexNotFound if there is no index at the address."""

    @abstractmethod
    def check_vacant(self, force: bool) -> None:
        """Raise IndexExists if there is an index and not `force`, UsageError if the name is used by something else."""

    @abstractmethod
    def write(self, create: bool = False, force: bool = False) -> AbstractContextManager[Change]:
        """Change the index; with `create`, the block calls `start_over` first. Raises IndexLocked, StoreError."""

    @abstractmethod
    def check(self, records: Sequence[Record]) -> None:
        """Raise DataError, which names the id, if the engine cannot store a document."""

    @abstractmethod
    def file(self, name: str) -> bytes:
        """Return a file of the hasher. Raises FileNotFoundError."""

    @abstractmethod
    def size(self) -> int | None:
        """Return the bytes of the index on the server, or None if the engine does not say."""

    @abstractmethod
    def documents(self, state: State) -> int:
        """Return the number of documents, from the state if it says so."""

    @abstractmethod
    def count(self) -> int:
        """Count the documents."""

    @abstractmethod
    def find(self, ids: Sequence[str]) -> list[int | None]:
        """Return the position of each id, or None."""

    @abstractmethod
    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return the records at these positions, in this order."""

    @abstractmethod
    def columns(self, positions: Sequence[int] | None = None, vectors: bool = True) -> Columns:
        """Return codes and vectors of these positions that exist, or of all documents."""

    @abstractmethod
    def heads(self) -> Iterator[tuple[int, str, tuple[str, ...]]]:
        """Yield position, id and labels of all documents, in order of position."""

    @abstractmethod
    def rows(self, after: int = -1, limit: int | None = None) -> Iterator[Row]:
        """Yield all documents after a position, in order of position."""

    @abstractmethod
    def label_names(self, limit: int) -> list[str]:
        """Return the distinct labels, sorted, or some of them if there are more than `limit`."""

    @abstractmethod
    def kinds(self) -> dict[str, list[str]]:
        """Return the kinds of values of each field that a filter can use, as `Generation.kinds` does."""

    @abstractmethod
    def has_label(self, label: str) -> bool:
        """Return whether a document has the label."""

    @abstractmethod
    def nearest(
        self, code: bytes, k: int, selection: Selection = EVERYTHING, own: int | None = None, approximate: bool = False
    ) -> Near:
        """Return the k nearest documents of a selection, except the one at position `own`."""

    @abstractmethod
    def within(self, code: bytes, radius: int, selection: Selection = EVERYTHING, own: int | None = None) -> Near:
        """Return all documents within a Hamming distance."""

    @abstractmethod
    def words(
        self,
        terms: Sequence[str],
        stop_terms: frozenset[str],
        limit: int | None,
        selection: Selection = EVERYTHING,
        own: int | None = None,
        among: Sequence[int] = (),
    ) -> WordScores:
        """Return the `limit` best documents by BM25, and those at `among`. See `hashret.ranking.words`."""

    @abstractmethod
    def first(self, count: int, selection: Selection = EVERYTHING, own: int | None = None) -> Positions:
        """Return the lowest positions."""

    @abstractmethod
    def problems(self, state: State) -> list[tuple[str, str, str]]:
        """Check counts and cross-references. Return (where, problem, consequence)."""
