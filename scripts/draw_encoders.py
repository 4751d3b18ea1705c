"""Draw results of encoders: maps, reconstructions, outliers, samples, energies.

    HASHRET_DATA=/path/to/data python scripts/draw_encoders.py [NAME...]

Each image is a function below and a file in docs/encoders; all take some twenty minutes on one core.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from figures import data_folder
from hashret.analysis.map import COLOURS
from hashret.encoders import ENCODERS
from hashret.encoders.nn.noise import masked
from hashret.encoders.robust import Robust
from hashret.features import Floats
from hashret.training import Schedule, seeded
from reproductions import dagmm
from reproductions.anomaly import as_features as as_rows
from reproductions.anomaly import f1_of_highest
from reproductions.deep import error, named
from reproductions.mnist import as_features, mnist
from reproductions.robust import LAMBDAS, mixed

TARGET = Path(__file__).parent.parent / "docs" / "encoders"
LONG = 10**6  # steps, more than any fit here takes
SEED = 0


def main() -> None:
    """Draw the named images, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(IMAGES))
    names = parser.parse_args().names
    if strange := [name for name in names if name not in IMAGES]:
        parser.error(f"no image {strange[0]!r}; there are {', '.join(IMAGES)}")
    data = data_folder("mnist/ and anomaly/")
    TARGET.mkdir(exist_ok=True)
    for name in names or IMAGES:
        whole = io.BytesIO()
        IMAGES[name](data).savefig(whole, dpi=110, facecolor="white")
        Image.open(whole).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(
            TARGET / f"{name}.png", optimize=True
        )
        print(TARGET / f"{name}.png", flush=True)


def fit(name: str, images: Floats, bits: int, schedule: Schedule | None = None, **options: Any) -> Any:
    """Return an encoder fitted on digits."""
    return ENCODERS.get(name)(**options).fit(as_features(images), bits, schedule or Schedule(seed=SEED))


def maps(data: Path) -> Figure:
    """Test digits in two dimensions, by principal components and by a bottleneck of two units."""
    (own, labels), (others, theirs) = mnist(data, "train"), mnist(data, "t10k")
    schedule = Schedule(
        seed=SEED, epochs=20, learning_rate=1e-3, batch_size=256, max_steps=LONG, validation_fraction=0.0
    )
    ways = {"principal components": fit("pca", own, 2), "deep autoencoder": fit("deep", own, 2, schedule)}
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    for axes, (way, encoder) in zip(figure.subplots(1, 2), ways.items(), strict=True):
        places = encoder.project(others)
        share = named(encoder.project(own), labels, places, theirs)
        for digit in range(10):
            x, y = places[theirs == digit].T
            axes.scatter(x, y, s=2, c=COLOURS[digit], linewidths=0)
            axes.text(np.median(x), np.median(y), str(digit), fontsize=15, weight="bold", ha="center", va="center")
        axes.set(xticks=[], yticks=[], title=f"two units of the {way}" if way[0] == "d" else f"two {way}")
        axes.set_xlabel(f"15 neighbours name {share:.0%} of the digits")
    return figure


def reconstructions(data: Path) -> Figure:
    """One test digit of each kind and its reconstruction from 32 units."""
    own, (others, theirs) = mnist(data, "train", 10_000)[0], mnist(data, "t10k", 1000)
    shown = [int(np.flatnonzero(theirs == digit)[1]) for digit in range(10)]
    rows = {"given": others}
    for name in ("pca", "autoencoder", "deep", "sparse", "contractive", "variational", "bernoulli"):
        rows[name] = fit(name, own, 32).reconstruct(others)
    with seeded(SEED):
        import torch

        rows["half hidden"] = masked(torch.from_numpy(others), 0.5).numpy()
    changed: dict[str, dict[str, Any]] = {"deep": {}, "denoising": {"amount": 0.5}}
    for name, options in changed.items():
        rows[f"{name} of these"] = fit(name, own, 32, **options).reconstruct(rows["half hidden"])
    captions = {name: f"{name}\n{error(made, others):.1f}" if name != "given" else name for name, made in rows.items()}
    return grid({captions[name]: made[shown] for name, made in rows.items()})


