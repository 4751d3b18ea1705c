"""Groups of near-duplicates: in an index, in a source, and between the two."""

from __future__ import annotations

import itertools
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashret
from hashret import Document, Index, UsageError, duplicates
from hashret.deduplication import candidates, finding
from hashret.deduplication.collection import Read, Stored
from hashret.deduplication.memory import RULES, Memory, pair_digests
from hashret.deduplication.report import differences
from hashret.deduplication.shingles import Shingles
from hashret.errors import DataError, UnknownId
from hashret.extensions import extension
from hashret.search.join import Pairs, pairs_between, pairs_within
from hashret.testing.corpora import make_vectors

WORDS = [f"{a}{b}{c}{d}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst" for d in ("ak", "in", "os", "ure")]


def text_of(seed: int, length: int = 40) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(length))


def changed(text: str, words: int, seed: int = 0) -> str:
    rng, parts = random.Random(seed), text.split()
    for place in rng.sample(range(len(parts)), words):
        parts[place] = "".join(rng.choices("pqvwxyz", k=8))
    return " ".join(parts)


def jaccard(first: set[Any], second: set[Any]) -> float:
    return len(first & second) / len(first | second)


def groups_of(found: hashret.Duplicates) -> list[list[str]]:
    return [[member.id for member in group.members] for group in found]


@pytest.fixture
def many() -> list[Document]:
    """300 texts; every third is followed by a copy with two words changed."""
    found = []
    for number in range(300):
        text = text_of(number)
        found.append(Document(f"t{number}", text))
        if number % 3 == 0:
            found.append(Document(f"t{number}-copy", changed(text, 2, number)))
    return found


def test_groups_in_an_index_a_source_and_between(many: list[Document], tmp_path: Path) -> None:
    expected = [[f"t{number}", f"t{number}-copy"] for number in range(0, 300, 3)]
    found = duplicates(many)
    assert groups_of(found) == expected
    assert found.documents == 400
    assert all(0 < group.members[1].distance <= 30 for group in found)
    assert all(0.6 <= group.members[1].similarity < 1 for group in found)
    with Index.create(tmp_path / "a", many, bits=16, encoder="itq", language="none") as index:
        assert index.duplicates().rows() == found.rows()
        assert index.delete(index.duplicates().drop) == 100
        assert not index.duplicates()
        copies = [own for own in many if own.id.endswith("-copy")]
        across = index.duplicates(copies)
        assert groups_of(across) == expected
        assert all(member.new for group in across for member in group.members[1:])
        assert [pair.distance for pair in across.pairs] == [pair.distance for pair in found.pairs]


def test_pairs_are_those_of_brute_force(many: list[Document]) -> None:
    """Of all pairs whose sketches are near, those are found that are similar; nothing is missed."""
    found = duplicates(many, threshold=0.05, radius=60)
    words = [{*str(own.content).split()} for own in many]
    shingles = [{*itertools.pairwise(str(own.content).split())} for own in many]
    near = pairs_within(Read(many).sketches, 60)
    expected = set()
    for a, b in zip(near.first.tolist(), near.second.tolist(), strict=True):
        contained = len(words[a] & words[b]) / min(len(words[a]), len(words[b]))
        similarity = 0.4 * (jaccard(words[a], words[b]) + jaccard(shingles[a], shingles[b])) + 0.2 * contained
        if similarity >= 0.05:
            expected.add((many[a].id, many[b].id, round(similarity, 9)))
    assert {(pair.first, pair.second, round(pair.similarity, 9)) for pair in found.pairs} == expected
    assert len(expected) >= 100


def test_thresholds() -> None:
    text = text_of(1, 60)
    texts = [text, text.upper() + "!", changed(text, 3), changed(text, 16, 5), text_of(2, 60)]
    assert groups_of(duplicates(texts, threshold="exact")) == [["0", "1"]]
    assert groups_of(duplicates(texts, threshold=1)) == [["0", "1"]]
    assert groups_of(duplicates(texts)) == [["0", "1", "2"]]
    assert groups_of(duplicates(texts, threshold="similar")) == [["0", "1", "2", "3"]]
    assert groups_of(duplicates(texts, threshold=0.95)) == [["0", "1"]]


def test_which_one_is_kept() -> None:
    text = text_of(3)
    documents = [
        Document("c", text),
        Document("b", f"{text} and more", labels=("x",)),
        Document("a", f"{text} and more words", metadata={"bytes": 3}),
    ]
    wanted = {"first": "c", "last": "a", "longest": "a", "largest": "b", "label": "b"}
    for keep, id in wanted.items():
        assert duplicates(documents, keep=keep)[0].keep == id
    for keep in ("longest", "largest"):  # whatever the order and the number of threads
        for order in itertools.permutations(documents):
            found = duplicates(order, keep=keep, threads=len(order))
            assert found[0].keep == wanted[keep]


