"""Training: the loop stops early, keeps the best state, and never uses labels."""

from __future__ import annotations

import inspect
import threading
import typing
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashret.errors import UsageError
from hashret.features import Features
from hashret.hasher import Hasher
from hashret.progress import listening
from hashret.training import Loss, Schedule, batch, seeded, train


def features(count: int = 40) -> Features:
    return Features(np.random.default_rng(0).standard_normal((count, 3)).astype(np.float32), (3,))


def plan(**options: Any) -> Schedule:
    usual: dict[str, Any] = {
        "epochs": 8,
        "batch_size": 10,
        "min_steps": 1,
        "validation_fraction": 0.25,
        "device": "cpu",
    }
    return Schedule(**usual | options)


class Line(nn.Module):
    """Learns y = x . (1, 2, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1, bias=False)
        self.linear.weight.data.zero_()

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return (y.squeeze(1) - x @ torch.tensor([1.0, 2.0, 3.0])).pow(2).mean()


class Scripted(nn.Module):
    """A network with given held-out losses, one per epoch; its weight counts the steps."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.losses, self.epochs, self.steps = losses, 0, 0
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("step", torch.zeros(1))

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        if self.training:
            self.get_buffer("step").add_(1)
            return self.weight.sum() * 0
        self.epochs += 1
        return torch.tensor(self.losses[self.epochs - 1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", -1),
        ("batch_size", -1),
        ("learning_rate", -1),
        ("validation_fraction", 0.6),
        ("patience", 0),
        ("sample", 0),
        ("seed", -1),
    ],
)
def test_a_schedule_is_checked(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} must be "):
        Schedule.from_params({name: value})


def test_a_share_below_nothing_is_refused() -> None:
    for fraction in (-2, -0.5, 0.6):
        with pytest.raises(UsageError, match=r"validation_fraction must be 0\.0 to 0\.5, got"):
            Schedule(validation_fraction=fraction)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        Schedule(device="gpu")


def test_cuda_where_there_is_none_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert Schedule(device="auto").torch_device() == torch.device("cpu")
    net = Line()
    with pytest.raises(UsageError, match="device 'cuda' is not available here"):
        train(net, features(), [(net.loss, net.parameters())], plan(device="cuda"))


def test_training_lowers_the_loss() -> None:
    net, made = Line(), features(400)
    before = net.loss(torch.from_numpy(made.input), torch.arange(400)).item()
    train(net, made, [(net.loss, net.parameters())], plan(learning_rate=0.2))
    after = net.loss(torch.from_numpy(made.input), torch.arange(400)).item()
    assert after < before / 100
    assert not net.training


def test_training_stops_once_nothing_improves() -> None:
    net = Scripted([5.0, 4.0, 4.0, 4.5, 4.0, 3.0, 3.0, 3.0])
    train(net, features(), [(net.loss, net.parameters())], plan(patience=3))
    assert net.epochs == 5


def test_the_best_state_is_kept() -> None:
    net = Scripted([5.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0])
    train(net, features(), [(net.loss, net.parameters())], plan(patience=4))
    assert net.epochs == 6
    assert int(net.get_buffer("step")) == 2 * 3


def test_without_held_out_documents_every_epoch_is_taken() -> None:
    net = Scripted([])
    train(net, features(), [(net.loss, net.parameters())], plan(validation_fraction=0))
    assert net.epochs == 0
    assert int(net.get_buffer("step")) == 8 * 4


def test_a_small_corpus_gets_its_least_steps() -> None:
    net = Scripted([1.0] * 8)
    train(net, features(4), [(net.loss, net.parameters())], plan(validation_fraction=0, min_steps=100, epochs=4))
    assert int(net.get_buffer("step")) >= 100


def test_held_out_documents_are_never_trained_on() -> None:
    trained: set[int] = set()
    watched: set[int] = set()

    class Watching(Scripted):
        def loss(self, x: Tensor, rows: Tensor) -> Tensor:
            (trained if self.training else watched).update(rows.tolist())
            return self.weight.sum()

    net = Watching([])
    train(net, features(), [(net.loss, net.parameters())], plan())
    assert len(watched) == 10
    assert trained | watched == set(range(40))
    assert not trained & watched


