"""Reproduce the published claim of each encoder, seed by seed: scripts/reproductions has one file per encoder.

    HASHRET_DATA=/path/to/data python scripts/reproduce_encoders.py [NAME...] [--seed N]... [--budget small|published]

Each run is appended to docs/figures/reproductions.jsonl and skipped when it is there. docs/encoders.md and
hashret/encoders/measured.json, which `hashret encoders NAME` reads, are made from them.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from types import ModuleType
from typing import Any

from figures import add_run, data_folder, read_runs
from hashret.encoders import ENCODERS
from hashret.encoders.base import abilities

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RUNS = DOCS / "figures" / "reproductions.jsonl"
TABLE = DOCS / "encoders.md"
MEASURED = ROOT / "hashret" / "encoders" / "measured.json"
BUDGETS = ("small", "published")
SEEDS = (0, 1, 2)

IMAGES = {  # images of scripts/draw_encoders.py: for an encoder, its file in docs/encoders and caption
    "autoencoder": (
        "reconstructions",
        "A test digit of each kind and what 32 units keep of it, with the mean squared error of a thousand; "
        "below, half of the pixels hidden, and what two nets make of that. Codes of many steps beside codes "
        "of few: the blurred ones are those whose loss asks for more than pixels.",
    ),
    "deep": (
        "maps",
        "MNIST's test digits in two dimensions, by principal components and by a bottleneck of two units, the"
        " colours unseen in training: kinds come apart, but 3, 5 and 8 stay together.",
    ),
    "variational": (
        "samples",
        "Digits that nobody wrote, from four nets that can be drawn from. The Student-t net is made for rows of numbers"
        " with gross errors among them, and draws digits badly.",
    ),
    "robust": (
        "set-aside",
        "The images with most set aside (all of them strangers) and four of the 4s that it learned from: "
        "what is given, what the net gives back, and what it sets aside, red where the image has more ink "
        "than the net would, blue where less.",
    ),
    "dagmm": (
        "energies",
        "Energies of rows that were not learned from, the dashed line where the published share is flagged. "
        "On KDD nearly all outliers lie beyond it; on thyroid they lie among the ordinary rows.",
    ),
}


def reproductions() -> dict[str, ModuleType]:
    """Return the modules of encoders with a claim, in the order of the registry."""
    there = {path.stem for path in (Path(__file__).parent / "reproductions").glob("*.py")}
    modules = {name: name.replace("-", "_") for name in ENCODERS.names()}
    return {
        name: importlib.import_module(f"reproductions.{module}") for name, module in modules.items() if module in there
    }


def main() -> None:
    """Run missing reproductions and write the page."""
    known = reproductions()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--budget", choices=BUDGETS, default="small")
    chosen = parser.parse_args()
    if strange := [name for name in chosen.names if name not in known]:
        parser.error(f"no bar for {strange[0]!r}; there are {', '.join(known)}")
    data = data_folder("mnist/, anomaly/, ...")
    done = {(run["encoder"], run["seed"], run["budget"]) for run in read_runs(RUNS)}
    for name in chosen.names or known:
        for seed in chosen.seed or getattr(known[name], "SEEDS", SEEDS):
            if (name, seed, chosen.budget) in done:
                continue
            started = time.perf_counter()
            figures = known[name].run(seed, data, chosen.budget)
            row = {"encoder": name, "seed": seed, "budget": chosen.budget, "figures": figures}
            row |= {"seconds": round(time.perf_counter() - started, 1), "torch": version("torch")}
            row |= {"processor": platform.machine(), "cores": os.cpu_count()}
            add_run(RUNS, row)
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")
    MEASURED.write_text(as_json(read_runs(RUNS)), "utf-8")


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with all encoders, their methods, options and results."""
    lines = [
        "# Encoders",
        "",
        "Written by `scripts/reproduce_encoders.py` from `figures/reproductions.jsonl`. Choose an encoder with "
        "`--encoder NAME` and its options with `-o key=value`. This page has the published claim of each encoder, "
        "measured here; [figures.md](figures.md) compares the codes of all encoders, [training.md](training.md) the "
        "speed of training. Mean ± standard deviation of the seeds. Claims that were not reached are marked; encoders "
        "without figures have not been measured.",
    ]
    known = reproductions()
    for name in ENCODERS.names():
        kind: Any = ENCODERS.get(name)
        lines += ["", f"## {name}", "", f"{kind.summary[0].upper()}{kind.summary[1:]}.", ""]
        if can := abilities(kind):
            lines += [f"Beyond codes: {', '.join(can)}.", ""]
        lines += ["```text", *(inspect.getdoc(kind) or "").splitlines(), "```", ""]
        if kind.options():
            lines += ["| option | default | |", "| --- | --- | --- |"]
            lines += [f"| `{key}` | {_shown(value)} | {kind.help_of(key)} |" for key, value in kind.options().items()]
        for given in measured(known[name], found, name) if name in known else []:
            lines += ["", *_told(known[name], given)]
        if name in IMAGES:
            file, seen = IMAGES[name]
            lines += ["", f"![{file.replace('-', ' ')}](encoders/{file}.png)", "", seen]
    return "\n".join([*lines, ""])


def _shown(value: Any) -> str:
    if value is None:
        return "`auto`"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`" if text else ""


def measured(bar: ModuleType, found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the results of an encoder for each budget."""
    given = []
    for budget in BUDGETS:
        own = [run for run in found if run["encoder"] == name and run["budget"] == budget]
        if own:
            figures = {figure: [run["figures"][figure] for run in own] for figure in own[0]["figures"]}
            minutes, wanted = mean(run["seconds"] for run in own) / 60, len(getattr(bar, "SEEDS", SEEDS))
            seeds = f"{len(own)} seeds" if len(own) == wanted else f"{len(own)} of {wanted} seeds so far"
            told = f"{bar.BAR} {seeds}, {budget} budget, {minutes:.1f} minutes a seed on one busy core."
            spread = {
                key: f"{mean(values):.4g} ± {stdev(values) if len(values) > 1 else 0:.2g}"
                for key, values in figures.items()
            }
            given.append({"measured": told, "figures": spread, "reached": bar.reached(figures)})
    return given


def as_json(found: list[dict[str, Any]]) -> str:
    """Return the results of all encoders as JSON."""
    given = {name: measured(bar, found, name) for name, bar in reproductions().items()}
    return json.dumps(given, indent=1, ensure_ascii=False) + "\n"


def _told(bar: ModuleType, given: dict[str, Any]) -> list[str]:
    """Return the figures and verdicts of one claim."""
    rows = [f"| {figure} | {value} |" for figure, value in given["figures"].items()]
    verdicts = [f"- {'reached' if is_so else '**not reached**'}: {what}" for what, is_so in given["reached"].items()]
    tried = ["", bar.TRIED] if hasattr(bar, "TRIED") else []  # set if a claim was not reached
    return [given["measured"], "", "| figure | |", "| --- | --- |", *rows, "", *verdicts, *tried]


if __name__ == "__main__":
    main()
