"""The script that counts which files are read right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bench_files

from .office import docx, paragraphs, pdf
from .test_office import FILES


def test_outcomes_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"a.docx": "Salt & Pepper", "b.docx": "something else", "c.docx": "", "d.txt": "Grüße", "e.pdf": ""}
    (tmp_path / "a.docx").write_bytes(docx(paragraphs("Salt &", "Pepper")))
    (tmp_path / "b.docx").write_bytes(docx(paragraphs("Salt & Pepper")))
    (tmp_path / "c.docx").write_bytes(b"PK\3\4")
    (tmp_path / "d.txt").write_text("Grüße", "utf-8")
    (tmp_path / "e.pdf").write_bytes(pdf("q Q"))
    rows = [json.dumps({"path": path, "text": text}) for path, text in texts.items()]
    (tmp_path / "expected.jsonl").write_text("\n".join(rows) + '\n{"path": "a.docx", "text": "", "kind": "other"}\n')
    bench_files.score(tmp_path, each=True)
    assert list(map(json.loads, capsys.readouterr().out.splitlines())) == [
        {"path": "b.docx", "kind": "docx", "outcome": "wrong"},
        {"path": "c.docx", "kind": "docx", "outcome": "refused"},
        {"path": "e.pdf", "kind": "pdf", "outcome": "refused"},
        {"path": "a.docx", "kind": "other", "outcome": "wrong"},
        {"kind": "docx", "files": 3, "right": 1, "wrong": 1, "refused": 1, "crashed": 0},
        {"kind": "other", "files": 1, "right": 0, "wrong": 1, "refused": 0, "crashed": 0},
        {"kind": "pdf", "files": 1, "right": 0, "wrong": 0, "refused": 1, "crashed": 0},
        {"kind": "txt", "files": 1, "right": 1, "wrong": 0, "refused": 0, "crashed": 0},
    ]


def test_an_exception_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashret.readers.texts import Texts

    def crash(self: Texts) -> None:
        raise MemoryError

    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "expected.jsonl").write_text('{"path": "a.txt", "text": "text"}\n')
    assert [outcome for _, outcome in bench_files.scored(tmp_path)] == ["right"]
    monkeypatch.setattr(Texts, "__iter__", crash)
    assert [outcome for _, outcome in bench_files.scored(tmp_path)] == ["crashed"]


def test_documents_of_the_tests_are_right(tmp_path: Path) -> None:
    rows = []
    for kind, (raw, text) in FILES.items():
        (tmp_path / f"a.{kind}").write_bytes(raw)
        rows.append(json.dumps({"path": f"a.{kind}", "text": text}))
    (tmp_path / "expected.jsonl").write_text("\n".join(rows))
    assert {outcome for _, outcome in bench_files.scored(tmp_path)} == {"right"}


def test_the_files_whose_speed_is_measured_hold_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_files, "FILES", 2)
    rows = list(bench_files.speeds(tmp_path))
    assert [row["kind"] for row in rows] == ["txt", "html", "eml", "docx", "xlsx", "pdf"]
    for number in range(2):
        texts = [bench_files.texts_of(tmp_path / row["kind"])[0][f"{number}.{row['kind']}"] for row in rows]
        (plain, *_), words = texts, [text.split()[-990:] for text in texts]
        assert len(plain.split()) == 1000
        assert all(own == words[0] for own in words)
