"""Clusters: centres, and how much of each a document is."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from hashret.features import Floats

log = logging.getLogger("hashret")


def few(points: Floats, clusters: int) -> int:
    """As many clusters as points [n, dim] can make, at most `clusters`; says so where they are fewer."""
    size = np.abs(points).max(initial=0) or 1
    different = len(np.unique((points / size).round(5), axis=0))  # the last digits differ by how sums were grouped
    if different < clusters:
        log.warning("%d clusters instead of %d: no more documents differ", different, clusters)
    return min(different, clusters)


def k_means(points: Floats, clusters: int, seed: int, restarts: int = 20) -> tuple[Tensor, Tensor]:
    """Centres of points [n, dim] -> [clusters, dim], and for each 1, or 0 where there are too few points for it."""
    from sklearn.cluster import KMeans

    found = few(points, clusters)
    centres = torch.zeros(clusters, points.shape[1])
    centres[:found] = torch.from_numpy(KMeans(found, n_init=restarts, random_state=seed).fit(points).cluster_centers_)
    return centres, (torch.arange(clusters) < found).float()


def student_t(z: Tensor, centres: Tensor, used: Tensor) -> Tensor:  # [n, dim], [k, dim], [k] -> [n, k]
    """q_ij ~ 1 / (1 + |z_i - mu_j|^2) over the centres in use, a row's sum 1 (van der Maaten & Hinton 2008)."""
    near = used / (1 + (z[:, None] - centres).square().sum(2))
    return near / near.sum(1, keepdim=True)


def sharpened(q: Tensor) -> Tensor:  # [n, k] -> [n, k]
    """p_ij ~ q_ij^2 / sum_i q_ij, a row's sum 1: surer than q, and large clusters held back (Xie et al. 2016)."""
    weight = q.square() / q.sum(0).clamp_min(1e-12)
    return weight / weight.sum(1, keepdim=True)
