"""The vectorizer `image`: models in ONNX format, of timm and of transformers, made small by the tests themselves."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

import hashret
from hashret.cli.app import app
from hashret.documents import Document
from hashret.errors import DataError, StoreError, UsageError
from hashret.features import Floats
from hashret.frontends import image_models
from hashret.frontends.captions import CAPTIONS
from hashret.frontends.folders import checksum
from hashret.frontends.image import Image
from hashret.frontends.preprocessing import FILTERS, Preprocessing, from_timm, from_transformers
from hashret.images import OWN_SIZE
from hashret.images import load as load_image
from hashret.testing import VectorizerSuite
from hashret.testing.vectorizers import dense
from hashret.vectorizers.base import State

SIDE = 8  # pixels that the tiny ONNX models read
CONSTANTS = {
    "size": {"height": SIDE, "width": SIDE},
    "resample": 3,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.25, 0.3, 0.35],
}
TIMM = {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.5] * 3}


def write_onnx(path: Path, shape: Sequence[Any] = ("n", 3, SIDE, SIDE), how: str = "flat", said: Any = None) -> Path:
    """Write an ONNX model: "flat" returns the pixels, "mixed" 16 sums of them, "tokens" 4 vectors per image."""
    onnx = pytest.importorskip("onnx", reason="onnx writes the tiny models")
    pytest.importorskip("onnxruntime", reason="onnxruntime runs the tiny models")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    size = math.prod(side for side in shape[1:] if isinstance(side, int))
    nodes = [make.make_node("Flatten", ["pixels"], ["flat"])]
    weights = np.random.default_rng(0).standard_normal((size, 16)).astype(np.float32)
    kept = [onnx.numpy_helper.from_array(weights, "weights")]
    if how == "mixed":
        nodes.append(make.make_node("MatMul", ["flat", "weights"], ["mixed"]))
    elif how == "tokens":
        kept.append(onnx.numpy_helper.from_array(np.array([0, 4, -1], np.int64), "shape"))
        nodes.append(make.make_node("Reshape", ["flat", "shape"], ["tokens"]))
    elif how == "nan":
        nodes.append(make.make_node("Log", ["flat"], ["nan"]))
    out = make.make_tensor_value_info(how, kind, None)
    graph = make.make_graph(nodes, "tiny", [make.make_tensor_value_info("pixels", kind, list(shape))], [out], kept)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, said or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def onnx_folder(tmp_path: Path) -> Path:
    """A folder with a model in ONNX format that returns 16 sums of the pixels, and its constants."""
    write_onnx(tmp_path / "tiny" / "model.onnx", how="mixed")
    (tmp_path / "tiny" / "preprocessor_config.json").write_text(json.dumps(CONSTANTS))
    return tmp_path / "tiny"


@pytest.fixture
def pixels_model(tmp_path: Path) -> Path:
    """An ONNX file that returns the pixels, with constants in its metadata that leave them as they are."""
    said = {"size": str(SIDE), "crop": "1", "filter": "bicubic", "mean": "0,0,0", "std": "1,1,1"}
    return write_onnx(tmp_path / "pixels.onnx", said=said)


def pictures(count: int = 30, height: int = 20, width: int = 28) -> list[Document]:
    """Return images of random colours that change slowly, so that resizing keeps differences."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 3, 4, 3), dtype=np.uint8)
    return [
        Document(str(number), np.asarray(Pillow.fromarray(own).resize((width, height), Pillow.Resampling.BICUBIC)))
        for number, own in enumerate(small)
    ]


def fitted(model: Path, documents: Sequence[Document], cache: Path | None = None, **options: Any) -> Image:
    """Return a fitted vectorizer."""
    made = Image(model=str(model), **options)
    made.use("cpu", cache)
    made.fit(documents)
    return made


class TestContract(VectorizerSuite):
    """The contract of all vectorizers, for a model in ONNX format."""

    vectorizer = Image

    @pytest.fixture(autouse=True)
    def _model(self, onnx_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(self), "options", {"model": str(onnx_folder)})


