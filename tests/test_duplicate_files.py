"""What happens to files and documents: deleted, linked, moved, or left with a reason; and the command."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hashret import Index, UsageError, duplicates
from hashret.cli.app import app
from hashret.deduplication import files

TEXT = "The wheat was dear that year, and the harvest was poor in all the land of the north."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two equal texts, a similar one and another one."""
    made = tmp_path / "letters"
    (made / "more").mkdir(parents=True)
    for name, text in (("a.txt", TEXT), ("more/b.txt", TEXT), ("c.txt", TEXT.replace("poor", "rich"))):
        (made / name).write_text(text)
    (made / "d.txt").write_text("A ship sailed north with barley and rye, and came back with fish.")
    return made


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Any:
    with Index.create(tmp_path / "ix", folder, bits=8, encoder="lsh") as made:
        yield made


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def done(index: Index, action: str, **arguments: Any) -> dict[str, tuple[str, str]]:
    changed = index.change_files(index.duplicates(), action, run=True, **arguments)
    return {own.id: (own.action, own.reason) for own in changed}


def test_nothing_is_done_without_run(index: Index, folder: Path) -> None:
    before = names(folder)
    found = index.change_files(index.duplicates(), "delete")
    assert [(own.id, own.action, own.keep) for own in found] == [
        ("more/b.txt", "delete", "a.txt"),
        ("c.txt", "delete", "a.txt"),
    ]
    assert names(folder) == before


def test_files_are_deleted(index: Index, folder: Path) -> None:
    assert done(index, "delete") == {"more/b.txt": ("delete", ""), "c.txt": ("delete", "")}
    assert names(folder) == {"a.txt", "d.txt"}
    assert len(index) == 4  # the index is another thing
    assert {reason for _, reason in done(index, "delete").values()} == {"the file is not there"}


def test_equal_files_are_linked(index: Index, folder: Path) -> None:
    found = done(index, "link")
    assert found["more/b.txt"] == ("link", "")
    assert found["c.txt"][0] == "left"
    assert "its bytes differ" in found["c.txt"][1]
    assert (folder / "more/b.txt").samefile(folder / "a.txt")
    assert "rich" in (folder / "c.txt").read_text()
    assert names(folder) == {"a.txt", "more/b.txt", "c.txt", "d.txt"}
    index.add(folder, replace=True)
    assert "it is the same file" in done(index, "delete")["more/b.txt"][1]  # frees nothing


