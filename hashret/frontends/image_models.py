"""Models that embed images: in ONNX format, of timm, and of transformers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.errors import UsageError, need
from hashret.features import Floats
from hashret.frontends.loading import check_weights, onnx_providers, quiet, read_json, reading
from hashret.frontends.preprocessing import NEEDED, Preprocessing, changed, from_timm, from_transformers

EXTRA = "image-models"
ONNX = ("model.onnx", "onnx/model.onnx")
POOLED = ("image_embeds", "pooler_output")  # outputs of an ONNX model that are preferred to its first

Embeddings = npt.NDArray[np.floating[Any]]


class ImageModel(ABC):
    """A loaded model. The constructor raises UsageError if the path cannot be read as such a model.

    `pooling` is "auto", "cls" or "mean".
    """

    reads_texts = False  # whether it embeds texts in the space of the images
    most: int | None = None  # images that it can embed at once; None: any number

    @abstractmethod
    def __init__(self, path: Path, device: str, pooling: str) -> None: ...

    @abstractmethod
    def constants(self, given: Mapping[str, Any]) -> Preprocessing:
        """Return how the model wants its images. `given` constants replace its own, except those that are None.

        Raises UsageError if something is not known.
        """

    @abstractmethod
    def encode(self, pixels: Floats) -> Embeddings:
        """Return the embeddings of preprocessed images, [n, dim]."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of texts, [n, dim]."""
        raise UsageError("this model reads no texts")


class OnnxImages(ImageModel):
    """A model in ONNX format. Needs onnxruntime and no torch."""

    def __init__(self, path: Path, device: str, pooling: str) -> None:
        runtime = need("onnxruntime", EXTRA, "a model in ONNX format")
        file = path if path.is_file() else next(path / name for name in ONNX if (path / name).is_file())
        providers = onnx_providers(runtime, device)
        with reading(path, "a model in ONNX format"):
            self.session = runtime.InferenceSession(str(file), providers=providers)
        self.file, self.pooling = file, pooling
        self.input = _image_input(self.session.get_inputs(), path)
        at_once = self.input.shape[0]
        self.most = at_once if isinstance(at_once, int) else None
        if self.most not in (None, 1):
            raise UsageError(f"the model at {str(path)!r} reads exactly {self.most} images at once; export it for any")
        names = [output.name for output in self.session.get_outputs()]
        self.output = next((name for name in POOLED if name in names), names[0])

    def constants(self, given: Mapping[str, Any]) -> Preprocessing:
        """Return the constants in the options, the metadata of the file, or the JSON files beside it, in this order."""
        said, shape = self.session.get_modelmeta().custom_metadata_map, self.input.shape
        known = {name: _parsed(name, said[name]) for name in (*NEEDED, "layout") if name in said}
        known |= {name: own for name, own in given.items() if own is not None}
        with reading(self.file, "a model in ONNX format"):
            found = changed(_constants_beside(self.file), _layout(shape, known) | known)
        _check_shape(shape, found)
        return found

    def encode(self, pixels: Floats) -> Embeddings:
        """Return the embeddings of preprocessed images, [n, dim]."""
        kind = np.float16 if self.input.type == "tensor(float16)" else np.float32
        [found] = self.session.run([self.output], {self.input.name: pixels.astype(kind, copy=False)})
        return pooled(np.asarray(found, np.float32), self.pooling)


class TimmImages(ImageModel):
    """A model of timm (Wightman 2019) without its classifier, run by torch."""

    def __init__(self, path: Path, device: str, pooling: str) -> None:
        check_weights(path, "model.safetensors")  # of other names, timm prefers a pickle
        timm = need("timm", EXTRA, "a timm model")
        with reading(path, "a timm model"):
            model = timm.create_model(f"local-dir:{path}", pretrained=True, num_classes=0)
            self.base = from_timm(timm.data.resolve_model_data_config(model))
        self.device, self.pooling = torch_device(device), pooling
        self.model = model.eval().to(self.device)

    def constants(self, given: Mapping[str, Any]) -> Preprocessing:
        """Return the constants of the model."""
        return changed(self.base, given)

    def encode(self, pixels: Floats) -> Embeddings:
        """Return the embeddings of preprocessed images, [n, dim]."""
        import torch

        with torch.inference_mode():
            found = self.model(torch.from_numpy(pixels).to(self.device))
        return pooled(found.float().cpu().numpy(), self.pooling)


