"""SkipReport: what a source passed over or mended, logged at the end of its first iteration."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hashret.readers.base import log, shown

NAMED = 5  # extensions or files that a line names; the rest is a number
FAILED = 20  # files that cannot be read, with their reasons


class SkipReport:
    """Counts of one iteration."""

    def __init__(self) -> None:
        self.skipped: dict[str, Counter[str]] = {}  # reason -> extension or file name -> files
        self.failed: list[str] = []  # the first files that cannot be read, each with the reason
        self.failures = 0
        self.notes: Counter[str] = Counter()

    def skip(self, path: Path, reason: str, *, named: bool = False) -> None:
        """Count a file passed over; the reason follows "that": "are not text". Named by itself or by its extension."""
        self.skipped.setdefault(reason, Counter())[path.name if named else path.suffix.lower() or "no extension"] += 1

    def fail(self, name: str, reason: str) -> None:
        """Count a file that cannot be read, and why."""
        self.failures += 1
        if len(self.failed) < FAILED:
            self.failed.append(f"{shown(name)} ({shown(reason)})")

    def note(self, what: str) -> None:
        """Count something worth a line: "documents with an empty text"."""
        self.notes[what] += 1

    def lines(self) -> list[str]:
        """A line a reason and a line a note."""
        found = [
            f"skipped {sum(kinds.values())} files that {why}: {_list(kinds)}" for why, kinds in self.skipped.items()
        ]
        if self.failures:
            more = f" and {self.failures - FAILED} more" if self.failures > FAILED else ""
            found.append(f"skipped {self.failures} files that cannot be read: {', '.join(self.failed)}{more}")
        return found + [f"{what}: {number}" for what, number in self.notes.items()]

    def tell(self, path: Path) -> None:
        """Say it all on the log."""
        for line in self.lines():
            log.warning("%s: %s", shown(path), line)


def _list(kinds: Counter[str]) -> str:
    named = [f"{shown(kind)} {number}" for kind, number in kinds.most_common(NAMED)]
    return ", ".join(named) + (f" and {len(kinds) - NAMED} more kinds" if len(kinds) > NAMED else "")
