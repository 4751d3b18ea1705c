"""Restricted Boltzmann machines, trained by one step of contrastive divergence (Hinton 2002).

p(h_j = 1 | v) = sigmoid(c_j + sum_i v_i W_ij)                hidden units, all binary
                 N(c_j + sum_i v_i W_ij, 1)                   or linear, with unit variance
E[v_i | h]     = sigmoid(b_i + sum_j W_ij h_j)                visible units from 0 to 1
                 b_i + sum_j W_ij h_j                         real, with unit variance
                 M softmax_i(b_i + sum_j W_ij h_j)            words of a text with M words, the constrained Poisson
                                                              model (Salakhutdinov & Hinton 2009)

dW ~ <v h>_data - <v h>_reconstruction
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise

import numpy as np
import torch
from torch import Tensor, nn

from hashret.checkpoint import State, next_phase
from hashret.features import Features
from hashret.progress import report
from hashret.training import Schedule, batch, batches, random_state, set_random

UNITS = ("binary", "real", "words")  # types of the visible units
RATES = {"binary": 0.1, "words": 0.02, "real": 0.001}  # learning rates; higher ones diverge (Hinton 2010, section 13.2)
MOMENTUM, CALM = 0.9, 0.5  # momentum after and during the first tenth of the steps
DECAY = 2e-4  # weight decay per step


class RBM(nn.Module):
    """A restricted Boltzmann machine: weight [visible, hidden] and biases of both layers."""

    def __init__(self, visible: int, hidden: int, units: str = "binary", linear: bool = False) -> None:
        super().__init__()
        self.units, self.linear = units, linear
        spread = visible**-0.5 / 3**0.5  # as in nn.Linear; with smaller weights, the code collapses to a point
        self.weight = nn.Parameter(torch.randn(visible, hidden) * spread, requires_grad=False)
        self.below = nn.Parameter(torch.zeros(visible), requires_grad=False)
        self.above = nn.Parameter(torch.zeros(hidden), requires_grad=False)

    def up(self, v: Tensor) -> Tensor:  # [batch, visible] -> [batch, hidden]
        """Return the means of the hidden units."""
        inputs = v @ self.weight + self.above
        return inputs if self.linear else inputs.sigmoid()

    def drawn(self, mean: Tensor) -> Tensor:  # [batch, hidden] -> [batch, hidden]
        """Sample the hidden units from their means."""
        return mean + torch.randn_like(mean) if self.linear else torch.bernoulli(mean)

    def down(self, h: Tensor, words: Tensor) -> Tensor:  # [batch, hidden], [batch, 1] -> [batch, visible]
        """Return the means of the visible units; `words` is the number of words of each text."""
        inputs = h @ self.weight.T + self.below
        if self.units == "words":
            return words * inputs.softmax(1)
        return inputs if self.units == "real" else inputs.sigmoid()

    def free_energy(self, v: Tensor) -> Tensor:  # [batch, visible] -> [batch]
        """Return -ln sum_h exp(-E(v, h)) for binary visible and hidden units."""
        return -(v @ self.below) - nn.functional.softplus(v @ self.weight + self.above).sum(1)

    def gradient(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # [batch, visible] -> as the parameters
        """Return the updates of weight, below and above from one step of contrastive divergence."""
        h = self.up(v)
        again = self.down(self.drawn(h), v.sum(1, keepdim=True))
        h_again = self.up(again)
        weight = (v.T @ h - again.T @ h_again) / len(v)
        return weight, (v - again).mean(0), (h - h_again).mean(0)


def pretrain(stack: Sequence[RBM], features: Features, schedule: Schedule, steps: int, scale: nn.Module) -> None:
    """Train the machines from the bottom up for `steps` each, on the outputs of those below."""
    device = schedule.torch_device()
    scale.to(device)
    for level, machine in enumerate(stack):
        machine.to(device)
        rate = RATES["real"] if machine.linear else RATES[machine.units]
        moves = [torch.zeros_like(p) for p in (machine.weight, machine.below, machine.above)]
        tensors: dict[str, Tensor] = {"weight": machine.weight, "below": machine.below, "above": machine.above}
        tensors |= {f"move.{number}": move for number, move in enumerate(moves)}
        phase, start = next_phase(), 0
        if (saved := phase.load()) is not None:
            start = saved.values["step"]
            for name, tensor in tensors.items():
                tensor.copy_(saved.tensors[name])
            set_random(saved.tensors["random"], device)
        draws = batches(np.arange(len(features)), schedule.batch_size, np.random.default_rng(schedule.seed + level))
        for step, rows in enumerate(islice(draws, start, steps), start):
            v = scale(batch(features, rows, device)[0]).flatten(1)
            for below in stack[:level]:
                v = below.up(v)
            momentum = CALM if step < steps // 10 else MOMENTUM
            gradients = machine.gradient(v)
            parameters = (machine.weight, machine.below, machine.above)
            for parameter, move, gradient in zip(parameters, moves, gradients, strict=True):
                fade = DECAY if parameter is machine.weight else 0.0
                move.mul_(momentum).add_(gradient - fade * parameter, alpha=rate)
                parameter.add_(move)
            report(f"pretraining layer {level + 1} of {len(stack)}", step + 1, steps)
            if phase.is_due() or step + 1 == steps:
                phase.save(State({"step": step + 1}, tensors | {"random": random_state(device)}))
    for part in (*stack, scale):
        part.to("cpu")


def log_partition(machine: RBM, chains: int, temperatures: int, seed: int) -> float:
    """Estimate ln Z of a machine with binary units by annealed importance sampling (Salakhutdinov & Murray 2008).

    Starts at the machine without weights, whose Z is known, and scales the weights W to b W, b from 0 to 1.
    """
    generator = torch.Generator().manual_seed(seed)
    v = torch.bernoulli(machine.below.sigmoid().expand(chains, -1), generator=generator)
    ratio = torch.zeros(chains, dtype=torch.float64)
    steps = torch.linspace(0, 1, temperatures)
    for low, high in pairwise(steps):
        energies = [nn.functional.softplus(b * (v @ machine.weight) + machine.above).sum(1) for b in (low, high)]
        ratio += (energies[1] - energies[0]).double()
        h = torch.bernoulli((high * (v @ machine.weight) + machine.above).sigmoid(), generator=generator)
        v = torch.bernoulli((high * (h @ machine.weight.T) + machine.below).sigmoid(), generator=generator)
    base = nn.functional.softplus(machine.below).sum() + nn.functional.softplus(machine.above).sum()
    return float(base) + float(ratio.logsumexp(0)) - float(np.log(chains))
