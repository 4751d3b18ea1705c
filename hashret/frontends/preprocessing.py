"""How a model wants its images: the constants, where they come from, and the function that applies them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hashret.errors import UsageError
from hashret.features import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # their numbers in Pillow are 0 to 5
NEEDED = ("size", "crop", "filter", "mean", "std")
MOST = 8192  # pixels per side of what a model reads
SHORTEST = ("CLIP", "Bit", "ConvNext")  # image processors of transformers for which a single size is the shorter side
SQUARE = ("ViT", "DeiT", "Beit", "Siglip")  # and for which it is both sides
OTHERS = ("Levit", "PoolFormer", "Perceiver", "Flava")  # and those that do more than their constants say
UNSUPPORTED = ("do_pad", "do_flip_channel_order", "rescale_offset", "include_top", "keep_aspect_ratio")


@dataclass(frozen=True)
class Preprocessing:
    """Resize with antialiasing, crop the centre, scale the values, subtract `mean` and divide by `std`."""

    resize: tuple[int, ...]  # pixels of the shorter side, or height and width
    crop: tuple[int, int]  # height and width of what the model reads
    filter: str  # of FILTERS
    mean: tuple[float, ...]  # one number per channel: 3 for RGB, 1 for grey
    std: tuple[float, ...]
    scale: float = 1 / 255  # factor of the values 0 to 255
    layout: str = "NCHW"  # order of batch, channels, height and width
    rounded: bool = False  # whether the corner of the crop is rounded (timm), not rounded down (transformers)

    def __post_init__(self) -> None:
        sides = (*self.resize, *self.crop)
        if (
            not all(isinstance(side, int) and 0 < side <= MOST for side in sides)
            or len(self.crop) != 2
            or len(self.resize) > 2
        ):
            raise UsageError(f"a model must read images of 1 to {MOST} pixels per side, got {sides}")
        if any(side < part for side, part in zip(self.resize * 2, self.crop, strict=False)):
            raise UsageError(f"images of {self.resize} pixels are too small to crop {self.crop}")
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise UsageError(f"mean and std must have 1 or 3 numbers each, got {self.mean} and {self.std}")
        if not all(map(math.isfinite, (*self.mean, *self.std, self.scale))) or 0 in self.std:
            raise UsageError(f"mean and std must be finite and std not 0, got {self.mean} and {self.std}")
        if self.filter not in FILTERS or self.layout not in ("NCHW", "NHWC"):
            raise UsageError(f"filter must be one of {', '.join(FILTERS)}, got {self.filter!r}")

    @property
    def channels(self) -> int:
        """Number of channels that the model reads."""
        return len(self.mean)

    def facts(self) -> dict[str, Any]:
        """Return the constants, JSON-serializable; `from_facts` reads them."""
        return {name: list(own) if isinstance(own, tuple) else own for name, own in asdict(self).items()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Preprocessing:
        """Return the constants that `facts` returned."""
        read: dict[str, Any] = {name: tuple(own) if isinstance(own, list) else own for name, own in facts.items()}
        return cls(**read)

    def apply(self, image: Image) -> Floats:
        """Return what the model reads of an image, float32, in the layout of the model without the batch."""
        image = self._shorter(image.convert("RGB" if self.channels == 3 else "L"))
        height, width = self._resized(image.height, image.width)
        if image.size != (width, height):
            image = image.resize((width, height), resample=FILTERS.index(self.filter))
        top, left = (self._corner(whole - part) for whole, part in zip((height, width), self.crop, strict=True))
        image = image.crop((left, top, left + self.crop[1], top + self.crop[0]))
        values = np.asarray(image, np.float32).reshape(*self.crop, self.channels) * np.float32(self.scale)
        normal = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normal if self.layout == "NHWC" else normal.transpose(2, 0, 1), np.float32)

    def _shorter(self, image: Image) -> Image:
        """Cut the ends of a very long image, of which the crop shows nothing, so that resizing takes little memory."""
        most = max(1, min(image.size) * MOST // self.resize[0])
        if len(self.resize) == 2 or max(image.size) <= most:
            return image
        left, top = max(0, image.width - most) // 2, max(0, image.height - most) // 2
        return image.crop((left, top, image.width - left, image.height - top))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if len(self.resize) == 2:
            return self.resize[0], self.resize[1]
        side = self.resize[0]
        return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)

    def _corner(self, rest: int) -> int:
        return round(rest / 2) if self.rounded else rest // 2


def from_timm(config: Mapping[str, Any]) -> Preprocessing:
    """Return the constants in the `pretrained_cfg` of timm. Raises UsageError if one is missing or not supported."""
    _check_there(config, ("input_size", "interpolation", "crop_pct", "mean", "std"), "pretrained_cfg in config.json")
    channels, height, width = config["input_size"]
    mode = config.get("crop_mode") or "center"
    sides = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))
    if mode not in ("center", "squash") or (mode == "center" and height != width):
        raise UsageError(f"crop_mode {mode!r} with an input of {height} x {width} pixels is not supported")
    if len(config["mean"]) != channels:
        raise UsageError(f"the model reads {channels} channels, but mean has {len(config['mean'])} numbers")
    return Preprocessing(
        sides if mode == "squash" else sides[:1],
        (height, width),
        str(config["interpolation"]),
        tuple(map(float, config["mean"])),
        tuple(map(float, config["std"])),
        rounded=True,
    )


def from_transformers(config: Mapping[str, Any], channels: int = 3) -> Preprocessing:
    """Return the constants in preprocessor_config.json. Raises UsageError if one is missing or not supported."""
    normal = config.get("do_normalize", True)
    needed = ("size", "resample", *(("image_mean", "image_std") if normal else ()))
    _check_there(config, needed, "preprocessor_config.json")
    if _processor(config).startswith(OTHERS):
        raise UsageError(f"the image processor {_processor(config)} is not supported")
    for name in ("do_resize", *UNSUPPORTED):
        if bool(config.get(name, name == "do_resize")) is not (name == "do_resize"):
            raise UsageError(f"preprocessor_config.json says {name}={config[name]}, which is not supported")
    resample = config["resample"]
    if resample not in range(len(FILTERS)):
        raise UsageError(f"resample in preprocessor_config.json must be 0 to {len(FILTERS) - 1}, got {resample!r}")
    resize, crop = _sides(config)
    return Preprocessing(
        resize,
        crop,
        FILTERS[resample],
        _numbers(config["image_mean"], channels) if normal else (0.0,) * channels,
        _numbers(config["image_std"], channels) if normal else (1.0,) * channels,
        float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0,
    )


def _sides(config: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Return the sides to resize to, and those of the crop, from preprocessor_config.json."""
    size, crop = config["size"], config.get("crop_size")
    if isinstance(size, int):
        size = _named_size(size, _processor(config))
    if size.keys() == {"shortest_edge"}:
        resize: tuple[int, ...] = (size["shortest_edge"],)
    elif size.keys() == {"height", "width"}:
        resize = (size["height"], size["width"])
    else:
        raise UsageError(f"size in preprocessor_config.json must have shortest_edge, or height and width, got {size}")
    if config.get("crop_pct") and not _processor(config).startswith("ConvNext"):
        raise UsageError("preprocessor_config.json says crop_pct, which is supported for ConvNext only")
    if config.get("crop_pct") and len(resize) == 1:  # small images are cropped, large ones squashed
        [side] = resize
        return ((int(side / config["crop_pct"]),) if side < 384 else (side, side)), (side, side)
    if config.get("do_center_crop", crop is not None):
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop or {}
        _check_there(crop, ("height", "width"), "crop_size in preprocessor_config.json")
        return resize, (crop["height"], crop["width"])
    if len(resize) == 1:
        raise UsageError("preprocessor_config.json says no crop_size, so the size of the model's input is unknown")
    return resize, (resize[0], resize[1])


