"""Handlers of errors: pages get a page, the API JSON."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hashret.errors import HashretError, IndexLocked
from hashret.server.errors import json_error, sentence_of
from hashret.server.pages import error_page, wants_page

log = logging.getLogger("hashret")


def add_handlers(app: FastAPI) -> None:
    """Answer all errors with a sentence: pages get a page, the API JSON."""

    async def handle(request: Request, error: Exception) -> Response:
        status, sentence = sentence_of(error)
        if status == 500 and not isinstance(error, HTTPException):
            log.error("%s failed: %r", request.scope.get("path"), error, exc_info=error)
        headers = dict(getattr(error, "headers", None) or {})
        if isinstance(error, IndexLocked):
            headers["Retry-After"] = "1"
        if wants_page(request):
            return error_page(request, status, sentence, headers)
        return json_error(status, sentence, headers)

    for kind in (HTTPException, RequestValidationError, HashretError):
        app.add_exception_handler(kind, handle)
