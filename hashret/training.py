"""Training: one loop for all neural networks.

    train(net, features, [(net.loss, net.parameters())], schedule)

takes one optimiser step per batch for each pair in turn. It holds out some documents, keeps the state with the lowest
loss on them, and stops early when that loss no longer improves. Labels are never used.

A fit that has a checkpoint can be interrupted and resumed, see `checkpoint.py`; several processes can share a fit, see
`distributed.py`.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from threading import RLock
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools that busy-wait slow each other down

import numpy as np
import torch
from torch import Tensor, nn

from hashret.checkpoint import State, digest_of, next_phase, resumable
from hashret.distributed import World, current_world
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

VERSION = sys.modules["hashret"].__version__

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
    checkpoint: str = option(None, "folder in which the state of training is kept; the same fit resumes from it")
    checkpoint_seconds: float = option(60.0, "seconds between two checkpoints", low=0.0)

    def learned(self) -> dict[str, Any]:
        """Return the options that affect what is learned."""
        others = ("device", "checkpoint", "checkpoint_seconds")
        return {name: value for name, value in self.params().items() if name not in others}

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


def random_state(device: torch.device) -> Tensor:
    """Return the random state of torch, uint8 [bytes]: that of the CPU, followed by that of a GPU."""
    on_gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return torch.cat([torch.get_rng_state(), *on_gpu])


def set_random(state: Tensor, device: torch.device) -> None:
    """Set the random state of torch to one that `random_state` returned."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[size:].clone(), device)


@contextmanager
def fitting(
    encoder: str, options: Mapping[str, Any], features: Features, bits: int, schedule: Schedule
) -> Iterator[None]:
    """Seed torch for a fit, which continues from the checkpoint of the schedule if there is one.

    Raises UsageError if the checkpoint is of another fit, and DataError if processes that train together read different
    documents.
    """
    world = current_world()
    digest = digest_of(features) if schedule.checkpoint or world.size > 1 else ""
    world.check_equal(digest)
    about = {
        "encoder": encoder,
        **{f"encoder.{name}": value for name, value in options.items()},
        **schedule.learned(),
        "features": digest,
        "device": schedule.torch_device().type,
        "processes": world.size,
        "threads": torch.get_num_threads(),  # sums depend on it
        "versions": f"hashret {VERSION}, torch {torch.__version__}, numpy {np.__version__}",
    }
    with seeded(schedule.seed), resumable(schedule.checkpoint, bits, schedule.checkpoint_seconds, about, world):
        yield


