"""Models that embed texts: of model2vec, in ONNX format, and of sentence-transformers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.errors import UsageError, need
from hashret.frontends.loading import check_weights, onnx_providers, quiet, read_json, reading

EXTRA = "text-models"
ONNX = ("onnx/model.onnx", "model.onnx")
STATIC_LENGTH = 512  # tokens that a model2vec model reads by default
LONGEST = 1 << 20  # tokens; a tokenizer without a limit reports a larger number

Embeddings = npt.NDArray[np.floating[Any]]


class TextModel(ABC):
    """A loaded model. The constructor raises UsageError if the folder cannot be read as such a model."""

    max_length: int | None  # tokens that the model reads of a text; None: all
    prompts: Mapping[str, str]  # those of the model for "query" and "document", if it has some

    @abstractmethod
    def __init__(self, folder: Path, device: str, batch_size: int, max_length: int | None) -> None: ...

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of texts, [n, dim]."""

    @abstractmethod
    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, not truncated."""


class StaticTexts(TextModel):
    """A model2vec model (Tulkens and van Dongen 2024): the mean of the vectors of tokens. Needs no torch."""

    def __init__(self, folder: Path, device: str, batch_size: int, max_length: int | None) -> None:
        static = need("model2vec", EXTRA, "a model2vec model")
        with reading(folder, "a model2vec model"):
            self.model = static.StaticModel.from_pretrained(folder)
        self.max_length = max_length or getattr(self.model, "max_length", STATIC_LENGTH)
        self.prompts = _prompts(folder)

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of texts, [n, dim]."""
        return np.asarray(self.model.encode(list(texts), max_length=self.max_length, use_multiprocessing=False))

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, not truncated."""
        self.model.tokenizer.no_truncation()
        return [len(found.ids) for found in self.model.tokenizer.encode_batch(list(texts))]


class OnnxTexts(TextModel):
    """A transformer in ONNX format with its tokenizer and pooling. Needs onnxruntime and no torch."""

    def __init__(self, folder: Path, device: str, batch_size: int, max_length: int | None) -> None:
        runtime = need("onnxruntime", EXTRA, "a model in ONNX format")
        tokenizers = need("tokenizers", EXTRA, "a model in ONNX format")
        file = next(folder / name for name in ONNX if (folder / name).is_file())
        providers = onnx_providers(runtime, device)
        with reading(folder, "a model in ONNX format"):
            self.session = runtime.InferenceSession(str(file), providers=providers)
            self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            self.pooling = _pooling(folder)
        limit = max_length or read_json(folder / "sentence_bert_config.json").get("max_seq_length")
        self.max_length = int(limit) if limit else None
        self.tokenizer.no_truncation()
        pad = read_json(folder / "tokenizer_config.json").get("pad_token") or "[PAD]"
        name = str(pad["content"] if isinstance(pad, dict) else pad)
        self.tokenizer.enable_padding(pad_id=self.tokenizer.token_to_id(name) or 0, pad_token=name)
        self.batch_size, self.prompts = batch_size, _prompts(folder)
        self.inputs = {needed.name for needed in self.session.get_inputs()}

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of texts, [n, dim]; texts of similar length are embedded together."""
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        self.tokenizer.enable_truncation(self.max_length) if self.max_length else None
        try:
            parts = [
                self._batch([texts[place] for place in order[start : start + self.batch_size]])
                for start in range(0, len(order), self.batch_size)
            ]
        finally:
            self.tokenizer.no_truncation()
        embedded = np.concatenate(parts)
        result = np.empty_like(embedded)
        result[order] = embedded
        return result

    def _batch(self, texts: Sequence[str]) -> Embeddings:
        found = self.tokenizer.encode_batch(list(texts))
        given = {
            "input_ids": np.array([each.ids for each in found], np.int64),
            "attention_mask": np.array([each.attention_mask for each in found], np.int64),
            "token_type_ids": np.array([each.type_ids for each in found], np.int64),
        }
        states = self.session.run(None, {name: given[name] for name in self.inputs})[0]
        if states.ndim == 2:  # pooled by the model itself
            return np.asarray(states, np.float32)
        mask = given["attention_mask"][:, :, None].astype(np.float32)
        if self.pooling == "cls":
            return np.asarray(states[:, 0], np.float32)
        if self.pooling == "max":
            return np.asarray(np.where(mask > 0, states, -np.inf).max(axis=1), np.float32)
        return np.asarray((states * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1), np.float32)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, not truncated."""
        return [sum(each.attention_mask) for each in self.tokenizer.encode_batch(list(texts))]


class TorchTexts(TextModel):
    """A model of sentence-transformers (Reimers and Gurevych 2019), run by torch."""

    def __init__(self, folder: Path, device: str, batch_size: int, max_length: int | None) -> None:
        check_weights(folder, "**/*.safetensors")
        with quiet(EXTRA, "a sentence model"):
            sentences = need("sentence_transformers", EXTRA, "a sentence model")
            with reading(folder, "a sentence model"):
                self.model = sentences.SentenceTransformer(
                    str(folder),
                    device=None if device == "auto" else device,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True},
                )
        if max_length:
            self.model.max_seq_length = max_length
        limit = self.model.max_seq_length
        self.max_length = int(limit) if limit and limit < LONGEST else None
        self.batch_size = batch_size
        self.prompts = _of_roles(self.model.prompts or {})

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of texts, [n, dim]."""
        made = self.model.encode(list(texts), batch_size=self.batch_size, show_progress_bar=False, prompt="")
        return np.asarray(made, np.float32)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, not truncated."""
        found = self.model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in found["input_ids"]]


BACKENDS: Mapping[str, type[TextModel]] = {"model2vec": StaticTexts, "onnx": OnnxTexts, "torch": TorchTexts}


def backend_of(folder: Path, wanted: str) -> str:
    """Return the wanted backend, or the lightest that can run the model. Raises UsageError if it cannot run it."""
    if not folder.is_dir():
        raise UsageError(f"a sentence model must be a folder, got the file {str(folder)!r}")
    fits = [name for name, yes in _backends(folder).items() if yes]
    if wanted == "auto":
        ready = [name for name in fits if name != "onnx" or find_spec("onnxruntime")]
        if not ready:
            raise UsageError(f"{str(folder)!r} contains no sentence model: config.json and its weights are missing")
        return ready[0]
    if wanted not in fits:
        raise UsageError(f"the model at {str(folder)!r} cannot run by {wanted}; allowed: {', '.join(fits) or 'none'}")
    return wanted


def _backends(folder: Path) -> dict[str, bool]:
    """Return which backends can run the model in a folder, the lightest first."""
    modules = {str(own.get("type", "")).rpartition(".")[2] for own in _list(folder / "modules.json")}
    static = "StaticEmbedding" in modules or read_json(folder / "config.json").get("model_type") == "model2vec"
    onnx = any((folder / name).is_file() for name in ONNX) and (folder / "tokenizer.json").is_file()
    weights = any((folder / name).is_file() for name in ("config.json", "modules.json"))
    return {
        "model2vec": static,
        "onnx": onnx and modules <= {"Transformer", "Pooling", "Normalize"},
        "torch": weights and not static,
    }


def _pooling(folder: Path) -> str:
    """Return how a model pools the states of tokens: "mean", "cls" or "max"."""
    modes = read_json(folder / "1_Pooling" / "config.json") or {"pooling_mode_mean_tokens": True}
    if isinstance(named := modes.get("pooling_mode"), str):
        chosen = [named]
    else:
        chosen = [name.removeprefix("pooling_mode_") for name, yes in modes.items() if yes is True]
        chosen = [name.removesuffix("_tokens").removesuffix("_token") for name in chosen]
    used = [name for name in chosen if name in ("mean", "cls", "max")]
    if len(used) != 1:
        raise UsageError(f"pooling by {', '.join(chosen) or 'nothing'} is not supported in ONNX; use backend=torch")
    return used[0]


def _prompts(folder: Path) -> dict[str, str]:
    """Return the prompts in the configuration of a model."""
    return _of_roles(read_json(folder / "config_sentence_transformers.json").get("prompts") or {})


def _of_roles(named: Mapping[str, Any]) -> dict[str, str]:
    """Return the prompts for "query" and "document", which some models call "passage"."""
    return {"query": named.get("query") or "", "document": named.get("document") or named.get("passage") or ""}


def _list(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return [own for own in found if isinstance(own, dict)] if isinstance(found, list) else []
