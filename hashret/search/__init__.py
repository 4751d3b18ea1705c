"""Search binary codes by Hamming distance. `searcher` creates a searcher, `SEARCHERS` lists the available ones."""

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
COMPILED = ("auto", "scan", "multi_index", "lookup")  # searchers that need the C extension


def compiled() -> bool:
    """Whether the C extension is installed. It is missing if no C compiler was found at installation."""
    return find_spec("hashret._kernel") is not None


def available(name: str) -> bool:
    """Whether the searcher `name` works in this installation."""
    return name not in COMPILED or compiled()


def searcher(codes: Codes, bits: int, name: str = "auto", threads: int | None = None, verify: bool = False) -> Searcher:
    """Create a searcher over codes.

    Args:
        codes: uint8 [n, ceil(bits / 8)].
        bits: Length of the codes.
        name: One of `SEARCHERS`, or a FAISS factory string for binary codes, such as "BIVF1024", whose results are
            approximate. "auto" starts with full scans and builds tables once enough queries were made.
        threads: Number of threads; by default one for few queries and all cores for many.
        verify: Compare each result with a full scan, and raise HashretError if an exact searcher differs.

    Raises:
        DataError: The shape or dtype of the codes does not match `bits`.
        UsageError: The name is unknown, or `bits` or `threads` is out of range.

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
        raise UsageError(f"{name} needs hashret's C extension; reinstall with a C compiler, or search with flat")
    if name.startswith("B") and name not in SEARCHERS.names():
        from hashret.search.faiss import Factory

        return Factory(codes, bits, threads, name)
    return SEARCHERS.get(name)(codes, bits, threads)


__all__ = ["COMPILED", "SEARCHERS", "Neighbors", "Searcher", "available", "compiled", "searcher"]
