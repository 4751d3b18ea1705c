"""`SkipReport`: files that a source skipped, read in part or repaired, logged at the end of its first iteration."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hashret.readers.base import log, shown

NAMED = 5  # extensions or file names listed per line
FAILED = 20  # unreadable files listed with their reasons


class Skip(Exception):
    """A file is no document, with a reason such as "not text"; `named` lists such files by name, not by extension."""

    def __init__(self, reason: str, *, named: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.named = reason, named


class SkipReport:
    """Counts of skipped files, unreadable files and notes of one iteration."""

    def __init__(self) -> None:
        self.skipped: dict[str, Counter[str]] = {}  # reason -> extension or file name -> files
        self.failed: list[str] = []  # the first unreadable files, each with the reason
        self.failures = 0
        self.parts: Counter[str] = Counter()  # files read in part, each with what is missing
        self.notes: Counter[str] = Counter()
        self.rows: dict[str, list[int]] = {}  # the numbers of the first rows that a note counts
        self.left: Counter[str] = Counter()  # what is left out by rule, by kind

    def skip(self, path: Path, reason: str, *, named: bool = False) -> None:
        """Count a skipped file under a reason such as "not text", by its name if `named`, else by its extension."""
        self.skipped.setdefault(reason, Counter())[path.name if named else path.suffix.lower() or "no extension"] += 1

    def fail(self, name: str, reason: str) -> None:
        """Count a file that cannot be read, with the reason."""
        self.failures += 1
        if len(self.failed) < FAILED:
            self.failed.append(f"{shown(name)} ({shown(reason)})")

    def part(self, name: str, missing: str) -> None:
        """Count a file that was read in part, with what is missing, such as "1 of 3 pages has no text"."""
        self.parts[f"{shown(name)} ({shown(missing)})"] += 1

    def note(self, what: str, number: int = 1) -> None:
        """Count something else to report, such as "documents with an empty text"; nothing for 0."""
        if number:
            self.notes[what] += number

    def leave(self, kind: str) -> None:
        """Count a file or folder that is left out by rule, such as "hidden"."""
        self.left[kind] += 1

    def note_row(self, what: str, number: int) -> None:
        """Count a row to report, such as "rows with fewer fields than the header", by its number."""
        self.note(what)
        if len(named := self.rows.setdefault(what, [])) < NAMED:
            named.append(number)

    def lines(self) -> list[str]:
        """Return one line per reason and one per note."""
        found = [f"skipped {_files(kinds.total())} ({why}): {_list(kinds)}" for why, kinds in self.skipped.items()]
        if self.failures:
            found.append(f"skipped {_files(self.failures)} that cannot be read: {_first(self.failed, self.failures)}")
        if self.parts:
            found.append(f"read {_files(len(self.parts))} in part: {_first(list(self.parts), len(self.parts))}")
        return found + [f"{what}: {number}{self._numbers(what)}" for what, number in self.notes.items()]

    def _numbers(self, what: str) -> str:
        """Return the rows that a note counts."""
        numbers = self.rows.get(what, [])
        more = ", ..." if self.notes[what] > len(numbers) else ""
        return f" (row {', '.join(map(str, numbers))}{more})" if numbers else ""

    def left_out(self) -> str:
        """Return what is left out by rule, such as "hidden 3, pipe or socket 1"; empty if nothing is."""
        return _list(self.left)

    def tell(self, path: Path, documents: int | None = None) -> None:
        """Log all lines as warnings, and the number of documents if there is anything else to report."""
        lines, left = self.lines(), self.left_out()
        for line in lines:
            log.warning("%s: %s", shown(path), line)
        if documents is not None and (lines or left):
            log.info("%s: read %s%s", shown(path), _documents(documents), f"; left out: {left}" if left else "")


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"


def _documents(number: int) -> str:
    return f"{number} document" if number == 1 else f"{number} documents"


def _first(named: list[str], number: int) -> str:
    return ", ".join(named[:FAILED]) + (f" and {number - FAILED} more" if number > FAILED else "")


def _list(kinds: Counter[str]) -> str:
    named = [f"{shown(kind)} {number}" for kind, number in kinds.most_common(NAMED)]
    return ", ".join(named) + (f" and {len(kinds) - NAMED} more kinds" if len(kinds) > NAMED else "")