class TestPreprocessing:
    @pytest.mark.parametrize("size", [(20, 28), (33, 17), (16, 16), (224, 301), (9, 500)])
    @pytest.mark.parametrize("resample", [2, 3])
    def test_it_is_that_of_the_processors_of_transformers(self, size: tuple[int, int], resample: int) -> None:
        pytest.importorskip("transformers", reason="transformers has the image processors")
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
        from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
        from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
        from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

        values = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        image = Pillow.fromarray(values)
        for theirs in [
            CLIPImageProcessorPil(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 15}, resample=resample),
            CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, resample=resample),
            ViTImageProcessorPil(size={"height": 24, "width": 16}, resample=resample),
            SiglipImageProcessorPil(size={"height": 16, "width": 16}, resample=resample, rescale_factor=1 / 127.5),
            ConvNextImageProcessorPil(size={"shortest_edge": 32}, crop_pct=0.875, resample=resample),
            ConvNextImageProcessorPil(size={"shortest_edge": 384}, resample=resample),
        ]:
            wanted = theirs(images=image, return_tensors="np")["pixel_values"][0]
            found = from_transformers(json.loads(theirs.to_json_string())).apply(image)
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, atol=1 / 255)

    def test_it_is_what_timm_does(self) -> None:
        """The transforms of timm for evaluation, written out: floor of the size, rounded corners."""
        image = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (300, 451, 3), dtype=np.uint8))
        resized = image.resize((int(248 * 451 / 300), 248), Pillow.Resampling.BICUBIC)
        left, top = round((resized.width - 224) / 2), round((248 - 224) / 2)
        wanted = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32) / 255
        found = from_timm(TIMM).apply(image)
        np.testing.assert_allclose(found, ((wanted - 0.5) / 0.5).transpose(2, 0, 1), atol=1e-5)
        squashed = from_timm(TIMM | {"crop_mode": "squash", "crop_pct": 1.0}).apply(image)
        wanted = np.asarray(image.resize((224, 224), Pillow.Resampling.BICUBIC), np.float32) / 255
        np.testing.assert_allclose(squashed, ((wanted - 0.5) / 0.5).transpose(2, 0, 1), atol=1e-5)

    def test_the_names_of_filters_are_pillows(self) -> None:
        assert [Pillow.Resampling(number).name.lower() for number in range(len(FILTERS))] == list(FILTERS)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"image_mean": None}, "does not say image_mean"),
            ({"resample": None}, "does not say resample"),
            ({"resample": 9}, "must be 0 to 5, got 9"),
            ({"size": 8}, "may be the shorter side or both"),
            ({"size": {"longest_edge": 8}}, "must have shortest_edge, or height and width"),
            ({"size": {"shortest_edge": 8}}, "says no crop_size"),
            ({"size": {"height": 0, "width": 8}}, "1 to 8192 pixels"),
            ({"do_resize": False}, "do_resize=False"),
            ({"do_flip_channel_order": True}, "do_flip_channel_order=True"),
            ({"include_top": True}, "include_top=True"),
            ({"crop_pct": 0.9}, "for ConvNext only"),
            ({"image_processor_type": "LevitImageProcessor"}, "LevitImageProcessor is not supported"),
            ({"crop_size": 99}, "too small to crop"),
            ({"image_std": [0.0, 1.0, 1.0]}, "std not 0"),
            ({"image_mean": [0.5, 0.5]}, "1 or 3 numbers"),
        ],
    )
    def test_constants_that_are_missing_or_not_supported_are_refused(self, change: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            from_transformers(CONSTANTS | change)

    def test_a_single_size_means_what_the_processor_makes_of_it(self) -> None:
        square = from_transformers(CONSTANTS | {"size": 8, "feature_extractor_type": "ViTFeatureExtractor"})
        assert square.resize == square.crop == (8, 8)
        shorter = from_transformers(
            CONSTANTS | {"size": 9, "crop_size": 8, "feature_extractor_type": "CLIPFeatureExtractor"}
        )
        assert (shorter.resize, shorter.crop) == ((9,), (8, 8))

    @pytest.mark.parametrize("change", [{"crop_pct": None}, {"crop_mode": "border"}, {"input_size": [3, 224, 192]}])
    def test_configurations_of_timm_that_are_not_supported_are_refused(self, change: Any) -> None:
        with pytest.raises(UsageError):
            from_timm(TIMM | change)

    @pytest.mark.parametrize("size", [(1, 4096), (4096, 1), (2, 3000)])
    def test_a_very_long_image_takes_little_memory(self, size: tuple[int, int]) -> None:
        how = from_timm(TIMM)
        image = Pillow.new("RGB", size, "navy")
        short = how._shorter(image)
        assert math.prod(how._resized(short.height, short.width)) <= 248 * 8192 * 1.1
        np.testing.assert_allclose(how.apply(image)[:, 0, 0], [-1, -1, 2 * 128 / 255 - 1], atol=1e-5)

    def test_facts_are_read_again(self) -> None:
        how = from_timm(TIMM)
        assert Preprocessing.from_facts(json.loads(json.dumps(how.facts()))) == how


class TestImages:
    def test_images_reach_the_model_at_their_own_size(self, pixels_model: Path, tmp_path: Path) -> None:
        fine = np.zeros((1000, 1000, 3), np.uint8)
        fine[::2, ::2] = 255
        Pillow.fromarray(fine).save(tmp_path / "fine.png")
        seen: list[Any] = []
        made = fitted(pixels_model, pictures())
        made._how = _Watched(made._how, seen)  # type: ignore[assignment]
        made.transform([Document("fine", tmp_path / "fine.png"), Document("array", fine)])
        assert seen == [(1000, 1000)] * 2

    def test_images_larger_than_the_limit_are_reduced(self, tmp_path: Path) -> None:
        Pillow.new("RGB", (2 * OWN_SIZE, 600)).save(tmp_path / "wide.png")
        assert load_image(tmp_path / "wide.png", largest=OWN_SIZE).size == (OWN_SIZE, 300)

    def test_a_photo_of_48_million_pixels_is_read(self, tmp_path: Path) -> None:
        Pillow.new("RGB", (8000, 6000), "navy").save(tmp_path / "large.jpg")
        assert load_image(tmp_path / "large.jpg", largest=OWN_SIZE).size == (OWN_SIZE, 3072)

    def test_an_image_turned_by_exif_is_upright(self, pixels_model: Path, tmp_path: Path) -> None:
        plain = Pillow.fromarray(np.asarray(pictures(1)[0].content))
        plain.save(tmp_path / "plain.png")
        exif = Pillow.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        plain.transpose(Pillow.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
        rows = self.features(pixels_model, tmp_path, "plain", "turned")
        np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)

    def test_what_is_transparent_is_white(self, pixels_model: Path, tmp_path: Path) -> None:
        Pillow.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
        Pillow.new("RGB", (20, 20), "white").save(tmp_path / "white.png")
        rows = self.features(pixels_model, tmp_path, "clear", "white")
        np.testing.assert_array_equal(rows[0], rows[1])

    def test_grey_and_16_bit_images_become_rgb(self, pixels_model: Path, tmp_path: Path) -> None:
        ramp = np.arange(0, 256, dtype=np.uint16).reshape(16, 16)
        Pillow.fromarray(ramp.astype(np.uint8)).save(tmp_path / "grey.png")
        Pillow.fromarray(ramp * 257).save(tmp_path / "deep.png")
        rows = self.features(pixels_model, tmp_path, "grey", "deep")
        np.testing.assert_allclose(rows[0], rows[1], atol=0.01)
        channels = rows[0].reshape(3, SIDE, SIDE)
        np.testing.assert_array_equal(channels[0], channels[2])

    def test_a_broken_image_is_refused_by_id(self, pixels_model: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
        with pytest.raises(DataError, match="'bad' is not a readable image"):
            self.features(pixels_model, tmp_path, "bad")

    def features(self, model: Path, folder: Path, *names: str) -> Floats:
        """Return the features of images in a folder."""
        return dense(fitted(model, pictures()).transform([Document(name, folder / f"{name}.png") for name in names]))


class _Watched:
    """Preprocessing that notes the sizes of the images it gets."""

    def __init__(self, how: Preprocessing, seen: list[Any]) -> None:
        self.how, self.seen = how, seen

    def apply(self, image: Any) -> Floats:
        self.seen.append(image.size)
        return self.how.apply(image)


class TestOnnx:
    def test_its_embeddings_are_what_the_model_returns(self, onnx_folder: Path) -> None:
        import onnxruntime

        documents = pictures()
        how = from_transformers(CONSTANTS)
        pixels = np.stack([how.apply(Pillow.fromarray(np.asarray(own.content))) for own in documents])
        [wanted] = onnxruntime.InferenceSession(onnx_folder / "model.onnx").run(None, {"pixels": pixels})
        found = dense(fitted(onnx_folder, documents, batch_size=7).transform(documents))
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1)[:, None], atol=1e-5)

    def test_constants_come_from_options_metadata_or_files(self, tmp_path: Path) -> None:
        model = write_onnx(tmp_path / "bare.onnx", how="mixed")
        given: dict[str, Any] = {
            "size": SIDE,
            "crop": 1.0,
            "filter": "bicubic",
            "mean": (0.5, 0.4, 0.3),
            "std": (0.25, 0.3, 0.35),
        }
        documents = pictures()
        with pytest.raises(UsageError, match=r"nothing says .*-o size=\.\.\. -o crop=.* -o std=.*preprocessor_config"):
            fitted(model, documents)
        with pytest.raises(UsageError, match=r"give -o filter=\.\.\., or"):
            fitted(model, documents, **{name: own for name, own in given.items() if name != "filter"})
        by_options = fitted(model, documents, **given).facts["preprocessing"]
        assert by_options["resize"] == [8]
        texts = {name: json.dumps(own).strip('"') for name, own in given.items()}
        said = write_onnx(tmp_path / "said.onnx", how="mixed", said=texts)
        assert fitted(said, documents).facts["preprocessing"] == by_options
        timm = {"input_size": [3, 8, 8], "interpolation": "bicubic", "crop_pct": 1.0, "mean": given["mean"]}
        (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": timm | {"std": given["std"]}}))
        assert fitted(model, documents).facts["preprocessing"] == by_options | {"rounded": True}
        changed = fitted(model, documents, filter="bilinear", crop=0.5).facts["preprocessing"]
        assert (changed["filter"], changed["resize"], changed["mean"]) == ("bilinear", [16], [0.5, 0.4, 0.3])

    def test_channels_can_be_last(self, tmp_path: Path) -> None:
        constants = json.dumps(CONSTANTS)
        for name, shape in {"first": ("n", 3, 8, 8), "last": ("n", 8, 8, 3), "free": ("n", "a", "b", "c")}.items():
            write_onnx(tmp_path / name / "model.onnx", shape)
            (tmp_path / name / "preprocessor_config.json").write_text(constants)
        documents = pictures()
        first, last = (dense(fitted(tmp_path / name, documents).transform(documents)) for name in ("first", "last"))
        moved = np.asarray(last).reshape(-1, 8, 8, 3).transpose(0, 3, 1, 2).reshape(len(documents), -1)
        np.testing.assert_allclose(moved, first, atol=1e-6)
        with pytest.raises(UsageError, match="give -o layout=NCHW"):
            fitted(tmp_path / "free", documents)
        assert fitted(tmp_path / "free", documents, layout="NHWC").facts["preprocessing"]["layout"] == "NHWC"

    def test_a_model_of_one_grey_image_at_once_is_run(self, tmp_path: Path) -> None:
        model = write_onnx(tmp_path / "model.onnx", (1, 1, 8, 8))
        given: dict[str, Any] = {"size": SIDE, "crop": 1.0, "filter": "bicubic", "mean": (0.5,), "std": (0.5,)}
        documents = pictures()
        assert dense(fitted(model, documents, **given).transform(documents)).shape == (30, 64)

    @pytest.mark.parametrize(
        ("shape", "message"),
        [(("n", 3, 16, 16), "make images of"), ((4, 3, 8, 8), "exactly 4 images"), (("n", 192), "4 dimensions")],
    )
    def test_a_model_that_reads_other_images_is_refused(self, tmp_path: Path, shape: Any, message: str) -> None:
        model = write_onnx(tmp_path / "model.onnx", shape)
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(CONSTANTS))
        with pytest.raises(UsageError, match=message):
            fitted(model, pictures())

    def test_several_vectors_per_image_need_a_pooling(self, tmp_path: Path) -> None:
        model = write_onnx(tmp_path / "model.onnx", how="tokens")
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(CONSTANTS))
        documents = pictures()
        with pytest.raises(UsageError, match=r"returns 4 x 48 numbers per image, .*pooling=mean"):
            fitted(model, documents)
        by_mean, by_first = (
            dense(fitted(model, documents, pooling=own).transform(documents)) for own in ("mean", "cls")
        )
        assert by_mean.shape == by_first.shape == (30, 48)
        assert not np.allclose(by_mean, by_first)

    def test_nan_is_refused_by_id(self, tmp_path: Path) -> None:
        model = write_onnx(tmp_path / "model.onnx", how="nan")
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(CONSTANTS))
        with pytest.raises(DataError, match=r"embedding of '0' .* NaN or infinity"):
            fitted(model, pictures())

    def test_broken_files_are_refused(self, onnx_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.onnx").write_bytes(b"no model")
        with pytest.raises(UsageError, match="cannot be read as a model in ONNX format"):
            fitted(tmp_path / "bad.onnx", pictures())
        (onnx_folder / "preprocessor_config.json").write_text("{")
        with pytest.raises(UsageError, match="cannot be read as a model in ONNX format"):
            fitted(onnx_folder, pictures())
        (tmp_path / "notes.txt").write_text("no model")
        for path in (tmp_path / "notes.txt", tmp_path):
            with pytest.raises(UsageError, match="is no model of images"):
                fitted(path, pictures())
        with pytest.raises(UsageError, match="cannot run by timm; allowed: onnx"):
            fitted(onnx_folder, pictures(), backend="timm")

    def test_weights_in_a_second_file_count_for_the_checksum(self, onnx_folder: Path) -> None:
        file = onnx_folder / "model.onnx"
        before = checksum(file), checksum(onnx_folder)
        (onnx_folder / "model.onnx_data").write_bytes(b"weights")
        assert checksum(file) != before[0]
        assert checksum(onnx_folder) != before[1]

    def test_embeddings_are_computed_once(
        self, onnx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        documents, cache = pictures(), tmp_path / "cache"
        wanted = dense(fitted(onnx_folder, documents, cache).transform(documents))

        def never(self: Any, pixels: Floats) -> Floats:
            raise AssertionError("the model was called")

        monkeypatch.setattr(image_models.OnnxImages, "encode", never)
        np.testing.assert_array_equal(dense(fitted(onnx_folder, documents, cache).transform(documents)), wanted)
        with pytest.raises(UsageError, match="the model was called"):
            fitted(onnx_folder, documents, cache, filter="bilinear")

    def test_a_changed_model_is_refused(self, onnx_folder: Path, tmp_path: Path) -> None:
        documents = pictures()
        hashret.Index.create(tmp_path / "index", documents, vectorizer=f"image:{onnx_folder}", bits=16)
        (onnx_folder / "preprocessor_config.json").write_text(json.dumps(CONSTANTS | {"resample": 2}))
        with pytest.raises(UsageError, match="has changed: its checksum is"):
            hashret.Index.open(tmp_path / "index").search(documents[0])

    def test_an_index_keeps_the_constants_it_was_made_with(self, onnx_folder: Path, tmp_path: Path) -> None:
        documents = pictures()
        made = fitted(onnx_folder / "model.onnx", documents)
        wanted = dense(made.transform(documents))
        (onnx_folder / "preprocessor_config.json").unlink()
        other = Image.from_params(made.params())
        other.restore(made.state())
        np.testing.assert_array_equal(dense(other.transform(documents)), wanted)

    def test_damaged_facts_are_refused(self, onnx_folder: Path) -> None:
        made = fitted(onnx_folder, pictures())
        changes: list[dict[str, Any]] = [{"preprocessing": {}}, {"preprocessing": None}, {"backend": "x"}]
        for change in changes:
            with pytest.raises(StoreError):
                Image().restore(State({**made.facts, **change}))
        with pytest.raises(StoreError):
            Image().restore(State(made.facts, {"images": np.zeros(3, np.float32)}))

    def test_a_text_is_refused_by_a_model_without_texts(self, onnx_folder: Path, tmp_path: Path) -> None:
        index = hashret.Index.create(tmp_path / "index", pictures(), vectorizer=f"image:{onnx_folder}", bits=16)
        for text in ("a photo of a dog", "a photo of a dog " * 100):
            with pytest.raises(DataError, match="is not the path of an image"):
                index.search(text)

    def test_a_cold_query_loads_no_torch(self, onnx_folder: Path, tmp_path: Path) -> None:
        hashret.Index.create(tmp_path / "index", pictures(), vectorizer=f"image:{onnx_folder}", bits=16).close()
        Pillow.fromarray(np.asarray(pictures()[3].content)).save(tmp_path / "query.png")
        code = (
            "import sys, pathlib, hashret\n"
            f"index = hashret.Index.open({str(tmp_path / 'index')!r})\n"
            f"print(index.search(pathlib.Path({str(tmp_path / 'query.png')!r}), k=1)[0].id)\n"
            "print([name for name in ('torch', 'transformers', 'timm', 'sklearn') if name in sys.modules])"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert found.stdout.split("\n")[:2] == ["3", "[]"]

    def test_a_refit_reads_the_originals(self, onnx_folder: Path, tmp_path: Path) -> None:
        Path(tmp_path, "photos").mkdir()
        for document in pictures(30, 200, 280):
            Pillow.fromarray(np.asarray(document.content)).save(tmp_path / "photos" / f"{document.id}.png")
        index = hashret.Index.create(tmp_path / "index", tmp_path / "photos", bits=16, options={"epochs": 1})
        assert all(isinstance(document.content, np.ndarray) for document in index.documents())
        index.refit(vectorizer=f"image:{onnx_folder}", encoder="itq")
        made = hashret.Index.create(
            tmp_path / "fresh", tmp_path / "photos", bits=16, vectorizer=f"image:{onnx_folder}", encoder="itq"
        )
        assert all(isinstance(document.content, Path) for document in index.documents())
        np.testing.assert_array_equal(index.codes, made.codes)
        (tmp_path / "photos" / "3.png").unlink()
        index.refit()
        kept = {document.id: document.content for document in index.documents()}
        assert isinstance(kept["3.png"], np.ndarray)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets raise an error."""

    def refused(*arguments: Any, **named: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


TINY = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
WORDS = ("<pad>", "<eos>", "<unk>", "a", "an", "photo", "of", "dog", "cat", "red", "green", "house", "tree")


def write_constants(folder: Path, kind: str, side: int = 16) -> None:
    """Write a preprocessor_config.json."""
    size = {"size": {"height": side, "width": side}, "image_processor_type": kind}
    (folder / "preprocessor_config.json").write_text(json.dumps(CONSTANTS | size))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with random weights, and its tokenizer."""
    transformers = pytest.importorskip("transformers", reason="transformers has the models")
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers makes the tokenizer")
    import torch

    folder = tmp_path_factory.mktemp("clip")
    known = tokenizers.models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(known)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    ).save_pretrained(folder)
    text = TINY | {"vocab_size": len(WORDS), "max_position_embeddings": 12}
    text |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    vision = TINY | {"image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(folder)
    write_constants(folder, "CLIPImageProcessor")
    return folder


class TestTransformers:
    @pytest.fixture
    def vit_folder(self, tmp_path: Path) -> Path:
        """A tiny vision transformer with random weights."""
        transformers = pytest.importorskip("transformers", reason="transformers has the models")
        import torch

        torch.manual_seed(0)
        transformers.ViTModel(transformers.ViTConfig(**TINY, image_size=16, patch_size=8)).save_pretrained(
            tmp_path / "vit"
        )
        write_constants(tmp_path / "vit", "ViTImageProcessor")
        return tmp_path / "vit"

    @pytest.mark.usefixtures("offline")
    def test_its_embeddings_are_the_pooled_output(self, vit_folder: Path) -> None:
        import torch
        import transformers

        documents = pictures()
        found = dense(fitted(vit_folder, documents).transform(documents))
        how = from_transformers(json.loads((vit_folder / "preprocessor_config.json").read_text()))
        pixels = np.stack([how.apply(Pillow.fromarray(np.asarray(own.content))) for own in documents])
        model = transformers.AutoModel.from_pretrained(vit_folder).eval()
        with torch.inference_mode():
            outputs = model(torch.from_numpy(pixels))
        wanted = outputs.pooler_output.numpy()
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1)[:, None], atol=1e-5)
        first = dense(fitted(vit_folder, documents, pooling="cls").transform(documents))
        wanted = outputs.last_hidden_state[:, 0].numpy()
        np.testing.assert_allclose(first, wanted / np.linalg.norm(wanted, axis=1)[:, None], atol=1e-5)

    def test_a_pooler_without_weights_is_not_used(self, vit_folder: Path) -> None:
        _without(vit_folder / "model.safetensors", "pooler")
        with pytest.raises(UsageError, match="pooling=mean"):
            fitted(vit_folder, pictures())
        fitted(vit_folder, pictures(), pooling="cls")

    def test_other_missing_weights_are_refused(self, vit_folder: Path) -> None:
        _without(vit_folder / "model.safetensors", "layernorm.weight")
        with pytest.raises(UsageError, match="lacks weights, such as"):
            fitted(vit_folder, pictures())

    def test_only_safetensors_are_read(self, vit_folder: Path) -> None:
        (vit_folder / "model.safetensors").rename(vit_folder / "pytorch_model.bin")
        with pytest.raises(UsageError, match="weights in a pickle are never loaded"):
            fitted(vit_folder, pictures())

    def test_broken_files_and_missing_constants_are_refused(self, vit_folder: Path) -> None:
        (vit_folder / "preprocessor_config.json").unlink()
        with pytest.raises(UsageError, match="nothing says how the model wants its images"):
            fitted(vit_folder, pictures())
        (vit_folder / "model.safetensors").write_bytes(b"broken")
        with pytest.raises(UsageError, match="cannot be read as a transformers model"):
            fitted(vit_folder, pictures())


def _without(path: Path, part: str) -> None:
    """Remove the tensors from a safetensors file whose name contains `part`."""
    from safetensors.numpy import load_file, save_file

    save_file({name: own for name, own in load_file(path).items() if part not in name}, path, {"format": "pt"})


class TestTexts:
    @pytest.mark.usefixtures("offline")
    def test_an_index_of_images_is_asked_with_a_text(self, clip_folder: Path, tmp_path: Path) -> None:
        Path(tmp_path, "photos").mkdir()
        for document in pictures():
            Pillow.fromarray(np.asarray(document.content)).save(tmp_path / "photos" / f"{document.id}.png")
        at = str(tmp_path / "index")
        made = CliRunner().invoke(
            app,
            ["index", str(tmp_path / "photos"), "-i", at, "--vectorizer", f"image:{clip_folder}", "--bits", "16"],
        )
        assert made.exit_code == 0, made.output
        found = CliRunner().invoke(app, ["query", "a photo of a dog", "-i", at, "-k", "3", "--format", "jsonl"])
        assert found.exit_code == 0, found.output
        rows = [json.loads(line) for line in found.stdout.splitlines()]
        index = hashret.Index.open(at)
        assert [row["id"] for row in rows] == [hit.id for hit in index.search("a photo of a dog", k=3)]
        assert sorted(rows[0]["parts"]) == ["codes", "vectors"]
        [text, image] = index.search(["a red house", tmp_path / "photos" / "7.png"], k=1)
        assert image[0].id == "7.png"
        assert len(text) == 1
        assert len(index.within("a red house", radius=16)) == 30
        assert index.search("a red house " * 100, k=1)  # cut to what the model reads
        assert not index.search(" ", k=1)

    def test_texts_are_ranked_by_their_cosine_less_both_means(self, clip_folder: Path, tmp_path: Path) -> None:
        documents = pictures()
        index = hashret.Index.create(
            tmp_path / "index", documents, vectorizer=f"image:{clip_folder}", bits=16, vectors="float"
        )
        made = fitted(clip_folder, documents)
        model = made._model
        images = _unit(np.asarray(dense(made.transform(documents))))
        text = _unit(model.encode_texts(["a red dog"])) - _unit(model.encode_texts(CAPTIONS)).mean(axis=0)
        wanted = _unit(images - images.mean(axis=0)) @ _unit(text)[0]
        scored = index.scores("a red dog", by="vectors")
        assert [hit.id for hit in index.search("a red dog", k=30, by="vectors")] == [
            documents[place].id for place in np.argsort(-wanted)
        ]
        assert np.corrcoef(scored.scores, wanted)[0, 1] > 0.999

    def test_a_constant_in_all_texts_changes_nothing(
        self, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ranking(name: str) -> list[str]:
            index = hashret.Index.create(
                tmp_path / name, pictures(), vectorizer=f"image:{clip_folder}", bits=16, vectors="float"
            )
            return [hit.id for hit in index.search("a green tree", k=30, by="vectors")]

        wanted = ranking("plain")
        original = Image._embedded

        def shifted(self: Image, documents: Sequence[Document], role: Any) -> Floats:
            found = original(self, documents, role)
            return found + np.float32(0.5) if documents and documents[0].kind == "text" else found

        monkeypatch.setattr(Image, "_embedded", shifted)
        assert ranking("shifted") == wanted

    def test_queries_survive_saving(self, clip_folder: Path, tmp_path: Path) -> None:
        hasher = hashret.Hasher.fit(pictures(), vectorizer=f"image:{clip_folder}", bits=16)
        hasher.save(tmp_path / "hasher")
        again = hashret.Hasher.load(tmp_path / "hasher")
        assert again.fingerprint == hasher.fingerprint
        assert again.vectorizer.query_types == ("image", "text")
        asked = [Document("q", "a photo of a cat"), *pictures(2)]
        for ours, theirs in zip(hasher.query_features(asked), again.query_features(asked), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_a_model_without_its_tokenizer_reads_no_texts(self, clip_folder: Path, tmp_path: Path) -> None:
        for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
            (tmp_path / name).write_bytes((clip_folder / name).read_bytes())
        assert fitted(tmp_path, pictures()).query_types == ("image",)

    def test_siglip_reads_texts_of_full_length(self, clip_folder: Path, tmp_path: Path) -> None:
        import torch
        import transformers

        text = TINY | {"vocab_size": len(WORDS), "max_position_embeddings": 12, "pad_token_id": 0}
        vision = TINY | {"image_size": 16, "patch_size": 8}
        torch.manual_seed(0)
        model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))
        model.train(False)
        model.save_pretrained(tmp_path)
        write_constants(tmp_path, "SiglipImageProcessor")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (tmp_path / name).write_bytes((clip_folder / name).read_bytes())
        made = fitted(tmp_path, pictures())
        assert made.query_types == ("image", "text")
        ids = [[WORDS.index(word) for word in ("a", "red", "dog", "<eos>")] + [0] * 8]
        with torch.inference_mode():
            wanted = model.get_text_features(input_ids=torch.tensor(ids)).pooler_output.numpy()
        np.testing.assert_allclose(made._model.encode_texts(["a red dog"]), wanted, atol=1e-5)

    def test_captions_are_about_a_hundred_different_ones(self) -> None:
        assert len(set(CAPTIONS)) == len(CAPTIONS)
        assert 90 <= len(CAPTIONS) <= 120


def _unit(rows: Any) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1)[:, None], np.float32)


