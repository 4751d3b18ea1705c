"""The pages: search, document, explanation, map, statistics, and a description of the API. They work without scripts.

Templates escape all values. A search is one address for the page and another for its results alone, which htmx asks
for, so that the back button never shows a fragment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, UploadFile
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import RedirectResponse, Response

import hashret
from hashret.documents import Document
from hashret.index import Index
from hashret.results import Hit, Hits
from hashret.server import ask as asking
from hashret.server.answers import beginning, document_as_json
from hashret.server.api import Served, Serving
from hashret.server.ask import Ask
from hashret.server.drawing import bits_of, heat_of, histogram_of, pieces, waterfall
from hashret.server.errors import Refused
from hashret.server.policy import POLICY
from hashret.server.settings import Settings
from hashret.server.texts import takes_texts, text_query
from hashret.server.thumbnails import picture

router = APIRouter(include_in_schema=False)
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
MOST_LABELS = 300  # suggested for the filter
NEIGHBOURS = 8  # on the page of a document
LONGEST = 100_000  # characters of a text that a page shows
MAP_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")
"""regl, which draws the map, compiles its own code. Texts of documents come into this page as JSON only."""
FEW_WORDS = 12  # words with most effect on the page of an explanation
PARTS = ("words", "codes", "vectors")


@dataclass(frozen=True)
class Asked:
    """What the form of a search holds."""

    q: str = ""
    like: str = ""
    k: int = 10
    label: str = ""
    where: str = ""
    by: tuple[str, ...] = ()
    near: bool = False
    radius: int = 0
    problem: str = field(default="", compare=False)

    @classmethod
    def of(cls, given: Mapping[str, Any], by: list[str], settings: Settings) -> Asked:
        """Read the form. An empty field is the default; a wrong one is a problem that the page shows."""
        numbers, problem = {"k": 10, "radius": 0}, ""
        for name, (low, high) in {"k": (1, settings.most_k), "radius": (0, 4096)}.items():
            text = str(given.get(name) or "").strip()
            if text:
                if text.isascii() and text.isdecimal() and len(text) < 12 and low <= int(text) <= high:
                    numbers[name] = int(text)
                else:
                    problem = f"{name} must be a number from {low} to {high}"
        q, like, label, where = (str(given.get(name) or "") for name in ("q", "like", "label", "where"))
        near = bool(given.get("near"))
        return cls(q, like, numbers["k"], label, where, tuple(by), near, numbers["radius"], problem)

    def ask(self) -> Ask:
        """The same for the library. Raises Refused if a field is wrong."""
        if self.problem:
            raise Refused(422, self.problem)
        by = self.by if self.by and not self.near else None
        labels = (self.label,) if self.label else ()
        return Ask(self.k, labels, self.where or None, by, None, self.radius if self.near else None)

    def fields(self) -> dict[str, Any]:
        """The form as parameters of an address; defaults are left out."""
        found: dict[str, Any] = {"q": self.q, "like": self.like, "label": self.label, "where": self.where}
        found |= {"by": list(self.by), "k": self.k if self.k != 10 else "", "near": "1" if self.near else ""}
        found |= {"radius": self.radius if self.near else ""}
        return {name: value for name, value in found.items() if value not in ("", [])}


@dataclass(frozen=True)
class Found:
    """The results of a search, for a page."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    exact: bool = True
    counts: list[int] | None = None
    searched: bool = False
    query: str = ""  # the text of the query, also of an uploaded file

    @property
    def status(self) -> str:
        """What a screen reader says when results change."""
        if not self.searched:
            return ""
        return f"{len(self.rows)} {'result' if len(self.rows) == 1 else 'results'}"


