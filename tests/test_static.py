"""Word vectors trained elsewhere, in addition to those learned from the corpus."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashret.documents import Document
from hashret.errors import MissingExtra, UsageError
from hashret.hasher import Hasher
from hashret.vectorizers.static import static_vectors
from hashret.vectorizers.text import Text

from .samples import dense

WORDS = ("car", "lorry", "apple", "pear", "the")
MEANS = np.array([[0, 0], [4, 0], [4, 0.1], [0, 4], [0.1, 4], [2, 2]], np.float32)  # the first one is for unknown words


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from model2vec import StaticModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(("[UNK]", *WORDS))}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    StaticModel(MEANS, tokenizer).save_pretrained(str(tmp_path / "model"))
    return tmp_path / "model"


def documents() -> list[Document]:
    texts = ["the car", "the lorry", "the apple", "the pear"] * 10
    return [Document(str(i), text) for i, text in enumerate(texts)]


def test_words_that_never_met_are_near_by_what_the_model_knows(model: Path) -> None:
    vectors = dense(Text(static=str(model)).fit(documents()).input)
    alone = dense(Text().fit(documents()).input)
    assert vectors.shape[1] == alone.shape[1] + 2
    known = vectors[:4, -2:]
    assert known[0] @ known[1] > 0.9
    assert known[0] @ known[2] < 0  # centred by the weighted mean of the word vectors
    assert np.array_equal(vectors[:, :-2], alone)


def test_what_was_learned_needs_no_model_any_more(model: Path, tmp_path: Path, fast: dict[str, Any]) -> None:
    hasher = Hasher.fit(documents(), bits=8, options={"static": str(model), **fast})
    before = hasher.encode(["a car", "some pear"])
    hasher.save(tmp_path / "hasher")
    shutil.rmtree(model)
    assert np.array_equal(Hasher.load(tmp_path / "hasher").encode(["a car", "some pear"]), before)


def test_minilm_is_taken_from_the_cache(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    shutil.copytree(model, tmp_path / "cache" / "minilm-256")
    assert static_vectors("minilm")(["car"]).tolist() == [[4, 0]]


def test_a_model_that_is_not_there_is_told(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"static must be 'minilm' or a folder .* 'nowhere' has no config.json"):
        Text(static="nowhere").fit(documents())
    (model / "tokenizer.json").write_text("{", "utf-8")
    with pytest.raises(UsageError, match="cannot be read as a model2vec model"):
        Text(static=str(model)).fit(documents())
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"hashret\[static\]"):
        static_vectors("minilm")
    assert not (tmp_path / "cache").exists()
