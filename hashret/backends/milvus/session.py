"""The connection to Milvus: requests, timeouts, and errors of the driver."""

from __future__ import annotations

import base64
import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from hashret.address import Address
from hashret.backends.base import KIND, Engine, State, Unreachable
from hashret.backends.milvus.values import PIECE, PIECES, cut, digest, one_of
from hashret.codes import width
from hashret.documents import batches
from hashret.errors import StoreError, need
from hashret.filters.sql import Kinds

DOCUMENTS, FILES = "_default", "hashret"  # partitions
STATE = "state"  # key of the state
LABELS = 1024  # of a document
NLIST = 128  # clusters of BIN_IVF_FLAT
AT_ONCE = 1000  # keys of a request
REQUEST_BYTES = 16 << 20  # of one request; Milvus takes 64 MiB


class Session(Engine):
    """An engine with a connection to Milvus."""

    name = "milvus"
    has_words = False
    atomic = False

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._pymilvus: Any = need("pymilvus", "milvus", f"an address {self.name}://")
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it also raises
        self._client: Any = None
        self._fresh = False  # whether a request of this call has waited for all changes
        self.bits = self.next = 0  # as the last state says
        self.fields: Kinds = {}  # kinds of the metadata, as the last state says

    def disconnect(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # whatever goes wrong, it is not used any more
                client.close()

    def _connect(self) -> Any:
        if self._client is None:
            address = self.address
            scheme = "https" if address.options.get("secure") == "true" else "http"
            place = f"{scheme}://{address.host}:{address.port or 19530}"
            self._client = self._pymilvus.MilvusClient(
                place,
                user=address.user,
                password=address.password,
                db_name=address.database,
                timeout=min(10.0, address.timeout),
                dedicated=True,
                grpc_options={"grpc.use_local_subchannel_pool": 1},  # a new connection does not wait for an old one
            )
        return self._client

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Convert errors. Milvus shows no generation: each request sees the newest documents."""
        with self._translated():
            self._connect()
            self._fresh = False
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Convert errors of pymilvus, which tries again itself, with growing waits, until the timeout."""
        grpc, where = importlib.import_module("grpc"), str(self.address)
        try:
            yield
        except (self._pymilvus.MilvusException, grpc.RpcError) as error:
            reason = self._reason(error)
            if _is_away(error, grpc):
                self.disconnect()
                raise Unreachable(f"index {where} cannot be reached: {reason}", path=where) from None
            raise StoreError(f"index {where}: {reason}", path=where) from None

    def _reason(self, error: Any) -> str:
        """Return the first line of an error, without the password."""
        text = str(getattr(error, "message", None) or error).strip() or type(error).__name__
        text = text.splitlines()[0][:300]
        return text.replace(self.address.password, "***") if self.address.password else text

    def query(self, expression: str, fields: Sequence[str], partition: str = DOCUMENTS, **more: Any) -> list[Any]:
        found = self._connect().query(
            self.address.name,
            filter=expression,
            output_fields=list(fields),
            partition_names=[partition],
            consistency_level=self._consistency(),
            timeout=self.address.timeout,
            **more,
        )
        return list(found)

    def _consistency(self) -> str:
        level, self._fresh = "Session" if self._fresh else "Strong", True
        return level

    def at(self, positions: Sequence[int], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows at these positions. Bodies are read in requests of a limited size."""
        wanted = ["position", *fields]
        for some in batches(positions, AT_ONCE):
            if "body" not in fields:
                yield from self.query(one_of("position", some), wanted)
                continue
            sizes = {row["position"]: row["size"] for row in self.query(one_of("position", some), ["position", "size"])}
            group: list[int] = []
            for position, size in sizes.items():
                if group and sum(map(sizes.__getitem__, group)) + size > REQUEST_BYTES:
                    yield from self.query(one_of("position", group), wanted)
                    group = []
                group.append(position)
            if group:
                yield from self.query(one_of("position", group), wanted)

    def upsert(self, rows: Sequence[Mapping[str, Any]], partition: str = DOCUMENTS) -> None:
        """Write rows in place of those with the same keys, in requests of a limited size."""
        batch: list[Mapping[str, Any]] = []
        size = 0
        for row in rows:
            more = sum(map(len, row["body"])) + len(row["head"]) + len(row["vector"]) + len(row["code"])
            if batch and size + more > REQUEST_BYTES:
                self._upsert(batch, partition)
                batch, size = [], 0
            batch.append(row)
            size += more
        if batch:
            self._upsert(batch, partition)

    def _upsert(self, rows: list[Mapping[str, Any]], partition: str) -> None:
        self._connect().upsert(self.address.name, rows, partition_name=partition, timeout=self.address.timeout)

    def exists(self) -> bool:
        return bool(self._connect().has_collection(self.address.name, timeout=self.address.timeout))

    def is_ours(self) -> bool:
        """Whether hashret made the collection: its description says so."""
        described = self._connect().describe_collection(self.address.name, timeout=self.address.timeout)
        return bool(described.get("description") == KIND)

    def drop(self) -> None:
        """Drop the collection."""
        if self.exists():
            self._connect().drop_collection(self.address.name, timeout=self.address.timeout)

    def create(self, state: State) -> None:
        """Create the collection, empty."""
        types, client, where = self._pymilvus.DataType, self._connect(), {"timeout": self.address.timeout}
        text: dict[str, Any] = {"datatype": types.VARCHAR, "max_length": 65_535}
        schema = client.create_schema(auto_id=False, description=KIND)
        schema.add_field("key", types.VARCHAR, max_length=64, is_primary=True)
        schema.add_field("position", types.INT64)
        schema.add_field("code", types.BINARY_VECTOR, dim=8 * width(state.bits))
        schema.add_field("vector", **text)
        schema.add_field("labels", types.ARRAY, element_type=types.INT64, max_capacity=LABELS)
        schema.add_field("head", **text)
        schema.add_field("fields", types.JSON)
        schema.add_field("size", types.INT64)
        schema.add_field("body", types.ARRAY, element_type=types.VARCHAR, max_length=65_535, max_capacity=PIECES)
        params = client.prepare_index_params()
        kind = ("BIN_IVF_FLAT", {"nlist": NLIST}) if self.address.approximate else ("BIN_FLAT", {})
        params.add_index("code", index_type=kind[0], metric_type="HAMMING", params=kind[1])
        name = self.address.name
        client.create_collection(name, schema=schema, consistency_level="Strong", **where)
        client.create_partition(name, FILES, **where)
        client.create_index(name, params, **where)
        client.load_collection(name, **where)

    def write_state(self, state: State) -> None:
        """Write the state."""
        self.next = state.next
        self.upsert([self._piece(STATE, state.to_json())], FILES)

    def write_files(self, files: Mapping[str, bytes]) -> None:
        """Write the files of the hasher."""
        for name, data in files.items():
            text = base64.b64encode(data).decode("ascii")
            parts = [text[start : start + PIECE * PIECES] for start in range(0, len(text), PIECE * PIECES)] or [""]
            self.upsert([self._piece(digest(f"{name}/{n}"), part) for n, part in enumerate(parts)], FILES)

    def _piece(self, key: str, text: str) -> dict[str, Any]:
        """A row of the partition of files."""
        empty = {
            "position": -1,
            "code": bytes(width(self.bits)),
            "vector": "",
            "labels": [],
            "head": "",
            "size": 0,
            "fields": {},
        }
        return {**empty, "key": key, "body": cut(text)}

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the documents with these keys."""
        for some in batches(keys, AT_ONCE):
            self._connect().delete(self.address.name, ids=some, timeout=self.address.timeout)

    def keys(self, positions: Sequence[int]) -> list[str]:
        """Return the keys of the documents at these positions."""
        return [row["key"] for row in self.at(positions, ["key"])]


def _is_away(error: Any, grpc: Any) -> bool:
    """Whether an error means that the server did not answer."""
    code = error.code() if isinstance(error, grpc.RpcError) else error.code
    away = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    texts = (
        "Retry timeout",
        "Fail connecting",
        "DEADLINE_EXCEEDED",
        "UNAVAILABLE",
        "should create connection",
        "closed",
    )
    return code in away or any(text.lower() in str(error).lower() for text in texts)
