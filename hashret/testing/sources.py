"""`SourceSuite`, the contract of all sources."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hashret.documents import Document, kind_of
from hashret.errors import DataError
from hashret.readers import Fields, Source, Stamped, read

COUNT = 5
ODD_NAMES = ["with space", "новости 猫", "line\nbreak", "quote'\"#%", "-", "a+b;c"]


def label_of(number: int) -> str:
    """Return the label of the document with this number in the example."""
    return "odd" if number % 2 else "even"


def same(left: Document, right: Document) -> bool:
    """Whether two documents are equal, with arrays compared by value."""
    if isinstance(left.content, np.ndarray):
        contents = isinstance(right.content, np.ndarray) and np.array_equal(left.content, right.content)
    else:
        contents = left.content == right.content
    return contents and (left.id, left.labels, left.metadata) == (right.id, right.labels, right.metadata)


class SourceSuite:
    """Contract tests of a source. Subclass it, set `source`, and write an example in `write`.

    `hashret.read` must detect the example, so the source must be registered by an entry point.
    """

    source: ClassVar[type[Source]]

    fields: ClassVar[Fields] = Fields()
    """Fields to read the example with."""

    kind: ClassVar[str] = "text"
    """Kind of the documents."""

    labels: ClassVar[Sequence[str]] = ("even", "odd")
    """Labels of even and odd documents; empty for a source without labels."""

    movable: ClassVar[bool] = True
    """Whether the example can be renamed."""

    deciding: ClassVar[Sequence[str]] = ()
    """Suffixes that select another source, because the format has no signature."""

    broken: ClassVar[bytes] = b"x\tno json and no row\n\n"
    """Bytes that make the end of the example unreadable; empty if there are none, or if it is read at once."""

    def write(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Write `COUNT` documents with the labels of `label_of` to the folder; return the path to read."""
        raise NotImplementedError

    def move(self, path: Path, target: Path) -> Path:
        """Move the example to the target and return its new path."""
        return path.rename(target)

    def spoil(self, path: Path) -> None:
        """Append `broken` to the example."""
        with path.open("ab") as stream:
            stream.write(self.broken)

    def read(self, path: Path) -> Source:
        """Return the example as a source."""
        return read(path, fields=self.fields)

    @pytest.fixture
    def example(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Path of the example."""
        folder = tmp_path / "example"
        folder.mkdir()
        return self.write(folder, monkeypatch)

    @pytest.fixture
    def file(self, example: Path) -> Path:
        """Path of the example, for tests that rename it."""
        if not self.movable:
            pytest.skip("has no name of its own")
        return example

    def test_it_describes_itself(self) -> None:
        assert issubclass(self.source, Source)
        assert self.source.name
        assert self.source.summary
        assert "\n" not in self.source.summary

    def test_it_is_recognised_by_content_alone(self, example: Path) -> None:
        source = self.read(example)
        assert type(source) is self.source
        assert source.path == example

    @pytest.mark.parametrize("suffix", ["", ".bin", ".csv", ".txt", ".jpg", ".html"])
    def test_a_wrong_extension_does_not_mislead(self, file: Path, suffix: str) -> None:
        if suffix in self.deciding:
            pytest.skip("a format without a signature is detected by its suffix")
        renamed = self.move(file, file.with_name(file.name + suffix)) if suffix else file
        assert type(self.read(renamed)) is self.source

    def test_it_can_be_iterated_any_number_of_times(self, example: Path) -> None:
        source = self.read(example)
        next(iter(source))
        once, again = list(source), list(source)
        assert len(once) == COUNT
        assert all(map(same, once, again))

    def test_two_iterations_do_not_disturb_each_other(self, example: Path) -> None:
        source = self.read(example)
        assert all(same(left, right) for left, right in zip(source, source, strict=True))

    def test_ids_are_unique(self, example: Path) -> None:
        ids = [document.id for document in self.read(example)]
        assert len(set(ids)) == COUNT
        assert all(id and isinstance(id, str) for id in ids)

    def test_documents_have_the_type_of_the_source(self, example: Path) -> None:
        source = self.read(example)
        assert source.kind == self.kind
        assert {kind_of(document.content) for document in source} == {source.kind}

    def test_labels_are_read(self, example: Path) -> None:
        labels = sorted(document.labels for document in self.read(example))
        wanted = [(self.labels[number % 2],) if self.labels else () for number in range(COUNT)]
        assert labels == sorted(wanted)

    def test_count_is_right_where_it_is_known(self, example: Path) -> None:
        assert self.read(example).count() in (None, COUNT)

    def test_metadata_can_be_stored_as_json(self, example: Path) -> None:
        for document in self.read(example):
            assert json.loads(json.dumps(dict(document.metadata))) == document.metadata

    @pytest.mark.parametrize("odd", ODD_NAMES)
    def test_odd_file_names_survive(self, file: Path, odd: str, tmp_path: Path) -> None:
        assert len(list(self.read(self.move(file, tmp_path / odd)))) == COUNT

    def test_a_name_may_hold_bytes_that_are_not_utf8(self, file: Path, tmp_path: Path) -> None:
        try:
            moved = self.move(file, tmp_path / os.fsdecode(b"caf\xe9"))
        except OSError:
            pytest.skip("this file system supports only UTF-8 names")
        documents = list(self.read(moved))
        assert len(documents) == COUNT
        assert all(document.id.encode("utf-8") for document in documents)

    def test_relative_and_absolute_paths_read_the_same(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(file.parent)
        relative, absolute = self.read(Path(file.name)), self.read(file)
        assert all(same(left, right) for left, right in zip(relative, absolute, strict=True))

    def test_stamps_are_those_of_the_documents(self, example: Path) -> None:
        source = self.read(example)
        if not isinstance(source, Stamped):
            pytest.skip("no files of its own")
        stamps = dict(source.stamps())
        for document in source:
            assert stamps[document.id].items() <= document.metadata.items()
        chosen = set(list(stamps)[1:3])
        only = source.only(chosen)
        assert {document.id for document in only} == chosen
        assert isinstance(only, Stamped)
        assert dict(only.stamps()).keys() == chosen
        assert len(list(source)) == COUNT
        assert list(source.only(set())) == []

    def test_documents_come_before_a_broken_end_is_read(self, file: Path) -> None:
        if not self.broken:
            pytest.skip("nothing breaks its end, or it reads all at once")
        first = next(iter(self.read(file)))
        self.spoil(file)
        source = iter(self.read(file))
        assert next(source).id == first.id
        with pytest.raises(DataError):
            list(source)
