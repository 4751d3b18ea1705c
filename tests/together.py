"""Run by torchrun in test_distributed.py: fits in each process, and writes what the process saw as JSON.

torchrun ... tests/together.py FOLDER '{"task": "watch", ...}'
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hashret.distributed import together
from hashret.encoders import ENCODERS
from hashret.errors import HashretError
from hashret.features import Features
from hashret.testing.corpora import corpus
from hashret.testing.encoders import precision_at_10
from hashret.training import Schedule, fitting, train


class Watched(nn.Module):
    """Notes the documents of each batch, and a random number that its loss draws."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.steps: list[list[int]] = []
        self.watched: list[list[int]] = []
        self.noise: list[float] = []

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        if self.training:
            self.steps.append(rows.tolist())
            self.noise.append(float(torch.rand(())))
        else:
            self.watched.append(rows.tolist())
        y: Tensor = self.layer(x)
        return (y.squeeze(1) - x.sum(1)).square().mean()


def watch(rank: int, documents: int, seed: int = 0, **options: Any) -> dict[str, Any]:
    """Train `Watched` and return what it noted, and its weights."""
    x = np.random.default_rng(seed).standard_normal((documents, 3)).astype(np.float32)
    features, plan = Features(x, (3,)), Schedule(device="cpu", **options)
    with fitting("watched", {}, features, 8, plan):
        net = Watched()
        before = float(torch.rand(()))
        train(net, features, [(net.loss, net.parameters())], plan)
        after = float(torch.rand(()))
    weights = {name: tensor.tolist() for name, tensor in net.state_dict().items()}
    noted = {"steps": net.steps, "watched": net.watched, "noise": net.noise}
    return noted | {"before": before, "after": after, "weights": weights}


def differing(rank: int, documents: int) -> dict[str, Any]:
    """Train on other documents in each process."""
    try:
        watch(rank, documents, seed=rank)
    except HashretError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"error": ""}


def quality(rank: int, encoder: str, kind: str, bits: int, seeds: int, **options: Any) -> dict[str, Any]:
    """Return the precision at 10 of an encoder for some seeds, and a digest of its tensors."""
    features, labels = corpus(kind)
    found, digest = [], hashlib.sha256()
    for seed in range(seeds):
        program = ENCODERS.get(encoder)().fit(features, bits, Schedule(seed=seed, device="cpu", **options)).program()
        found.append(precision_at_10(program.encode(features.input), labels))
        for name in sorted(program.tensors):
            digest.update(np.ascontiguousarray(program.tensors[name]).tobytes())
    return {"precision": found, "digest": digest.hexdigest()}


def main() -> None:
    """Run a task and write its result to FOLDER/RANK.json."""
    folder, task = Path(sys.argv[1]), json.loads(sys.argv[2])
    with together("cpu") as world:
        tasks: dict[str, Callable[..., dict[str, Any]]] = {"watch": watch, "differing": differing, "quality": quality}
        result = tasks[task.pop("task")](world.rank, **task)
    result["gloo"] = [name for name in threads() if "gloo" in name]
    (folder / f"{world.rank}.json").write_text(json.dumps(result))


def threads() -> list[str]:
    """Return the names of the threads of this process, on Linux."""
    return [(path / "comm").read_text() for path in Path("/proc/self/task").iterdir()]


if __name__ == "__main__":
    main()
