"""Training: one loop for all neural networks.

    train(net, features, [(net.loss, net.parameters())], schedule)

takes one optimiser step per batch for each pair in turn. It holds out some documents, keeps the state with the lowest
loss on them, and stops early when that loss no longer improves. Labels are never used.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from threading import RLock
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools that busy-wait slow each other down

import numpy as np
import torch
from torch import Tensor, nn

from hashret.errors import DataError, UsageError
from hashret.features import Features, take
from hashret.options import MAX_SEED, Options, option
from hashret.progress import report

Loss = Callable[[Tensor, Tensor], Tensor]
"""loss(x [batch, dim], rows [batch]) -> scalar; `rows` are the numbers of the documents."""

USUAL: Mapping[str, float] = {
    "epochs": 30,
    "batch_size": 128,
    "learning_rate": 8e-3,
    "min_steps": 2000,
    "max_steps": 6000,
    "validation_fraction": 0.05,
}
"""Defaults of the schedule, used if neither the schedule nor the encoder sets a value."""

GENERATOR = RLock()  # held by the thread that uses the random generator of torch

MOST_HELD_OUT = 2000  # documents; enough to measure the loss to about one percent


@dataclass(kw_only=True, repr=False, eq=False)
class Schedule(Options):
    """How long, how fast and where a network is trained. The held-out loss is measured after each epoch.

    If `min_steps` or `max_steps` changes the number of steps, an epoch is an equal share of them.
    """

    epochs: int = option(None, "passes over the documents; auto: default of the encoder, also for the next five", low=1)
    batch_size: int = option(None, "documents per step", low=1)
    learning_rate: float = option(None, "maximum learning rate of the one-cycle schedule (Adam)", low=0.0)
    min_steps: int = option(None, "lower limit of training steps, for small corpora", low=1)
    max_steps: int = option(None, "upper limit of training steps, for large corpora", low=1)
    validation_fraction: float = option(None, "share of the documents held out for early stopping", low=0.0, high=0.5)
    patience: int = option(5, "epochs without a better held-out loss before training stops", low=1)
    sample: int = option(100_000, "maximum number of documents to learn from, drawn at random", low=1)
    seed: int = option(0, "random seed", low=0, high=MAX_SEED)
    device: str = option("auto", "device to train on", choices=("auto", "cpu", "cuda"))

    def completed(self, usual: Mapping[str, float]) -> Schedule:
        """Return this schedule with the defaults of an encoder, or else the general ones, in place of None."""
        own: dict[str, Any] = {name: value for name, value in {**USUAL, **usual}.items() if getattr(self, name) is None}
        return replace(self, **own)

    def scaled(self, share: float) -> Schedule:
        """Return this schedule with a share of its steps, for one of several training phases."""
        plan = self.completed({})
        steps = {name: max(1, round(share * getattr(plan, name))) for name in ("epochs", "min_steps", "max_steps")}
        return replace(plan, **steps)

    def steps(self, documents: int) -> int:
        """Return the number of training steps for this number of documents."""
        wanted = self.epochs * -(-documents // self.batch_size)
        return min(max(wanted, self.min_steps), max(self.max_steps, self.min_steps))

    def torch_device(self) -> torch.device:
        """Return the torch device. Raises UsageError if CUDA is requested but not available."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("device 'cuda' is not available here; allowed: auto, cpu")
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(wanted if self.device == "auto" else self.device)


@contextmanager
def seeded(seed: int) -> Iterator[np.random.Generator]:
    """Seed torch inside the block, restore its random state afterwards, and yield a seeded NumPy generator.

    Only one thread at a time runs a block, because torch has one generator per process. Blocks may be nested.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with GENERATOR, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.set_num_threads(torch.get_num_threads())  # applies the setting to this thread; sums depend on it
        yield np.random.default_rng(seed)


def train(
    net: nn.Module,
    features: Features,
    steps: Sequence[tuple[Loss, Iterable[nn.Parameter]]],
    schedule: Schedule,
    on_step: Callable[[int, int], None] | None = None,
    label: str = "training",
) -> None:
    """Train `net` in place; `on_step(step, steps)` is called after each batch.

    The loss of the first pair is measured on the held-out documents. The seed of the schedule determines the batches.
    Raises DataError if a loss is not finite.
    """
    schedule = schedule.completed({})
    rng = np.random.default_rng(schedule.seed)
    order = rng.permutation(len(features))
    held = min(int(len(order) * schedule.validation_fraction), MOST_HELD_OUT)
    watched, rows = order[:held], order[held:]
    total = schedule.steps(len(rows))
    optimisers = [_optimiser(parameters, schedule.learning_rate, total) for _, parameters in steps]
    device = schedule.torch_device()
    net.to(device).train()
    best, best_state, waited = float("inf"), None, 0
    for done, chosen in enumerate(islice(batches(rows, schedule.batch_size, rng), total), 1):
        _step(batch(features, chosen, device), steps, optimisers, done)
        report(label, done, total, f"held-out loss {best:.4g}" if best < float("inf") else "")
        if on_step is not None:
            on_step(done, total)
        if held and (done * schedule.epochs // total > (done - 1) * schedule.epochs // total):  # end of an epoch
            loss = _watch(net, features, steps[0][0], watched, schedule.batch_size, device)
            if loss < best * (1 - 1e-4):
                best, best_state, waited = loss, copy.deepcopy(net.state_dict()), 0
            elif (waited := waited + 1) >= schedule.patience:
                break
    if best_state is not None:
        net.load_state_dict(best_state)
    net.eval().to("cpu")
    report(label, total, total)


def batches(rows: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield shuffled batches endlessly, reshuffling after each pass; the incomplete last batch of a pass is dropped."""
    rows = np.resize(rows, max(len(rows), 2))  # batch normalisation needs at least two
    size = max(2, min(size, len(rows)))
    while True:
        drawn = rng.permutation(rows)
        yield from (drawn[start : start + size] for start in range(0, len(drawn) - size + 1, size))


def batch(features: Features, rows: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the documents with these numbers as (x [batch, *shape], rows [batch]) on the device."""
    x = torch.from_numpy(take(features.input, rows)).to(device)
    return x.reshape(len(rows), *features.shape), torch.from_numpy(rows).to(device)


def _optimiser(
    parameters: Iterable[nn.Parameter], rate: float, total: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    adam = torch.optim.Adam(parameters, lr=rate, fused=True)  # one pass over the weights instead of six
    return adam, torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=rate, total_steps=max(total, 2))


def _step(
    data: tuple[Tensor, Tensor],
    steps: Sequence[tuple[Loss, Iterable[nn.Parameter]]],
    optimisers: Sequence[tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]],
    number: int,
) -> None:
    for (loss, _), (adam, cycle) in zip(steps, optimisers, strict=True):
        adam.zero_grad()
        value = loss(*data)
        if not torch.isfinite(value):
            raise DataError(
                f"the loss is {value.item()} at step {number}: training diverged, the model was discarded; try "
                f"learning_rate={cycle.get_last_lr()[0] / 10:.1g}, or look for outliers in the documents"
            )
        value.backward()
        adam.step()
        cycle.step()


def _watch(net: nn.Module, features: Features, loss: Loss, rows: np.ndarray, size: int, device: torch.device) -> float:
    """Return the mean loss over the held-out documents in eval mode."""
    net.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            total += float(loss(*batch(features, chosen, device))) * len(chosen)
    net.train()
    return total / len(rows)
