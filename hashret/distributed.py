"""Training on several processes that torchrun started, with gloo on CPUs and nccl on GPUs.

Each process has a share of every batch. Gradients are averaged, so that all processes have equal weights at all times.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from hashret.errors import DataError, UsageError


@dataclass(frozen=True)
class World:
    """The processes of a fit. The methods are called by all of them, in the same order; one process needs no group."""

    rank: int = 0
    size: int = 1

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of this process; each row belongs to one process."""
        return rows[self.rank :: self.size]

    def mean(self, value: Tensor, weight: float) -> Tensor:
        """Return the sum over processes of `value` times `weight`."""
        if self.size == 1:
            return value * weight
        total = value.detach().to(self._device, torch.float64) * weight
        dist.all_reduce(total)
        return total

    def average(self, tensors: Sequence[Tensor], weight: float) -> None:
        """Replace float32 tensors by their sum over processes, weighted by `weight`."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).to(self._device) * weight
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.reshape(tensor.shape))

    def average_gradients(self, parameters: Iterable[nn.Parameter], weight: float) -> None:
        """Average the gradients; `weight` is the share of the batch that this process has."""
        self.average([parameter.grad for parameter in parameters if parameter.grad is not None], weight)

    def average_statistics(self, net: nn.Module) -> None:
        """Average the running means and variances of batch normalisation."""
        if self.size == 1:
            return
        norms = [layer for layer in net.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
        found = [own for layer in norms for own in (layer.running_mean, layer.running_var) if own is not None]
        self.average(found, 1 / self.size)

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Replace the tensors by those of the first process."""
        for tensor in tensors if self.size > 1 else ():
            sent = tensor.detach().to(self._device).contiguous()
            dist.broadcast(sent, 0)
            tensor.detach().copy_(sent)

    def bytes_of_first(self, data: bytes | None) -> bytes | None:
        """Return the bytes, or None, that the first process passes."""
        if self.size == 1:
            return data
        size = torch.tensor([-1 if data is None else len(data)], device=self._device)
        dist.broadcast(size, 0)
        if size.item() < 0:
            return None
        sent = torch.empty(int(size), dtype=torch.uint8, device=self._device)
        if data is not None and self.rank == 0:
            sent.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(sent, 0)
        return sent.cpu().numpy().tobytes()

    def first_says(self, value: bool) -> bool:
        """Return the value that the first process passes."""
        return self.bytes_of_first(b"\1" if value else b"\0") == b"\1"

    def gathered(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, which have the same shape, stacked by rank."""
        if self.size == 1:
            return tensor[None]
        own = tensor.to(self._device).contiguous()
        found = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(found, own)
        return torch.stack(found).cpu()

    def check_equal(self, digest: str) -> None:
        """Raise DataError if the processes pass different digests of the documents."""
        found = self.gathered(torch.tensor(list(digest.encode()), dtype=torch.uint8))
        if (found != found[0]).any():
            raise DataError("the processes read different documents; give all of them the same files and versions")

    @contextmanager
    def own_noise(self) -> Iterator[None]:
        """Give each process random numbers of its own inside the block. A single process keeps its generator."""
        if self.size == 1:
            yield
            return
        seed = int(torch.randint(1 << 62, ()))  # equal in all processes, which go on with equal generators afterwards
        devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed + self.rank)
            yield

    @property
    def _device(self) -> torch.device:
        return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def current_world() -> World:
    """Return the processes of the initialized process group, or this process alone."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


@contextmanager
def together(device: str = "auto") -> Iterator[World]:
    """Train together with the other processes that torchrun started, inside the block.

    `device` is the one to train on. Raises UsageError if there are more processes on this machine than GPUs.
    """
    kind: Any = "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"
    if kind == "cuda":
        place, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= there:
            raise UsageError(f"this machine has {there} GPUs; start as many processes, or choose the device cpu")
        torch.cuda.set_device(place)
    # the first optimiser imports modules whose default arguments would keep the process group, and its threads, alive
    torch.optim.Adam([torch.zeros(1)])
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield current_world()
        dist.barrier()  # a process that leaves while another still answers can crash that one
    finally:
        dist.destroy_process_group()
