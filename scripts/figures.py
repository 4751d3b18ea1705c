"""What the scripts that measure share: the folder of the data, and the runs that the docs are written from."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
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


def cell(values: Sequence[float]) -> str:
    """A mean with the standard deviation of several values; a dash for none."""
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.3f}{spread}" if values else "-"


def cell_of_seeds(values: Sequence[float]) -> str:
    """The same, without a deviation if all values are equal: the seed does not matter then."""
    return cell(values if len(set(values)) > 1 else values[:1])


def method_table(runs: Sequence[Run], columns: Mapping[str, Run]) -> list[str]:
    """The lines of a table with a row for each method. Columns: their titles, and what the runs in them have."""
    lines = ["", "| | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for method in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == method]
        each = [[run["value"] for run in own if wanted.items() <= run.items()] for wanted in columns.values()]
        lines.append(f"| {method} | {' | '.join(map(cell_of_seeds, each))} |")
    return lines
