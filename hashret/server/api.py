"""The REST API: reading. Ids are query parameters, so that any id can be asked for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, UploadFile
from starlette.responses import Response

from hashret.server import ask as asking
from hashret.server.answers import answer, document_as_json, explanation_as_json, hits_as_json
from hashret.server.ask import Ask
from hashret.server.errors import Refused
from hashret.server.models import Answer, Answers, DocumentModel, Explained, Problem, SearchBody
from hashret.server.state import State, served, state_of
from hashret.server.texts import text_query

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": what}
    for status, what in {
        403: "foreign Host or Origin",
        404: "no such index or document",
        422: "an argument is invalid",
        503: "too busy, or the index cannot be read",
    }.items()
}
router = APIRouter(prefix="/api", responses=PROBLEMS)

Q = Annotated[str, Query(min_length=1, max_length=100_000, description="A text.", examples=["the harvest"])]
IdOf = Annotated[str, Query(min_length=1, max_length=10_000, description="A document.", examples=["1871/march.txt"])]
Served = Annotated[Any, Depends(served)]
Serving = Annotated[State, Depends(state_of)]


def asked(
    serving: Serving,
    k: Annotated[int, Query(ge=1, description="Number of documents.")] = 10,
    label: Annotated[list[str], Query(max_length=100, description="Only documents with one of these labels.")] = [],  # noqa: B006
    where: Annotated[str | None, Query(max_length=10_000, description="Only documents for which this holds.")] = None,
    by: Annotated[list[str], Query(max_length=3, description="Parts: words, codes, vectors.")] = [],  # noqa: B006
) -> Ask:
    """The parameters that searches share."""
    found = Ask(k, tuple(label), where or None, tuple(by) or None)
    found.check(serving.settings)
    return found


Asked = Annotated[Ask, Depends(asked)]


@router.get("", tags=["indexes"])
async def indexes(serving: Serving) -> Response:
    """List the indexes."""

    def listed() -> list[dict[str, Any]]:
        found = []
        for one in serving.shelf:
            index = one.index()
            found.append({"name": one.name, "documents": len(index), "holds": index.hasher.document_type})
        return found

    return answer({"indexes": await serving.work.search(listed)})


@router.get("/{index}/search", tags=["search"], response_model=Answer)
async def search(one: Served, serving: Serving, q: Q, ask: Asked) -> Response:
    """Search by text. The results are exact, and those for k are the first of those for a larger k."""
    return answer(await serving.work.search(_searched, one, q, ask))


def _searched(one: Any, query: str, ask: Ask) -> dict[str, Any]:
    index = one.index()
    [hits] = asking.search(index, [query], ask)
    return hits_as_json(index, hits, query)


@router.post("/{index}/search", tags=["search"], response_model=Answers)
async def search_many(one: Served, serving: Serving, body: SearchBody) -> Response:
    """Search by several texts or vectors."""
    ask = Ask(body.k, tuple(body.labels), body.where, _parts(body.by), _weights(body.weights), body.radius)
    ask.check(serving.settings)
    if len(body.queries) > serving.settings.most_queries:
        raise Refused(422, f"queries must be 1 to {serving.settings.most_queries}")

    def act() -> dict[str, Any]:
        index = one.index()
        queries = [own if isinstance(own, str) else asking.as_vector(own) for own in body.queries]
        found = asking.search(index, queries, ask)
        texts = [own if isinstance(own, str) else None for own in body.queries]
        return {"answers": [hits_as_json(index, hits, text) for hits, text in zip(found, texts, strict=True)]}

    return answer(await serving.work.search(act))


def _parts(by: list[Any] | None) -> tuple[str, ...] | None:
    return tuple(by) if by else None


def _weights(weights: dict[Any, float] | None) -> dict[str, float] | None:
    return dict(weights) if weights else None


@router.post("/{index}/search/file", tags=["search"], response_model=Answer)
async def search_file(one: Served, serving: Serving, file: UploadFile, ask: Asked) -> Response:
    """Search by a file: an image, or a text, PDF or Word file."""
    raw = await file.read()

    def act() -> dict[str, Any]:
        index = one.index()
        query = asking.uploaded(index, raw)
        [hits] = asking.search(index, [query], ask)
        return hits_as_json(index, hits, query.content if isinstance(query.content, str) else None)

    return answer(await serving.work.search(act))


@router.get("/{index}/within", tags=["search"], response_model=Answer)
async def within(
    one: Served, serving: Serving, q: Q, ask: Asked, radius: Annotated[int, Query(ge=0, le=4096)]
) -> Response:
    """Find documents whose codes differ in at most `radius` bits from that of a text; the k nearest of them."""
    near = Ask(ask.k, ask.labels, ask.where, None, None, radius)
    return answer(await serving.work.search(_searched, one, q, near))


@router.get("/{index}/like", tags=["search"], response_model=Answer)
async def like(one: Served, serving: Serving, id: IdOf, ask: Asked) -> Response:
    """Find the documents most like a stored one."""

    def act() -> dict[str, Any]:
        index = one.index()
        return hits_as_json(index, asking.like(index, id, ask), None)

    return answer(await serving.work.search(act))


@router.get("/{index}/document", tags=["documents"], response_model=DocumentModel)
async def document(one: Served, serving: Serving, id: IdOf) -> Response:
    """Read a document."""
    return answer(await serving.work.search(lambda: document_as_json(one.index(), id)))


@router.get("/{index}/explain", tags=["search"], response_model=Explained)
async def explain(one: Served, serving: Serving, q: Q, id: IdOf, likeness: bool = False) -> Response:
    """Show what the score of a document is made of. With `likeness`, `q` is the id of another document."""

    def act() -> dict[str, Any]:
        index = one.index()
        return explanation_as_json(index.explain(q if likeness else text_query(index, q), id, likeness=likeness))

    return answer(await serving.work.think(act))


@router.get("/{index}/info", tags=["indexes"])
async def info(one: Served, serving: Serving) -> Response:
    """Return statistics and settings of an index."""
    return answer(await serving.work.search(lambda: one.index().info()))


@router.get("/{index}/bits", tags=["indexes"])
async def bits(one: Served, serving: Serving) -> Response:
    """Return what each bit of the codes stands for."""
    return answer({"bits": await serving.work.think(lambda: [bit.row() for bit in one.index().explain_bits()])})


@router.get("/{index}/health", tags=["indexes"])
async def health(one: Served, serving: Serving) -> Response:
    """Check the codes of an index."""

    def act() -> dict[str, Any]:
        index = one.index()
        found = one.kept("health", index, index.health)
        return {"ok": found.ok, "findings": [finding.row() for finding in found.findings]}

    return answer(await serving.work.think(act))


@router.get("/{index}/clusters", tags=["indexes"])
async def clusters(one: Served, serving: Serving, n: Annotated[int, Query(ge=1, le=200)] = 10) -> Response:
    """Group the documents; the ids of a group are those nearest its centre, at most 1,000."""

    def act() -> list[dict[str, Any]]:
        from hashret.analysis.clusters import clusters as find

        index = one.index()
        found = one.kept(("clusters", n), index, lambda: find(index, n))
        return [{"cluster": c.number, "size": len(c.ids), "words": c.words, "ids": c.ids[:1000]} for c in found]

    return answer({"clusters": await serving.work.think(act)})
