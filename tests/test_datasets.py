"""Datasets of Hugging Face, data frames and Arrow tables as documents."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.index import Index
from hashret.readers import as_source, read

NAMES = ("grain", "other")
TEXTS, LABELS = ("wheat", "rye", "barley"), (0, 1, 1)
ROWS: list[dict[str, Any]] = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
NAMED = [Document(str(n), row["text"], (NAMES[row["label"]],)) for n, row in enumerate(ROWS)]


class ClassLabel:
    names = NAMES

    def int2str(self, value: int) -> str:
        return self.names[value]


class Dataset:
    """What hashret uses of `datasets.Dataset`."""

    features = {"text": object(), "label": ClassLabel()}
    column_names = ("text", "label")

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Streamed(Dataset):
    """A dataset without a length."""

    def __len__(self) -> int:
        raise TypeError


def test_a_dataset_gives_the_names_of_its_classes() -> None:
    source = as_source(Dataset(ROWS))
    assert source.count() == 3
    assert list(source) == list(source) == NAMED
    streamed = as_source(Streamed(ROWS))
    assert streamed.count() is None
    assert list(streamed) == NAMED


def test_several_splits_are_refused() -> None:
    with pytest.raises(UsageError, match="holds several datasets; give one of them: 'train', 'test'"):
        as_source({"train": Dataset(ROWS), "test": Dataset(ROWS)})


def test_images_of_a_dataset() -> None:
    pixels = np.full((4, 3, 3), 200, np.uint8)
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "png")
    images: list[Any] = [Image.fromarray(pixels), {"bytes": packed.getvalue(), "path": None}, pixels]
    for image in images:
        [document] = as_source([{"image": image, "label": "x"}])
        assert document.kind == "image"
        np.testing.assert_array_equal(document.content, pixels)
    with pytest.raises(DataError, match="is not a readable image"):
        list(as_source([{"image": {"bytes": b"none", "path": None}}]))


class TestSaved:
    """Folders as `Dataset.save_to_disk` and `DatasetDict.save_to_disk` write them."""

    def save(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        arrow = pytest.importorskip("pyarrow")
        folder.mkdir(parents=True)
        files = []
        for number, own in enumerate((rows[:2], rows[2:])):
            table = arrow.Table.from_pylist(own)
            files.append({"filename": f"data-{number:05}-of-00002.arrow"})
            path = str(folder / files[-1]["filename"])
            with arrow.OSFile(path, "wb") as sink, arrow.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
        (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": None}))
        label = {"names": list(NAMES), "_type": "ClassLabel"}
        info = {"features": {"text": {"dtype": "string", "_type": "Value"}, "label": label}}
        (folder / "dataset_info.json").write_text(json.dumps(info))

    def test_a_dataset(self, tmp_path: Path) -> None:
        self.save(tmp_path / "grains", ROWS)
        source = read(tmp_path / "grains")
        assert source.name == "arrow"
        assert list(source) == [Document(f"grains:{n}", own.content, own.labels) for n, own in enumerate(NAMED, 1)]
        assert next(iter(read(tmp_path / "grains" / "data-00001-of-00002.arrow"))).content == "barley"

    def test_all_splits(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            self.save(tmp_path / "grains" / split, ROWS)
        (tmp_path / "grains" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        found = list(read(tmp_path / "grains"))
        assert [document.id for document in found] == [f"{split}:{n}" for split in ("train", "test") for n in (1, 2, 3)]
        assert found[3].metadata == {"split": "test"}
        assert found[3].labels == ("grain",)

    def test_a_damaged_folder_is_refused(self, tmp_path: Path) -> None:
        self.save(tmp_path / "grains", ROWS)
        (tmp_path / "grains" / "data-00001-of-00002.arrow").write_bytes(b"none")
        with pytest.raises(DataError, match=r"data-00001-of-00002.arrow cannot be read as Arrow"):
            list(read(tmp_path / "grains"))
        (tmp_path / "grains" / "state.json").write_text('{"_data_files": 3}')
        with pytest.raises(DataError, match=r"state.json is damaged"):
            list(read(tmp_path / "grains"))


@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_tables(package: str, tmp_path: Path) -> None:
    module = pytest.importorskip(package)
    columns: dict[str, list[Any]] = {name: [row[name] for row in ROWS] for name in ("text", "label")}
    table = module.table(columns) if package == "pyarrow" else module.DataFrame(columns)
    source = as_source(table)
    wanted = [Document(str(n), row["text"], (str(row["label"]),)) for n, row in enumerate(ROWS)]
    assert source.count() == 3
    assert list(source) == list(source) == wanted
    with Index.create(tmp_path / "index", table, encoder="lsh") as index:
        assert len(index) == 3
