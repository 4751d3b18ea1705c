"""Does the objective of an encoder choose good starts? Fits from eight seeds each, with the published measure.

    HASHRET_DATA=/path/to/data python scripts/bench_restarts.py [NAME...]

The fits of an encoder with the same share of the steps are compared with each other, then appended to
docs/figures/restarts.jsonl. Recorded fits are skipped. Writes docs/encoders.md.
"""

from __future__ import annotations

import argparse
import importlib
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from figures import Run, add_run, data_folder, machine, read_runs
from hashret.encoders.base import Assigns
from hashret.encoders.nn.restarts import LAST, apart, seeds
from hashret.features import Features

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "restarts.jsonl"
STARTS = 8
SHARES = (LAST, 1.0)  # of the steps
CASES = ("dagmm", "density", "student-t", "gmvae", "dec", "subspace")


def main() -> None:
    """Measure what is missing and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    chosen = parser.parse_args()
    if strange := [name for name in chosen.names if name not in CASES]:
        parser.error(f"no measurement of {strange[0]!r}; available: {', '.join(CASES)}")
    data = data_folder("mnist/, anomaly/, coil20/")
    done = {(run["encoder"], run["share"]) for run in read_runs(RUNS)}
    for name in chosen.names or CASES:
        case = importlib.import_module(f"reproductions.{name.replace('-', '_')}").Starts(data)
        for share in SHARES:
            if (name, share) not in done:
                measure(name, case, share)
    encoders: Any = importlib.import_module("reproduce_encoders")
    encoders.TABLE.write_text(encoders.table(read_runs(encoders.RUNS)), "utf-8")


def measure(name: str, case: Any, share: float) -> None:
    """Fit each start with a share of the steps, compare the starts, and record them."""
    learned, judged = apart(case.features, 0)
    schedule = case.schedule if share == 1 else case.schedule.scaled(share)
    nets = {seed: case.encoder.trial(learned, case.bits, replace(schedule, seed=seed)) for seed in seeds(0, STARTS)}
    starts = list(nets.values())
    objectives, further = case.encoder.objectives(starts, judged), disagreements(starts, judged)
    for (seed, net), objective, other in zip(nets.items(), objectives, further, strict=True):
        row = {"encoder": name, "seed": seed, "share": share, "measure": case.measure(net), "objective": objective}
        add_run(RUNS, row | {"others": case.others(net, judged) | other} | machine("torch", "scikit-learn"))


def disagreements(starts: list[Any], judged: Features) -> list[dict[str, float]]:
    """Return, for starts that find clusters, minus the mean adjusted Rand index with the clusters of the others."""
    from sklearn.metrics import adjusted_rand_score

    if not isinstance(starts[0], Assigns):
        return [{}] * len(starts)
    found = [start.assign(judged.input).argmax(axis=1) for start in starts]
    scores = [[adjusted_rand_score(one, other) for other in found] for one in found]
    means = [(sum(own) - own[place]) / (len(own) - 1) for place, own in enumerate(scores)]
    return [{"minus the agreement of clusters": -value} for value in means]


def summary(case: Any, runs: list[Run]) -> list[str]:
    """Return lines about the starts of an encoder: its objective, then other objectives that were considered."""
    final = {run["seed"]: run["measure"] for run in runs if run["share"] == 1}
    values = sorted(final.values())
    lines = [
        f"Starts of `n_init`: {case.MEASURE}, {len(final)} seeds, from {values[0]:.3f} to {values[-1]:.3f}, mean "
        f"{mean(values):.3f}. Rank correlation (Spearman) of this figure with each objective, and the figure of the "
        "start that the objective chooses.",
        "",
        "| objective | steps | correlation | chosen |",
        "| --- | --- | --- | --- |",
    ]
    for share in SHARES:
        own = [run for run in runs if run["share"] == share and run["seed"] in final]
        for objective in ("objective", *own[0]["others"]) if own else ():
            found = [run[objective] if objective == "objective" else run["others"][objective] for run in own]
            rho, figure = chosen_by(found, [final[run["seed"]] for run in own])
            shown = f"{case.OBJECTIVE} (used)" if objective == "objective" else objective
            lines.append(f"| {shown} | {'all' if share == 1 else f'{share:g}'} | {rho:.2f} | {figure:.3f} |")
    return [*lines, *(["", case.SAID] if case.SAID else [])]


def chosen_by(objectives: list[float], measures: list[float]) -> tuple[float, float]:
    """Return the correlation of an objective, where lower is better, and the measure of the start that it chooses."""
    from scipy.stats import spearmanr

    rho = spearmanr([-value for value in objectives], measures).statistic
    return float(rho), measures[objectives.index(min(objectives))]


if __name__ == "__main__":
    main()
