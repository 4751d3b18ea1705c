"""Requests made from the OpenAPI description, valid and not: none may fail in the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytest.importorskip("fastapi", reason="the extra serve is not installed")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from hashret.server.app import create_app
from hashret.server.settings import Settings

from .serving import TOKEN, make_indexes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KNOWN = {"index": ["texts", "vectors", "images", "nowhere"], "id": ["text-1", "digit-1", "nowhere", "a/b?c#d"]}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    paths = make_indexes(tmp_path_factory.mktemp("served"))
    app = create_app(Settings(paths, TOKEN, most_k=50))
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "localhost"})


def test_no_request_fails_in_the_server(schema: Any) -> None:
    tried = 0

    def check(case: Any) -> None:
        nonlocal tried
        for name, values in KNOWN.items():
            for place in (case.path_parameters, case.query):
                if place and name in place and tried % 3:
                    place[name] = values[tried % len(values)]
        headers = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}"}
        response = case.call(headers=headers)
        tried += 1
        assert response.status_code < 500, (case.method, case.path, response.text)

    for result in schema.get_all_operations():
        operation = result.ok()
        strategy = operation.as_strategy()
        runner = settings(
            max_examples=25,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        runner(given(case=strategy)(check))()
    assert tried > 200


def test_the_folder_of_an_index_is_only_changed_by_changes(tmp_path: Path) -> None:
    paths = make_indexes(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in Path(paths["vectors"]).rglob("*")}
    create_app(Settings(paths))
    assert {path: path.stat().st_mtime_ns for path in Path(paths["vectors"]).rglob("*")} == before
