"""Encoders compute codes from features, one file each; `ENCODERS` is their registry."""

import json
from pathlib import Path
from typing import Any

from hashret.encoders.base import Encoder
from hashret.registry import Registry

ENCODERS: Registry[Encoder] = Registry(
    "encoder",
    "hashret.encoders",
    (
        "neighborhood = hashret.encoders.neighborhood:Neighborhood",
        "bernoulli = hashret.encoders.bernoulli:Bernoulli",
        "autoencoder = hashret.encoders.autoencoder:Shallow",
        "deep = hashret.encoders.deep:Deep",
        "semantic-hashing = hashret.encoders.semantic_hashing:SemanticHashing",
        "sparse = hashret.encoders.sparse:Sparse",
        "denoising = hashret.encoders.denoising:Denoising",
        "contractive = hashret.encoders.contractive:Contractive",
        "variational = hashret.encoders.variational:Variational",
        "adversarial = hashret.encoders.adversarial:Adversarial",
        "student-t = hashret.encoders.student_t:StudentT",
        "robust = hashret.encoders.robust:Robust",
        "dagmm = hashret.encoders.dagmm:DAGMM",
        "density = hashret.encoders.density:Density",
        "gmvae = hashret.encoders.gmvae:GMVAE",
        "dec = hashret.encoders.dec:DEC",
        "subspace = hashret.encoders.subspace:Subspace",
        "spectral = hashret.encoders.spectral:Spectral",
        "itq = hashret.encoders.itq:ITQ",
        "pca = hashret.encoders.pca:PCA",
        "lsh = hashret.encoders.lsh:LSH",
    ),
)

DEFAULT = "neighborhood"


def measured(name: str) -> list[dict[str, Any]]:
    """Return the results that `scripts/reproduce_encoders.py` measured for an encoder; empty if there are none."""
    told: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("measured.json").read_text("utf-8"))
    return told.get(name, [])
