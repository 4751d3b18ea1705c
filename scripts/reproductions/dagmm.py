"""dagmm: outlier detection by the energy of a mixture, compared with an untrained net and two baselines (Zong et al.,
2018)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from scipy.io import loadmat
from sklearn.ensemble import IsolationForest

from hashret.encoders.dagmm import DAGMM
from hashret.encoders.nn.restarts import apart, seeds
from hashret.features import Features, Floats
from hashret.training import Schedule, seeded
from reproductions.anomaly import as_features, f1_of_highest, fifth_distance

BAR = (
    "F1 of outlier detection. The net is trained on the ordinary rows of a random half. In the other half, the rows "
    "with the highest energy are flagged: 20 % on KDD-Cup 99, 2.5 % on Thyroid, 15 % on Arrhythmia. The untrained net "
    "is the same net before training, with a mixture fitted to the same rows. Small budget: 40, 2000, 1000 epochs; "
    "published: 200, 20000, 10000."
)
TRIED = (
    "On KDD, one of five seeds ends at .81, the others at .94 to .95. Without training they have .90 to .95, so "
    "training hardly matters there: nearly all rows are assigned to one component, whose energy is then a distance "
    "from the mean. On Thyroid and Arrhythmia, the net is worse than its untrained copy, the isolation forest and the "
    "distance to the fifth neighbour. With the published numbers of epochs, the first three seeds have .907, .910 and "
    ".883 on KDD (untrained .925, .951 and .902); one seed has .457 on Thyroid (untrained .304) and .269 on Arrhythmia "
    "(untrained .448). With components initialized by k-means of codes and errors, seeds 1 and 2 have .889 and .865 on "
    "KDD; on Thyroid and Arrhythmia, all but a share of .05 or less is again assigned to one component. "
    "`n_init` keeps the start whose energies of held-out rows agree best with those of the other starts, in the order "
    "of those above the median. With the lowest mean energy instead, the best of four starts has .919 ± .017, and "
    ".927 ± .012 untrained. Objectives were compared on four other halves of KDD, eight starts each with a quarter of "
    "the steps, by their mean rank correlation with F1: mean energy .12; how well energies distinguish held-out rows "
    "from rows with mixed columns or from uniform rows -.14 to .33; agreement in the order of all energies .08, of "
    "those above the median .56, of the upper fifth .36. There, the best of four starts by the objective used has "
    ".926, a random start .911; on a fifth half, .935 and .920. On Thyroid and Arrhythmia, two halves each, its "
    "correlations are .27 and .31, and the best of four starts is less than .02 better than a random one. On untrained "
    "nets of KDD, its correlation is -.18."
)
SEEDS = (0, 1, 2, 3, 4)
PUBLISHED = {  # layers, estimation, components, batch, epochs, share flagged
    "KDD": ((60, 30, 10), (10,), 4, 1024, 200, 0.2),
    "thyroid": ((12, 4), (10,), 2, 1024, 20000, 0.025),
    "arrhythmia": ((10,), (10,), 2, 128, 10000, 0.15),
}
STARTS = 4
CODE = {"KDD": 1, "thyroid": 1, "arrhythmia": 2}


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure F1 on three data sets."""
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


def restarts(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure F1 on KDD with the best of several starts, and that of untrained nets chosen from as many in that way."""
    own, asked, wanted = halves("KDD", data, seed)
    encoder, schedule = prepared("KDD", own, budget)
    features, encoder.n_init = as_features(own), STARTS
    untrained = untrained_of(encoder, features, CODE["KDD"], seed)
    encoder.fit(features, CODE["KDD"], replace(schedule, seed=seed))
    scores = {"trained": encoder.outlier_scores(asked), "untrained": untrained.outlier_scores(asked)}
    share = PUBLISHED["KDD"][-1]
    return {
        f"KDD F1, {way}, best of {STARTS} starts": f1_of_highest(found, wanted, share) for way, found in scores.items()
    }


def untrained_of(encoder: DAGMM, features: Features, bits: int, seed: int) -> DAGMM:
    """Return the untrained net of the best start, compared in the way of trained ones."""
    learned, judged = apart(features, seed)
    nets = []
    for start in seeds(seed, encoder.n_init):
        net = deepcopy(encoder)
        with seeded(start):
            net.build(learned, bits)
            net.settle(learned)
        nets.append(net)
    objectives = encoder.objectives(nets, judged)
    best = nets[objectives.index(min(objectives))]
    best.settle(features)
    return best


def halves(name: str, data: Path, seed: int) -> tuple[Floats, Floats, np.ndarray]:
    """Return the ordinary rows of one half, the rows of the other half, and the mask of its outliers."""
    rows, outliers = read(name, data)
    first, second = np.array_split(np.random.default_rng(seed).permutation(len(rows)), 2)
    return rows[first[~outliers[first]]], rows[second], outliers[second]


def prepared(name: str, own: Floats, budget: str) -> tuple[DAGMM, Schedule]:
    """Return the published net for a data set, and its schedule."""
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
    """Return the fitted encoder and an untrained copy."""
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
    """Scale each column to [0, 1], as errors relative to the norm of a row require. Constant columns become 0."""
    least, spread = rows.min(axis=0), np.ptp(rows, axis=0)
    return np.asarray((rows - least) / np.where(spread > 0, spread, 1), np.float32)


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """The published figure, and more than an untrained net, from one start and from the best of several."""
    claims = {}
    for start in ("", f", best of {STARTS} starts"):
        if all(f"KDD F1, {way}{start}" in figures for way in ("trained", "untrained")):
            found = {way: mean(figures[f"KDD F1, {way}{start}"]) for way in ("trained", "untrained")}
            claims[f"F1 of at least .937 on KDD{start}"] = found["trained"] >= 0.937
            claims[f"above its own untrained copy on KDD{start}"] = found["trained"] > found["untrained"]
    return claims


class Starts:
    """KDD: F1 of fits from several seeds on one half."""

    MEASURE = "F1 on KDD"
    OBJECTIVE = "agreement of held-out energies with those of other starts"
    SAID = "The mean energy leaves out the worst start, at .769, but ranks the others little better than by chance."

    def __init__(self, data: Path) -> None:
        own, self.asked, self.wanted = halves("KDD", data, 0)
        self.features, self.bits = as_features(own), CODE["KDD"]
        self.encoder, self.schedule = prepared("KDD", own, "small")

    def measure(self, net: DAGMM) -> float:
        """Return F1 on the other half."""
        return f1_of_highest(net.outlier_scores(self.asked), self.wanted, PUBLISHED["KDD"][-1])

    def others(self, net: DAGMM, judged: Features) -> dict[str, float]:
        """Return the mean and the median of the energies, and the loss, of held-out rows."""
        energies = net.outlier_scores(judged.input)
        loss = net.over(judged.input, lambda x: net.loss(x, torch.arange(len(x))).expand(len(x))).mean()
        return {
            "mean energy": float(energies.mean(dtype=np.float64)),
            "median energy": float(np.median(energies)),
            "loss": float(loss),
        }
