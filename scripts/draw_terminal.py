"""Draw docs/terminal.svg: a real terminal in which the README's two commands run on a folder of real texts.

python scripts/draw_terminal.py
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from hashret.demo import python_documents

TARGET = Path(__file__).parent.parent / "docs" / "terminal.svg"
COLUMNS, LINES = 104, 40
COMMANDS = (
    ("index", "python-docs/", "--label", "folder"),
    ("query", "remove a directory and all that is in it", "-k", "6"),
    ("query", "--like", "gzip/gzip.compress.txt", "-k", "4"),
)


def main() -> None:
    screen = Console(record=True, width=COLUMNS, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        for document in python_documents():
            file = Path(folder, "python-docs", document.labels[0], f"{document.id.replace('/', '-')}.txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(document.content), "utf-8")
        for command in COMMANDS:
            words = " ".join(f'"{word}"' if " " in word else word for word in command)
            screen.print(Text(f"$ hashret {words}", style="bold"))
            screen.print(Text.from_ansi(seen(command, folder)))
    drawn = screen.export_svg(title="hashret", theme=SVG_EXPORT_THEME)
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # no fonts from elsewhere
    TARGET.write_text(drawn.replace("Fira Code, monospace", "monospace"), "utf-8")


def seen(command: tuple[str, ...], folder: str) -> str:
    """Return the terminal output of a command without progress bars."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
    run = [sys.executable, "-c", "from hashret.cli import main; main()", *command]
    with subprocess.Popen(
        run, cwd=folder, stdout=theirs, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:  # the other side of the terminal was closed
            pass
        assert process.stderr is not None
        words = process.stderr.read()
    return (words + b"".join(parts).decode("utf-8", "replace")).replace("\r\n", "\n").rstrip("\n")


if __name__ == "__main__":
    main()
