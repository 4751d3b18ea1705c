"""The connection to PostgreSQL: transactions, timeouts, and errors of the driver."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any

from hashret.address import Address
from hashret.backends.base import Engine, Lost
from hashret.errors import StoreError, need

TABLES = {"documents": "", "postings": "_postings", "hasher": "_hasher", "state": "_hashret"}
CONNECT_SECONDS = 10
GRACE = 5.0  # seconds after the server's own timeout until the connection is cut


class Session(Engine):
    """An engine with a connection to PostgreSQL."""

    name = "postgresql"
    has_words = True
    atomic = True

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._psycopg: Any = need("psycopg", "postgres", f"an address {self.name}://")
        self._connection: Any = None
        self.bits = 0  # of the codes, as the last state says
        named = {key: self._psycopg.sql.Identifier(address.name + own) for key, own in TABLES.items()}
        self._names: dict[str, Any] = named

    def _connect(self) -> Any:
        if self._connection is None or self._connection.closed:
            address = self.address
            options: dict[str, Any] = {
                name: value for name, value in address.options.items() if name not in ("timeout", "index")
            }
            given = {"host": address.host, "port": address.port, "user": address.user, "password": address.password}
            options |= {name: value for name, value in given.items() if value}
            self._connection = self._psycopg.connect(
                dbname=address.database,
                connect_timeout=ceil(min(CONNECT_SECONDS, address.timeout)),
                application_name="hashret",
                client_encoding="utf8",
                options=f"-c statement_timeout={ceil(1000 * address.timeout)}",
                keepalives_idle=30,
                autocommit=True,
                **options,
            )
        return self._connection

    def disconnect(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self._psycopg.Error):
                connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Start a read-only transaction that sees one generation."""
        with self._translated():
            self._connect()
            with self._transaction("begin isolation level repeatable read, read only"):
                yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        """Commit at the end of the block, and roll back after an error."""
        self.execute(begin)
        try:
            yield
        except BaseException:
            try:
                with self._deadline():
                    self._connection.rollback()
            except self._psycopg.Error:
                self.disconnect()
            raise
        with self._deadline():
            self._connection.commit()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Convert errors of psycopg."""
        try:
            yield
        except self._psycopg.Error as error:
            reason, state, where = self._reason(error), error.sqlstate or "", str(self.address)
            if isinstance(error, self._psycopg.errors.QueryCanceled):
                words = f"index {where}: a request took longer than {self.address.timeout:g} s; raise the timeout"
                raise StoreError(words, path=where) from None
            if isinstance(error, self._psycopg.OperationalError | self._psycopg.InterfaceError) and (
                not state or state[:2] == "08" or state in ("57P01", "57P02", "57P03")
            ):
                raise Lost(reason) from None
            raise StoreError(f"index {where}: {reason}", path=where) from None

    def _reason(self, error: Exception) -> str:
        """Return the first line of an error, without the password."""
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        return text.replace(self.address.password, "***") if self.address.password else text

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """Cut the connection if the server does not answer and does not keep its own timeout."""
        handle = socket.socket(fileno=socket.dup(self._connection.fileno()))

        def cut() -> None:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self.address.timeout + GRACE, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            handle.close()

    def sql(self, text: str, **parts: Any) -> Any:
        """Return a statement with the names of the tables, quoted."""
        return self._psycopg.sql.SQL(text).format(**self._names, **parts)

    def execute(self, text: str, values: Mapping[str, Any] | None = None, binary: bool = False, **parts: Any) -> Any:
        """Run a statement, and return its cursor."""
        with self._deadline():
            return self._connection.execute(self.sql(text, **parts), values, binary=binary)

    def copy_in(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows with COPY."""
        with self._deadline(), self._connection.cursor() as cursor, cursor.copy(self.sql(text)) as copy:
            for row in rows:
                copy.write_row(row)
