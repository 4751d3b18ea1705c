"""The REST API and the pages: what they answer, what they refuse, and what is shown but never run."""

from __future__ import annotations

import html
import json
import os
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from starlette.testclient import TestClient

from hashret.documents import Document
from hashret.errors import IndexNotFound
from hashret.index import Index
from hashret.server.app import create_app
from hashret.server.points import Points, file_of, whole
from hashret.server.settings import Settings, named
from hashret.server.texts import text_query

from .conftest import make_texts
from .serving import HOSTILE, TOKEN, make_indexes, png

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_indexes(tmp_path_factory.mktemp("served"))


def client_of(paths: dict[str, str], **more: Any) -> TestClient:
    """A client of an application; it sends no cookies and does not follow redirects."""
    app = create_app(Settings(paths, TOKEN, **more))
    return TestClient(app, base_url="http://localhost", follow_redirects=False)


@pytest.fixture(scope="module")
def client(paths: dict[str, str]) -> Iterator[TestClient]:
    with client_of(paths) as made:
        yield made


def refused(response: Any, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    [sentence] = response.json().values()
    assert words in sentence


# searching


def test_search_gives_what_the_library_gives(client: TestClient, paths: dict[str, str]) -> None:
    with Index.open(paths["texts"]) as index:
        hits = index.search("harbour storm", k=5, labels="sea", by=("words", "codes"))
        found = client.get("/api/texts/search?q=harbour+storm&k=5&label=sea&by=words&by=codes").json()
        assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [(hit.id, hit.score) for hit in hits]
        assert found["exact"] is True
        assert all(hit["text"][slice(*hit["marks"][0])] in ("harbour", "storm") for hit in found["hits"][:2])
        within = index.within("harbour storm", 6)[:10]
        near = client.get("/api/texts/within?q=harbour+storm&radius=6").json()["hits"]
        assert [(hit["id"], hit["distance"]) for hit in near] == [(hit.id, hit.distance) for hit in within]
        like = client.get("/api/texts/like?id=text-3&k=4").json()["hits"]
        assert [hit["id"] for hit in like] == [hit.id for hit in index.like("text-3", k=4)]


def test_several_queries_and_vectors_in_one_body(client: TestClient, paths: dict[str, str]) -> None:
    body = {"queries": ["ship", "violin"], "k": 2, "by": ["words"], "weights": {"words": 2}}
    answers = client.post("/api/texts/search", json=body).json()["answers"]
    assert [len(answer["hits"]) for answer in answers] == [2, 2]
    vector = np.random.default_rng(0).standard_normal(64).tolist()
    with Index.open(paths["vectors"]) as index:
        expected = [hit.id for hit in index.search(np.array(vector, np.float32), k=3)]
    [answer] = client.post("/api/vectors/search", json={"queries": [vector], "k": 3}).json()["answers"]
    assert [hit["id"] for hit in answer["hits"]] == expected
    radius = client.post("/api/texts/search", json={"queries": ["ship"], "radius": 0}).json()["answers"][0]["hits"]
    assert all(hit["distance"] == 0 for hit in radius)


def test_search_by_a_file(client: TestClient) -> None:
    image = client.post("/api/images/search/file?k=3", files={"file": ("../../x.png", png(), "image/png")})
    assert len(image.json()["hits"]) == 3
    text = client.post("/api/texts/search/file", files={"file": ("x", b"a storm in the harbour", "image/png")})
    assert "sea" in text.json()["hits"][1]["labels"]


def test_a_text_is_never_the_path_of_an_image(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png())
    there = str(tmp_path / "x.png")
    for path in (there, f"{there}-missing"):
        found = client.get("/api/images/search", params={"q": path})
        refused(found, 422, "not searched by texts")
        refused(client.post("/api/images/search", json={"queries": [path]}), 422, "not searched by texts")
        refused(client.get("/api/images/explain", params={"q": path, "id": "digit-1"}), 422, "not searched by texts")
        assert "not searched by texts" in client.get("/i/images", params={"q": path}).text
        assert path not in found.text


def test_a_text_for_a_model_of_images_is_no_path_either(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png())
    vectorizer = SimpleNamespace(query_types=("image", "text"))
    index: Any = SimpleNamespace(hasher=SimpleNamespace(vectorizer=vectorizer, document_type="image"))
    for text in (str(tmp_path / "x.png"), f" {tmp_path / 'x.png'}\n"):
        assert not Path(text_query(index, text)).is_file()
    assert text_query(index, "a red ship").split() == ["a", "red", "ship"]


@pytest.mark.parametrize("id", ["a/b?c#d", "..", "a%2Fb", HOSTILE])
def test_any_id_can_be_read(client: TestClient, id: str) -> None:
    found = client.get("/api/texts/document", params={"id": id}).json()
    assert found["id"] == id
    assert re.fullmatch("[01]{32}", found["code"])


def test_explanations_add_up(client: TestClient) -> None:
    [hit] = client.get("/api/texts/search?q=harbour+storm&k=1").json()["hits"]
    found = client.get("/api/texts/explain", params={"q": "harbour storm", "id": hit["id"]}).json()
    assert found["score"] == pytest.approx(hit["score"])
    assert sum(share["share"] for share in found["shares"]) == pytest.approx(hit["score"], abs=1e-5)
    images = client.get("/api/images/explain?q=digit-1&id=digit-2&likeness=true").json()
    assert np.array(images["document_map"]).shape == (8, 8)


def test_facts_of_an_index(client: TestClient) -> None:
    assert {own["name"] for own in client.get("/api").json()["indexes"]} == {"texts", "images", "vectors"}
    assert client.get("/api/texts/info").json()["bits"] == 32
    assert len(client.get("/api/texts/bits").json()["bits"]) == 32
    assert {own["check"] for own in client.get("/api/texts/health").json()["findings"]} >= {"balance", "drift"}
    groups = client.get("/api/texts/clusters?n=3").json()["clusters"]
    assert sum(group["size"] for group in groups) == 204
    assert client.get("/healthz").json() == {"status": "ok"}


# refusing


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/api/texts/search?q=ship&k=1000000000", 422, "k must be 1 to 1000"),
        ("/api/texts/search?q=ship&k=0", 422, "k"),
        ("/api/texts/search?q=ship&k=x", 422, "k: "),
        ("/api/texts/search?q=", 422, "q: "),
        ("/api/texts/search", 422, "q: "),
        ("/api/texts/search?q=ship&label=nowhere", 422, "no document has the label"),
        ("/api/texts/search?q=ship&where=((", 422, ""),
        ("/api/texts/search?q=ship&by=pixels", 422, "unknown part"),
        ("/api/texts/within?q=ship&radius=-1", 422, "radius"),
        ("/api/texts/within?q=ship&radius=99999999999999999999", 422, "radius"),
        ("/api/texts/document?id=nowhere", 404, "no document has the id"),
        ("/api/texts/document?id=../../../etc/passwd", 404, "no document has the id"),
        ("/api/texts/like?id=nowhere", 404, "no document has the id"),
        ("/api/nowhere/search?q=ship", 404, "no such index"),
        ("/api/..%2f..%2fetc/search?q=ship", 404, ""),
        ("/static/..%2fapp.py", 404, ""),
        ("/api/vectors/search?q=ship", 422, "holds vectors"),
        ("/api/texts/clusters?n=100000", 422, "n: "),
    ],
)
def test_wrong_requests_get_a_status_and_a_sentence(client: TestClient, address: str, status: int, words: str) -> None:
    refused(client.get(address), status, words)