def test_no_chains() -> None:
    """A is near B, and B near C, but A is not near C: C is in no group with A."""
    text = text_of(4, 60)
    a, b, c = text, changed(text, 6, 1), changed(changed(text, 6, 1), 6, 2)
    for order in itertools.permutations([("a", a), ("b", b), ("c", c)]):
        found = duplicates([Document(*own) for own in order], threshold=0.73)
        assert {(*sorted((pair.first, pair.second)),) for pair in found.pairs} == {("a", "b"), ("b", "c")}
        assert all({"a", "c"} - set(group) for group in groups_of(found))


def test_nothing_to_compare() -> None:
    texts = ["cat", "dog", "", "", "!", "?", "cat", "…", "a"]
    assert groups_of(duplicates(texts, threshold="similar")) == [["0", "6"], ["2", "3"]]
    assert groups_of(duplicates([])) == []
    assert groups_of(duplicates(["one text"])) == []


def test_forms_that_differ_in_numbers_stay_apart() -> None:
    form = "Invoice {} of the carpenter in the old town. Thank you for your order; please pay {}.{:02} crowns soon."
    texts = [form.format(1000 + number, 7 * number % 97, number % 60) for number in range(200)]
    found = duplicates(texts, threshold="similar")
    assert not found
    assert found.facts["apart"] > 1000
    assert groups_of(duplicates([*texts, texts[5]])) == [["5", "200"]]


def test_ten_equal_documents_are_one_group() -> None:
    texts = [text_of(number) for number in range(20)] + 10 * [text_of(5)]
    assert groups_of(duplicates(texts)) == [["5", *map(str, range(20, 30))]]


def test_many_equal_documents_take_linear_time() -> None:
    began = time.perf_counter()
    found = duplicates(5000 * ["the same text again and again"])
    assert [len(group) for group in found] == [5000]
    unknown = duplicates([f"{'!' * (number % 70 + 1)}{'?' * (number // 70 + 1)}" for number in range(5000)])
    assert not unknown  # all have the sketch of a text without words
    assert time.perf_counter() - began < 20


def test_a_radius_beyond_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text_of(number, 6) for number in range(3000)]
    monkeypatch.setattr(candidates, "MOST", 100_000)
    with pytest.raises(
        UsageError, match=r"about \d+\.\d\d% of all pairs, .* are within 90 of 128 bits; at most 100,000"
    ):
        duplicates(texts, radius=90)


def test_the_radius_depends_on_the_number_of_pairs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, many: list[Document]
) -> None:
    caplog.set_level("INFO")
    sketches = Read(many).sketches
    wide, less, least = (len(pairs_within(sketches, radius).first) for radius in (48, 44, 40))
    for affordable, radius in ((wide, 48), (wide - 1, 44), (less - 1, 40), (least, 40), (0, 30)):
        monkeypatch.setattr(candidates, "AFFORDABLE", affordable)
        caplog.clear()
        assert duplicates(many, threshold="similar").facts["radius"] == radius
        told = f"compared pairs within {radius} of 128 bits; a radius of 48 would find more, among about {wide:,} pairs"
        assert caplog.messages == ([] if radius == 48 else [told])
    assert duplicates(many, radius=41).facts["radius"] == 41
    assert duplicates(many).facts["radius"] == 30
    monkeypatch.undo()
    assert duplicates(many).facts["radius"] == 36
    assert duplicates(many, verify=False).facts["radius"] == 30  # nothing else decides


def test_wrong_arguments(tmp_path: Path) -> None:
    for threshold in ("close", 0, 1.5, True, "0.5"):
        with pytest.raises(UsageError, match="threshold must be exact, near, similar, or a number"):
            duplicates(["a"], threshold=threshold)
    with pytest.raises(UsageError, match="keep must be one of first, last"):
        duplicates(["a"], keep="best")
    with pytest.raises(UsageError, match="radius must be 0 to 128"):
        duplicates(["a"], radius=129)
    with Index.create(tmp_path / "a", ["some text", "another one"], bits=8) as index:
        with pytest.raises(DataError, match="the index holds documents of type text, not vector"):
            index.duplicates(np.eye(2, dtype=np.float32))
        with pytest.raises(UsageError, match="cannot be different from itself"):
            index.mark_different("0", "0")
        with pytest.raises(UnknownId):
            index.mark_different("0", "zz")


