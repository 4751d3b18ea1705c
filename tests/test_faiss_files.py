"""Vectors read from FAISS indexes: the values, the ids, and files that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from hashret import Document, Index
from hashret.errors import DataError, UsageError
from hashret.readers import read

X = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
IDS = np.random.default_rng(1).permutation(np.arange(300) * 7 + 3)
KINDS = ("Flat", "HNSW8", "IVF4,Flat", "NSG8")


def written(path: Path, kind: str, ids: Any = None) -> Path:
    index = faiss.index_factory(16, kind)
    if isinstance(index, faiss.IndexIVF):
        index.cp.min_points_per_centroid = 1
    index.train(X)
    index.add(X) if ids is None else index.add_with_ids(X, ids)
    faiss.write_index(index, str(path))
    return path


def contents(documents: Iterable[Document]) -> np.ndarray:
    return np.array([np.asarray(document.content) for document in documents])


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_that_were_added(kind: str, tmp_path: Path) -> None:
    source = read(written(tmp_path / "x", kind))
    documents = list(source)
    assert source.count() == 300
    assert [document.id for document in documents] == [f"x:{number}" for number in range(1, 301)]
    assert np.array_equal(contents(documents), X)


@pytest.mark.parametrize("kind", ["IDMap,Flat", "IDMap2,Flat", "IDMap,HNSW8", "IDMap,IVF4,Flat", "IVF4,Flat"])
def test_ids_are_those_of_the_index(kind: str, tmp_path: Path) -> None:
    documents = {document.id: np.asarray(document.content) for document in read(written(tmp_path / "x", kind, IDS))}
    assert documents.keys() == {str(id) for id in IDS}
    for id, row in zip(IDS, X, strict=True):
        assert np.array_equal(documents[str(id)], row)


def test_blocks_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashret.readers.faiss.CHUNK_ROWS", 7)
    assert np.array_equal(contents(read(written(tmp_path / "x", "IDMap,Flat", IDS))), X)


def test_compressed_vectors_are_said_to_be_approximate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "hashret")
    source = read(written(tmp_path / "x", "SQ8"))
    assert 0 < np.abs(contents(source) - X).max() < 0.1
    list(source)
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["its vectors are approximate"]


def test_an_index_is_made_of_a_faiss_index(tmp_path: Path) -> None:
    source = written(tmp_path / "x", "IDMap,Flat", IDS)
    with Index.create(tmp_path / "index", source, bits=16, encoder="itq", vectors="float") as index:
        assert list(index.ids) == [str(id) for id in IDS]
        assert index.search(X[5], k=1, by="vectors")[0].id == str(IDS[5])


def test_binary_codes_are_refused(tmp_path: Path) -> None:
    faiss.write_index_binary(faiss.IndexBinaryFlat(64), str(tmp_path / "x"))
    with pytest.raises(DataError, match="x is a FAISS index of binary codes; give the vectors"):
        read(tmp_path / "x")


def test_it_has_no_fields(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no fields"):
        read(written(tmp_path / "x", "Flat"), label="topic")


@pytest.mark.parametrize("kind", ["Flat", "IVF4,Flat", "HNSW8"])
def test_a_file_cut_short_is_an_error(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x", kind)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="x cannot be read as a FAISS index: damaged, or of a kind"):
        list(read(path))


@pytest.mark.parametrize(("at", "value"), [(4, b"\0\0\0\0"), (4, b"\xff\xff\xff\x7f"), (8, b"\xff" * 8)])
def test_a_damaged_header_is_an_error(at: int, value: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "x", "Flat")
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"claims .* vectors of .* dimensions; it is damaged"):
        read(path).count()


def test_a_damaged_file_never_ends_the_process(tmp_path: Path) -> None:
    data = written(tmp_path / "x", "HNSW8").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(10):
        damaged = bytearray(data)
        for place in rng.integers(36, len(data), 20):
            damaged[place] = rng.integers(256)
        (tmp_path / "x").write_bytes(damaged)
        with suppress(DataError):
            assert len(list(read(tmp_path / "x"))) == 300


def test_vectors_in_another_file_are_refused(tmp_path: Path) -> None:
    index: Any = faiss.read_index(str(written(tmp_path / "x", "IVF4,Flat")))
    lists = faiss.OnDiskInvertedLists(index.nlist, index.code_size, str(tmp_path / "lists"))
    lists.merge_from_1(index.invlists)
    index.replace_invlists(lists)
    faiss.write_index(index, str(tmp_path / "x"))
    with pytest.raises(DataError, match="keeps its vectors in other files"):
        list(read(tmp_path / "x"))


def test_a_nan_is_refused(tmp_path: Path) -> None:
    index = faiss.IndexFlatIP(2)
    index.add(np.array([[1, 2], [np.nan, 1]], np.float32))
    faiss.write_index(index, str(tmp_path / "x"))
    with pytest.raises(DataError, match=r"x, row 2 .* holds a NaN"):
        list(read(tmp_path / "x"))
