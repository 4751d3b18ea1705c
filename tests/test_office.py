"""Documents: PDF, office files, books and mails, by files that are made here."""

from __future__ import annotations

import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashret.errors import DataError
from hashret.index import Index
from hashret.readers import read
from hashret.readers.decode import HEAD_BYTES
from hashret.readers.magic import kind_of

from .office import (
    HEAD,
    SCHEMAS,
    doc,
    docx,
    epub,
    lines,
    msg,
    ole,
    opendocument,
    packed,
    paragraphs,
    pdf,
    pptx,
    relations,
    rtf,
    xls,
    xlsx,
)

pytest.importorskip("xberg")

CELLS = [["name", "007"], ["wheat", "R&D NA"]]
SHEET = (
    '<table:table table:name="Sheet"><table:table-row><table:table-cell office:value-type="string"><text:p>R&amp;D'
    "</text:p></table:table-cell></table:table-row></table:table>"
)
FILES: dict[str, tuple[bytes, str]] = {
    "docx": (docx(paragraphs("R&D costs 7>2", "and <more>")), "R&D costs 7>2\n\nand <more>"),
    "pptx": (pptx(["First R&D", "Second"], notes="spoken"), "First R&D\n\nNotes:\n\nspoken\n\nSecond"),
    "xlsx": (xlsx({"Sheet": CELLS}), "Sheet\nname 007\nwheat R&D NA"),
    "odt": (opendocument("text", "<text:p>R&amp;D</text:p><text:p>text</text:p>"), "R&D\ntext"),
    "ods": (opendocument("spreadsheet", SHEET), "Sheet\nR&D"),
    "odp": (
        opendocument(
            "presentation",
            '<draw:page draw:name="one"><draw:frame><draw:text-box><text:p>R&amp;D</text:p></draw:text-box>'
            "</draw:frame></draw:page>",
        ),
        "R&D",
    ),
    "rtf": (rtf("Grüße aus Köln\nR&D"), "Grüße aus Köln\n\nR&D"),
    "pdf": (pdf(lines("Grüße aus Köln", "R&D 7>2")), "Grüße aus Köln\nR&D 7>2"),
    "doc": (doc("Grüße R&D\rsecond"), "Grüße R&D\nsecond"),
    "xls": (xls([["R&D", "007"]]), "Shown\nR&D 007"),
    "epub": (epub({"b": "<p>second R&amp;D</p>", "a": "one<br/>two"}, ["a", "b"]), "The title\none\ntwo\n\nsecond R&D"),
    "msg": (msg("The subject", "Dear all,\r\nR&D мир"), "The subject\nDear all,\nR&D мир"),
}


def only(folder: Path, raw: bytes, name: str = "file") -> str:
    """The text of a folder with this file."""
    (folder / name).write_bytes(raw)
    (document,) = read(folder)
    assert isinstance(document.content, str)
    return document.content


@pytest.mark.parametrize("kind", FILES)
def test_a_document_is_known_by_content_and_read(tmp_path: Path, kind: str) -> None:
    raw, text = FILES[kind]
    path = tmp_path / "no-suffix"
    assert only(tmp_path, raw, "no-suffix") == text
    assert [document.content for document in read(path)] == [text]
    assert kind_of(raw, raw[:HEAD_BYTES], "x") == kind == kind_of(path, raw[:HEAD_BYTES], "x")