def test_no_batch_has_one_document_only() -> None:
    sizes: set[int] = set()

    class Counting(Scripted):
        def loss(self, x: Tensor, rows: Tensor) -> Tensor:
            sizes.add(len(rows))
            return self.weight.sum()

    net = Counting([])
    train(net, features(41), [(net.loss, net.parameters())], plan(validation_fraction=0))
    train(net, features(1), [(net.loss, net.parameters())], plan(validation_fraction=0.5))
    assert sizes == {10, 2}


def test_progress_is_told_to_the_end() -> None:
    heard: list[tuple[str, int, int | None, str]] = []
    net = Line()
    with listening(lambda label, done, total, note="": heard.append((label, done, total, note))):
        train(net, features(), [(net.loss, net.parameters())], plan(), label="work")
    done = [each[1] for each in heard]
    assert {each[0] for each in heard} == {"work"}
    assert {each[2] for each in heard} == {24}
    assert done == sorted(done)
    assert done[-1] == 24
    assert any(each[3].startswith("held-out loss") for each in heard)


def test_progress_reaches_its_end_also_where_training_stops_early() -> None:
    heard: list[tuple[int, int | None]] = []
    net = Scripted([1.0] * 8)
    with listening(lambda label, done, total, note="": heard.append((done, total))):
        train(net, features(), [(net.loss, net.parameters())], plan(patience=1))
    assert heard[-1] == (24, 24)
    assert len(heard) == 2 * 3 + 1


def test_each_pair_takes_a_step_in_turn_and_each_step_is_told() -> None:
    order: list[str] = []
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def one(x: Tensor, rows: Tensor) -> Tensor:
        order.append("one")
        return first.sum()

    def two(x: Tensor, rows: Tensor) -> Tensor:
        order.append("two")
        return second.sum()

    told: list[tuple[int, int]] = []
    schedule = plan(epochs=1, validation_fraction=0)
    train(nn.Identity(), features(), [(one, [first]), (two, [second])], schedule, lambda *at: told.append(at))
    assert order == ["one", "two"] * 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_seed_decides_the_order_of_documents() -> None:
    def drawn(seed: int) -> list[list[int]]:
        order: list[list[int]] = []
        weight = nn.Parameter(torch.zeros(1))

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            order.append(rows.tolist())
            return weight.sum()

        train(nn.Identity(), features(), [(loss, [weight])], plan(epochs=1, validation_fraction=0, seed=seed))
        return order

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_labels_cannot_reach_the_loop() -> None:
    assert list(inspect.signature(train).parameters) == ["net", "features", "steps", "schedule", "on_step", "label"]
    assert inspect.signature(train).parameters["label"].annotation == "str"  # of the progress
    assert set(Features.__dataclass_fields__) == {"input", "shape", "feature_type", "views"}
    assert typing.get_args(Loss)[0] == [Tensor, Tensor]
    assert list(inspect.signature(batch).parameters) == ["features", "rows", "device"]


def test_seeded_leaves_the_callers_randomness() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1) as rng:
        first, drawn = torch.rand(3), rng.random()
    assert (torch.rand(3) == wanted).all()
    with seeded(1) as rng:
        assert (torch.rand(3) == first).all()
        assert rng.random() == drawn


def test_fits_in_threads_give_what_one_alone_gives() -> None:
    texts = [f"wheat ship court number{n % 7} harvest {'sail' if n % 2 else 'judge'}" for n in range(60)]
    short = {"epochs": 1, "min_steps": 30, "max_steps": 30}

    def fit(encoder: str) -> str:
        hasher = Hasher.fit(texts, bits=8, encoder=encoder, seed=1, options=short)
        assert hasher.fitted is not None  # builds the layers again, with random weights
        return hasher.fingerprint

    encoders = ["bernoulli", "denoising", "adversarial"]
    alone = [fit(encoder) for encoder in encoders]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(fit, encoders * 2)) == alone * 2


def test_samples_and_restored_nets_leave_a_fit_in_another_thread_as_it_is() -> None:
    rows = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32)
    short = {"epochs": 1, "min_steps": 30, "max_steps": 30}
    sampler = Hasher.fit(list(rows), bits=8, encoder="adversarial", options=short)
    alone = Hasher.fit(list(rows), bits=8, encoder="denoising", options=short).fingerprint
    done = threading.Event()

    def disturb() -> None:
        while not done.is_set():
            fitted: Any = sampler.fitted
            fitted.sample(3)
            sampler.__dict__.pop("fitted")

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        assert [Hasher.fit(list(rows), bits=8, encoder="denoising", options=short).fingerprint for _ in range(3)] == [
            alone
        ] * 3
    finally:
        done.set()
        thread.join()
