"""Search: codes -> neighbours; `SEARCHERS` lists the ways, `searcher` makes one."""

from __future__ import annotations

from importlib.util import find_spec

from hashret.codes import Codes, check_bits
from hashret.errors import UsageError
from hashret.registry import Registry
from hashret.search.base import Neighbors, Searcher, check_threads

SEARCHERS: Registry[Searcher] = Registry(
    "searcher",
    "hashret.searchers",
    (
        "auto = hashret.search.auto:Auto",
        "scan = hashret.search.scan:Scan",
        "multi_index = hashret.search.multi_index:MultiIndex",
        "lookup = hashret.search.lookup:Lookup",
        "flat = hashret.search.faiss:Flat",
    ),
)
COMPILED = ("auto", "scan", "multi_index", "lookup")  # need _kernel


def compiled() -> bool:
    """Whether the kernel is there: an installation without a C compiler lacks it."""
    return find_spec("hashret._kernel") is not None


def available(name: str) -> bool:
    """Whether this installation has that way of searching."""
    return name not in COMPILED or compiled()


def searcher(codes: Codes, bits: int, name: str = "auto", threads: int | None = None, verify: bool = False) -> Searcher:
    """A searcher over codes uint8 [n, ceil(bits / 8)]; threads None: one for few queries, all cores for many.

    The name is one of `SEARCHERS`, or a string of FAISS's index factory for binary codes, such as "BIVF1024", whose
    answers are not exact. "auto" reads all codes until tables would have paid for themselves, then builds those.
    `verify` holds each answer against a full scan. Raises DataError where the codes do not fit the bits, UsageError
    for an unknown name and for bits or threads out of range.

    Example:
        >>> codes = np.array([[0b1111_0000], [0b1111_0001], [0b0000_1111]], np.uint8)
        >>> hashret.searcher(codes, bits=8, name="flat").within(codes[:1], radius=1).positions.tolist()
        [0, 1]
    """
    bits, threads = check_bits(bits), check_threads(threads)
    made = _made(codes, bits, str(name), threads)
    if not verify:
        return made
    from hashret.search.verified import Verified

    return Verified(made, SEARCHERS.get("scan" if compiled() and name != "scan" else "flat")(codes, bits, threads))


def _made(codes: Codes, bits: int, name: str, threads: int | None) -> Searcher:
    if name == "auto" and not compiled():
        name = "flat"
    if name in COMPILED and not compiled():
        raise UsageError(f"{name} needs hashret's compiled part; install again with a C compiler, or search with flat")
    if name.startswith("B") and name not in SEARCHERS.names():
        from hashret.search.faiss import Factory

        return Factory(codes, bits, threads, name)
    return SEARCHERS.get(name)(codes, bits, threads)


__all__ = ["COMPILED", "SEARCHERS", "Neighbors", "Searcher", "available", "compiled", "searcher"]
