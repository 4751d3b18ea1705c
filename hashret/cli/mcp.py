"""The command that serves indexes to an assistant."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from hashret.cli import options as o
from hashret.cli.session import command

PANEL = "Serve"


@command(
    "mcp",
    PANEL,
    """
hashret mcp -i indexes/letters
hashret mcp -i indexes/letters -i indexes/notes --write
""",
)
def mcp(
    index: Annotated[
        list[str] | None,
        typer.Option("-i", "--index", help="Path or name of an index; repeatable.", metavar="INDEX"),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Also offer tools that add and delete documents.")] = False,
) -> None:
    """Serve indexes to an assistant by the Model Context Protocol, over standard input and output.

    Offers tools that list indexes, search, find similar documents, read and explain. Nothing is changed without
    --write.
    """
    from hashret.server.mcp import make_server
    from hashret.server.settings import Settings, named

    paths = [str(o.find_index(own)) for own in index] if index else [str(o.find_index(None))]
    logging.getLogger("hashret").setLevel(logging.ERROR)  # what is asked does not belong into the log
    make_server(Settings(named(paths)), write).run("stdio")


COMMANDS = (mcp,)
