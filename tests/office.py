"""Makes documents as programs write them, with the standard library: PDF, Word, sheets, slides, books, RTF, Outlook."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
SCHEMAS = "http://schemas.openxmlformats.org"
STATE = 'state="hidden" '
_MAIN = "application/vnd.openxmlformats-officedocument"


def packed(files: Mapping[str, str | bytes], first_stored: bool = False) -> bytes:
    """A zip file; `first_stored` leaves its first file uncompressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(files.items()):
            stored = first_stored and not number
            archive.writestr(name, content, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _office(main: str, kind: str, files: Mapping[str, str | bytes], others: Mapping[str, str] | None = None) -> bytes:
    """A file of Office Open XML whose main part is at the path `main`."""
    types = "".join(
        f'<Override PartName="/{name}" ContentType="{_MAIN}.{own}+xml"/>'
        for name, own in {main: kind, **(others or {})}.items()
    )
    return packed(
        {
            "[Content_Types].xml": f'{HEAD}<Types xmlns="{SCHEMAS}/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{types}</Types>',
            "_rels/.rels": relations({"officeDocument": main}),
            **files,
        }
    )


def relations(targets: Mapping[str, str]) -> str:
    """A part of relationships; the ids are rId1, rId2, ..."""
    return (
        f'{HEAD}<Relationships xmlns="{SCHEMAS}/package/2006/relationships">'
        + "".join(
            f'<Relationship Id="rId{number}" Type="{SCHEMAS}/officeDocument/2006/relationships/'
            f'{kind.partition(" ")[0]}" Target="{target}"/>'
            for number, (kind, target) in enumerate(targets.items(), 1)
        )
        + "</Relationships>"
    )


def paragraphs(*texts: str) -> str:
    """Paragraphs of WordprocessingML."""
    return "".join(f'<w:p><w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>' for text in texts)


def docx(body: str, files: Mapping[str, str | bytes] | None = None) -> bytes:
    """A Word file with this WordprocessingML as its body."""
    xml = f'{HEAD}<w:document xmlns:w="{SCHEMAS}/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>'
    kind = "wordprocessingml.document.main"
    return _office("word/document.xml", kind, {"word/document.xml": xml, **(files or {})})


def pptx(slides: Sequence[str], notes: str = "") -> bytes:
    """A presentation with one text a slide, and speaker notes on the first."""
    a, p, r = (
        f"{SCHEMAS}/drawingml/2006/main",
        f"{SCHEMAS}/presentationml/2006/main",
        f"{SCHEMAS}/officeDocument/2006/relationships",
    )
    names = f'xmlns:a="{a}" xmlns:p="{p}" xmlns:r="{r}"'

    def shape(text: str) -> str:
        return (
            '<p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
            '<p:sp><p:nvSpPr><p:cNvPr id="2" name="Text"/><p:cNvSpPr/><p:nvPr><p:ph type="body" idx="1"/></p:nvPr>'
            "</p:nvSpPr>"
            f"<p:spPr/><p:txBody><a:bodyPr/><a:p><a:r><a:t>{escape(text)}</a:t></a:r></a:p></p:txBody></p:sp>"
            "</p:spTree></p:cSld>"
        )

    ids = "".join(f'<p:sldId id="{256 + n}" r:id="rId{n}"/>' for n in range(1, len(slides) + 1))
    files = {
        "ppt/presentation.xml": f"{HEAD}<p:presentation {names}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            {f"slide {n}": f"slides/slide{n}.xml" for n in range(1, len(slides) + 1)}
        ),
        **{f"ppt/slides/slide{n}.xml": f"{HEAD}<p:sld {names}>{shape(t)}</p:sld>" for n, t in enumerate(slides, 1)},
    }
    others = {f"ppt/slides/slide{n}.xml": "presentationml.slide" for n in range(1, len(slides) + 1)}
    if notes:
        files["ppt/slides/_rels/slide1.xml.rels"] = relations({"notesSlide": "../notesSlides/notesSlide1.xml"})
        files["ppt/notesSlides/notesSlide1.xml"] = f"{HEAD}<p:notes {names}>{shape(notes)}</p:notes>"
        others["ppt/notesSlides/notesSlide1.xml"] = "presentationml.notesSlide"
    return _office("ppt/presentation.xml", "presentationml.presentation.main", files, others)


def xlsx(
    sheets: Mapping[str, Sequence[Sequence[str]]], hidden: Sequence[str] = (), files: Mapping[str, str] | None = None
) -> bytes:
    """A workbook with these cells by name of sheet."""
    main, r = f"{SCHEMAS}/spreadsheetml/2006/main", f"{SCHEMAS}/officeDocument/2006/relationships"
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" {STATE if name in hidden else ""}r:id="rId{n}"/>'
        for n, name in enumerate(sheets, 1)
    )
    own = {
        "xl/workbook.xml": f'{HEAD}<workbook xmlns="{main}" xmlns:r="{r}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(
            {f"worksheet {n}": f"worksheets/sheet{n}.xml" for n in range(1, len(sheets) + 1)}
        ),
    }
    for n, rows in enumerate(sheets.values(), 1):
        cells = "".join(
            f'<row r="{y}">'
            + "".join(
                f'<c r="{chr(65 + x)}{y}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
                for x, cell in enumerate(row)
            )
            + "</row>"
            for y, row in enumerate(rows, 1)
        )
        own[f"xl/worksheets/sheet{n}.xml"] = (
            f'{HEAD}<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
        )
    others = {f"xl/worksheets/sheet{n}.xml": "spreadsheetml.worksheet" for n in range(1, len(sheets) + 1)}
    return _office("xl/workbook.xml", "spreadsheetml.sheet.main", {**own, **(files or {})}, others)


