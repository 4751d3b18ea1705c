"""`hashret serve` as a process: workers, slow clients, and its end."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from typer.testing import CliRunner

from hashret.cli.app import app
from hashret.documents import Document
from hashret.index import Index

from .samples import posix_only
from .serving import TOKEN, make_indexes, running

pytestmark = [pytest.mark.slow, posix_only("signals")]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_indexes(tmp_path_factory.mktemp("served"))


def ask(address: str, path: str, method: str = "GET", body: object = None, timeout: float = 30) -> tuple[int, bytes]:
    """Send one request on a connection of its own; return status and body."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=timeout)
    try:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_two_workers_have_one_sum_of_metrics_and_see_changes(paths: dict[str, str]) -> None:
    with running(["-i", paths["texts"], "--workers", 2, "--token", TOKEN], 120) as (address, process):
        until = time.monotonic() + 60
        while time.monotonic() < until:  # until a worker answers
            try:
                ask(address, "/healthz")
                break
            except OSError:
                time.sleep(0.2)
        for _ in range(100):
            assert ask(address, "/api/texts/search?q=ship")[0] == 200
        sums = set()
        for _ in range(10):
            text = ask(address, "/metrics")[1].decode()
            sums.add(re.search(r'hashret_requests_total\{.*route="/api/\{index\}/search".*\} (\S+)', text)[1])  # type: ignore[index]
        assert sums == {"100.0"}
        document = {"documents": [{"id": "fresh", "text": "quizzical"}]}
        assert ask(address, "/api/texts/documents", "POST", document)[0] == 200
        for _ in range(20):
            assert json.loads(ask(address, "/api/texts/search?q=quizzical")[1])["hits"][0]["id"] == "fresh"
        assert ask(address, "/api/texts/documents?id=fresh", "DELETE")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_slow_senders_are_cut_off_and_others_served(paths: dict[str, str]) -> None:
    with running(["-i", paths["texts"]]) as (address, _):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        slow = [socket.create_connection((str(host), int(port or 0))) for _ in range(1000)]
        began = time.monotonic()
        for step in range(3):
            for one in slow:
                one.sendall(b"GET / HTTP/1.1\r\n"[step : step + 1])
            assert ask(address, "/api/texts/search?q=ship", timeout=5)[0] == 200
            time.sleep(1)
        slow[0].settimeout(30)
        with suppress(ConnectionResetError):
            assert slow[0].recv(1) == b""
        assert time.monotonic() - began < 28
        for one in slow:
            one.close()
        assert ask(address, "/healthz")[0] == 200


def test_a_slow_body_is_refused(paths: dict[str, str]) -> None:
    with running(["-i", paths["texts"]]) as (address, _):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        with socket.create_connection((str(host), int(port or 0))) as one:
            head = f"POST /api/texts/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            one.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            one.settimeout(40)
            assert b"408" in one.recv(1000).splitlines()[0]


def test_dropped_searches_do_not_hold_up_health(paths: dict[str, str]) -> None:
    with running(["-i", paths["texts"]]) as (address, _):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        for _ in range(50):
            one = socket.create_connection((str(host), int(port or 0)))
            one.sendall(f"GET /api/texts/search?q=ship&k=1000 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            one.close()
        began = time.monotonic()
        assert ask(address, "/healthz")[0] == 200
        assert time.monotonic() - began < 2


def test_a_stop_loses_no_acknowledged_change(tmp_path: Path) -> None:
    path = make_indexes(tmp_path)["texts"]
    acknowledged: list[str] = []
    with running(["-i", path, "--token", TOKEN]) as (address, process):

        def add() -> None:
            for number in range(10_000):
                body = {"documents": [{"id": f"n{number}", "text": f"wheat {number}"}]}
                try:
                    if ask(address, "/api/texts/documents", "POST", body)[0] != 200:
                        return
                except (OSError, http.client.HTTPException):
                    return
                acknowledged.append(f"n{number}")

        thread = threading.Thread(target=add)
        thread.start()
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) in (0, -signal.SIGTERM)
        thread.join()
    assert len(acknowledged) > 3
    with Index.open(path) as index:
        assert all(id in index for id in acknowledged)
        assert index.verify() == []


def test_a_held_connection_does_not_delay_the_end(paths: dict[str, str]) -> None:
    with running(["-i", paths["texts"]]) as (address, process):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        with socket.create_connection((str(host), int(port or 0))) as one:
            one.sendall(f"GET /api/texts/map HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(25) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-i", "nowhere"], "no index at"),
        (["-i", "nowhere", "--workers", "2"], "no index at"),
        (["-i", "TEXTS", "--port", "99999"], "--port"),
        (["-i", "TEXTS", "--workers", "0"], "--workers"),
        (["-i", "TEXTS", "--token", "short"], "token"),
        (["-i", "TEXTS", "--root-path", "no path"], "--root-path"),
        (["-i", "TEXTS", "--host", "192.0.2.1"], "cannot listen"),
    ],
)
def test_a_wrong_start_is_one_sentence(paths: dict[str, str], arguments: list[str], words: str) -> None:
    given = [paths["texts"] if own == "TEXTS" else own for own in arguments]
    command = [sys.executable, "-c", "from hashret.cli import main; main()", "serve", "--port", "0", *given]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_named(paths: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", "-i", paths["texts"], "--port", str(port)])
    assert result.exit_code == 2
    assert f"port {port}" in result.output


def test_queries_are_not_in_the_output(paths: dict[str, str]) -> None:
    with running(["-i", paths["texts"], "--token", TOKEN]) as (address, process):
        ask(address, f"/api/texts/search?q=secretword&token={TOKEN}")
        ask(address, "/api/texts/search?q=secretword&k=x")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stdout is not None
        written = process.stdout.read()
    assert "secretword" not in written
    assert TOKEN not in written


def test_documents_of_another_process_are_found(paths: dict[str, str]) -> None:
    with running(["-i", paths["texts"]]) as (address, _):
        with Index.open(paths["texts"]) as index:
            index.add([Document("elsewhere", "quokka")])
        assert json.loads(ask(address, "/api/texts/search?q=quokka")[1])["hits"][0]["id"] == "elsewhere"


def test_the_configuration_file_may_name_one_index(
    paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hashret.toml").write_text(f"index = {json.dumps(paths['texts'])}\n")
    with running([]) as (address, _):
        assert json.loads(ask(address, "/api")[1])["indexes"][0]["name"] == "texts"
    (tmp_path / "hashret.toml").write_text('host = "0.0.0.0"\n')
    command = [sys.executable, "-c", "from hashret.cli import main; main()", "serve", "-i", paths["texts"]]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "cannot set 'host'" in refused.stderr
