"""Spool: what can be read once only, kept in a temporary file for as long as it is needed."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import IO


class Spool:
    """A temporary file that goes when nothing refers to it any more, at the end of the program at the latest."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="hashret-")
        os.close(handle)
        self.path = Path(name)
        self._remove = weakref.finalize(self, self.path.unlink, missing_ok=True)

    def copy(self, stream: IO[bytes]) -> None:
        """Write all of a stream."""
        with self.path.open("wb") as out:
            shutil.copyfileobj(stream, out)

    def write(self, lines: Iterable[str]) -> None:
        """Write lines."""
        with self.path.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