def test_wrong_bodies_get_a_status_and_a_sentence(client: TestClient) -> None:
    post = client.post
    for raw in (b"\xff\xfe{", png()):
        wrong = post("/api/texts/search", content=raw, headers={"Content-Type": "application/json"})
        refused(wrong, 400, "parsing the body")
    refused(post("/api/texts/search", content=b"{", headers={"Content-Type": "application/json"}), 422, "JSON")
    refused(
        post("/api/texts/search", content=b'{"queries": ["ship"]}', headers={"Content-Type": "text/plain"}), 422, ""
    )
    refused(post("/api/texts/search", json={"queries": ["ship"], "more": 1}), 422, "more")
    refused(post("/api/texts/search", json={"queries": ["ship"] * 65}), 422, "queries must be 1 to 64")
    refused(
        post("/api/texts/search", json={"queries": ["ship"], "weights": {"words": -1}, "by": ["words"]}), 422, "weight"
    )
    refused(post("/api/images/search/file", files={"file": ("x.png", b"no image")}), 422, "not a readable image")
    refused(post("/api/images/search/file", files={"file": ("x.png", b"")}), 422, "empty")
    refused(post("/api/vectors/search/file", files={"file": ("x.png", png())}), 422, "vectors")
    assert "no image" not in post("/api/images/search/file", files={"file": ("x.png", b"no image")}).text


