"""The command that starts the web server."""

from __future__ import annotations

import logging
import os
import re
from typing import Annotated

import typer

from hashret.cli import options as o
from hashret.cli.session import command
from hashret.errors import UsageError

PANEL = "Serve"
PREFIX = re.compile(r"(/[\w.~-]+)+")
TOKEN = re.compile(r"[\x21-\x7e]{8,}")


@command(
    "serve",
    PANEL,
    """
hashret serve -i indexes/letters --open
hashret serve -i indexes/letters -i indexes/photos --port 8080 --workers 2
HASHRET_TOKEN=... hashret serve -i indexes/letters --host 0.0.0.0 --allow-host search.example
""",
)
def serve(
    index: Annotated[
        list[str] | None,
        typer.Option("-i", "--index", help="Path or name of an index; repeatable.", metavar="INDEX"),
    ] = None,
    host: Annotated[
        str, o.opt("--host", help="Address to listen on; 0.0.0.0 for other machines too.", metavar="HOST")
    ] = "127.0.0.1",
    port: Annotated[int, o.opt("--port", help="Port to listen on; 0 for any.", metavar="PORT")] = 8000,
    token: Annotated[
        str | None,
        o.opt("--token", help="Allow changes with this token; better given as HASHRET_TOKEN.", metavar="TOKEN"),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    workers: Annotated[int, o.opt("--workers", help="Number of processes.", metavar="N")] = 1,
    root_path: Annotated[
        str, o.opt("--root-path", help="Prefix below which a proxy serves this, such as /search.", metavar="PATH")
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        o.many("--allow-host", help="Name by which browsers reach the server, besides loopback.", metavar="NAME"),
    ] = None,
) -> None:
    """Serve indexes as web pages and as a REST API.

    Only this machine can reach the server, unless --host is given. Requests for other host names and from other web
    sites are refused; --allow-host allows a name. Nothing can be changed without a token.
    """
    from hashret.server.run import WILDCARDS, serve
    from hashret.server.settings import Settings, named

    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be 0 to 65535, got {port}")
    if not 1 <= workers <= 64:
        raise UsageError(f"--workers must be 1 to 64, got {workers}")
    if root_path and not PREFIX.fullmatch(root_path.rstrip("/")):
        raise UsageError(f"--root-path must be a path such as /search, got {root_path!r}")
    if token is not None and not TOKEN.fullmatch(token):
        raise UsageError("the token must have at least 8 characters, without spaces; for example from uuidgen")
    paths = [str(o.find_index(own)) for own in index] if index else [str(o.find_index(None))]
    hosts = (*(allow_host or ()), *(() if host in WILDCARDS else (host,)))
    logging.getLogger("hashret").setLevel(logging.ERROR)  # what is asked does not belong into the log
    running = max(1, (os.cpu_count() or 1) // workers)
    settings = Settings(named(paths), token, hosts, root_path.rstrip("/"), running=running)
    serve(settings, host, port, workers, open_)


COMMANDS = (serve,)