class TestTimm:
    @pytest.fixture
    def timm_folder(self, tmp_path: Path) -> Path:
        """A small model of timm with random weights."""
        timm = _importable("timm")
        import torch

        torch.manual_seed(0)
        model = timm.create_model("resnet10t", num_classes=4)
        timm.models.save_for_hf(model, tmp_path / "timm", model_config={"num_classes": 4}, safe_serialization=True)
        return tmp_path / "timm"

    @pytest.mark.usefixtures("offline")
    def test_its_embeddings_are_those_of_the_model(self, timm_folder: Path) -> None:
        timm = _importable("timm")
        import torch

        documents = pictures(4, 200, 301)
        made = fitted(timm_folder, documents)
        model = timm.create_model(f"local-dir:{timm_folder}", pretrained=True, num_classes=0).eval()
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
        images = [Pillow.fromarray(np.asarray(document.content)) for document in documents]
        pixels = torch.stack([transform(image) for image in images])
        ours = np.stack([made._how.apply(image) for image in images])
        np.testing.assert_allclose(ours, pixels.numpy(), atol=1 / 255)
        with torch.inference_mode():
            wanted = model(pixels).numpy()
        np.testing.assert_allclose(dense(made.transform(documents)), _unit(wanted), atol=1e-4)

    def test_a_pickle_beside_the_weights_is_not_read(self, timm_folder: Path) -> None:
        (timm_folder / "model.safetensors").rename(timm_folder / "weights.safetensors")
        with pytest.raises(UsageError, match=r"has no model\.safetensors"):
            fitted(timm_folder, pictures(4))


def _importable(name: str) -> Any:
    """Import a package, or skip the test if it cannot be imported."""
    try:
        return pytest.importorskip(name, reason=f"{name} has the models")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported here: {error}")