def _processor(config: Mapping[str, Any]) -> str:
    """Return the name of the image processor."""
    return str(config.get("image_processor_type") or config.get("feature_extractor_type"))


def _named_size(size: int, processor: str) -> dict[str, int]:
    """Return what a single number for the size means to an image processor."""
    if processor.startswith(SHORTEST):
        return {"shortest_edge": size}
    if processor.startswith(SQUARE):
        return {"height": size, "width": size}
    raise UsageError(
        f"size in preprocessor_config.json is {size}, which may be the shorter side or both; write "
        f'{{"shortest_edge": {size}}} or {{"height": {size}, "width": {size}}}'
    )


def changed(base: Preprocessing | None, given: Mapping[str, Any]) -> Preprocessing:
    """Return constants with those that the options of a vectorizer give. Raises UsageError if some are missing."""
    given = {name: own for name, own in given.items() if own is not None}
    if base is None:
        if missing := [name for name in NEEDED if name not in given]:
            raise UsageError(
                f"nothing says how the model wants its images: give {' '.join(f'-o {name}=...' for name in missing)}, "
                "or put its preprocessor_config.json or config.json (timm) beside the model"
            )
        fresh = {name: given[name] for name in ("filter", "mean", "std", "layout") if name in given}
        side = int(given["size"])
        return Preprocessing((math.floor(side / given["crop"]),), (side, side), **fresh)
    if "size" in given or "crop" in given:
        crop = (given["size"],) * 2 if "size" in given else base.crop
        share = given.get("crop") or base.crop[0] / base.resize[0]
        base = replace(base, crop=crop, resize=tuple(math.floor(own / share) for own in crop[: len(base.resize)]))
    return replace(base, **{name: own for name, own in given.items() if name not in ("size", "crop")})


def _check_there(config: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    """Raise UsageError if constants are missing."""
    if missing := [name for name in names if config.get(name) is None]:
        raise UsageError(f"{where} does not say {', '.join(missing)}, which the model's images depend on")


def _numbers(given: Any, channels: int) -> tuple[float, ...]:
    """Return one number per channel."""
    return (float(given),) * channels if isinstance(given, int | float) else tuple(map(float, given))
