"""Errors as answers: a status and one sentence, {"error": "..."}. Nothing of the request is echoed."""

from __future__ import annotations

import json
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from hashret.errors import (
    DataError,
    DuplicateIds,
    HashretError,
    IndexLocked,
    IndexNotFound,
    MissingExtra,
    StoreError,
    UnknownId,
    UsageError,
)

STATUS: tuple[tuple[type[HashretError], int], ...] = (
    (UnknownId, 404),
    (IndexNotFound, 404),
    (DuplicateIds, 409),
    (IndexLocked, 409),
    (MissingExtra, 501),
    (UsageError, 422),
    (DataError, 422),
    (StoreError, 503),
)
"""The status of an error of the library, the first class that fits; others are 500."""

FAILED = "the server failed to answer; its log says why"


class Refused(HTTPException):
    """A request that is refused; `sentence` says why and what is allowed."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(status, sentence, {name.replace("_", "-"): value for name, value in headers.items()} or None)


def sentence_of(error: Exception) -> tuple[int, str]:
    """The status and the sentence for an error."""
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, RequestValidationError):
        return 422, validation_sentence(error)
    if isinstance(error, HashretError):
        status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
        return status, str(error)
    return 500, FAILED


def validation_sentence(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request, by name, without its value."""
    first: dict[str, Any] = dict(error.errors()[0]) if error.errors() else {}
    where = ".".join(str(part) for part in first.get("loc", ())[1:]) or "the request"
    if first.get("type") == "json_invalid":
        return "the body is not valid JSON in UTF-8"
    return f"{where[:100]}: {first.get('msg', 'is invalid')}"


def json_error(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """The answer of the API for an error."""
    return JSONResponse({"error": json.loads(json.dumps(sentence))}, status, headers)
