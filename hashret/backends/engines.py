"""The engine of an address."""

from __future__ import annotations

from hashret.address import Address
from hashret.backends.base import Engine
from hashret.backends.milvus import Milvus
from hashret.backends.postgres import Postgres


def engine_of(address: Address) -> Engine:
    """Return the engine of an address. It connects when it is first used."""
    return Milvus(address) if address.engine == "milvus" else Postgres(address)
