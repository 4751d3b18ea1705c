"""Helpers for loading models: their JSON files, and errors and progress bars of other libraries."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from hashret.errors import HashretError, UsageError, need


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is no such file, or no object in it."""
    found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Convert whatever the parsers of a model raise to UsageError."""
    try:
        yield
    except HashretError:
        raise
    except Exception as error:
        raise UsageError(f"{str(path)!r} cannot be read as {what} ({reason(error)})") from error


def reason(error: Exception) -> str:
    """Return the first line of a message, or the name of the exception if it has none."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def check_weights(folder: Path, pattern: str = "*.safetensors") -> None:
    """Raise UsageError if a folder has no weights in a safe format, with names that match the pattern."""
    if not any(path.is_file() for path in folder.glob(pattern)):
        name = pattern.removeprefix("**/")
        raise UsageError(f"the model at {str(folder)!r} has no {name}; weights in a pickle are never loaded")


def onnx_providers(runtime: ModuleType, device: str) -> list[str]:
    """Return what onnxruntime shall run a model on. Raises UsageError if the device is "cuda" and there is none."""
    wanted = ["CPUExecutionProvider"] if device == "cpu" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    there = runtime.get_available_providers()
    if device == "cuda" and wanted[0] not in there:
        raise UsageError("device 'cuda' is not available to onnxruntime here; allowed: auto, cpu")
    return [name for name in wanted if name in there]


@contextmanager
def quiet(extra: str, purpose: str) -> Iterator[None]:
    """Keep the progress bars of transformers off standard error while a model loads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # otherwise a later fork prints a warning
    logging = need("transformers.utils.logging", extra, purpose)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