def test_an_image_of_too_many_pixels_is_refused(client: TestClient) -> None:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    refused(client.post("/api/images/search/file", files={"file": ("x.png", raw)}), 422, "pixels")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "http://localhost@evil.example"}, 403),
    ],
)
def test_foreign_hosts_and_origins_are_refused(client: TestClient, headers: dict[str, str], status: int) -> None:
    for address in ("/api/texts/search?q=ship", "/i/texts", "/healthz"):
        assert client.get(address, headers=headers).status_code == status
    assert (
        client.post("/api/texts/documents", json={}, headers=headers | BEARER).status_code
        == {403: 403, 200: 422}[status]
    )


def test_a_host_can_be_allowed(paths: dict[str, str]) -> None:
    with client_of(paths, hosts=("search.example",)) as client:
        assert client.get("/healthz", headers={"Host": "search.example"}).status_code == 200
        assert client.get("/healthz", headers={"Host": "other.example"}).status_code == 403


def test_bodies_are_limited_with_and_without_a_length(paths: dict[str, str]) -> None:
    with client_of(paths, most_bytes=10_000) as client:
        address = "/api/texts/search"
        refused(client.post(address, json={"queries": ["x" * 20_000]}), 413, "at most 10,000 bytes")
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            while sent < 10_000_000:
                sent += 1000
                yield b"x" * 1000

        response = client.post(address, content=endless(), headers={"Content-Type": "application/json"})
        assert response.status_code == 413
        assert client.get("/healthz").status_code == 200


def test_too_many_searches_are_refused_while_health_answers(paths: dict[str, str]) -> None:
    with client_of(paths, running=1, waiting=1) as client:
        work, hold = client.app.state.hashret.work, threading.Event()  # type: ignore[attr-defined]
        work.fast.submit(hold.wait)
        work.pending[work.fast] = 2
        try:
            response = client.get("/api/texts/search?q=ship")
            refused(response, 503, "too many requests")
            assert response.headers["retry-after"] == "1"
            assert client.get("/healthz").status_code == 200
        finally:
            hold.set()


def test_a_search_that_takes_too_long_is_refused(paths: dict[str, str]) -> None:
    with client_of(paths, running=1, seconds=0.2) as client:
        hold = threading.Event()
        client.app.state.hashret.work.fast.submit(hold.wait)  # type: ignore[attr-defined]
        refused(client.get("/api/texts/search?q=ship"), 503, "more than 0.2 s")
        hold.set()
        assert client.get("/api/texts/search?q=ship").status_code == 200


