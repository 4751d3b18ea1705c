"""Images with planted copies: cropped, resized, compressed, grey, with a frame; mirror images apart."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

from bench_image_models import photographs
from bench_images import corpus
from figures import Run
from hashret import duplicates
from hashret.documents import Document
from planted.common import Pair, Planted, Scored, rows
from questions.images import drawn

IMAGES, COPIES = 2000, 20  # of a corpus at most, and of each kind of edit
REAL = 0.95  # correlation of the grey pixels of two originals, at 16 x 16, from which they are real duplicates
LOWEST = 0.6  # similarity from which pairs are asked for, to choose the best threshold
FARTHEST = 24  # of 64 bits, the same for the other methods
SECOND = ("chessboard_RGB.png", "motorcycle_right.png")  # photographs that are left out: each is the second of a pair

Pixels = npt.NDArray[np.uint8]
Random = np.random.Generator


def measure(case: str, data: Path, seed: int) -> Iterator[Run]:
    """The rows of all methods on one corpus."""
    images, planted = planted_images(list(CORPORA[case](data)), seed)
    for method, (find, default) in METHODS.items():
        yield from rows(method, find(images), default, planted)


def planted_images(corpus: Sequence[Image.Image], seed: int) -> tuple[list[Image.Image], Planted]:
    """Return images of a corpus followed by edited copies of some, and what was planted."""
    rng = np.random.default_rng(seed)
    images = [corpus[place] for place in rng.permutation(len(corpus))[:IMAGES]]
    sources = [int(place) for _ in EDITS for place in rng.permutation(len(images))[:COPIES]]
    kinds = np.repeat(list(EDITS), min(COPIES, len(images))).tolist()
    edited = [EDITS[kind](images[source], rng) for source, kind in zip(sources, kinds, strict=True)]
    pairs = {(source, len(images) + n): kind for n, (source, kind) in enumerate(zip(sources, kinds, strict=True))}
    uneven = [int(place) for place in rng.permutation(len(images)) if not _is_symmetric(images[place])][:COPIES]
    mirrored = {(source, len(images) + len(edited) + n) for n, source in enumerate(uneven)}
    ignored = {*_real(images, [*range(len(images)), *sources, *uneven])} - pairs.keys()
    copies = [*edited, *(ImageOps.mirror(images[source]) for source in uneven)]
    return [*images, *copies], Planted(pairs, frozenset(ignored), frozenset(mirrored))


def _is_symmetric(image: Image.Image) -> bool:
    """Whether an image is like its mirror image, so that the two are real duplicates."""
    both = _unit_rows([image, ImageOps.mirror(image)])
    return bool(both[0] @ both[1] >= REAL or not both.any())


def _real(images: Sequence[Image.Image], originals: Sequence[int]) -> Iterator[Pair]:
    """The pairs of images that have one original, or originals that are alike."""
    grey = _unit_rows(images)
    alike = grey @ grey.T >= REAL
    np.fill_diagonal(alike, True)
    places: dict[int, list[int]] = {}
    for place, original in enumerate(originals):
        places.setdefault(original, []).append(place)
    for first, second in np.argwhere(np.triu(alike)).tolist():
        for one in places[first]:
            yield from ((min(one, other), max(one, other)) for other in places[second] if one != other)


def _unit_rows(images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
    """The grey pixels of each image at 16 x 16, as unit vectors, so that a product of two is their correlation."""
    grey = np.stack([np.asarray(image.convert("L").resize((16, 16)), np.float64).ravel() for image in images])
    grey -= grey.mean(axis=1, keepdims=True)
    return np.asarray(grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-9))


def _cropped(share: float) -> Callable[[Image.Image, Random], Image.Image]:
    """Cut a share of the width and of the height away, at least a pixel, anywhere."""

    def edit(image: Image.Image, rng: Random) -> Image.Image:
        width, height = (side - max(1, round(side * share)) for side in image.size)
        left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
        return image.crop((left, top, left + width, top + height))

    return edit


def _scaled(factor: float) -> Callable[[Image.Image, Random], Image.Image]:
    return lambda image, rng: image.resize([max(8, round(side * factor)) for side in image.size])


def _compressed(quality: int) -> Callable[[Image.Image, Random], Image.Image]:
    def edit(image: Image.Image, rng: Random) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")

    return edit


def _brighter(image: Image.Image, rng: Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(float(rng.choice([0.8, 1.2])))


def _framed(image: Image.Image, rng: Random) -> Image.Image:
    colour = str(rng.choice(["black", "white"]))
    return ImageOps.expand(image, max(1, round(min(image.size) * rng.uniform(0.03, 0.1))), fill=colour)


EDITS: Mapping[str, Callable[[Image.Image, Random], Image.Image]] = {
    "cropped by 2 %": _cropped(0.02),
    "cropped by 5 %": _cropped(0.05),
    "cropped by 10 %": _cropped(0.1),
    "cropped by 20 %": _cropped(0.2),
    "half the size": _scaled(0.5),
    "1.7 times the size": _scaled(1.7),
    "JPEG 90": _compressed(90),
    "JPEG 50": _compressed(50),
    "JPEG 30": _compressed(30),
    "grey": lambda image, rng: image.convert("L").convert("RGB"),
    "brightness": _brighter,
    "frame": _framed,
}


def _cifar(data: Path) -> Iterator[Image.Image]:
    for document in corpus("cifar10", data)[0]:
        yield Image.fromarray(np.asarray(document.content))


def _coil(data: Path) -> Iterator[Image.Image]:
    """Views of 20 objects from every 10 degrees. Neighbouring views of some of them hardly differ."""
    from scipy.io import loadmat

    views = loadmat(data / "coil20" / "COIL20.mat")["fea"]
    for view in views[::2]:
        grey = (view.reshape(32, 32).T * (255 / views.max())).astype(np.uint8)
        yield Image.fromarray(grey).convert("RGB")


def _photographs(data: Path) -> Iterator[Image.Image]:
    """The photographs of matplotlib, scikit-image and scikit-learn."""
    from sklearn.datasets import load_sample_images

    for document in photographs():
        if document.id not in SECOND:
            yield Image.fromarray(np.asarray(document.content))
    yield from map(Image.fromarray, load_sample_images().images)


def _icons(data: Path) -> Iterator[Image.Image]:
    """The icons and glyphs of matplotlib."""
    for document in drawn():
        if document.id.endswith("-48"):
            yield Image.fromarray(np.asarray(document.content)).convert("RGB")


CORPORA: Mapping[str, Callable[[Path], Iterator[Image.Image]]] = {
    "cifar10": _cifar,
    "coil20": _coil,
    "photographs": _photographs,
    "icons": _icons,
}


def _hashret(images: Sequence[Image.Image]) -> Scored:
    documents = [Document(str(place), np.asarray(image)) for place, image in enumerate(images)]
    found = duplicates(documents, threshold=LOWEST)
    pairs = [(int(pair.first), int(pair.second), pair.similarity) for pair in found.pairs]
    return {(min(one, other), max(one, other)): value for one, other, value in pairs}


def _imagehash(name: str) -> Callable[[Sequence[Image.Image]], Scored]:
    """All pairs whose hashes of 64 bits differ in few bits; the score is the distance with a minus sign."""

    def find(images: Sequence[Image.Image]) -> Scored:
        import imagehash

        make = getattr(imagehash, name)
        hashes = np.stack([np.packbits(make(image).hash.ravel()) for image in images]).view(np.uint64)[:, 0]
        found = {}
        for place, own in enumerate(hashes):
            distances = np.bitwise_count(hashes[place + 1 :] ^ own)
            for other in np.flatnonzero(distances <= FARTHEST).tolist():
                found[place, place + 1 + other] = -float(distances[other])
        return found

    return find


# How each method finds pairs, and the threshold that is its default. For hashes it is that of imagededup, 10 bits.
METHODS: Mapping[str, tuple[Callable[[Sequence[Image.Image]], Scored], float | None]] = {
    "hashret": (_hashret, 0.95),
    **{name: (_imagehash(name), -10) for name in ("phash", "dhash", "whash", "average_hash")},
}
