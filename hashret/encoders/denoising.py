"""The denoising autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hashret.encoders.nn.bodies import mirrored
from hashret.encoders.nn.net import Autoencoder
from hashret.encoders.nn.noise import CORRUPTIONS
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class Denoising(Autoencoder):
    """Reconstructs its input from a corrupted copy (Vincent et al. 2008).

    loss = reconstruction of x from the code of x', where x' is x with
    masking          each value set to 0 with probability `amount`
    gaussian         noise added, with `amount` times the standard deviation of the values
    salt-and-pepper  each value set to the minimum or maximum of the batch with probability `amount`
    """

    noise: str = option("masking", "how inputs are corrupted", choices=tuple(CORRUPTIONS))
    amount: float = option(0.3, "strength of the corruption", low=0.0, high=1.0)
    hidden: tuple[int, ...] = option((512,), "units of the layers between input and code", low=1)

    usual = {"learning_rate": 2e-3}
    name = "denoising"
    summary = "reconstructs corrupted inputs: robust to noisy queries"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The hidden layers and their mirror."""
        return mirrored(shape, self.hidden, bits, "relu", self.sparse)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction from the corrupted copy."""
        seen = CORRUPTIONS[self.noise](x, self.amount) if self.training else x
        return self.reconstruction(self.decode(self.encode_soft(seen)), x)
