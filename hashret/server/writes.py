"""The REST API: changes. They need the token, in the header `Authorization: Bearer TOKEN` and nowhere else."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from hashret.documents import Document
from hashret.errors import DataError
from hashret.index import Index
from hashret.server.answers import answer
from hashret.server.api import PROBLEMS, Served, Serving
from hashret.server.ask import as_vector
from hashret.server.errors import Refused
from hashret.server.models import AddBody, Changed, NewDocument, Problem
from hashret.server.state import state_of


def authorized(request: Request) -> None:
    """Raise Refused without the token."""
    token = state_of(request).settings.token
    if token is None:
        raise Refused(403, "this server changes nothing; start it with a token to allow changes")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not same:
        raise Refused(401, "changes need the header Authorization: Bearer TOKEN", WWW_Authenticate="Bearer")


MORE: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "no token, or a wrong one"},
    409: {"model": Problem, "description": "an id is there already, or another process changes the index"},
    413: {"model": Problem, "description": "the body is too large"},
}
router = APIRouter(prefix="/api", responses=PROBLEMS | MORE, dependencies=[Depends(authorized)], tags=["documents"])


@router.post("/{index}/documents", response_model=Changed)
async def add(one: Served, serving: Serving, body: AddBody) -> Response:
    """Add documents in one transaction. When the answer comes, they are on the disk and can be found."""

    def act(index: Index) -> dict[str, int]:
        documents = [_document(own, index.hasher.document_type) for own in body.documents]
        return {"changed": index.add(documents, replace=body.replace), "documents": len(index)}

    return answer(await serving.work.change(one.change, act), 200)


@router.delete("/{index}/documents", response_model=Changed)
async def delete(
    one: Served,
    serving: Serving,
    id: Annotated[list[str], Query(min_length=1, max_length=1000, description="The documents to delete.")],
) -> Response:
    """Delete documents in one transaction; if an id is unknown, nothing is deleted."""

    def act(index: Index) -> dict[str, int]:
        return {"changed": index.delete(id), "documents": len(index)}

    return answer(await serving.work.change(one.change, act))


def _document(given: NewDocument, holds: str) -> Document:
    """A document of the type that an index holds. Raises DataError for another type."""
    if holds == "text" and given.text is not None:
        return Document(given.id, given.text, tuple(given.labels), given.metadata)
    if holds == "vector" and given.vector is not None:
        return Document(given.id, as_vector(given.vector), tuple(given.labels), given.metadata)
    if holds == "image":
        raise DataError("images cannot be added over HTTP; use hashret add on the server")
    raise DataError(f"this index holds {holds}s, so each document needs the field {holds!r}")
