"""Options that several commands share, and functions that interpret them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashret.address import Address, is_address
from hashret.errors import UsageError

if TYPE_CHECKING:
    from hashret.readers import Source
    from hashret.readers.base import Fields

INDEXES = Path("indexes")

log = logging.getLogger("hashret")


def opt(*names: str, help: str, metavar: str | None = None, hidden: bool = False) -> Any:
    """Return an option that can also be set in the environment: `--bits` as HASHRET_BITS."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = "HASHRET_" + long.removeprefix("--").replace("-", "_").upper()
    return typer.Option(*names, help=help, metavar=metavar, envvar=variable, show_envvar=False, hidden=hidden)


def many(*names: str, help: str, metavar: str) -> Any:
    """Return an option that can be repeated."""
    return typer.Option(*names, help=help, metavar=metavar)


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Folders, files, addresses such as s3://bucket/*.jsonl, or - for JSON lines on standard input.",
    ),
]
IndexAt = Annotated[
    str | None,
    opt(
        "--index",
        "-i",
        help="Path of the index, its name in ./indexes, or an address; by default the only one there.",
        metavar="INDEX",
    ),
]
Bits = Annotated[
    str | None,
    opt("--bits", help="Length of the codes, 1 to 4096, or auto to choose it from the data [64].", metavar="N|auto"),
]
EncoderName = Annotated[
    str | None, opt("--encoder", help="Encoder, see hashret encoders [neighborhood].", metavar="NAME")
]
VectorizerName = Annotated[
    str | None,
    opt("--vectorizer", help="Vectorizer, or sentence:MODEL or image:MODEL; see hashret vectorizers.", metavar="NAME"),
]
Settings = Annotated[
    list[str] | None,
    many("-o", help="Option of encoder, vectorizer or training; repeatable.", metavar="KEY=VALUE"),
]
Seed = Annotated[int | None, opt("--seed", help="Random seed [0].", metavar="N")]
Device = Annotated[str | None, opt("--device", help="Device to train on: auto, cpu or cuda [auto].", metavar="DEVICE")]
HasherAt = Annotated[str | None, opt("--hasher", help="Folder of a fitted hasher.", metavar="PATH")]
IdField = Annotated[str | None, opt("--id", help="Field of the id.", metavar="FIELD")]
TextField = Annotated[str | None, opt("--text", help="Fields of the text.", metavar="FIELD[,FIELD]")]
LabelField = Annotated[
    str | None, opt("--label", help="Field of the labels; 'folder': the name of the file's folder.", metavar="FIELD")
]
EncodingName = Annotated[
    str | None,
    opt("--encoding", help="Encoding of texts that are not UTF-8 and declare none [guessed].", metavar="NAME"),
]
NoHeader = Annotated[bool, opt("--no-header", help="A table begins with a document; its columns are 1, 2, ...")]
SourceName = Annotated[str | None, opt("--source", help="Format of the source, see hashret sources.", metavar="NAME")]
Strict = Annotated[bool, opt("--strict", help="Fail on a file that cannot be read instead of skipping it.")]
Measures = Annotated[
    list[str] | None,
    many(
        "--measure",
        "-m",
        help="Measure such as P@100, AP, nDCG@10, R@100, RR, P(r=2); repeatable.",
        metavar="MEASURE",
    ),
]
QrelsAt = Annotated[str | None, opt("--qrels", help="Judgements, TREC or BEIR format.", metavar="FILE")]
Vectors = Annotated[
    str | None,
    opt(
        "--vectors",
        help="Vectors stored: bytes a document, int8, float or none [16; a bit per dimension for embeddings].",
        metavar="BYTES|int8|float|none",
    ),
]
Rescore = Annotated[
    str | None,
    opt("--rescore", help="Also store the features on disk, to score the best results again.", metavar="int8|float"),
]
Language = Annotated[
    str | None, opt("--language", help="Language of the texts, for stemming; none, or auto: detect it.", metavar="NAME")
]
Workers = Annotated[
    str | None,
    opt(
        "--workers",
        help="Processes that encode: a number, ray, or ray:ADDRESS for a cluster; an interrupted run continues.",
        metavar="N|ray[:ADDRESS]",
    ),
]
Force = Annotated[bool, opt("--force", help="Replace an existing index.")]
By = Annotated[
    str | None,
    opt("--by", help="Rank by these parts: words, codes, vectors.", metavar="PART[,PART]"),
]
Weights = Annotated[
    str | None, opt("--weights", help="Weights of parts, such as words=1,codes=0.5.", metavar="PART=W[,PART=W]")
]
Oversample = Annotated[
    int | None,
    opt("--oversample", help="Best documents to score again with --rescore features [100].", metavar="N"),
]
ExcludeSelf = Annotated[bool, opt("--exclude-self", help="Leave out the document with the id of the query.")]


def key_values(settings: Sequence[str] | None) -> dict[str, str]:
    """Return `KEY=VALUE` texts as a dict. Raises UsageError for a text without `=`."""
    pairs = [setting.partition("=") for setting in settings or ()]
    for key, equals, _ in pairs:
        if not equals or not key:
            raise UsageError(f"-o must be KEY=VALUE, got {key!r}; for example -o epochs=10")
    return {key: value for key, _, value in pairs}


