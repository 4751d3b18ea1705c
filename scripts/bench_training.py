"""Measure the speed of training: an epoch over MNIST, compared with a plain torch loop.

    HASHRET_DATA=/path/to/data python scripts/bench_training.py [NAME...]

Every training that a fit consists of is stopped where it begins, and done both ways by turns: the same net, losses,
batch size and optimiser. Each encoder's run is appended to docs/figures/training.jsonl; without names those are run
that are not there. docs/training.md is written from the last run of each.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from figures import add_run, data_folder, read_runs
from hashret.encoders import ENCODERS
from hashret.features import Features
from hashret.training import MOST_HELD_OUT, Schedule, train
from reproductions.mnist import as_features, mnist

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "training.jsonl"
TABLE = DOCS / "training.md"

BITS, IMAGES, TURNS, WANTED = 32, 60_000, 5, 1.5
FEWER = {"adversarial": 10_000, "dec": 10_000, "neighborhood": 10_000, "subspace": 4_000}
ONCE = {  # what does the same training several times, or machines before it, does it once here
    "deep": {"pretraining": 0.0},
    "semantic-hashing": {"pretraining": 0.0},
    "neighborhood": {"rounds": 1},
    "robust": {"outer": 1},
}


def trained() -> list[str]:
    """Return the neural encoders."""
    return [name for name in ENCODERS.names() if ENCODERS.get(name).trained]


def main() -> None:
    """Run what is missing, or what is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(trained()))
    names = parser.parse_args().names
    if strange := [name for name in names if name not in trained()]:
        parser.error(f"{strange[0]!r} is no net; there are {', '.join(trained())}")
    data = data_folder("mnist/")
    images, _ = mnist(data, "train")
    done = {run["encoder"] for run in read_runs(RUNS)}
    for name in names or [name for name in trained() if name not in done]:
        row = {"encoder": name, **measure(name, as_features(images[: FEWER.get(name, IMAGES)]))}
        row |= {"torch": version("torch"), "threads": torch.get_num_threads(), "processor": platform.machine()}
        add_run(RUNS, row)
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")


def measure(name: str, features: Features) -> dict[str, Any]:
    """Seconds of an epoch of all trainings of a fit, each turn's, both ways."""
    seconds: dict[str, list[list[float]]] = {"ours": [], "plain": []}  # of each training, of each turn

    def both(
        net: nn.Module,
        features: Features,
        steps: Sequence[Any],
        schedule: Schedule,
        on_step: Callable[[int, int], None] | None = None,
        label: str = "",
    ) -> None:
        pairs = [(loss, list(parameters)) for loss, parameters in steps]
        epoch = replace(schedule.completed({}), epochs=1, min_steps=1, max_steps=10**9)
        ways = {
            "ours": lambda: train(net, features, pairs, epoch, on_step),
            "plain": plain(net, features, pairs, epoch, on_step),
        }
        found = [{way: timed(run) for way, run in ways.items()} for _ in range(TURNS)]
        for way, turns in seconds.items():
            turns.append([turn[way] for turn in found])

    kind: Any = ENCODERS.get(name)
    with ExitStack() as stack:
        for module in {sys.modules[part.__module__] for part in kind.__mro__}:
            if getattr(module, "train", None) is train:
                stack.enter_context(patch.object(module, "train", both))
        kind.from_params(ONCE.get(name, {})).fit(features, BITS, Schedule())
    sums = {way: [round(sum(turn), 3) for turn in zip(*turns, strict=True)] for way, turns in seconds.items()}
    batch = Schedule().completed(kind.usual).batch_size
    return {"images": len(features), "batch": batch, "trainings": len(seconds["ours"]), **sums}


def plain(
    net: nn.Module,
    features: Features,
    pairs: Sequence[Any],
    epoch: Schedule,
    on_step: Callable[[int, int], None] | None,
) -> Callable[[], None]:
    """An epoch as one writes it by hand, over as many documents as ours is trained on."""
    x = torch.from_numpy(np.asarray(features.input)).reshape(-1, *features.shape)
    own = torch.arange(min(int(len(x) * epoch.validation_fraction), MOST_HELD_OUT), len(x))
    optimisers = [torch.optim.Adam(parameters, lr=epoch.learning_rate, fused=True) for _, parameters in pairs]

    def run() -> None:
        net.train()
        for number, rows in enumerate(torch.split(own[torch.randperm(len(own))], epoch.batch_size), 1):
            for (loss, _), optimiser in zip(pairs, optimisers, strict=True):
                optimiser.zero_grad()
                loss(x[rows], rows).backward()
                optimiser.step()
            if on_step is not None:
                on_step(number, -(-len(own) // epoch.batch_size))

    return run


def timed(run: Callable[[], None]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the last run of each encoder."""
    last = {run["encoder"]: run for run in found}
    ratios = {name: median(run["ours"]) / median(run["plain"]) for name, run in last.items()}
    over = [name for name, ratio in ratios.items() if ratio > WANTED]
    verdict = f"Above {WANTED}: {', '.join(over)}." if over else f"None takes more than {WANTED} times as long."
    lines = [
        "# Speed of training",
        "",
        "Written by `scripts/bench_training.py` from `figures/training.jsonl`: seconds per epoch on MNIST, "
        f"{BITS} bits, "
        f"each encoder with its own options and batch size. Median of {TURNS} epochs of hashret's training loop and of "
        "as many of a plain PyTorch loop, alternating in one process with one thread. The plain loop takes shuffled "
        "rows of a tensor and does the steps of the same optimiser (fused Adam) on the same losses and network. "
        "hashret's loop also schedules the learning rate, checks that losses are finite, and evaluates held-out "
        "images, which the plain loop does not have. If a fit has several phases, the seconds are those of one "
        "epoch of "
        "each. The machines of `deep` and `semantic-hashing` and the graph of `neighborhood` are made outside the loop "
        "and are not included. Fewer images are used if an epoch is long or if the encoder learns from a sample. "
        f"{verdict}",
        "",
        "| encoder | images | batch | hashret, s | plain, s | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in trained():
        if run := last.get(name):
            ours, by_hand = (f"{median(run[way]):.2f}" for way in ("ours", "plain"))
            head = f"| `{name}` | {run['images']:,} | {run['batch']}"
            lines.append(f"{head} | {ours} | {by_hand} | {ratios[name]:.2f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
