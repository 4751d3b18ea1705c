"""Commands that copy an index between a folder and an engine."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from hashret.address import Address
from hashret.cli import options as o
from hashret.cli.output import counted
from hashret.cli.session import command

PANEL = "Keep an index in an engine"
log = logging.getLogger("hashret")

At = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="postgresql://user:password@host/database/table or milvus://user:password@host:port/collection.",
    ),
]


@command("push", PANEL, "hashret push postgresql://ada@db.example/texts/news -i indexes/news")
def push(address: At, index: o.IndexAt = None, force: o.Force = False) -> None:
    """Copy an index from a folder to PostgreSQL or Milvus; after an interruption, the same command goes on.

    Numbers of documents and checksums are compared at the end.
    """
    from hashret.backends import push as copy

    path = o.find_index(index)
    log.info(f"copied {counted(copy(path, address, force=force), 'document')} to {o.shown(address)}")


@command("pull", PANEL, "hashret pull postgresql://ada@db.example/texts/news -i indexes/news", writes=True)
def pull(address: At, index: o.IndexAt = None) -> None:
    """Copy an index from PostgreSQL or Milvus to a folder; after an interruption, the same command goes on.

    The folder is indexes/<name of the table or collection> by default. It appears when the copy is complete.
    """
    from hashret.backends import pull as copy

    path = index or o.INDEXES / Address.parse(address).name
    log.info(f"copied {counted(copy(address, path), 'document')} to {path}")


COMMANDS = (push, pull)