def test_a_failing_link_loses_nothing(index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", fail)
    assert done(index, "link")["more/b.txt"] == ("left", "Invalid cross-device link")
    assert (folder / "more/b.txt").read_text() == TEXT


@pytest.mark.parametrize("linked", [True, False])
def test_files_are_moved(
    index: Index, folder: Path, tmp_path: Path, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "moved"
    (into / "more").mkdir(parents=True)
    (into / "more/b.txt").write_text("mine")
    if not linked:  # as between two file systems

        def fail(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", fail)
    found = done(index, "move", into=into)
    assert found["c.txt"] == ("move", "")
    assert found["more/b.txt"][0] == "left"
    assert "exists" in found["more/b.txt"][1]
    assert (into / "more/b.txt").read_text() == "mine"
    assert "rich" in (into / "c.txt").read_text()
    assert names(folder) == {"a.txt", "more/b.txt", "d.txt"}


def test_changed_files_are_left(index: Index, folder: Path) -> None:
    found = index.duplicates()
    (folder / "more/b.txt").write_text(f"{TEXT} And more.")
    changed = {own.id: own for own in index.change_files(found, "delete", run=True)}
    assert changed["more/b.txt"].reason == "the file changed since it was read"
    assert changed["c.txt"].action == "delete"
    assert names(folder) == {"a.txt", "more/b.txt", "d.txt"}


def test_nothing_is_deleted_if_the_one_to_keep_changed(index: Index, folder: Path) -> None:
    (folder / "a.txt").write_text("Something else.")
    assert set(done(index, "delete").values()) == {("left", "the file to keep changed since it was read")}
    (folder / "a.txt").unlink()
    assert set(done(index, "delete").values()) == {("left", "the file to keep is not there")}
    assert names(folder) == {"more/b.txt", "c.txt", "d.txt"}


def test_a_file_with_the_same_size_and_time_but_other_bytes_is_left(index: Index, folder: Path) -> None:
    path = folder / "more/b.txt"
    status = path.stat()
    path.write_text(TEXT.replace("wheat", "maize"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert done(index, "delete")["more/b.txt"] == ("left", "the content of the file differs from what was read")
    assert path.is_file()


def test_links_are_left(index: Index, folder: Path) -> None:
    path = folder / "more/b.txt"
    path.unlink()
    path.symlink_to(folder / "a.txt")
    assert done(index, "delete")["more/b.txt"] == ("left", "the file is a symbolic link")
    path.unlink()
    path.mkdir()
    assert done(index, "delete")["more/b.txt"] == ("left", "the file is not a regular file")


def test_rows_and_entries_are_left(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": id, "text": TEXT}) + "\n" for id in "abc"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("x.txt", "y.txt", "z.md"):
            file.writestr(name, TEXT)
    for source in (rows, tmp_path / "a.zip"):
        with Index.create(tmp_path / "ix", source, bits=8, encoder="lsh", force=True) as index:
            found = done(index, "delete")
            assert len(found) == 2
            assert set(found.values()) == {("left", "the document has no file of its own, but is part of one")}
        assert source.is_file()


def test_new_files_against_an_index(index: Index, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "a.txt").write_text(TEXT)
    (new / "z.txt").write_text("Nothing that the index holds; a letter about cattle and the price of hay.")
    (new / "y.txt").write_text("Another one that is new, on the weather of the coast and its long winters.")
    found = index.duplicates(new)
    assert [(member.id, member.new) for group in found for member in group.members] == [
        ("a.txt", False),
        ("a.txt", True),
    ]
    changed = index.change_files(found, "delete", documents=new, run=True)
    assert [(own.id, own.action) for own in changed] == [("a.txt", "delete")]
    assert names(new) == {"y.txt", "z.txt"}


def test_images(tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    folder.mkdir()
    for name in "abcdef":
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        small.resize((200, 160), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    with Image.open(folder / "b.png") as image:
        image.save(folder / "b-small.jpg", quality=60)
        image.resize((120, 96)).save(folder / "b-tiny.png")
    with Index.create(tmp_path / "ix", folder, bits=16, encoder="itq") as index:
        found = index.duplicates(keep="largest")
        assert [group.keep for group in found] == ["b.png"]
        assert set(found.drop) == {"b-small.jpg", "b-tiny.png"}
        assert {own.action for own in index.change_files(found, "delete", run=True)} == {"delete"}
    assert names(folder) == {f"{name}.png" for name in "abcdef"}


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_animations_with_the_same_first_frame(tmp_path: Path, ending: str) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "moving"
    folder.mkdir()
    frames = [Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)) for _ in range(4)]
    for name, own in (("a", frames[:2]), ("b", [frames[0], frames[2]]), ("c", frames[:2]), ("still", frames[:1])):
        own[0].save(folder / f"{name}.{ending}", save_all=True, append_images=own[1:], lossless=True)
    (folder / "other.png").write_bytes(b"")
    frames[3].save(folder / "other.png")
    expected = [[f"a.{ending}", f"c.{ending}"]]
    for threshold in ("exact", "similar"):
        found = duplicates(folder, threshold=threshold)
        assert [[member.id for member in group.members] for group in found] == expected
    with Index.create(tmp_path / "ix", folder, bits=8, encoder="itq") as index:
        assert [[member.id for member in group.members] for group in index.duplicates()] == expected


def test_opaque_alpha_does_not_matter(tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "icons"
    folder.mkdir()
    image = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
    image.save(folder / "a.png")
    image.convert("RGBA").save(folder / "b.png")
    assert [group.drop for group in duplicates(folder, threshold="exact")] == [["b.png"]]


def test_wrong_actions(index: Index, tmp_path: Path) -> None:
    found = index.duplicates()
    for action, into in (("burn", None), ("move", None), ("delete", tmp_path)):
        with pytest.raises(UsageError, match="action must be one of delete, link, move"):
            index.change_files(found, action, into=into)
    assert files.ACTIONS == ("delete", "link", "move")


def run(*words: object, code: int = 0) -> tuple[list[Any], str]:
    """Run the command, and return its rows and its messages."""
    result = CliRunner().invoke(app, ["duplicates", *map(str, words), "--format", "jsonl"])
    assert result.exit_code == code, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_the_command_shows_groups(index: Index, folder: Path) -> None:
    expected = [("a.txt", True), ("more/b.txt", False), ("c.txt", False)]
    for words in (["-i", index.path], [folder]):
        rows, said = run(*words)
        assert [(row["id"], row["keep"]) for row in rows] == expected
        assert all(set(row) == {"group", "id", "distance", "similarity", "keep"} for row in rows)
        assert "1 group, 2 duplicates of 4 documents" in said
    ids = CliRunner().invoke(app, ["duplicates", str(folder), "--format", "ids"])
    assert ids.stdout.splitlines() == ["more/b.txt", "c.txt"]
    assert [row["id"] for row in run(folder, "--threshold", "exact", "--keep", "last")[0]] == ["more/b.txt", "a.txt"]
    assert [row["id"] for row in run(folder, "-i", index.path)[0]][:2] == ["a.txt", "a.txt"]


def test_the_command_drops_and_deletes(index: Index, folder: Path) -> None:
    _, said = run("-i", index.path, "--drop")
    assert "would delete 2 documents" in said
    rows, said = run("-i", index.path, "--delete-files")
    assert [row["action"] for row in rows] == ["delete", "delete"]
    assert "2 files would be changed; add --yes" in said
    assert len(names(folder)) == 4
    rows, said = run("-i", index.path, "--delete-files", "--drop", "--yes")
    assert "2 files changed" in said
    assert "deleted 2 documents from the index" in said
    assert names(folder) == {"a.txt", "d.txt"}
    with Index.open(index.path) as now:
        assert now.ids == ["a.txt", "d.txt"]


def test_the_command_acts_on_a_folder_without_an_index(folder: Path, tmp_path: Path) -> None:
    rows, _ = run(folder, "--move-files", tmp_path / "moved", "--yes", "--report", tmp_path / "r.html")
    assert [row["action"] for row in rows] == ["move", "move"]
    assert names(tmp_path / "moved") == {"more/b.txt", "c.txt"}
    page = (tmp_path / "r.html").read_text()
    assert "<del>poor</del>" in page
    assert "<ins>rich</ins>" in page


def test_the_command_writes_what_is_kept(folder: Path, index: Index, tmp_path: Path) -> None:
    for name in ("kept.jsonl", "kept.parquet"):
        for words in ([folder], ["-i", index.path]):
            _, said = run(*words, "--out", tmp_path / name)
            assert "wrote 2 documents" in said
            from hashret import read

            assert [(own.id, own.content) for own in read(tmp_path / name)] == [
                ("a.txt", TEXT),
                ("d.txt", (folder / "d.txt").read_text()),
            ]


def test_the_command_remembers_verdicts(index: Index) -> None:
    assert "are not duplicates" in run("-i", index.path, "--different", "a.txt", "c.txt")[1]
    assert [row["id"] for row in run("-i", index.path)[0]] == ["a.txt", "more/b.txt"]
    run("-i", index.path, "--same", "c.txt", "a.txt")
    assert len(run("-i", index.path)[0]) == 3


def test_wrong_command_lines(index: Index, folder: Path, tmp_path: Path) -> None:
    wrong = {
        "choose one of --delete-files": ["-i", index.path, "--delete-files", "--link-files"],
        "need an index": [folder, "--drop"],
        "leave SOURCE out": [folder, "-i", index.path, "--drop"],
        "must end in .html": [folder, "--report", tmp_path / "r.txt"],
        "must end in .jsonl or .parquet": [folder, "--out", tmp_path / "missing" / "r.jsonl"],
        "threshold must be": [folder, "--threshold", "5"],
        "keep must be": [folder, "--keep", "best"],
    }
    for said, words in wrong.items():
        assert said in run(*words, code=2)[1]
    assert "no document has the id 'zz'" in run("-i", index.path, "--different", "a.txt", "zz", code=1)[1]