def href(request: Request, path: str, **parameters: Any) -> str:
    """An address of this server, below the prefix of a proxy."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", [])}
    query = urlencode(given, doseq=True, errors="surrogatepass")
    return f"{request.scope.get('root_path', '')}{quote(path)}" + (f"?{query}" if query else "")


def page(
    request: Request, template: str, code: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """Render a template; `code` is the status of the answer."""

    def link(path: str, **parameters: Any) -> str:
        return href(request, path, **parameters)

    text = TEMPLATES.get_template(template).render(link=link, version=hashret.__version__, **({"index": None} | values))
    headers = {"Vary": "HX-Request", "Cache-Control": "no-store", **(headers or {})}
    return Response(text.encode("utf-8", "replace"), code, headers, "text/html; charset=utf-8")


def wants_page(request: Request) -> bool:
    """Whether an error should be a page: for all addresses but those of the API."""
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
    return path == "/" or path.startswith("/i/")


def error_page(request: Request, status: int, sentence: str, headers: Mapping[str, str]) -> Response:
    """The page, or the fragment, for an error."""
    part = "HX-Request" in request.headers
    return page(request, "_error.html" if part else "error.html", status, headers, status=status, sentence=sentence)


@router.get("/")
async def home(request: Request, serving: Serving) -> Response:
    """List the indexes, or go to the only one."""
    names = list(serving.shelf.served)
    if len(names) == 1:
        return RedirectResponse(href(request, f"/i/{names[0]}"))

    def listed() -> list[dict[str, Any]]:
        each = [(one.name, one.index()) for one in serving.shelf]
        return [{"name": name, "documents": len(own), "holds": own.hasher.document_type} for name, own in each]

    return page(request, "home.html", indexes=await serving.work.search(listed))


@router.get("/i/{index}")
async def search_page(request: Request, one: Served, serving: Serving) -> Response:
    """The page of a search, with its results, so that it works without scripts."""
    asked = _asked(request, serving.settings)

    def act() -> dict[str, Any]:
        own = one.index()
        found, problem = Found(), asked.problem
        try:
            found = results(own, asked)
        except (hashret.HashretError, Refused) as error:
            problem = str(getattr(error, "detail", error))
        return {"found": found, "problem": problem, **_about(one, own)}

    return page(request, "search.html", asked=asked, **await serving.work.search(act))


@router.get("/i/{index}/results")
async def results_fragment(request: Request, one: Served, serving: Serving) -> Response:
    """The results alone, for htmx. The address in the browser becomes that of the page."""
    asked = _asked(request, serving.settings)

    def act() -> dict[str, Any]:
        own = one.index()
        return {"found": results(own, asked), **_about(one, own)}

    values = await serving.work.search(act)
    headers = {"HX-Replace-Url": href(request, f"/i/{one.name}", **asked.fields())}
    return page(request, "_results.html", headers=headers, asked=asked, **values)


@router.post("/i/{index}/file")
async def search_by_file(request: Request, one: Served, serving: Serving, file: UploadFile) -> Response:
    """Search by an uploaded file."""
    asked, raw = Asked(), await file.read()

    def act() -> dict[str, Any]:
        own = one.index()
        query = asking.uploaded(own, raw)
        [hits] = asking.search(own, [query], Ask(24))
        text = query.content if isinstance(query.content, str) else ""
        return {"found": Found(_rows(own, hits, text), hits.exact, None, True, text), **_about(one, own)}

    values = await serving.work.search(act)
    if "HX-Request" in request.headers:
        return page(request, "_results.html", asked=asked, **values)
    return page(request, "search.html", asked=asked, problem="", **values)


@router.get("/i/{index}/document")
async def document_page(request: Request, one: Served, serving: Serving, id: str) -> Response:
    """A document with its code and its neighbours."""

    def act() -> dict[str, Any]:
        own = one.index()
        found = document_as_json(own, id)
        hits = own.like(id, NEIGHBOURS)
        text, cut = found["text"][:LONGEST], len(found["text"]) > LONGEST
        drawn = bits_of(found["code"])
        return {
            "document": found,
            "text": text,
            "cut": cut,
            "drawn": drawn,
            "rows": _rows(own, hits, ""),
            **_about(one, own),
        }

    return page(request, "document.html", **await serving.work.search(act))


@router.get("/i/{index}/explain")
async def explain_page(
    request: Request, one: Served, serving: Serving, id: str, q: str = "", like: str = ""
) -> Response:
    """What the score of a document is made of."""
    if not q and not like:
        raise Refused(422, "give a query, q, or the id of a document, like")

    def act() -> dict[str, Any]:
        own = one.index()
        found = own.explain(like or text_query(own, q), id, likeness=bool(like))
        document = own.document(id)
        text = document.content if isinstance(document.content, str) else ""
        effects = {"query": found.query_words, "document": found.document_words}
        return {
            "found": found,
            "shares": waterfall(found.shares),
            "bits": [share for share in found.shares if share.part == "codes"],
            "named": {whose: [own for own in words if own.effect][:FEW_WORDS] for whose, words in effects.items()},
            "text": _marked(own, document, q or text),
            "maps": {"query": heat_of(found.query_map), "document": heat_of(found.document_map)},
            **_about(one, own),
        }

    return page(request, "explain.html", q=q, like=like, id=id, **await serving.work.think(act))


@router.get("/i/{index}/map")
async def map_page(request: Request, one: Served, serving: Serving) -> Response:
    """The map of the documents."""
    values = await serving.work.search(lambda: _about(one, one.index()))
    return page(request, "map.html", headers={"Content-Security-Policy": MAP_POLICY}, **values)


@router.get("/i/{index}/about")
async def about_page(request: Request, one: Served, serving: Serving) -> Response:
    """Statistics, health and bits of an index."""

    def act() -> dict[str, Any]:
        own = one.index()
        facts = {name: value for name, value in own.info().items() if name not in ("example_ids", "labels")}
        health = one.kept("health", own, own.health) if one.local else None
        bits = own.explain_bits() if one.local else []
        return {"facts": facts, "health": health, "bits": bits, **_about(one, own)}

    return page(request, "about.html", **await serving.work.think(act))


@router.get("/i/{index}/image")
async def image(one: Served, serving: Serving, id: str) -> Response:
    """An image of the index, encoded again, so that no file is passed on as it is."""
    raw, kind = await serving.work.search(lambda: picture(one.index(), id))
    return Response(raw, media_type=kind, headers={"Cache-Control": "private, max-age=60"})


@router.get("/api-docs")
async def api_page(request: Request) -> Response:
    """The description of the API, made from its schema."""
    return page(request, "api.html", schema=request.app.openapi())


def results(index: Index, asked: Asked) -> Found:
    """Search for what a form asks."""
    ask = asked.ask()
    if asked.like:
        hits, code = asking.like(index, asked.like, ask), index.codes_of([asked.like])
    elif asked.q.strip():
        [hits] = asking.search(index, [asked.q], ask)
        code = index.encode(text_query(index, asked.q)) if asked.near else index.codes[:0]
    else:
        return Found()
    counts = asking.counts(index, code) if asked.near else None
    return Found(_rows(index, hits, asked.q), hits.exact, counts, True, asked.q)


def _asked(request: Request, settings: Settings) -> Asked:
    given = request.query_params
    return Asked.of(given, [own for own in given.getlist("by") if own in PARTS], settings)


def _rows(index: Index, hits: Hits, query: str) -> list[dict[str, Any]]:
    """Results as a page shows them."""
    return [{"hit": hit, "pieces": _pieces(index, hit, query)} for hit in hits]


def _pieces(index: Index, hit: Hit, query: str) -> list[tuple[str, bool]]:
    """The snippet of a hit in pieces, with whether each is marked."""
    if query and isinstance(hit.document.content, str):
        shown = index.snippet(hit, query)
        return pieces(shown.text, shown.marks)
    return [(beginning(hit.document), False)]


def _marked(index: Index, document: Document, query: str) -> list[tuple[str, bool]]:
    """The beginning of a document, with the words of a query marked."""
    return _pieces(index, Hit(document, 0, 1), query)


def _about(one: Any, index: Index) -> dict[str, Any]:
    """What all pages of an index need."""
    names = one.kept("labels", index, lambda: sorted({name for own in index.labels for name in own}))
    return {
        "index": one.name,
        "holds": index.hasher.document_type,
        "documents": len(index),
        "bit_count": index.bits,
        "there": index.parts,
        "labels": names[:MOST_LABELS],
        "histogram": histogram_of,
        "texts": takes_texts(index),
    }
