"""The same image at another size: icons and glyphs that matplotlib ships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hashret.codes import hamming
from hashret.documents import Document
from hashret.evaluation.queries import RankedQueries
from hashret.hasher import Hasher
from questions.common import BITS, DEFAULT, Indexes, Row, row

SIZES, GLYPHS, FIRST = (16, 24, 32, 48, 64), 400, 5
FONTS = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmsy10", "cmmi10")
SIDE = 32  # of grey pixels

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.floating]


def resized(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """Whether the same image at another size is among the first five, each image at each size being the query."""
    documents = drawn()
    index = indexes.of(case, seed, lambda: documents)
    queries = RankedQueries(index, documents)
    hasher = Hasher.fit(documents, bits=BITS, encoder="itq", seed=seed)
    grey = np.stack([_grey(document) for document in documents])
    centred = grey - grey.mean(axis=0)
    ways: Mapping[str, Scores] = {
        DEFAULT: np.stack([queries.scores(number) for number in range(len(documents))]),
        "codes": _nearness(index.codes),
        "itq": _nearness(hasher.encode(documents)),
        "grey pixels": _cosines(grey),
        "grey pixels less their mean": _cosines(centred),
    }
    names = np.array([document.labels[0] for document in documents])
    for method, scores in ways.items():
        yield row(method, "found", _found(np.array(scores, np.float64), names), images=len(documents))


def _found(scores: npt.NDArray[np.float64], names: npt.NDArray[np.str_]) -> float:
    """The share of queries that find their image; the documents' order is random, so ties are broken by chance."""
    np.fill_diagonal(scores, -np.inf)
    first = np.argsort(-scores, axis=1, kind="stable")[:, :FIRST]
    return float((names[first] == names[:, None]).any(axis=1).mean())


def _nearness(codes: Pixels) -> Scores:
    return -hamming(codes, codes).astype(np.float32)


def _cosines(rows: npt.NDArray[np.float32]) -> Scores:
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit @ unit.T)


def _grey(document: Document) -> npt.NDArray[np.float32]:
    image = Image.fromarray(np.asarray(document.content)).convert("L").resize((SIDE, SIDE))
    return np.asarray(image, np.float32).reshape(-1)


def drawn() -> list[Document]:
    """All images at all sizes, in random order; the label is the image."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path())
    made = [*_icons(folder / "images"), *_glyphs(folder / "fonts" / "ttf")]
    order = np.random.default_rng(0).permutation(len(made))
    return [made[place] for place in order.tolist()]


def _icons(folder: Path) -> Iterator[Document]:
    """The images of matplotlib's tool bar on white, from the largest file of each."""
    for path in sorted(folder.glob("*.png")):
        if path.stem.endswith("_large"):
            continue
        large = path.with_stem(f"{path.stem}_large")
        image = Image.open(large if large.exists() else path).convert("RGBA")
        plain = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        for size in SIZES:
            pixels = np.asarray(plain.resize((size, size), Image.Resampling.LANCZOS))
            yield Document(f"{path.stem}-{size}", pixels, (path.stem,))


def _glyphs(folder: Path) -> Iterator[Document]:
    """Glyphs drawn at random from the fonts, each at all sizes; none that looks like another."""
    from matplotlib.ft2font import FT2Font

    paths = [folder / f"{name}.ttf" for name in FONTS]
    pairs = [(path, code) for path in paths for code in sorted(FT2Font(str(path)).get_charmap())]
    seen: set[bytes] = set()
    for place in np.random.default_rng(0).permutation(len(pairs)).tolist():
        path, code = pairs[place]
        largest = _glyph(path, code, SIZES[-1])
        if len(np.unique(largest)) > 1 and largest.tobytes() not in seen:
            seen.add(largest.tobytes())
            name = f"{path.stem}-{code:x}"
            yield from (Document(f"{name}-{size}", _glyph(path, code, size), (name,)) for size in SIZES)
        if len(seen) == GLYPHS:
            return


def _glyph(path: Path, code: int, size: int) -> Pixels:
    """A glyph, black on white."""
    image = Image.new("L", (size, size), 255)
    font = ImageFont.truetype(str(path), round(0.75 * size))
    ImageDraw.Draw(image).text((size / 2, size / 2), chr(code), fill=0, font=font, anchor="mm")
    return np.asarray(image)
