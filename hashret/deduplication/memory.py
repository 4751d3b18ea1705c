"""What was verified before, in a file, so that only new documents are read and only new pairs are compared.

A document is known by its segment and row, which never change their content. A pair is known by the digests of its
contents. So nothing in the file can be out of date, unless the rules of similarity change, which have a number.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hashret.sketches import mixed

Numbers = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint64]  # [n, 2]
Similarities = npt.NDArray[np.float64]

RULES = 1  # by which similarities are computed; raise it when they change
BLOCK = 1 << 18  # pairs at a time, so that they take little memory
UNKNOWN = -1  # of `apart`, and of a document without a segment


@dataclass
class Memory:
    """Documents and pairs that are known. All arrays are sorted by their first one."""

    keys: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    digests: Digests = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    facts: Numbers = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    pairs: Digests = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    similarities: Similarities = field(default_factory=lambda: np.zeros(0, np.float64))
    apart: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @classmethod
    def read(cls, path: Path) -> Memory:
        """Read a file; without one, or if it is damaged, nothing is known."""
        made = cls()
        try:
            with np.load(path, allow_pickle=False) as file:
                if int(file["rules"]) != RULES:
                    return made
                found = {name: file[name] for name in vars(made)}
        except (OSError, ValueError, TypeError, KeyError, EOFError):
            return made
        documents, pairs = len(found["keys"]), len(found["pairs"])
        lengths = dict.fromkeys(("keys", "digests", "facts"), documents)
        lengths |= dict.fromkeys(("pairs", "similarities", "apart"), pairs)
        for name, empty in vars(made).items():
            own = found[name]
            if own.dtype != empty.dtype or own.shape != (lengths[name], *empty.shape[1:]):
                return made
        return cls(**found)

    def write(self, path: Path) -> None:
        """Replace the file. If that is impossible, everything is verified again the next time."""
        part = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with part.open("wb") as file:
                np.savez(file, rules=np.int64(RULES), **vars(self))
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def find_documents(self, keys: Numbers) -> Numbers:
        """Return where each document is in `keys`, or UNKNOWN."""
        return _places(self.keys, keys)

    def find_pairs(self, pairs: Digests) -> Numbers:
        """Return where each pair is in `pairs`, or UNKNOWN."""
        place = _places(self.pairs[:, 0], pairs[:, 0])
        same = (place != UNKNOWN) & (self.pairs[place, 1] == pairs[:, 1]) if len(self.pairs) else place != UNKNOWN
        return np.where(same, place, UNKNOWN)

    @classmethod
    def of_documents(cls, keys: Numbers, digests: Digests, facts: Numbers) -> Memory:
        """Make one of documents in any order."""
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], digests[order], facts[order])

    def with_pairs(self, pairs: Digests, similarities: Similarities, apart: npt.NDArray[np.int8]) -> Memory:
        """Return one with the same documents and these pairs, in any order."""
        order = np.argsort(pairs[:, 0], kind="stable")
        return replace(self, pairs=pairs[order], similarities=similarities[order], apart=apart[order])


def pair_digests(digests: Digests, first: Numbers, second: Numbers) -> Digests:
    """Return a digest of each pair of digests, by their places [m]; it does not depend on their order."""
    made = np.empty((len(first), 2), np.uint64)
    for start in range(0, len(first), BLOCK):
        a, b = (digests[places[start : start + BLOCK]] for places in (first, second))
        swap = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
        low, high = np.where(swap[:, None], b, a), np.where(swap[:, None], a, b)
        for side in (0, 1):
            made[start : start + BLOCK, side] = mixed(low[:, side] + mixed(high[:, 1 - side]))
    return made


def _places(known: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> Numbers:
    """Return where each wanted value is among the known ones, which ascend, or UNKNOWN."""
    if not len(known):
        return np.full(len(wanted), UNKNOWN, np.int64)
    place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    return np.where(known[place] == wanted, place, UNKNOWN)