def test_verdicts_are_remembered(many: list[Document], tmp_path: Path) -> None:
    with Index.create(tmp_path / "a", many, bits=16, encoder="itq") as index:
        index.mark_different("t3-copy", "t3")
        index.mark_different("t3", "t3-copy")
    with Index.open(tmp_path / "a") as index:
        found = index.duplicates()
        assert len(found) == 99
        assert "t3-copy" not in found.drop
        assert ("t3", "t3-copy") not in {(pair.first, pair.second) for pair in found.pairs}
        assert len(index.duplicates([many[1]])) == 1
        index.mark_different("t3", "t3-copy", different=False)
        assert len(index.duplicates()) == 100
    assert hashret.verify(tmp_path / "a") == []


def test_only_new_documents_are_compared(many: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "CACHED", 10)
    compared: list[int] = []

    def counted(new: np.ndarray, *rest: Any) -> Pairs:
        compared.append(len(new))
        return pairs_between(new, *rest)

    monkeypatch.setattr(candidates, "pairs_between", counted)
    with Index.create(tmp_path / "a", many[:350], bits=16, encoder="itq", language="none") as index:
        assert index.duplicates().rows() == duplicates(many[:350]).rows()
        assert (tmp_path / ".a.pairs").is_file()
        index.add(many[350:])
        index.delete([many[1].id, many[40].id])
        rest = [own for own in many if own.id not in (many[1].id, many[40].id)]
        assert index.duplicates().rows() == duplicates(rest).rows()
        assert compared == [50]
        assert index.duplicates(threshold=0.95).rows() == duplicates(rest, threshold=0.95).rows()
        assert index.duplicates(threshold="similar").rows() == duplicates(rest, threshold="similar").rows()
        assert compared == [50]  # a larger radius begins anew
        (tmp_path / ".a.pairs").write_bytes(b"damaged")
        assert index.duplicates().rows() == duplicates(rest).rows()


def test_only_new_documents_are_read(many: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "CACHED", 10)
    read: list[int] = []
    stored = Stored.items

    def counted(self: Stored, places: np.ndarray) -> Any:
        read.append(len(places))
        return stored(self, places)

    monkeypatch.setattr(Stored, "items", counted)
    with Index.create(tmp_path / "a", many[:350], bits=16, encoder="itq", language="none") as index:
        first = index.duplicates().rows()
        assert sum(read) >= 170
        read.clear()
        assert index.duplicates().rows() == first
        longest = duplicates(many[:350], threshold=0.9, keep="longest")
        assert index.duplicates(threshold=0.9, keep="longest").rows() == longest.rows()
        assert sum(read) == 0
        index.add(many[350:])
        assert index.duplicates().rows() == duplicates(many).rows()
        assert sum(read) <= 50
        index.add([Document(many[1].id, "Something else that nobody wrote before.")], replace=True)
        assert len(index.duplicates()) == len(duplicates(many)) - 1
        (tmp_path / ".a.verified").write_bytes(b"damaged")
        assert len(index.duplicates()) == len(duplicates(many)) - 1
        index.mark_different("t3", "t3-copy")
        assert len(index.duplicates()) == len(duplicates(many)) - 2
        assert len(index.duplicates([many[4]])) == 1


def test_a_damaged_memory_is_no_memory(tmp_path: Path) -> None:
    digests = np.arange(6, dtype=np.uint64).reshape(3, 2)
    made = Memory.of_documents(np.array([7, 3, 5]), digests, np.zeros((3, 3), np.int64))
    earlier, later = np.array([0, 1]), np.array([1, 2])
    pairs = pair_digests(digests, earlier, later)
    made = made.with_pairs(pairs, np.array([0.5, 0.7]), np.array([0, -1], np.int8))
    made.write(tmp_path / "m")
    again = Memory.read(tmp_path / "m")
    assert again.find_documents(np.array([5, 4, 7])).tolist() == [1, -1, 2]
    assert again.digests[again.find_documents(np.array([3]))].tolist() == [[2, 3]]
    place = again.find_pairs(pair_digests(digests, later, earlier))  # in the other order
    assert again.similarities[place].tolist() == [0.5, 0.7]
    assert again.find_pairs(pair_digests(digests, earlier[:1], later[1:])).tolist() == [-1]
    wrong = (
        {"keys": again.keys[:2]},
        {"apart": again.apart.astype(float)},
        {"pairs": again.pairs[:, :1]},
        {"rules": 0},
    )
    for own, known in (({}, 3), *((one, 0) for one in wrong)):
        with (tmp_path / "m").open("wb") as file:
            np.savez(file, **{**vars(again), "rules": RULES, **own})
        assert len(Memory.read(tmp_path / "m").keys) == known
    assert len(Memory.read(tmp_path / "missing").keys) == 0
    made.write(tmp_path / "no" / "such" / "folder")


