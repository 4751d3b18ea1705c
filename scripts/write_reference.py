"""Write docs/cli.md, the reference of the command line, from the commands themselves.

python scripts/write_reference.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from hashret.cli.app import app
from hashret.encoders import ENCODERS
from hashret.training import Schedule
from hashret.vectorizers import VECTORIZERS

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"

HEAD = """# The command line

Written by `scripts/write_reference.py` from the commands; a test compares it.

- INDEX is the value of `-i`, otherwise `$HASHRET_INDEX`, otherwise `hashret.toml`, otherwise the only index in
  `./indexes`.
- Most long options can also be set as environment variables (`--bits` as `HASHRET_BITS`). Options of search, output and
  training can also be set in a `hashret.toml` in the working folder: keys at the top apply to all commands, those in a
  table such as `[query]` to one command. The file cannot name files to write, force anything, or choose the index that
  a command changes.
- Data goes to stdout, as a table on a terminal and as JSON lines in a pipe. Everything else goes to stderr.
- Exit codes: 0 success; 1 an error in the data or the index (no documents, a repeated id, a damaged file); 2 a wrong
  command line; 3 a value below `--min`, or an index with problems; 130 interrupted.
"""


def reference() -> str:
    """Return the text of the page."""
    group: Any = typer.main.get_command(app)
    parts = [HEAD, *(_command(name, command) for name, command in group.commands.items()), _options()]
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join(["hashret", name, *(str(a.metavar or a.name.upper()) for a in arguments)])
    lines = [f"## {name}\n", f"`{usage}`\n", str(command.help).strip(), ""]
    lines += [f"- `{a.metavar}` {a.help}" for a in arguments]
    lines += [f"- `{', '.join(o.opts)}{' ' + o.metavar if o.metavar else ''}` {o.help}" for o in options]
    return "\n".join(lines) + "\n"


def _options() -> str:
    lines = [
        "## Options of `-o`\n",
        "If a key is ambiguous, add a prefix: `encoder.`, `vectorizer.` or `schedule.`\n",
    ]
    lines += ["### Training\n", *_rows(Schedule)]
    for title, registry in (("Encoder", ENCODERS), ("Vectorizer", VECTORIZERS)):
        for name in registry.names():
            kind: Any = registry.get(name)
            lines += [f"### {title} `{name}`\n", f"{kind.summary[0].upper()}{kind.summary[1:]}.\n", *_rows(kind)]
    return "\n".join(lines)


def _rows(kind: Any) -> list[str]:
    rows = [f"- `{name}={_plain(default)}` {kind.help_of(name)}" for name, default in kind.options().items()]
    return [*rows, ""] if rows else []


def _plain(default: Any) -> str:
    if default is None:
        return "auto"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(reference(), "utf-8")
