"""Addresses of indexes that another engine stores, such as postgresql://user:password@host/database/table.

    postgresql://[user[:password]@][host][:port]/database/table[?option=value&...]
    milvus://[user[:password]@]host[:port]/[database/]collection[?option=value&...]

An address may contain a password, so no message repeats it: `str(address)` has host, database and name only, and errors
about a malformed address say what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hashret.errors import UsageError

ENGINES: Mapping[str, str] = {"postgresql": "postgresql", "postgres": "postgresql", "milvus": "milvus"}
"""The engine of each scheme."""

FORMS = {
    "postgresql": "postgresql://user:password@host:port/database/table",
    "milvus": "milvus://user:password@host:port/collection",
}
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "postgresql": ("timeout", "index", "host", "sslmode", "sslrootcert", "sslcert", "sslkey"),
    "milvus": ("timeout", "index", "secure"),
}
APPROXIMATE = {"postgresql": "hnsw", "milvus": "ivf"}
"""The approximate index that each engine can use; by default it scans all codes."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
TIMEOUT = 60.0  # seconds for one request to an engine
MOST_SECONDS = 86_400.0

_LIKE = re.compile(r"(?i)[a-z][a-z0-9+.-]+:[/\\]{2}|(postgres(ql)?|milvus)s?:")


@dataclass(frozen=True)
class Address:
    """Where an engine stores an index."""

    engine: str
    host: str
    port: int | None
    user: str = field(repr=False)
    password: str = field(repr=False)
    database: str
    name: str  # of the table or collection
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        place = "" if self.host.startswith("/") else self.host + (f":{self.port}" if self.port else "")
        return f"{self.engine}://{place}/{f'{self.database}/' if self.database else ''}{self.name}"

    @property
    def timeout(self) -> float:
        """Seconds that one request may take."""
        return float(self.options.get("timeout", TIMEOUT))

    @property
    def approximate(self) -> bool:
        """Whether searches by codes use an approximate index."""
        return self.options.get("index", "flat") != "flat"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address. Raises UsageError, which does not repeat it, if it is malformed."""
        engine = ENGINES.get(text.partition("://")[0].lower())
        if engine is None:
            raise UsageError(f"the address of an index must begin with {' or '.join(f'{name}://' for name in FORMS)}")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise _malformed(engine) from None
        *database, name = parts.path.removeprefix("/").split("/")
        most = 1 if engine == "postgresql" else 0
        if parts.fragment or not NAME.fullmatch(name) or not most <= len(database) <= 1 or "@" in parts.path:
            raise _malformed(engine)
        if engine == "milvus" and (not parts.hostname or any(not NAME.fullmatch(own) for own in database)):
            raise _malformed(engine)
        options = _options(engine, parts)
        host = options.pop("host", parts.hostname or "")
        user, password = (unquote(own or "") for own in (parts.username, parts.password))
        return cls(engine, host, port, user, password, unquote("".join(database)), name, options)


def _malformed(engine: str) -> UsageError:
    return UsageError(
        f"the address of the index must have the form {FORMS[engine]}; the name has letters, digits and _, at most 40, "
        "and special characters of a password are written as %XX"
    )


def _options(engine: str, parts: SplitResult) -> dict[str, str]:
    """The options of an address. Raises UsageError for unknown ones and for invalid values."""
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.keys() <= set(OPTIONS[engine]):
        raise UsageError(f"the address has an unknown option; allowed: {', '.join(OPTIONS[engine])}")
    if options.get("index", "flat") not in ("flat", APPROXIMATE[engine]):
        raise UsageError(f"the option index of the address must be flat or {APPROXIMATE[engine]}")
    if options.get("secure", "true") not in ("true", "false"):
        raise UsageError("the option secure of the address must be true or false")
    if "timeout" in options:
        try:
            seconds = float(options["timeout"])
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= MOST_SECONDS:
            raise UsageError(f"the option timeout of the address must be a number of seconds up to {MOST_SECONDS:,.0f}")
    return options


def is_address(path: str | Path) -> bool:
    """Whether this is meant as an address and not as a path, even if it is malformed."""
    return _LIKE.match(str(path)) is not None