# changing


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
def test_changes_need_the_token(client: TestClient, headers: dict[str, str]) -> None:
    body = {"documents": [{"id": "new", "text": "wheat"}]}
    refused(client.post("/api/texts/documents", json=body, headers=headers), 401, "Bearer")
    refused(client.post(f"/api/texts/documents?token={TOKEN}", json=body, headers=headers), 401, "Bearer")
    refused(client.delete("/api/texts/documents?id=text-1", headers=headers), 401, "Bearer")


def test_without_a_token_nothing_can_be_changed(paths: dict[str, str]) -> None:
    with TestClient(create_app(Settings(paths)), base_url="http://localhost") as client:
        refused(client.delete("/api/texts/documents?id=text-1", headers=BEARER), 403, "changes nothing")


def test_documents_are_added_and_deleted(client: TestClient) -> None:
    document = {"id": "new", "text": "quizzical wheat", "labels": ["new"], "metadata": {"year": 1873}}
    add = client.post("/api/texts/documents", json={"documents": [document]}, headers=BEARER)
    assert add.json() == {"changed": 1, "documents": 205}
    assert client.get("/api/texts/search?q=quizzical").json()["hits"][0]["id"] == "new"
    assert client.get("/api/texts/search?q=quizzical&where=year+%3E+1870").json()["hits"][0]["id"] == "new"
    again = client.post("/api/texts/documents", json={"documents": [document]}, headers=BEARER)
    refused(again, 409, "already in the index")
    replaced = {"documents": [{**document, "text": "barley"}], "replace": True}
    assert client.post("/api/texts/documents", json=replaced, headers=BEARER).json()["documents"] == 205
    refused(client.delete("/api/texts/documents?id=new&id=nowhere", headers=BEARER), 404, "nowhere")
    assert client.delete("/api/texts/documents?id=new", headers=BEARER).json() == {"changed": 1, "documents": 204}
    refused(client.get("/api/texts/document?id=new"), 404, "no document")


def test_documents_of_another_type_are_refused(client: TestClient) -> None:
    for name, document, words in (
        ("texts", {"id": "x", "vector": [1.0]}, "text"),
        ("vectors", {"id": "x", "text": "wheat"}, "vector"),
        ("vectors", {"id": "x", "vector": [1.0, 2.0]}, "dimensions"),
        ("images", {"id": "x", "text": "wheat"}, "images cannot be added"),
        ("texts", {"id": "", "text": "wheat"}, "id"),
    ):
        refused(client.post(f"/api/{name}/documents", json={"documents": [document]}, headers=BEARER), 422, words)


def test_an_index_that_another_process_changes_removes_and_builds_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "own"
    Index.create(path, make_texts(40), bits=16, encoder="itq").close()
    with client_of({"own": str(path)}) as client:
        assert client.get("/api/own/info").json()["documents"] == 40
        Index.open(path).add([Document("new", "wheat")])
        assert client.get("/api/own/info").json()["documents"] == 41
        away = path.rename(tmp_path / "away")
        refused(client.get("/api/own/search?q=ship"), 404, "not there any more")
        assert client.get("/healthz").status_code == 200
        Index.create(path, make_texts(20), bits=8, encoder="itq").close()
        assert client.get("/api/own/info").json()["bits"] == 8
        assert away.exists()


def test_searches_go_on_while_documents_are_added(tmp_path: Path) -> None:
    path, failures = tmp_path / "own", list[int]()
    Index.create(path, make_texts(60), bits=16, encoder="itq").close()
    with client_of({"own": str(path)}) as client:
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                response = client.get("/api/own/search?q=ship+harbour")
                if response.status_code != 200 or not response.json()["hits"]:
                    failures.append(response.status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(15):
            body = {"documents": [{"id": f"n{number}", "text": f"unique{number} ship"}]}
            assert client.post("/api/own/documents", json=body, headers=BEARER).status_code == 200
            assert client.get(f"/api/own/search?q=unique{number}").json()["hits"][0]["id"] == f"n{number}"
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_pages_do_not_wait_for_a_map(paths: dict[str, str]) -> None:
    with client_of(paths) as client:
        one = client.app.state.hashret.shelf["texts"]  # type: ignore[attr-defined]
        started, hold = threading.Event(), threading.Event()

        def slow() -> str:
            started.set()
            hold.wait(30)
            return "map"

        thread = threading.Thread(target=lambda: one.kept("map", one.index(), slow))
        thread.start()
        started.wait(10)
        try:
            assert client.get("/i/texts?q=ship").status_code == 200
        finally:
            hold.set()
            thread.join()


def test_a_missing_index_is_reported_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound):
        create_app(Settings({"gone": str(tmp_path / "gone")}))


