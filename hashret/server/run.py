"""Runs the server with uvicorn, in one process or several."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import webbrowser
from contextlib import ExitStack
from functools import partial
from typing import Any

from hashret.errors import UsageError, need
from hashret.server.settings import Settings

FILES = 65536  # open files and connections wanted, if the system allows as many
ANSWER_SECONDS = 600  # a worker that is silent for so long is replaced
WILDCARDS = ("0.0.0.0", "::")


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8000, workers: int = 1, open_: bool = False) -> None:
    """Serve until the process is stopped; requests in progress are completed.

    Raises UsageError if the address is taken, MissingExtra without the extra `serve`, and HashretError if an index
    cannot be opened, all before another process starts.
    """
    for module in ("fastapi", "uvicorn", "jinja2", "python_multipart", "prometheus_client"):
        need(module, "serve", "the server")
    from hashret.server.app import create_app

    _allow_many_files()
    with ExitStack() as stack:
        bound = stack.enter_context(listening(host, port))
        address = address_of(bound, settings)
        if workers > 1:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hashret-metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            create_app(settings)
            run = partial(_run_several, _config(partial(create_app, settings), settings, workers), bound)
        else:
            run = partial(_run_one, _config(create_app(settings), settings, 1), bound)
        print(f"serving {', '.join(settings.indexes)} at {address}; Ctrl-C stops", flush=True)  # noqa: T201
        if open_:
            opener = threading.Timer(1.0, webbrowser.open, (address,))
            opener.daemon = True
            opener.start()
        run()


def _config(app: Any, settings: Settings, workers: int) -> Any:
    import uvicorn

    from hashret.server.protocol import DeadlineProtocol

    return uvicorn.Config(
        app,
        factory=workers > 1,
        workers=workers,
        loop="hashret.server.loop:FairLoop" if workers > 1 else "asyncio",
        http=DeadlineProtocol,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=settings.stop_seconds,
        timeout_worker_healthcheck=ANSWER_SECONDS,
    )


def _run_one(config: Any, bound: socket.socket) -> None:
    import uvicorn

    uvicorn.Server(config).run(sockets=[bound])


def _run_several(config: Any, bound: socket.socket) -> None:
    from uvicorn.supervisors import Multiprocess

    Multiprocess(config, sockets=[bound]).run()


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address. Raises UsageError if that is impossible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small parts of answers at once only on sockets that say that they are TCP
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
        bound.set_inheritable(True)
    except OSError as error:
        bound.close()
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another") from None
    return bound


def address_of(bound: socket.socket, settings: Settings) -> str:
    """The address to open in a browser."""
    host, port = bound.getsockname()[:2]
    host = "localhost" if host in WILDCARDS else f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}{settings.root_path}/"


def _allow_many_files() -> None:
    """Raise the limit of open files, so that slow clients cannot use all of them."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
