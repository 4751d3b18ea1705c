"""Encoders: features -> codes, one file each; `ENCODERS` lists them."""

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
        "dagmm = hashret.encoders.dagmm:DAGMM",
        "density = hashret.encoders.density:Density",
        "robust = hashret.encoders.robust:Robust",
        "student-t = hashret.encoders.student_t:StudentT",
        "itq = hashret.encoders.itq:ITQ",
        "pca = hashret.encoders.pca:PCA",
        "lsh = hashret.encoders.lsh:LSH",
    ),
)

DEFAULT = "neighborhood"
