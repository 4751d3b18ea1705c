"""Reproduce the published results of encoders. scripts/reproductions has one module per encoder.

    HASHRET_DATA=/path/to/data python scripts/reproduce_encoders.py [NAME...] [--seed N]... [--budget small|published]
        [--checkpoint DIR]

Each run is appended to docs/figures/reproductions.jsonl. Recorded runs are skipped. With --checkpoint, an interrupted
run continues from the state of its training, which is saved every minute. Writes docs/encoders.md and
hashret/encoders/measured.json (for `hashret encoders NAME`) from the recorded runs.
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
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from types import ModuleType
from typing import Any

import torch

import bench_restarts
from figures import add_run, data_folder, read_runs
from hashret.checkpoint import resumable
from hashret.distributed import current_world
from hashret.encoders import ENCODERS
from hashret.encoders.base import abilities

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RUNS = DOCS / "figures" / "reproductions.jsonl"
TABLE = DOCS / "encoders.md"
MEASURED = ROOT / "hashret" / "encoders" / "measured.json"
BUDGETS = ("small", "published")
SEEDS = (0, 1, 2)
SECONDS = 60.0  # between checkpoints
PARTS = ("run", "restarts", "agreeing")  # functions of a reproduction; each one's figures are recorded as a row

IMAGES = {  # images of scripts/draw_encoders.py by encoder: file name in docs/encoders and caption
    "autoencoder": (
        "reconstructions",
        "Reconstructions of one test digit per class from 32 units, with the mean squared error over 1,000 digits; "
        "below, digits with half of the pixels masked and the reconstructions of two nets. Reconstructions are blurred "
        "if the loss has other terms than the reconstruction error.",
    ),
    "deep": (
        "maps",
        "MNIST test digits in two dimensions, by principal components and by a bottleneck of two units. Colours are the"
        " classes, which are not used in training. The net separates most classes, but not 3, 5 and 8.",
    ),
    "variational": (
        "samples",
        "Digits sampled from four generative nets. The Student-t net is designed for numeric data with outliers, and "
        "its samples of digits are poor.",
    ),
    "robust": (
        "set-aside",
        "The images with the largest sparse part S (all of other digits) and four images of the digit 4: input, "
        "reconstruction, and S, red where the input has more ink than the reconstruction, blue where it has less.",
    ),
    "dagmm": (
        "energies",
        "Energies of test rows. The dashed line is the threshold that flags the published share of rows. On KDD, "
        "nearly all outliers exceed it; on Thyroid, their energies overlap with those of ordinary rows.",
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
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="folder to save the state of training to")
    chosen = parser.parse_args()
    if strange := [name for name in chosen.names if name not in known]:
        parser.error(f"no reproduction of {strange[0]!r}; available: {', '.join(known)}")
    data = data_folder("mnist/, anomaly/, ...")
    if chosen.budget == "published":  # hours; oneDNN takes a third less than MKL on processors by AMD
        torch.set_float32_matmul_precision("medium")  # also allows bfloat16 on processors that have instructions for it
    done = {(run["encoder"], run["seed"], run["budget"], run.get("part", "run")) for run in read_runs(RUNS)}
    for name in chosen.names or known:
        for seed, part in product(chosen.seed or getattr(known[name], "SEEDS", SEEDS), PARTS):
            measure = getattr(known[name], part, None)
            if measure is None or (name, seed, chosen.budget, part) in done:
                continue
            started = time.perf_counter()
            about = {"encoder": name, "part": part, "seed": seed, "budget": chosen.budget}
            folder = chosen.checkpoint and chosen.checkpoint / "-".join(map(str, about.values()))
            with resumable(folder, 0, SECONDS, about, current_world()):
                figures = measure(seed, data, chosen.budget)
            row = {"encoder": name, "seed": seed, "budget": chosen.budget, "figures": figures}
            row |= {"part": part} if part != "run" else {}
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
        "",
        "Encoders that find clusters or densities depend on their initial weights. With `-o n_init=4`, they begin with "
        "four seeds, with a quarter of the steps, and the best one is then fitted, which takes about twice the time of "
        "one fit. More seeds begin with a sixteenth, and the best quarter goes on. They are compared by an objective "
        "on a tenth of the documents, which is held out, and not by labels. `hashret info` shows the seeds and "
        "objectives. The tables of starts below were measured by `scripts/bench_restarts.py`: eight seeds, each fitted "
        "with all steps and with a "
        "quarter of them.",
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
        budgets = measured(known[name], found, name) if name in known else []
        for given in budgets:
            lines += ["", *_told(given)]
        if budgets and hasattr(known[name], "TRIED"):  # set if a claim was not reached
            lines += ["", known[name].TRIED]
        own = [run for run in read_runs(bench_restarts.RUNS) if run["encoder"] == name]
        if any(run["share"] == 1 for run in own):  # the figures of whole fits are needed
            lines += ["", *bench_restarts.summary(known[name].Starts, own)]
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
            names = dict.fromkeys(figure for run in own for figure in run["figures"])
            figures = {name: [run["figures"][name] for run in own if name in run["figures"]] for name in names}
            count, wanted = len({run["seed"] for run in own}), len(getattr(bar, "SEEDS", SEEDS))
            minutes = sum(run["seconds"] for run in own) / count / 60
            seeds = f"{count} seeds" if count == wanted else f"{count} of {wanted} seeds so far"
            told = f"{bar.BAR} {seeds}, {budget} budget, {minutes:.1f} minutes per seed on one busy core."
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


def _told(given: dict[str, Any]) -> list[str]:
    """Return the figures and verdicts of one claim."""
    rows = [f"| {figure} | {value} |" for figure, value in given["figures"].items()]
    verdicts = [f"- {'reached' if is_so else '**not reached**'}: {what}" for what, is_so in given["reached"].items()]
    return [given["measured"], "", "| figure | |", "| --- | --- |", *rows, "", *verdicts]


if __name__ == "__main__":
    main()
