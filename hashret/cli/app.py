"""The application: all commands, defaults from hashret.toml, and errors before a command runs."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools that busy-wait slow each other down

import typer

from hashret import __version__
from hashret.address import is_address
from hashret.cli.session import discard_output, report
from hashret.errors import HashretError, UsageError, unknown

CONFIG = "hashret.toml"
SEARCHING = {"index", "k", "radius", "by", "weights", "oversample", "search", "threads", "verify"}
SHOWING = {"format", "csv_safe", "quiet", "color", "count", "neighbors", "measures", "exclude_self"}
LEARNING = {
    "bits",
    "encoder",
    "encoders",
    "vectorizer",
    "settings",
    "seed",
    "seeds",
    "device",
    "vectors",
    "rescore",
    "language",
}
READING = {"id", "text", "label"}
CONFIGURED = SEARCHING | SHOWING | LEARNING | READING
"""Options that a configuration file may set: those of search, output and training. The working folder may be untrusted,
so its file cannot name files to read or write, and cannot force, replace or delete anything."""

MODULES = {
    "build": ("index", "fit", "refit", "add", "delete", "compact", "verify", "repair"),
    "ask": ("query", "show", "info"),
    "browse": ("outliers", "clusters", "map"),
    "explain": ("explain", "bits", "health"),
    "duplicates": ("duplicates",),
    "serve": ("serve",),
    "mcp": ("mcp",),
    "measure": ("eval", "compare"),
    "quantize": ("quantize",),
    "tables": ("sql", "export"),
    "copying": ("push", "pull"),
    "about": ("encoders", "vectorizers", "sources", "searchers", "doctor", "demo"),
}
"""The commands of each module, so that running one command imports only its module."""


def application(only: str | None = None) -> typer.Typer:
    """Return the application with all commands, or those of one module."""
    made = typer.Typer(
        name="hashret",
        help="Learn short binary codes for documents and images, and find those that answer a question or are alike.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in [only] if only else MODULES:
        for register in importlib.import_module(f"hashret.cli.{module}").COMMANDS:
            register(made)
    made.callback()(_root)
    return made


def __getattr__(name: str) -> Any:
    """Return `app`, the application with all commands, which is created at first use."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = application()
    return globals()["app"]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hashret {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def defaults(path: Path) -> dict[str, dict[str, Any]]:
    """Return the defaults of each command from a hashret.toml; top-level keys apply to all commands, a table to one.

    Raises UsageError if the file cannot be read, or for keys that are not options or not in `CONFIGURED`.
    """
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    group: Any = typer.main.get_command(application())
    options = {
        name: {p.name for p in command.params if p.param_type_name == "option"}
        for name, command in group.commands.items()
    }
    tables = {key: value for key, value in given.items() if isinstance(value, dict)}
    shared = {key: value for key, value in given.items() if key not in tables}
    for key in shared:
        if not any(key in names for names in options.values()):
            raise unknown("option", key, sorted(CONFIGURED & set().union(*options.values())), str(path))
        _check_configured(key, path)
    if any(is_address(str(table.get("index", ""))) for table in (shared, *tables.values())):
        raise UsageError(f"{path} cannot name an address as index, because it would receive queries; give it with -i")
    for command, table in tables.items():
        if command not in options:
            raise unknown("command", command, options, str(path))
        for key in table:
            if key not in options[command]:
                raise unknown("option", key, sorted(CONFIGURED & options[command]), f"{path}, [{command}]")
            _check_configured(key, path)
    several = {
        name: {p.name for p in command.params if getattr(p, "multiple", False)}
        for name, command in group.commands.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for command, names in options.items():
        given = {key: value for key, value in shared.items() if key in names} | tables.get(command, {})
        lists = {
            key: [value] for key, value in given.items() if key in several[command] and not isinstance(value, list)
        }
        found[command] = given | lists
    return found


def _check_configured(key: str, path: Path) -> None:
    if key not in CONFIGURED:
        raise UsageError(
            f"{path} cannot set {key!r}: a configuration file can set options of search, output and training only "
            f"({', '.join(sorted(CONFIGURED))}); give it on the command line"
        )


class _Closed(io.TextIOBase):
    """Replacement for a closed standard output: raises an error only if a command prints something."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def _prepare_streams() -> None:
    """Make sure that all three standard streams exist, even if some were closed when the program started."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # otherwise a file opened later gets this number, and output of libraries goes into it
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # ids may contain characters that cannot be encoded


def _module() -> str | None:
    """Return the module of the command; None if all modules are needed, for help, completion and suggestions."""
    if "_HASHRET_COMPLETE" in os.environ:
        return None
    return next((module for module, names in MODULES.items() if sys.argv[1:2] and sys.argv[1] in names), None)


def main() -> None:
    """Run the command line and exit with its code."""
    _prepare_streams()
    code: Any = 0
    try:
        application(_module())(prog_name="hashret", default_map=defaults(Path(CONFIG)))
    except SystemExit as end:
        code = end.code
    except (HashretError, OSError, KeyboardInterrupt) as error:
        code = report(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = report(error) or code
        discard_output()
    sys.exit(code)
