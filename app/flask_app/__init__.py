"""The Flask application that the pipeline builds, scans, patches, deploys and serves."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from flask import Flask, jsonify, render_template

from .errors import problem
from .observability import install_logging, install_request_log

STAGES = ("Code", "Build", "Scan", "Patch", "Push", "Deploy", "Serve")

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(config: dict | None = None) -> Flask:
    """Make the application; `config` overrides what the environment says."""
    app = Flask(__name__)
    app.config.update(
        VERSION=os.environ.get("APP_VERSION", "dev"),
        COMMIT=os.environ.get("APP_COMMIT", "unknown"),
        STARTED=datetime.now(UTC),
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.config.update(config or {})
    install_logging(app)
    install_request_log(app)
    app.register_error_handler(Exception, problem)

    @app.get("/")
    def index() -> str:
        return render_template("index.html", stages=STAGES, **identity(app))

    @app.get("/health")
    def health():
        return jsonify(status="ok", **identity(app))

    @app.get("/ready")
    def ready():
        return jsonify(status="ready")

    @app.after_request
    def secure(response):
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if response.mimetype == "application/json":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


def identity(app: Flask) -> dict[str, str]:
    """Which version answers: a deployment checks that it is the new one."""
    return {
        "version": app.config["VERSION"],
        "commit": app.config["COMMIT"],
        "started": app.config["STARTED"].isoformat(timespec="seconds"),
    }
