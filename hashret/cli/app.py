"""The application: all commands, defaults from hashret.toml, exit codes of what goes wrong before a command runs."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools that spin slow each other many times over

import typer

from hashret import __version__
from hashret.cli import about, ask, browse, build, measure
from hashret.errors import HashretError, UsageError, unknown

CONFIG = "hashret.toml"

app = typer.Typer(
    name="hashret",
    help="Learn short binary codes for documents and pictures, and find the nearest by Hamming distance.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (build, ask, browse, measure, about):
    for register in commands.COMMANDS:
        register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hashret {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def defaults(path: Path) -> dict[str, dict[str, Any]]:
    """Each command's defaults from a hashret.toml: keys at the top are for all commands, tables for one."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    group: Any = typer.main.get_command(app)
    options = {name: {p.name for p in command.params} for name, command in group.commands.items()}
    tables = {key: value for key, value in given.items() if isinstance(value, dict)}
    shared = {key: value for key, value in given.items() if key not in tables}
    for key in shared:
        if not any(key in names for names in options.values()):
            raise unknown("option", key, sorted(set().union(*options.values())), str(path))
    for command, table in tables.items():
        if command not in options:
            raise unknown("command", command, options, str(path))
        for key in table:
            if key not in options[command]:
                raise unknown("option", key, sorted(options[command]), f"{path}, [{command}]")
    return {
        command: {key: value for key, value in shared.items() if key in names} | tables.get(command, {})
        for command, names in options.items()
    }


def main() -> None:
    """Run the command line, exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # ids may hold what no terminal can show
    try:
        app(prog_name="hashret", default_map=defaults(Path(CONFIG)))
    except HashretError as error:
        print(f"hashret: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
