"""Example of an encoder in another package, registered by an entry point."""

from dataclasses import dataclass

from torch import Tensor, nn

from hashret.encoders.nn.bodies import mirrored
from hashret.encoders.nn.net import Autoencoder
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class Noisy(Autoencoder):
    """Denoising autoencoder: reconstructs the input from a corrupted copy (Vincent et al., 2008)."""

    noise: float = option(0.3, "share of the input set to zero", low=0.0, high=1.0)

    name = "noisy"
    summary = "reconstructs inputs with masked values"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """Return an encoder and a decoder with one hidden layer each."""
        return mirrored(shape, (256,), bits, "relu", self.sparse)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Return the reconstruction loss for corrupted inputs."""
        corrupted = nn.functional.dropout(x, self.noise, training=self.training)
        return self.reconstruction(self.decode(self.encode_soft(corrupted)), x)