def set_aside(data: Path) -> Figure:
    """The images among 4s with the longest S, and some ordinary ones: X, L and S."""
    images, _ = mixed(data, SEED)
    features, low = as_features(images), as_features(images)
    schedule = Schedule(seed=SEED, epochs=30, learning_rate=1e-3, batch_size=128, min_steps=1, max_steps=LONG)
    net = Robust(hidden=(400,), activation="sigmoid")
    with seeded(SEED):
        net.build(features, 200)
        for net.lam in LAMBDAS[:3]:
            low = net.turn(features, low, schedule)
    scores = net.outlier_scores(images)
    order = np.argsort(-scores, kind="stable")
    kept = np.asarray(low.input)
    shown = np.concatenate([order[:10], order[len(order) // 2 :][:4]])
    return grid({"X": images[shown], "L": kept[shown], "S": (images - kept)[shown]}, signed=("S",))


def samples(data: Path) -> Figure:
    """Generated digits."""
    own, _ = mnist(data, "train")
    plan = Schedule(seed=SEED, epochs=20, learning_rate=2e-3, max_steps=LONG, validation_fraction=0.0)
    made = {
        "variational": fit("variational", own, 10, plan),
        "adversarial": fit(
            "adversarial", own[:20_000], 10, replace(plan, epochs=10, learning_rate=1e-3), prior="gaussian"
        ),
        "gmvae": fit("gmvae", own, 10, replace(plan, epochs=15, learning_rate=1e-3, batch_size=200), hidden=(500, 500)),
        "student-t": fit("student-t", own, 10, replace(plan, learning_rate=1e-3)),
    }
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, (name, net) in zip(figure.subplots(2, 2).ravel(), made.items(), strict=True):
        axes.imshow(tiled(net.sample(60, SEED), 15), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], title=name)
    return figure


def energies(data: Path) -> Figure:
    """Energies of ordinary rows and of outliers, where it works and where it does not."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("KDD", "thyroid"), strict=True):
        own, asked, wanted = dagmm.halves(name, data, SEED)
        net, schedule = dagmm.prepared(name, own, "small")
        found = net.fit(as_rows(own), dagmm.CODE[name], replace(schedule, seed=SEED)).outlier_scores(asked)
        edges = np.linspace(found.min(), np.quantile(found, 0.995), 60)
        for kind, colour, what in ((False, COLOURS[0], "ordinary"), (True, COLOURS[2], "outliers")):
            axes.hist(np.minimum(found[wanted == kind], edges[-1]), edges, color=colour, alpha=0.7, label=what)
        share = dagmm.PUBLISHED[name][-1]
        axes.axvline(np.quantile(found, 1 - share), color="black", linewidth=1, linestyle="dashed")
        axes.set(title=f"{name}: F1 {f1_of_highest(found, wanted, share):.2f}", xlabel="energy", yscale="log")
        axes.legend(frameon=False)
    return figure


def grid(rows: Mapping[str, Floats], signed: Sequence[str] = ()) -> Figure:
    """Rows of images [n, 784] with their captions; blue and red where a value has a sign."""
    count = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.6 + 0.62 * count, 0.64 * len(rows)), layout="constrained")
    for axes, (name, images) in zip(np.atleast_1d(figure.subplots(len(rows), 1)), rows.items(), strict=True):
        colours = (
            {"cmap": "RdBu_r", "vmin": -0.5, "vmax": 0.5}
            if name in signed
            else {"cmap": "gray_r", "vmin": 0, "vmax": 1}
        )
        axes.imshow(tiled(images, count), **colours)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axes.spines[:].set_visible(False)
    return figure


def tiled(images: Floats, across: int) -> np.ndarray:
    """Images [n, 784] as one, so many in a row."""
    whole = images.reshape(-1, across, 28, 28).transpose(0, 2, 1, 3)
    return whole.reshape(-1, across * 28)


IMAGES: Mapping[str, Callable[[Path], Figure]] = {
    "maps": maps,
    "reconstructions": reconstructions,
    "set-aside": set_aside,
    "samples": samples,
    "energies": energies,
}


if __name__ == "__main__":
    main()
