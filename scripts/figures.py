"""What the scripts that measure share: the folder of the data, and the runs that the docs are written from."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

Run = dict[str, Any]


def data_folder(holds: str) -> Path:
    """The folder named by HASHRET_DATA; ends the script where it is not set."""
    if "HASHRET_DATA" not in os.environ:
        sys.exit(f"HASHRET_DATA is not set: the folder that holds {holds}")
    return Path(os.environ["HASHRET_DATA"])


def read_runs(path: Path) -> list[Run]:
    """All runs of a file; none where there is no file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def add_run(path: Path, run: Run) -> None:
    """Print a run, and append it to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")
    print(json.dumps(run), flush=True)


def machine(*packages: str) -> Run:
    """The versions of these packages, the processor and its cores."""
    return {**{name: version(name) for name in packages}, "processor": platform.machine(), "cores": os.cpu_count()}