def test_a_source_that_changes_is_an_error(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text(text_of(1))
    source, read = hashret.read(tmp_path), Read.items

    def changed_source(self: Read, places: np.ndarray) -> Any:
        (tmp_path / "b.txt").unlink()
        return read(self, places)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Read, "items", changed_source)
        with pytest.raises(DataError, match="the source changed while it was read"):
            duplicates(source)


def test_damaged_files_of_pairs(tmp_path: Path) -> None:
    sketches = np.arange(16 * 5, dtype=np.uint8).reshape(5, 16)
    path, good = tmp_path / "p", {"sketches": sketches, "distances": np.zeros(1, np.uint16)}
    good |= {"pairs": np.array([[0, 4]], np.uint32), "radius": np.array(9)}
    for wrong in ({"pairs": np.array([[0, 5]], np.uint32)}, {"sketches": sketches[:, :3]}, {"pairs": np.zeros(3)}):
        with path.open("wb") as file:
            np.savez(file, **{**good, **wrong})  # type: ignore[arg-type]
        assert candidates._read(path, 9)[1] is None
    with path.open("wb") as file:
        np.savez(file, **good)  # type: ignore[arg-type]
    assert candidates._read(path, 10)[1] is None
    assert candidates._read(path, 9)[1] is not None


def test_vectors(tmp_path: Path) -> None:
    base = make_vectors()[:50]
    rng = np.random.default_rng(0)
    near = [Document(f"{own.id}-copy", np.asarray(own.content) + rng.normal(0, 1e-3, 64)) for own in base[:10]]
    documents = [*base, *near, Document("equal", base[20].content)]
    found = duplicates(documents, threshold=0.999)
    expected = [[own.id, f"{own.id}-copy"] for own in base[:10]]
    assert {tuple(group) for group in groups_of(found)} >= {tuple(group) for group in expected}
    with Index.create(tmp_path / "a", documents, bits=16, encoder="itq", vectors="float") as index:
        assert groups_of(index.duplicates(threshold=0.999)) == groups_of(found)
    with Index.create(tmp_path / "b", documents, bits=16, encoder="itq") as index:
        with pytest.raises(DataError, match=r"the index stores no vectors that could be compared.*verify=False"):
            index.duplicates()
        by_sketches = index.duplicates(verify=False, radius=3)
        assert [base[20].id, "equal"] in groups_of(by_sketches)


def test_cleaned_collections() -> None:
    texts = ["wheat was dear that year", "a ship sailed north", "Wheat was dear, that year."]
    found = duplicates(texts)
    assert found.cleaned(texts) == texts[:2]
    assert found.cleaned(np.array(texts)).tolist() == texts[:2]
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"text": texts})
    assert duplicates(table).cleaned(table).column("text").to_pylist() == texts[:2]
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": texts})
    assert duplicates(frame).cleaned(frame)["text"].tolist() == texts[:2]


def test_shingles_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text_of(1), changed(text_of(1), 5), "word", "word", "", "麦の収穫 was 12", text_of(9)]
    made, first, second = [], *(np.array(own) for own in zip(*itertools.combinations(range(7), 2), strict=True))
    for compiled in (extension("_pairs"), None):
        monkeypatch.setattr("hashret.deduplication.shingles._compiled", compiled)
        shingles = Shingles()
        for text in texts:
            shingles.add(text)
        made.append(shingles.pairs_of.shared(first, second).tolist())
    assert made[0] == made[1]
    assert max(made[0]) > 20


def test_all_pairs_of_leaders_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "LEADERS", 2)
    texts = [f"{text_of(1)} {sign}" for sign in ("!", "?", "...", "--")] + ["!", "?", "..", "--"]
    assert groups_of(duplicates(texts)) == [["0", "1", "2", "3"]]


def test_differences_are_marked() -> None:
    left, right = differences("wheat was <dear>", "wheat was cheap")
    assert left == "wheat was <del>&lt;dear&gt;</del>"
    assert right == "wheat was <ins>cheap</ins>"


def test_rows_and_repr() -> None:
    found = duplicates(["wheat was dear that year", "a ship sailed north", "Wheat was dear, that year."])
    assert repr(found) == "Duplicates(1 group, 1 document to drop, of 3)"
    assert json.loads(json.dumps(found.rows())) == [
        {"group": 0, "id": "0", "distance": 0, "similarity": 1.0, "keep": True},
        {"group": 0, "id": "2", "distance": 0, "similarity": 1.0, "keep": False},
    ]
    assert found.facts == {"type": "text", "threshold": 0.55, "radius": 36, "within": 0, "apart": 0}
