"""The adversarial autoencoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Gamma
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from hashret.encoders.nn.binarize import category, straight_through
from hashret.encoders.nn.bodies import mirrored, mlp
from hashret.encoders.nn.net import Autoencoder
from hashret.features import Features, Floats
from hashret.options import option
from hashret.training import Schedule, seeded, train


class Prior(NamedTuple):
    draw: Callable[[int, int], Tensor]  # number of documents and of bits -> samples [documents, bits]
    code: Callable[[Tensor, bool], Tensor]  # logits [batch, bits], whether to sample -> codes [batch, bits]
    whole: bool = False  # all values are 0 or 1
    even: bool = False  # symmetric: logits are above 0 as often as below


PRIORS: Mapping[str, Prior] = {
    "bernoulli": Prior(
        lambda n, bits: torch.randint(2, (n, bits)).float(),
        lambda logits, drawn: straight_through(logits.sigmoid(), drawn),
        whole=True,
        even=True,
    ),
    "gaussian": Prior(torch.randn, lambda logits, drawn: logits, even=True),
    "gamma": Prior(
        lambda n, bits: Gamma(2.0, 1.0).sample(torch.Size((n, bits))),
        lambda logits, drawn: softplus(logits),
    ),
    "categorical": Prior(
        lambda n, bits: torch.eye(bits)[torch.randint(bits, (n,))],
        lambda logits, drawn: category(logits.softmax(1), drawn),
        whole=True,
    ),
}


@dataclass(kw_only=True, repr=False, eq=False)
class Adversarial(Autoencoder):
    """A code with the distribution of a given prior, enforced by a discriminator network (Makhzani et al. 2015).

    Three training steps in turn, with the discriminator D and a sample z' of the prior:
    encoder, decoder    reconstruction of x from its code z
    D                   - log D(z') - log(1 - D(z))
    encoder             - log D(z)


    Bernoulli and categorical codes are sampled with the sigmoid or softmax of the logits as probabilities and the
    straight-through gradient; after training, the most likely value is used. With the Bernoulli prior, the bits are
    balanced. Bit j is 1 if logit j is above 0 for priors that are symmetric about 0, otherwise if above its median.
    """

    prior: str = option("bernoulli", "distribution of the codes", choices=tuple(PRIORS))
    hidden: tuple[int, ...] = option((1000, 1000), "units of the layers between input and code", low=1)
    discriminator_hidden: tuple[int, ...] = option((1000, 1000), "units of the layers of the discriminator", low=1)
    sharp: float = option(
        1.0, "gain of the logits of discrete priors; higher: more even buckets, but worse neighbours of texts", low=0.1
    )
    blur: float = option(0.1, "noise on the input of the discriminator", low=0.0)

    usual = {"learning_rate": 1e-3, "max_steps": 3000, "validation_fraction": 0.0}
    name = "adversarial"
    summary = "codes with the distribution of a prior, by adversarial training: balanced buckets"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """Hidden layers in encoder and decoder; batch normalisation of the logits stabilises adversarial training."""
        body, decoder = mirrored(shape, self.hidden, bits, "relu", self.sparse)
        return nn.Sequential(body, nn.BatchNorm1d(bits)), decoder

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Take three steps in turn for each batch."""
        self.build(features, bits)
        second = mlp((bits, *self.discriminator_hidden, 1), "relu").to(schedule.torch_device())
        draw = PRIORS[self.prior].draw

        def seen(code: Tensor) -> Tensor:
            out: Tensor = second(code + self.blur * torch.randn_like(code))
            return out

        def tell(x: Tensor, rows: Tensor) -> Tensor:
            with torch.no_grad():
                code = self.bottleneck(x)
            real, made = seen(draw(*code.shape).to(x.device)), seen(code)
            return called(real, True) + called(made, False)

        def fool(x: Tensor, rows: Tensor) -> Tensor:
            return called(seen(self.bottleneck(x)), True)

        game = [(tell, second.parameters()), (fool, self.body.parameters())]
        train(self, features, [(self.loss, self.parameters()), *game], schedule)

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The code in the range of the prior; discrete codes are sampled during training."""
        prior = PRIORS[self.prior]
        gain = self.sharp if prior.whole else 1.0
        return prior.code(gain * self.logits(x), self.training)

    def thresholds(self, logits: Floats) -> Floats:
        """0 for a symmetric prior, otherwise the medians."""
        even = PRIORS[self.prior].even
        return np.zeros(logits.shape[1], np.float32) if even else super().thresholds(logits)

    def sample(self, count: int, seed: int = 0) -> Floats:
        """Return float32 [count, dim], decoded from samples of the prior."""
        bits = next(iter(self.decoder.parameters())).shape[1]
        with seeded(seed), torch.no_grad():
            return np.asarray(self.shown(self.decode(PRIORS[self.prior].draw(count, bits))).numpy(), np.float32)


def called(logits: Tensor, real: bool) -> Tensor:  # [batch, 1] -> []
    """Return the cross-entropy of classifying all as real, or all as generated."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
