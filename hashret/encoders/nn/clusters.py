"""Cluster centres and soft cluster memberships."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from hashret.features import Floats

log = logging.getLogger("hashret")


def few(points: Floats, clusters: int) -> int:
    """Return `clusters`, or the number of distinct points [n, dim] if that is smaller, with a warning in the log."""
    size = np.abs(points).max(initial=0) or 1
    different = len(np.unique((points / size).round(5), axis=0))  # rounded, because of rounding errors of sums
    if different < clusters:
        log.warning("%d clusters instead of %d: there are no more distinct documents", different, clusters)
    return min(different, clusters)


def k_means(points: Floats, clusters: int, seed: int, restarts: int = 20) -> tuple[Tensor, Tensor]:
    """Return centres [clusters, dim] of points [n, dim], and for each one 1, or 0 if unused for lack of points."""
    from sklearn.cluster import KMeans

    found = few(points, clusters)
    centres = torch.zeros(clusters, points.shape[1])
    centres[:found] = torch.from_numpy(KMeans(found, n_init=restarts, random_state=seed).fit(points).cluster_centers_)
    return centres, (torch.arange(clusters) < found).float()


def student_t(z: Tensor, centres: Tensor, used: Tensor) -> Tensor:  # [n, dim], [k, dim], [k] -> [n, k]
    """Return q_ij ~ 1 / (1 + |z_i - mu_j|^2) over the used centres; rows sum to 1 (van der Maaten & Hinton 2008)."""
    near = used / (1 + (z[:, None] - centres).square().sum(2))
    return near / near.sum(1, keepdim=True)


def sharpened(q: Tensor) -> Tensor:  # [n, k] -> [n, k]
    """Return p_ij ~ q_ij^2 / sum_i q_ij, rows sum to 1: sharper than q, large clusters weigh less (Xie et al. 2016)."""
    weight = q.square() / q.sum(0).clamp_min(1e-12)
    return weight / weight.sum(1, keepdim=True)
