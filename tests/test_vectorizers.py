"""The contract of all vectorizers, and tests of each one."""

from __future__ import annotations

import io
import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashret.documents import Document
from hashret.errors import DataError, StoreError
from hashret.features import Features
from hashret.frontends.sentence import Sentence
from hashret.images import LARGEST, is_grey, thumbnail
from hashret.images import load as load_image
from hashret.testing import VectorizerSuite
from hashret.testing.vectorizers import dense
from hashret.tokens import tokens
from hashret.vectorizers import VECTORIZERS
from hashret.vectorizers.base import State, Vectorizer
from hashret.vectorizers.tfidf import TfIdf

from .models import static_model

for _name in VECTORIZERS.names():
    if not VECTORIZERS.get(_name).options().keys() & {"model"}:
        _attributes = {"vectorizer": VECTORIZERS.get(_name), "__module__": __name__}
        globals()[f"Test_{_name}"] = type(f"Test_{_name}", (VectorizerSuite,), _attributes)


class TestSentence(VectorizerSuite):
    vectorizer = Sentence

    @pytest.fixture(autouse=True)
    def _model(self, tmp_path: Path, documents: list[Document], monkeypatch: pytest.MonkeyPatch) -> None:
        model = static_model(tmp_path / "model", (str(document.content) for document in documents))
        monkeypatch.setattr(type(self), "options", {"model": str(model)})


class TestTokens:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("The Straße, the STRASSE.", ["the", "strasse", "the", "strasse"]),
            ("don't e-mail foo_bar", ["don", "mail", "foo", "bar"]),
            ("a b cc 3d 42 7", ["cc", "3d", "42"]),
            ("ﬁne Ⅻ ｗｉｄｅ", ["fine", "xii", "wide"]),
            ("новости Ёлка", ["новости", "ёлка"]),
            ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
            ("İstanbul", ["i̇stanbul"]),
            ("cafe\u0301 café", ["café", "café"]),
            ("", []),
            (" \n\t\0 !?", []),
        ],
    )
    def test_words_are_runs_of_letters_digits_and_marks(self, text: str, wanted: list[str]) -> None:
        assert list(tokens(text)) == wanted

    @pytest.mark.parametrize("letter", ["a", "я"])
    def test_words_have_2_to_40_characters(self, letter: str) -> None:
        for length, found in [(1, 0), (2, 1), (40, 1), (41, 0), (100, 0)]:
            assert len(list(tokens(letter * length))) == found

    def test_text_that_is_no_unicode_does_no_harm(self) -> None:
        assert list(tokens("good \udcff\ud800 text")) == ["good", "text"]


class TestTfIdf:
    @pytest.fixture
    def pages(self) -> list[Document]:
        """The Python documentation, one document per topic."""
        topics = ["str", "int", "list", "dict", "set", "tuple", "float", "bytes", "bool", "object", "complex", "range",
                  "frozenset", "memoryview", "slice", "property", "type", "enumerate", "zip", "map", "filter",
                  "reversed"]  # fmt: skip
        return [Document(name, pydoc.plain(pydoc.render_doc(name))) for name in topics]

    @pytest.mark.parametrize("which", ["pages", "texts"])
    def test_its_weights_are_scikit_learns(self, which: str, request: pytest.FixtureRequest) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        documents: list[Document] = request.getfixturevalue(which)
        ours = TfIdf()
        found = dense(ours.fit(documents))
        theirs = TfidfVectorizer(
            analyzer=lambda text: list(tokens(text)), sublinear_tf=True, smooth_idf=True, vocabulary=list(ours.words)
        )
        wanted = theirs.fit_transform([str(document.content) for document in documents]).toarray()
        assert len(ours.words) > 50
        np.testing.assert_allclose(found, wanted, atol=1e-6)

    def test_words_in_one_document_or_in_most_are_left_out(self, texts: list[Document]) -> None:
        ours = TfIdf()
        ours.fit([*texts, Document("x", "hapax the ship"), *(Document(f"s{i}", "omnipresent") for i in range(250))])
        assert "ship" in ours.words
        assert not {"hapax", "omnipresent"} & set(ours.words)

    def test_of_few_documents_every_word_counts(self) -> None:
        ours = TfIdf()
        ours.fit([Document("a", "one common"), Document("b", "two common")])
        assert set(ours.words) == {"one", "two", "common"}

    def test_the_vocabulary_holds_the_most_frequent_words(self, texts: list[Document]) -> None:
        large, small = TfIdf(), TfIdf(max_features=10)
        large.fit(texts)
        assert small.fit(texts).shape == (10,)
        assert small.words == large.words[:10]

    def test_the_order_of_documents_does_not_change_the_vocabulary(self, texts: list[Document]) -> None:
        one, other = TfIdf(), TfIdf()
        one.fit(texts)
        other.fit(texts[::-1])
        assert one.words == other.words

    def test_rows_have_length_1_and_texts_without_known_words_are_zeros(self, texts: list[Document]) -> None:
        ours = TfIdf()
        lengths = np.linalg.norm(dense(ours.fit(texts)), axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-6)
        strange = ours.transform([Document("e", ""), Document("u", "xyzzy plugh"), texts[0], Document("l", "")])
        assert dense(strange).any(axis=1).tolist() == [False, False, True, False]
        assert not dense(ours.transform([Document("e", "")])).any()

    def test_texts_without_any_word_are_refused(self) -> None:
        with pytest.raises(DataError, match="no words in these 2 documents"):
            TfIdf().fit([Document("a", "?"), Document("b", "")])

    def test_weights_that_do_not_fit_the_vocabulary_are_refused(self) -> None:
        with pytest.raises(StoreError, match="2 words, but their weights do not fit"):
            TfIdf().restore(State(tensors={"idf": np.ones(3, np.float32)}, vocabulary=("a", "b")))


