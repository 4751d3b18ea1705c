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
        "dec = hashret.encoders.dec:DEC",
        "gmvae = hashret.encoders.gmvae:GMVAE",
        "subspace = hashret.encoders.subspace:Subspace",
        "itq = hashret.encoders.itq:ITQ",
        "pca = hashret.encoders.pca:PCA",
        "lsh = hashret.encoders.lsh:LSH",
    ),
)

DEFAULT = "neighborhood"
