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

Written by `scripts/write_reference.py` from the commands themselves; a test holds it to them.

- INDEX is `-i`, else `$HASHRET_INDEX`, else `hashret.toml`, else the only index under `./indexes`.
- Most options with a long name can be set by the environment (`--bits` by `HASHRET_BITS`). Those that say how to
  search, show and learn can also be set by a `hashret.toml` in the working folder: keys at its top are for all
  commands, those of a table `[query]` for that command. It cannot name files, force anything, or choose the index to
  change.
- Data goes to stdout, as a table on a terminal and as JSON lines in a pipe; everything else goes to stderr.
- Exit codes: 0 done, 1 found at work (an empty corpus, a repeated id, damaged data), 2 the command line is wrong,
  3 a gate not met or an index not sound, 130 interrupted.
"""


def reference() -> str:
    """The whole text."""
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
        "## What `-o` sets\n",
        "A key that two of them know takes a prefix: `encoder.`, `vectorizer.` or `schedule.`\n",
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