def gradient(mode: str, size: tuple[int, int] = (20, 12)) -> Image.Image:
    """An image from dark to bright in any mode; in colour if the mode has colours."""
    across, height = size
    ramp = np.linspace(0, 255, across * height).reshape(height, across)
    if mode == "I;16":
        return Image.fromarray((ramp * 257).astype(np.uint16))
    if mode in ("I", "F"):
        return Image.fromarray(ramp.astype(np.int32 if mode == "I" else np.float32))
    if mode in ("1", "L", "LA"):
        return Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    colour = np.stack([ramp, ramp[::-1], 255 - ramp], axis=2).astype(np.uint8)
    return Image.fromarray(colour).convert(mode)


MODES = {"RGB": "png", "RGBA": "png", "P": "png", "PA": "", "1": "png", "L": "png", "LA": "png", "I;16": "png",
         "I": "tiff", "F": "tiff", "CMYK": "jpeg", "YCbCr": "jpeg", "HSV": "", "LAB": "tiff"}  # fmt: skip


def write(folder: Path, image: Image.Image, kind: str = "png") -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.{kind}"
    image.save(path)
    return path


class TestPixels:
    def fit(self, *contents: Any, **options: Any) -> Features:
        made: Vectorizer = VECTORIZERS.get("pixels").from_params(options)
        features = made.fit([Document(str(i), content) for i, content in enumerate(contents)])
        values = dense(features)
        assert 0 <= values.min() <= values.max() <= 1
        return features

    @pytest.mark.parametrize("mode", [mode for mode, kind in MODES.items() if kind])
    @pytest.mark.parametrize("size", [(20, 12), (1, 1), (500, 3), (300, 280)])
    def test_any_mode_and_size_is_read(self, mode: str, size: tuple[int, int], tmp_path: Path) -> None:
        path = write(tmp_path, gradient(mode, size), MODES[mode])
        features = self.fit(path)
        assert features.shape[1:] == (size[::-1] if max(size) <= 32 else (32, 32))
        assert load_image(path).mode in ("L", "RGB")
        assert max(load_image(path).size) <= LARGEST
        if size == (20, 12) and mode not in ("1", "CMYK", "YCbCr", "LAB"):
            wanted = np.asarray(gradient("RGB" if features.shape[0] == 3 else "L"), np.float32) / 255
            found = dense(features).reshape(features.shape).transpose(1, 2, 0).squeeze()
            assert np.abs(found - wanted).max() < (0.2 if mode == "P" else 0.01)

    def test_arrays_are_read_as_they_are(self) -> None:
        colour = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
        features = self.fit(colour)
        assert features.shape == (3, 7, 9)
        np.testing.assert_allclose(dense(features)[0].reshape(3, 7, 9), colour.transpose(2, 0, 1) / 255, atol=1e-6)

    def test_images_are_grey_unless_one_has_colour(self) -> None:
        grey, colour = np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
        assert self.fit(grey, colour).shape == (1, 8, 8)
        colour[3, 3, 0] = 9
        assert self.fit(grey, colour).shape == (3, 8, 8)
        assert self.fit(grey, colour, mode="grey").shape == (1, 8, 8)
        assert self.fit(grey, grey, mode="colour").shape == (3, 8, 8)

    def test_images_of_several_sizes_share_a_grid(self) -> None:
        small, wide = np.zeros((8, 8), np.uint8), np.zeros((8, 10), np.uint8)
        assert self.fit(small, wide).shape == (1, 32, 32)
        assert self.fit(wide, wide).shape == (1, 8, 10)
        assert self.fit(wide, wide, size=5).shape == (1, 5, 5)
        assert self.fit(np.zeros((33, 33), np.uint8)).shape == (1, 32, 32)

    def test_transparency_lies_over_white(self, tmp_path: Path) -> None:
        for mode in ("RGBA", "LA"):
            clear = Image.new(mode, (4, 4))
            assert dense(self.fit(write(tmp_path, clear))).min() == 1
        for mode in ("L", "RGB", "P"):
            keyed = tmp_path / f"{mode}.png"
            Image.new(mode, (4, 4)).save(keyed, transparency=(0, 0, 0) if mode == "RGB" else 0)
            assert dense(self.fit(keyed)).min() == 1

    def test_a_photograph_is_turned_upright(self, tmp_path: Path) -> None:
        image = gradient("L", (20, 12))
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(tmp_path / "turned.png", exif=exif)
        assert self.fit(tmp_path / "turned.png").shape == (1, 20, 12)

    @pytest.mark.parametrize(
        "data",
        [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(50), b"GIF89a" + bytes(9), b"BM" + bytes(60), b"<svg/>"],
    )
    def test_a_broken_file_is_refused_by_name(self, data: bytes, tmp_path: Path) -> None:
        path = tmp_path / "broken.png"
        path.write_bytes(data)
        with pytest.raises(DataError, match="'7' is not a readable image"):
            VECTORIZERS.get("pixels")().fit([Document("7", path)])

    @pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff", "webp", "bmp"])
    def test_half_a_file_is_refused(self, kind: str, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(buffer, kind)
        for share in (0.02, 0.3, 0.7):
            (tmp_path / "half").write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * share)])
            with pytest.raises(DataError, match="'h' is not a readable image"):
                load_image(tmp_path / "half", "h")

    def test_a_lost_file_and_a_folder_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="image not found: 'x'"):
            load_image(tmp_path / "lost.png", "x")
        with pytest.raises(DataError, match="'x' is not a readable image"):
            load_image(tmp_path, "x")

    @pytest.mark.parametrize(
        "array",
        [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((4, 0, 3), np.uint8)],
    )
    def test_an_array_that_is_no_image_is_refused(self, array: np.ndarray) -> None:
        with pytest.raises(DataError, match="'x' must be uint8"):
            load_image(array, "x")

    def test_a_image_beyond_all_reason_is_refused_before_it_is_decoded(self, tmp_path: Path) -> None:
        import struct
        import zlib

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        with pytest.raises(DataError, match=r"'b' is not a readable image .more than 100,000,000 pixels"):
            load_image(tmp_path / "bomb.png", "b")

    def test_small_copies_are_exact_or_small(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 50, 3), np.uint8)
        assert (np.asarray(load_image(thumbnail(load_image(noise)))) == noise).all()
        large = load_image(thumbnail(load_image(noise.repeat(3, axis=0))))
        assert max(large.size) == 64

    def test_grey_is_what_has_three_equal_channels(self) -> None:
        grey = np.random.default_rng(0).integers(0, 256, (5, 5, 1), np.uint8).repeat(3, axis=2)
        assert is_grey(Image.fromarray(grey))
        grey[0, 0, 1] ^= 1
        assert not is_grey(Image.fromarray(grey))


