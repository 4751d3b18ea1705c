"""Texts in encodings that people use come out as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import hashret
from hashret.cli.app import app
from hashret.errors import UsageError
from hashret.readers import encodings, read

SENTENCES = {
    "de": "Die Ernte war gut, und die Bauern verkauften große Mengen Weizen für wenige Münzen.",
    "fr": "La récolte fut bonne cette année, et le prix du blé baissa près de la rivière.",
    "es": "El año pasado los niños ayudaron en la cosecha y mañana volverán al pequeño molino.",
    "pt": "A colheita foi boa, não há dúvida, e os preços dos grãos caíram até à estação.",
    "sv": "Skörden var god i år, och vetet såldes billigt på torget nära ån.",
    "fi": "Sato oli hyvä tänä vuonna, ja vehnää myytiin halvalla kylän markkinoilla.",
    "pl": "Zbiory były dobre, więc rolnicy sprzedali dużo pszenicy za kilka złotych, jak każe zwyczaj.",
    "cs": "Sklizeň byla letos dobrá a sedláci prodali hodně pšenice, říkal starý mlynář.",
    "hu": "A termés jó volt, és a gazdák sok búzát adtak el olcsón a főtéri vásáron őszkor.",
    "ru": "Урожай был хороший, и крестьяне продали много пшеницы на рынке у реки.",
    "uk": "Урожай був добрий, і селяни продали багато пшениці на ринку біля річки.",
    "el": "Η σοδειά ήταν καλή και οι αγρότες πούλησαν πολύ σιτάρι στην αγορά.",
    "tr": "Hasat bu yıl çok iyiydi ve çiftçiler buğdayı pazarda ucuza sattılar, değirmen çalıştı.",
    "he": "היבול היה טוב השנה והאיכרים מכרו הרבה חיטה בשוק ליד הנהר.",
    "ar": "كان الحصاد جيدا هذا العام وباع الفلاحون الكثير من القمح في السوق قرب النهر.",
    "ja": "今年の収穫はとても良く、農民は川の近くの市場で小麦をたくさん売りました。",
    "zh": "今年的收成很好，农民在河边的市场上卖了很多小麦，价格也下降了。",
    "ko": "올해는 수확이 좋아서 농부들이 강가의 시장에서 밀을 많이 팔았습니다.",
}
WRITTEN = [
    *((language, "cp1252") for language in ("de", "fr", "es", "pt", "sv", "fi")),
    *((language, "cp1250") for language in ("pl", "cs", "hu")),
    *((language, "iso8859-2") for language in ("pl", "cs")),
    *((language, "iso8859-15") for language in ("fr", "de")),
    *(("ru", name) for name in ("cp1251", "koi8-r")),
    ("uk", "cp1251"),
    ("el", "cp1253"),
    ("tr", "cp1254"),
    ("he", "cp1255"),
    ("ar", "cp1256"),
    *(("ja", name) for name in ("cp932", "euc_jp", "iso2022_jp")),
    ("zh", "gb18030"),
    ("ko", "cp949"),
    *((language, "utf-8") for language in SENTENCES),
    *((language, mark) for language in ("de", "ja") for mark in ("utf-8-sig", "utf-16", "utf-32")),
]


@pytest.mark.parametrize(("language", "encoding"), WRITTEN)
@pytest.mark.parametrize("times", [1, 40])
def test_a_text_comes_out_as_it_was_written(language: str, encoding: str, times: int, tmp_path: Path) -> None:
    text = "\n".join([SENTENCES[language]] * times)
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    (tmp_path / "b.txt").write_bytes(b"x" + text.encode(encoding) if "utf" not in encoding else text.encode(encoding))
    [first, second] = read(tmp_path)
    assert first.content == text
    assert second.content in (text, f"x{text}")


@pytest.mark.parametrize(("language", "encoding"), WRITTEN)
def test_records_come_out_as_they_were_written(language: str, encoding: str, tmp_path: Path) -> None:
    """The first accent may come late, after more bytes than are read to recognise the format."""
    plain = [json.dumps({"text": f"the harvest of field {number}"}) for number in range(3000)]
    lines = [*plain, *[json.dumps({"text": SENTENCES[language]}, ensure_ascii=False)] * 3, *plain[:10]]
    (tmp_path / "a.jsonl").write_bytes("".join(line + "\n" for line in lines).encode(encoding))
    found = [document.content for document in read(tmp_path / "a.jsonl")]
    assert found == [json.loads(line)["text"] for line in lines]


def test_a_short_text_is_settled_by_the_others_of_its_folder(tmp_path: Path) -> None:
    words = {"a.txt": "żółć", "b.txt": "5 €", "c.txt": "łąka", "d.txt": "Straße"}
    for name, word in words.items():
        (tmp_path / name).write_bytes(word.encode("cp1250"))
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(SENTENCES["pl"].encode("cp1250"))
    found = {document.id: document.content for document in read(tmp_path)}
    assert {name: found[name] for name in words} == words


def test_others_do_not_settle_a_text_that_they_do_not_fit(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(SENTENCES["ru"].encode("cp1251"))
    (tmp_path / "a.txt").write_bytes("Straße nach Köln".encode("cp1252"))
    assert {document.id: document.content for document in read(tmp_path)}["a.txt"] == "Straße nach Köln"


@pytest.mark.parametrize("text", ["1 +AOQ- 2", "~{<:Ky~}", "&eacute; %E9 =E9", "caf\\u00e9", "plain"])
def test_ascii_is_never_guessed_at(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert [document.content for document in read(tmp_path)] == [text]
    assert "guessed" not in caplog.text


DECLARED = [
    ('<html><head><meta charset="iso-8859-2"></head><body>{}</body></html>', "iso8859-2", "zażółć gęślą jaźń"),
    ("<html><meta http-equiv='Content-Type' content='text/html; charset=koi8-r'>{}</html>", "koi8-r", "на лугу"),
    ("<html><meta charset=shift_jis>{}</html>", "cp932", "①収穫"),
    ("<html><meta charset=iso-8859-1>{}</html>", "cp1252", "5 € “ja”"),
    ("<html><meta charset=gb2312>{}</html>", "gb18030", "朱镕基的收成"),
]


@pytest.mark.parametrize(("page", "encoding", "text"), DECLARED)
def test_a_declaration_comes_before_a_guess(page: str, encoding: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(page.format(text).encode(encoding))
    [document] = read(tmp_path)
    assert str(document.content).strip() == text


def test_xml_and_coding_lines_declare_too() -> None:
    xml = '<?xml version="1.0" encoding="windows-1250"?><a>łąka</a>'.encode("cp1250")
    assert encodings.encoding_of(xml, complete=True).name == "cp1250"
    source = "#!/usr/bin/python\n# -*- coding: koi8-r -*-\nname = 'луг'\n".encode("koi8-r")
    assert encodings.encoding_of(source, complete=True).name == "koi8-r"


@pytest.mark.parametrize(
    "name", ["x-nope", "utf-7000", "utf-7", "utf-16", "base64", "zlib", "hex", "idna", "unicode_escape"]
)
def test_an_unknown_declaration_counts_as_none(name: str) -> None:
    page = f"<meta charset={name}>{SENTENCES['de']}".encode("cp1252")
    found = encodings.encoding_of(page, complete=True)
    assert page.decode(found.name) == f"<meta charset={name}>{SENTENCES['de']}"


def test_a_declaration_that_the_text_contradicts_counts_as_none() -> None:
    page = f'<meta charset="utf-8">{SENTENCES["fr"]}'.encode("cp1252")
    assert encodings.encoding_of(page, complete=True).name == "cp1252"
    mark = '<meta charset="koi8-r">Füße'.encode("utf-8-sig")
    assert encodings.encoding_of(mark, complete=True).name == "utf-8-sig"


def test_a_stray_byte_does_not_make_utf_8_something_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = f"{SENTENCES['ru']} caf".encode() + b"\xe9 " + SENTENCES["ru"].encode()
    (tmp_path / "a.txt").write_bytes(text)
    [document] = read(tmp_path)
    assert document.content == f"{SENTENCES['ru']} caf\ufffd {SENTENCES['ru']}"
    assert "files with bytes that are not utf-8, replaced by U+FFFD: 1" in caplog.text
    lines = [SENTENCES["ru"].encode()] * 3 + [b"caf\xe9"] + [SENTENCES["ru"].encode()] * 3
    (tmp_path / "b.txt").write_bytes(b"\n".join(lines))
    found = [document.content for document in read(tmp_path / "b.txt", source="lines")]
    assert found == [*[SENTENCES["ru"]] * 3, "caf\ufffd", *[SENTENCES["ru"]] * 3]


def test_what_was_guessed_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(4):
        (tmp_path / f"{number}.txt").write_bytes(SENTENCES["ru"].encode("koi8-r"))
    list(read(tmp_path))
    assert caplog.text.count("files read as koi8-r, which was guessed: 4") == 1


class TestGivenEncoding:
    """`read(..., encoding=...)`: of texts that are not UTF-8 and declare no encoding."""

    def test_a_folder(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        texts = {
            "short.txt": "Ende der Straße".encode("cp1252"),
            "utf8.txt": "Straße".encode(),
            "mark.txt": "Straße".encode("utf-16"),
            "declared.html": b"<html><meta charset=koi8-r><p>" + "зерно".encode("koi8-r"),
            "ascii.txt": b"wheat",
        }
        for name, raw in texts.items():
            (tmp_path / name).write_bytes(raw)
        found = {document.id: document.content for document in hashret.read(tmp_path, encoding="cp1252")}
        words = dict.fromkeys(("utf8.txt", "mark.txt"), "Straße")
        assert found == {"short.txt": "Ende der Straße", "declared.html": "зерно", "ascii.txt": "wheat"} | words
        assert caplog.text == ""

    @pytest.mark.parametrize("encoding", ["cp1250", "utf-16-le", "utf-32-be", "iso2022_jp", "cp1140"])
    def test_records(self, tmp_path: Path, encoding: str) -> None:
        word = {"iso2022_jp": "収穫", "cp1140": "Straße"}.get(encoding, "žito")
        lines = f'{{"id": "a", "text": "{word}"}}\n{{"id": "b", "text": "x"}}\n'
        (tmp_path / "a.jsonl").write_bytes(lines.encode(encoding))
        (tmp_path / "a.csv").write_bytes(f"id,text\na,{word}\nb,x\n".encode(encoding))
        for name, source in (("a.jsonl", "jsonl"), ("a.csv", "csv")):
            found = hashret.read(tmp_path / name, source=source, encoding=encoding)
            assert [document.content for document in found] == [word, "x"]
        found = hashret.read(tmp_path / "a.csv", source="lines", encoding=encoding)
        assert [document.content for document in found] == ["id,text", f"a,{word}", "b,x"]

    def test_a_wrong_name_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("wheat")
        for name in ("x-nope", "base64", "", "rot13"):
            with pytest.raises(UsageError, match=f"unknown encoding '{name}'; give a name such as cp1252"):
                hashret.read(tmp_path, encoding=name)

    def test_a_source_without_texts_has_none(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.ones((2, 2)))
        with pytest.raises(UsageError, match="is read as 'arrays', which does not use encoding"):
            hashret.read(tmp_path / "a.npy", encoding="cp1252")

    def test_an_index_remembers_it(self, tmp_path: Path) -> None:
        for name, text in (("a", "Straße mit Korn"), ("b", "Straße ohne Korn"), ("c", "Größe")):
            folder = tmp_path / ("more" if name == "c" else "texts")
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.txt").write_bytes(text.encode("cp1252"))
        index = str(tmp_path / "index")
        more = ["--encoding", "cp1252", "--encoder", "lsh"]
        for command in (["index", str(tmp_path / "texts"), *more], ["add", str(tmp_path / "more")]):
            assert CliRunner().invoke(app, [*command, "-i", index]).exit_code == 0
        with hashret.Index.open(index) as opened:
            assert opened["c.txt"].content == "Größe"