def opendocument(kind: str, body: str) -> bytes:
    """A file of OpenDocument: kind is "text", "spreadsheet" or "presentation"."""
    mime = f"application/vnd.oasis.opendocument.{kind}"
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name if name != "draw" else "drawing"}:1.0"'
        for name in ("office", "text", "table", "draw", "presentation")
    )
    content = (
        f'{HEAD}<office:document-content {names} office:version="1.2"><office:body>'
        f"<office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    manifest = (
        f'{HEAD}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mime}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    return packed({"mimetype": mime, "content.xml": content, "META-INF/manifest.xml": manifest}, first_stored=True)


def epub(chapters: Mapping[str, str], spine: Sequence[str]) -> bytes:
    """A book of these pages, stored in this order; the spine names the order in which they are read."""
    items = "".join(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in chapters)
    package = (
        f'{HEAD}<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x</dc:identifier>'
        "<dc:title>The title</dc:title><dc:language>en</dc:language></metadata><manifest>"
        f'<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>{items}</manifest>'
        "<spine>" + "".join(f'<itemref idref="{name}"/>' for name in spine) + "</spine></package>"
    )
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head><body>{}</body></html>'
    container = (
        f'{HEAD}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "OEBPS/content.opf": package,
            "OEBPS/nav.xhtml": page.format("<nav>navigation</nav>"),
            **{f"OEBPS/{name}.xhtml": page.format(text) for name, text in chapters.items()},
        },
        first_stored=True,
    )


def rtf(text: str, page: str = "cp1252") -> bytes:
    """An RTF file in a code page of Windows."""
    coded = "".join(chr(byte) if byte < 128 else f"\\'{byte:02x}" for byte in text.encode(page))
    body = coded.replace("\n", "\\par\n")
    return f"{{\\rtf1\\ansi\\ansicpg{page[2:]}{{\\fonttbl{{\\f0 Arial;}}}}\\f0 {body}\\par}}".encode()


def pdf(
    *pages: str | bytes, objects: Sequence[bytes] = (), form: bytes = b"", page: bytes = b"", font: bytes = b""
) -> bytes:
    """A PDF with one content stream a page.

    `objects` are numbered from 10 on; `form`, `page` and `font` are added to the catalog, the pages and the font.
    """
    font = font or b"/Encoding /WinAnsiEncoding"
    first = 10 + len(objects)
    kids = b" ".join(b"%d 0 R" % (first + 2 * n) for n in range(len(pages)))
    bodies = {
        1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % form,
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica %s >>" % font,
        **dict(enumerate(objects, 10)),
    }
    for n, content in enumerate(pages):
        stream = zlib.compress(content.encode("cp1252")) if isinstance(content, str) else content
        bodies[first + 2 * n] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> %s >>" % (first + 2 * n + 1, page)
        )
        bodies[first + 2 * n + 1] = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (
            len(stream),
            stream,
        )
    out, places = b"%PDF-1.4\n", {}
    for number, body in bodies.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"0000000000 65535 f \n"
    for number in range(1, max(bodies) + 1):
        table += b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 00000 f \n"
    end = b"xref\n0 %d\n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    return out + end % (max(bodies) + 1, table, max(bodies) + 1, len(out))


def lines(*rows: str, x: int = 72, y: int = 720, size: int = 11) -> str:
    """The content stream of lines of text, one below the other."""
    shown = "".join(
        f"({row}) Tj 0 -{size + 3} Td " for row in (row.replace("(", "\\(").replace(")", "\\)") for row in rows)
    )
    return f"BT /F1 {size} Tf {x} {y} Td {shown}ET\n"


