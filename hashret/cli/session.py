"""Shared by all commands: output format, progress, messages on stderr, errors as one line and an exit code."""

from __future__ import annotations

import errno
import functools
import inspect
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer

from hashret.address import is_address
from hashret.cli import bars, output
from hashret.cli.options import indexes, opt
from hashret.errors import (
    CorruptIndex,
    DuplicateIds,
    HashretError,
    IndexExists,
    IndexNotFound,
    UnknownId,
    UsageError,
    nearest,
)
from hashret.files import BUSY
from hashret.progress import listening

LOG = "hashret"  # logger of the library
SILENCE = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""Environment variables that silence other libraries on standard error; read when they are imported."""

Format = Annotated[
    str | None,
    opt(
        "--format",
        help="table, jsonl, json, csv or ids; a table on a terminal, JSON lines in a pipe.",
        metavar="FORMAT",
    ),
]
CsvSafe = Annotated[bool, opt("--csv-safe", help="Quote CSV cells that a spreadsheet would treat as formulas.")]
Quiet = Annotated[bool, opt("--quiet", "-q", help="Show errors only, no progress and no messages.")]
Debug = Annotated[bool, opt("--debug", help="Show the traceback of an error, and warnings of other libraries.")]
_SHARED = {"format": (Format, None), "csv_safe": (CsvSafe, False), "quiet": (Quiet, False), "debug": (Debug, False)}


def command(
    name: str, panel: str, examples: str, writes: bool = False, quoted: str | None = None
) -> Callable[[Callable[..., None]], Callable[[typer.Typer], None]]:
    """Decorator: make a function a command. The docstring and `examples` are the help; shared options are added.

    `writes`: the command changes an index, which a hashret.toml in the working folder must not choose. `quoted`: the
    name of an argument that is one text; the error for several words suggests quotes.
    """

    def decorate(function: Callable[..., None]) -> Callable[[typer.Typer], None]:
        @functools.wraps(function)
        def run(
            context: typer.Context, format: str | None, csv_safe: bool, quiet: bool, debug: bool, **arguments: Any
        ) -> None:
            with session(format, quiet, debug, csv_safe):
                if started_together() > 1 and name != "fit":
                    raise UsageError(
                        f"torchrun started {started_together()} processes, which can only fit; run hashret fit with "
                        "torchrun, then hashret index SOURCE --hasher PATH without it"
                    )
                if writes:
                    _check_choice(context)
                if context.args:
                    _suggest_quotes(name, [arguments[quoted or ""], *context.args])
                function(**arguments)

        hints = get_type_hints(function, include_extras=True)
        own = [p.replace(annotation=hints[p.name]) for p in inspect.signature(function).parameters.values()]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
            for key, (hint, default) in _SHARED.items()
        ]
        by_name: Any = run
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        by_name.__signature__ = inspect.Signature(
            [context, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *shared]
        )
        run.__annotations__ = {p.name: p.annotation for p in [context, *own, *shared]}
        del by_name.__wrapped__
        text = f"{inspect.getdoc(function)}\n\n```console\n{examples.strip()}\n```"

        def register(app: typer.Typer) -> None:
            several = {"allow_extra_args": quoted is not None}
            app.command(name, help=text, rich_help_panel=panel, context_settings=several)(run)

        return register

    return decorate


def started_together() -> int:
    """Return the number of processes that torchrun started, this one included; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def _check_choice(context: typer.Context) -> None:
    """Raise UsageError if the configuration file of the working folder chooses the index to change."""
    source = context.get_parameter_source("index")
    if source is not None and source.name == "DEFAULT_MAP":
        raise UsageError(
            f"hashret.toml cannot choose index {context.params['index']!r} for a command that changes it; "
            "give it with -i INDEX"
        )


def _suggest_quotes(name: str, words: Sequence[str]) -> NoReturn:
    """Raise UsageError for several words instead of one text."""
    text = shlex.quote(" ".join(words))
    raise UsageError(f"TEXT is one argument, got {len(words)}; put it in quotes: hashret {name} {text}")


