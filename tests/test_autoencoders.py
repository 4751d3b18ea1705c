"""The formulas of the autoencoders, compared with another way to compute them."""

from __future__ import annotations

import re
from math import log, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from hashret.codes import hamming
from hashret.encoders import ENCODERS
from hashret.encoders.adversarial import PRIORS
from hashret.encoders.nn.noise import CORRUPTIONS
from hashret.encoders.semantic_hashing import disagreement
from hashret.errors import DataError
from hashret.features import Features, unit
from hashret.graph import neighbors
from hashret.training import Schedule, batch, seeded

from .conftest import FAST, corpus, digits, sparse
from .samples import dense

PAGE = Path(__file__).parent.parent / "docs" / "worked-example.md"
CPU = torch.device("cpu")


def fit(name: str, features: Features, bits: int, **options: Any) -> Any:
    own = {key: value for key, value in options.items() if key in ENCODERS.get(name).options()}
    rest = {key: value for key, value in options.items() if key not in own}
    return ENCODERS.get(name).from_params(own).fit(features, bits, Schedule(**FAST | rest))


def scaled_digits() -> Features:
    return Features((digits()[0].reshape(400, 64) / 255).astype(np.float32), (64,), "unit")


class TestWorkedExample:
    def names(self) -> dict[str, Any]:
        [source] = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
        names: dict[str, Any] = {}
        exec(source, names)
        return names

    def test_the_page_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        names = self.names()
        assert names["history"][-1] < 0.05 * names["history"][0]
        assert capsys.readouterr().out.splitlines()[1] == "[0 0 0 0 0 1 1 1 1 1]"

    def test_its_gradients_are_right(self) -> None:
        names = self.names()
        at = [np.array([0.5, -0.3]), np.array(0.1), np.array([0.4, 0.7]), np.array([0.0, 0.2])]
        by_hand = names["gradients"](*at)
        for number, value in enumerate(at):
            for place in np.ndindex(value.shape):
                ends = []
                for step in (1e-5, -1e-5):
                    moved = [v.copy() for v in at]
                    moved[number][place] += step
                    ends.append(names["loss"](*moved))
                assert np.asarray(by_hand[number])[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)

    def test_they_are_those_of_the_encoder(self) -> None:
        names = self.names()
        x = torch.tensor(names["x"], dtype=torch.float32)
        net: Any = ENCODERS.get("autoencoder")()
        net.build(Features(x.numpy(), (2,), "real"), 1)
        net.input = torch.nn.Identity()
        w, b, v, c = (torch.tensor(value) for value in ([[0.5, -0.3]], [0.1], [[0.4], [0.7]], [0.0, 0.2]))
        net.body[0].weight.data, net.body[0].bias.data = w, b
        net.decoder[0].weight.data, net.decoder[0].bias.data = v, c
        value = 0.5 * len(x) * net.loss(x, torch.arange(10))
        value.backward()
        at = (np.array([0.5, -0.3]), 0.1, np.array([0.4, 0.7]), np.array([0.0, 0.2]))
        assert float(value.detach()) == pytest.approx(names["loss"](*at), rel=1e-5)
        found = (net.body[0].weight, net.body[0].bias, net.decoder[0].weight, net.decoder[0].bias)
        for own, wanted in zip(found, names["gradients"](*at), strict=True):
            np.testing.assert_allclose(own.grad.reshape(-1), np.reshape(wanted, -1), rtol=1e-4)