def test_indexes_with_the_same_name_get_numbers(tmp_path: Path) -> None:
    found = named([str(tmp_path / "a" / "news"), str(tmp_path / "b" / "news"), "postgresql://host/database/news?x=1"])
    assert list(found) == ["news", "news-2", "news-3"]


# metrics and the description


def test_labels_of_metrics_do_not_grow_with_what_is_asked(client: TestClient) -> None:
    def lines() -> set[str]:
        return {line.rpartition(" ")[0] for line in client.get("/metrics").text.splitlines()}

    lines()
    for number in range(3):
        client.get(f"/api/texts/search?q=word{number}")
        client.get(f"/nowhere/{number}")
        client.get(f"/api/nowhere{number}/search?q=x")
    before = lines()
    for number in range(20):
        client.get(f"/api/texts/search?q=other{number}")
        client.get(f"/nowhere/x{number}")
        client.get(f"/api/elsewhere{number}/search?q=x")
    assert lines() == before
    assert any('route="/api/{index}/search"' in line for line in before)


def test_the_description_has_examples_and_all_errors(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, own in methods.items():
            assert own.get("description"), (path, method)
            if path.startswith("/api/{index}"):
                assert {"403", "404", "422", "503"} <= own["responses"].keys()
    assert schema["components"]["schemas"]["SearchBody"]["properties"]["queries"]["examples"]
    assert "/i/{index}" not in schema["paths"]


# pages

PAGES = (
    "/",
    "/i/texts",
    "/i/texts?q=harbour+storm",
    "/i/texts?q=harbour&near=1&radius=7&label=sea&k=3",
    "/i/texts?like=text-3",
    "/i/texts/results?q=zebra",
    "/i/texts/document?id=text-3",
    "/i/texts/explain?q=harbour+storm&id=text-4",
    "/i/texts/explain?like=text-3&id=text-4",
    "/i/texts/map",
    "/i/texts/about",
    "/i/images?like=digit-3",
    "/i/images/document?id=digit-3",
    "/i/images/explain?like=digit-3&id=digit-4",
    "/i/vectors?like=vector-3",
    "/i/vectors/document?id=vector-3",
    "/api-docs",
)


@pytest.mark.parametrize("address", PAGES)
def test_pages_have_a_strict_policy_and_no_inline_code(client: TestClient, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    tags = Tags()
    tags.feed(response.text)
    assert len(tags.found) > 10
    for tag, names in tags.found:
        assert tag not in ("style", "iframe", "object", "embed", "base"), tag
        assert not [name for name, _ in names if name == "style" or name.startswith("on")]
        assert tag != "script" or dict(names)["src"]
        for name, value in names:
            if name in ("href", "src", "action", "hx-get", "hx-post"):
                assert str(value).startswith(("/", "#")), value


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def links(text: str) -> set[str]:
    return {html.unescape(own) for own in re.findall(r'(?:href|action|src|hx-get|hx-post)="([^"]*)"', text)}


@pytest.mark.parametrize("prefix", ["", "/p/q"])
@pytest.mark.parametrize("stripped", [True, False])
def test_links_stay_below_the_prefix_and_lead_somewhere(paths: dict[str, str], prefix: str, stripped: bool) -> None:
    with client_of(paths, root_path=prefix) as client:
        seen: set[str] = set()
        waiting = [f"{prefix}/", f"{prefix}/i/texts?q=zebra", f"{prefix}/i/images?like=digit-3"]
        while waiting and len(seen) < 150:
            address = waiting.pop()
            if address in seen or address.startswith("#"):
                continue
            seen.add(address)
            assert address.startswith(f"{prefix}/"), address
            response = client.get(address.removeprefix(prefix) if stripped else address)
            if "/file" in address:
                continue
            assert response.status_code == 200, address
            if "text/html" in response.headers["content-type"]:
                waiting += [own.partition("#")[0] or "#" for own in links(response.text)]
        assert len(seen) > 60


def test_links_of_odd_ids_lead_to_their_documents(client: TestClient) -> None:
    page = client.get("/i/texts?q=zebra").text
    found = set()
    for address in links(page):
        if urlsplit(address).path.endswith("/document"):
            title = re.search(r'<h1 class="id">(.*?)</h1>', client.get(address).text, re.S)
            assert title is not None
            found.add(html.unescape(title[1]))
    assert found >= {"a/b?c#d", "..", "a%2Fb", HOSTILE}


def test_texts_are_shown_and_never_markup(client: TestClient) -> None:
    for address in ("/i/texts?q=zebra+onerror", "/i/texts/results?q=zebra"):
        page = client.get(address).text
        assert "<img src=x" not in page
        assert "<script>" not in page
        assert "<mark>zebra</mark>" in page
    document = client.get("/i/texts/document", params={"id": HOSTILE}).text
    assert html.escape(HOSTILE, quote=False)[:20] in document.replace("&#34;", '"')
    assert "<img src=x" not in document


def test_a_page_without_scripts_searches(client: TestClient) -> None:
    page = client.get("/i/texts").text
    [action] = re.findall(r'<form id="search"[^>]* action="([^"]*)"', page)
    names = re.findall(r'<input[^>]* name="(\w+)"', page)
    assert {"q", "label", "where", "k", "by", "near", "radius"} <= set(names)
    answer = client.get(action, params={"q": "harbour storm", "label": "", "where": "", "k": "10", "radius": "0"})
    assert answer.text.count('class="hit"') == 10
    uploaded = client.post("/i/images/file", files={"file": ("x.png", png())})
    assert uploaded.text.startswith("<!doctype html>")
    assert uploaded.text.count('class="hit"') == 24


def test_errors_are_pages_for_people_and_fragments_for_htmx(client: TestClient) -> None:
    assert "<h1>Error 404</h1>" in client.get("/i/texts/document?id=nowhere").text
    fragment = client.get("/i/texts/results?q=x&k=99999", headers={"HX-Request": "true"})
    assert fragment.status_code == 422
    assert fragment.text.startswith('<p class="error" role="alert">k must be')
    page = client.get("/i/texts?q=x&k=99999&label=nowhere")
    assert page.status_code == 200
    assert "k must be a number" in page.text
    assert client.get("/i/texts?q=ship&label=nowhere").text.count('role="alert"') == 1


def test_results_replace_the_address_of_the_page(client: TestClient) -> None:
    response = client.get("/i/texts/results?q=ship&k=10&label=&radius=0", headers={"HX-Request": "true"})
    assert response.headers["hx-replace-url"] == "/i/texts?q=ship"
    assert "<html" not in response.text


def test_the_only_index_is_the_start(paths: dict[str, str]) -> None:
    with client_of({"texts": paths["texts"]}, root_path="/p") as client:
        assert client.get("/p/").headers["location"] == "/p/i/texts"


def test_images_are_encoded_again(client: TestClient, paths: dict[str, str]) -> None:
    response = client.get("/i/images/image?id=digit-3")
    assert response.headers["content-type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")
    assert client.get("/i/texts/image?id=text-3").status_code == 404


# the map


def test_the_map_has_a_point_per_document(client: TestClient, paths: dict[str, str]) -> None:
    raw = client.get("/api/texts/map").content
    size = int.from_bytes(raw[:4], "little")
    header = json.loads(raw[4 : 4 + size])
    values = np.frombuffer(raw[4 + size :], np.uint16).reshape(3, header["count"])
    with Index.open(paths["texts"]) as index:
        assert header["count"] == len(index)
        for place in (0, 100, 203):
            label = index.labels[place][0]
            assert header["labels"][values[2, place]] == label
            point = client.get("/api/texts/map/point", params={"position": place, "version": header["version"]})
            document = index[index.ids[place]]
            assert point.json() == {"id": document.id, "labels": [label], "text": document.content}
        asked = {"q": "harbour", "version": header["version"]}
        found = client.get("/api/texts/map/find", params=asked).json()["positions"]
        assert [index.ids[place] for place in found[:3]] == [hit.id for hit in index.search("harbour", k=3)]
    refused(client.get("/api/texts/map/point?position=0&version=old"), 409, "load the map again")


def test_a_lasso_selects_what_is_inside_and_not_hidden(client: TestClient) -> None:
    raw = client.get("/api/texts/map").content
    header = json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")])
    everywhere = {"polygon": [(-2, -2), (2, -2), (2, 2), (-2, 2)], "version": header["version"]}
    assert client.post("/api/texts/map/select", json=everywhere).json()["count"] == 204
    sea = header["labels"].index("sea")
    ids = client.post("/api/texts/map/select?format=ids", json=everywhere | {"hidden": [sea]})
    assert len(ids.text.splitlines()) == 204 - 50
    assert ids.headers["content-disposition"] == 'attachment; filename="selection.txt"'
    table = client.post("/api/texts/map/select?format=csv", json=everywhere).text
    assert table.splitlines()[0] == "id,x,y,label"
    rows = client.post("/api/texts/map/select?format=json", json=everywhere).json()
    assert {row["id"] for row in rows} >= {HOSTILE, ".."}
    refused(client.post("/api/texts/map/select", json=everywhere | {"version": "old"}), 409, "load the map again")
    refused(client.post("/api/texts/map/select", json={**everywhere, "polygon": [(0, 0)]}), 422, "polygon")


def test_points_inside_a_polygon_are_those_of_matplotlib() -> None:
    from matplotlib.path import Path as Outline

    rng = np.random.default_rng(0)
    places, corners = rng.uniform(-1, 1, (2000, 2)), rng.uniform(-1, 1, (9, 2))
    label = rng.integers(0, 3, 2000).astype(np.uint16)
    points = Points("v", whole(places[:, 0]), whole(places[:, 1]), label, ["a", "b", "c"])
    near = np.column_stack([points.x, points.y]) / 32767.5 - 1
    even = Outline(np.concatenate([corners, corners[:1]])).contains_points(near)
    chosen = np.zeros(2000, bool)
    chosen[points.inside([(float(x), float(y)) for x, y in corners], [1])] = True
    convex = [(-0.5, -0.5), (0.5, -0.4), (0.4, 0.6)]
    inside = np.zeros(2000, bool)
    inside[points.inside(convex, [])] = True
    assert (inside == Outline([*convex, convex[0]]).contains_points(near)).all()
    assert not chosen[label == 1].any()
    assert chosen.sum() <= even.sum() + 2000 * 0.2


def test_a_map_is_kept_beside_the_index_until_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "own"
    index = Index.create(path, make_texts(40), bits=16, encoder="itq")
    points = Points.of(index)
    file = file_of(index.path)
    assert Points.load(file).bytes() == points.bytes()
    stamp = file.stat().st_mtime_ns
    assert Points.of(index).version == points.version
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(b"damaged")
    assert Points.of(index).bytes() == points.bytes()
    index.delete("text-1")
    assert len(Points.of(index)) == 39
    os.unlink(file)  # noqa: PTH108
