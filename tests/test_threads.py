"""An index in several threads and processes: queries see one complete generation during changes."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from pathlib import Path

import pytest

from hashret import Document, Index


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Sixty documents; those with the same number have the same words."""
    return Index.create(tmp_path / "index", texts(0, 60), bits=16, encoder="lsh")


def texts(start: int, stop: int) -> list[str]:
    return [f"boat river number{n % 9} voyage{n % 7} harbour{n % 5}" for n in range(start, stop)]


def test_queries_in_threads_see_whole_generations_while_another_adds_and_deletes(index: Index) -> None:
    wrong: list[str] = []
    done = threading.Event()

    def ask() -> None:
        try:
            while not done.is_set():
                [hits] = index.search(["boat river number3"], k=1000)
                if len(hits) % 20 or len({hit.id for hit in hits}) != len(hits):
                    wrong.append(f"{len(hits)} hits")
        except Exception as error:  # noqa: BLE001  whatever it is, the test shall tell it
            wrong.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(60, 160, 20):
        before = set(index.ids)
        index.add(named(start))
        assert len(index) == len(before) + 20
        index.delete(sorted(set(index.ids) - before))
        index.compact()
        index.add(named(start))
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index) == 160
    assert index.verify() == []


def named(start: int) -> list[Document]:
    """Twenty documents with distinct ids."""
    return [Document(f"new{n}", text) for n, text in enumerate(texts(start, start + 20), start)]


def test_an_index_pickled_is_opened_again_by_its_path(index: Index) -> None:
    with pickle.loads(pickle.dumps(index)) as again:
        assert again.ids == index.ids
        assert [hit.id for hit in again.search(["boat"], k=5)[0]] == [hit.id for hit in index.search(["boat"], k=5)[0]]


def _asked(index: Index) -> list[str]:
    return [hit.id for hit in index.search(["boat river number3"], k=5)[0]]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_other_processes_answer_as_this_one(index: Index, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not start processes so")
    wanted = _asked(index)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_asked, (index,)) == wanted