class TestContractive:
    def jacobian(self, net: Any, x: torch.Tensor) -> torch.Tensor:
        """|d code / d x|^2 by automatic differentiation, [batch]."""
        return torch.stack(
            [torch.func.jacrev(lambda row: net.encode_soft(row[None])[0])(row).square().sum() for row in x]
        )

    def test_the_closed_form_is_the_jacobian(self) -> None:
        net = fit("contractive", scaled_digits(), 7)
        net.input = torch.nn.Identity()  # the form is that of what the layer is given
        x = torch.from_numpy(dense(scaled_digits().input)[:20])
        with torch.no_grad():
            np.testing.assert_allclose(net.closed(net.encode_soft(x)), self.jacobian(net, x), rtol=1e-4)

    def test_random_signs_see_it_on_average(self) -> None:
        net = fit("contractive", scaled_digits(), 7, hidden="9")
        x = torch.from_numpy(dense(scaled_digits().input)[:5]).requires_grad_()
        with seeded(0):
            seen = torch.stack([net.estimated(net.encode_soft(x), x).detach() for _ in range(3000)])
        np.testing.assert_allclose(seen.mean(0), self.jacobian(net, x.detach()).detach(), rtol=0.1)

    @pytest.mark.parametrize(("hidden", "words"), [("", False), ("20", False), ("20", True)])
    def test_it_contracts(self, hidden: str, words: bool) -> None:
        pixels, norms = dense(scaled_digits().input), []
        features = Features(sparse(pixels.reshape(400, 64)), (64,), "counts") if words else scaled_digits()
        for lam in (0.0, 10.0):
            net = fit("contractive", features, 8, hidden=hidden, lam=lam, min_steps=400)
            norms.append(float(self.jacobian(net, torch.from_numpy(pixels[:50])).mean().detach()))
        assert norms[1] < norms[0] / 2


class TestSparse:
    def test_units_are_active_as_often_as_asked(self) -> None:
        net = fit("sparse", scaled_digits(), 30, rho=0.1, beta=10, min_steps=1000)
        code = net.over(scaled_digits().input, net.encode_soft)
        assert code.mean() == pytest.approx(0.1, abs=0.02)

    def test_the_divergence_is_that_of_coins(self) -> None:
        net: Any = ENCODERS.get("sparse").from_params({"rho": 0.2})
        code = torch.rand(50, 4)
        p, q = torch.distributions.Bernoulli(0.2), torch.distributions.Bernoulli(code.mean(0))
        assert float(net.sparsity(code)) == pytest.approx(float(kl_divergence(p, q).sum()), rel=1e-5)

    def test_the_logistic_penalty(self) -> None:
        net: Any = ENCODERS.get("sparse").from_params({"penalty": "logistic"})
        code = torch.tensor([[0.0, 1.0], [0.5, 0.0]])
        assert float(net.sparsity(code)) == pytest.approx((log(2) + log(1.25)) / 2, rel=1e-6)


class TestDenoising:
    @pytest.mark.parametrize("name", CORRUPTIONS)
    def test_noise_changes_as_much_as_asked(self, name: str) -> None:
        x = torch.rand(200, 50) + 0.5
        with seeded(0):
            changed = CORRUPTIONS[name](x, 0.3)
        if name == "gaussian":
            assert float((changed - x).std()) == pytest.approx(0.3 * float(x.std()), rel=0.05)
        else:
            assert float((changed != x).float().mean()) == pytest.approx(0.3, abs=0.02)
        assert (CORRUPTIONS[name](x, 0.0) == x).all()

    def test_masked_queries_are_nearer_to_their_own_code_than_without(self) -> None:
        features, flips = scaled_digits(), []
        x = dense(features.input)
        holes = np.random.default_rng(0).random(x.shape) < 0.25
        for amount in (0.0, 0.4):
            made = fit("denoising", features, 16, amount=amount, min_steps=800).program()
            own, asked = (made.logits(rows) > made.threshold for rows in (x, np.where(holes, 0, x)))
            flips.append((own != asked).mean())
        assert flips[1] < 0.8 * flips[0]


