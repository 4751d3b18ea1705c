"""Damaged files of all formats, for a short time; scripts/soak_readers.py reads them for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("xberg")
pytest.importorskip("resource")

import random

import soak_readers


@pytest.mark.parametrize("sound", soak_readers.samples(), ids=lambda sound: sound.name)
def test_each_file_is_sound_before_it_is_damaged(tmp_path: Path, sound: soak_readers.Sound) -> None:
    (tmp_path / sound.name).write_bytes(sound.raw)
    assert soak_readers.read(tmp_path / sound.name) > 0


def test_files_are_damaged_inside_of_archives_too() -> None:
    chance = random.Random(0)
    raw = next(sound.raw for sound in soak_readers.samples() if sound.name == "document.docx")
    assert len({soak_readers.damaged(raw, chance) for _ in range(20)}) > 15


@pytest.mark.slow
def test_only_hashret_errors_come_out(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    found = soak_readers.soak(tmp_path / "files", seconds=20, seed=0, kept=tmp_path / "failing.bin")
    assert 0 < found["refused"] < found["files"]
