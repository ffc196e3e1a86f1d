"""Metrics in the Prometheus text format, over all worker processes, on a port of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUESTS = Counter("http_requests_total", "HTTP requests.", ("method", "route", "status"))
SECONDS = Histogram("http_request_duration_seconds", "Duration of HTTP requests.", ("route",))
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def install_metrics(app: Flask) -> None:
    """Count every request."""

    @app.before_request
    def begin() -> None:
        g.metrics_started = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        # Route, not path, and known methods only: a client must not be able to create new series.
        route = request.url_rule.rule if request.url_rule else "unmatched"
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(method, route, response.status_code).inc()
        SECONDS.labels(route).observe(time.perf_counter() - g.metrics_started)
        return response


def with_metrics(app: WSGIApplication, port: str) -> WSGIApplication:
    """Respond with the metrics at `port`, and with `app` at every other one.

    What is public is the port of the application; a network policy decides who reaches this one.
    """

    def by_port(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        chosen = metrics() if environ["SERVER_PORT"] == port else app
        return chosen(environ, start_response)

    return by_port


def metrics() -> WSGIApplication:
    """The metrics of this process, or of all that share `PROMETHEUS_MULTIPROC_DIR`."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return make_wsgi_app(registry)