class TestVariational:
    def test_the_divergence_is_that_of_gaussians(self) -> None:
        net = fit("variational", scaled_digits(), 6)
        x = batch(scaled_digits(), np.arange(30), CPU)[0]
        with torch.no_grad():
            mu, spread = net.posterior(x)
            wanted = kl_divergence(Normal(mu, (spread / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
            found = net.loss(x, torch.arange(30)) - net.reconstruction(net.decode(mu), x)
        assert float(found) == pytest.approx(float(wanted), rel=1e-4)

    def test_the_likelihood_is_the_integral_over_the_code(self) -> None:
        pixels = (dense(scaled_digits().input) > 0.5).astype(np.float32)
        net = fit("variational", Features(pixels, (64,), "unit"), 1)
        z = torch.linspace(-8, 8, 4001)[:, None]
        x = torch.from_numpy(pixels[:10])
        with torch.no_grad():
            outputs = net.decode(z)
            far = torch.stack([net.distance(outputs, row.expand(len(z), -1)) for row in x])
        joint = -far - z[:, 0].square() / 2 - log(2 * pi) / 2
        found = net.log_likelihood(pixels[:10], draws=5000)
        np.testing.assert_allclose(found, joint.logsumexp(1) + log(16 / 4000), atol=0.3)
        assert found.mean() == pytest.approx(float(joint.logsumexp(1).mean()) + log(16 / 4000), abs=0.05)

    @pytest.mark.parametrize("name", ["variational", "adversarial"])
    def test_samples_are_drawn_by_the_seed(self, name: str) -> None:
        net = fit(name, scaled_digits(), 6, hidden="50")
        before = torch.get_rng_state()
        assert (net.sample(9, seed=3) == net.sample(9, seed=3)).all()
        assert (net.sample(9, seed=3) != net.sample(9, seed=4)).any()
        assert (torch.get_rng_state() == before).all()


@pytest.mark.parametrize("prior", PRIORS)
def test_an_adversarial_code_comes_to_look_like_its_prior(prior: str) -> None:
    net = fit(
        "adversarial",
        scaled_digits(),
        4,
        prior=prior,
        hidden="100",
        discriminator_hidden="100",
        min_steps=1000,
        learning_rate=1e-3,
    )
    code = net.over(scaled_digits().input, net.bottleneck)
    with seeded(0):
        drawn = PRIORS[prior].draw(4000, 4).numpy()
    assert np.abs(code.mean(0) - drawn.mean(0)).max() < 0.35 * drawn.std()
    assert 0.6 * drawn.std() < code.std() < 1.5 * drawn.std()


def test_spectral_bits_are_the_eigenfunctions_signs() -> None:
    x = np.random.default_rng(0).uniform(size=(3000, 2)).astype(np.float32) * [4, 1]
    made = ENCODERS.get("spectral")().fit(Features(x.astype(np.float32), (2,)), 3, Schedule()).program()
    along = np.argsort(np.argsort(x[:, 0])) / 3000  # the three lowest are all of the longer side
    bits = made.logits(x.astype(np.float32)) > 0
    for k, bit in enumerate(bits.T, 1):
        wanted = np.cos(k * np.pi * along) > 0
        assert max((bit == wanted).mean(), (bit != wanted).mean()) > 0.95


def test_pretraining_is_a_better_start_than_chance() -> None:
    features, errors = scaled_digits(), []
    for pretraining in (0.0, 1.0):
        net = fit(
            "deep",
            features,
            10,
            hidden="100,50",
            pretraining=pretraining,
            min_steps=400,
            learning_rate=1e-3,
            validation_fraction=0,
        )
        errors.append(float(np.square(features.input - net.reconstruct(features.input)).sum(1).mean()))
    assert errors[1] < errors[0]


@pytest.mark.parametrize(("name", "hidden"), [("deep", "50"), ("semantic-hashing", "50"), ("contractive", "")])
def test_words_of_small_weight_are_learned_from_as_those_of_larger_weight(name: str, hidden: str) -> None:
    pixels = digits()[0].reshape(400, 64)
    codes = []
    for weight in (0.25, 2.0**-8):  # exact, whatever is multiplied with them
        words = Features(sparse(pixels / pixels.max() * weight), (64,), "counts")
        net = fit(name, words, 16, hidden=hidden, min_steps=300, learning_rate=1e-2)
        codes.append(net.program().encode(words.input))
        heard = net.over(words.input, net.logits)
        np.testing.assert_allclose(net.program().logits(words.input), heard, atol=1e-4)
    assert (codes[0] == codes[1]).mean() > 0.99
    assert len(np.unique(codes[1], axis=0)) > 100


@pytest.mark.parametrize("name", ["variational", "gmvae"])
def test_a_divergence_does_not_silence_words(name: str) -> None:
    words = Features(sparse(unit(digits()[0].reshape(400, 64))), (64,), "unit")
    net = fit(name, words, 16, min_steps=1000)
    assert net.over(words.input, net.logits).std(axis=0).mean() > 0.1  # a dominant penalty makes all codes 0


def test_noise_pushes_the_code_of_semantic_hashing_to_bits() -> None:
    sharp = []
    for noise in (0.0, 4.0):
        net = fit("semantic-hashing", scaled_digits(), 12, noise=noise, hidden="100", min_steps=800)
        code = net.over(scaled_digits().input, net.encode_soft)
        sharp.append(((code < 0.05) | (code > 0.95)).mean())
    assert sharp[1] > 0.8
    assert sharp[1] > sharp[0]


class TestAgreement:
    def test_it_is_the_formula(self) -> None:
        torch.manual_seed(0)
        logits, x = torch.randn(7, 5, dtype=torch.float64), torch.rand(7, 9, dtype=torch.float64)
        bits, total = logits.sign(), 0.0
        for i in range(7):
            others = [j for j in range(7) if j != i]
            cosines = [float(torch.cosine_similarity(x[i], x[j], dim=0)) for j in others]
            wanted = torch.tensor([cosine / 0.025 for cosine in cosines]).softmax(0)
            found = torch.tensor([float(bits[i] @ bits[j]) / (0.15 * 5) for j in others]).log_softmax(0)
            total -= float(wanted @ found) / 7
        means = np.tanh(logits.numpy() / 2)
        shared = np.cov(means.T, bias=True)
        correlated = np.square(shared - np.diag(np.diag(shared))).sum() / 5
        total += 6 * float(correlated + np.square(means.mean(0)).mean())
        assert float(disagreement(logits, x)) == pytest.approx(total, rel=1e-4)

    def test_its_gradient_turns_bits_towards_the_inputs(self) -> None:
        x = torch.eye(2).repeat_interleave(4, 0) + 0.01
        logits = nn.Parameter(0.1 * torch.randn(8, 6, generator=torch.Generator().manual_seed(0)))
        adam = torch.optim.Adam([logits], lr=0.05)
        for _ in range(200):
            adam.zero_grad()
            disagreement(logits, x).backward()
            adam.step()
        alike = (logits.sign() @ logits.sign().T).detach().numpy()
        same = np.kron(np.eye(2), np.ones((4, 4))) > 0
        assert alike[same].mean() > 3 > 0 > alike[~same].mean()

    def test_codes_keep_more_neighbours_of_new_texts(self) -> None:
        features, _ = corpus("sparse")
        half = len(features) // 2
        learned, new = features.take(np.arange(half)), features.take(np.arange(half, len(features)))
        near = neighbors([new.input], 5)
        kept = []
        for agreement in (0.0, 3.0):
            options = {"hidden": "64", "pretraining": 1.0, "cut": 0.0, "agreement": agreement}
            net = fit("semantic-hashing", learned, 32, **options, min_steps=800, learning_rate=1e-2)
            codes = net.program().encode(new.input)
            far = hamming(codes, codes).astype(int) + 99 * np.eye(len(codes), dtype=int)
            found = far.argsort(1, kind="stable")[:, :5]
            kept.append(np.mean([len(set(a) & set(b)) for a, b in zip(found.tolist(), near.tolist(), strict=True)]))
        assert kept[1] > kept[0] + 0.1, kept


def test_a_loss_that_is_not_finite_stops_training() -> None:
    with pytest.raises(DataError, match=r"the loss is (inf|nan) at step \d+: training diverged.* try learning_rate="):
        fit("denoising", corpus("real")[0], 4, learning_rate=1e30)


def test_principal_components_are_what_linear_units_find() -> None:
    data = corpus("real")[0]
    net = fit("autoencoder", data, 5, units="linear", min_steps=3000, learning_rate=5e-3, validation_fraction=0)
    x = dense(data.input)
    centred = x - x.mean(0)
    best = float(np.square(np.linalg.svd(centred)[1][5:]).sum()) / len(centred)
    assert float(np.square(x - net.reconstruct(x)).sum(1).mean()) < 1.03 * best


def test_principal_components_reconstruct_and_project() -> None:
    data = corpus("real")[0]
    pca: Any = ENCODERS.get("pca")().fit(data, 5, Schedule())
    x = dense(data.input)
    centred = x - x.mean(0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    wanted = (left[:, :5] * values[:5]) @ right[:5] + x.mean(0)
    np.testing.assert_allclose(pca.reconstruct(x), wanted, atol=1e-2)
    np.testing.assert_allclose(np.abs(pca.project(x)), np.abs(left[:, :2] * values[:2]), atol=1e-2)
