"""student-t: test log likelihood on SMTP, compared with a Gaussian output (Takahashi et al., 2018)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from hashret.encoders.student_t import StudentT
from hashret.features import Features, Floats
from hashret.training import Schedule, seeded, train
from reproductions.anomaly import as_features, outlier_set

BAR = (
    "SMTP; mean log likelihood in nats of 5,000 test rows, and the largest fall of the log likelihood of 500 "
    "validation rows from one epoch to the next. Two learning rates, three layers of 500 tanh units, two code units, "
    "batches of 100. Small budget: 30 epochs over 3,000 rows; published: 100 epochs over 50,000 rows."
)
SMALL, PUBLISHED = (3_000, 30), (50_000, 100)
RATES = (1e-4, 1e-3)
OUTPUTS = ("student-t", "gaussian")


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure log likelihood and its largest fall for each learning rate and output."""
    rows, _ = outlier_set(data, "34_smtp")
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    test, validation = rows[:5_000], rows[5_000:5_500]
    count, epochs = PUBLISHED if budget == "published" else SMALL
    figures: dict[str, float] = {}
    for rate in RATES:
        schedule = Schedule(
            epochs=epochs,
            batch_size=100,
            learning_rate=rate,
            min_steps=1,
            max_steps=10**6,
            validation_fraction=0,
            seed=seed,
        )
        for output in OUTPUTS:
            encoder = StudentT(output=output, hidden=(500, 500, 500))
            course = course_of(encoder, rows[5_500 : 5_500 + count], validation, schedule)
            figures[f"{output} at {rate}"] = likelihood(encoder, test)
            figures[f"largest fall, {output} at {rate}"] = max(before - after for before, after in pairwise(course))
    return figures


def course_of(encoder: StudentT, own: Floats, validation: Floats, schedule: Schedule) -> list[float]:
    """Train the encoder, and return the log likelihood of the validation rows after each epoch."""
    course: list[float] = []

    def watch(step: int, steps: int) -> None:
        if step * schedule.epochs // steps > (step - 1) * schedule.epochs // steps:
            course.append(likelihood(encoder, validation))
            encoder.train()

    with seeded(schedule.seed):
        encoder.build(as_features(own), 2)
        train(encoder, as_features(own), [(encoder.loss, encoder.parameters())], schedule, watch)
    return course


def likelihood(encoder: StudentT, rows: Floats) -> float:
    """Return the mean log likelihood of the rows."""
    return float(-encoder.outlier_scores(rows).mean(dtype=np.float64))


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Check how often Student's t is better than the Gaussian, and that its training is stable."""
    better = [
        a > b for rate in RATES for a, b in zip(*(figures[f"{output} at {rate}"] for output in OUTPUTS), strict=True)
    ]
    falls = [fall for rate in RATES for fall in figures[f"largest fall, student-t at {rate}"]]
    return {
        f"Student's t above the Gaussian in {sum(better)} of {len(better)} runs, at least 5 of 6": sum(better)
        >= len(better) * 5 / 6,
        "no fall of its validation log likelihood above 5 nats": max(falls) <= 5,
    }


class Starts:
    """SMTP: test log likelihood of fits from several seeds."""

    MEASURE = "log likelihood of test rows of SMTP at a learning rate of 0.001"
    OBJECTIVE = "- log likelihood of held-out rows"
    SAID = "The objective ranks fits with all steps, but short fits do not predict it: a seed says little here."

    def __init__(self, data: Path) -> None:
        rows, _ = outlier_set(data, "34_smtp")
        rows = rows[np.random.default_rng(0).permutation(len(rows))]
        self.test, self.features, self.bits = rows[:5_000], as_features(rows[5_500 : 5_500 + SMALL[0]]), 2
        self.encoder = StudentT(hidden=(500, 500, 500))
        self.schedule = Schedule(
            epochs=SMALL[1], batch_size=100, learning_rate=1e-3, min_steps=1, max_steps=10**6, validation_fraction=0
        )

    def measure(self, net: StudentT) -> float:
        """Return the mean log likelihood of the test rows."""
        return likelihood(net, self.test)

    def others(self, net: StudentT, judged: Features) -> dict[str, float]:
        """There is no other objective."""
        return {}