class _OneLine(logging.Formatter):
    """Formats a message as one line without control characters, because it may contain names from outside."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.name}: {output.printable(record.getMessage())}"


class _Remarks(logging.StreamHandler[Any]):
    """Handler for messages on standard error: those of hashret, and with `debug` those of other libraries."""

    def __init__(self, debug: bool) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(_OneLine())
        self.addFilter(lambda record: debug or record.name == LOG)

    def emit(self, record: logging.LogRecord) -> None:
        bars.make_way()
        super().emit(record)


@contextmanager
def _remarks(quiet: bool, debug: bool) -> Iterator[None]:
    """Write messages to standard error while the block runs, and silence other libraries unless `debug`."""
    if not debug:
        for name, value in SILENCE.items():
            os.environ.setdefault(name, value)
    handler, root, log = _Remarks(debug), logging.getLogger(), logging.getLogger(LOG)
    level = log.level
    root.addHandler(handler)
    log.setLevel(logging.ERROR if quiet else logging.INFO)
    logging.captureWarnings(True)  # warnings go to the logger py.warnings
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        log.setLevel(level)  # commands change it


@contextmanager
def session(format: str | None, quiet: bool, debug: bool, csv_safe: bool = False) -> Iterator[None]:
    """Set up output, messages and progress; convert errors to one line and an exit code."""
    try:
        with _remarks(quiet, debug):
            output.choose(format, csv_safe)
            with bars.progress(show=not quiet and sys.stderr.isatty()) as listener, listening(listener):
                yield
            sys.stdout.flush()
    except (HashretError, OSError, KeyboardInterrupt, MemoryError) as error:
        if debug:
            for line in traceback.format_exception(error):
                for part in line.splitlines():
                    print(output.printable(part), file=sys.stderr)  # noqa: T201
        raise typer.Exit(report(error)) from None


def report(error: BaseException) -> int:
    """Print an error as one line and return its exit code."""
    if isinstance(error, KeyboardInterrupt):
        words, code = "interrupted; nothing was changed that was not complete", 130
    elif _is_closed_pipe(error):
        discard_output()
        return 0
    elif isinstance(error, HashretError):
        words, code = str(error) + advice(error), error.exit_code
    elif isinstance(error, MemoryError):
        words, code = "out of memory; use fewer documents at once, or -o sample=N to learn from fewer", 1
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        words, code = (
            f"no space left on the disk ({error.filename or 'while writing'}); free some space and try again",
            1,
        )
    elif isinstance(error, OSError) and error.errno in BUSY:
        words, code = BUSY[error.errno], 1
    elif isinstance(error, OSError) and error.strerror:
        words, code = error.strerror + (f": {error.filename}" if error.filename else ""), 1
    else:
        words, code = str(error), 1
    print(f"hashret: {output.printable(words)}", file=sys.stderr)  # noqa: T201
    return code


def _is_closed_pipe(error: BaseException) -> bool:
    """Whether the reader of our output has had enough. Windows reports this as an invalid argument of no file."""
    if isinstance(error, BrokenPipeError):
        return True
    return os.name == "nt" and isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None


def advice(error: HashretError) -> str:
    """Return a hint with a command or option, to be appended to the message of an error."""
    path = getattr(error, "path", "INDEX")
    match error:
        case IndexNotFound() | CorruptIndex() | UnknownId() if is_address(path):
            return ""
        case IndexNotFound():
            there = {own.name: str(own) for own in indexes()}
            near = nearest(Path(path).name, there)
            return f"; did you mean {there[near]!r}?" if near else f"; create it with: hashret index SOURCE -i {path}"
        case IndexExists():
            return "; --force replaces it, hashret add adds to it"
        case CorruptIndex():
            return f"; hashret verify -i {path} shows details, hashret repair -i {path} fixes what can be fixed"
        case DuplicateIds(there=True):
            return ": --replace, --skip"
        case UnknownId():
            near = _nearest_id(error)
            return f"; did you mean {near!r}?" if near else "; hashret info shows examples of ids"
    return ""


def _nearest_id(error: UnknownId) -> str:
    """Return the id of the index most similar to the unknown one; empty if none is similar."""
    from hashret.index import Index

    try:
        with Index.open(error.path) as opened:
            return nearest(error.id, opened.ids, cutoff=0.6)
    except HashretError:  # another process has changed the index
        return ""


def discard_output() -> None:
    """Redirect standard output to the null device, so that closing it cannot fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
