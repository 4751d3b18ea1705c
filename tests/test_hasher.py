"""The hasher: learned from documents, saved as three plain files, loaded without a training library."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hashret import files
from hashret.codes import check_codes
from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.encoders.base import Reconstructs
from hashret.encoders.lsh import LSH
from hashret.errors import DataError, HashretError, StoreError, UsageError
from hashret.hasher import Hasher, Settings
from hashret.options import option

PARTS = ["config", "encoder", "vocabulary", "weights"]


def part(folder: Path, name: str) -> Path:
    """Return the file of a part of a saved hasher; all names but config.json contain a checksum."""
    [found] = folder.glob(f"{name.partition('.')[0]}*")
    return found


@pytest.fixture(scope="module")
def hashers(texts: list[Document], images: list[Document], vectors: list[Document]) -> dict[str, Hasher]:
    """One document of each kind."""
    fast = {"epochs": 2, "min_steps": 20}
    return {
        "text": Hasher.fit(
            texts, bits=20, encoder="deep", options={**fast, "hidden": "16", "max_features": 40}, device="cpu"
        ),
        "image": Hasher.fit(images, bits=9, options={**fast, "hidden": "16"}, device="cpu"),
        "vector": Hasher.fit(vectors, bits=32, encoder="itq"),
    }


@pytest.fixture
def documents(request: pytest.FixtureRequest, texts: Any, images: Any, vectors: Any) -> dict[str, list[Document]]:
    return {"text": texts, "image": images, "vector": vectors}


@pytest.fixture
def saved(hashers: dict[str, Hasher], tmp_path: Path) -> Path:
    hashers["text"].save(tmp_path / "hasher")
    return tmp_path / "hasher"


class TestSaving:
    @pytest.mark.parametrize("kind", ["text", "image", "vector"])
    def test_a_hasher_that_is_loaded_is_the_one_saved(
        self, kind: str, hashers: dict[str, Hasher], documents: dict[str, list[Document]], tmp_path: Path
    ) -> None:
        wanted = hashers[kind]
        wanted.save(tmp_path / "a" / "b")
        found = Hasher.load(tmp_path / "a" / "b")
        assert found.fingerprint == wanted.fingerprint
        assert (found.bits, found.document_type, found.encoder) == (wanted.bits, kind, wanted.encoder)
        assert json.loads(json.dumps(wanted.params)) == json.loads(json.dumps(found.params))
        assert (found.encode(documents[kind]) == wanted.encode(documents[kind])).all()
        assert (found.logits(documents[kind]) == wanted.logits(documents[kind])).all()
        found.save(tmp_path / "again")
        for name in PARTS:
            again, first = part(tmp_path / "again", name), part(tmp_path / "a" / "b", name)
            assert (again.name, again.read_bytes()) == (first.name, first.read_bytes())

    def test_the_fingerprint_stands_for_what_decides_a_code(
        self, hashers: dict[str, Hasher], texts: list[Document]
    ) -> None:
        def fit(**other: Any) -> str:
            given: dict[str, Any] = {"bits": 20, "encoder": "lsh", "options": {"max_features": 40}} | other
            return Hasher.fit(texts, **given).fingerprint

        assert fit() == fit()
        others: list[dict[str, Any]] = [
            {"seed": 1},
            {"bits": 21},
            {"encoder": "pca"},
            {"options": {"max_features": 41}},
        ]
        assert len({fit(), *(fit(**other) for other in others), hashers["text"].fingerprint}) == 6

    def test_these_files_are_written_and_none_could_run_code(self, saved: Path) -> None:
        names = sorted(file.name for file in saved.iterdir())
        assert [name.partition("-")[0].removesuffix(".json") for name in names] == PARTS
        config = json.loads((saved / "config.json").read_text("utf-8"))
        assert config["format"] == 1
        assert isinstance(json.loads(part(saved, "vocabulary").read_text("utf-8")), list)
        assert load_file(part(saved, "weights"))

    def test_a_folder_of_other_files_is_left_alone(self, hashers: dict[str, Hasher], saved: Path) -> None:
        other = saved.parent / "app"
        other.mkdir()
        (other / "config.json").write_text('{"name": "a web app"}')
        with pytest.raises(UsageError, match=r"holds other files, such as 'config.json'"):
            hashers["text"].save(other)
        assert (other / "config.json").read_text() == '{"name": "a web app"}'
        assert len(list(other.iterdir())) == 1
        hashers["vector"].save(saved)  # an existing hasher is replaced
        assert Hasher.load(saved).fingerprint == hashers["vector"].fingerprint
        assert len(list(saved.iterdir())) == len(PARTS)

    def test_a_save_cut_off_anywhere_leaves_the_old_hasher_or_the_new(
        self, hashers: dict[str, Hasher], saved: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = hashers["text"].fingerprint, hashers["vector"].fingerprint
        for number in range(100):
            calls: list[str] = []

            def count(name: str, calls: list[str] = calls, number: int = number) -> None:
                calls.append(name)
                if len(calls) == number + 1:
                    raise KeyboardInterrupt

            with monkeypatch.context() as patched:
                for name in ("write", "replace", "rename", "sync", "remove"):
                    real = getattr(files.Root, name)

                    def counted(*args: Any, real: Any = real, name: str = name) -> Any:
                        count(name)
                        return real(*args)

                    patched.setattr(files.Root, name, counted)
                try:
                    hashers["vector"].save(saved)
                except KeyboardInterrupt:
                    assert Hasher.load(saved).fingerprint in (old, new)
                    continue
            break
        assert number > 5
        assert Hasher.load(saved).fingerprint == new

    def test_a_pickled_hasher_makes_the_same_codes(self, hashers: dict[str, Hasher], saved: Path, texts: Any) -> None:
        for hasher in (hashers["text"], Hasher.load(saved)):
            again = pickle.loads(pickle.dumps(hasher))
            assert again.fingerprint == hasher.fingerprint
            assert again.training == hasher.training
            assert (again.encode(texts) == hasher.encode(texts)).all()
            assert again.fitted.params() == hasher.fitted.params()

    def test_one_text_has_one_code(self, saved: Path) -> None:
        hasher = Hasher.load(saved)
        assert hasher.encode("the ship sails").tolist() == hasher.encode(["the ship sails"]).tolist()

    def test_no_module_names_pickle(self) -> None:
        import hashret

        for file in Path(hashret.__file__).parent.rglob("*.py"):
            text = file.read_text("utf-8")
            for word in ("import pickle", "torch.load", "torch.save", "joblib", "allow_pickle=True"):
                assert word not in text, (file, word)

    def test_encoding_after_loading_needs_no_training_library(self, saved: Path) -> None:
        script = (
            "import sys; from hashret.hasher import Hasher; h = Hasher.load(sys.argv[1]);"
            "print(h.encode(['the ship sails', '']).tolist());"
            "print([m for m in ('torch', 'sklearn', 'scipy', 'faiss', 'h5py', 'pandas') if m in sys.modules])"
        )
        found = subprocess.run([sys.executable, "-c", script, saved], capture_output=True, text=True, check=True)
        codes, modules = found.stdout.splitlines()
        assert modules == "[]"
        assert json.loads(codes) == Hasher.load(saved).encode(["the ship sails", ""]).tolist()


def damage_json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = part(folder, name)
        file.write_text(json.dumps(change(json.loads(file.read_text("utf-8")))), "utf-8")

    return damage


def without(*keys: str) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        inner = value
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return value

    return change


def damage_weights(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        save_file(change(load_file(part(folder, "weights"))), part(folder, "weights"))

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = part(folder, name)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return damage


def empty(name: str) -> Callable[[Path], object]:
    return lambda folder: part(folder, name).write_bytes(b"")


def lose(name: str) -> Callable[[Path], object]:
    return lambda folder: part(folder, name).unlink()


DAMAGE: dict[str, Callable[[Path], object]] = {
    **{f"cut {name}": cut(name) for name in PARTS},
    **{f"empty {name}": empty(name) for name in PARTS},
    **{f"lost {name}": lose(name) for name in PARTS[1:]},
    "another kind": damage_json("config.json", lambda c: c | {"kind": "web app"}),
    "a file outside": damage_json("config.json", lambda c: c | {"files": c["files"] | {"weights": "../weights"}}),
    "no UTF-8": lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\x00{}"),
    "deep": lambda folder: (folder / "config.json").write_text("[" * 100_000),
    "newer": damage_json("config.json", lambda c: c | {"format": 2}),
    "format no number": damage_json("config.json", lambda c: c | {"format": "x"}),
    "config a list": damage_json("config.json", lambda c: [c]),
    "config a number": damage_json("config.json", lambda c: 1),
    "another number of bits": damage_json("config.json", lambda c: c | {"bits": 21}),
    "program a text": damage_json("config.json", lambda c: c | {"program": "relu"}),
    "program of texts": damage_json("config.json", lambda c: c | {"program": ["relu"]}),
    "no program": damage_json("config.json", lambda c: c | {"program": []}),
    "unknown operation": damage_json("config.json", lambda c: c | {"program": [{"op": "exec"}, *c["program"]]}),
    "operation without weight": damage_json(
        "config.json", lambda c: c | {"program": [{"op": "linear"}, *c["program"]]}
    ),
    "tensor's name no text": damage_json(
        "config.json", lambda c: c | {"program": [{"op": "linear", "weight": []}, *c["program"]]}
    ),
    "facts a list": damage_json("config.json", lambda c: c | {"facts": []}),
    "shape a number": damage_json("config.json", lambda c: c | {"shape": 3}),
    "shape of texts": damage_json("config.json", lambda c: c | {"shape": ["a"]}),
    "another shape": damage_json("config.json", lambda c: c | {"shape": [41]}),
    "unknown vectorizer": damage_json("config.json", lambda c: c | {"vectorizer": {"name": "x", "options": {}}}),
    "unknown option": damage_json("config.json", lambda c: c | {"vectorizer": {"name": "tfidf", "options": {"x": 1}}}),
    "vectorizer a text": damage_json("config.json", lambda c: c | {"vectorizer": "tfidf"}),
    "options a list": damage_json("config.json", lambda c: c | {"vectorizer": {"name": "tfidf", "options": [1]}}),
    **{f"no {key}": damage_json("config.json", without(key)) for key in ("format", "bits", "vectorizer", "shape")},
    "no encoder name": damage_json("config.json", without("encoder", "name")),
    "encoder a text": damage_json("config.json", lambda c: c | {"encoder": "deep"}),
    "a word more": damage_json("vocabulary.json", lambda v: [*v, "more"]),
    "vocabulary a number": damage_json("vocabulary.json", lambda v: 5),
    "vocabulary of numbers": damage_json("vocabulary.json", lambda v: list(range(len(v)))),
    "no threshold": damage_weights(lambda t: {k: v for k, v in t.items() if k != "program.threshold"}),
    "weight of another shape": damage_weights(
        lambda t: {k: np.ascontiguousarray(v[:-1]) if k.endswith(".weight") else v for k, v in t.items()}
    ),
    "no weights for words": damage_weights(lambda t: {k: v for k, v in t.items() if k != "vectorizer.idf"}),
}


class TestDamage:
    @pytest.mark.parametrize("what", DAMAGE)
    def test_a_damaged_hasher_is_refused(self, what: str, saved: Path) -> None:
        DAMAGE[what](saved)
        with pytest.raises(StoreError):
            Hasher.load(saved).fitted  # noqa: B018

    @pytest.mark.parametrize("how", ["cut", "empty", "lost"])
    def test_what_only_the_encoder_needs_may_be_damaged(self, how: str, saved: Path, texts: list[Document]) -> None:
        before = Hasher.load(saved).encode(texts)
        DAMAGE[f"{how} encoder"](saved)
        assert (Hasher.load(saved).encode(texts) == before).all()

    def test_an_encoder_comes_back_whole(self, saved: Path, hashers: dict[str, Hasher], texts: list[Document]) -> None:
        x = next(hashers["text"].features(texts))
        wanted, found = hashers["text"].fitted, Hasher.load(saved).fitted
        assert isinstance(wanted, Reconstructs)
        assert isinstance(found, Reconstructs)
        assert (found.reconstruct(x) == wanted.reconstruct(x)).all()

    def test_a_newer_one_says_so(self, saved: Path) -> None:
        DAMAGE["newer"](saved)
        with pytest.raises(StoreError, match="has format 2, this hashret reads 1"):
            Hasher.load(saved)

    def test_a_folder_without_one_is_the_wrong_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no hasher at"):
            Hasher.load(tmp_path)


class TestEncoding:
    def test_codes_are_the_logits_above_their_thresholds(
        self, hashers: dict[str, Hasher], texts: list[Document]
    ) -> None:
        made = hashers["text"]
        bits = made.logits(texts) > made.program.threshold
        codes = check_codes(made.encode(texts), 20)
        assert (np.unpackbits(codes, axis=1, bitorder="little")[:, :20] == bits).all()

    def test_all_at_once_is_one_by_one(self, hashers: dict[str, Hasher], documents: dict[str, list[Document]]) -> None:
        for kind, made in hashers.items():
            some = documents[kind][:50]
            at_once = made.logits(some)
            alone = np.concatenate([made.logits([document]) for document in some])
            margin = np.abs(at_once - made.program.threshold)
            same = (at_once > made.program.threshold) == (alone > made.program.threshold)
            assert (same | (margin < 1e-5 * np.ptp(at_once))).all()

    def test_bare_contents_are_documents(self, hashers: dict[str, Hasher], texts: list[Document]) -> None:
        bare = [document.content for document in texts[:5]]
        assert (hashers["text"].encode(bare) == hashers["text"].encode(texts[:5])).all()
        assert (hashers["text"].encode(iter(bare)) == hashers["text"].encode(bare)).all()

    def test_nothing_has_no_codes(self, hashers: dict[str, Hasher]) -> None:
        assert hashers["text"].encode([]).shape == (0, 3)
        assert hashers["text"].logits([]).shape == (0, 20)

    def test_an_empty_text_has_a_code(self, hashers: dict[str, Hasher]) -> None:
        assert hashers["text"].encode([""]).shape == (1, 3)

    def test_a_document_of_another_kind_is_refused(self, hashers: dict[str, Hasher]) -> None:
        with pytest.raises(DataError, match="text reads texts, but '0' is a vector"):
            hashers["text"].encode([np.zeros(3)])


@dataclass(kw_only=True, repr=False, eq=False)
class Greedy(LSH):
    """Has an option that the schedule has too."""

    patience: int = option(3, "of its own")
    name = "greedy"


class TestOptions:
    def test_each_goes_to_the_part_that_knows_it(self) -> None:
        given = {
            "hidden": "8",
            "max_features": "50",
            "epochs": "4",
            "vectorizer.min_df": 1,
            "schedule.learning_rate": "0.1",
        }
        settings = Settings("bernoulli", "tfidf", given)
        assert settings.encoder.params()["hidden"] == (8,)
        assert settings.vectorizer("text").params() == {"max_features": 50, "min_df": 1, "max_df": 0.5}
        assert (settings.schedule.epochs, settings.schedule.learning_rate) == (4, 0.1)

    def test_one_that_nobody_knows_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="unknown option 'epoch'; did you mean 'epochs'"):
            Settings("lsh", None, {"epoch": 3})
        for key in ("schedule.hidden", "nonsense.epochs", "encoder."):
            with pytest.raises(UsageError, match="unknown option"):
                Settings("bernoulli", None, {key: 3})

    def test_one_of_another_encoder_is_refused(self) -> None:
        with pytest.raises(UsageError, match="unknown option 'rounds'"):
            Settings("lsh", None, {"rounds": 3})

    def test_one_that_two_parts_know_needs_a_prefix(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(ENCODERS.entries, "greedy", f"{__name__}:Greedy")
        with pytest.raises(UsageError, match=r"'patience' is known to encoder and schedule; use encoder.patience"):
            Settings("greedy", None, {"patience": 9})
        settings = Settings("greedy", None, {"encoder.patience": 9})
        assert (settings.encoder.params()["patience"], settings.schedule.patience) == (9, 5)

    def test_a_value_out_of_bounds_is_refused(self, texts: list[Document]) -> None:
        for options in ({"patience": 0}, {"max_features": 0}, {"hidden": "0"}):
            with pytest.raises(UsageError, match="must be at least 1"):
                Hasher.fit(texts, options=options)

    def test_a_seed_among_the_options_counts(self, texts: list[Document]) -> None:
        named = Hasher.fit(texts, bits=8, encoder="lsh", seed=5).fingerprint
        for key in ("seed", "schedule.seed"):
            assert Hasher.fit(texts, bits=8, encoder="lsh", options={key: 5}).fingerprint == named

    def test_unknown_names_are_refused_before_anything_is_read(self) -> None:
        def never() -> Any:
            raise AssertionError
            yield

        for wrong in ({"encoder": "lhs"}, {"vectorizer": "tf"}, {"bits": 0}, {"options": {"x": 1}}, {"seed": -1}):
            with pytest.raises(UsageError):
                Hasher.fit(never(), **wrong)


class TestFitting:
    def test_no_documents_are_refused(self) -> None:
        with pytest.raises(DataError, match="no documents to learn from"):
            Hasher.fit([])

    def test_documents_of_two_kinds_are_refused(self, texts: list[Document], vectors: list[Document]) -> None:
        with pytest.raises(DataError, match="'vector-0' is a vector"):
            Hasher.fit([texts[0], vectors[0]], encoder="lsh")

    def test_labels_decide_nothing(self, texts: list[Document]) -> None:
        bare = [Document(document.id, document.content) for document in texts]
        fits = [Hasher.fit(some, bits=8, encoder="itq").fingerprint for some in (texts, bare)]
        assert fits[0] == fits[1]

    def test_a_sample_is_drawn_by_the_seed_and_keeps_the_order(self, texts: list[Document]) -> None:
        def drawn(seed: int) -> list[int]:
            settings = Settings("lsh", None, {"sample": 50, "seed": seed})
            return [int(document.id.split("-")[1]) for document in settings.draw(texts)]

        assert len(set(drawn(0))) == 50
        assert drawn(0) == sorted(drawn(0))
        assert drawn(0) == drawn(0)
        assert drawn(0) != drawn(1)
        assert max(drawn(0)) > 150

    def test_a_sample_is_drawn_evenly(self, texts: list[Document]) -> None:
        counts = np.zeros(20)
        for seed in range(400):
            for document in Settings("lsh", None, {"sample": 5, "seed": seed}).draw(texts[:20]):
                counts[int(document.id.split("-")[1])] += 1
        assert counts.sum() == 2000
        assert 60 < counts.min() <= counts.max() < 145

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_very_few_documents_do_or_say_why_not(self, count: int, texts: list[Document]) -> None:
        for encoder in ENCODERS.names():
            options = {"epochs": 1, "min_steps": 2} if ENCODERS.get(encoder).trained else {}
            fit = partial(Hasher.fit, texts[:count], bits=8, encoder=encoder, options=options, device="cpu")
            if encoder == "pca" or (encoder in ("itq", "spectral") and count == 1):
                with pytest.raises(HashretError, match="components"):
                    fit()
            else:
                assert fit().encode(texts[:9]).shape == (9, 1)
