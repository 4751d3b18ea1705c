"""Checkpoints: a fit that was killed and resumed gives the same hasher, byte by byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashret.encoders import ENCODERS
from hashret.errors import DataError, UsageError
from hashret.features import Features
from hashret.hasher import Hasher
from hashret.progress import listening

from .conftest import make_texts

TEXTS = make_texts(120)
OPTIONS: dict[str, Any] = {
    "max_steps": 40,
    "min_steps": 40,
    "epochs": 4,
    "batch_size": 32,
    "validation_fraction": 0.1,
    "device": "cpu",
}


class Stopped(Exception):
    """Raised to interrupt a fit."""


def stop_at(label: str, step: int) -> Callable[..., None]:
    """Return a listener that interrupts the loop called `label` at a step."""

    def listener(own: str, done: int, total: int | None, note: str = "") -> None:
        if (own, done) == (label, step):
            raise Stopped

    return listener


def fit(checkpoint: Path | None = None, encoder: str = "variational", bits: Any = 8, **options: Any) -> Hasher:
    kept = {"checkpoint": str(checkpoint), "checkpoint_seconds": 0} if checkpoint else {}
    return Hasher.fit(TEXTS, bits=bits, encoder=encoder, options=OPTIONS | kept | options)


def interrupted(checkpoint: Path, label: str, step: int, **options: Any) -> None:
    with pytest.raises(Stopped), listening(stop_at(label, step)):
        fit(checkpoint, **options)


def steps_of(checkpoint: Path, **options: Any) -> list[tuple[str, int]]:
    """Return the steps that a resumed fit still takes."""
    seen: list[tuple[str, int]] = []
    with listening(lambda label, done, total, note="": seen.append((label, done))):
        fit(checkpoint, **options)
    return seen


def test_the_steps_before_the_checkpoint_are_not_taken_again(tmp_path: Path) -> None:
    interrupted(tmp_path / "kept", "training", 21)
    steps = [done for label, done in steps_of(tmp_path / "kept") if label == "training"]
    assert steps[0] == 21


def test_a_finished_loop_is_not_trained_again(tmp_path: Path) -> None:
    interrupted(tmp_path / "kept", "training", 5, encoder="dec")
    left = steps_of(tmp_path / "kept", encoder="dec")
    assert [done for label, done in left if label == "layer 1"] == [10]  # the report that it has finished
    assert min(done for label, done in left if label == "training") == 5


def test_layers_of_boltzmann_machines_resume(tmp_path: Path) -> None:
    interrupted(tmp_path / "kept", "pretraining layer 2 of 3", 6, encoder="deep")
    left = steps_of(tmp_path / "kept", encoder="deep")
    assert not [done for label, done in left if label == "pretraining layer 1 of 3"]
    assert min(done for label, done in left if label == "pretraining layer 2 of 3") == 6


def test_partners_of_an_agreement_are_drawn_again_alike(tmp_path: Path) -> None:
    options: dict[str, Any] = {"encoder": "semantic-hashing", "agreement": 1.0, "min_steps": 80, "max_steps": 80}
    interrupted(tmp_path / "kept", "training", 6, **options)
    assert fit(tmp_path / "kept", **options).files() == fit(**options).files()


def test_the_best_state_and_the_patience_are_kept(tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 40, "patience": 3, "learning_rate": 0.1}
    seen: list[tuple[str, int]] = []
    with listening(lambda label, done, total, note="": seen.append((label, done))):
        straight = fit(**options).files()
    *_, last, _ = (done for label, done in seen if label == "training")
    assert 4 < last < 40  # it stopped early
    interrupted(tmp_path / "kept", "training", last, **options)
    assert fit(tmp_path / "kept", **options).files() == straight


def test_the_checkpoint_is_not_in_the_hasher(tmp_path: Path) -> None:
    assert fit(tmp_path / "kept").files() == fit().files()


def test_lengths_that_are_tried_in_turn_each_resume(tmp_path: Path) -> None:
    interrupted(tmp_path / "kept", "training", 21, bits="auto")
    straight = fit(bits="auto").files()
    assert fit(tmp_path / "kept", bits="auto").files() == straight
    assert fit(tmp_path / "kept", bits="auto").files() == straight  # all lengths are finished
    assert len(list((tmp_path / "kept").glob("*-bits"))) > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 0.5}, "learning_rate: 0.001 there, 0.5 now"),
        ({"seed": 3}, "seed: 0 there, 3 now"),
        ({"encoder": "bernoulli"}, 'encoder: "variational" there, "bernoulli" now'),
        ({"beta": 0.3}, "encoder.beta: 1.0 there, 0.3 now"),
    ],
)
def test_another_fit_is_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    fit(tmp_path / "kept")
    before = {path: path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is of another fit") as caught:
        fit(tmp_path / "kept", **options)
    assert words in str(caught.value)
    assert {path: path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()} == before


def test_other_documents_and_versions_are_refused(tmp_path: Path) -> None:
    fit(tmp_path / "kept")
    options = OPTIONS | {"checkpoint": str(tmp_path / "kept")}
    with pytest.raises(UsageError, match=r'\(features: "[0-9a-f]+" there, "[0-9a-f]+" now\)'):
        Hasher.fit(TEXTS[:-1], bits=8, encoder="variational", options=options)
    about = json.loads((tmp_path / "kept" / "about.json").read_text())
    (tmp_path / "kept" / "about.json").write_text(json.dumps(about | {"versions": "hashret 0.0.1"}))
    with pytest.raises(UsageError, match=r'versions: "hashret 0\.0\.1" there'):
        fit(tmp_path / "kept")


def test_a_damaged_checkpoint_is_refused_and_can_be_removed(tmp_path: Path) -> None:
    interrupted(tmp_path / "kept", "training", 21)
    [file] = (tmp_path / "kept" / "8-bits").iterdir()
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"'phase-0001.safetensors' in the checkpoint is damaged"):
        fit(tmp_path / "kept")
    file.write_bytes(data[:100])
    with pytest.raises(DataError, match=r"'phase-0001.safetensors' in the checkpoint is damaged"):
        fit(tmp_path / "kept")
    file.unlink()
    assert fit(tmp_path / "kept").files() == fit().files()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("wheat was dear")
    with pytest.raises(UsageError, match=r"holds other files, such as 'letter\.txt'"):
        fit(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        fit(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_two_fits_do_not_share_a_checkpoint(tmp_path: Path) -> None:
    def listener(label: str, done: int, total: int | None, note: str = "") -> None:
        if label == "training" and done == 3:
            with pytest.raises(UsageError, match="another process trains with checkpoint"):
                fit(tmp_path / "kept")

    with listening(listener):
        fit(tmp_path / "kept")


def test_an_encoder_without_steps_leaves_no_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "hashret"):
        Hasher.fit(TEXTS, bits=8, encoder="itq", options={"checkpoint": str(tmp_path / "kept")})
    assert "encoder 'itq' is not trained in steps" in caplog.text
    assert not (tmp_path / "kept").exists()


def test_every_trained_encoder_saves_its_state(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((40, 12), np.float32)
    for name in ENCODERS.names():
        kind = ENCODERS.get(name)
        if kind.trained:
            from hashret.training import Schedule

            plan = Schedule(min_steps=2, max_steps=2, batch_size=16, device="cpu", checkpoint=str(tmp_path / name))
            kind().fit(Features(x, (12,), "unit"), 4, plan)
            assert list((tmp_path / name / "4-bits").glob("phase-*.safetensors")), name


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_killed_fit_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    lines = (json.dumps({"id": text.id, "text": text.content}) for text in TEXTS)
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))

    def command(hasher: str, *more: str) -> list[str]:
        options = {"max_steps": 400, "min_steps": 400, "batch_size": 32}
        settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        start = [sys.executable, "-m", "hashret", "fit", "texts.jsonl", "--hasher", hasher, "--bits", "16"]
        return [*start, "--device", "cpu", *settings, *more]

    kept = ("-o", "checkpoint=kept", "-o", "checkpoint_seconds=0.05")
    process = subprocess.Popen(command("killed", *kept), cwd=tmp_path, env=os.environ)
    file = tmp_path / "kept" / "16-bits" / "phase-0002.safetensors"
    while process.poll() is None and not file.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    subprocess.run(command("killed", *kept), cwd=tmp_path, check=True)
    subprocess.run(command("straight"), cwd=tmp_path, check=True)
    mine, theirs = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("killed", "straight"))
    assert mine == theirs