@dataclass(kw_only=True)
class Loop:
    """What changes during a training loop: the network, its optimisers, and the best state so far."""

    net: nn.Module
    optimisers: Sequence[tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]]
    device: torch.device
    done: int = 0  # steps
    best: float = float("inf")  # lowest held-out loss
    best_state: dict[str, Tensor] | None = None
    waited: int = 0  # epochs since then
    others: list[nn.Parameter] = field(init=False)  # trained parameters that are not in the network

    def __post_init__(self) -> None:
        own = set(map(id, self.net.parameters()))
        trained = [p for adam, _ in self.optimisers for group in adam.param_groups for p in group["params"]]
        self.others = [p for p in dict.fromkeys(trained) if id(p) not in own]

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the network, and the other parameters."""
        others = {f"other.{number}": parameter.detach() for number, parameter in enumerate(self.others)}
        return {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()} | others

    def keep(self, loss: float) -> bool:
        """Take note of a held-out loss. Returns whether it is the best one."""
        if better := loss < self.best * (1 - 1e-4):
            self.best, self.best_state, self.waited = loss, copy.deepcopy(self.net.state_dict()), 0
        else:
            self.waited += 1
        return better

    def state(self, world: World, finished: bool = False) -> State:
        """Return the state, which `restore` accepts. A finished loop needs no optimisers."""
        tensors = self.tensors() | {"random": world.gathered(random_state(self.device))}
        if finished:
            return State({}, tensors, finished)
        rates: list[Any] = []
        for number, (adam, cycle) in enumerate(self.optimisers):
            state = adam.state_dict()
            for parameter, own in state["state"].items():
                tensors |= {f"adam.{number}.{parameter}.{name}": tensor for name, tensor in own.items()}
            rates.append([state["param_groups"], plain(cycle.state_dict())])
        best = {f"best.{name}": tensor for name, tensor in (self.best_state or {}).items()}
        values = {"done": self.done, "best": str(self.best), "waited": self.waited, "optimisers": rates}
        return State(values, tensors | best)

    def restore(self, state: State, world: World) -> None:
        """Continue from a state."""

        def named(prefix: str) -> dict[str, Tensor]:
            start = f"{prefix}."
            return {name.removeprefix(start): t for name, t in state.tensors.items() if name.startswith(start)}

        self.net.load_state_dict(named("net"))
        for number, parameter in enumerate(self.others):
            parameter.data.copy_(state.tensors[f"other.{number}"])
        set_random(state.tensors["random"][world.rank], self.device)
        if state.finished:
            return
        self.done, self.best, self.waited = state.values["done"], float(state.values["best"]), state.values["waited"]
        self.best_state = named("best") or None
        for number, (adam, cycle) in enumerate(self.optimisers):
            groups, rate = state.values["optimisers"][number]
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in named(f"adam.{number}").items():
                place, _, moment = name.partition(".")
                moments.setdefault(int(place), {})[moment] = tensor
            adam.load_state_dict({"state": moments, "param_groups": groups})
            cycle.load_state_dict(rate)


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
    What `on_step` changes must be in buffers of the network, so that a checkpoint holds it. Raises DataError if a loss
    is not finite.
    """
    schedule = schedule.completed({})
    world, phase = current_world(), next_phase()
    rng = np.random.default_rng(schedule.seed)
    order = rng.permutation(len(features))
    held = min(int(len(order) * schedule.validation_fraction), MOST_HELD_OUT)
    watched, rows = order[:held], order[held:]
    total = schedule.steps(len(rows))
    device = schedule.torch_device()
    optimisers = [_optimiser(parameters, schedule.learning_rate, total) for _, parameters in steps]
    net.to(device).train()
    loop = Loop(net=net, optimisers=optimisers, device=device)
    world.broadcast(loop.tensors().values())
    with world.own_noise():
        if (saved := phase.load()) is not None:
            loop.restore(saved, world)
        if saved is None or not saved.finished:
            for chosen in islice(batches(rows, schedule.batch_size, rng), loop.done, total):
                loop.done += 1
                _step(features, chosen, steps, loop, world)
                best = f"held-out loss {loop.best:.4g}" if loop.best < float("inf") else ""
                report(label, loop.done, total, best)
                if on_step is not None:
                    on_step(loop.done, total)
                if held and loop.done * schedule.epochs // total > (loop.done - 1) * schedule.epochs // total:  # epoch
                    loss = _watch(loop, features, steps[0][0], watched, schedule.batch_size, world)
                    if not loop.keep(loss) and loop.waited >= schedule.patience:
                        break
                if phase.is_due():
                    phase.save(loop.state(world))
            if loop.best_state is not None:
                net.load_state_dict(loop.best_state)
            phase.save(loop.state(world, finished=True))
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


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers in the state of a learning rate schedule, without what its constructor determines."""
    return {name: value for name, value in state.items() if isinstance(value, int | float | list)}


def _step(
    features: Features,
    rows: np.ndarray,
    steps: Sequence[tuple[Loss, Iterable[nn.Parameter]]],
    loop: Loop,
    world: World,
) -> None:
    """Take one step with each optimiser. Of the batch, each process has a share."""
    if len(rows) < 2 * world.size:
        raise DataError(f"a batch of {len(rows)} documents is too small for {world.size} processes; use fewer")
    own = world.share(rows)
    data, weight = batch(features, own, loop.device), len(own) / len(rows)
    for (loss, _), (adam, cycle) in zip(steps, loop.optimisers, strict=True):
        adam.zero_grad()
        value = loss(*data)
        shared = world.mean(value, weight)
        if not torch.isfinite(shared):
            raise DataError(
                f"the loss is {shared.item()} at step {loop.done}: training diverged, the model was discarded; try "
                f"learning_rate={cycle.get_last_lr()[0] / 10:.1g}, or look for outliers in the documents"
            )
        value.backward()
        world.average_gradients(adam.param_groups[0]["params"], weight)
        adam.step()
        cycle.step()
    world.average_statistics(loop.net)


def _watch(loop: Loop, features: Features, loss: Loss, rows: np.ndarray, size: int, world: World) -> float:
    """Return the mean loss over the held-out documents in eval mode; each process measures a share of them."""
    loop.net.eval()
    total, own = torch.zeros((), dtype=torch.float64), world.share(rows)
    with torch.no_grad():
        for start in range(0, len(own), size):
            chosen = own[start : start + size]
            total += float(loss(*batch(features, chosen, loop.device))) * len(chosen)
    loop.net.train()
    return float(world.mean(total, 1.0)) / len(rows)