class TestPrecomputed:
    make: Callable[[], Vectorizer] = staticmethod(lambda: VECTORIZERS.get("precomputed")())

    @pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8, bool])
    def test_vectors_of_any_number_type_are_taken(self, dtype: Any) -> None:
        features = self.make().fit([Document("a", np.array([0, 1, 1], dtype))])
        assert dense(features).tolist() == [[0, 1, 1]]

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
    def test_a_value_that_is_not_finite_is_refused_by_name(self, bad: float) -> None:
        good = Document("good", np.zeros(3))
        with pytest.raises(DataError, match="'bad' holds NaN or infinity"):
            self.make().fit([good, Document("bad", np.array([0, bad, 0]))])

    def test_a_vector_of_another_length_is_refused_by_name(self) -> None:
        made = self.make()
        made.fit([Document("a", np.zeros(3))])
        with pytest.raises(DataError, match="'b' has 4 dimensions, all must have 3"):
            made.transform([Document("b", np.zeros(4))])

    @pytest.mark.parametrize("bad", [np.array([]), np.array(["a", "b"]), np.array([1j]), np.array([None, 1])])
    def test_what_holds_no_numbers_is_refused_by_name(self, bad: np.ndarray) -> None:
        with pytest.raises(DataError, match="'b'"):
            self.make().fit([Document("b", bad)])


class TestPrecomputedWarnings:
    def test_equal_vectors_and_mixed_lengths_are_reported(self, caplog: pytest.LogCaptureFixture) -> None:
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((40, 8)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        make = VECTORIZERS.get("precomputed")

        def fit(values: np.ndarray) -> str:
            caplog.clear()
            make().fit([Document(str(place), row) for place, row in enumerate(values)])
            return caplog.text

        assert fit(rows) == ""
        assert fit(5 * rows) == ""
        assert "all 40 vectors are equal" in fit(np.repeat(rows[:1], 40, axis=0))
        rows[::8] *= 3
        assert "5 of 40 vectors are not of length 1" in fit(rows)
