"""Measure all encoders in the same way: 32 bits, default features, labels not used for training, expected ties.

    HASHRET_DATA=/path/to/data python scripts/bench_encoders.py [--corpus NAME]... [--encoder NAME]...

Seed 0 of all, then seeds 1 and 2 of the five best, of the default and of ITQ. Each run is appended to
docs/figures/encoders.jsonl and skipped when it is there; docs/figures.md is written from them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bench_quality import Split
from bench_quality import corpus as texts
from figures import add_run, data_folder, machine, read_runs
from hashret.encoders import DEFAULT, ENCODERS
from hashret.evaluation.compare import compare
from hashret.readers import read

HERE = Path(__file__).parent.parent / "docs"
RUNS = HERE / "figures" / "encoders.jsonl"
TABLE = HERE / "figures.md"

BITS, FIRST, OTHERS, BEST = 32, 0, (1, 2), 5
ALWAYS = (DEFAULT, "itq")
MEASURES = ("P@100", "AP")
TITLES = {
    "20news": "20 Newsgroups, raw posts, by date: 11,314 documents, 7,532 queries",
    "reuters": "Reuters-21578, ModApte, 90 topics: 7,770 documents, 3,019 queries",
    "mnist": "MNIST: 10,000 images, 1,000 queries",
}


def corpus(name: str, data: Path) -> Split:
    """Documents and queries."""
    if name != "mnist":
        return texts(name, data)
    own, asked = (read(data / "mnist" / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k"))
    return list(own)[:10_000], list(asked)[:1000]


def missing(name: str, encoders: list[str], found: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """Encoder and seed of the runs to do now: the first seed of all, then the others of those that earn them."""
    own = [run for run in found if run["corpus"] == name]
    done = {(run["encoder"], run["seed"]) for run in own}
    first = [(encoder, FIRST) for encoder in encoders if (encoder, FIRST) not in done]
    if first or any((encoder, FIRST) not in done for encoder in ENCODERS.names()):
        yield from first
        return
    ranked = sorted(ENCODERS.names(), key=lambda encoder: -value(own, encoder, "P@100", [FIRST])[0])
    for encoder in dict.fromkeys([*ranked[:BEST], *ALWAYS]):
        yield from ((encoder, seed) for seed in OTHERS if (encoder, seed) not in done and encoder in encoders)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", action="append", choices=list(TITLES))
    parser.add_argument("--encoder", action="append", choices=ENCODERS.names())
    chosen = parser.parse_args()
    data = data_folder("20newsgroups/, reuters21578/ and mnist/")
    about = machine("torch")
    for name in chosen.corpus or TITLES:
        documents, queries = corpus(name, data)
        while plan := [*missing(name, chosen.encoder or ENCODERS.names(), read_runs(RUNS))]:
            seed = plan[0][1]
            encoders = [encoder for encoder, own in plan if own == seed]
            for row in compare(documents, queries, encoders, [BITS], [seed], MEASURES):
                add_run(RUNS, {"corpus": name} | row | about)
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the figures, best first: mean, and standard deviation over several seeds."""
    lines = [
        "# Figures",
        "",
        f"Written by `scripts/bench_encoders.py` from `figures/encoders.jsonl`. {BITS} bits; each encoder has its own "
        "options and the features that the default gets. A document is relevant if it shares the query's label. Values "
        "are expectations over ties. Training sees no labels. One seed; for the five best, the default and ITQ, mean ± "
        "standard deviation of three. Seconds are those of a fit on one busy core.",
    ]
    for name, title in TITLES.items():
        own = [run for run in found if run["corpus"] == name]
        if not own:
            continue
        lines += ["", f"## {title}", "", "| encoder | P@100 | AP | fit, s |", "| --- | --- | --- | --- |"]
        for encoder in sorted({run["encoder"] for run in own}, key=lambda e: -value(own, e, "P@100")[0]):
            cells = [shown(*value(own, encoder, measure)) for measure in MEASURES]
            seconds = mean(run["fit_seconds"] for run in own if run["encoder"] == encoder)
            lines.append(f"| `{encoder}` | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join([*lines, ""])


def value(
    own: list[dict[str, Any]], encoder: str, measure: str, seeds: list[int] | None = None
) -> tuple[float, float | None]:
    """Mean and, of several seeds, standard deviation of one encoder's measure."""
    those = [run for run in own if run["encoder"] == encoder and (seeds is None or run["seed"] in seeds)]
    values = [run["value"] for run in those if run["measure"] == measure]
    return mean(values), stdev(values) if len(values) > 1 else None


def shown(middle: float, spread: float | None) -> str:
    """A mean and its spread."""
    return f"{middle:.3f}" if spread is None else f"{middle:.3f} ± {spread:.3f}"


if __name__ == "__main__":
    main()
