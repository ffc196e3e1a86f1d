"""The release board: the application that the pipeline delivers shows how it was delivered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask, Response, abort, jsonify, render_template

from .errors import problem
from .metrics import install_metrics
from .observability import install_logging, install_request_log
from .settings import PURPOSES, SEVERITIES, Settings, read
from .static_files import install_static_files

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(
    settings: Settings | None = None, is_stopping: Callable[[], bool] = lambda: False
) -> Flask:
    """Create the application; by default its settings are read from the environment.

    `is_stopping` is whether the process finishes what it has, and is to get no more requests.
    """
    facts = settings or read()
    # Static files have their own routes.
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    install_logging(app)
    install_request_log(app)
    install_metrics(app)
    install_static_files(app)
    app.register_error_handler(Exception, problem)

    @app.get("/")
    def index() -> str:
        up = timedelta(seconds=int((datetime.now(UTC) - facts.started).total_seconds()))
        return render_template(
            "index.html",
            stages=facts.stages(),
            purposes=PURPOSES,
            severities=SEVERITIES,
            facts=facts,
            uptime=up,
        )

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok", **identity(facts))

    @app.get("/ready")
    def ready() -> Response:
        if is_stopping():
            abort(503, "The process is stopping.")
        # A page that can't be made is an error here, before users see it.
        index()
        return jsonify(status="ready")

    @app.get("/version")
    def version() -> Response:
        return jsonify(
            **identity(facts),
            digest=facts.digest,
            built=facts.built and facts.built.isoformat(),
            deployed=facts.deployed and facts.deployed.isoformat(),
            patched=facts.patched,
            stages=facts.stages(),
            scan={"before": facts.before, "after": facts.after},
            pod=facts.pod,
        )

    @app.after_request
    def secure(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        # Every response except static files depends on what runs now.
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


def identity(facts: Settings) -> dict[str, str]:
    """The running version: a deployment checks that it is the new one."""
    return {
        "version": facts.version,
        "commit": facts.commit,
        "started": facts.started.isoformat(timespec="seconds"),
    }