def test_a_word_is_found_that_has_signs(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.docx").write_bytes(FILES["docx"][0])
    for number in range(4):
        (tmp_path / "files" / f"{number}.txt").write_text(f"wheat was dear {number}")
    with Index.create(tmp_path / "index", tmp_path / "files", bits=8, encoder="lsh") as index:
        assert [hit.id for hit in index.search("R&D costs", k=1)] == ["a.docx"]


# Word


def test_all_texts_of_a_word_file(tmp_path: Path) -> None:
    def run(text: str, around: str = "{}") -> str:
        return f"<w:p>{around.format(f'<w:r><w:t>{text}</w:t></w:r>')}</w:p>"

    names = f'xmlns:w="{SCHEMAS}/wordprocessingml/2006/main"'
    cell = f'<w:tc><w:tcPr><w:gridSpan w:val="3"/></w:tcPr>{run("merged")}</w:tc>'
    body = (
        f"<w:sdt><w:sdtContent>{run('control')}</w:sdtContent></w:sdt>"
        + run("inserted", '<w:ins w:id="1" w:author="x">{}</w:ins>')
        + run("linked", '<w:hyperlink w:anchor="x">{}</w:hyperlink>')
        + run("field", '<w:fldSimple w:instr="x">{}</w:fldSimple>')
        + '<w:p><w:del w:id="2" w:author="x"><w:r><w:delText>deleted</w:delText></w:r></w:del></w:p>'
        + f"<w:tbl><w:tr>{cell}</w:tr></w:tbl>"
        + '<w:p><w:r><w:t>noted</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    )
    notes = f'{HEAD}<w:footnotes {names}><w:footnote w:id="2">{paragraphs("footnote")}</w:footnote></w:footnotes>'
    files = {"word/footnotes.xml": notes, "word/_rels/document.xml.rels": relations({"footnotes": "footnotes.xml"})}
    words = only(tmp_path, docx(body, files)).split()
    assert words == ["control", "inserted", "linked", "field", "merged", "noted", "footnote"]


def test_headings_images_and_notes_of_a_word_file_are_their_text_only(tmp_path: Path) -> None:
    names = f'xmlns:w="{SCHEMAS}/wordprocessingml/2006/main"'
    style = '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style>'
    files = {
        "word/styles.xml": f"{HEAD}<w:styles {names}>{style}</w:styles>",
        "word/_rels/document.xml.rels": relations({"styles": "styles.xml"}),
    }
    heading = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>A heading (one)</w:t></w:r></w:p>'
    assert only(tmp_path, docx(heading + paragraphs("text"), files)).split() == ["A", "heading", "(one)", "text"]


# OpenDocument


def test_all_texts_of_an_opendocument_text(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:deletion><text:p>deleted</text:p></text:deletion></text:tracked-changes>"
        "<text:p>one <text:s/>two<text:tab/>three<text:line-break/>four \n  <text:span>fi</text:span>ve<text:note>"
        "<text:note-citation>1</text:note-citation><text:note-body><text:p>note</text:p></text:note-body></text:note>.</text:p>"
        "<text:p>be<office:annotation><text:p>comment</text:p></office:annotation>fore<draw:frame><draw:text-box>"
        "<text:p>boxed</text:p></draw:text-box></draw:frame></text:p>loose"
        "<table:table><table:table-row><table:table-cell><text:p>cell</text:p></table:table-cell></table:table-row></table:table>"
    )
    text = "one  two\tthree\nfour five.\nnote\nbefore\ncomment\nboxed\ncell"
    assert only(tmp_path, opendocument("text", body)) == text


def test_shapes_and_notes_of_a_presentation(tmp_path: Path) -> None:
    body = (
        '<draw:page draw:name="page1"><draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>'
        "<draw:custom-shape><text:p>shape</text:p></draw:custom-shape>"
        "<presentation:notes><text:p>spoken</text:p></presentation:notes></draw:page>"
    )
    assert only(tmp_path, opendocument("presentation", body)) == "boxed\nshape\nspoken"


def test_opendocument_that_is_locked_damaged_or_too_large(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    mime = "application/vnd.oasis.opendocument.text"
    locked = {"mimetype": mime, "content.xml": "x", "META-INF/manifest.xml": "<manifest:encryption-data/>"}
    (tmp_path / "a.odt").write_bytes(packed(locked, first_stored=True))
    (tmp_path / "b.odt").write_bytes(opendocument("text", "<text:p>no end"))
    (tmp_path / "c.odt").write_bytes(opendocument("text", "<text:p>" + "a" * 20_000 + "</text:p>"))
    (tmp_path / "d.odt").write_bytes(opendocument("text", "<text:p>" * 200_000 + "deep" + "</text:p>" * 200_000))
    monkeypatch.setattr("hashret.readers.office.MAX_UNPACKED", 20_000)
    assert only(tmp_path, b"text") == "text"
    for reason in ("a.odt (protected by a password)", "b.odt (ExpatError: mismatched", "c.odt (unpacks to more than"):
        assert reason in caplog.text
    monkeypatch.undo()
    (deep,) = read(tmp_path / "d.odt")
    assert deep.content == "deep"


# Sheets


@pytest.mark.parametrize(
    "raw", [xlsx({"Shown": [["seen"]], "Secret": [["unseen"]]}, hidden=["Secret"]), xls([["seen"]], hidden="unseen")]
)
def test_hidden_sheets_are_read_and_reported(tmp_path: Path, raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert {"seen", "unseen"} <= set(only(tmp_path, raw).split())
    assert "files with hidden sheets, which were read too: 1" in caplog.text


def test_a_sheet_of_many_cells(tmp_path: Path) -> None:
    text = only(tmp_path, xlsx({"Sheet": [["wheat"] * 10] * 12_000}))
    assert text.count("wheat") == 120_000


# PDF


def test_columns_are_read_one_after_the_other_and_once(tmp_path: Path) -> None:
    left, right = ([f"{side} line {n} of the text" for n in range(20)] for side in ("left", "right"))
    text = only(tmp_path, pdf(lines(*left, x=72) + lines(*right, x=330)))
    assert [line for line in text.split("\n") if line] == left + right


@pytest.mark.parametrize("page", ["q Q", b"damaged"])
def test_a_page_without_text_is_reported(tmp_path: Path, page: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert only(tmp_path, pdf(lines("first"), page, lines("third"))) == "first\n\nthird"
    assert "read 1 file in part: file (1 of 3 pages has no text)" in caplog.text


def test_a_pdf_without_text_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "scan.pdf").write_bytes(pdf("q Q", "q Q"))
    assert only(tmp_path, b"text") == "text"
    assert "skipped 1 file (pages without text, such as scans): scan.pdf 1" in caplog.text


def test_values_of_forms_are_read(tmp_path: Path) -> None:
    field = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (firm) /V (Weizenhandlung) /Rect [72 600 300 620] /F 4 >>"
    catalog = b"/AcroForm << /Fields [10 0 R] >>"
    raw = pdf(lines("Name of the firm:"), objects=[field], form=catalog, page=b"/Annots [10 0 R]")
    assert only(tmp_path, raw).split() == ["Name", "of", "the", "firm:", "Weizenhandlung"]


@pytest.mark.parametrize("damage", ["start", "table", "end", "junk"])
def test_a_pdf_with_a_damaged_end_is_read(tmp_path: Path, damage: str) -> None:
    raw = pdf(lines("first"), lines("second"))
    raw = {
        "start": b"junk\n" * 20 + raw,
        "table": raw.replace(b"startxref\n", b"startxref\n7"),
        "end": raw[: raw.index(b"xref\n0")],
        "junk": raw + bytes(2000),
    }[damage]
    assert only(tmp_path, raw) == "first\n\nsecond"


@pytest.mark.parametrize(
    ("old", "new", "text", "missing"),
    [
        (b"12 0 obj\n<< /Type /Page", b"12 0 obj\n<< /Type /Pxge", "first\n\nthird", "1 of 3 pages cannot be read"),
        (b"/Kids [10 0 R 12 0 R", b"/Kids [10 0 R 99 0 R", "first\n\nthird", "1 of 3 pages cannot be read"),
        (b"/Contents 13", b"/Contents 99", "first\n\nthird", "1 of 3 pages has no text"),
        (b"/Count 3", b"/Count 9", "first\n\nsecond\n\nthird", "6 of 9 pages cannot be read"),
        (b"/MediaBox [0 0 612 792]", b"/MxdiaBox [0 0 612 792]", "first\n\nsecond\n\nthird", ""),
        (b"/Type /Font ", b"/Txpe /Fxnt ", "first\n\nsecond\n\nthird", ""),
    ],
)
def test_a_damaged_page_costs_that_page(
    tmp_path: Path, old: bytes, new: bytes, text: str, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    raw = pdf(lines("first"), lines("second"), lines("third"))
    assert old in raw
    assert only(tmp_path, raw.replace(old, new)) == text
    assert (f"read 1 file in part: file ({missing})" if missing else "") in caplog.text


def test_tags_in_a_pdf_are_text(tmp_path: Path) -> None:
    text = "see <https://example.org> for\n<a><b/></a> 1 < 2"
    assert only(tmp_path, pdf(lines(*text.split("\n")))) == text


def test_characters_without_a_meaning_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert only(tmp_path, pdf(lines("first"), lines("sec\x01\x07ond"))).startswith("first\n\nsec")
    assert "file (1 of 2 pages has characters that cannot be read)" in caplog.text


def test_comments_and_attached_files_of_a_pdf(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    objects = [
        b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (a comment) >>",
        b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /Contents (a link) >>",
        b"<< /Type /Filespec /F (a.txt) /EF << /F 13 0 R >> >>",
        b"<< /Type /EmbeddedFile /Length 4 >>\nstream\ntext\nendstream",
    ]
    names = b"/Names << /EmbeddedFiles << /Names [(a.txt) 12 0 R] >> >>"
    assert only(tmp_path, pdf(lines("text"), objects=objects, page=b"/Annots [10 0 R 11 0 R]", form=names)) == (
        "text\na comment"
    )
    assert "attachments that were not read: 1" in caplog.text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("the commission exam-\nined it", "the commission examined it"),
        ("a well-\nknown case", "a well-known case"),
        ("a far-\nfetched one, not far-fetched", "a far-fetched one, not far-fetched"),
        ("the price-\ntag: price and tag", "the price-tag: price and tag"),
        ("trans-\nport, also transport, trans and port", "transport, also transport, trans and port"),
        ("exam-\nined, exam-\nined", "examined, examined"),
        ("Jean-\nPaul", "Jean-Paul"),
        ("1914-\n1918 or A-\nB", "1914-\n1918 or A-\nB"),
        ("Ge\xad\nbäude", "Gebäude"),
    ],
)
def test_words_that_a_line_end_breaks_are_joined(written: str, text: str) -> None:
    from hashret.worker.pdf import mended

    assert mended(written) == text


@given(st.text(alphabet="ab-\n\xad A1é."))
def test_joining_loses_no_letters(text: str) -> None:
    from hashret.worker.pdf import mended

    def letters(text: str) -> str:
        return "".join(filter(str.isalnum, text))

    assert letters(mended(text)) == letters(text)


def test_broken_words_and_ligatures_of_a_pdf(tmp_path: Path) -> None:
    assert only(tmp_path, pdf(lines("the commission exam-", "ined it"))) == "the commission examined it"
    mapped = b"1 beginbfchar\n<61> <FB01>\nendbfchar\n"
    table = b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n1 begincodespacerange <00> <ff> "
    table += b"endcodespacerange\n" + mapped + b"endcmap end end"
    stream = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(table), table)
    raw = pdf(lines("a"), objects=[stream], font=b"/ToUnicode 10 0 R")
    assert only(tmp_path, raw) == "fi"


# RTF and mails


def test_the_code_page_of_a_font_counts(tmp_path: Path) -> None:
    raw = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f1\fcharset204 A;}}\f1 \'ec\'e8\'f0{\pict\pngblip 89504e47}}"
    assert only(tmp_path, raw) == "мир"


def test_an_rtf_file_may_have_bytes_that_are_not_ascii(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert only(tmp_path, rb"{\rtf1\ansi\ansicpg1252 " + "Grüße".encode("cp1252") + b"}") == "Grüße"
    assert "in part" not in caplog.text


def test_a_mail_of_outlook_has_its_headers_as_metadata(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    attached = {"a.txt": b"attached text", "b.docx": docx(paragraphs("inside")), "c.bin": b"\0\1"}
    (tmp_path / "a.msg").write_bytes(msg("The subject", "Dear all", attached))
    (document,) = read(tmp_path)
    assert document.metadata["title"] == "The subject"
    assert document.metadata["from"] == "Anna <anna@example.org>"
    assert {"attached", "inside"} <= set(str(document.content).split())
    assert "attachments that were not read: 1" in caplog.text


def eml() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["Subject"], mail["Date"] = "a@example.org", "The harvest", "Mon, 5 Jan 2026 10:00:00 +0100"
    mail.set_content("Dear all")
    return mail


def test_a_mail_has_a_title_and_the_texts_that_are_attached(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mail, inner = eml(), eml()
    inner.replace_header("Subject", "The answer")
    for raw, name in [
        (FILES["docx"][0], "a.docx"),
        (b"plain text", "b.txt"),
        (b"<p>page", "c.html"),
        (b"\0\1", "d.bin"),
        (b"%PDF-1.7\n", "bad.pdf"),
        (pdf("q Q"), "scan.pdf"),
    ]:
        mail.add_attachment(raw, maintype="application", subtype="octet-stream", filename=name)
    mail.add_attachment(inner)
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    (document,) = read(tmp_path)
    assert document.content == (
        "The harvest\nDear all\n\nR&D costs 7>2\n\nand <more>\n\nplain text\n\npage\n\nThe answer\nDear all"
    )
    assert document.metadata["title"] == "The harvest"
    assert document.metadata["date"] == "2026-01-05T10:00:00+01:00"
    assert "attachments that were not read: 1" in caplog.text
    assert "read 2 files in part: a.eml!/bad.pdf (" in caplog.text
    assert "a.eml!/scan.pdf (pages without text, such as scans)" in caplog.text


def test_mails_in_mails_are_read_to_a_depth(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mail = eml()
    for _ in range(9):
        outer = eml()
        outer.add_attachment(mail)
        mail = outer
    assert only(tmp_path, mail.as_bytes(), "a.eml").count("Dear all") == 6
    assert "attachments that were not read: 1" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.txt", "From: a@example.org\nMessage-ID: <1>\n\ntext", "mail"),
        ("a.txt", "Received: from x\n by y\nFrom: a@example.org\n\ntext", "mail"),
        ("a.eml", "Subject: x\n\ntext", "mail"),
        ("a.txt", "From: a@example.org\nSubject: x\n\ntext", "text"),
        ("a.txt", "Note: this is text\nFrom here on\n", "text"),
        ("a.txt", "From: someone\nMessage-ID\n", "text"),
        ("a.eml", "no headers", "text"),
        ("a.txt", "a PDF begins with %PDF-1.7", "text"),
    ],
)
def test_what_is_a_mail_and_what_a_text(name: str, text: str, kind: str) -> None:
    assert kind_of(text.encode(), text.encode(), name) == kind


# Limits


def test_documents_without_the_extra_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pdf").write_bytes(FILES["pdf"][0])
    mail = eml()
    mail.add_attachment(FILES["pdf"][0], maintype="application", subtype="pdf", filename="a.pdf")
    (tmp_path / "b.eml").write_bytes(mail.as_bytes())
    monkeypatch.setitem(sys.modules, "xberg", None)
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    assert [document.content for document in read(tmp_path)] == ["The harvest\nDear all"]
    assert "skipped 1 file (missing package: pip install 'hashret[documents]'): .pdf 1" in caplog.text
    assert "b.eml!/a.pdf (reading PDF needs pypdfium2" in caplog.text
    with pytest.raises(DataError, match=r"pip install 'hashret\[documents\]'"):
        list(read(tmp_path / "a.pdf"))


def test_damaged_and_locked_documents_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\n" + bytes(range(256)) * 4)
    (tmp_path / "b.docx").write_bytes(packed({"word/document.xml": "<no xml"}))
    (tmp_path / "c.docx").write_bytes(ole({"EncryptedPackage": b"x" * 100, "EncryptionInfo": b"x"}))
    (tmp_path / "d.xls").write_bytes(ole({"Workbook": b"x" * 100}))
    assert only(tmp_path, b"text") == "text"
    for name in ("a.pdf", "b.docx", "d.xls"):
        assert f"{name} (" in caplog.text
    assert "c.docx (protected by a password)" in caplog.text


def test_a_document_that_unpacks_to_too_much(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashret.readers.office.MAX_UNPACKED", 10_000)
    (tmp_path / "bomb.docx").write_bytes(docx(paragraphs(*["wheat"] * 10_000)))
    assert only(tmp_path, b"text") == "text"
    assert "bomb.docx (" in caplog.text


def test_the_child_that_dies_costs_one_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deep = xlsx({"A": [["x"]]}, files={"docProps/app.xml": "<a>" * 50_000 + "</a>" * 50_000})
    for number, raw in enumerate([FILES["docx"][0], deep, FILES["pdf"][0], deep, FILES["xlsx"][0]]):
        (tmp_path / str(number)).write_bytes(raw)
    assert [document.id for document in read(tmp_path)] == ["0", "2", "4"]
    assert "skipped 2 files that cannot be read: 1 (its parser crashed (signal 11)), 3 (its parser" in caplog.text


def test_nothing_is_written_or_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from hashret import worker

    home, files = tmp_path / "home", tmp_path / "files"
    home.mkdir()
    files.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home)
    monkeypatch.setattr(worker, "_pool", worker._Pool())  # children with this environment
    for kind, (raw, _) in FILES.items():
        (files / kind).write_bytes(raw)
    assert len(list(read(files))) == len(FILES)
    assert list(home.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_quiet_run_prints_nothing(tmp_path: Path) -> None:
    for kind, (raw, _) in FILES.items():
        (tmp_path / f"a.{kind}").write_bytes(raw)
        (tmp_path / f"damaged.{kind}").write_bytes(raw[: len(raw) // 2] + bytes(20) + raw[len(raw) // 2 :])
        (tmp_path / f"cut.{kind}").write_bytes(raw[:-30])
    command = [sys.executable, "-m", "hashret", "index", str(tmp_path), "-i", str(tmp_path / "index"), "--quiet"]
    done = subprocess.run([*command, "--encoder", "lsh", "--bits", "8"], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_document_is_fetched_from_a_network(tmp_path: Path) -> None:
    linked: dict[str, Any] = {"word/_rels/document.xml.rels": relations({"image": "http://127.0.0.1:9/x.png"})}
    assert only(tmp_path, docx(paragraphs("text"), linked)) == "text"
