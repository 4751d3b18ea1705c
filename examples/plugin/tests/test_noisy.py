"""The encoder passes hashret's suite, and hashret finds it by name."""

from pathlib import Path

from hashret_noisy import Noisy

import hashret
from hashret.encoders import ENCODERS
from hashret.testing import EncoderSuite


class TestNoisy(EncoderSuite):
    encoder = Noisy


def test_hashret_finds_it_by_name() -> None:
    assert ENCODERS.get("noisy") is Noisy


def test_an_index_can_use_it(tmp_path: Path) -> None:
    texts = ["ships sail the sea", "the sea has waves", "wheat grows in fields", "fields of wheat and barley"]
    options = {"noise": 0.2, "epochs": 1, "min_steps": 20, "device": "cpu"}
    with hashret.Index.create(tmp_path / "index", texts, bits=8, encoder="noisy", options=options) as index:
        assert index.search(texts[2], k=1)[0].distance == 0
