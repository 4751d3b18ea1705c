"""Session: what every command shares: format, progress, words on stderr, an error as one line and an exit code."""

from __future__ import annotations

import errno
import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, get_type_hints

import typer

from hashret.cli import output
from hashret.cli.options import opt
from hashret.errors import HashretError
from hashret.progress import listening

Format = Annotated[
    str | None,
    opt(
        "--format",
        help="table, jsonl, json, csv or ids; a table on a terminal, JSON lines in a pipe.",
        metavar="FORMAT",
    ),
]
Quiet = Annotated[bool, opt("--quiet", "-q", help="No progress and no remarks; errors only.")]
Debug = Annotated[bool, opt("--debug", help="Show the traceback of an error.")]
_SHARED = {"format": (Format, None), "quiet": (Quiet, False), "debug": (Debug, False)}


def command(name: str, panel: str, examples: str) -> Callable[[Callable[..., None]], Callable[[typer.Typer], None]]:
    """Make a function a command: its docstring is the help, `examples` follow it, the shared options are added."""

    def decorate(function: Callable[..., None]) -> Callable[[typer.Typer], None]:
        @functools.wraps(function)
        def run(format: str | None, quiet: bool, debug: bool, **arguments: Any) -> None:
            with session(format, quiet, debug):
                function(**arguments)

        hints = get_type_hints(function, include_extras=True)
        own = [p.replace(annotation=hints[p.name]) for p in inspect.signature(function).parameters.values()]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
            for key, (hint, default) in _SHARED.items()
        ]
        by_name: Any = run
        by_name.__signature__ = inspect.Signature(
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
        )
        run.__annotations__ = {p.name: p.annotation for p in own} | {key: hint for key, (hint, _) in _SHARED.items()}
        del by_name.__wrapped__
        text = f"{inspect.getdoc(function)}\n\n```console\n{examples.strip()}\n```"

        def register(app: typer.Typer) -> None:
            app.command(name, help=text, rich_help_panel=panel)(run)

        return register

    return decorate


@contextmanager
def session(format: str | None, quiet: bool, debug: bool) -> Iterator[None]:
    """Set up output, remarks and progress; turn what goes wrong into one line and an exit code."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("hashret: %(message)s"))
    log = logging.getLogger("hashret")
    log.addHandler(handler)
    log.setLevel(logging.ERROR if quiet else logging.INFO)
    try:
        output.choose(format)
        with output.progress(show=not quiet and sys.stderr.isatty()) as listener, listening(listener):
            yield
        sys.stdout.flush()
    except (HashretError, OSError, KeyboardInterrupt, MemoryError) as error:
        if debug:
            raise
        raise typer.Exit(_tell(error)) from None
    finally:
        log.removeHandler(handler)


def _tell(error: BaseException) -> int:
    """Say what went wrong in one line; the exit code for it."""
    if isinstance(error, KeyboardInterrupt):
        words, code = "interrupted; nothing was changed that was not complete", 130
    elif isinstance(error, BrokenPipeError):  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    elif isinstance(error, HashretError):
        words, code = str(error), error.exit_code
    elif isinstance(error, MemoryError):
        words, code = "out of memory; take fewer documents at once, or -o sample=N to learn from fewer", 1
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        words, code = f"no space left on the disk ({error.filename or 'while writing'}); free some and run it again", 1
    else:
        words, code = str(error), 1
    print(f"hashret: {words}".replace("\n", " "), file=sys.stderr)  # noqa: T201
    return code
