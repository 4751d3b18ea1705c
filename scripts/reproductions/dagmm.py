"""dagmm: outliers by the energy of a mixture, against an untrained net and two known ways (Zong et al. 2018)."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from statistics import mean

import numpy as np
from scipy.io import loadmat
from sklearn.ensemble import IsolationForest

from hashret.encoders.dagmm import DAGMM
from hashret.features import Floats
from hashret.training import Schedule, seeded
from reproductions.anomaly import as_features, f1_of_highest, fifth_distance

BAR = (
    "Learned from the ordinary rows of a random half, the rows of highest energy of the other half are flagged, "
    "20 % of KDD-Cup 99, 2.5 % of Thyroid, 15 % of Arrhythmia; F1 of the outliers. The untrained net is the same "
    "before training, its mixture taken of the same rows. Small budget: 40, 2000, 1000 epochs; published: 200, 20000, "
    "10000."
)
TRIED = (
    "Of the five seeds on KDD one ends at .81, the others at .94 to .95; without training they have .90 to .95, so "
    "that what is measured there is hardly the training: nearly all rows come to one component, whose energy is then a "
    "distance from the mean. On thyroid and arrhythmia it does worse than its untrained copy, the isolation forest and "
    "the distance to the fifth neighbour. With the published numbers of epochs the first three seeds have .907, .910 "
    "and .883 on KDD, untrained .925, .951 and .902; one seed has .457 on thyroid, untrained .304, and .269 on "
    "arrhythmia, untrained .448. Components that begin at k-means of codes and errors end at .889 and .865 on KDD, "
    "seeds 1 and 2, and on thyroid and arrhythmia, but for a share of .05 or less, in one again."
)
SEEDS = (0, 1, 2, 3, 4)
PUBLISHED = {  # layers, estimation, components, batch, epochs, share flagged
    "KDD": ((60, 30, 10), (10,), 4, 1024, 200, 0.2),
    "thyroid": ((12, 4), (10,), 2, 1024, 20000, 0.025),
    "arrhythmia": ((10,), (10,), 2, 128, 10000, 0.15),
}
CODE = {"KDD": 1, "thyroid": 1, "arrhythmia": 2}


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """F1 on three sets."""
    figures: dict[str, float] = {}
    for name in PUBLISHED:
        own, asked, wanted = halves(name, data, seed)
        trained, untrained = fit_both(*prepared(name, own, budget), own, CODE[name], seed)
        scores = {"trained": trained.outlier_scores(asked), "untrained": untrained.outlier_scores(asked)}
        forest = IsolationForest(random_state=seed).fit(own)
        scores["isolation forest"] = -forest.score_samples(asked)
        if name != "KDD":  # there it takes hours
            scores["5-NN"] = fifth_distance(own, asked)
        share = PUBLISHED[name][-1]
        figures |= {f"{name} F1, {way}": f1_of_highest(found, wanted, share) for way, found in scores.items()}
    return figures


def halves(name: str, data: Path, seed: int) -> tuple[Floats, Floats, np.ndarray]:
    """The ordinary rows of one half, and the other half with which of it are outliers."""
    rows, outliers = read(name, data)
    first, second = np.array_split(np.random.default_rng(seed).permutation(len(rows)), 2)
    return rows[first[~outliers[first]]], rows[second], outliers[second]


def prepared(name: str, own: Floats, budget: str) -> tuple[DAGMM, Schedule]:
    """The published net for these rows, and how long it is trained."""
    hidden, estimation, components, batch, epochs, _ = PUBLISHED[name]
    epochs = epochs if budget == "published" else epochs // (5 if name == "KDD" else 10)
    schedule = Schedule(
        epochs=epochs, batch_size=batch, learning_rate=1e-4, min_steps=1, max_steps=10**6, validation_fraction=0.0
    )
    scale = own.shape[1] / float(own.var(axis=0).sum())  # of the squared error: the net standardises its input
    encoder = DAGMM(hidden=hidden, estimation=estimation, components=components, energy=0.1 * scale)
    encoder.covariance_weight = 0.005 * scale
    return encoder, schedule


def fit_both(encoder: DAGMM, schedule: Schedule, own: Floats, bits: int, seed: int) -> tuple[DAGMM, DAGMM]:
    """The encoder fitted, and a copy of it that was not trained."""
    features, untrained = as_features(own), deepcopy(encoder)
    with seeded(seed):
        untrained.build(features, bits)
        untrained.settle(features)
    return encoder.fit(features, bits, Schedule(**schedule.params() | {"seed": seed})), untrained


def read(name: str, data: Path) -> tuple[Floats, np.ndarray]:
    """Rows [n, dim], columns from 0 to 1, and which are outliers bool [n].

    Of KDD those whose last column is 1, as it was published; its columns are left as they come, nearly all 0 to 1.
    """
    if name == "arrhythmia":
        parts = loadmat(data / "anomaly" / "arrhythmia.mat")
        return between_0_and_1(parts["X"]), parts["y"][:, 0] == 1
    with np.load(data / "anomaly" / ("38_thyroid.npz" if name == "thyroid" else "kdd_cup_dagmm.npz")) as whole:
        if name == "thyroid":
            return between_0_and_1(whole["X"]), whole["y"] == 1
        table = whole["kdd"]
    return table[:, :-1].astype(np.float32), table[:, -1] == 1


def between_0_and_1(rows: np.ndarray) -> Floats:
    """Each column from 0 to 1, as errors told relative to a row's length need; a column of one value is all 0."""
    least, spread = rows.min(axis=0), np.ptp(rows, axis=0)
    return np.asarray((rows - least) / np.where(spread > 0, spread, 1), np.float32)


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """The published figure, and more than an untrained net."""
    found = {way: mean(figures[f"KDD F1, {way}"]) for way in ("trained", "untrained")}
    return {
        "F1 of at least .937 on KDD": found["trained"] >= 0.937,
        "above its own untrained copy on KDD": found["trained"] > found["untrained"],
    }
