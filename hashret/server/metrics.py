"""Metrics for Prometheus. Labels are the routes of the server, never what was asked, so their number is bounded.

With several workers, each writes to files in the folder PROMETHEUS_MULTIPROC_DIR, and any of them returns the sum.
"""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Requests by route, method and status, and their time by route."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self.requests = Counter("hashret_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "hashret_request_seconds", "Time of requests.", ("route",), buckets=SECONDS, registry=self.registry
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.requests.labels(route, method, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All metrics in the format of Prometheus."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