class TransformersImages(ImageModel):
    """A model of transformers, run by torch; one with a tower of texts, such as CLIP (Radford et al. 2021), too."""

    def __init__(self, path: Path, device: str, pooling: str) -> None:
        check_weights(path)
        with quiet(EXTRA, "a transformers model"), reading(path, "a transformers model"):
            transformers = need("transformers", EXTRA, "a transformers model")
            model, loaded = transformers.AutoModel.from_pretrained(
                path, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
            config = model.config
            vision = getattr(config, "vision_config", config)
            self.base = processor_constants(path, int(getattr(vision, "num_channels", 3)))
            towers = hasattr(model, "get_text_features") and hasattr(config, "text_config")
            self.reads_texts = towers and (path / "tokenizer_config.json").is_file()
            if self.reads_texts:
                self.tokenizer = transformers.AutoTokenizer.from_pretrained(
                    path, local_files_only=True, trust_remote_code=False
                )
                self.longest = min(self.tokenizer.model_max_length, config.text_config.max_position_embeddings)
        self.pooler = _has_pooler(loaded["missing_keys"], path) and pooling == "auto"
        self.device, self.pooling = torch_device(device), pooling
        self.model = model.float().eval().to(self.device)

    def constants(self, given: Mapping[str, Any]) -> Preprocessing:
        """Return the constants of the model."""
        return changed(self.base, given)

    def encode(self, pixels: Floats) -> Embeddings:
        """Return the embeddings of preprocessed images, [n, dim]."""
        import torch

        given = torch.from_numpy(pixels).to(self.device)
        with torch.inference_mode():
            if hasattr(self.model, "get_image_features"):
                return _features(self.model.get_image_features(pixel_values=given))
            found = self.model(pixel_values=given)
        states = getattr(found, "pooler_output", None) if self.pooler else None
        states = found.last_hidden_state if states is None else states
        return pooled(states.cpu().numpy(), self.pooling)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of texts, [n, dim]."""
        import torch

        # SigLIP was trained on texts of full length, without a mask
        full = str(self.model.config.model_type).startswith("siglip")
        padding, names = ("max_length", ["input_ids"]) if full else (True, ["input_ids", "attention_mask"])
        given = self.tokenizer(
            list(texts), padding=padding, truncation=True, max_length=self.longest, return_tensors="pt"
        )
        wanted = {name: given[name].to(self.device) for name in names}
        with torch.inference_mode():
            return _features(self.model.get_text_features(**wanted))


BACKENDS: Mapping[str, type[ImageModel]] = {
    "onnx": OnnxImages,
    "timm": TimmImages,
    "transformers": TransformersImages,
}


def backend_of(path: Path, wanted: str) -> str:
    """Return the wanted backend, or the lightest that can run the model. Raises UsageError if it cannot run it."""
    fits = [name for name, yes in _backends(path).items() if yes]
    if wanted != "auto":
        if wanted not in fits:
            raise UsageError(f"the model at {str(path)!r} cannot run by {wanted}; allowed: {', '.join(fits) or 'none'}")
        return wanted
    if not fits:
        raise UsageError(
            f"{str(path)!r} is no model of images: it must be an .onnx file, or a folder with model.onnx, or with a "
            "config.json of timm or transformers and *.safetensors"
        )
    return next((name for name in fits if name != "onnx" or find_spec("onnxruntime")), fits[0])


def _backends(path: Path) -> dict[str, bool]:
    """Return which backends can run the model at a path, the lightest first; only transformers reads texts too."""
    if path.is_file():
        return {"onnx": path.suffix == ".onnx"}
    with reading(path, "a model of images"):
        config = read_json(path / "config.json")
    towers = "text_config" in config
    found = {
        "onnx": any((path / name).is_file() for name in ONNX),
        "timm": "architecture" in config and "model_type" not in config,
        "transformers": "model_type" in config,
    }
    return dict(sorted(found.items(), key=lambda pair: towers and pair[0] == "onnx"))


def pooled(found: Embeddings, pooling: str) -> Embeddings:
    """Return one embedding per image, [n, dim], from the output of a model. Raises UsageError if it holds several."""
    if found.ndim > 2 and all(side == 1 for side in found.shape[2:]):
        found = found.reshape(found.shape[:2])
    if found.ndim == 2:
        return found
    if found.ndim == 3 and pooling != "auto":
        return found[:, 0] if pooling == "cls" else np.asarray(found.mean(axis=1))
    if found.ndim == 4 and pooling == "mean":
        return np.asarray(found.mean(axis=(2, 3)))
    raise UsageError(
        f"the model returns {' x '.join(map(str, found.shape[1:]))} numbers per image, not one embedding; "
        "give -o pooling=mean, or -o pooling=cls for the first token"
    )


def processor_constants(folder: Path, channels: int = 3) -> Preprocessing | None:
    """Return the constants in the files that transformers writes into a folder; None if there are none."""
    found = read_json(folder / "preprocessor_config.json")
    found = found or read_json(folder / "processor_config.json").get("image_processor") or {}
    return from_transformers(found, channels) if found else None


def _constants_beside(file: Path) -> Preprocessing | None:
    """Return the constants in the JSON files beside an ONNX file, or above its folder `onnx`, or None."""
    for folder in (file.parent, *([file.parent.parent] if file.parent.name == "onnx" else [])):
        if (found := processor_constants(folder)) is not None:
            return found
        if config := read_json(folder / "config.json").get("pretrained_cfg"):
            return from_timm(config)
    return None


def _has_pooler(missing: Sequence[str], path: Path) -> bool:
    """Return whether a model has weights for its pooler; transformers would use random ones.

    Raises UsageError if other weights are missing.
    """
    others = sorted(name for name in missing if "pooler" not in name)
    if others:
        raise UsageError(f"the model at {str(path)!r} lacks weights, such as {others[0]}")
    return not missing


def torch_device(device: str) -> str:
    """Return the device of a model. Raises UsageError if there is no such device."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda' is not available here; allowed: auto, cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _image_input(inputs: Sequence[Any], path: Path) -> Any:
    """Return the input of an ONNX model. Raises UsageError unless it has one, of images."""
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].type in ("tensor(float)", "tensor(float16)"):
        return inputs[0]
    told = ", ".join(f"{own.name} {own.shape} {own.type}" for own in inputs)
    raise UsageError(f"the model at {str(path)!r} must read images and nothing else, as 4 dimensions of floats: {told}")


