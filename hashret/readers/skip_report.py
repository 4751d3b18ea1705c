"""`SkipReport`: files that a source skipped or repaired, logged at the end of its first iteration."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hashret.readers.base import log, shown

NAMED = 5  # extensions or file names listed per line
FAILED = 20  # unreadable files listed with their reasons


class SkipReport:
    """Counts of skipped files, unreadable files and notes of one iteration."""

    def __init__(self) -> None:
        self.skipped: dict[str, Counter[str]] = {}  # reason -> extension or file name -> files
        self.failed: list[str] = []  # the first unreadable files, each with the reason
        self.failures = 0
        self.notes: Counter[str] = Counter()
        self.rows: dict[str, list[int]] = {}  # the numbers of the first rows that a note counts

    def skip(self, path: Path, reason: str, *, named: bool = False) -> None:
        """Count a skipped file under a reason such as "not text", by its name if `named`, else by its extension."""
        self.skipped.setdefault(reason, Counter())[path.name if named else path.suffix.lower() or "no extension"] += 1

    def fail(self, name: str, reason: str) -> None:
        """Count a file that cannot be read, with the reason."""
        self.failures += 1
        if len(self.failed) < FAILED:
            self.failed.append(f"{shown(name)} ({shown(reason)})")

    def note(self, what: str) -> None:
        """Count something else to report, such as "documents with an empty text"."""
        self.notes[what] += 1

    def note_row(self, what: str, number: int) -> None:
        """Count a row to report, such as "rows with fewer fields than the header", by its number."""
        self.note(what)
        if len(named := self.rows.setdefault(what, [])) < NAMED:
            named.append(number)

    def lines(self) -> list[str]:
        """Return one line per reason and one per note."""
        found = [f"skipped {_files(kinds.total())} ({why}): {_list(kinds)}" for why, kinds in self.skipped.items()]
        if self.failures:
            more = f" and {self.failures - FAILED} more" if self.failures > FAILED else ""
            found.append(f"skipped {_files(self.failures)} that cannot be read: {', '.join(self.failed)}{more}")
        return found + [f"{what}: {number}{self._numbers(what)}" for what, number in self.notes.items()]

    def _numbers(self, what: str) -> str:
        """Return the rows that a note counts."""
        numbers = self.rows.get(what, [])
        more = ", ..." if self.notes[what] > len(numbers) else ""
        return f" (row {', '.join(map(str, numbers))}{more})" if numbers else ""

    def tell(self, path: Path) -> None:
        """Log all lines as warnings."""
        for line in self.lines():
            log.warning("%s: %s", shown(path), line)


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"


def _list(kinds: Counter[str]) -> str:
    named = [f"{shown(kind)} {number}" for kind, number in kinds.most_common(NAMED)]
    return ", ".join(named) + (f" and {len(kinds) - NAMED} more kinds" if len(kinds) > NAMED else "")