def ole(files: Mapping[str, bytes]) -> bytes:
    """A compound file of OLE with these streams, by path with /; storages come from the paths."""
    free, end, table, none = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
    names = ["", *sorted({path[: path.rindex("/")] for path in files if "/" in path}), *files]
    mini = b"".join(_padded(raw, 64) for raw in files.values())
    chains, starts, at = [], {}, 0  # chain of the mini stream's sectors; the first one of each file
    for name, raw in files.items():
        count = -(-len(raw) // 64)
        starts[name] = at if count else end
        chains += [*range(at + 1, at + count), end][:count]
        at += count

    def children(parent: str) -> list[int]:
        own = [n for n, path in enumerate(names) if path and path.rpartition("/")[0] == parent]
        return sorted(own, key=lambda n: (len(_last(names[n])), _last(names[n]).upper()))

    entries = []
    following = {one: other for parent in names for one, other in itertools.pairwise(children(parent))}
    for number, path in enumerate(names):
        label = (_last(path) or "Root Entry").encode("utf-16-le") + b"\0\0"
        kind = 2 if path in files else 5 if not path else 1
        first = starts.get(path, end if path else 0)
        size = len(files.get(path, b"")) if path else len(mini)
        inner = children(path) if path not in files else []
        links = (none, following.get(number, none), inner[0] if inner else none)
        entries.append(struct.pack("<64sHBB3I36xIQ", label, len(label), kind, 1, *links, first, size))
    entries += [struct.pack("<64sHBB3I36xIQ", b"", 0, 0, 1, none, none, none, 0, 0)] * (-len(entries) % 4)
    # sectors: the mini stream, the directory, the table of the mini stream, the table
    parts = [_padded(mini, 512), b"".join(entries), _padded(struct.pack(f"<{len(chains)}I", *chains), 512, b"\xff")]
    sectors: list[int] = []
    for part in parts:
        count = len(part) // 512
        sectors += [*range(len(sectors) + 1, len(sectors) + count), end][:count]
    first = len(parts[0]) // 512
    tables = next(n for n in itertools.count(1) if 128 * n >= len(sectors) + n)
    heads = [len(sectors) + n for n in range(tables)]
    sectors += [table] * tables
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack(
        "<16x5H6x9I",
        *(0x3E, 3, 0xFFFE, 9, 6, 0, tables, first, 0, 4096),
        *(first + len(parts[1]) // 512, len(parts[2]) // 512, end, 0),
    )
    header += struct.pack("<109I", *heads, *[free] * (109 - tables))
    return header + b"".join(parts) + _padded(struct.pack(f"<{len(sectors)}I", *sectors), 512, b"\xff")


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _padded(raw: bytes, size: int, fill: bytes = b"\0") -> bytes:
    return raw + fill * (-len(raw) % size)


def msg(subject: str, body: str, attachments: Mapping[str, bytes] | None = None) -> bytes:
    """A mail as Outlook stores it."""
    sender = {0x0C1A: "Anna", 0x0C1F: "anna@example.org"}
    files = _properties("", {0x001A: "IPM.Note", 0x0037: subject, 0x1000: body, **sender}, 32)
    for number, (name, raw) in enumerate((attachments or {}).items()):
        place = f"__attach_version1.0_#{number:08X}/"
        files |= _properties(place, {0x3704: name, 0x3707: name}, 8)
        files[f"{place}__substg1.0_37010102"] = raw
    files["__nameid_version1.0/__substg1.0_00020102"] = b""
    return ole(files)


def _properties(place: str, values: Mapping[int, str], head: int) -> dict[str, bytes]:
    files, rows = {}, b""
    for tag, value in values.items():
        raw = value.encode("utf-16-le")
        files[f"{place}__substg1.0_{tag:04X}001F"] = raw
        rows += struct.pack("<HHIII", 0x001F, tag, 6, len(raw) + 2, 0)
    return {f"{place}__properties_version1.0": bytes(head) + rows, **files}


def xls(cells: Sequence[Sequence[str]], hidden: str = "") -> bytes:
    """A workbook of Excel 97 with a sheet of these cells, and a hidden one with a single cell."""

    def record(kind: int, raw: bytes) -> bytes:
        return struct.pack("<HH", kind, len(raw)) + raw

    def sheet(rows: Sequence[Sequence[str]]) -> bytes:
        labels = b""
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                text = cell.encode("utf-16-le")
                labels += record(0x0204, struct.pack("<HHHHB", y, x, 0, len(text) // 2, 1) + text)
        return record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 6)) + labels + record(0x000A, b"")

    sheets = {"Shown": sheet(cells), **({"Secret": sheet([[hidden]])} if hidden else {})}
    begin, end = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 6)), record(0x000A, b"")
    at, heads, bodies = len(begin) + len(end) + sum(12 + len(name) for name in sheets), b"", b""
    for number, (name, body) in enumerate(sheets.items()):
        heads += record(0x0085, struct.pack("<IBBBB", at + len(bodies), number, 0, len(name), 0) + name.encode())
        bodies += body
    return ole({"Workbook": begin + heads + end + bodies})


def doc(text: str) -> bytes:
    """A file of Word 97 with this text in one piece."""
    raw, start = text.encode("utf-16-le"), 0x400
    head = bytearray(start)
    struct.pack_into("<HHHHHH", head, 0, 0xA5EC, 0x00C1, 0, 0x0409, 0, 0x0200)  # the table is in the stream 1Table
    struct.pack_into("<II", head, 0x18, start, start + len(raw))
    struct.pack_into("<H", head, 0x20, 14)
    struct.pack_into("<H", head, 0x3E, 22)
    struct.pack_into("<I", head, 0x40, start + len(raw))
    struct.pack_into("<I", head, 0x4C, len(text))
    struct.pack_into("<H", head, 0x98, 93)
    pieces = struct.pack("<II", 0, len(text)) + struct.pack("<HIH", 0, start, 0)
    table = b"\x02" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<II", head, 0x9A + 8 * 33, 0, len(table))
    return ole({"WordDocument": bytes(head) + raw, "1Table": table})
