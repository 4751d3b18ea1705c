"""Ctrl-C ends a long search within a second, with one thread and with several."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from hashret.search import available

from .samples import posix_only

pytestmark = posix_only("signals")

LONG = """
import sys
import numpy as np
import hashret

name, call, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(0)
codes = rng.integers(0, 256, (1_000_000, 8), dtype=np.uint8)
queries = rng.integers(0, 256, (200_000, 8), dtype=np.uint8)
made = hashret.searcher(codes, 64, name, threads)
if name == "multi_index":
    made.costs = (np.inf, 1.0)  # buckets alone, however many it takes
print("searching", flush=True)
made.search(queries, 5) if call == "search" else made.within(queries, 5)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("name", "call"), [("scan", "search"), ("scan", "within"), ("multi_index", "search"), ("flat", "search")]
)
def test_an_interrupt_ends_a_long_search_within_a_second(name: str, call: str, threads: int) -> None:
    if not available(name):
        pytest.skip(f"{name} needs the compiled kernel")
    command = [sys.executable, "-c", LONG, name, call, str(threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "searching\n"
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        try:
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert time.monotonic() - start < 1
    assert "KeyboardInterrupt" in errors
