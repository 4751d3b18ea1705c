"""Measure how often the encoding of a text is guessed right, by the length of the text.

    python scripts/bench_encodings.py [--translations FOLDER]...

The texts are translated messages of installed programs (gettext, `*.mo`), by default those below /usr/share and this
Python. Each is written in the encodings of its language, and counts as right if it is read as it was. Results go to
docs/figures/encodings.jsonl and docs/text-encodings.md. charset-normalizer is measured too if it is installed.
"""

from __future__ import annotations

import argparse
import gettext
import random
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from figures import Run, add_run, machine, read_runs
from hashret.readers.encodings import encoding_of

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "encodings.jsonl", DOCS / "text-encodings.md"
SIZES, EACH, SEED = (15, 40, 100, 300, 1000, 4000), 20, 0  # bytes of a text in UTF-8, texts of a language and encoding
FEWEST = 100  # messages of a language
WRITTEN = {
    "cp1252": "sv fr de es it pt pt_BR da fi nl ca nb gl eu ga af ast",
    "cp1250": "cs pl hu hr sk sl ro",
    "cp1251": "ru uk bg be sr",
    "cp1253": "el",
    "cp1254": "tr",
    "cp1255": "he",
    "cp1256": "ar",
    "cp1257": "lt lv et",
    "koi8_r": "ru",
    "gb18030": "zh_CN",
    "big5": "zh_TW",
    "cp932": "ja",
    "euc_jp": "ja",
    "iso2022_jp": "ja",
    "cp949": "ko",
    "iso8859_2": "pl cs",
    "iso8859_15": "fr de",
    "utf-8": "sv de ru ja el pl",
}

Messages = dict[str, list[str]]


def messages(folders: list[Path]) -> Messages:
    """The translated messages of each language, without markup and placeholders."""
    found: dict[str, set[str]] = {}
    for file in sorted(own for folder in folders for own in folder.rglob("locale/*/LC_MESSAGES/*.mo")):
        try:
            catalog: dict[Any, Any] = gettext.GNUTranslations(file.open("rb"))._catalog  # type: ignore[attr-defined]
        except (OSError, UnicodeError, ValueError, IndexError):  # damaged, or of no known charset
            continue
        texts = (text.replace("\n", " ") for key, text in catalog.items() if key and isinstance(text, str))
        kept = {text for text in texts if len(text) > 20 and "%" not in text and "<" not in text}
        found.setdefault(file.parent.parent.name, set()).update(kept)
    return {language: sorted(texts) for language, texts in found.items() if len(texts) >= FEWEST}


def samples(texts: Messages, size: int) -> Iterator[tuple[str, str, bytes]]:
    """Encoding, text and bytes of texts of about so many bytes in UTF-8."""
    rng = random.Random(SEED)
    for encoding, languages in WRITTEN.items():
        for language in filter(texts.__contains__, languages.split()):
            count = 0
            for _ in range(20 * EACH):
                text = ""
                while len(text.encode()) < size:
                    text += rng.choice(texts[language]) + "\n"
                text = text[: max(4, len(text) * size // len(text.encode()))]
                try:
                    raw = text.encode(encoding)
                except UnicodeEncodeError:
                    continue
                if not raw.isascii() or (encoding == "iso2022_jp" and not text.isascii()):
                    count += 1
                    yield encoding, text, raw
                if count == EACH:
                    break


def _ours(raw: bytes) -> str:
    return encoding_of(raw, complete=True).name


def _chardet(raw: bytes) -> str:
    import chardet

    return str(chardet.detect(raw)["encoding"] or "cp1252")


def _normalizer(raw: bytes) -> str:
    import charset_normalizer

    best = charset_normalizer.from_bytes(raw).best()
    return best.encoding if best else "cp1252"


METHODS: dict[str, Callable[[bytes], str]] = {"hashret": _ours, "chardet": _chardet}
if find_spec("charset_normalizer"):
    METHODS["charset-normalizer"] = _normalizer


def _right(raw: bytes, text: str, name: str) -> bool:
    try:
        return raw.decode(name) == text
    except (LookupError, UnicodeError):
        return False


def measure(texts: Messages) -> Iterator[Run]:
    """A row for each method, size and encoding."""
    for size in SIZES:
        each = list(samples(texts, size))
        for method, find in METHODS.items():
            right: dict[str, list[bool]] = {}
            for encoding, text, raw in each:
                right.setdefault(encoding, []).append(_right(raw, text, find(raw)))
            for encoding, own in right.items():
                about = {"method": method, "bytes": size, "encoding": encoding, "texts": len(own)}
                yield about | {"value": round(sum(own) / len(own), 4)}


def table(runs: list[Run]) -> str:
    """The page."""
    lines = [
        "# Encodings of texts",
        "",
        "Written by `scripts/bench_encodings.py` from `figures/encodings.jsonl`. Share of texts that are read as they "
        "were written, by their bytes in UTF-8. The texts are translated messages of installed programs, in the "
        "encodings of their languages; each counts alone, without others of its folder. chardet with default options.",
        "",
        "| | " + " | ".join(f"{size:,}" for size in SIZES) + " |",
        "| --- |" + " --- |" * len(SIZES),
    ]
    ours = [run for run in runs if run["method"] == "hashret"]
    methods = dict.fromkeys(run["method"] for run in runs)
    lines += [_row(f"**{name}**", [run for run in runs if run["method"] == name]) for name in methods]
    lines += [_row(f"hashret, {name}", [run for run in ours if run["encoding"] == name]) for name in WRITTEN]
    return "\n".join(lines) + "\n"


def _row(name: str, runs: list[Run]) -> str:
    cells = []
    for size in SIZES:
        own = [run for run in runs if run["bytes"] == size]
        total = sum(run["texts"] for run in own)
        cells.append(f"{sum(run['value'] * run['texts'] for run in own) / total:.3f}" if total else "-")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--translations", action="append", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    if not read_runs(RUNS):
        found = messages(chosen.translations or [Path("/usr/share"), Path(sys.prefix)])
        if not found:
            sys.exit("no translated messages found; name a folder with locale/*/LC_MESSAGES/*.mo (--translations)")
        for row in measure(found):
            add_run(RUNS, row | {"seed": SEED} | machine("chardet"))
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