def _layout(shape: Sequence[Any], said: Mapping[str, Any]) -> dict[str, str]:
    """Return the layout of an ONNX model that its shape says. Raises UsageError if nothing says it."""
    if said.get("layout"):
        return {}
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        raise UsageError(f"the model reads {list(shape)}; give -o layout=NCHW (channels first) or -o layout=NHWC")
    return {"layout": "NCHW" if first else "NHWC"}


def _check_shape(shape: Sequence[Any], how: Preprocessing) -> None:
    """Raise UsageError if an ONNX model reads another shape than preprocessing makes."""
    made = (how.channels, *how.crop) if how.layout == "NCHW" else (*how.crop, how.channels)
    if any(isinstance(side, int) and side != own for side, own in zip(shape[1:], made, strict=True)):
        raise UsageError(f"the model reads {list(shape)}, but its constants make images of {made}; give -o size=...")


def _parsed(name: str, text: str) -> Any:
    """Return a constant in the metadata of an ONNX model."""
    try:
        if name in ("mean", "std"):
            return tuple(map(float, text.strip("[]()").split(",")))
        return {"size": int, "crop": float}.get(name, str)(text)
    except ValueError:
        raise UsageError(f"{name} in the metadata of the ONNX model must be numbers, got {text[:60]!r}") from None


def _features(found: Any) -> Embeddings:
    """Return embeddings [n, dim]; versions of transformers wrap them differently."""
    return np.asarray((found if hasattr(found, "cpu") else found.pooler_output).cpu().numpy(), np.float32)