def deriving(vectors: str | None, rescore: str | None, language: str | None) -> dict[str, Any]:
    """`--vectors`, `--rescore` and `--language` as the arguments of `Index.create`; what was not given is left out."""
    given: dict[str, Any] = {"rescore": rescore, "language": language}
    given = {name: value for name, value in given.items() if value is not None}
    if vectors is not None:
        given["vectors"] = int(vectors) if vectors.isdecimal() else None if vectors == "none" else vectors
    return given


def ranking(by: str | None, weights: str | None, oversample: int | None) -> dict[str, Any]:
    """`--by`, `--weights` and `--oversample` as the arguments of `Index.search`."""
    parts = None if by is None else [name.strip() for name in by.split(",") if name.strip()]
    given: dict[str, float] | None = None
    if weights is not None:
        given = {}
        for pair in weights.split(","):
            name, _, value = pair.partition("=")
            try:
                given[name.strip()] = float(value)
            except ValueError:
                raise UsageError(
                    f"--weights takes PART=W, got {pair!r}; for instance --weights words=1,codes=0.5"
                ) from None
    return {"by": parts, "weights": given, "oversample": oversample}


def fitting(
    bits: str | None,
    encoder: str | None,
    vectorizer: str | None,
    settings: Sequence[str] | None,
    seed: int | None,
    device: str | None,
) -> dict[str, Any]:
    """Return the given options as keyword arguments of `Hasher.fit`. Raises UsageError if one is invalid."""
    length = int(bits) if bits and bits.isdecimal() else bits
    if isinstance(length, str) and length != "auto":
        raise UsageError(f"--bits must be a number from 1 to 4096, or auto, got {bits!r}")
    said = {"bits": length, "encoder": encoder, "vectorizer": vectorizer, "seed": seed, "device": device}
    options = key_values(settings)
    return {key: value for key, value in said.items() if value is not None} | ({"options": options} if options else {})


def field_names(
    id: str | None, text: str | None, label: str | None, encoding: str | None = None, no_header: bool = False
) -> dict[str, Any]:
    """Return those arguments of `read` about fields that are given."""
    said = {"id": id, "text": text, "label": label, "encoding": encoding, "has_header": False if no_header else None}
    return {name: value for name, value in said.items() if value is not None}


def read_sources(
    paths: Sequence[str],
    source: str | None,
    named: Mapping[str, Any],
    fields: Fields | None = None,
    strict: bool = False,
) -> Source:
    """Read the sources as one, with the fields that are named, or else those of the index."""
    from hashret.readers import read
    from hashret.readers.base import USUAL

    if "-" in paths:
        check_stdin()
    try:
        return read(*paths, source=source, fields=fields or USUAL, **named, strict=strict)
    except UsageError:
        if fields is None or named:
            raise
        return read(*paths, source=source, strict=strict)  # the fields of the index are for another format


def shown(index: str | Path) -> str:
    """Return the path of an index for a message, or its address without user and password."""
    return str(Address.parse(str(index))) if is_address(index) else str(index)


def check_stdin() -> None:
    """Raise UsageError if standard input is closed."""
    if sys.stdin is None:
        raise UsageError("standard input is closed; give a file instead of -")


def default_index(sources: Sequence[str]) -> Path:
    """Return the default path of the index of a source: indexes/<name of the source>."""
    if sources[0] == "-":
        raise UsageError("no name for the index of standard input; give one with -i INDEX")
    if "://" in sources[0]:
        fixed = sources[0].partition("://")[2].rstrip("/").split("/")
        while fixed and has_magic(fixed[-1]):
            fixed.pop()
        name = fixed[-1] if fixed else ""
    else:
        name = Path(sources[0]).resolve().name
    if not name:
        raise UsageError(f"no name for the index of {sources[0]!r}; give one with -i INDEX")
    while Path(name).suffix and not Path(sources[0]).is_dir():
        name = Path(name).stem
    return INDEXES / name


def indexes() -> list[Path]:
    """Return the paths of the indexes in ./indexes, sorted by name."""
    there = (path.parent for path in INDEXES.glob("*/manifest.json"))
    return sorted(path for path in there if not path.name.startswith("."))  # a copy that is not complete


def find_index(given: str | None) -> str | Path:
    """Return the path of the index: the given path or address, or that name in ./indexes, or the only index there.

    Raises UsageError if none is given and there are no or several indexes in ./indexes.
    """
    if given and is_address(given):
        return given
    if given:
        named = INDEXES / given
        if len(Path(given).parts) > 1 or os.path.lexists(given) or named not in indexes():
            return Path(given)
        log.info(f"using index {str(named)!r}")
        return named
    there = indexes()
    if len(there) == 1:
        return there[0]
    if not there:
        raise UsageError("no index in ./indexes; give one with -i INDEX, or create one with hashret index SOURCE")
    raise UsageError(f"several indexes: {', '.join(map(str, there))}; choose one with -i INDEX")
