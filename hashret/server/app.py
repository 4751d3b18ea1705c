"""The application: routes, pages, errors, and the guard around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

import hashret
from hashret.server import api, maps, pages, writes
from hashret.server.guard import Guard
from hashret.server.handlers import add_handlers
from hashret.server.metrics import CONTENT_TYPE, Metrics
from hashret.server.settings import Settings
from hashret.server.shelf import Shelf
from hashret.server.state import State
from hashret.server.work import Work

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings) -> FastAPI:
    """Return the ASGI application. Raises HashretError if an index cannot be opened.

    Example:
        >>> from hashret.server.app import create_app
        >>> app = create_app(Settings({"mine": "indexes/mine"}))
    """
    shelf, work, metrics = Shelf(settings.indexes), Work(settings), Metrics()
    shelf.check()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        work.close()

    app = FastAPI(
        title="hashret",
        version=hashret.__version__,
        description="Search in your own documents. Changes need a token.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.hashret = State(settings, shelf, work, metrics)

    @app.get("/healthz", tags=["server"])
    async def alive() -> dict[str, str]:
        """Answer at once, also while searches run."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["server"], response_class=Response)
    async def measured() -> Response:
        """Metrics for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    for router in (writes.router, api.router, maps.router, pages.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_handlers(app)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    return app
